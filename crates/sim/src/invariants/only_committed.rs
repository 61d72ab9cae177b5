//! "No answer, refusal, turnout figure, feed event or checkpoint rests on an entry that is not committed" (design, "Life
//! of a ballot"); on one node committed means synced.
//!
//! After every turn that answered anything the machine is switched off, on a copy of its disk that loses all that is
//! not synced. What the node has answered for must still be there.

use crate::broken::{Broken, Promise};
use crate::disks::Machine;
use crate::model::Model;
use ledger::faulty::Crash;
use ledger::{Ledger, LedgerError, Threads};

const PROMISE: Promise = Promise::OnlyCommitted;

pub fn check(machine: &Machine, model: &Model) -> Result<(), Broken> {
    let durable = machine.ledger.copy();
    durable.crash(Crash::LoseAll);
    let (seen, kept) = (machine.ledger.contents(), durable.contents());
    let mut segments = seen.iter().filter(|(name, _)| name.ends_with(".seg"));
    if segments.all(|(name, bytes)| kept.get(name) == Some(bytes)) {
        return Ok(());
    }
    // Something is not synced; it may be what a full disk left behind, so the log is read.
    let read = Ledger::check(&durable, Threads::CallerOnly, |_| Ok::<(), LedgerError>(()));
    let last = read.map_err(|error| PROMISE.broken(error.to_string()))?.last;
    let is_there = last.position.0 == model.position && Some(last.hash) == model.hash;
    PROMISE.check(is_there, || {
        format!("entry {} was answered for; the disk holds {} entries", model.position, last.position)
    })
}
