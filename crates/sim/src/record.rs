//! An election's record made plainly, over any storage, from `docs/formats.md`. The node's own is a stream over its
//! files; a test holds the two equal.

use crate::lookup::{Served, opening_of};
use data_encoding::BASE64URL_NOPAD;
use election::{ElectionIndex, Results, hex};
use proof::checkpoint::{Checkpoint, Origin};
use proof::{Hash, TreeSize, root_at, sha256};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The record of an election that has been opened.
pub fn record(engine: &mut impl Served, index: ElectionIndex) -> Result<String, String> {
    let election = engine.core().state().election(index).ok_or("there is no such election")?.clone();
    let acts: BTreeMap<u64, _> =
        engine.core().tree(index).acts.iter().map(|(leaf, json)| (leaf.0, json.clone())).collect();
    let mut text = header(engine, index);
    line(&mut text, &election.definition.to_json());
    text.push_str(&election.roll.as_ref().map_or_else(String::new, |roll| roll.lines()));
    for leaf in 0..election.leaves {
        match acts.get(&leaf) {
            Some(json) => line(&mut text, &format!(r#"{{"leaf":{leaf},"act":{json}}}"#)),
            None => {
                let opening = BASE64URL_NOPAD.encode(&opening_of(engine, index, leaf)?);
                line(&mut text, &format!(r#"{{"leaf":{leaf},"ballot":"{opening}"}}"#));
            }
        }
    }
    checkpoints(engine, index, &acts.keys().copied().collect::<Vec<_>>(), election.leaves, &mut text)?;
    line(&mut text, &format!(r#"{{"result":{}}}"#, Results::of(&election).to_json()));
    end(engine, &mut text);
    Ok(text)
}

fn header(engine: &impl Served, index: ElectionIndex) -> String {
    let state = engine.core().state();
    let election = state.election(index).expect("the caller has looked");
    let facts = state.ledger.as_ref().expect("an open engine is founded");
    let epochs: Vec<String> = election
        .epochs
        .iter()
        .map(|(epoch, first)| {
            let keys: Vec<_> = facts.keys.iter().filter(|key| key.epoch == *epoch).collect();
            let nodes: Vec<String> =
                keys.iter().map(|key| format!(r#"{{"node":{},"key":"{}"}}"#, key.node, key.key)).collect();
            let reason = keys.first().map_or("founded", |key| key.reason.as_str());
            let nodes = nodes.join(",");
            format!(r#"{{"epoch":{epoch},"reason":"{reason}","first_leaf":{first},"nodes":[{nodes}]}}"#)
        })
        .collect();
    let mut text = String::new();
    let roll = election.roll.as_ref().map_or(0, |roll| roll.entries().len());
    writeln!(
        text,
        r#"{{"hustings_record":1,"ledger":"{}","election":"{}","slug":"{}","shard":0,"secrecy":"open","definition_hash":"{}","leaves":{},"ballots":{},"roll":{roll},"epochs":[{}]}}"#,
        facts.ledger,
        election.id,
        election.definition.slug,
        hex(&election.definition.hash()),
        election.leaves,
        election.ballots,
        epochs.join(",")
    )
    .expect("writing to a string cannot fail");
    text
}

/// One after each act, and one over all leaves.
fn checkpoints(
    engine: &mut impl Served,
    index: ElectionIndex,
    acts: &[u64],
    leaves: u64,
    text: &mut String,
) -> Result<(), String> {
    let tiles = engine.readers(index).map_err(|error| error.to_string())?.tiles;
    let mut sizes: Vec<u64> = acts.iter().map(|leaf| leaf + 1).collect();
    sizes.push(leaves);
    sizes.dedup();
    for size in sizes {
        let root = root_at(TreeSize(size), &tiles).map_err(|error| error.to_string())?;
        let note = serde_json::to_string(&signed(engine, index, size, root)).expect("a note is text");
        line(text, &format!(r#"{{"checkpoint":{note}}}"#));
    }
    Ok(())
}

fn signed(engine: &impl Served, index: ElectionIndex, size: u64, root: Hash) -> String {
    let context = &engine.core().tree(index).context;
    let origin =
        Origin { ledger: context.ledger, epoch: context.epoch, election: context.election, shard: 0 };
    Checkpoint { origin, size: TreeSize(size), root }.sign(&engine.core().keys().node)
}

fn end(engine: &impl Served, text: &mut String) {
    let key = &engine.core().keys().node;
    let sum = sha256(&[text.as_bytes()]);
    let signature = key.sign(&[b"hustings record v1\n".as_slice(), &sum.0].concat());
    let node = key.node();
    let end = format!(
        r#"{{"end":{{"sha256":"{}","node":{node},"signature":"{}"}}}}"#,
        sum.to_hex(),
        hex(&signature)
    );
    line(text, &end);
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}
