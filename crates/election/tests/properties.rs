//! Rules that hold for every vote, checked on many small ones against a count that is as plain as it gets.

use election::answers::{decode, encode_indices};
use election::ballot::{Extras, Opening, OpeningFields, write_opening};
use election::command::{Batch, OfficerCommand, write_cast, write_officer};
use election::methods::OutcomeKind;
use election::{
    Cast, Command, Hlc, IdempotencyKey, LedgerId, Rejection, Results, State, UnixMillis, VoterTag,
};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// One attempt: voter, key, choices.
type Attempt = (u8, u8, Vec<u16>);

fn attempts() -> impl Strategy<Value = Vec<Attempt>> {
    let choices = proptest::collection::btree_set(0..4_u16, 0..3).prop_map(|set| set.into_iter().collect());
    proptest::collection::vec((0..6_u8, 0..3_u8, choices), 0..40)
}

fn open(rules: &str) -> State {
    let mut state = State::default();
    let found = OfficerCommand::Found {
        ledger: LedgerId([1; 16]),
        node: 1,
        key: "00".repeat(32),
        officer: String::new(),
    };
    let definition = format!(
        r#"{{"slug":"x","title":"X",{rules}"contest":[{{"id":"c","title":"C","choose":{{"max":2}},"choices":["A","B","C"]}}]}}"#
    );
    let create = OfficerCommand::Create { definition, roll: Vec::new() };
    for command in [found, create, OfficerCommand::Open { slug: "x".parse().unwrap() }] {
        state.apply(Hlc::at(UnixMillis(2)), &Command::Officer(Box::new(command))).unwrap();
    }
    state
}

fn opening(state: &State, (voter, key, choices): &Attempt) -> Vec<u8> {
    let key = if *key == 0 { IdempotencyKey::NONE } else { IdempotencyKey([*key; 16]) };
    let fields = OpeningFields {
        nonce: [9; 32],
        election: state.elections()[0].id,
        shard: 0,
        voter: VoterTag([*voter; 16]),
        key,
        extras: Extras { stamp: Some(Hlc::at(UnixMillis(2))), ..Extras::NONE },
    };
    let mut bytes = Vec::new();
    write_opening(&mut bytes, &fields, encode_indices(std::slice::from_ref(choices)).as_bytes());
    bytes
}

/// Half of the voters are kept by number, half by tag.
fn cast<'a>(state: &State, voter: u8, opening: &'a [u8]) -> Cast<'a> {
    let number = voter.is_multiple_of(2).then_some(u64::from(voter) << 40);
    Cast { election: state.elections()[0].index, number, opening }
}

/// What the rules say, without the state machine: per voter the ballots that count, in order.
fn plain(attempts: &[Attempt], cap: usize, last_counts: bool) -> BTreeMap<u8, Vec<Vec<u16>>> {
    let mut counted: BTreeMap<u8, Vec<Vec<u16>>> = BTreeMap::new();
    let mut keys: Vec<(u8, u8)> = Vec::new();
    for (voter, key, choices) in attempts {
        if choices.iter().any(|choice| *choice > 2) {
            continue;
        }
        let keeps_keys = cap > 1 || last_counts;
        if keeps_keys && *key != 0 && keys.contains(&(*voter, *key)) {
            continue;
        }
        let ballots = counted.entry(*voter).or_default();
        if last_counts {
            ballots.clear();
        }
        if ballots.len() < cap {
            ballots.push(choices.clone());
            keys.push((*voter, *key));
        }
    }
    counted
}

fn check(attempts: &[Attempt], rules: &str, cap: usize, last_counts: bool) {
    let mut state = open(rules);
    let mut log = Vec::new();
    for attempt in attempts {
        let bytes = opening(&state, attempt);
        let command = cast(&state, attempt.0, &bytes);
        write_cast(&mut log, Hlc::at(UnixMillis(2)), &command);
        let before = state.to_snapshot();
        let outcome = state.apply(Hlc::at(UnixMillis(2)), &Command::Cast(command));
        if outcome.is_err() {
            assert!(state.to_snapshot() == before, "a refusal leaves no trace but the time");
        }
        let snapshot = state.to_snapshot();
        assert!(State::from_snapshot(&snapshot).unwrap().to_snapshot() == snapshot);
    }
    let counted = plain(attempts, cap, last_counts);
    let mut votes = [0_u64; 3];
    let mut blank = 0;
    for choices in counted.values().flatten() {
        choices.iter().for_each(|choice| votes[usize::from(*choice)] += 1);
        blank += u64::from(choices.is_empty());
    }
    let results = Results::of(&state.elections()[0]);
    let contest = &results.contests[0];
    assert_eq!(contest.counts.iter().map(|count| count.votes).collect::<Vec<_>>(), votes);
    assert_eq!(contest.blank, blank);
    assert_eq!(results.voters, counted.values().filter(|ballots| !ballots.is_empty()).count() as u64);
    assert_eq!(results.ballots, counted.values().map(Vec::len).sum::<usize>() as u64);

    let mut again = open(rules);
    for logged in Batch::new(&log) {
        let logged = logged.unwrap();
        let _ = again.apply(logged.stamp, &logged.command);
    }
    assert!(again.to_snapshot() == state.to_snapshot(), "the same log gives the same bytes");
}

