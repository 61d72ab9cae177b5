//! Speed of an audit: `cargo bench -p audit -- 10000000` makes a record of ten million ballots and audits it.
//!
//! Prints ballots a second and the peak of memory. Without a number it takes 20,000 ballots, to show that it works.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::time::Instant;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use election::ballot::{Extras, OpeningFields, write_opening};
use election::{Definition, ElectionId, Hlc, IdempotencyKey, LedgerId, UnixMillis, VoterTag};
use proof::checkpoint::{Checkpoint, Origin};
use proof::{Edge, Hash, LeafKind, NodeKey, Secret, Sha256Stream, leaf_hash, sha256};

const LEDGER: LedgerId = LedgerId([7; 16]);
const START: u64 = 1_803_895_200_000;
const DEFINITION: &str =
    r#"{"slug":"large","title":"Large","contest":[{"id":"c","title":"C","choices":["A","B","C","D"]}]}"#;

fn main() {
    let ballots = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(20_000);
    let path = std::env::temp_dir().join(format!("hustings-audit-bench-{}.record", std::process::id()));
    write_record(&path, ballots);
    let bytes = std::fs::metadata(&path).expect("the record was written").len();

    #[allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
    let start = Instant::now();
    let report = audit::run(BufReader::new(File::open(&path).expect("it was written")), &[], &[])
        .expect("it is a record");
    let seconds = start.elapsed().as_secs_f64();
    std::fs::remove_file(&path).expect("it was written");
    assert!(report.clean, "{report}");
    println!(
        "{ballots} ballots, {} MB: {seconds:.2} s, {:.0} ballots/s, peak {} MiB",
        bytes / 1_000_000,
        ballots as f64 / seconds,
        peak_kib() / 1024
    );
}

/// Peak of resident memory in KiB; 0 where the system does not tell.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}

/// A plurality election with one ballot a voter, closed, four choices in turn.
fn write_record(path: &std::path::Path, ballots: u64) {
    let definition = Definition::from_json(DEFINITION).expect("it is valid");
    let election = ElectionId::derive(LEDGER, &definition.slug);
    let key = NodeKey::new(1, &Secret::from_bytes([1; 32]));
    let mut file = Signed {
        file: BufWriter::new(File::create(path).expect("the folder is there")),
        digest: Sha256Stream::new(),
    };
    let mut edge = Edge::new();
    let at = |millis: u64| UnixMillis(START + millis).to_string();
    let (ledger, election_hex) = (election::hex(&LEDGER.0), election::hex(&election.0));
    let (hash, public) = (election::hex(&definition.hash()), HEXLOWER.encode(&key.public().key));
    let leaves = ballots + 2;
    file.line(&format!(
        r#"{{"hustings_record":1,"ledger":"{ledger}","election":"{election_hex}","slug":"large","shard":0,"secrecy":"open","definition_hash":"{hash}","leaves":{leaves},"ballots":{ballots},"roll":0,"epochs":[{{"epoch":1,"reason":"founded","first_leaf":0,"nodes":[{{"node":1,"key":"{public}"}}]}}]}}"#
    ));
    file.line(&definition.to_json());
    let act = |file: &mut Signed, edge: &mut Edge, json: String| {
        file.line(&format!(r#"{{"leaf":{},"act":{json}}}"#, edge.size()));
        edge.append(leaf_hash(LeafKind::Act, json.as_bytes()));
        let origin = Origin { ledger: LEDGER.0, epoch: 1, election: election.0, shard: 0 };
        let note = Checkpoint { origin, size: edge.size(), root: edge.root() }.sign(&key);
        format!(r#"{{"checkpoint":{}}}"#, serde_json::Value::from(note))
    };
    let zeros = Hash::ZERO;
    let opened = format!(
        r#"{{"act":"opened","at":"{}","by":"officer","definition":"{hash}","roll":"{zeros}","epoch":1,"node":1,"key":"{public}","rules":1}}"#,
        at(0)
    );
    act(&mut file, &mut edge, opened);
    let (mut opening, mut text) = (Vec::new(), String::new());
    for ballot in 0..ballots {
        let random = sha256(&[&ballot.to_be_bytes()]).0;
        let stamp = Some(Hlc(((START + 1 + ballot / 1_000) << 16) | (ballot % 1_000)));
        let fields = OpeningFields {
            nonce: random,
            election,
            shard: 0,
            voter: VoterTag(random[16..].try_into().expect("half a hash")),
            key: IdempotencyKey::NONE,
            extras: Extras { stamp, ..Extras::NONE },
        };
        opening.clear();
        write_opening(&mut opening, &fields, &[1, 0, 1, (ballot % 4) as u8]);
        text.clear();
        text.push_str("{\"leaf\":");
        text.push_str(&edge.size().to_string());
        text.push_str(",\"ballot\":\"");
        BASE64URL_NOPAD.encode_append(&opening, &mut text);
        text.push_str("\"}");
        file.line(&text);
        edge.append(leaf_hash(LeafKind::Ballot, &opening));
    }
    let closed = at(2 + ballots / 1_000);
    let closed = format!(
        r#"{{"act":"closed","at":"{closed}","by":"officer","reason":"officer","ballots":{ballots},"voters":{ballots}}}"#
    );
    let checkpoint = act(&mut file, &mut edge, closed);
    file.line(&checkpoint);
    let votes = |choice: u64| ballots / 4 + u64::from(ballots % 4 > choice);
    let counts = ["a", "b", "c", "d"].iter().zip(0..).map(|(id, choice)| {
        format!(r#"{{"choice":"{id}","name":"{}","votes":{}}}"#, id.to_uppercase(), votes(choice))
    });
    let counts: Vec<String> = counts.collect();
    let tied: Vec<String> = ["A", "B", "C", "D"].map(|name| format!("{name} ({} votes)", votes(0))).into();
    assert!(ballots.is_multiple_of(4), "choices are marked in turn: give a multiple of four");
    let sentence = format!("It's a tie between {} and {}", tied[..3].join(", "), tied[3]);
    file.line(&format!(
        r#"{{"result":{{"state":"closed","ballots":{ballots},"voters":{ballots},"weight":{ballots},"contests":[{{"id":"c","title":"C","method":"plurality","rules":1,"blank":0,"counts":[{}],"outcome":{{"kind":"tie","sentence":"{sentence}","winners":[],"tied":["a","b","c","d"]}}}}]}}}}"#,
        counts.join(",")
    ));
    let digest = file.digest.digest();
    let signature = HEXLOWER.encode(&key.sign(&[&b"hustings record v1\n"[..], &digest.0].concat()));
    file.line(&format!(r#"{{"end":{{"sha256":"{digest}","node":1,"signature":"{signature}"}}}}"#));
    file.file.flush().expect("the disk has room");
}

/// A file, and the hash of what was written.
struct Signed {
    file: BufWriter<File>,
    digest: Sha256Stream,
}

impl Signed {
    fn line(&mut self, line: &str) {
        for bytes in [line.as_bytes(), b"\n"] {
            self.file.write_all(bytes).expect("the disk has room");
            self.digest.update(bytes);
        }
    }
}
