//! Checkpoints: those in the record, and those somebody kept.

use std::collections::HashMap;
use std::io::{self, Read, Seek, SeekFrom};

use proof::checkpoint::{Checkpoint, Origin};
use proof::{Hash, TreeSize};

use crate::acts::Acts;
use crate::form::{CheckpointLine, Header, compact};
use crate::report::{Check, Finding, Verdicts};
use crate::run::Kept;

const TAIL_BLOCK_BYTES: u64 = 1 << 16;

/// Sizes of the checkpoints at the end of a record, so that their roots can be taken down while its leaves pass by.
///
/// Reads the file from its end, as far as the last leaf.
pub fn sizes_at_end(record: &mut (impl Read + Seek)) -> io::Result<Vec<u64>> {
    let mut sizes = Vec::new();
    let mut start = record.seek(SeekFrom::End(0))?;
    // Beginning of a block, up to its first line feed: the end of a line of the block before.
    let mut carried: Vec<u8> = Vec::new();
    while start > 0 {
        let length = start.min(TAIL_BLOCK_BYTES);
        start -= length;
        record.seek(SeekFrom::Start(start))?;
        let mut block = vec![0; length as usize];
        record.read_exact(&mut block)?;
        block.append(&mut carried);
        let mut lines = block.split(|byte| *byte == b'\n');
        carried = lines.next().unwrap_or_default().to_vec();
        let mut is_tail = true;
        for line in lines {
            is_tail &= !line.starts_with(b"{\"leaf\":");
            if let Some(size) = checkpoint_size(line) {
                sizes.push(size);
            }
        }
        if !is_tail || carried.len() > crate::lines::LINE_BYTES_MAX {
            break;
        }
    }
    Ok(sizes)
}

fn checkpoint_size(line: &[u8]) -> Option<u64> {
    if !line.starts_with(b"{\"checkpoint\":") {
        return None;
    }
    let CheckpointLine { checkpoint } = compact(line)?;
    Checkpoint::parse(&checkpoint).ok().map(|checkpoint| checkpoint.size.0)
}

/// What checkpoints are compared with.
pub struct Known<'a> {
    pub header: &'a Header,
    pub acts: &'a Acts,
    /// Roots at all sizes that a checkpoint names.
    pub roots: &'a HashMap<u64, Hash>,
}

impl Known<'_> {
    /// Checks 7 (but for the leaves' numbers) and 8.
    pub fn check_published(&self, notes: &[String], verdicts: &mut Verdicts) {
        let mut last_size = 0;
        let mut sizes = Vec::new();
        for (number, note) in notes.iter().enumerate() {
            let checkpoint = match Checkpoint::parse(note) {
                Ok(checkpoint) => checkpoint,
                Err(error) => {
                    verdicts.fail(Check::Checkpoints, Finding::new(format!("checkpoint {number}: {error}")));
                    continue;
                }
            };
            let size = checkpoint.size.0;
            sizes.push(size);
            if size < last_size {
                let what = format!("checkpoint {number} is of size {size}, after one of size {last_size}");
                verdicts.fail(Check::Tree, Finding::new(what));
            }
            last_size = last_size.max(size);
            if self.roots.get(&size) != Some(&checkpoint.root) {
                let what = format!("the first {size} leaves do not have the root of checkpoint {number}");
                verdicts.fail(Check::Tree, Finding::new(what));
            }
            if let Err(what) = self.check_signed(note, &checkpoint) {
                let finding = Finding::new(format!("checkpoint {number}, of size {size}: {what}"));
                verdicts.fail(Check::Checkpoints, finding);
            }
        }
        if last_size != self.header.leaves {
            let what = format!("the last checkpoint covers {last_size} of {} leaves", self.header.leaves);
            verdicts.fail(Check::Tree, Finding::new(what));
        }
        if let Some(closed) = self.acts.closed
            && !sizes.contains(&(closed.leaf + 1))
        {
            let what = format!("there is no checkpoint at the closing size {}", closed.leaf + 1);
            verdicts.fail(Check::Checkpoints, Finding::at_leaf(closed.leaf, what));
        }
    }

    /// Check 19.
    pub fn check_kept(&self, kept: &[Kept], verdicts: &mut Verdicts) {
        if kept.is_empty() {
            verdicts.skip(Check::KeptCheckpoints, "no checkpoint was given");
        }
        for Kept { name, text } in kept {
            if let Err(what) = self.check_kept_one(text) {
                verdicts.fail(Check::KeptCheckpoints, Finding::new(format!("{name}: {what}")));
            }
        }
    }

    fn check_kept_one(&self, note: &str) -> Result<(), String> {
        let checkpoint = Checkpoint::parse(note).map_err(|error| error.to_string())?;
        self.check_origin(&checkpoint.origin)?;
        self.check_signature(note, &checkpoint)?;
        let (size, leaves) = (checkpoint.size.0, self.header.leaves);
        if size > leaves {
            return Err(format!("it covers {size} leaves, and the record has {leaves}"));
        }
        if self.roots.get(&size) != Some(&checkpoint.root) {
            return Err(format!("the record has another root at its size {size}: history was changed"));
        }
        Ok(())
    }

    fn check_signed(&self, note: &str, checkpoint: &Checkpoint) -> Result<(), String> {
        self.check_origin(&checkpoint.origin)?;
        let last_leaf = checkpoint.size.0.checked_sub(1).ok_or("it covers no leaf")?;
        let epoch = self.acts.epoch_of_leaf(last_leaf).ok_or("no act names an epoch for it")?.epoch;
        // A later epoch may vouch for what an earlier one left: after a restore the earlier key is gone.
        if checkpoint.origin.epoch < epoch {
            return Err(format!(
                "it names epoch {}, and its last leaf is of epoch {epoch}",
                checkpoint.origin.epoch
            ));
        }
        self.check_signature(note, checkpoint)
    }

    fn check_origin(&self, origin: &Origin) -> Result<(), String> {
        let Header { ledger, election, shard, .. } = self.header;
        if origin.ledger != *ledger || origin.election != *election || origin.shard != *shard {
            return Err("it is of another ledger, election or shard".to_owned());
        }
        Ok(())
    }

    fn check_signature(&self, note: &str, checkpoint: &Checkpoint) -> Result<(), String> {
        let nodes = self.acts.nodes_of_epoch(checkpoint.origin.epoch);
        Checkpoint::verify(note, &nodes).map(|_| ()).map_err(|error| error.to_string())
    }
}

/// Sizes that the given notes name, whatever else is wrong with them.
pub fn kept_sizes(kept: &[Kept]) -> Vec<u64> {
    let parsed = kept.iter().filter_map(|kept| Checkpoint::parse(&kept.text).ok());
    parsed.map(|Checkpoint { size: TreeSize(size), .. }| size).collect()
}
