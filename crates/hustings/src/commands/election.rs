//! `election …`: everything an officer does with an election, over HTTP.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use jiff::{Span, Timestamp};
use serde_json::{Value, json};

use crate::cli::{CreateArgs, DrawArgs, ElectionCommand, ExtendArgs, RecordArgs, RepeatArgs};
use crate::client::{Client, election_path, segment};
use crate::commands::results;
use crate::definition::{self, VoterList};
use crate::exit::{Exit, Failure};
use crate::output::{self, Form, Progress, note};

pub fn run(command: ElectionCommand, client: &Client, form: Form) -> Result<Exit> {
    match command {
        ElectionCommand::Create(args) => create(args, client, form)?,
        ElectionCommand::List => list(client, form)?,
        ElectionCommand::Show(arg) => show(&arg.slug, client, form)?,
        ElectionCommand::Open(arg) => open(&arg.slug, client, form)?,
        ElectionCommand::Pause(arg) => act(&arg.slug, "pause", None, client, form)?,
        ElectionCommand::Extend(args) => extend(&args, client, form)?,
        ElectionCommand::Reveal(arg) => turn_curtain(&arg.slug, "reveal", client, form)?,
        ElectionCommand::Hide(arg) => turn_curtain(&arg.slug, "hide", client, form)?,
        ElectionCommand::Close(arg) => close(&arg.slug, client, form)?,
        ElectionCommand::Publish(arg) => publish(&arg.slug, client, form)?,
        ElectionCommand::Cancel(args) => {
            act(&args.election.slug, "cancel", Some(json!({"reason": args.reason})), client, form)?;
        }
        ElectionCommand::Draw(args) => draw(&args, client, form)?,
        ElectionCommand::Rehearse(args) => {
            another(&args.election.slug, "rehearse", with_voters(json!({}), &args.voters)?, client, form)?;
        }
        ElectionCommand::Repeat(args) => next_round("repeat", &args, client, form)?,
        ElectionCommand::RunOff(args) => next_round("run-off", &args, client, form)?,
        ElectionCommand::Results(arg) => {
            let value = client.get(&election_path(&arg.slug, "/results"))?;
            form.result(&value, || results::text(&value));
        }
        ElectionCommand::Record(args) => record(&args, client, form)?,
    }
    Ok(Exit::Ok)
}

fn create(args: CreateArgs, client: &Client, form: Form) -> Result<()> {
    let (mut definition, open) = match &args.file {
        Some(path) => (definition::read_file(path)?, args.open),
        None => (args.short.definition()?, !args.draft),
    };
    args.voters.add_to(&mut definition)?;
    let mut created = client.post("/api/v1/elections", Some(&definition))?;
    let slug = created["slug"].as_str().or(definition["slug"].as_str()).unwrap_or_default().to_owned();
    if open {
        client.post(&election_path(&slug, "/open"), None)?;
        created["state"] = json!("open");
    }
    form.result(&created, || {
        format!("Election `{slug}` is made and {}.", if open { "open" } else { "a draft" })
    });
    match open {
        true => note(format!("Vote at {}/e/{slug}", client.base())),
        false => note(format!("Open it with: hustings election open {slug}")),
    }
    Ok(())
}

fn list(client: &Client, form: Form) -> Result<()> {
    let mut elections = Vec::new();
    let mut page = client.get("/api/v1/elections")?;
    loop {
        elections.extend(page["elections"].as_array().into_iter().flatten().cloned());
        let Some(next) = page["next"].as_str() else { break };
        page = client.get(&format!("/api/v1/elections?after={}", segment(next)))?;
    }
    let value = json!({"elections": elections});
    form.result(&value, || {
        if elections.is_empty() {
            return "No elections yet. Make one with: hustings election create FILE".to_owned();
        }
        let text = |election: &Value, key: &str| match &election[key] {
            Value::String(text) => text.clone(),
            Value::Null => "-".to_owned(),
            other => other.to_string(),
        };
        let rows: Vec<Vec<String>> = elections
            .iter()
            .map(|election| ["slug", "state", "ballots", "title"].map(|key| text(election, key)).to_vec())
            .collect();
        output::table(&["slug", "state", "ballots", "title"], &rows)
    });
    Ok(())
}

fn show(slug: &str, client: &Client, form: Form) -> Result<()> {
    let value = client.get(&election_path(slug, ""))?;
    form.result(&value, || show_text(slug, &value));
    Ok(())
}

