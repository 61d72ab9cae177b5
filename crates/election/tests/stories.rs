//! Elections as stories: commands in, outcomes out.

use election::answers::encode_indices;
use election::ballot::{Extras, OpeningFields, write_opening};
use election::command::OfficerCommand;
use election::order::{choice_order, seed_of};
use election::results::{openings_shown, shown_to};
use election::roll::RollEntry;
use election::room::{Pace, RoomCode, Screen, Show};
use election::{
    Cast, Command, Definition, Event, EventKind, Hlc, IdempotencyKey, LedgerId, Results, Shown, Slug, State,
    UnixMillis, Viewer, VoterTag,
};
use std::fmt::Write;

/// Plays a script, one command a line with its second, and prints what came of each.
///
/// `create SLUG JSON-REST`, `list SLUG name*weight … : JSON-REST`, `open|pause|close|publish SLUG`,
/// `extend SLUG second`, `cast SLUG voter choice,choice|choice [key]`, `draw SLUG`, `deadline SLUG`, `results SLUG`,
/// `reveal|hide|shown SLUG`, `run-off SLUG`, `room|lock|unlock CODE [SLUG …]`, `add|remove|show CODE SLUG`.
fn outcomes(script: &str) -> String {
    let mut state = State::default();
    let found = OfficerCommand::Found {
        ledger: LedgerId([7; 16]),
        node: 1,
        key: "00".repeat(32),
        officer: String::new(),
    };
    state.apply(Hlc(0), &Command::Officer(Box::new(found))).unwrap();
    let mut out = String::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (second, rest) = line.split_once(' ').unwrap();
        let second: u64 = second.trim_end_matches('s').parse().unwrap();
        let stamp = Hlc::at(UnixMillis(second * 1000));
        writeln!(out, "{}", step(&mut state, stamp, rest)).unwrap();
        let snapshot = state.to_snapshot();
        assert_eq!(State::from_snapshot(&snapshot).unwrap().to_snapshot(), snapshot, "snapshots read back");
    }
    out
}

