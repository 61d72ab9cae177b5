//! Starts commands, shows their output as it comes and keeps a copy for counting.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

/// How a command ended, with everything it printed (standard output and error in their order).
#[derive(Debug)]
pub struct Finished {
    pub succeeded: bool,
    pub output: String,
}

/// Runs `command` to its end, passing its output on line by line.
pub fn run_shown(command: &mut Command) -> Result<Finished> {
    println!("\n$ {}", shown(command));
    let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
    let again = writer.try_clone().context("cannot share a pipe")?;
    command.stdin(Stdio::null()).stdout(writer).stderr(again);
    let spawned = command.spawn();
    // The writing ends inside `command` would keep the pipe open for ever.
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = spawned.with_context(|| format!("cannot start `{program}`"))?;
    let output = pass_on(BufReader::new(reader))?;
    let status = child.wait().with_context(|| format!("cannot wait for `{program}`"))?;
    Ok(Finished { succeeded: status.success(), output })
}

fn pass_on(mut reader: impl BufRead) -> Result<String> {
    let mut kept = String::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line).context("cannot read a command's output")? == 0 {
            return Ok(kept);
        }
        let text = String::from_utf8_lossy(&line);
        print!("{text}");
        std::io::stdout().flush().context("cannot write to standard output")?;
        kept.push_str(&text);
    }
}

/// Whether a command ends with success; its output is not shown.
pub fn succeeds(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// What a command prints on standard output, if it succeeds.
pub fn printed(directory: &Path, program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The command as one would type it.
fn shown(command: &Command) -> String {
    let mut words: Vec<String> = command
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={}", name.to_string_lossy(), value?.to_string_lossy())))
        .collect();
    words.push(command.get_program().to_string_lossy().into_owned());
    words.extend(command.get_args().map(|argument| argument.to_string_lossy().into_owned()));
    words.join(" ")
}