fn show_text(slug: &str, value: &Value) -> String {
    let definition = if value["definition"].is_object() { &value["definition"] } else { value };
    let mut text = format!("{}  ({slug})\n", results::title(definition));
    let mut line = |name: &str, value: &Value| match value {
        Value::Null => {}
        Value::String(value) => text += &format!("{name:<12} {value}\n"),
        value => text += &format!("{name:<12} {value}\n"),
    };
    line("state", &value["state"]);
    for key in ["revealed", "ballots", "voters", "closes_at", "definition_hash"] {
        line(key, &value[key]);
    }
    for key in ["secrecy", "eligibility", "results", "revote", "draw"] {
        line(key, &definition[key]);
    }
    for contest in definition["contest"].as_array().into_iter().flatten() {
        let method = contest["method"].as_str().unwrap_or("plurality");
        text += &format!(
            "\n{}  ({}, {method})\n",
            results::title(contest),
            contest["id"].as_str().unwrap_or("?")
        );
        for choice in contest["choices"].as_array().into_iter().flatten() {
            let name = choice["name"].as_str().or(choice.as_str()).unwrap_or("?");
            match choice["id"].as_str() {
                Some(id) => text += &format!("  {name}  ({id})\n"),
                None => text += &format!("  {name}\n"),
            }
        }
    }
    text
}

/// An act that changes an election's state.
fn act(slug: &str, verb: &str, body: Option<Value>, client: &Client, form: Form) -> Result<()> {
    let value = client.post(&election_path(slug, &format!("/{verb}")), body.as_ref())?;
    form.result(&value, || {
        let state = value["state"].as_str().unwrap_or("changed");
        format!("Election `{slug}` is {state}.")
    });
    Ok(())
}

/// Opening what is open already is no mistake: the officer has what they asked for.
fn open(slug: &str, client: &Client, form: Form) -> Result<()> {
    let refused = match act(slug, "open", None, client, form) {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    let is_wrong_state = refused
        .downcast_ref::<Failure>()
        .is_some_and(|failure| failure.code.as_deref() == Some("wrong_state"));
    if is_wrong_state {
        let value = client.get(&election_path(slug, ""))?;
        if value["state"] == "open" {
            form.result(&value, || format!("Election `{slug}` is open already."));
            return Ok(());
        }
    }
    Err(refused)
}

fn extend(args: &ExtendArgs, client: &Client, form: Form) -> Result<()> {
    let slug = &args.election.slug;
    let until = match (&args.until, &args.by) {
        (Some(until), _) => time(until)?,
        (None, Some(by)) => {
            let election = client.get(&election_path(slug, ""))?;
            let closes_at = election["closes_at"].as_str().ok_or_else(|| {
                Failure::usage(format!("election `{slug}` has no deadline to move"))
                    .hint("Give one with --until TIME.")
            })?;
            later(time(closes_at)?, by)?
        }
        (None, None) => unreachable!("clap asks for one of them"),
    };
    act(slug, "extend", Some(json!({"closes_at": until.to_string()})), client, form)
}

fn time(text: &str) -> Result<Timestamp> {
    text.parse().map_err(|_| {
        Failure::usage(format!("`{text}` is not a time with its zone"))
            .hint("Write it like 2027-03-01T18:00:00Z or 2027-03-01T19:00:00+01:00.")
            .into()
    })
}

fn later(than: Timestamp, by: &str) -> Result<Timestamp> {
    let wrong =
        || Failure::usage(format!("`{by}` is not a duration")).hint("Write it like 10m, 90s or 1h30m.");
    let span: Span = by.parse().map_err(|_| wrong())?;
    match span.is_positive() {
        true => Ok(than.checked_add(span).map_err(|_| wrong())?),
        false => Err(wrong().into()),
    }
}

fn close(slug: &str, client: &Client, form: Form) -> Result<()> {
    let closed = client.post(&election_path(slug, "/close"), None)?;
    let results = client.get(&election_path(slug, "/results"))?;
    form.result(&if results.is_object() { results.clone() } else { closed }, || results::text(&results));
    note(format!("Publish it with: hustings election publish {slug}"));
    Ok(())
}

fn publish(slug: &str, client: &Client, form: Form) -> Result<()> {
    act(slug, "publish", None, client, form)?;
    note(format!("Anyone can check it: hustings election record {slug} && hustings audit {slug}.record"));
    Ok(())
}

fn draw(args: &DrawArgs, client: &Client, form: Form) -> Result<()> {
    let is_seed = args.seed.len() == 64 && args.seed.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_seed {
        return Err(Failure::usage("a seed is 32 bytes, written as 64 hexadecimal digits")
            .hint("From dice or a beacon's text: printf '%s' '4 1 6 2' | sha256sum")
            .into());
    }
    let slug = &args.election.slug;
    client.post(&election_path(slug, "/draw"), Some(&json!({"seed": args.seed.to_ascii_lowercase()})))?;
    let results = client.get(&election_path(slug, "/results"))?;
    form.result(&results, || results::text(&results));
    Ok(())
}

fn turn_curtain(slug: &str, verb: &str, client: &Client, form: Form) -> Result<()> {
    let results = client.post(&election_path(slug, &format!("/{verb}")), None)?;
    form.result(&results, || match results["revealed"] == Value::Bool(true) {
        true => format!("Everybody sees the counts of `{slug}`.\n{}", results::text(&results)),
        false => format!("The counts of `{slug}` are hidden."),
    });
    Ok(())
}

fn next_round(verb: &str, args: &RepeatArgs, client: &Client, form: Form) -> Result<()> {
    let body = match &args.new_slug {
        Some(slug) => json!({"slug": slug}),
        None => json!({}),
    };
    another(&args.election.slug, verb, with_voters(body, &args.voters)?, client, form)
}

/// Ids are never kept readable, so a new election for a list needs the list again.
fn with_voters(mut body: Value, list: &VoterList) -> Result<Value> {
    let voters = list.voters()?;
    if !voters.is_empty() {
        body["voters"] = json!(voters);
    }
    Ok(body)
}

/// An act that makes a new election from one.
fn another(slug: &str, verb: &str, body: Value, client: &Client, form: Form) -> Result<()> {
    let value = client.post(&election_path(slug, &format!("/{verb}")), Some(&body))?;
    form.result(&value, || {
        let new = value["slug"].as_str().unwrap_or("?");
        let state = value["state"].as_str().unwrap_or("draft");
        format!("Election `{new}` is made and {state}.")
    });
    Ok(())
}

fn record(args: &RecordArgs, client: &Client, form: Form) -> Result<()> {
    let slug = &args.election.slug;
    let path = args.out.clone().unwrap_or_else(|| PathBuf::from(format!("{slug}.record")));
    let stream = client.stream(&election_path(slug, "/record"), &[])?;
    if path == Path::new("-") {
        copy(stream, &mut io::stdout().lock(), Progress::new("record"))?;
        return Ok(());
    }
    let bytes = save_record(stream, &path)?;
    let value = json!({"file": path, "bytes": bytes});
    form.result(&value, || format!("{}: {} bytes", path.display(), output::thousands(bytes)));
    note(format!("Check it with: hustings audit {}", path.display()));
    Ok(())
}

/// Writes a record beside its final name and gives it that name once it is whole. Returns its bytes.
pub fn save_record(stream: impl Read, path: &Path) -> Result<u64> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().context("the record needs a file name")?.to_string_lossy().into_owned();
    let part = folder.join(format!(".{name}.part"));
    let cannot_write = || format!("cannot write `{}`", path.display());
    let mut file = File::options().read(true).write(true).create(true).truncate(true).open(&part);
    let file = match &mut file {
        Ok(file) => file,
        Err(error) => return Err(Failure::usage(format!("{}: {error}", cannot_write())).into()),
    };
    let result = copy(stream, file, Progress::new("record")).and_then(|bytes| {
        is_whole(file, bytes)?;
        file.sync_all().with_context(cannot_write)?;
        std::fs::rename(&part, path).with_context(cannot_write)?;
        Ok(bytes)
    });
    if result.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    result
}

