//! Automation of this repository: `cargo xtask test` runs every suite, `cargo xtask tidy` the house rules.

mod counts;
mod needs;
mod plan;
mod process;
mod suites;
mod table;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::plan::{Left, Options};

const HELP: &str = "\
Automation of this repository.

  cargo xtask test [--install] [--strict] [--full] [--only NAME]...
      runs the suites; ends with a table and `N passed, N failed, N skipped`
        --install     install what is missing: Debian packages, npm and Python packages (in the work tree)
        --strict      fail if a suite was left out
        --full        the long runs too: 200 kills, fuzzing, release build
        --only NAME   this suite alone (may be given again)
  cargo xtask suites    lists the suites, what each needs, and what is missing here
  cargo xtask fixtures  writes testdata/audit anew, from the cases of the auditors' tests
  cargo xtask tidy      checks the house rules that no compiler knows

Exit codes: 0 all well; 1 something failed; 2 wrong usage; 3 with --strict, something was left out.
";

const FAILED: u8 = 1;
const USAGE: u8 = 2;
const LEFT_OUT: u8 = 3;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}

fn run(arguments: &[String]) -> Result<ExitCode> {
    let root = root()?;
    let (task, rest) = match arguments.split_first() {
        Some((task, rest)) => (task.as_str(), rest),
        None => ("help", &[][..]),
    };
    match task {
        "test" => match Options::parse(rest) {
            Ok(options) => test(&root, &options),
            Err(error) => Ok(usage(&error)),
        },
        "suites" => {
            plan::list(&root);
            Ok(ExitCode::SUCCESS)
        }
        "tidy" => {
            let findings = tidy::check(&root)?;
            print!("{findings}");
            Ok(if findings.errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
        }
        "fixtures" => {
            let mut command = Command::new("cargo");
            command.args(["test", "--package", "audit", "--test", "fixtures"]).current_dir(&root);
            let written = process::run_shown(command.env("FIXTURES", "write"))?;
            Ok(if written.succeeded { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
        }
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        other => Ok(usage(&format!("there is no task `{other}`"))),
    }
}

fn test(root: &Path, options: &Options) -> Result<ExitCode> {
    let report = plan::run(root, options)?;
    print!("{}", table::render(&report));
    let (passed, failed, skipped) = report.totals();
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    let left_out = report.rows.iter().any(|row| matches!(row.left, Left::Missing(_)));
    Ok(if failed > 0 {
        ExitCode::from(FAILED)
    } else if options.strict && left_out {
        ExitCode::from(LEFT_OUT)
    } else {
        ExitCode::SUCCESS
    })
}

fn usage(problem: &str) -> ExitCode {
    eprintln!("error: {problem}\n\n{HELP}");
    ExitCode::from(USAGE)
}

/// The repository's root: the folder above this crate's.
fn root() -> Result<PathBuf> {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").context("start this through `cargo xtask`")?;
    let root = Path::new(&here).parent().context("xtask has no parent folder")?;
    Ok(root.to_path_buf())
}
