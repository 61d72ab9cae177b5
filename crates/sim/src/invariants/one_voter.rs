//! Promise 2: one voter, one counted ballot (or the configured cap), under any concurrency, retry, failover or replay.
//!
//! Counted from the stored bytes alone: the openings are read back from the ledger and cut by the offsets that
//! `docs/formats.md` gives, so neither the voted sets nor the parsing of `election` has a part in it.

use crate::broken::{Broken, Promise};
use crate::invariants::acknowledged::index_of;
use crate::lookup::{Served, opening_of};
use crate::model::Model;
use std::collections::BTreeMap;

const PROMISE: Promise = Promise::OneVoter;
/// Nonce 32, election 16, shard 4; then the tag.
const TAG: std::ops::Range<usize> = 52..68;
const KEY: std::ops::Range<usize> = 68..84;

pub fn check(engine: &mut impl Served, model: &Model) -> Result<(), Broken> {
    for (index, election) in model.elections.iter().enumerate() {
        let mut ballots: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        let mut keys: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        for (leaf, _) in election.ballots() {
            let opening = opening_of(engine, index_of(index), leaf).map_err(|what| PROMISE.broken(what))?;
            let (tag, key) = (opening[TAG].to_vec(), &opening[KEY]);
            *ballots.entry(tag.clone()).or_default() += 1;
            let is_keyed = key.iter().any(|byte| *byte != 0);
            if is_keyed && let Some(first) = keys.insert([&tag, key].concat(), leaf) {
                let what = format!("one request stands at leaves {first} and {leaf} of election {index}");
                return Err(PROMISE.broken(what));
            }
        }
        let most = ballots.values().max().copied().unwrap_or(0);
        let cap = election.plan.ballots_per_voter;
        PROMISE.check(election.plan.last_counts || most <= cap, || {
            format!("a voter has {most} ballots in election {index}, where {cap} are allowed")
        })?;
        let live = engine.core().state().election(index_of(index)).expect("the model follows the state");
        let counted = if election.plan.last_counts { ballots.len() } else { ballots.values().sum() };
        PROMISE.check(live.tally.all.ballots == counted as u64, || {
            format!("election {index} counts {} ballots, {counted} may count", live.tally.all.ballots)
        })?;
        PROMISE.check(live.voted.voters() == ballots.len() as u64, || {
            format!("election {index} says {} voters, there are {}", live.voted.voters(), ballots.len())
        })?;
    }
    Ok(())
}