fn step(state: &mut State, stamp: Hlc, line: &str) -> String {
    let (verb, rest) = line.split_once(' ').unwrap();
    let (slug, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let parsed = slug.to_ascii_lowercase().parse().unwrap();
    let command = match verb {
        "create" => create(slug, rest, Vec::new()),
        "list" => {
            let (voters, rest) = rest.split_once(" : ").unwrap();
            create(slug, &format!(r#""eligibility":"list",{rest}"#), voters.split(' ').map(listed).collect())
        }
        "open" => OfficerCommand::Open { slug: parsed },
        "pause" => OfficerCommand::Pause { slug: parsed },
        "close" => OfficerCommand::Close { slug: parsed },
        "publish" => OfficerCommand::Publish { slug: parsed },
        "deadline" => OfficerCommand::Deadline { slug: parsed },
        "cancel" => OfficerCommand::Cancel { slug: parsed, reason: rest.to_owned() },
        "extend" => {
            let at: u64 = rest.trim_end_matches('s').parse().unwrap();
            OfficerCommand::Extend { slug: parsed, closes_at: UnixMillis(at * 1000) }
        }
        "reveal" => OfficerCommand::Reveal { slug: parsed },
        "hide" => OfficerCommand::Hide { slug: parsed },
        "draw" => OfficerCommand::Draw {
            slug: parsed,
            source: election::command::DrawSource::Server,
            seed: "11".repeat(32),
            closing_root: "22".repeat(32),
        },
        "cast" => return cast(state, stamp, slug, rest),
        "results" => return results(state, slug),
        "shown" => return shown(state, slug),
        "run-off" => return run_off(state, slug),
        "room" | "lock" | "unlock" | "add" | "remove" | "show" => {
            return room(state, stamp, verb, slug, rest);
        }
        _ => panic!("no such verb: {verb}"),
    };
    match state.apply(stamp, &Command::Officer(Box::new(command))) {
        Ok(Event { acts, .. }) if acts.is_empty() => format!("{verb} {slug}"),
        Ok(Event { acts, .. }) => acts.iter().map(|act| act.json.as_str()).collect::<Vec<_>>().join("; "),
        Err(rejection) => format!("refused: {rejection} [{}]", rejection.code()),
    }
}

fn create(slug: &str, rest: &str, roll: Vec<RollEntry>) -> OfficerCommand {
    OfficerCommand::Create { definition: format!(r#"{{"slug":"{slug}","title":"{slug}",{rest}}}"#), roll }
}

fn tag(voter: &str) -> VoterTag {
    VoterTag(election::sha256(&[voter.as_bytes()])[..16].try_into().unwrap())
}

fn listed(voter: &str) -> RollEntry {
    let (name, weight) = voter.split_once('*').unwrap_or((voter, "1"));
    RollEntry { voter: tag(name), weight: weight.parse().unwrap(), group: None }
}

fn cast(state: &mut State, stamp: Hlc, slug: &str, rest: &str) -> String {
    let mut words = rest.split(' ');
    let (voter, contests) = (words.next().unwrap(), words.next().unwrap_or(""));
    let key = words.next().map_or(IdempotencyKey::NONE, IdempotencyKey::from_text);
    let Some(election) = state.by_slug(slug) else { return "no such election".to_owned() };
    let index = |contest: usize, id: &str| {
        let choices = &election.definition.contests[contest].choices;
        u16::try_from(choices.iter().position(|choice| choice.id == id).unwrap_or(99)).unwrap()
    };
    let answers: Vec<Vec<u16>> = contests
        .split('|')
        .enumerate()
        .map(|(contest, choices)| {
            choices.split(',').filter(|id| *id != "blank").map(|id| index(contest, id)).collect()
        })
        .collect();
    let number = match &election.roll {
        Some(roll) => roll.number(&tag(voter)),
        None => voter.strip_prefix('n').and_then(|number| number.parse().ok()),
    };
    let weight = number
        .and_then(|number| election.roll.as_ref()?.entry(number).map(|entry| entry.weight))
        .unwrap_or(1);
    let fields = OpeningFields {
        nonce: [0; 32],
        election: election.id,
        shard: 0,
        voter: tag(voter),
        key,
        extras: Extras { weight, stamp: Some(stamp), ..Extras::NONE },
    };
    let mut opening = Vec::new();
    write_opening(&mut opening, &fields, encode_indices(&answers).as_bytes());
    let command = Cast { election: election.index, number, opening: &opening };
    let checked = state.check_cast(stamp, &command);
    let outcome = state.apply(stamp, &Command::Cast(command));
    assert_eq!(checked.is_ok(), outcome.is_ok(), "the filter and the decision agree");
    match outcome {
        Ok(Event { kind: EventKind::Cast { ballot, leaf, replaces }, acts, .. }) => {
            let replaces = replaces.map_or(String::new(), |leaf| format!(", replaces leaf {}", leaf.0));
            let acts: String = acts.iter().map(|act| format!("; {}", act.json)).collect();
            format!("ballot {} at leaf {}{replaces}{acts}", ballot.0, leaf.0)
        }
        Ok(other) => panic!("a cast gave {other:?}"),
        Err(rejection) => format!("refused: {rejection} [{}]", rejection.code()),
    }
}

fn results(state: &State, slug: &str) -> String {
    let results = Results::of(state.by_slug(slug).unwrap());
    let mut text =
        format!("{} ballots, {} voters, weight {}:", results.ballots, results.voters, results.weight);
    for contest in &results.contests {
        let counts: Vec<String> =
            contest.counts.iter().map(|count| format!("{} {}", count.choice, count.votes)).collect();
        let outcome = contest.outcome.as_ref().map_or("open", |outcome| &outcome.sentence);
        write!(text, " {} blank {} -> {outcome}", counts.join(" "), contest.blank).unwrap();
    }
    text
}

/// Who sees what: counts, and ballots one by one.
fn shown(state: &State, slug: &str) -> String {
    let election = state.by_slug(slug).unwrap();
    let facts = (&*election.definition, election.state, election.curtain());
    let mut text = election.state.to_string();
    for (name, viewer) in [("public", Viewer::Public), ("voted", Viewer::Voted), ("officer", Viewer::Officer)]
    {
        let counts = match shown_to(facts.0, facts.1, facts.2, viewer) {
            Shown::Counts => "counts",
            Shown::TurnoutOnly => "turnout",
        };
        let ballots = if openings_shown(facts.0, facts.1, facts.2, viewer) { "+ballots" } else { "" };
        write!(text, ", {name} {counts}{ballots}").unwrap();
    }
    text
}

fn run_off(state: &State, slug: &str) -> String {
    let election = state.by_slug(slug).unwrap();
    let Some(next) = election::run_off::run_off(&election.definition, &Results::of(election), None) else {
        return "no run-off".to_owned();
    };
    assert_eq!(
        Definition::from_json(&next.to_json()).as_ref(),
        Ok(&next),
        "it is a definition like any other"
    );
    let contest = |contest: &election::definition::Contest| {
        let choices: Vec<&str> = contest.choices.iter().map(|choice| choice.id.as_str()).collect();
        let (id, method) = (&contest.id, contest.method.as_str());
        format!(
            "{id} ({method}, 0 to {}, {} seats): {}",
            contest.choose_max,
            contest.seats,
            choices.join(" ")
        )
    };
    let contests: Vec<String> = next.contests.iter().map(contest).collect();
    let (slug, round, follows) = (&next.slug, next.round, next.follows.as_ref().unwrap());
    format!("{slug}, round {round}, follows {follows}: {}", contests.join("; "))
}

fn room(state: &mut State, stamp: Hlc, verb: &str, code: &str, rest: &str) -> String {
    let code: RoomCode = code.parse().unwrap();
    let slugs: Vec<Slug> =
        rest.split(' ').filter(|slug| !slug.is_empty()).map(|slug| slug.parse().unwrap()).collect();
    let first = slugs.first().cloned();
    let command = match verb {
        "room" => OfficerCommand::CreateRoom {
            code: code.clone(),
            title: "Hall".to_owned(),
            pace: Pace::Led,
            elections: slugs,
        },
        "lock" => OfficerCommand::LockRoom { code: code.clone() },
        "unlock" => OfficerCommand::UnlockRoom { code: code.clone() },
        "add" => OfficerCommand::AddToRoom { code: code.clone(), slug: first.unwrap() },
        "remove" => OfficerCommand::RemoveFromRoom { code: code.clone(), slug: first.unwrap() },
        _ => {
            let screen = Screen { show: Show::Results, election: first };
            OfficerCommand::ShowScreen { code: code.clone(), screen }
        }
    };
    if let Err(rejection) = state.apply(stamp, &Command::Officer(Box::new(command))) {
        return format!("refused: {rejection} [{}]", rejection.code());
    }
    serde_json::to_string(&state.rooms()[&code]).unwrap()
}

#[test]
fn counts_are_shown_while_the_officer_shows_them() {
    insta::assert_snapshot!(outcomes(r#"
        0s create poll "results":"on-reveal","contest":[{"title":"Lunch?","choices":["Pizza","Sushi"]}]
        0s reveal poll
        0s shown poll
        1s open poll
        2s cast poll n1 pizza
        2s shown poll
        2s hide poll
        3s reveal poll
        3s reveal poll
        3s shown poll
        4s hide poll
        4s shown poll
        5s pause poll
        5s reveal poll
        5s shown poll
        6s close poll
        6s shown poll
        7s hide poll
        7s shown poll
        8s publish poll
        8s shown poll
        9s reveal poll
        9s hide poll
    "#), @r#"
    create poll
    refused: `poll` is draft: it has no results to show or to hide [wrong_state]
    draft, public turnout, voted turnout, officer turnout
    {"act":"opened","at":"1970-01-01T00:00:01.000Z","by":"officer","definition":"78e82a0434096225a26fe9d77fa113a20f213d40cf1ce139084f32770d6ed5f2","roll":"0000000000000000000000000000000000000000000000000000000000000000","epoch":1,"node":1,"key":"0000000000000000000000000000000000000000000000000000000000000000","rules":1}
    ballot 0 at leaf 1
    open, public turnout, voted turnout, officer counts
    refused: `poll` is open: its results are hidden already [wrong_state]
    {"act":"revealed","at":"1970-01-01T00:00:03.000Z","by":"officer"}
    refused: `poll` is open: its results are revealed already [wrong_state]
    open, public counts, voted counts, officer counts
    {"act":"hidden","at":"1970-01-01T00:00:04.000Z","by":"officer"}
    open, public turnout, voted turnout, officer counts
    {"act":"paused","at":"1970-01-01T00:00:05.000Z","by":"officer"}
    {"act":"revealed","at":"1970-01-01T00:00:05.000Z","by":"officer"}
    paused, public counts, voted counts, officer counts
    {"act":"closed","at":"1970-01-01T00:00:06.000Z","by":"officer","reason":"officer","ballots":1,"voters":1}
    closed, public counts+ballots, voted counts+ballots, officer counts+ballots
    {"act":"hidden","at":"1970-01-01T00:00:07.000Z","by":"officer"}
    closed, public turnout, voted turnout, officer counts
    {"act":"published","at":"1970-01-01T00:00:08.000Z","by":"officer","result":"2dcf3bd980f116d33700dcece6bac480e51956972dd3def712eee7dd9bea27a9"}
    published, public counts+ballots, voted counts+ballots, officer counts+ballots
    refused: `poll` is published: its results are public already [wrong_state]
    refused: `poll` is published: what is published cannot be hidden [wrong_state]
    "#);
}

#[test]
fn only_results_on_reveal_are_revealed_and_a_cancelled_vote_shows_nothing() {
    insta::assert_snapshot!(outcomes(r#"
        0s create board "contest":[{"title":"Chair?","choices":["Ann","Bob"]}]
        1s open board
        2s reveal board
        2s shown board
        3s close board
        3s hide board
        3s shown board
        4s create poll "results":"on-reveal","contest":[{"title":"Lunch?","choices":["Pizza","Sushi"]}]
        5s open poll
        6s reveal poll
        7s cancel poll rain
        8s shown poll
        8s reveal poll
    "#), @r#"
    create board
    {"act":"opened","at":"1970-01-01T00:00:01.000Z","by":"officer","definition":"4bb8255aa37caf11b294461e4e7541fc6cd3fbd932ccd828d395424cb9bb2f20","roll":"0000000000000000000000000000000000000000000000000000000000000000","epoch":1,"node":1,"key":"0000000000000000000000000000000000000000000000000000000000000000","rules":1}
    refused: `board` is open: its results follow their own rule; only those of `on-reveal` are revealed and hidden [wrong_state]
    open, public turnout, voted turnout, officer turnout
    {"act":"closed","at":"1970-01-01T00:00:03.000Z","by":"officer","reason":"officer","ballots":0,"voters":0}
    refused: `board` is closed: its results follow their own rule; only those of `on-reveal` are revealed and hidden [wrong_state]
    closed, public counts+ballots, voted counts+ballots, officer counts+ballots
    create poll
    {"act":"opened","at":"1970-01-01T00:00:05.000Z","by":"officer","definition":"78e82a0434096225a26fe9d77fa113a20f213d40cf1ce139084f32770d6ed5f2","roll":"0000000000000000000000000000000000000000000000000000000000000000","epoch":1,"node":1,"key":"0000000000000000000000000000000000000000000000000000000000000000","rules":1}
    {"act":"revealed","at":"1970-01-01T00:00:06.000Z","by":"officer"}
    {"act":"cancelled","at":"1970-01-01T00:00:07.000Z","by":"officer","reason":"rain"}
    cancelled, public turnout, voted turnout, officer turnout
    refused: `poll` is cancelled: it has no results to show or to hide [wrong_state]
    "#);
}

#[test]
fn a_rating_is_an_average_with_one_decimal() {
    insta::assert_snapshot!(outcomes(r#"
        0s create talk "contest":[{"title":"Talk?","method":"rating"}]
        1s open talk
        2s cast talk n1 5
        2s cast talk n2 4
        2s cast talk n3 blank
        2s cast talk n4 4,5
        3s close talk
        3s results talk
        4s list food ann*3 bob*2 cem : "contest":[{"title":"Food?","method":"rating","choose":{"min":1},"choices":[{"id":"0","name":"Poor"},"10",{"id":"100","name":"Great"}]}]
        5s open food
        6s cast food ann 100
        6s cast food bob 10
        6s cast food cem 0
        7s close food
        7s results food
        8s create one "contest":[{"title":"One?","method":"rating","choices":["1","2"]}]
        8s open one
        8s cast one n1 2
        8s close one
        8s results one
        9s create none "contest":[{"title":"None?","method":"rating"},{"title":"Motion?","method":"motion"}]
        9s open none
        9s cast none n1 blank|abstain
        9s close none
        9s results none
    "#), @r#"
    create talk
    {"act":"opened","at":"1970-01-01T00:00:01.000Z","by":"officer","definition":"1b4d16bf98c1fb9357204dd94ebcab2940c342f995192325a0e1128856f53fdc","roll":"0000000000000000000000000000000000000000000000000000000000000000","epoch":1,"node":1,"key":"0000000000000000000000000000000000000000000000000000000000000000","rules":1}
    ballot 0 at leaf 1
    ballot 1 at leaf 2
    ballot 2 at leaf 3
    refused: the ballot cannot be read: contest 0 has too few or too many choices [invalid_ballot]
    {"act":"closed","at":"1970-01-01T00:00:03.000Z","by":"officer","reason":"officer","ballots":3,"voters":3}
    3 ballots, 3 voters, weight 3: 1 0 2 0 3 0 4 1 5 1 blank 1 -> Average 4.5 of 5 from 2 ratings
    list food
    {"act":"opened","at":"1970-01-01T00:00:05.000Z","by":"officer","definition":"7b1033732e531d4a727ac993762024dca9906100da52e54c5a84f4044633b1da","roll":"5eedb6ac8fe84a5cdc4fa5601df242ac3a72f80dccceb51ed0cbd845df0238ed","epoch":1,"node":1,"key":"0000000000000000000000000000000000000000000000000000000000000000","rules":1}
    ballot 0 at leaf 1
    ballot 1 at leaf 2
    ballot 2 at leaf 3
    {"act":"closed","at":"1970-01-01T00:00:07.000Z","by":"officer","reason":"officer","ballots":3,"voters":3}
    3 ballots, 3 voters, weight 6: 0 1 10 2 100 3 blank 0 -> Average 53.3 of 100 from 6 ratings
    create one
    {"act":"opened","at":"1970-01-01T00:00:08.000Z","by":"officer","definition":"4f12ab64a4c73a30fb509093b6e4030c62ca57248f5e25b6819c103ab4537bf0","roll":"0000000000000000000000000000000000000000000000000000000000000000","epoch":1,"node":1,"key":"0000000000000000000000000000000000000000000000000000000000000000","rules":1}
    ballot 0 at leaf 1
    {"act":"closed","at":"1970-01-01T00:00:08.000Z","by":"officer","reason":"officer","ballots":1,"voters":1}
    1 ballots, 1 voters, weight 1: 1 0 2 1 blank 0 -> Average 2.0 of 2 from 1 rating
    create none
    {"act":"opened","at":"1970-01-01T00:00:09.000Z","by":"officer","definition":"b6f796be5fa433ed3e7c438bfd487360c95ecd42ebfdbb5708bd0ee3c2a7d045","roll":"0000000000000000000000000000000000000000000000000000000000000000","epoch":1,"node":1,"key":"0000000000000000000000000000000000000000000000000000000000000000","rules":1}
    ballot 0 at leaf 1
    {"act":"closed","at":"1970-01-01T00:00:09.000Z","by":"officer","reason":"officer","ballots":1,"voters":1}
    1 ballots, 1 voters, weight 1: 1 0 2 0 3 0 4 0 5 0 blank 1 -> No votes were cast yes 0 no 0 abstain 1 blank 0 -> No votes were cast
    "#);
}

#[test]
fn a_run_off_is_between_those_who_are_left() {
    insta::assert_snapshot!(outcomes(r#"
        0s create chair "closing":{"at":"1970-01-01T01:00:00Z"},"contest":[{"title":"Chair?","order":"shuffled","choices":["Ann","Bob","Cem","Dora"]},{"title":"Seats?","method":"approval","seats":2,"choices":["A","B","C","D"]},{"title":"Motion?","method":"motion"},{"title":"Clerk?","choices":["E","F"]}]
        1s open chair
        2s cast chair n1 ann|a,b|yes|e
        2s cast chair n2 ann|a,c|yes|e
        2s cast chair n3 bob|a|yes|e
        2s cast chair n4 cem|d|no|f
        3s run-off chair
        4s close chair
        4s results chair
        5s run-off chair
        6s create clear "contest":[{"title":"Chair?","choices":["Ann","Bob"]},{"title":"Tea?","method":"approval","choices":["A","B"]}]
        6s open clear
        6s cast clear n1 ann|a
        6s cast clear n2 ann|blank
        6s cast clear n3 bob|blank
        7s close clear
        7s run-off clear
        8s create lot "draw":"server","round":2,"contest":[{"title":"Chair?","choices":["Ann","Bob"]}]
        8s open lot
        8s cast lot n1 ann
        8s cast lot n2 bob
        8s close lot
        8s draw lot
        8s run-off lot
        9s create half-2 "round":2,"contest":[{"title":"Chair?","choices":["Ann","Bob","Cem"]}]
        9s open half-2
        9s cast half-2 n1 ann
        9s cast half-2 n2 ann
        9s cast half-2 n3 bob
        9s cast half-2 n4 cem
        9s close half-2
        9s run-off half-2
    "#), @r#"
    create chair
    {"act":"opened","at":"1970-01-01T00:00:01.000Z","by":"officer","definition":"2652d3f1371c7b8b7e8d87d3ba6da43abc3060b4471ccc07e7305d53dc340718","roll":"0000000000000000000000000000000000000000000000000000000000000000","epoch":1,"node":1,"key":"0000000000000000000000000000000000000000000000000000000000000000","rules":1}
    ballot 0 at leaf 1
    ballot 1 at leaf 2
    ballot 2 at leaf 3
    ballot 3 at leaf 4
    no run-off
    {"act":"closed","at":"1970-01-01T00:00:04.000Z","by":"officer","reason":"officer","ballots":4,"voters":4}
    4 ballots, 4 voters, weight 4: ann 2 bob 1 cem 1 dora 0 blank 0 -> The winner is Ann with 2 votes a 3 b 1 c 1 d 1 blank 0 -> A (3 votes) is elected, and it's a tie between B (1 vote), C (1 vote) and D (1 vote) for the last seat yes 3 no 1 abstain 0 blank 0 -> Motion passed: 3 of 4, needed 3 e 3 f 1 blank 0 -> The winner is E with 3 votes
    chair-2, round 2, follows chair: chair (plurality, 0 to 1, 1 seats): ann bob cem; seats (plurality, 0 to 1, 1 seats): b c d
    create clear
    {"act":"opened","at":"1970-01-01T00:00:06.000Z","by":"officer","definition":"c8d6b1885ddcf66fd45aa8921d7c23581ecb46b7cd0baba7fcdfce14ff7be0c4","roll":"0000000000000000000000000000000000000000000000000000000000000000","epoch":1,"node":1,"key":"0000000000000000000000000000000000000000000000000000000000000000","rules":1}
    ballot 0 at leaf 1
    ballot 1 at leaf 2
    ballot 2 at leaf 3
    {"act":"closed","at":"1970-01-01T00:00:07.000Z","by":"officer","reason":"officer","ballots":3,"voters":3}
    no run-off
    create lot
    {"act":"opened","at":"1970-01-01T00:00:08.000Z","by":"officer","definition":"2571ae8f4a10e6f28b14c26cb849187e403dd1eacc09167a1df1e76e1daa99c9","roll":"0000000000000000000000000000000000000000000000000000000000000000","epoch":1,"node":1,"key":"0000000000000000000000000000000000000000000000000000000000000000","rules":1}
    ballot 0 at leaf 1
    ballot 1 at leaf 2
    {"act":"closed","at":"1970-01-01T00:00:08.000Z","by":"officer","reason":"officer","ballots":2,"voters":2}
    {"act":"drawn","at":"1970-01-01T00:00:08.000Z","by":"rule","source":"server","seed":"1111111111111111111111111111111111111111111111111111111111111111","closing_root":"2222222222222222222222222222222222222222222222222222222222222222"}
    no run-off
    create half-2
    {"act":"opened","at":"1970-01-01T00:00:09.000Z","by":"officer","definition":"7c3a04a7ff98b970aeab1bf0e9abe05725bac34f3774e5b10e5dac1c3ef23ad5","roll":"0000000000000000000000000000000000000000000000000000000000000000","epoch":1,"node":1,"key":"0000000000000000000000000000000000000000000000000000000000000000","rules":1}
    ballot 0 at leaf 1
    ballot 1 at leaf 2
    ballot 2 at leaf 3
    ballot 3 at leaf 4
    {"act":"closed","at":"1970-01-01T00:00:09.000Z","by":"officer","reason":"officer","ballots":4,"voters":4}
    half-3, round 3, follows half-2: chair (plurality, 0 to 1, 1 seats): ann bob cem
    "#);
}

#[test]
fn a_room_is_locked_and_loses_an_election() {
    insta::assert_snapshot!(outcomes(r#"
        0s create a "contest":[{"title":"A?","choices":["X","Y"]}]
        0s create b "contest":[{"title":"B?","choices":["X","Y"]}]
        1s room ABCD a b
        2s lock ABCD
        3s lock ABCD
        4s unlock ABCD
        5s unlock ABCD
        6s lock ABCE
        7s show ABCD b
        8s remove ABCD a
        9s remove ABCD a
        10s remove ABCD b
    "#), @r#"
    create a
    create b
    {"code":"ABCD","title":"Hall","pace":"led","elections":["a","b"],"screen":{"show":"lobby","election":null}}
    {"code":"ABCD","title":"Hall","pace":"led","elections":["a","b"],"screen":{"show":"lobby","election":null},"locked_at":2000}
    {"code":"ABCD","title":"Hall","pace":"led","elections":["a","b"],"screen":{"show":"lobby","election":null},"locked_at":2000}
    {"code":"ABCD","title":"Hall","pace":"led","elections":["a","b"],"screen":{"show":"lobby","election":null}}
    {"code":"ABCD","title":"Hall","pace":"led","elections":["a","b"],"screen":{"show":"lobby","election":null}}
    refused: there is no room `ABCE` [no_such_room]
    {"code":"ABCD","title":"Hall","pace":"led","elections":["a","b"],"screen":{"show":"results","election":"b"}}
    {"code":"ABCD","title":"Hall","pace":"led","elections":["b"],"screen":{"show":"results","election":"b"}}
    refused: the room does not hold this election [invalid_room]
    {"code":"ABCD","title":"Hall","pace":"led","elections":[],"screen":{"show":"lobby","election":null}}
    "#);
}

#[test]
fn each_voter_has_an_order_of_their_own_that_can_be_repeated() {
    let json = r#"{"slug":"x","title":"X","contest":[
        {"title":"T","order":"shuffled","choices":["A","B","C","D","E"]},{"title":"W","choices":["A","B","C","D","E"]}]}"#;
    let definition = Definition::from_json(json).unwrap();
    let hash = definition.hash();
    let orders: Vec<Vec<usize>> = (0..200)
        .map(|voter| choice_order(&definition.contests[0], &hash, &seed_of(&tag(&format!("n{voter}")))))
        .collect();
    for first in 0..5 {
        let count = orders.iter().filter(|order| order[0] == first).count();
        assert!((20..=60).contains(&count), "choice {first} is first {count} times of 200");
    }
    assert_eq!(orders[7], choice_order(&definition.contests[0], &hash, &seed_of(&tag("n7"))));
    // From the text of docs/formats.md, with the bytes put together by hand.
    let mut bytes = b"hustings order v1\n".to_vec();
    bytes.extend_from_slice(&hash);
    bytes.extend_from_slice(b"t\0");
    let key = |choice: usize| {
        let mut bytes = bytes.clone();
        bytes.push(b'a' + choice as u8);
        bytes.extend_from_slice(&election::sha256(&[b"hustings order seed v1\n", &tag("n7").0]));
        election::sha256(&[&bytes])
    };
    assert!(orders[7].is_sorted_by_key(|choice| key(*choice)));
    assert_eq!(choice_order(&definition.contests[1], &hash, &[0; 32]), [0, 1, 2, 3, 4]);
}

#[test]
fn a_winner_and_the_vote_that_came_twice() {
    insta::assert_snapshot!(outcomes(r#"
        0s create lunch "contest":[{"title":"Lunch?","choices":["Peanut Butter and Jelly","Ramen"]}]
        1s cast lunch n1 ramen
        1s open lunch
        2s cast lunch n1 ramen
        2s cast lunch n1 peanut-butter-and-jelly
        3s cast lunch n2 peanut-butter-and-jelly
        3s cast lunch someone-by-text peanut-butter-and-jelly
        3s cast lunch someone-by-text ramen
        3s cast lunch n3 pizza
        4s pause lunch
        4s cast lunch n3 ramen
        5s open lunch
        5s cast lunch n3 blank
        5s cast lunch n4 peanut-butter-and-jelly
        6s publish lunch
        6s close lunch
        7s cast lunch n5 ramen
        7s results lunch
        8s publish lunch
    "#), @r#"
    create lunch
    refused: voting in `lunch` is not open: it is draft; the ballot was not cast [election_not_open]
    {"act":"opened","at":"1970-01-01T00:00:01.000Z","by":"officer","definition":"e3f9303168988b4bdad84102405bbfd3bfdfb7055b02db2b301dd8081294f063","roll":"0000000000000000000000000000000000000000000000000000000000000000","epoch":1,"node":1,"key":"0000000000000000000000000000000000000000000000000000000000000000","rules":1}
    ballot 0 at leaf 1
    refused: this voter has voted already; the earlier ballot counts [already_voted]
    ballot 1 at leaf 2
    ballot 2 at leaf 3
    refused: this voter has voted already; the earlier ballot counts [already_voted]
    refused: the ballot cannot be read: contest 0 names a choice that does not exist, twice, or out of order [invalid_ballot]
    {"act":"paused","at":"1970-01-01T00:00:04.000Z","by":"officer"}
    refused: voting in `lunch` is not open: it is paused; the ballot was not cast [election_not_open]
    {"act":"resumed","at":"1970-01-01T00:00:05.000Z","by":"officer"}
    ballot 3 at leaf 6
    ballot 4 at leaf 7
    refused: `lunch` is open: only a closed election can be published [wrong_state]
    {"act":"closed","at":"1970-01-01T00:00:06.000Z","by":"officer","reason":"officer","ballots":5,"voters":5}
    refused: voting in `lunch` is not open: it is closed; the ballot was not cast [election_not_open]
    5 ballots, 5 voters, weight 5: peanut-butter-and-jelly 3 ramen 1 blank 1 -> The winner is Peanut Butter and Jelly with 3 votes
    {"act":"published","at":"1970-01-01T00:00:08.000Z","by":"officer","result":"680d59bf2d086df22a08dd97c41d325492bef840d184ffdd0d9e17c57e1f31d9"}
    "#);
}

#[test]
fn the_ballot_that_arrived_at_the_deadline_counts_and_the_next_does_not() {
    insta::assert_snapshot!(outcomes(r#"
        0s create lunch "closing":{"at":"1970-01-01T00:01:00Z"},"contest":[{"title":"Lunch?","choices":["Pizza","Sushi"]}]
        1s open lunch
        0s cast lunch n9 sushi
        60s cast lunch n1 pizza
        59s deadline lunch
        61s cast lunch n2 sushi
        62s deadline lunch
        62s results lunch
    "#), @r#"
    create lunch
    {"act":"opened","at":"1970-01-01T00:00:01.000Z","by":"officer","definition":"b9e7884a9acca346602ae88a87df72d0a3cc54790b564f4198873df2f0861331","roll":"0000000000000000000000000000000000000000000000000000000000000000","epoch":1,"node":1,"key":"0000000000000000000000000000000000000000000000000000000000000000","rules":1}
    refused: voting in `lunch` is not open: it is draft; the ballot was not cast [election_not_open]
    ballot 0 at leaf 1
    {"act":"closed","at":"1970-01-01T00:01:00.000Z","by":"rule","reason":"deadline","ballots":1,"voters":1}
    refused: voting in `lunch` is not open: it is closed; the ballot was not cast [election_not_open]
    refused: `lunch` is closed: only an open or paused election can be closed [wrong_state]
    1 ballots, 1 voters, weight 1: pizza 1 sushi 0 blank 0 -> The winner is Pizza with 1 vote
    "#);
}

#[test]
fn a_tie_is_declared_drawn_or_waits_for_its_lot() {
    insta::assert_snapshot!(outcomes(r#"
        0s create hero "contest":[{"title":"Hero?","choices":["Harry Potter","Darth Vader"]}]
        0s create lot "draw":"server","contest":[{"title":"Hero?","choices":["Harry Potter","Darth Vader"]}]
        1s open hero
        1s open lot
        2s cast hero n1 harry-potter
        2s cast hero n2 darth-vader
        2s cast lot n1 harry-potter
        2s cast lot n2 darth-vader
        3s close hero
        3s results hero
        3s close lot
        3s results lot
        4s publish lot
        5s draw lot
        5s draw lot
        5s results lot
        6s publish lot
        7s draw hero
    "#), @r#"
    create hero
    create lot
    {"act":"opened","at":"1970-01-01T00:00:01.000Z","by":"officer","definition":"3a3866721eee7ef94ba58a9671418634e1022f9f60fc0dee43d5aaa9fa0b648e","roll":"0000000000000000000000000000000000000000000000000000000000000000","epoch":1,"node":1,"key":"0000000000000000000000000000000000000000000000000000000000000000","rules":1}
    {"act":"opened","at":"1970-01-01T00:00:01.000Z","by":"officer","definition":"37007034155a6286ef18368068d1ecb8142667acf5ffc0c5f2045ccb67259747","roll":"0000000000000000000000000000000000000000000000000000000000000000","epoch":1,"node":1,"key":"0000000000000000000000000000000000000000000000000000000000000000","rules":1}
    ballot 0 at leaf 1
    ballot 1 at leaf 2
    ballot 0 at leaf 1
    ballot 1 at leaf 2
    {"act":"closed","at":"1970-01-01T00:00:03.000Z","by":"officer","reason":"officer","ballots":2,"voters":2}
    2 ballots, 2 voters, weight 2: harry-potter 1 darth-vader 1 blank 0 -> It's a tie between Harry Potter (1 vote) and Darth Vader (1 vote)
    {"act":"closed","at":"1970-01-01T00:00:03.000Z","by":"officer","reason":"officer","ballots":2,"voters":2}
    2 ballots, 2 voters, weight 2: harry-potter 1 darth-vader 1 blank 0 -> It's a tie between Harry Potter (1 vote) and Darth Vader (1 vote), to be drawn by lot
    refused: `lot` is closed: a tie waits for its draw; draw the lot first [wrong_state]
    {"act":"drawn","at":"1970-01-01T00:00:05.000Z","by":"rule","source":"server","seed":"1111111111111111111111111111111111111111111111111111111111111111","closing_root":"2222222222222222222222222222222222222222222222222222222222222222"}
    refused: `lot` has no tie to draw [nothing_to_draw]
    2 ballots, 2 voters, weight 2: harry-potter 1 darth-vader 1 blank 0 -> The winner is Darth Vader with 1 vote, drawn by lot by the server from Harry Potter and Darth Vader
    {"act":"published","at":"1970-01-01T00:00:06.000Z","by":"officer","result":"87e2179ae17523a9dcd70c08c9e45781f23c0dbffe3f568283721c3796be724e"}
    refused: `hero` has no tie to draw [nothing_to_draw]
    "#);
}

#[test]
fn a_motion_counts_weights_in_tally_quorum_and_base() {
    insta::assert_snapshot!(outcomes(r#"
        0s list board ann*10 bob*8 cem*7 dee*5 : "contest":[{"title":"Adopt?","method":"motion","majority":">=2/3","quorum":"1/2"}]
        1s open board
        2s cast board ann yes
        2s cast board stranger yes
        3s cast board dee abstain
        3s close board
        3s results board
        4s list again ann*10 bob*8 cem*7 dee*5 : "closing":{"after_voters":"all"},"contest":[{"title":"Adopt?","method":"motion","majority":">=2/3","quorum":"2/3"}]
        5s open again
        5s cast again ann yes
        5s cast again bob yes
        5s cast again cem no
        5s cast again dee blank
        5s results again
    "#), @r#"
    list board
    {"act":"opened","at":"1970-01-01T00:00:01.000Z","by":"officer","definition":"f467fb3f0bf4cdfc1f5cc99986564f7b9fc41937323c3b4e390727ff48e1e15f","roll":"b14afe11f4f9c3f47137a25e6f2230263b708f35d9efdabd300a35c2107b205a","epoch":1,"node":1,"key":"0000000000000000000000000000000000000000000000000000000000000000","rules":1}
    ballot 0 at leaf 1
    refused: this voter is not on the list of `board` [not_on_list]
    ballot 1 at leaf 2
    {"act":"closed","at":"1970-01-01T00:00:03.000Z","by":"officer","reason":"officer","ballots":2,"voters":2}
    2 ballots, 2 voters, weight 15: yes 10 no 0 abstain 5 blank 0 -> Motion passed: 10 of 10, needed 7
    list again
    {"act":"opened","at":"1970-01-01T00:00:05.000Z","by":"officer","definition":"80240622560173cb27822ee242d0f3a3fbba8bb6e31f4c7fa91d7cdc53a95e1d","roll":"b14afe11f4f9c3f47137a25e6f2230263b708f35d9efdabd300a35c2107b205a","epoch":1,"node":1,"key":"0000000000000000000000000000000000000000000000000000000000000000","rules":1}
    ballot 0 at leaf 1
    ballot 1 at leaf 2
    ballot 2 at leaf 3
    ballot 3 at leaf 4; {"act":"closed","at":"1970-01-01T00:00:05.000Z","by":"rule","reason":"voters","ballots":4,"voters":4}
    4 ballots, 4 voters, weight 30: yes 18 no 7 abstain 0 blank 5 -> Motion passed: 18 of 25, needed 17
    "#);
}

#[test]
fn the_last_ballot_counts_and_a_repeated_request_is_known() {
    insta::assert_snapshot!(outcomes(r#"
        0s create seat "revote":"last-counts","contest":[{"title":"Seat?","method":"approval","choices":["A","B","C"]}]
        1s open seat
        2s cast seat n1 a,b key-1
        2s cast seat n1 a,b key-1
        3s cast seat n1 c key-2
        3s cast seat n1 a,b key-1
        4s results seat
        5s create show "ballots_per_voter":2,"contest":[{"title":"Show?","choices":["A","B"]}]
        5s open show
        6s cast show phone a k
        6s cast show phone a k
        6s cast show phone b
        6s cast show phone b
        7s close show
        7s results show
    "#), @r#"
    create seat
    {"act":"opened","at":"1970-01-01T00:00:01.000Z","by":"officer","definition":"b7ad9e90c4ec49a51d57283b81e6d30142fdb52120a1f1ff5e9b2e0d63420523","roll":"0000000000000000000000000000000000000000000000000000000000000000","epoch":1,"node":1,"key":"0000000000000000000000000000000000000000000000000000000000000000","rules":1}
    ballot 0 at leaf 1
    refused: this request was answered before [already_voted]
    ballot 1 at leaf 2, replaces leaf 1
    refused: this request was answered before [already_voted]
    1 ballots, 1 voters, weight 1: a 0 b 0 c 1 blank 0 -> open
    create show
    {"act":"opened","at":"1970-01-01T00:00:05.000Z","by":"officer","definition":"02c889fcd16649f3cb390f06a6658b4d6e88b023767e68593af41cda79d16081","roll":"0000000000000000000000000000000000000000000000000000000000000000","epoch":1,"node":1,"key":"0000000000000000000000000000000000000000000000000000000000000000","rules":1}
    ballot 0 at leaf 1
    refused: this request was answered before [already_voted]
    ballot 1 at leaf 2
    refused: this voter has cast all 2 ballots allowed; the earlier ones count [already_voted]
    {"act":"closed","at":"1970-01-01T00:00:07.000Z","by":"officer","reason":"officer","ballots":2,"voters":1}
    2 ballots, 1 voters, weight 2: a 1 b 1 blank 0 -> It's a tie between A (1 vote) and B (1 vote)
    "#);
}

#[test]
fn what_this_build_does_not_honour_is_refused_by_name() {
    let fault = |rest: &str| {
        let json = format!(r#"{{"slug":"x","title":"X",{rest}}}"#);
        let error = Definition::from_json(&json).unwrap_err();
        format!("{} {}: {error}", error.code(), error.field())
    };
    let contest = r#""contest":[{"title":"T","choices":["A","B"]}]"#;
    let faults = [
        fault(&format!(r#""secrecy":"private",{contest}"#)),
        fault(&format!(r#""secrecy":"hidden",{contest}"#)),
        fault(&format!(r#""eligibility":"roll",{contest}"#)),
        fault(&format!(r#""colour":"red",{contest}"#)),
        fault(r#""contest":[]"#),
        fault(r#""contest":[{"title":"T","method":"stv","choices":["A"]}]"#),
        fault(r#""contest":[{"title":"T","choices":["A","a"]}]"#),
        fault(r#""contest":[{"title":"T","choices":["A"],"choose":{"min":2,"max":1}}]"#),
        fault(r#""contest":[{"title":"T","choices":[{"name":"A","photo":"/ann.png"}]}]"#),
        fault(r#""contest":[{"title":"T","choices":[{"name":"A","link":"javascript:alert(1)"}]}]"#),
        fault(r#""contest":[{"title":"T","method":"rating","choices":["1","2","2"]}]"#),
        fault(r#""contest":[{"title":"T","method":"rating","choices":["2","1"]}]"#),
        fault(r#""contest":[{"title":"T","method":"rating","choices":["1","good"]}]"#),
        fault(r#""contest":[{"title":"T","method":"rating","choices":["1","101"]}]"#),
        fault(r#""contest":[{"title":"T","method":"rating","choices":["1",{"id":"02","name":"Two"}]}]"#),
        fault(r#""contest":[{"title":"T","method":"rating","choices":["1"]}]"#),
        fault(
            r#""contest":[{"title":"T","method":"rating","choices":["0","1","2","3","4","5","6","7","8","9","10","11"]}]"#,
        ),
        fault(r#""contest":[{"title":"T","method":"rating","choose":{"max":2}}]"#),
        fault(r#""contest":[{"title":"T","method":"rating","seats":1}]"#),
        fault(r#""contest":[{"title":"T","method":"rating","order":"shuffled"}]"#),
        fault(r#""contest":[{"title":"T","method":"motion","order":"shuffled"}]"#),
        fault(r#""contest":[{"title":"T","choices":["A"],"order":"random"}]"#),
        fault(&format!(r#""results":"never",{contest}"#)),
        fault(&format!(r#""closing":{{"at":"soon"}},{contest}"#)),
        fault(&format!(r#""closing":{{"click_grace_seconds":2}},{contest}"#)),
    ];
    insta::assert_snapshot!(faults.join("\n"), @"
    not_supported secrecy: `secrecy`: `private` is not supported by this version
    invalid_definition secrecy: `secrecy`: must be `open`, `private` or `sealed`
    not_supported eligibility: `eligibility`: `roll` (a list of ids is: `list`) is not supported by this version
    invalid_definition colour: the definition cannot be read: unknown field `colour`, expected one of `slug`, `title`, `description`, `organiser`, `rules`, `secrecy`, `eligibility`, `results`, `revote`, `ballots_per_voter`, `draw`, `shards`, `closing`, `groups`, `rehearsal_of`, `follows`, `round`, `contest` at line 1 column 32
    invalid_definition contest: `contest`: an election has 1 to 50 contests
    not_supported contest[0].method: `contest[0].method`: `stv` is not supported by this version
    invalid_definition contest[0].choices[1]: `contest[0].choices[1]`: `a` is there twice; give each choice its own name or id
    invalid_definition contest[0].choose: `contest[0].choose`: min and max must be 0 <= min <= max <= 1, max at least 1
    invalid_definition contest[0].choices[0].photo: `contest[0].choices[0].photo`: must be the path of a picture on this server, /pictures/… as `hustings picture add` prints it, or begin with https:// or http://, which is kept and not shown
    invalid_definition contest[0].choices[0].link: `contest[0].choices[0].link`: must begin with https://, http:// or /
    invalid_definition contest[0].choices[2]: `contest[0].choices[2]`: `2` is there twice; give each choice its own name or id
    invalid_definition contest[0].choices: `contest[0].choices`: a rating's levels have whole numbers 0 to 100 as ids, ascending; their names are free
    invalid_definition contest[0].choices: `contest[0].choices`: a rating's levels have whole numbers 0 to 100 as ids, ascending; their names are free
    invalid_definition contest[0].choices: `contest[0].choices`: a rating's levels have whole numbers 0 to 100 as ids, ascending; their names are free
    invalid_definition contest[0].choices: `contest[0].choices`: a rating's levels have whole numbers 0 to 100 as ids, ascending; their names are free
    invalid_definition contest[0].choices: `contest[0].choices`: a rating has 2 to 11 levels
    invalid_definition contest[0].choices: `contest[0].choices`: a rating has 2 to 11 levels
    invalid_definition contest[0].choose: `contest[0].choose`: a rating takes one mark: min 0 or 1, max 1
    invalid_definition contest[0].seats: `contest[0].seats`: a rating elects nobody: leave it out
    invalid_definition contest[0].order: `contest[0].order`: the choices of a rating keep their order
    invalid_definition contest[0].order: `contest[0].order`: the choices of a motion keep their order
    invalid_definition contest[0].order: `contest[0].order`: must be `as-written` or `shuffled`
    invalid_definition results: `results`: must be `live`, `own-ballot`, `at-close`, `on-publish` or `on-reveal`
    invalid_definition closing.at: `closing.at`: must be a time like 2027-03-01T18:00:00Z
    not_supported closing.click_grace_seconds: `closing.click_grace_seconds`: a grace after the deadline is not supported by this version
    ");
}

#[test]
fn a_definition_reads_back_as_itself() {
    let json = r#"{"slug":"x","title":"X","groups":["North"],"closing":{"after_voters":3},
        "contest":[{"title":"T","choices":["A","B"]},{"title":"M","method":"motion","base":"cast"},
            {"title":"R","method":"rating"},{"title":"S","order":"shuffled","choices":["A","B"]}]}"#;
    let definition = Definition::from_json(json).unwrap();
    assert_eq!(Definition::from_json(&definition.to_json()), Ok(definition));
}

#[test]
fn a_definition_from_before_there_was_an_order_keeps_its_hash() {
    let contest = |order: &str| {
        let json =
            format!(r#"{{"slug":"x","title":"X","contest":[{{"title":"T",{order}"choices":["A","B"]}}]}}"#);
        Definition::from_json(&json).unwrap().to_json()
    };
    assert_eq!(contest(""), contest(r#""order":"as-written","#));
    assert!(
        !contest("").contains("order") && contest(r#""order":"shuffled","#).contains(r#""order":"shuffled""#)
    );
}
