//! The published record as a stream: one JSON value a line, as `docs/formats.md` says.

use crate::views::{ElectionHandle, ElectionView, ReadError};
use data_encoding::BASE64URL_NOPAD;
use election::act::{NamedNode, nodes_named};
use ledger::columns::Place;
use ledger::{LogReader, Position};
use proof::{Hash, Sha256Stream, TreeSize, consistency, root_at, verify_consistency};
use serde::Serialize;
use std::io::{self, Read};
use std::sync::Arc;

/// Leaves looked up at a time.
const LEAVES_AT_ONCE: u64 = 1024;

#[derive(Serialize)]
struct Header<'a> {
    hustings_record: u8,
    ledger: String,
    election: String,
    slug: &'a str,
    shard: u32,
    secrecy: &'a str,
    definition_hash: String,
    leaves: u64,
    ballots: u64,
    roll: u64,
    epochs: Vec<HeaderEpoch<'a>>,
}

#[derive(Serialize)]
struct HeaderEpoch<'a> {
    epoch: u32,
    reason: &'a str,
    first_leaf: u64,
    nodes: Vec<NamedNode<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Head,
    Leaves(u64),
    Checkpoints,
    Result,
    End,
    Done,
}

/// Reads one election's record as it was when the reader was made. Blocking; memory stays bounded.
#[derive(Debug)]
pub struct RecordReader {
    election: Arc<ElectionHandle>,
    view: Arc<ElectionView>,
    part: Part,
    out: Vec<u8>,
    read: usize,
    digest: Sha256Stream,
    entry: Position,
    payload: Vec<u8>,
    next_act: usize,
}

impl RecordReader {
    /// A record of everything committed so far. Refused before the election was opened; the caller decides who may
    /// see it ([`ElectionHandle::are_openings_shown`]).
    pub fn new(election: Arc<ElectionHandle>) -> Result<Self, ReadError> {
        let view = election.view();
        if view.tree_size == 0 {
            return Err(ReadError::NotOpened);
        }
        Ok(RecordReader {
            election,
            view,
            part: Part::Head,
            out: Vec::new(),
            read: 0,
            digest: Sha256Stream::new(),
            entry: Position::NONE,
            payload: Vec::new(),
            next_act: 0,
        })
    }

