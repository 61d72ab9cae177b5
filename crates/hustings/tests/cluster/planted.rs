//! The checker finds what is planted: each broken promise in a history that keeps all others.

use std::slice::from_ref;

use crate::check::{Counted, answers, ballots, key_of, leaders, order, readings};
use crate::history::{Act, ActKind, Answer, At, Attempt, Cast, History, Reading};
use crate::voters::VOTER_BITS;

fn recorded(index: u64) -> Answer {
    Answer::Recorded { index, leaf: format!("leaf {index}") }
}

fn cast(content: u32, begun: At, answer: Answer) -> Cast {
    let attempts = vec![Attempt { place: 0, begun, ended: begun + 5, answer }];
    let voter = content & ((1 << VOTER_BITS) - 1);
    let key = Some(format!("key-{content}"));
    Cast { election: 0, content, voter, token: None, key, attempts, receipt: None }
}

fn counted(index: u64, cast: &Cast) -> Counted {
    let mut tag = [0; 16];
    tag[..4].copy_from_slice(&cast.voter.to_be_bytes());
    Counted { index, leaf: format!("leaf {index}"), tag, key: key_of(cast), content: cast.content }
}

/// Open from 10 to 100, paused to 200, open to 300, closed.
fn acts() -> Vec<Act> {
    let act = |what, at: At| Act { election: 0, what, begun: at, ended: at + 1, requests: 1 };
    vec![
        act(ActKind::Create, 1),
        act(ActKind::Open, 10),
        act(ActKind::Pause, 100),
        act(ActKind::Open, 200),
        act(ActKind::Close, 300),
    ]
}

fn faults(counted: &[Counted], casts: &[Cast]) -> Vec<String> {
    let (mut faults, acts) = (Vec::new(), acts());
    let casts: Vec<&Cast> = casts.iter().collect();
    let acts: Vec<&Act> = acts.iter().collect();
    ballots(0, counted, &casts, &mut faults);
    answers(0, counted, &casts, &acts, &mut faults);
    order(0, &casts, &mut faults);
    faults
}

#[track_caller]
fn finds(wanted: &str, counted: &[Counted], casts: &[Cast]) {
    let faults = faults(counted, casts);
    assert!(faults.iter().any(|fault| fault.contains(wanted)), "`{wanted}` was not found: {faults:#?}");
}

#[test]
fn a_true_history_has_no_faults() {
    let casts = vec![
        cast(1, 20, recorded(1)),
        cast(2, 30, recorded(2)),
        cast(1 | 1 << VOTER_BITS, 40, Answer::Refused("already_voted".to_owned())),
        cast(3, 120, Answer::Refused("election_not_open".to_owned())),
    ];
    let counted = [counted(1, &casts[0]), counted(2, &casts[1])];
    assert_eq!(faults(&counted, &casts), Vec::<String>::new());
}

#[test]
fn lost_doubled_and_foreign_ballots_are_found() {
    let (one, two) = (cast(1, 20, recorded(1)), cast(2, 30, recorded(2)));
    finds("acknowledged and lost", &[counted(1, &one)], &[one.clone(), two.clone()]);
    finds("another ballot stands", &[counted(2, &one), counted(1, &two)], &[one.clone(), two.clone()]);
    finds("nobody cast it", &[counted(1, &one), counted(2, &two)], from_ref(&one));
    finds("voter 1 counts twice", &[counted(1, &one), counted(2, &one)], from_ref(&one));
    let other_key = Counted { key: [7; 16], ..counted(1, &one) };
    finds("under a key that nobody sent", &[other_key], &[one]);
}

#[test]
fn untrue_refusals_are_found() {
    let refused = |content, at, code: &str| cast(content, at, Answer::Refused(code.to_owned()));
    finds("has no ballot", &[], &[refused(1, 20, "already_voted")]);
    let own = refused(1, 20, "already_voted");
    finds("instead of given its own receipt", &[counted(1, &own)], &[own]);
    finds("that the key was used", &[], &[refused(1, 20, "idempotency_key_reused")]);
    finds("not open while it was", &[], &[refused(1, 20, "election_not_open")]);
    let own = refused(1, 120, "election_not_open");
    finds("and it counts", &[counted(1, &own)], &[own]);
    finds("none here", &[], &[refused(1, 20, "no_such_election")]);
    finds("never answered", &[], &[cast(1, 20, Answer::Open("not_known_yet".to_owned()))]);
}

#[test]
fn ballots_out_of_time_and_order_are_found() {
    let paused = cast(1, 120, recorded(1));
    finds("while the election was not open", &[counted(1, &paused)], &[paused]);
    let closed = cast(1, 320, recorded(1));
    finds("while the election was not open", &[counted(1, &closed)], &[closed]);
    let (early, late) = (cast(1, 20, recorded(2)), cast(2, 40, recorded(1)));
    finds("was sent after", &[counted(2, &early), counted(1, &late)], &[early, late]);
}

#[test]
fn two_leaders_of_a_term_and_readers_that_go_back_are_found() {
    let reading = |at, position| Reading { place: 0, start: 1, election: 0, at, position, ballots: position };
    let history = History {
        leaders: vec![(1, 1), (2, 1), (2, 3)],
        readings: vec![reading(1, 5), reading(2, 4)],
        ..History::default()
    };
    let mut faults = Vec::new();
    leaders(&history, &mut faults);
    readings(&history, &mut faults);
    assert_eq!(faults.len(), 2, "{faults:#?}");
}
