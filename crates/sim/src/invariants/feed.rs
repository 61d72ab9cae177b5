//! The feed tells every committed leaf once, in order, and nothing else: "No … feed event … rests on an entry that is not
//! committed" (design, "Life of a ballot").

use crate::ballots::Papers;
use crate::broken::{Broken, Promise};
use crate::model::{Leaf, Model};
use node::core::{FeedItem, FeedWhat};

const PROMISE: Promise = Promise::OnlyCommitted;

/// `before` are the leaves of each election before the turn.
pub fn check(model: &Model, papers: &Papers, before: &[usize], feed: &[FeedItem]) -> Result<(), Broken> {
    for (index, election) in model.elections.iter().enumerate() {
        let from = before.get(index).copied().unwrap_or(0);
        let told: Vec<&FeedItem> = feed.iter().filter(|item| item.election.0 as usize == index).collect();
        let is_right = |(item, leaf): (&&FeedItem, usize)| {
            item.leaf.0 == leaf as u64
                && item.position.0 == model.position
                && match (&item.what, election.leaves[leaf]) {
                    (FeedWhat::Ballot { answers, .. }, Leaf::Ballot(paper)) => {
                        papers.get(paper).ballot.opening.ends_with(answers)
                    }
                    (FeedWhat::Act { json }, Leaf::Act(name)) => json.contains(name),
                    _ => false,
                }
        };
        let new = election.leaves.len() - from;
        let holds = told.len() == new && told.iter().zip(from..).all(is_right);
        PROMISE.check(holds, || {
            format!("election {index} got {new} leaves behind {from}, and the feed told {told:?}")
        })?;
    }
    Ok(())
}
