//! What a node shows of the cluster it belongs to, and what an operator asks of it.

use election::UnixMillis;
use serde::{Deserialize, Serialize};

/// The cluster as one node knows it. A node that is no cluster shows itself alone.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClusterView {
    /// Name of the cluster; `None` where one node keeps its ledger alone.
    pub name: Option<String>,
    /// The ledger's id in hex, which is the cluster's.
    pub cluster: String,
    /// The node that shows this.
    pub this: u64,
    /// `None` while nobody leads.
    pub leader: Option<u64>,
    pub term: u64,
    /// Last position that this node has applied.
    pub position: u64,
    /// How many voters may still be lost without stopping the vote; `None` where it stands still already.
    pub can_lose: Option<u64>,
    /// Members by rising id. Positions, clocks and disks are what this node has heard of them.
    pub nodes: Vec<NodeView>,
    /// The newest last, at most 20: who has led since when, as this node saw it.
    pub elections: Vec<LeaderChange>,
    /// What is wrong, the worst first; empty where all is well.
    pub troubles: Vec<Trouble>,
    /// When this was put together.
    pub at: UnixMillis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeRole {
    Leader,
    Follower,
    /// Gets the log and does not count towards a majority yet.
    Learner,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeView {
    pub id: u64,
    pub role: NodeRole,
    /// Scheme and authority under which voters reach it, `http://192.0.2.7:8700`.
    pub address: String,
    /// Where the other nodes reach it, `192.0.2.7:8701`; `None` where there are no others.
    pub node_address: Option<String>,
    /// Last position known to be on its disk.
    pub position: u64,
    /// Its clock against the cluster's, in milliseconds; 0 for the one that measures where nothing is known.
    pub clock_offset_ms: i64,
    /// By how much `clock_offset_ms` may be wrong; `None` while nothing was measured.
    pub clock_error_ms: Option<u64>,
    /// Milliseconds since something was heard of it; 0 for this node, `None` for never.
    pub heard_ms_ago: Option<u64>,
    /// Bytes free where its ledger lies; `None` where not known.
    pub disk_free_bytes: Option<u64>,
    /// Version of the program it runs; `None` where not known.
    pub version: Option<String>,
}

/// A node that began to lead, or, without one, a leader that was lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeaderChange {
    pub at: UnixMillis,
    pub term: u64,
    pub leader: Option<u64>,
}

/// Something that an operator should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "code")]
pub enum Trouble {
    /// Nobody leads: fewer than a majority of the voters can hear each other.
    NoLeader { since: UnixMillis },
    /// Nothing heard of a member for some seconds.
    Silent { node: u64, seconds: u64 },
    /// A member's log is this many entries behind.
    Behind { node: u64, entries: u64 },
    /// A member's disk is nearly full, or so full that it takes no more.
    DiskFull { node: u64 },
    /// A clock is further from the others' than they can agree on.
    ClockOff { node: u64, offset_ms: i64 },
    /// One more lost voter stops the vote.
    NoSpare,
    /// A cluster of the same name is on the network, founded apart from this one; the two never merge.
    OtherCluster { cluster: String, address: String },
}

/// What an operator asks of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClusterRequest {
    /// A learner is to count towards the majority.
    Promote(u64),
    /// A member leaves; it cannot come back under its number.
    Remove(u64),
    /// That voter is to lead.
    Transfer(u64),
    /// This node hands over what it leads and leads no more until it is started again.
    Drain(u64),
}

/// Why a request to the cluster came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    #[error("this server keeps its ledger alone; start servers with --cluster to have others beside it")]
    NotACluster,
    #[error("no server leads at present; try again in a second")]
    NoLeader,
    #[error("node {0} does not belong to this cluster")]
    UnknownNode(u64),
    #[error("node {0} is at this address and was heard a moment ago; it is replaced once it is silent")]
    AddressTaken(u64),
    /// With the consensus' own reason.
    #[error("{0}")]
    Refused(String),
    #[error("it is not known yet whether the cluster did so; look at its members")]
    NotKnownYet,
}

impl ClusterError {
    /// Stable code for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            ClusterError::NotACluster => "not_a_cluster",
            ClusterError::NoLeader => "no_leader",
            ClusterError::UnknownNode(_) => "unknown_node",
            ClusterError::Refused(_) | ClusterError::AddressTaken(_) => "cluster_refused",
            ClusterError::NotKnownYet => "not_known_yet",
        }
    }
}
