//! `config show`: every setting in force, and where it comes from.

use anyhow::Result;
use clap::ArgMatches;
use serde_json::{Value, json};

use crate::cli::ConfigArgs;
use crate::config;
use crate::exit::Exit;
use crate::output::{self, Form};

pub fn show(args: ConfigArgs, matches: &ArgMatches, form: Form) -> Result<Exit> {
    let settings = config::settle(args, matches)?;
    let all = settings.all();
    let entry = |(key, value, origin): &(&str, Value, &config::Origin)| json!({"key": key, "value": value, "origin": origin.to_string()});
    let value = Value::Array(all.iter().map(entry).collect());
    form.result(&value, || {
        let rows: Vec<Vec<String>> = all
            .iter()
            .map(|(key, value, origin)| vec![(*key).to_owned(), shown(value), origin.to_string()])
            .collect();
        output::table(&["setting", "value", "origin"], &rows)
    });
    Ok(Exit::Ok)
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}
