//! `vote`: one ballot, from a terminal or a script.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::cli::VoteArgs;
use crate::client::{Client, Token, election_path};
use crate::clock;
use crate::exit::{Exit, Failure};
use crate::output::{Form, note};

/// A ballot whose answer was lost is sent again, with its key, this many times.
const ATTEMPTS_MAX: u32 = 3;
const RETRY_PAUSE: Duration = Duration::from_millis(300);
/// A cluster that cannot say yet is asked again for so long: longer than it needs for a new leader.
const UNKNOWN_FOR: Duration = Duration::from_secs(30);
const UNKNOWN_PAUSE: Duration = Duration::from_secs(1);

pub fn run(args: VoteArgs, client: &Client, form: Form) -> Result<Exit> {
    let slug = &args.election_id;
    let election = client.with_token(None).get(&election_path(slug, ""))?;
    let definition = if election["definition"].is_object() { &election["definition"] } else { &election };
    let body = json!({"choices": choices(&args, definition)?});
    let is_own = args.token_file.is_some() || std::env::var_os("HUSTINGS_VOTER_TOKEN").is_some();
    let token = voter_token(&args, definition, client)?;
    let voter = client.with_token(Some(token.clone()));
    let key = args.idempotency_key.clone().unwrap_or_else(random_key);
    let receipt = cast(&voter, slug, &body, &key).map_err(|error| {
        with_hint(with_names(error, definition), Exit::NotKnown, || again(&token, is_own, &key))
    })?;
    if let Some(path) = &args.receipt {
        keep(path, &receipt).map_err(|failure| failure.hint(again(&token, is_own, &key)))?;
    }
    form.result(&receipt, || cast_text(&receipt));
    match &args.receipt {
        Some(path) => note(format!(
            "Receipt kept in {}. Check it with: hustings audit RECORD --receipt {}",
            path.display(),
            path.display()
        )),
        None if !form.is_json() => note("Keep the whole receipt with --receipt FILE."),
        None => {}
    }
    Ok(Exit::Ok)
}

/// Sends a ballot until there is an answer; the key makes every attempt the same ballot.
fn cast(voter: &Client, slug: &str, body: &Value, key: &str) -> Result<Value> {
    let path = election_path(slug, "/ballots");
    let (mut lost, begun) = (0, clock::now());
    loop {
        let error = match voter.post_with(&path, Some(body), &[("idempotency-key", key)]) {
            Ok(receipt) => return Ok(receipt),
            Err(error) => error,
        };
        match error.downcast_ref::<Failure>().map(|failure| failure.exit) {
            Some(Exit::Unreachable) if lost + 1 < ATTEMPTS_MAX => {
                lost += 1;
                std::thread::sleep(RETRY_PAUSE);
            }
            Some(Exit::NotKnown) if clock::now() - begun < UNKNOWN_FOR => {
                std::thread::sleep(UNKNOWN_PAUSE);
            }
            _ => return Err(error),
        }
    }
}

/// How the very same vote is asked for again: the key counts for one voter, so a session of its own has to come along.
fn again(token: &Token, is_own: bool, key: &str) -> String {
    let voter = if is_own { String::new() } else { format!("HUSTINGS_VOTER_TOKEN={} and ", token.reveal()) };
    format!(
        "Run the same command with {voter}--idempotency-key {key}: it counts once, and answers with the receipt."
    )
}

fn with_hint(error: anyhow::Error, exit: Exit, hint: impl FnOnce() -> String) -> anyhow::Error {
    match error.downcast::<Failure>() {
        Ok(failure) if failure.exit == exit => failure.hint(hint()).into(),
        Ok(failure) => failure.into(),
        Err(error) => error,
    }
}

/// A token of the voter's own, or a session made for this ballot.
fn voter_token(args: &VoteArgs, definition: &Value, client: &Client) -> Result<Token> {
    if let Some(path) = &args.token_file {
        return Token::read(path);
    }
    if let Ok(text) = std::env::var("HUSTINGS_VOTER_TOKEN") {
        return Ok(Token::new(&text)?);
    }
    let is_open = definition["eligibility"].as_str().unwrap_or("open") == "open";
    let body = match &args.id {
        Some(id) if !is_open => json!({"voter": id}),
        Some(_) => {
            note("This election is open to everybody, so --id is not used.");
            json!({})
        }
        None if !is_open => {
            return Err(
                Failure::usage("this election has a list of voters; say who votes with --id ID").into()
            );
        }
        None => json!({}),
    };
    let session =
        client.with_token(None).post(&election_path(&args.election_id, "/sessions"), Some(&body))?;
    let token = session["token"].as_str().unwrap_or_default();
    Token::new(token)
        .map_err(|_| Failure::new(Exit::Damaged, "the server answered without a session token").into())
}