    /// Makes the next part of the text; nothing once it is all made.
    fn fill(&mut self) -> Result<(), ReadError> {
        self.out.clear();
        self.read = 0;
        match self.part {
            Part::Head => {
                self.head();
                self.part = Part::Leaves(0);
            }
            Part::Leaves(from) => {
                let to = self.view.tree_size.min(from + LEAVES_AT_ONCE);
                self.leaves(from, to)?;
                self.part = if to == self.view.tree_size { Part::Checkpoints } else { Part::Leaves(to) };
            }
            Part::Checkpoints => {
                self.checkpoints()?;
                self.part = Part::Result;
            }
            Part::Result => {
                let result = self.view.results.to_json();
                self.line(&format!(r#"{{"result":{result}}}"#));
                self.part = Part::End;
            }
            Part::End => {
                self.end();
                self.part = Part::Done;
                return Ok(());
            }
            Part::Done => return Ok(()),
        }
        self.digest.update(&self.out);
        Ok(())
    }

    fn head(&mut self) {
        let ElectionHandle { id, slug, definition_hash, roll, .. } = &*self.election;
        let keys = self.election.node_keys.load_full();
        let header = Header {
            hustings_record: 1,
            ledger: election::hex(&self.election.context.load().ledger),
            election: id.to_string(),
            slug: slug.as_str(),
            shard: 0,
            secrecy: "open",
            definition_hash: definition_hash.to_hex(),
            leaves: self.view.tree_size,
            ballots: self.view.ballots_accepted,
            roll: roll.as_ref().map_or(0, |roll| roll.entries().len() as u64),
            epochs: header_epochs(&self.view, |epoch| {
                keys.iter().find(|key| key.epoch == epoch).map_or("founded", |key| key.reason.as_str())
            }),
        };
        let header = serde_json::to_string(&header).expect("a header holds nothing that JSON cannot");
        let roll_lines = roll.as_ref().map_or_else(String::new, |roll| roll.lines());
        let definition = Arc::clone(&self.election.definition_json);
        self.line(&header);
        self.line(&definition);
        self.out.extend_from_slice(roll_lines.as_bytes());
    }

    fn leaves(&mut self, from: u64, to: u64) -> Result<(), ReadError> {
        let count = usize::try_from(to - from).expect("a bounded number of leaves");
        let mut rows = Vec::with_capacity(count * Place::BYTES);
        if !self.election.readers.places.read(from, count, &mut rows)? {
            return Err(ReadError::NoSuchLeaf { leaf: to - 1, size: self.election.readers.places.rows() });
        }
        let (rows, _) = rows.as_chunks::<{ Place::BYTES }>();
        for (leaf, row) in (from..to).zip(rows) {
            let place = Place::from_bytes(row);
            if place.length == 0 {
                self.act_line(leaf)?;
            } else {
                self.ballot_line(leaf, place)?;
            }
        }
        Ok(())
    }

    fn act_line(&mut self, leaf: u64) -> Result<(), ReadError> {
        let act = self.view.acts.get(self.next_act).filter(|(at, _)| at.0 == leaf);
        let json = Arc::clone(&act.ok_or(ReadError::Mismatch)?.1);
        self.next_act += 1;
        self.line(&format!(r#"{{"leaf":{leaf},"act":{json}}}"#));
        Ok(())
    }

    fn ballot_line(&mut self, leaf: u64, place: Place) -> Result<(), ReadError> {
        if self.entry != place.entry {
            self.election.ledger.read(place.entry, &mut self.payload)?;
            self.entry = place.entry;
        }
        let opening =
            self.payload.get(place.offset as usize..).and_then(|rest| rest.get(..place.length as usize));
        let opening = opening.ok_or(ReadError::Mismatch)?;
        self.out.extend_from_slice(br#"{"leaf":"#);
        self.out.extend_from_slice(leaf.to_string().as_bytes());
        self.out.extend_from_slice(br#","ballot":""#);
        let start = self.out.len();
        self.out.resize(start + BASE64URL_NOPAD.encode_len(opening.len()), 0);
        BASE64URL_NOPAD.encode_mut(opening, &mut self.out[start..]);
        self.out.extend_from_slice(b"\"}\n");
        Ok(())
    }

    /// A checkpoint after each act, and one over all leaves.
    fn checkpoints(&mut self) -> Result<(), ReadError> {
        let mut sizes: Vec<u64> = self.view.acts.iter().map(|(leaf, _)| leaf.0 + 1).collect();
        sizes.push(self.view.tree_size);
        sizes.retain(|size| *size <= self.view.tree_size);
        sizes.dedup();
        for size in sizes {
            let root = self.sound_root(size)?;
            let note = serde_json::to_string(&self.election.checkpoint_at(size, root))
                .expect("a note is text, which JSON can hold");
            self.line(&format!(r#"{{"checkpoint":{note}}}"#));
        }
        Ok(())
    }

    /// Root of the first `size` leaves as the tiles have it, if it leads to the root that the writer keeps in memory:
    /// tiles are a cache without sums, and a root that is signed must be right.
    fn sound_root(&self, size: u64) -> Result<Hash, ReadError> {
        let tiles = &self.election.readers.tiles;
        let (size, whole) = (TreeSize(size), TreeSize(self.view.tree_size));
        let root = root_at(size, tiles)?;
        let path = consistency(size, whole, tiles)?;
        let is_sound = verify_consistency(size, &root, whole, &self.view.root, &path).is_ok();
        if is_sound { Ok(root) } else { Err(ReadError::Mismatch) }
    }

    fn end(&mut self) {
        let key = &self.election.keys.node;
        let sum = self.digest.digest();
        let signature = key.sign(&[b"hustings record v1\n".as_slice(), &sum.0].concat());
        let line = format!(
            r#"{{"end":{{"sha256":"{}","node":{},"signature":"{}"}}}}"#,
            sum.to_hex(),
            key.node(),
            election::hex(&signature)
        );
        self.line(&line);
    }

    fn line(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(b'\n');
    }
}

impl Read for RecordReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read == self.out.len() {
            if self.part == Part::Done {
                return Ok(0);
            }
            self.fill().map_err(io::Error::other)?;
        }
        let count = buffer.len().min(self.out.len() - self.read);
        buffer[..count].copy_from_slice(&self.out[self.read..self.read + count]);
        self.read += count;
        Ok(count)
    }
}

/// Epochs with the nodes that the acts of this very tree name: the ledger may know more of them by now.
fn header_epochs<'a>(view: &'a ElectionView, reason: impl Fn(u32) -> &'a str) -> Vec<HeaderEpoch<'a>> {
    let ends = view.epochs.iter().skip(1).map(|(_, first)| *first).chain([view.tree_size]);
    let stretch = |(&(epoch, first_leaf), end): (&(u32, u64), u64)| {
        let acts = view.acts.iter().filter(|(leaf, _)| (first_leaf..end).contains(&leaf.0));
        let nodes = acts.flat_map(|(_, json)| nodes_named(json)).collect();
        HeaderEpoch { epoch, reason: reason(epoch), first_leaf, nodes }
    };
    view.epochs.iter().zip(ends).map(stretch).collect()
}