fn copy(mut from: impl Read, to: &mut impl Write, mut progress: Progress) -> Result<u64> {
    let mut buffer = vec![0; 256 * 1024];
    let mut bytes = 0;
    loop {
        let read = from.read(&mut buffer).map_err(|error| {
            Failure::new(Exit::Unreachable, format!("the record broke off after {bytes} bytes: {error}"))
        })?;
        if read == 0 {
            return Ok(bytes);
        }
        to.write_all(&buffer[..read]).context("cannot write the record")?;
        bytes += read as u64;
        progress.at(bytes / 1024, None, "KiB");
    }
}

/// Longer than any `end` line.
const END_LINE_BYTES_MAX: u64 = 4_096;

/// A record ends with its `end` line; without it, it broke off.
fn is_whole(file: &mut File, bytes: u64) -> Result<()> {
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(bytes.saturating_sub(END_LINE_BYTES_MAX)))
        .context("cannot read the record back")?;
    file.read_to_end(&mut tail).context("cannot read the record back")?;
    let lines = tail.strip_suffix(b"\n").unwrap_or(&tail);
    let last = lines.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    match last.starts_with(b"{\"end\":") {
        true => Ok(()),
        false => {
            Err(Failure::new(Exit::Unreachable, format!("the record broke off after {bytes} bytes")).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_moves_by_a_duration() {
        let at: Timestamp = "2027-03-01T18:00:00Z".parse().expect("a time");
        assert_eq!(later(at, "10m").expect("good").to_string(), "2027-03-01T18:10:00Z");
        assert_eq!(later(at, "1h30m").expect("good").to_string(), "2027-03-01T19:30:00Z");
        assert_eq!(later(at, "PT90S").expect("good").to_string(), "2027-03-01T18:01:30Z");
        for wrong in ["ten", "-5m", "", "1 month"] {
            assert!(later(at, wrong).is_err(), "{wrong}");
        }
        assert!(time("2027-03-01T18:00:00").is_err(), "a zone is needed");
    }

    #[test]
    fn a_record_without_its_end_is_not_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.record");
        assert!(save_record(&b"{\"hustings_record\":1}\n"[..], &path).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).expect("readable").count(), 0);
        let whole = &b"{\"hustings_record\":1}\n{\"end\":{}}\n"[..];
        assert_eq!(save_record(whole, &path).expect("kept"), whole.len() as u64);
        assert_eq!(std::fs::read(&path).expect("readable"), whole);
    }
}
