//! Elections as files and as flags, turned into the JSON that the server takes. What a field means and which
//! values it may have is the server's word; here only the form is read, and mistakes in it are shown with
//! their line.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};

use crate::exit::Failure;

/// An election file larger than this is surely another file.
const DEFINITION_FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Reads `FILE.toml` or `FILE.json` (standard input for `-`, either form).
pub fn read_file(path: &Path) -> Result<Value> {
    let shown = path.display();
    if path == Path::new("-") {
        let text = std::io::read_to_string(std::io::stdin()).map_err(|error| {
            Failure::usage(format!("cannot read the election from standard input: {error}"))
        })?;
        return match text.trim_start().starts_with('{') {
            true => from_json("standard input", &text),
            false => from_toml("standard input", &text),
        };
    }
    let meta = fs::metadata(path)
        .map_err(|error| Failure::usage(format!("cannot read election file `{shown}`: {}", plain(&error))))?;
    if meta.len() > DEFINITION_FILE_BYTES_MAX || !meta.is_file() {
        return Err(Failure::usage(format!("`{shown}` is not an election file")).into());
    }
    let text = fs::read_to_string(path).map_err(|error| {
        Failure::usage(format!("cannot read election file `{shown}`: {}", plain(&error)))
            .hint("An election is a text file in TOML or JSON; `hustings election create --help` shows one.")
    })?;
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => from_toml(&shown.to_string(), &text),
        Some("json") => from_json(&shown.to_string(), &text),
        _ => Err(Failure::usage(format!("`{shown}` ends neither in .toml nor in .json"))
            .hint("Rename it, so that it is clear how to read it.")
            .into()),
    }
}

fn from_toml(name: &str, text: &str) -> Result<Value> {
    let members = server::definition_file::from_toml(text);
    Ok(Value::Object(members.map_err(|why| Failure::usage(format!("`{name}`: {why}")))?))
}

fn from_json(name: &str, text: &str) -> Result<Value> {
    let value: Value = serde_json::from_str(text)
        .map_err(|error| Failure::usage(format!("`{name}` is not valid JSON: {error}")))?;
    match value.is_object() {
        true => Ok(value),
        false => {
            Err(Failure::usage(format!("`{name}` is JSON, but not an object such as {{\"slug\": …}}")).into())
        }
    }
}

fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        std::io::ErrorKind::InvalidData => "it is not text".to_owned(),
        _ => error.to_string(),
    }
}

/// `election create --id 100 --candidates Ann Bob --authorized-users u1 u2`.
#[derive(Clone, Debug, clap::Args)]
pub struct ShortElection {
    /// Name of the election in addresses: a-z, 0-9 and `-`
    #[arg(long, value_name = "SLUG", requires = "candidates")]
    pub id: Option<String>,

    /// What is voted on; default `Election SLUG`
    #[arg(long, value_name = "TEXT", requires = "id")]
    pub title: Option<String>,

    /// Names to choose one from
    #[arg(long, num_args = 1.., value_name = "NAME", requires = "id")]
    pub candidates: Vec<String>,
}

/// `--authorized-users u1 u2`: a list of ids, the smallest roll.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct VoterList {
    /// Ids of those who may vote; without any, everybody may, once per browser session
    #[arg(long, alias = "authorized_users", num_args = 1.., value_name = "ID")]
    pub authorized_users: Vec<String>,

    /// File with such ids, one a line, `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub authorized_users_file: Option<PathBuf>,
}

/// Contest id of elections made from flags.
pub const SHORT_CONTEST: &str = "choice";

impl ShortElection {
    /// The definition: one plurality contest, live results, ties declared as ties.
    pub fn definition(&self) -> Result<Value> {
        let Some(id) = &self.id else {
            return Err(Failure::usage("give an election file, or --id and --candidates")
                .hint("For example: hustings election create --id 100 --candidates Ann Bob --authorized-users u1 u2")
                .into());
        };
        let title = self.title.clone().unwrap_or_else(|| format!("Election {id}"));
        Ok(single_contest(id, &title, &self.candidates, json!({"min": 0, "max": 1})))
    }
}

impl VoterList {
    /// Makes the election one for this list, where there is one.
    pub fn add_to(&self, definition: &mut Value) -> Result<()> {
        let voters = self.voters()?;
        if !voters.is_empty() {
            definition["eligibility"] = json!("list");
            definition["voters"] = json!(voters);
        }
        Ok(())
    }

