//! Several nodes sign, each with its own key: what the state keeps of them, and what the trees are told.

use election::act::{NamedNode, nodes_named};
use election::command::{Batch, EpochReason, OfficerCommand, write_officer};
use election::{Command, Hlc, LedgerId, Outcome, State, UnixMillis};
use std::fmt::Write;

fn key(letter: char) -> String {
    letter.to_string().repeat(64)
}

fn create(slug: &str) -> OfficerCommand {
    let definition =
        format!(r#"{{"slug":"{slug}","title":"T","contest":[{{"title":"C","choices":["A","B"]}}]}}"#);
    OfficerCommand::Create { definition, roll: Vec::new() }
}

fn founded() -> State {
    let mut state = State::default();
    let found =
        OfficerCommand::Found { ledger: LedgerId([7; 16]), node: 1, key: key('a'), officer: String::new() };
    apply(&mut state, found).unwrap();
    state
}

/// Through the bytes of the log.
fn apply(state: &mut State, command: OfficerCommand) -> Outcome {
    let mut payload = Vec::new();
    write_officer(&mut payload, Hlc::at(UnixMillis(state.now.0 + 1_000)), &command);
    let logged = Batch::new(&payload).next().unwrap().unwrap();
    assert_eq!(logged.command, Command::Officer(Box::new(command)));
    state.apply(logged.stamp, &logged.command)
}

/// What came of each command, without the parts of acts that are not about nodes.
fn outcomes(state: &mut State, commands: Vec<OfficerCommand>) -> String {
    let mut out = String::new();
    for command in commands {
        let line = match apply(state, command) {
            Ok(event) => {
                let acts = event.acts.iter().map(|act| {
                    let json = act.json.replace(&"0".repeat(64), "none");
                    format!("{}.{} {}", act.election.0, act.leaf.0, shorten(&json))
                });
                acts.collect::<Vec<_>>().join("; ")
            }
            Err(rejection) => format!("refused: {rejection} [{}]", rejection.code()),
        };
        writeln!(out, "{}", if line.is_empty() { "no act" } else { &line }).unwrap();
        let snapshot = state.to_snapshot();
        let read = State::from_snapshot(&snapshot).unwrap();
        assert_eq!(read.to_snapshot(), snapshot, "snapshots read back");
        assert_eq!(read.ledger, state.ledger);
    }
    out
}

/// Keys by their letter, definition hashes not at all.
fn shorten(json: &str) -> String {
    let mut json = json.to_owned();
    for letter in 'a'..='f' {
        json = json.replace(&key(letter), &letter.to_string());
    }
    match json.find(r#""definition":""#) {
        Some(at) => format!("{}…{}", &json[..at], &json[at + 14 + 65..]),
        None => json,
    }
}

#[test]
fn a_joining_node_is_named_in_every_tree_that_has_leaves() {
    let (open, node) = (
        |slug: &str| OfficerCommand::Open { slug: slug.parse().unwrap() },
        |node, letter| OfficerCommand::Node { node, key: key(letter) },
    );
    let mut state = founded();
    let commands = vec![
        create("early"),
        create("late"),
        open("early"),
        node(3, 'c'),
        node(3, 'c'),
        node(2, 'b'),
        node(1, 'a'),
        open("late"),
        OfficerCommand::Epoch { epoch: 2, reason: EpochReason::Restored, node: 4, key: key('d') },
        create("third"),
        open("third"),
        node(2, 'e'),
        create("fourth"),
        open("fourth"),
    ];
    insta::assert_snapshot!(outcomes(&mut state, commands), @r#"
    no act
    no act
    0.0 {"act":"opened","at":"1970-01-01T00:00:04.000Z","by":"officer",…,"roll":"none","epoch":1,"node":1,"key":"a","rules":1}
    0.1 {"act":"node","at":"1970-01-01T00:00:05.000Z","by":"rule","node":3,"key":"c"}
    no act
    0.2 {"act":"node","at":"1970-01-01T00:00:07.000Z","by":"rule","node":2,"key":"b"}
    no act
    1.0 {"act":"opened","at":"1970-01-01T00:00:09.000Z","by":"officer",…,"roll":"none","epoch":1,"node":1,"key":"a","rules":1,"nodes":[{"node":3,"key":"c"},{"node":2,"key":"b"}]}
    0.3 {"act":"epoch","at":"1970-01-01T00:00:10.000Z","by":"officer","epoch":2,"reason":"restored","node":4,"key":"d"}; 1.1 {"act":"epoch","at":"1970-01-01T00:00:10.000Z","by":"officer","epoch":2,"reason":"restored","node":4,"key":"d"}
    no act
    2.0 {"act":"opened","at":"1970-01-01T00:00:12.000Z","by":"officer",…,"roll":"none","epoch":2,"node":4,"key":"d","rules":1}
    0.4 {"act":"node","at":"1970-01-01T00:00:13.000Z","by":"rule","node":2,"key":"e"}; 1.2 {"act":"node","at":"1970-01-01T00:00:13.000Z","by":"rule","node":2,"key":"e"}; 2.1 {"act":"node","at":"1970-01-01T00:00:13.000Z","by":"rule","node":2,"key":"e"}
    no act
    3.0 {"act":"opened","at":"1970-01-01T00:00:15.000Z","by":"officer",…,"roll":"none","epoch":2,"node":4,"key":"d","rules":1,"nodes":[{"node":2,"key":"e"}]}
    "#);
}

#[test]
fn a_number_keeps_its_key_for_an_epoch() {
    let refused = |node: u16, key: &str| {
        let mut state = founded();
        apply(&mut state, OfficerCommand::Node { node: 2, key: "b".repeat(64) }).unwrap();
        let before = state.to_snapshot();
        let rejection = apply(&mut state, OfficerCommand::Node { node, key: key.to_owned() }).unwrap_err();
        state.now = UnixMillis(state.now.0 - 1_000);
        assert_eq!(state.to_snapshot(), before, "a refusal changes nothing but the time");
        rejection.code()
    };
    assert_eq!(refused(2, &key('c')), "node_has_key");
    assert_eq!(refused(1, &key('c')), "node_has_key");
    assert_eq!(refused(0, &key('c')), "invalid_node_key");
    assert_eq!(refused(3, ""), "invalid_node_key");
    assert_eq!(refused(3, &key('C')), "invalid_node_key");
    assert_eq!(refused(3, &key('g')), "invalid_node_key");
    assert_eq!(refused(3, &"c".repeat(63)), "invalid_node_key");
    let nobody = apply(&mut State::default(), OfficerCommand::Node { node: 1, key: key('a') });
    assert_eq!(nobody.unwrap_err().code(), "wrong_state");
}

#[test]
fn only_the_nodes_of_the_epoch_sign() {
    let mut state = founded();
    apply(&mut state, OfficerCommand::Node { node: 2, key: key('b') }).unwrap();
    let signs =
        |state: &State, node, letter| state.ledger.as_ref().unwrap().is_registered(node, &key(letter));
    assert!(signs(&state, 1, 'a') && signs(&state, 2, 'b'));
    assert!(!signs(&state, 2, 'a') && !signs(&state, 3, 'b'));
    let epoch = OfficerCommand::Epoch { epoch: 2, reason: EpochReason::Recovered, node: 2, key: key('b') };
    apply(&mut state, epoch).unwrap();
    assert!(!signs(&state, 1, 'a') && signs(&state, 2, 'b'));
    apply(&mut state, OfficerCommand::Node { node: 1, key: key('f') }).unwrap();
    let facts = state.ledger.unwrap();
    let reasons: Vec<_> = facts.signing().map(|known| (known.node, known.reason)).collect();
    assert_eq!(reasons, [(2, EpochReason::Recovered), (1, EpochReason::Recovered)]);
}

#[test]
fn acts_say_which_nodes_they_name() {
    let mut state = founded();
    let mut acts = Vec::new();
    for command in [
        OfficerCommand::Node { node: 2, key: key('b') },
        create("x"),
        OfficerCommand::Open { slug: "x".parse().unwrap() },
        OfficerCommand::Node { node: 3, key: key('c') },
        OfficerCommand::Cancel { slug: "x".parse().unwrap(), reason: r#"{"act":"node","#.to_owned() },
        OfficerCommand::Epoch { epoch: 2, reason: EpochReason::Restored, node: 9, key: key('d') },
    ] {
        acts.extend(apply(&mut state, command).unwrap().acts);
    }
    let named: Vec<_> = acts.iter().map(|act| nodes_named(&act.json)).collect();
    let (a, b, c, d) = (key('a'), key('b'), key('c'), key('d'));
    let named_node = |node, key| NamedNode { node, key };
    let expected = [
        vec![named_node(1, &*a), named_node(2, &*b)],
        vec![named_node(3, &*c)],
        vec![],
        vec![named_node(9, &*d)],
    ];
    assert_eq!(named, expected);
}
