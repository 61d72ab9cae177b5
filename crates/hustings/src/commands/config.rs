//! `config show`: every setting in force, and where it comes from.

use anyhow::Result;
use clap::ArgMatches;
use serde_json::{Value, json};

use crate::cli::ConfigArgs;
use crate::config;
use crate::exit::Exit;
use crate::output::{self, Form};

/// Limits that are part of the formats and the rules, so that no setting can change them.
const FIXED: [(&str, usize); 12] = [
    ("elections_max", election::state::ELECTIONS_MAX),
    ("rooms_max", election::state::ROOMS_MAX),
    ("contests_max", election::definition::CONTESTS_MAX),
    ("choices_max", election::definition::CHOICES_MAX),
    ("groups_max", election::definition::GROUPS_MAX),
    ("title_chars_max", election::definition::TITLE_CHARS_MAX),
    ("description_chars_max", election::definition::DESCRIPTION_CHARS_MAX),
    ("name_chars_max", election::ids::NAME_CHARS_MAX),
    ("slug_chars_max", election::ids::SLUG_CHARS_MAX),
    ("ballots_per_voter_max", election::definition::BALLOTS_PER_VOTER_MAX as usize),
    ("roll_voters_max", election::roll::ROLL_VOTERS_MAX),
    ("room_elections_max", election::room::ROOM_ELECTIONS_MAX),
];

/// A setting as it is shown: key, value, origin.
type Line = (String, Value, String);

pub fn show(args: ConfigArgs, matches: &ArgMatches, form: Form) -> Result<Exit> {
    let settings = config::settle(args, matches)?;
    settings.check()?;
    let given = settings.all().into_iter().map(|(key, value, origin)| (key, value, origin.to_string()));
    let fixed =
        FIXED.iter().map(|(key, value)| (format!("limits.{key}"), json!(value), "built in".to_owned()));
    let lines: Vec<Line> = given.chain(fixed).collect();
    let entry = |(key, value, origin): &Line| json!({"key": key, "value": value, "origin": origin});
    let row = |(key, value, origin): &Line| vec![key.clone(), shown(value), origin.clone()];
    form.result(&lines.iter().map(entry).collect(), || {
        output::table(&["setting", "value", "origin"], &lines.iter().map(row).collect::<Vec<_>>())
    });
    Ok(Exit::Ok)
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
