//! Inputs that the parsers accept: where mangling and libFuzzer begin.

use std::borrow::Cow;

use election::ballot::{Click, write_opening};
use election::command::{Cast, OfficerCommand, write_cast, write_officer};
use election::definition::RawDefinition;
use election::{
    Definition, ElectionId, ElectionIndex, Extras, GivenAnswer, GivenAnswers, Hlc, IdempotencyKey,
    OpeningFields, UnixMillis, VoterTag, answers,
};
use node::token::{Token, TokenKind};
use proof::checkpoint::{Checkpoint, Origin};
use proof::keys::{Key, NodeKey, Secret};
use proof::receipt::{BatchSigner, ForPeople, Promise, Receipt, Statement};
use proof::{Hash, LeafIndex, TreeSize};

const TOML: &str = r#"
slug = "board-2027"
title = "Board 2027"
eligibility = "list"
results = "on-publish"
revote = "forbid"
draw = "public"
groups = ["North", "South"]
[closing]
at = "2027-03-01T18:00:00Z"
after_voters = "all"
[[contest]]
id = "chair"
title = "Who chairs?"
choices = ["Ann", "Bob", { id = "cy", name = "Cy", link = "https://example.org/cy" }]
[[contest]]
id = "committee"
title = "Who joins?"
method = "approval"
seats = 2
choices = ["Dee", "Eve", "Fay"]
[[contest]]
id = "fence"
title = "A new fence"
method = "motion"
majority = ">=2/3"
base = "cast"
quorum = "1/2"
"#;

pub fn definition() -> Definition {
    let raw: RawDefinition = toml::from_str(TOML).expect("the example is TOML");
    raw.check().expect("the example is a definition")
}

pub fn definitions_toml() -> Vec<Vec<u8>> {
    let small = "slug = \"a\"\ntitle = \"A\"\n[[contest]]\ntitle = \"Q\"\nchoices = [\"x\", \"y\"]\n";
    vec![TOML.into(), small.into()]
}

pub fn definitions_json() -> Vec<Vec<u8>> {
    let small = r#"{"slug":"a","title":"A","closing":{"after_voters":3},"contest":[{"title":"Q","choices":["x","y"]}]}"#;
    vec![definition().to_json().into_bytes(), small.into()]
}

pub fn ballot_bodies() -> Vec<Vec<u8>> {
    vec![
        br#"{"chair":["ann"],"committee":["dee","fay"],"fence":["yes"]}"#.to_vec(),
        br#"{"chair":[],"committee":[],"fence":[]}"#.to_vec(),
        br#"{"chair":{"ann":3,"bob":-1},"committee":["dee"],"fence":["abstain"]}"#.to_vec(),
    ]
}

pub fn openings() -> Vec<Vec<u8>> {
    let choices =
        |ids: &[&'static str]| GivenAnswer::Choices(ids.iter().map(|id| Cow::Borrowed(*id)).collect());
    let given = GivenAnswers(vec![
        (Cow::Borrowed("chair"), choices(&["bob"])),
        (Cow::Borrowed("committee"), choices(&["eve", "fay"])),
        (Cow::Borrowed("fence"), choices(&[])),
    ]);
    let encoded = answers::encode(&definition(), &given).expect("the example ballot is valid");
    let stamp = Some(Hlc::at(UnixMillis(1_800_000_000_000)));
    let click = Some(Click { clicked: UnixMillis(1_800_000_000_000), served: UnixMillis(1_799_999_999_000) });
    let plain = Extras { stamp, ..Extras::NONE };
    let full = Extras { weight: 7, group: Some(1), stamp, click };
    let written = |extras| {
        let mut bytes = Vec::new();
        write_opening(&mut bytes, &fields(extras), encoded.as_bytes());
        bytes
    };
    vec![written(plain), written(full)]
}

fn fields(extras: Extras) -> OpeningFields {
    OpeningFields {
        nonce: [7; 32],
        election: ElectionId([3; 16]),
        shard: 0,
        voter: VoterTag([5; 16]),
        key: IdempotencyKey::from_text("retry"),
        extras,
    }
}

pub fn batches() -> Vec<Vec<u8>> {
    let stamp = Hlc::at(UnixMillis(1_800_000_000_000));
    let slug = definition().slug;
    let mut officers = Vec::new();
    for command in [
        OfficerCommand::Create { definition: definition().to_json(), roll: Vec::new() },
        OfficerCommand::Open { slug: slug.clone() },
        OfficerCommand::Extend { slug: slug.clone(), closes_at: UnixMillis(1_900_000_000_000) },
        OfficerCommand::Cancel { slug, reason: "rain".to_owned() },
    ] {
        write_officer(&mut officers, stamp, &command);
    }
    let mut casts = Vec::new();
    for (number, opening) in openings().iter().enumerate() {
        let number = (number > 0).then_some(number as u64);
        write_cast(&mut casts, stamp, &Cast { election: ElectionIndex(0), number, opening });
    }
    vec![officers, casts]
}

pub fn node_key() -> NodeKey {
    NodeKey::new(1, &Secret::from_bytes([9; 32]))
}

pub fn checkpoint() -> Checkpoint {
    Checkpoint {
        origin: Origin { ledger: [1; 16], epoch: 1, election: [3; 16], shard: 0 },
        size: TreeSize(12),
        root: Hash([4; 32]),
    }
}

pub fn checkpoint_notes() -> Vec<Vec<u8>> {
    vec![checkpoint().sign(&node_key()).into_bytes()]
}

pub fn statements() -> Vec<Statement> {
    let statement = |number: u64| Statement {
        ledger: [1; 16],
        epoch: 1,
        node: 1,
        election: [3; 16],
        definition: Hash(definition().hash()),
        shard: 0,
        leaf_index: LeafIndex(number),
        leaf: Hash([number as u8; 32]),
        promise: Promise::Synced,
    };
    (1..6).map(statement).collect()
}

pub fn receipts() -> Vec<Vec<u8>> {
    let mut signer = BatchSigner::default();
    statements().iter().for_each(|statement| {
        signer.push(statement);
    });
    let batch = signer.sign(&node_key()).expect("statements were pushed");
    let receipt = |(index, statement): (usize, &Statement)| {
        let at = "2027-01-15T08:00:00.000Z".to_owned();
        let people = ForPeople { slug: "board-2027".to_owned(), ballot_index: 0, nonce: [7; 32], at };
        let receipt = Receipt::new(statement, &batch, index as u32, people);
        serde_json::to_vec(&receipt).expect("a receipt is JSON")
    };
    statements().iter().enumerate().map(receipt).collect()
}

pub fn token_key() -> Key {
    Key::from_bytes(&[6; 32])
}

pub fn tokens() -> Vec<Vec<u8>> {
    let issued = UnixMillis(1_800_000_000_000);
    [TokenKind::Session, TokenKind::Voter, TokenKind::Gateway]
        .into_iter()
        .zip([None, Some(ElectionId([3; 16])), Some(ElectionId([4; 16]))])
        .map(|(kind, election)| Token::new(kind, election, 42, issued).sign(&token_key()).into_bytes())
        .collect()
}

/// The clean records that the auditors' own tests use.
pub fn records() -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/audit/clean");
    let entries = std::fs::read_dir(folder).expect("the fixtures are in the repository");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("the folder can be read").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "record"));
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("the record can be read")).collect()
}
