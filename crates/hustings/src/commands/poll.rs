//! `poll "Lunch?" Pizza Sushi`: one question on the screen in one command.

use anyhow::Result;
use jiff::ToSpan as _;
use serde_json::json;

use crate::cli::PollArgs;
use crate::client::ServerOptions;
use crate::clock;
use crate::commands::demo::{Shown, Stage, data_folder};
use crate::definition::single_contest;
use crate::exit::{Exit, Failure};
use crate::output::Form;

/// Room for a number behind it.
const SLUG_CHARS_MAX: usize = 34;

pub fn run(args: PollArgs, options: ServerOptions, form: Form) -> Result<Exit> {
    let max = args.choose.min(args.choices.len() as u64);
    let mut definition = single_contest(
        &slug_of(&args.question),
        &args.question,
        &args.choices,
        json!({"min": 0, "max": max}),
    );
    definition["results"] = json!(args.results);
    if let Some(number) = args.wait_for {
        definition["closing"]["after_voters"] = json!(number);
    }
    if let Some(minutes) = args.minutes {
        let at = clock::wall().checked_add(i64::from(minutes).minutes())?;
        definition["closing"]["at"] = json!(at.to_string());
    }
    // Mistakes in the question are told before anything is started.
    election::Definition::from_json(&definition.to_string())
        .map_err(|error| Failure::usage(error.to_string()).code(error.code()))?;
    let fresh = args.data.is_none();
    let data = data_folder(args.data, "poll")?;
    let stage = Stage::start(&data, args.listen, args.public_url, None, true, options)?;
    let room = stage.open_room(&data, &args.question, &[definition])?;
    stage.show_results(&room)?;
    stage.announce(&Shown { room: &room, what: "poll", wait_for: args.wait_for, simulated: 0 }, form);
    stage.run_until_stopped(&room, None, fresh, form)
}

/// The question as an address: `Lunch?` is `lunch`.
fn slug_of(question: &str) -> String {
    let slug = election::ids::slugify(question).unwrap_or_else(|| "poll".to_owned());
    slug[..slug.len().min(SLUG_CHARS_MAX)].trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_becomes_an_address() {
        assert_eq!(slug_of("Lunch?"), "lunch");
        assert_eq!(slug_of("¿?"), "poll");
        assert_eq!(
            slug_of("Shall we have pizza on every single Friday?"),
            "shall-we-have-pizza-on-every-singl"
        );
    }
}
