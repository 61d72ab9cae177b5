//! A voter's own entry found on disk, over any storage: what repeated requests are answered from. The node's own lookup
//! does the same over its files.

use election::ballot::Opening;
use election::{ElectionIndex, LedgerId, Rejection};
use ledger::faulty::FaultyStorage;
use ledger::index::IndexReader;
use ledger::{LogReader, Reader};
use node::NodeError;
use node::caches::{ElectionReaders, leaf_of_value};
use node::core::{Core, Repeat};
use node::engine::Engine;
use node::replica::Replica;
use proof::{Hash, LeafKind, TileReader, leaf_hash};

pub type SimEngine = Engine<FaultyStorage, u64>;
pub type SimReplica = Replica<FaultyStorage, u64>;

/// What a node has applied, kept and may read, alone or in a cluster.
pub trait Served {
    fn core(&self) -> &Core<u64>;
    fn ledger(&self) -> LedgerId;
    fn reader(&self) -> Reader<FaultyStorage>;
    fn readers(&mut self, election: ElectionIndex) -> Result<ElectionReaders<FaultyStorage>, NodeError>;
    fn voters(&self) -> IndexReader<FaultyStorage>;
}

macro_rules! served {
    ($node:ty) => {
        impl Served for $node {
            fn core(&self) -> &Core<u64> {
                self.core()
            }

            fn ledger(&self) -> LedgerId {
                self.identity().ledger
            }

            fn reader(&self) -> Reader<FaultyStorage> {
                self.reader()
            }

            fn readers(&mut self, index: ElectionIndex) -> Result<ElectionReaders<FaultyStorage>, NodeError> {
                self.readers(index)
            }

            fn voters(&self) -> IndexReader<FaultyStorage> {
                self.voters()
            }
        }
    };
}

served!(SimEngine);
served!(SimReplica);

/// What a repeated request comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// A receipt for this leaf.
    Same {
        leaf: u64,
        hash: Hash,
    },
    KeyReused,
    Refused(Rejection),
    Unreadable(String),
}

/// Answers a ballot that was refused because of an earlier one of its voter.
pub fn resolve(engine: &mut impl Served, repeat: &Repeat) -> Resolved {
    match try_resolve(engine, repeat) {
        Ok(resolved) => resolved,
        Err(what) => Resolved::Unreadable(what),
    }
}

fn try_resolve(engine: &mut impl Served, repeat: &Repeat) -> Result<Resolved, String> {
    let leaves = match repeat.rejection {
        Rejection::KeySeen(leaf) => vec![leaf.0],
        _ => leaves_of(engine, repeat.election, &repeat.tag.0)?,
    };
    let sent = Opening::parse(&repeat.opening).map_err(|error| error.to_string())?;
    for leaf in leaves {
        let bytes = opening_of(engine, repeat.election, leaf)?;
        let tiles = engine.readers(repeat.election).map_err(|error| error.to_string())?.tiles;
        let mut hashes = Vec::new();
        tiles.hashes(0, leaf, 1, &mut hashes).map_err(|error| error.to_string())?;
        if hashes != [leaf_hash(LeafKind::Ballot, &bytes)] {
            return Err(format!("leaf {leaf} is damaged on the disk"));
        }
        let stored = Opening::parse(&bytes).map_err(|error| error.to_string())?;
        if stored.fields.voter != repeat.tag || stored.fields.key != repeat.key {
            continue;
        }
        let (a, b) = (stored.fields.extras, sent.fields.extras);
        let is_same = stored.body == sent.body && a.group == b.group && a.weight == b.weight;
        return Ok(if is_same {
            Resolved::Same { leaf, hash: leaf_hash(LeafKind::Ballot, &bytes) }
        } else {
            Resolved::KeyReused
        });
    }
    Ok(Resolved::Refused(repeat.rejection.clone()))
}

/// Leaves of a voter's ballots in one election, as the index on disk has them.
pub fn leaves_of(engine: &impl Served, election: ElectionIndex, tag: &[u8; 16]) -> Result<Vec<u64>, String> {
    let mut values = Vec::new();
    engine.voters().lookup(tag, &mut values).map_err(|error| error.to_string())?;
    Ok(values.into_iter().filter_map(|value| leaf_of_value(value, election)).collect())
}

/// The bytes behind a ballot's leaf, by its place.
pub fn opening_of(engine: &mut impl Served, election: ElectionIndex, leaf: u64) -> Result<Vec<u8>, String> {
    let readers = engine.readers(election).map_err(|error| error.to_string())?;
    let place = readers.place(leaf).map_err(|error| error.to_string())?;
    let place = place.ok_or_else(|| format!("there is no place for leaf {leaf}"))?;
    let mut opening = vec![0; place.length as usize];
    let read = engine.reader().read_range(place.entry, place.offset, &mut opening);
    read.map_err(|error| error.to_string())?;
    Ok(opening)
}
