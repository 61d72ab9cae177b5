//! What is done to the machine: armed before turns, or done to its disks between two lives of the process.

use super::Sim;
use crate::broken::{Broken, Promise};
use crate::disks::CacheFate;
use ledger::{Storage, StorageFile};
use node::caches::Snapshot;
use std::collections::BTreeMap;

/// Bytes of an entry before its payload.
const ENTRY_HEAD_BYTES: usize = 104;

impl Sim {
    /// Arms what will go wrong during the next turns.
    pub(super) fn do_harm(&mut self) {
        self.fill_disks();
        self.arm_crash();
        self.arm_failing_sync();
        self.upset_clock();
    }

    fn fill_disks(&mut self) {
        let random = &mut self.chance.faults;
        if let Some(until) = self.sabotage.full_until {
            if self.step >= until {
                self.machine.set_space(None);
                self.sabotage.full_until = None;
            }
        } else if random.permille(15) {
            self.sabotage.full_until = Some(self.step + random.between(1, 12));
            self.caches_lag = true;
            for disk in [&self.machine.ledger, &self.machine.cache, &self.machine.index] {
                if random.one_in(2) {
                    disk.set_space(Some(random.below(3_000)));
                }
            }
            self.note("fault: full disk");
        }
    }

    fn arm_crash(&mut self) {
        let random = &mut self.chance.faults;
        if self.sabotage.crash || !random.permille(25) {
            return;
        }
        self.sabotage.crash = true;
        let disk = match random.below(4) {
            0 => &self.machine.cache,
            1 => &self.machine.index,
            _ => &self.machine.ledger,
        };
        disk.crash_at_operation(disk.operations() + random.between(1, 12));
    }

    fn arm_failing_sync(&mut self) {
        let random = &mut self.chance.faults;
        if self.sabotage.sync || !random.permille(14) {
            return;
        }
        // A cache that cannot be synced ends nothing.
        let is_cache = random.one_in(4);
        self.sabotage.sync = !is_cache;
        let disk = if is_cache { &self.machine.cache } else { &self.machine.ledger };
        disk.fail_sync(random.between(1, 6));
        self.note(if is_cache { "fault: failing sync of a cache" } else { "fault: failing sync" });
    }

    fn upset_clock(&mut self) {
        let random = &mut self.chance.faults;
        if !random.permille(20) {
            return;
        }
        let step = i64::try_from(random.below(4_000_000)).expect("small");
        match random.below(5) {
            0 => self.clock.set_drift(i64::try_from(random.below(400)).expect("small") - 200),
            1 => self.clock.step_wall(step),
            2 => self.clock.step_wall(-step),
            3 => self.clock.confirm(),
            _ => self.clock.heal(),
        }
        self.note("fault: clock");
    }

    /// What becomes of the disks between two lives.
    pub(super) fn damage_disks(&mut self, is_stopped: bool) -> Result<(), Broken> {
        let random = &mut self.chance.lives;
        let is_limited = self.sabotage.full_until.is_some();
        if is_limited && !random.one_in(3) {
            self.machine.set_space(None);
            self.sabotage.full_until = None;
        }
        let fate = match random.below(10) {
            0..=4 => CacheFate::Kept,
            5 | 6 => CacheFate::Deleted,
            7 => CacheFate::FileDeleted,
            8 => CacheFate::FileTorn,
            _ => CacheFate::SnapshotDamaged,
        };
        self.machine.change_caches(random, fate);
        if fate != CacheFate::Kept {
            self.note(&format!("fault: caches {fate:?}"));
        }
        if self.sabotage.sync || self.sabotage.full_until.is_some() {
            // The start may fail for other reasons.
            return Ok(());
        }
        if self.chance.lives.one_in(6) {
            self.damage_the_ledger()?;
        }
        if is_stopped && fate == CacheFate::Kept && self.chance.lives.one_in(3) {
            self.lose_the_last_segment()?;
        }
        Ok(())
    }

    /// Flips bits in an entry that was confirmed. The node has to refuse to start, and to start once they are back.
    fn damage_the_ledger(&mut self) -> Result<(), Broken> {
        let last = self.model.position;
        let confirmed = if self.marked == last { last } else { last.saturating_sub(1) };
        if confirmed == 0 {
            return Ok(());
        }
        let random = &mut self.chance.lives;
        let position = if random.one_in(2) { confirmed } else { random.between(1, confirmed) };
        let payload = &self.payloads[usize::try_from(position - 1).expect("few entries")];
        let (name, start) = find(&self.machine.ledger.contents(), payload).ok_or_else(|| {
            Promise::Acknowledged.broken(format!("entry {position} is not in the durable image any more"))
        })?;
        let head = ENTRY_HEAD_BYTES.min(start);
        let at = start - head + random.index(head + payload.len());
        let mask = 1 << random.below(8);
        self.machine.ledger.flip(&name, at, mask);
        self.note("fault: damaged entry");
        let opened = self.try_open();
        match opened {
            Err(error) if error.is_damage() => {
                self.machine.ledger.flip(&name, at, mask);
                Ok(())
            }
            Err(error) => {
                Err(Promise::Acknowledged.broken(format!("entry {position} is damaged, but: {error}")))
            }
            Ok(engine) => Err(Promise::Acknowledged.broken(format!(
                "entry {position} was confirmed and is damaged, and the node started with {} entries",
                engine.committed()
            ))),
        }
    }

    /// The file with the last entries is gone, and the caches show it: the node has to refuse to start.
    fn lose_the_last_segment(&mut self) -> Result<(), Broken> {
        let contents = self.machine.ledger.contents();
        let segments: Vec<&String> = contents.keys().filter(|name| name.ends_with(".seg")).collect();
        let has_snapshot = self.machine.cache.contents().contains_key("snapshot");
        let (true, [_, .., last]) = (has_snapshot && self.snapshot_is_newest(), segments.as_slice()) else {
            return Ok(());
        };
        let disk = &self.machine.ledger;
        disk.remove(last).expect("the file is there");
        self.note("fault: lost segment");
        let opened = self.try_open();
        let disk = &self.machine.ledger;
        match opened {
            Err(error) if error.is_damage() => {
                let put_back = || {
                    let file = disk.create(last)?;
                    file.write_at(&[&contents[*last]], 0)?;
                    file.sync_data()?;
                    disk.sync_folder()
                };
                put_back().expect("the machine is in order");
                Ok(())
            }
            Err(error) => Err(Promise::Acknowledged.broken(format!("the last file is gone, but: {error}"))),
            Ok(engine) => Err(Promise::Acknowledged.broken(format!(
                "the ledger's last file is gone, its caches know of {} entries, and the node started with {}",
                self.model.position,
                engine.committed()
            ))),
        }
    }

    /// Whether the snapshot on disk is of the last entry.
    fn snapshot_is_newest(&self) -> bool {
        Snapshot::read(&self.machine.cache)
            .is_some_and(|snapshot| snapshot.point.position.0 == self.model.position)
    }
}

/// Where a payload stands among the segments.
fn find(files: &BTreeMap<String, Vec<u8>>, payload: &[u8]) -> Option<(String, usize)> {
    files.iter().filter(|(name, _)| name.ends_with(".seg")).find_map(|(name, bytes)| {
        let at = bytes.windows(payload.len()).position(|window| window == payload)?;
        Some((name.clone(), at))
    })
}
