//! What a benchmark found: method, machine, figures against their aims, and checks that must hold.

use std::fmt::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use super::histogram::Histogram;
use super::machine::Machine;

#[derive(Debug, Serialize)]
pub struct Report {
    pub bench: String,
    pub method: Vec<String>,
    pub machine: Machine,
    pub figures: Vec<Figure>,
    pub checks: Vec<Check>,
    pub notes: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct Figure {
    pub name: String,
    pub value: f64,
    pub unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aim: Option<Aim>,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Aim {
    AtLeast(f64),
    AtMost(f64),
}

#[derive(Debug, Serialize)]
pub struct Check {
    pub name: String,
    pub holds: bool,
    pub detail: String,
}

impl Aim {
    fn reached(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }
}

impl Report {
    pub fn new(bench: &str, machine: &Machine) -> Self {
        let mut report = Self {
            bench: bench.to_owned(),
            method: Vec::new(),
            machine: machine.clone(),
            figures: Vec::new(),
            checks: Vec::new(),
            notes: Vec::new(),
        };
        if cfg!(debug_assertions) {
            report.note("built without optimisation: the figures mean nothing");
        }
        if !machine.is_durable() {
            report.note("the folder is on tmpfs: nothing is durable there; give another with --dir");
        }
        report
    }

    pub fn method(&mut self, line: impl Into<String>) {
        self.method.push(line.into());
    }

    pub fn note(&mut self, line: impl Into<String>) {
        self.notes.push(line.into());
    }

    pub fn figure(&mut self, name: impl Into<String>, value: f64, unit: &'static str) {
        self.figures.push(Figure { name: name.into(), value, unit, aim: None });
    }

    pub fn aimed(&mut self, name: impl Into<String>, value: f64, unit: &'static str, aim: Aim) {
        self.figures.push(Figure { name: name.into(), value, unit, aim: Some(aim) });
    }

    /// p50, p99, p99.9 and the greatest, in milliseconds.
    pub fn latencies(&mut self, name: &str, latencies: &Histogram, p99_aim: Option<f64>) {
        self.figure(format!("{name} p50"), millis(latencies.quantile(0.5)), "ms");
        let p99 = millis(latencies.quantile(0.99));
        self.figures.push(Figure {
            name: format!("{name} p99"),
            value: p99,
            unit: "ms",
            aim: p99_aim.map(Aim::AtMost),
        });
        self.figure(format!("{name} p99.9"), millis(latencies.quantile(0.999)), "ms");
        self.figure(format!("{name} max"), millis(latencies.max()), "ms");
    }

    pub fn check(&mut self, name: impl Into<String>, holds: bool, detail: impl Into<String>) {
        self.checks.push(Check { name: name.into(), holds, detail: detail.into() });
    }

    pub fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.holds)
    }
}

/// Prints reports: text at once, JSON as one array at the end.
pub struct Printer {
    json: Option<Vec<Report>>,
    all_hold: bool,
}

impl Printer {
    pub fn new(json: bool) -> Self {
        Self { json: json.then(Vec::new), all_hold: true }
    }

    pub fn add(&mut self, report: Report) {
        self.all_hold &= report.holds();
        match &mut self.json {
            Some(reports) => reports.push(report),
            None => print!("{report}"),
        }
    }

    /// Fails when a check does not hold.
    pub fn finish(self) -> anyhow::Result<ExitCode> {
        if let Some(reports) = self.json {
            println!("{}", serde_json::to_string_pretty(&reports)?);
        }
        Ok(if self.all_hold { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = &self.machine;
        writeln!(f, "\n{}", self.bench)?;
        writeln!(
            f,
            "  machine  {} cores, {}, {} GiB, kernel {}, {}, sync {:.0} us, load {}",
            machine.cores,
            machine.cpu,
            machine.memory_gib,
            machine.kernel,
            machine.file_system,
            machine.sync_micros,
            machine.load_before
        )?;
        self.method.iter().try_for_each(|line| writeln!(f, "  method   {line}"))?;
        let width = self.figures.iter().map(|figure| figure.name.chars().count()).max().unwrap_or(0);
        for figure in &self.figures {
            let name = &figure.name;
            write!(f, "  {name:<width$}  {:>14} {}", number(figure.value), figure.unit)?;
            match figure.aim {
                None => writeln!(f)?,
                Some(aim) => writeln!(f, "  (aim {aim}: {})", verdict(aim.reached(figure.value)))?,
            }
        }
        for check in &self.checks {
            let verdict = if check.holds { "ok  " } else { "FAIL" };
            writeln!(f, "  {verdict} {}: {}", check.name, check.detail)?;
        }
        self.notes.iter().try_for_each(|line| writeln!(f, "  note: {line}"))
    }
}

impl fmt::Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "≥ {}", number(*least)),
            Self::AtMost(most) => write!(f, "≤ {}", number(*most)),
        }
    }
}

fn verdict(reached: bool) -> &'static str {
    if reached { "reached" } else { "missed" }
}

pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Three significant figures and thousands apart: `1,234,567`, `12.3`, `0.123`.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "-".to_owned();
    }
    if value.abs() < 100.0 {
        return if value.abs() < 1.0 { format!("{value:.3}") } else { format!("{value:.2}") };
    }
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    if value < 0.0 {
        text.push('-');
    }
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        let _ = text.write_char(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_readable() {
        for (value, text) in [
            (0.0421, "0.042"),
            (12.345, "12.35"),
            (999.6, "1,000"),
            (1_234_567.0, "1,234,567"),
            (f64::NAN, "-"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