proptest! {
    #[test]
    fn each_voter_counts_once(attempts in attempts()) {
        check(&attempts, "", 1, false);
    }

    #[test]
    fn each_voter_counts_up_to_the_cap(attempts in attempts()) {
        check(&attempts, r#""ballots_per_voter":2,"#, 2, false);
    }

    #[test]
    fn the_last_ballot_of_each_voter_counts(attempts in attempts()) {
        check(&attempts, r#""revote":"last-counts","#, 1, true);
    }

    #[test]
    fn rubbish_is_refused_and_changes_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut state = open("");
        let before = state.to_snapshot();
        let outcome = state.apply(Hlc::at(UnixMillis(2)), &Command::Cast(cast(&state, 1, &bytes)));
        prop_assert!(matches!(outcome, Err(Rejection::MalformedBallot(_))));
        prop_assert!(state.to_snapshot() == before);
        let _ = State::from_snapshot(&bytes);
        let _ = Opening::parse(&bytes);
        prop_assert!(Batch::new(&bytes).count() <= bytes.len());
    }

    #[test]
    fn a_cut_batch_gives_its_whole_commands_and_then_an_error(cut in 0..400_usize) {
        let state = open("");
        let mut log = Vec::new();
        let bytes = opening(&state, &(1, 0, vec![1]));
        write_cast(&mut log, Hlc(5), &cast(&state, 1, &bytes));
        write_officer(&mut log, Hlc(6), &OfficerCommand::Close { slug: "x".parse().unwrap() });
        let cut = cut.min(log.len());
        let read: Vec<_> = Batch::new(&log[..cut]).collect();
        let whole = read.iter().filter(|command| command.is_ok()).count();
        prop_assert!(read.len() - whole <= 1);
        prop_assert_eq!(whole == 2, cut == log.len());
    }
}

/// Every outcome of three choices with up to three votes each and one or two seats.
#[test]
fn the_seats_go_to_the_most_votes_or_the_tie_is_named() {
    for seats in 1..=2_usize {
        for (a, b, c) in (0..64).map(|n| (n / 16, n / 4 % 4, n % 4)) {
            let votes = [a, b, c];
            let mut state = open("");
            let json = format!(
                r#"{{"slug":"y","title":"Y","contest":[{{"id":"c","title":"C","seats":{seats},"choices":["A","B","C"]}}]}}"#
            );
            let slug: election::Slug = "y".parse().unwrap();
            let officer = |command| Command::Officer(Box::new(command));
            let create = OfficerCommand::Create { definition: json, roll: Vec::new() };
            state.apply(Hlc(0), &officer(create)).unwrap();
            state.apply(Hlc(0), &officer(OfficerCommand::Open { slug: slug.clone() })).unwrap();
            let election = state.by_slug("y").unwrap();
            let (index, id) = (election.index, election.id);
            let mut voter = 0_u8;
            for (choice, votes) in votes.into_iter().enumerate() {
                for _ in 0..votes {
                    voter += 1;
                    let fields = OpeningFields {
                        nonce: [0; 32],
                        election: id,
                        shard: 0,
                        voter: VoterTag([voter; 16]),
                        key: IdempotencyKey::NONE,
                        extras: Extras { stamp: Some(Hlc::at(UnixMillis(2))), ..Extras::NONE },
                    };
                    let mut opening = Vec::new();
                    let choices = encode_indices(&[vec![u16::try_from(choice).unwrap()]]);
                    write_opening(&mut opening, &fields, choices.as_bytes());
                    let cast = Cast { election: index, number: None, opening: &opening };
                    state.apply(Hlc::at(UnixMillis(2)), &Command::Cast(cast)).unwrap();
                }
            }
            state.apply(Hlc::at(UnixMillis(3)), &officer(OfficerCommand::Close { slug })).unwrap();
            check_outcome(&state, &votes, seats);
        }
    }
}

fn check_outcome(state: &State, votes: &[u32; 3], seats: usize) {
    let election = state.by_slug("y").unwrap();
    let outcome = Results::of(election).contests.remove(0).outcome.unwrap();
    let ids = ["a", "b", "c"];
    let votes_of = |id: &String| votes[ids.iter().position(|known| known == id).unwrap()];
    let with_votes = votes.iter().filter(|votes| **votes > 0).count();
    match outcome.kind {
        OutcomeKind::NoVotes => assert_eq!(with_votes, 0),
        OutcomeKind::Winner => assert_eq!(outcome.winners.len(), seats.min(with_votes)),
        OutcomeKind::Tie => {
            assert!(outcome.winners.len() + outcome.tied.len() > seats && outcome.winners.len() < seats);
            assert!(outcome.tied.iter().all(|id| votes_of(id) == votes_of(&outcome.tied[0])));
        }
        other => panic!("no lot was drawn, yet the outcome is {other:?}"),
    }
    let named: Vec<&String> = outcome.winners.iter().chain(&outcome.tied).collect();
    for id in ids.map(str::to_owned) {
        let is_beaten = named.iter().all(|named| votes_of(named) > votes_of(&id));
        assert!(named.contains(&&id) || votes_of(&id) == 0 || is_beaten, "{votes:?} {outcome:?}");
    }
    let decoded = decode(&election.definition, encode_indices(&[vec![1]]).as_bytes());
    assert_eq!(decoded, Ok(vec![vec![1]]));
}
