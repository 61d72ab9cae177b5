//! Closed stays closed, and a deadline holds: from the issue, "Life of a ballot" and "Time, order, admission" in the
//! design.
//!
//! An election that was once seen closed, published or cancelled is never open again, whatever restarts between; no
//! ballot's stamp is later than the closing time in force; and nothing but the lot, reveals, the publication,
//! a new epoch and a node that joins is added behind the close.

use crate::ballots::Papers;
use crate::broken::{Broken, Promise};
use crate::model::{Leaf, Model};
use election::{ElectionState, State};

const PROMISE: Promise = Promise::Closed;

/// The furthest each election has been seen.
#[derive(Debug, Default)]
pub struct Ends {
    seen: Vec<ElectionState>,
}

impl Ends {
    pub fn check(&mut self, state: &State) -> Result<(), Broken> {
        for (index, election) in state.elections().iter().enumerate() {
            if index == self.seen.len() {
                self.seen.push(election.state);
            }
            let (before, now) = (self.seen[index], election.state);
            let holds = match before {
                ElectionState::Closed => matches!(now, ElectionState::Closed | ElectionState::Published),
                ElectionState::Published | ElectionState::Cancelled => now == before,
                ElectionState::Open | ElectionState::Paused | ElectionState::Closing => {
                    now != ElectionState::Draft
                }
                ElectionState::Draft => true,
            };
            PROMISE.check(holds, || format!("election {index} was {before} and is {now}"))?;
            self.seen[index] = now;
        }
        Ok(())
    }
}

/// Over all leaves of all elections.
pub fn check_leaves(model: &Model, papers: &Papers) -> Result<(), Broken> {
    for (index, election) in model.elections.iter().enumerate() {
        for (leaf, paper) in election.ballots() {
            let stamp = papers.get(paper).ballot.stamp.wall().0;
            PROMISE.check(election.closes_at.is_none_or(|at| stamp <= at), || {
                format!("the ballot at leaf {leaf} of election {index} came after its deadline")
            })?;
        }
        let Some(size) = election.closing_size else { continue };
        let behind = &election.leaves[usize::try_from(size).expect("few leaves")..];
        let holds = behind.iter().all(|leaf| {
            matches!(
                leaf,
                Leaf::Act("drawn" | "revealed" | "hidden" | "published" | "epoch" | "node" | "cancelled")
            )
        });
        PROMISE.check(holds, || format!("behind the close of election {index} stand {behind:?}"))?;
    }
    Ok(())
}
