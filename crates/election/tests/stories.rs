//! Elections as stories: commands in, outcomes out.

use election::answers::encode_indices;
use election::ballot::{Extras, OpeningFields, write_opening};
use election::command::OfficerCommand;
use election::roll::RollEntry;
use election::{
    Cast, Command, Definition, Event, EventKind, Hlc, IdempotencyKey, LedgerId, Results, State, UnixMillis,
    VoterTag,
};
use std::fmt::Write;

/// Plays a script, one command a line with its second, and prints what came of each.
///
/// `create SLUG JSON-REST`, `list SLUG name*weight … : JSON-REST`, `open|pause|close|publish SLUG`,
/// `extend SLUG second`, `cast SLUG voter choice,choice|choice [key]`, `draw SLUG`, `deadline SLUG`, `results SLUG`.
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
    let parsed = slug.parse().unwrap();
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
        "draw" => OfficerCommand::Draw {
            slug: parsed,
            source: election::command::DrawSource::Server,
            seed: "11".repeat(32),
            closing_root: "22".repeat(32),
        },
        "cast" => return cast(state, stamp, slug, rest),
        "results" => return results(state, slug),
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
        fault(r#""contest":[{"title":"T","choices":[{"name":"A","photo":"javascript:alert(1)"}]}]"#),
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
    invalid_definition contest[0].choices[0].photo: `contest[0].choices[0].photo`: must begin with https://, http:// or /
    invalid_definition closing.at: `closing.at`: must be a time like 2027-03-01T18:00:00Z
    not_supported closing.click_grace_seconds: `closing.click_grace_seconds`: a grace after the deadline is not supported by this version
    ");
}

#[test]
fn a_definition_reads_back_as_itself() {
    let json = r#"{"slug":"x","title":"X","groups":["North"],"closing":{"after_voters":3},
        "contest":[{"title":"T","choices":["A","B"]},{"title":"M","method":"motion","base":"cast"}]}"#;
    let definition = Definition::from_json(json).unwrap();
    assert_eq!(Definition::from_json(&definition.to_json()), Ok(definition));
}
