//! What a node has once said to be on its disk is there after every crash (Ongaro 2014, figure 3.1: entries and votes are
//! on stable storage before a server answers); and who comes back disturbs nobody (section 9.6 there: pre-vote).

use crate::broken::{Broken, Promise};
use cluster::{NodeId, Role, Status};

/// A node starts again; before, it had answered for all up to `synced`.
pub fn check_start(id: NodeId, synced: u64, last: u64) -> Result<(), Broken> {
    Promise::Kept
        .check(last >= synced, || format!("node {id} had {synced} entries on its disk, and has {last}"))
}

/// A leader whom a majority has just heard and answered, with nothing wrong any more: it stays.
pub fn is_settled(status: &Status, heartbeat_ticks: u64) -> bool {
    let heard = |of: &cluster::Progress| of.heard_ticks_ago.is_some_and(|ago| ago <= heartbeat_ticks + 2);
    let heard = status.progress.values().filter(|of| heard(of)).count();
    status.role == Role::Leader && !status.short_of_room && heard > status.progress.len() / 2
}

pub fn check_stays(term: u64, now: Option<u64>) -> Result<(), Broken> {
    Promise::Kept.check(now.is_none_or(|now| now == term), || {
        format!("a leader of term {term} was heard by a majority, and {now:?} is the term now")
    })
}
