//! One leader a term (Ongaro, "Consensus: Bridging Theory and Practice", 2014, figure 3.2: election safety).

use crate::broken::{Broken, Promise};
use cluster::{NodeId, Role, Status};
use std::collections::BTreeMap;

/// Who has led in each term.
#[derive(Debug, Default)]
pub struct Leaders {
    of_terms: BTreeMap<u64, NodeId>,
    last: Option<NodeId>,
}

/// True where another node leads than before.
pub fn check(leaders: &mut Leaders, id: NodeId, status: &Status) -> Result<bool, Broken> {
    if status.role != Role::Leader {
        return Ok(false);
    }
    let leads = *leaders.of_terms.entry(status.term).or_insert(id);
    Promise::OneLeader
        .check(leads == id, || format!("nodes {leads} and {id} both lead in term {}", status.term))?;
    Ok(leaders.last.replace(id) != Some(id))
}