/// `{contest: [choice ids]}` from the flags. A name that is not known goes as it is: the server says what is wrong.
fn choices(args: &VoteArgs, definition: &Value) -> Result<Value> {
    let contests = definition["contest"].as_array().map(Vec::as_slice).unwrap_or_default();
    let id = |contest: &Value| contest["id"].as_str().unwrap_or_default().to_owned();
    let mut answers = Map::new();
    if args.blank {
        answers.extend(contests.iter().map(|contest| (id(contest), json!([]))));
    } else if !args.candidate.is_empty() {
        let [contest] = contests else {
            let ids =
                contests.iter().map(|contest| format!("--choice {}=…", id(contest))).collect::<Vec<_>>();
            return Err(Failure::usage(format!(
                "this election has {} contests, so --candidate is not clear",
                contests.len()
            ))
            .hint(format!("Use: {}", ids.join(" ")))
            .into());
        };
        let ids: Vec<String> = args.candidate.iter().map(|name| choice_id(contest, name)).collect();
        answers.insert(id(contest), json!(ids));
    } else {
        for choice in &args.choice {
            let Some((contest_id, name)) = choice.split_once('=') else {
                return Err(Failure::usage(format!("`{choice}` is not CONTEST=CHOICE")).into());
            };
            let contest = contests.iter().find(|contest| contest["id"] == contest_id).unwrap_or(&Value::Null);
            let answer = answers.entry(contest_id).or_insert_with(|| json!([]));
            if let (Some(list), false) = (answer.as_array_mut(), name.is_empty()) {
                list.push(json!(choice_id(contest, name)));
            }
        }
    }
    match answers.is_empty() {
        true => {
            Err(Failure::usage("say what you vote for: --candidate NAME, --choice CONTEST=CHOICE or --blank")
                .into())
        }
        false => Ok(Value::Object(answers)),
    }
}

/// The id of the choice with this id or name; a name also in other letter case, where that is unambiguous.
fn choice_id(contest: &Value, text: &str) -> String {
    let all = contest["choices"].as_array().map(Vec::as_slice).unwrap_or_default();
    let name = |choice: &Value| choice["name"].as_str().unwrap_or_default().to_owned();
    let by_id = all.iter().find(|choice| choice["id"] == text);
    let by_name = || all.iter().find(|choice| name(choice) == text);
    let by_case = || {
        let mut found = all.iter().filter(|choice| name(choice).to_lowercase() == text.to_lowercase());
        found.next().filter(|_| found.next().is_none())
    };
    let choice = by_id.or_else(by_name).or_else(by_case);
    choice.and_then(|choice| choice["id"].as_str()).unwrap_or(text).to_owned()
}

/// A refusal for a wrong name says which names there are.
fn with_names(error: anyhow::Error, definition: &Value) -> anyhow::Error {
    match error.downcast::<Failure>() {
        Ok(failure) if failure.code.as_deref() == Some("no_such_choice") => {
            let contests = definition["contest"].as_array().into_iter().flatten();
            let choices = contests.flat_map(|contest| contest["choices"].as_array().into_iter().flatten());
            let names: Vec<&str> = choices.filter_map(|choice| choice["name"].as_str()).take(30).collect();
            failure.hint(format!("There is: {}.", names.join(", "))).into()
        }
        Ok(failure) => failure.into(),
        Err(error) => error,
    }
}

fn keep(path: &Path, receipt: &Value) -> Result<(), Failure> {
    let text = format!("{receipt:#}\n");
    std::fs::write(path, text).map_err(|error| {
        Failure::usage(format!(
            "the vote is cast, but its receipt cannot be written to `{}`: {error}",
            path.display()
        ))
    })
}

fn cast_text(receipt: &Value) -> String {
    let mut text = "Your vote is cast.\n".to_owned();
    if let Some(tracker) = receipt["tracker"].as_str() {
        text += &format!("Receipt code: {tracker}\n");
    }
    if let Some(index) = receipt["leaf_index"].as_u64() {
        text += &format!("Place in the record: leaf {index}\n");
    }
    text
}

fn random_key() -> String {
    rand::random::<[u8; 16]>().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> VoteArgs {
        VoteArgs {
            election_id: "100".into(),
            id: None,
            candidate: vec![],
            choice: vec![],
            blank: false,
            receipt: None,
            token_file: None,
            idempotency_key: None,
        }
    }

    fn definition() -> Value {
        let choices = json!([{"id": "ann", "name": "Ann"}, {"id": "bob", "name": "Bob"}, {"id": "bob-2", "name": "BOB"}]);
        json!({"contest": [{"id": "chair", "choices": choices}, {"id": "cash", "choices": choices}]})
    }

    #[test]
    fn a_candidate_is_found_by_id_name_or_other_case() {
        let contest = &definition()["contest"][0];
        for (text, id) in
            [("ann", "ann"), ("Ann", "ann"), ("ANN", "ann"), ("Bob", "bob"), ("BOB", "bob-2"), ("Eve", "Eve")]
        {
            assert_eq!(choice_id(contest, text), id, "{text}");
        }
        assert_eq!(choice_id(contest, "boB"), "boB", "two names differ in case alone");
    }

    #[test]
    fn contests_are_answered_one_by_one() {
        let args =
            VoteArgs { choice: vec!["chair=Ann".into(), "chair=Bob".into(), "cash=".into()], ..args() };
        assert_eq!(
            choices(&args, &definition()).expect("good"),
            json!({"chair": ["ann", "bob"], "cash": []})
        );
    }

    #[test]
    fn a_blank_ballot_leaves_every_contest_blank() {
        let args = VoteArgs { blank: true, ..args() };
        assert_eq!(choices(&args, &definition()).expect("good"), json!({"chair": [], "cash": []}));
    }

    #[test]
    fn one_candidate_for_two_contests_is_not_clear() {
        let args = VoteArgs { candidate: vec!["Ann".into()], ..args() };
        let failure =
            choices(&args, &definition()).expect_err("not clear").downcast::<Failure>().expect("a failure");
        assert_eq!(failure.exit, Exit::Usage);
        assert_eq!(failure.hint.as_deref(), Some("Use: --choice chair=… --choice cash=…"));
    }
}
