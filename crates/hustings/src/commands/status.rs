//! `status` and `clock confirm`: how a server is, for its operator.

use anyhow::Result;
use serde_json::Value;

use crate::client::Client;
use crate::exit::Exit;
use crate::output::Form;

pub fn show(client: &Client, form: Form) -> Result<Exit> {
    let status = client.get("/api/v1/status")?;
    form.result(&status, || lines("", &status));
    Ok(Exit::Ok)
}

pub fn confirm_clock(client: &Client, form: Form) -> Result<Exit> {
    let answer = client.post("/api/v1/clock/confirm", None)?;
    form.result(&answer, || "The clock is confirmed; deadlines go on by it.".to_owned());
    Ok(Exit::Ok)
}

/// Every figure on a line of its own, members of members with a dot.
fn lines(prefix: &str, value: &Value) -> String {
    let Value::Object(members) = value else {
        return String::new();
    };
    let line = |(name, value): (&String, &Value)| {
        let name = format!("{prefix}{name}");
        match value {
            Value::Object(_) => lines(&format!("{name}."), value),
            Value::String(text) => format!("{name:<32} {text}\n"),
            other => format!("{name:<32} {other}\n"),
        }
    };
    members.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_has_its_line() {
        let status = serde_json::json!({"position": 7, "clock": {"steady": true, "now": "x"}});
        insta::assert_snapshot!(lines("", &status), @r"
        clock.now                        x
        clock.steady                     true
        position                         7
        ");
    }
}