    /// All ids; none twice.
    pub fn voters(&self) -> Result<Vec<String>> {
        let mut voters = self.authorized_users.clone();
        if let Some(path) = &self.authorized_users_file {
            let text = match path == Path::new("-") {
                true => std::io::read_to_string(std::io::stdin()),
                false => fs::read_to_string(path),
            };
            let text = text.map_err(|error| {
                Failure::usage(format!("cannot read voter file `{}`: {}", path.display(), plain(&error)))
            })?;
            voters.extend(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned));
            if voters.is_empty() {
                return Err(Failure::usage(format!("voter file `{}` names nobody", path.display())).into());
            }
        }
        let mut sorted: Vec<&String> = voters.iter().collect();
        sorted.sort();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Failure::usage(format!("voter `{}` is named twice", pair[0])).into());
        }
        Ok(voters)
    }
}

/// A definition with one plurality contest, open to everybody.
pub fn single_contest(slug: &str, title: &str, choices: &[String], choose: Value) -> Value {
    json!({
        "slug": slug,
        "title": title,
        "secrecy": "open",
        "eligibility": "open",
        "results": "live",
        "draw": "none",
        "contest": [{"id": SHORT_CONTEST, "title": title, "method": "plurality", "choose": choose, "choices": choices}],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(result: Result<Value>) -> String {
        format!("{:#}", result.expect_err("is a mistake"))
    }

    #[test]
    fn a_toml_file_becomes_json_with_its_times_as_text() {
        let value = from_toml(
            "board.toml",
            r#"
            slug = "board"
            [closing]
            at = 2027-03-01T18:00:00Z
            after_voters = 10
            [[contest]]
            id = "chair"
            choices = ["Ann", "Bob"]
            "#,
        )
        .expect("valid");
        let expected = json!({"slug": "board", "closing": {"at": "2027-03-01T18:00:00Z", "after_voters": 10},
            "contest": [{"id": "chair", "choices": ["Ann", "Bob"]}]});
        assert_eq!(value, expected);
    }

    #[test]
    fn a_mistake_in_toml_is_shown_with_its_line() {
        insta::assert_snapshot!(message(from_toml("board.toml", "slug = \"board\"\ntitle = Board\n")), @r"
        `board.toml`: it is not valid TOML
        TOML parse error at line 2, column 9
          |
        2 | title = Board
          |         ^^^^^
        string values must be quoted, expected literal string
        ");
    }

    #[test]
    fn mistakes_of_meaning_name_their_field() {
        insta::assert_snapshot!(message(from_toml("b.toml", "[closing]\nat = 2027-03-01T18:00:00\n")),
            @"`b.toml`: `closing.at` = 2027-03-01T18:00:00 names no time zone: write 2027-03-01T18:00:00Z or …+01:00");
        insta::assert_snapshot!(message(from_toml("b.toml", "required = 0.66\n")),
            @"`b.toml`: `required` must be a whole number or an exact text, not a decimal");
        insta::assert_snapshot!(message(from_json("b.json", "{\"slug\": \"b\",}")),
            @"`b.json` is not valid JSON: trailing comma at line 1 column 14");
        insta::assert_snapshot!(message(from_json("b.json", "[]")),
            @r#"`b.json` is JSON, but not an object such as {"slug": …}"#);
    }

    #[test]
    fn a_wrong_file_is_said_to_be_one() {
        insta::assert_snapshot!(message(read_file(Path::new("nowhere.toml"))),
            @"cannot read election file `nowhere.toml`: no such file");
        let folder = tempfile::tempdir().expect("a folder");
        let binary = folder.path().join("x.toml");
        fs::write(&binary, [0xff, 0xfe, 0]).expect("written");
        assert!(message(read_file(&binary)).ends_with("it is not text"));
        let other = folder.path().join("x.yaml");
        fs::write(&other, "a: b").expect("written");
        assert!(message(read_file(&other)).ends_with("ends neither in .toml nor in .json"));
    }

    #[test]
    fn flags_become_the_smallest_election() {
        let short = ShortElection {
            id: Some("100".into()),
            title: None,
            candidates: vec!["Ann".into(), "Bob".into()],
        };
        let list =
            VoterList { authorized_users: vec!["u1".into(), "u2".into()], authorized_users_file: None };
        let mut definition = short.definition().expect("good");
        list.add_to(&mut definition).expect("good");
        assert_eq!(definition["slug"], "100");
        assert_eq!(definition["voters"], json!(["u1", "u2"]));
        assert_eq!(definition["contest"][0]["choices"], json!(["Ann", "Bob"]));

        let twice = VoterList { authorized_users: vec!["u1".into(), "u1".into()], ..list };
        assert_eq!(message(twice.voters().map(Value::from)), "voter `u1` is named twice");
    }
}
