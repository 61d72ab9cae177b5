//! What every parser of foreign bytes must hold, whatever the bytes: it returns, and what it accepts it can write
//! and read again to the same. The targets under `fuzz_targets` run these bodies in libFuzzer; `tests/seeded.rs`
//! runs them on the stable compiler over seeded noise.

mod examples;
mod noise;

pub use noise::{Noise, mangled};

use election::command::{Batch, Command, write_cast, write_officer};
use election::definition::RawDefinition;
use election::{Definition, GivenAnswers, Opening, answers, ballot};
use node::token::Token;
use proof::checkpoint::Checkpoint;
use proof::receipt::{self, Receipt};

/// A parser under test: its name, its body, and inputs that it accepts.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub name: &'static str,
    pub body: fn(&[u8]),
    pub examples: fn() -> Vec<Vec<u8>>,
}

pub const TARGETS: &[Target] = &[
    Target { name: "definition_json", body: definition_json, examples: examples::definitions_json },
    Target { name: "definition_toml", body: definition_toml, examples: examples::definitions_toml },
    Target { name: "ballot_body", body: ballot_body, examples: examples::ballot_bodies },
    Target { name: "opening", body: opening, examples: examples::openings },
    Target { name: "batch", body: batch, examples: examples::batches },
    Target { name: "checkpoint_note", body: checkpoint_note, examples: examples::checkpoint_notes },
    Target { name: "receipt_json", body: receipt_json, examples: examples::receipts },
    Target { name: "record", body: record, examples: examples::records },
    Target { name: "token", body: token, examples: examples::tokens },
];

/// A definition as JSON: the canonical bytes of an accepted one are accepted and canonical.
pub fn definition_json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(definition) = Definition::from_json(text) {
        canonical_is_stable(&definition);
    }
}

/// A definition as TOML.
pub fn definition_toml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(raw) = toml::from_str::<RawDefinition>(text) else { return };
    if let Ok(definition) = raw.check() {
        canonical_is_stable(&definition);
    }
}

fn canonical_is_stable(definition: &Definition) {
    let canonical = definition.to_json();
    assert!(!canonical.contains('\n'), "canonical JSON is one line");
    let again = Definition::from_json(&canonical).expect("a canonical definition is accepted");
    assert_eq!(again.to_json(), canonical);
    assert_eq!(&again, definition);
}

/// A voter's choices as JSON: what is encoded for a definition is valid for it.
pub fn ballot_body(data: &[u8]) {
    let definition = examples::definition();
    let Ok(given) = serde_json::from_slice::<GivenAnswers<'_>>(data) else { return };
    if let Ok(encoded) = answers::encode(&definition, &given) {
        answers::decode(&definition, encoded.as_bytes()).expect("encoded answers are valid");
    }
}

/// A ballot's opening: what is read writes back to the same bytes.
pub fn opening(data: &[u8]) {
    let definition = examples::definition();
    let Ok(read) = Opening::parse(data) else { return };
    if let ballot::Body::Answers(bytes) = read.body {
        let mut again = Vec::new();
        ballot::write_opening(&mut again, &read.fields, bytes);
        assert_eq!(again, data, "one opening has one form");
        // Foreign answers may be anything; reading them must only end.
        let _ = answers::decode(&definition, bytes);
    }
}

/// A batch of commands as the log holds it.
pub fn batch(data: &[u8]) {
    let mut again = Vec::new();
    for logged in Batch::new(data) {
        let Ok(logged) = logged else { return };
        match logged.command {
            Command::Cast(cast) => {
                write_cast(&mut again, logged.stamp, &cast);
            }
            Command::Officer(command) => write_officer(&mut again, logged.stamp, &command),
        }
    }
    let commands = |bytes: &[u8]| Batch::new(bytes).map(Result::unwrap).count();
    assert_eq!(commands(&again), commands(data), "a batch that was read is read again");
}

/// A signed checkpoint: parsing does not verify, and verifying refuses what nobody signed.
pub fn checkpoint_note(data: &[u8]) {
    let Ok(note) = std::str::from_utf8(data) else { return };
    if let Ok(checkpoint) = Checkpoint::parse(note) {
        assert!(note.starts_with(&checkpoint.text()), "a checkpoint has one text");
    }
    if let Ok((checkpoint, _)) = Checkpoint::verify(note, &[examples::node_key().public()]) {
        assert_eq!(checkpoint, examples::checkpoint(), "only what the key signed verifies");
    }
}

/// A receipt file: what verifies under the known key states what that key signed.
pub fn receipt_json(data: &[u8]) {
    let Ok(read) = serde_json::from_slice::<Receipt>(data) else { return };
    if receipt::verify(&read, Some(&examples::node_key().public())).is_ok() {
        assert!(examples::statements().contains(&read.statement()), "only what the key signed verifies");
    }
}

/// A voter's token: what verifies was made with the key, and has one text.
pub fn token(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(read) = Token::verify(text, &examples::token_key()) {
        assert_eq!(read.sign(&examples::token_key()), text);
        assert!(examples::tokens().iter().any(|known| known == data), "nobody else can make a token");
    }
}

/// A record: the audit ends, and no record passes but one that a node signed.
pub fn record(data: &[u8]) {
    let Ok(report) = audit::run(std::io::Cursor::new(data), &[], &[]) else { return };
    if report.exit_code() == 0 {
        assert!(examples::records().iter().any(|known| known == data), "a changed record is found out");
    }
}
