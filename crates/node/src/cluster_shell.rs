//! What stands around a replica in a running server: the line to the other nodes, the file that names its place, and
//! what operators see.

use crate::clock::SystemClock;
use crate::cluster_view::{ClusterView, LeaderChange, NodeRole, NodeView, Trouble};
use crate::error::NodeError;
use crate::folder::{DataFolder, replace_file};
use crate::letters::{Lane, NodeReport};
use crate::replica::{Begin, Input, Letter, NewEpoch, Out, Replica};
use bytes::Bytes;
use cluster::time::{Adjustment, ClockSample, TimeConfig, TimeKeeper};
use cluster::{Membership, NodeId, NodeInfo, Role, Seat};
use election::UnixMillis;
use ledger::{FileStorage, LedgerId, Position, Storage};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What consensus counts time in.
pub const TICK_MILLIS: u64 = 20;
/// A leader says this often that it is there: every 100 ms.
pub const HEARTBEAT_TICKS: usize = 5;
/// The highest voter stands for election after 500 to 650 ms without a word of a leader, the next ones 200 ms later each.
pub const ELECTION_TICKS: usize = 25;
/// Ticks that are made up for at once after the process was held up.
const TICKS_MAX: u64 = 5;
/// Without an entry for this long, marks are written.
const QUIET: Duration = Duration::from_millis(250);
const VIEW_EVERY: Duration = Duration::from_millis(200);
const DISK_EVERY: Duration = Duration::from_millis(500);
const LEADER_CHANGES_MAX: usize = 20;
/// A member of which nothing was heard for this long is a trouble.
const SILENT_MILLIS: u64 = 3_000;
/// So many entries behind, a member is a trouble.
const BEHIND_ENTRIES: u64 = 1_000;
const DISK_LOW_BYTES: u64 = 64 << 20;

/// The line to the other nodes of a cluster.
pub trait Courier: Send {
    /// Hands a letter over and never waits; it may be lost.
    fn send(&self, to: NodeId, lane: u8, bytes: Bytes);
    /// Who belongs, with their addresses.
    fn set_members(&self, members: &[(NodeId, String)]);
    fn lines(&self) -> Vec<Line>;
    /// The best that is known of each other member's clocks, against the monotonic clock of
    /// [`ClusterConfig::clock`].
    fn clock_samples(&self) -> Vec<(NodeId, ClockSample)>;
    /// Clusters of the same name that are not this one: id in hex and address.
    fn other_clusters(&self) -> Vec<(String, String)>;
    /// What this node is at present, for those who look for a cluster.
    fn tell(&self, leads: bool, term: u64, last: Position);
}

/// What is known of the line to a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub node: NodeId,
    /// Milliseconds since something came from it; `None` for never.
    pub heard_ms_ago: Option<u64>,
}

/// A node's place in a cluster, and how it got it.
pub struct ClusterConfig {
    pub name: String,
    pub node: NodeId,
    pub begin: Begin,
    pub info: NodeInfo,
    pub courier: Box<dyn Courier>,
    pub clock: SystemClock,
    pub time: TimeConfig,
    /// See [`Replica::prefer_highest`].
    pub prefer_highest: bool,
}

impl std::fmt::Debug for ClusterConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterConfig")
            .field("name", &self.name)
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

/// The file that says which place in which cluster a data folder holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub name: String,
    /// Hex.
    pub ledger: String,
    pub node: u64,
    /// Whether the node's log was made under this number. Where it was, and the log is gone, the number is, too.
    pub begun: bool,
    /// Whether the node has left: it comes back under another number.
    #[serde(default)]
    pub left: bool,
    /// Whether there are other members, from whom a lost log can be fetched.
    #[serde(default)]
    pub others: bool,
    /// Begun by this node as soon as it leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_epoch: Option<NewEpoch>,
    /// The folder of the cluster that goes on from this one, after a majority was lost: this one must not run again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered_into: Option<String>,
}

impl Place {
    /// A place that is to be taken.
    pub fn new(name: String, ledger: LedgerId, node: NodeId) -> Self {
        let ledger = election::hex(&ledger.0);
        let (new_epoch, recovered_into) = (None, None);
        let (begun, left, others) = (false, false, false);
        Place { name, ledger, node: node.0, begun, left, others, new_epoch, recovered_into }
    }

    /// Writes down whether there are other members.
    pub fn note_others(folder: &DataFolder, others: bool) -> Result<(), NodeError> {
        match Self::read(folder)? {
            Some(place) if place.others != others => Place { others, ..place }.write(folder),
            _ => Ok(()),
        }
    }

    /// `None` where the folder holds none.
    pub fn read(folder: &DataFolder) -> Result<Option<Self>, NodeError> {
        let path = folder.cluster();
        let failed = |source| NodeError::File { step: "read", path: path.clone(), source };
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| failed(error.into())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// On disk before this returns.
    pub fn write(&self, folder: &DataFolder) -> Result<(), NodeError> {
        let path = folder.cluster();
        let text = serde_json::to_vec_pretty(self).expect("a place holds nothing that JSON cannot");
        replace_file(&path, &path.with_extension("new"), &text).map_err(|source| NodeError::File {
            step: "write",
            path,
            source,
        })
    }

    /// Gives the place up: what is left of its log is moved aside, whole, and the node comes back under a new number.
    /// Returns the end of the moved files' names.
    pub fn give_up(folder: &DataFolder) -> Result<String, NodeError> {
        // First the log: a place without one is never taken for one that may vote.
        let suffix = ledger::set_aside(&folder.disks()?.ledger)?;
        let path = folder.cluster();
        std::fs::remove_file(&path).map_err(|source| NodeError::File { step: "remove", path, source })?;
        Ok(suffix)
    }

    pub fn ledger_id(&self) -> Option<LedgerId> {
        let bytes = data_encoding::HEXLOWER.decode(self.ledger.as_bytes()).ok()?;
        Some(LedgerId(bytes.try_into().ok()?))
    }
}

/// Looks after a replica: time, letters, and the view of the cluster.
pub(crate) struct Steward {
    name: String,
    courier: Box<dyn Courier>,
    time: TimeConfig,
    /// Where this node leads, since the term it began in.
    keeper: Option<(u64, TimeKeeper)>,
    clock: Option<(i64, u64)>,
    disk: FileStorage,
    ticked: Instant,
    disk_looked_at: Option<Instant>,
    disk_free: Option<u64>,
    viewed_at: Option<Instant>,
    last_applied: (Position, Instant),
    changes: Vec<LeaderChange>,
    leaderless_since: Option<UnixMillis>,
}

impl Steward {
    #[allow(clippy::disallowed_methods)] // consensus counts the time that passes, nothing is decided by it
    pub fn new(name: String, courier: Box<dyn Courier>, time: TimeConfig, disk: FileStorage) -> Self {
        let now = Instant::now();
        Steward {
            name,
            courier,
            time,
            keeper: None,
            clock: None,
            disk,
            ticked: now,
            disk_looked_at: None,
            disk_free: None,
            viewed_at: None,
            last_applied: (Position::NONE, now),
            changes: Vec::new(),
            leaderless_since: None,
        }
    }

    /// Adds the time that has passed, behind the letters: what came while this node was held up is heard before it
    /// stands for election.
    pub fn add_ticks<T>(&mut self, inputs: &mut Vec<Input<T>>) {
        let passed = u64::try_from(self.ticked.elapsed().as_millis()).unwrap_or(u64::MAX) / TICK_MILLIS;
        if passed > 0 {
            self.ticked += Duration::from_millis(passed * TICK_MILLIS);
            inputs.extend((0..passed.min(TICKS_MAX)).map(|_| Input::Tick));
        }
        if self.disk_looked_at.is_none_or(|at| at.elapsed() >= DISK_EVERY) {
            self.disk_looked_at = Some(self.ticked);
            self.disk_free = self.disk.free_bytes().ok();
            inputs.push(Input::Report(NodeReport {
                applied: 0,
                synced: 0,
                disk_free_bytes: self.disk_free,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                clock: self.clock,
            }));
        }
    }

    /// Sends what a turn wrote, and lets the line know who belongs.
    pub fn carry<T>(&mut self, out: &mut Out<T>) {
        if let Some(membership) = out.membership.take() {
            let members: Vec<(NodeId, String)> =
                membership.members().map(|(id, info)| (id, info.address.clone())).collect();
            // A node that has only just joined knows what its admission said, and its log says nobody yet.
            if !members.is_empty() {
                self.courier.set_members(&members);
            }
        }
        out.letters.drain(..).for_each(|letter| self.send(letter));
    }

    pub fn send(&self, Letter { to, lane, bytes }: Letter) {
        self.courier.send(to, lane as u8, bytes);
    }

    /// The leader compares clocks, and tells each member the time; its own adjustment is returned.
    pub fn keep_time<T>(
        &mut self,
        replica: &Replica<FileStorage, T>,
        now: cluster::time::ClockReading,
    ) -> Option<Adjustment> {
        let status = replica.status();
        if status.role != Role::Leader {
            self.keeper = None;
            return None;
        }
        let (_, keeper) = match &mut self.keeper {
            Some(kept) if kept.0 == status.term => kept,
            kept => kept.insert((status.term, TimeKeeper::new(self.time))),
        };
        for (peer, sample) in self.courier.clock_samples() {
            keeper.sample(peer, sample);
        }
        let membership = replica.membership();
        let of_seat = |seat| membership.with_seat(seat).collect::<Vec<_>>();
        let (voters, learners) = (of_seat(Seat::Voter), of_seat(Seat::Learner));
        let agreed = keeper.poll(now, status.term, status.id, &voters, &learners)?;
        let mut own = None;
        for (member, adjustment) in agreed.adjustments {
            match member == status.id {
                true => own = Some(adjustment),
                false => self.courier.send(member, Lane::Time as u8, adjustment.encode().into()),
            }
        }
        own
    }

    /// This node's own clock against the cluster's, for its reports.
    pub fn note_clock(&mut self, clock: Option<(i64, u64)>) {
        self.clock = clock;
    }

    /// Whether nothing was applied for a while.
    pub fn is_quiet(&mut self, applied: Position) -> bool {
        if self.last_applied.0 != applied {
            self.last_applied = (applied, self.ticked);
        }
        self.ticked.duration_since(self.last_applied.1) >= QUIET
    }

    /// The cluster before the first turn: its members, as far as the log tells.
    pub fn first_look<T>(&self, replica: &Replica<FileStorage, T>, now: UnixMillis) -> ClusterView {
        ClusterView {
            name: Some(self.name.clone()),
            cluster: replica.identity().log.to_string(),
            this: replica.status().id.0,
            leader: None,
            term: replica.status().term,
            position: replica.applied().0,
            can_lose: None,
            nodes: Vec::new(),
            elections: Vec::new(),
            troubles: Vec::new(),
            at: now,
        }
    }

    /// The cluster as it is now, a few times a second; `None` in between.
    pub fn look<T>(
        &mut self,
        replica: &Replica<FileStorage, T>,
        now: UnixMillis,
    ) -> Option<Arc<ClusterView>> {
        let status = replica.status();
        let leader = status.leader.map(|leader| leader.0);
        let is_news =
            self.changes.last().map(|change| (change.term, change.leader)) != Some((status.term, leader));
        if is_news {
            self.note_change(LeaderChange { at: now, term: status.term, leader });
        }
        if !is_news && self.viewed_at.is_some_and(|at| at.elapsed() < VIEW_EVERY) {
            return None;
        }
        self.viewed_at = Some(self.ticked);
        self.courier.tell(status.role == Role::Leader, status.term, status.last);
        let lines = self.courier.lines();
        let membership = replica.membership();
        let nodes: Vec<NodeView> = membership
            .members()
            .map(|(id, info)| {
                let line = lines.iter().find(|line| line.node == id);
                let heard = replica.heard().get(&id);
                let is_own = id == status.id;
                let of_leader = status.progress.get(&id).map(|known| known.synced.0);
                let reported = heard.map(|heard| heard.report.synced);
                let clock = if is_own { self.clock } else { heard.and_then(|heard| heard.report.clock) };
                NodeView {
                    id: id.0,
                    role: match info.seat {
                        Seat::Learner => NodeRole::Learner,
                        Seat::Voter if Some(id) == status.leader => NodeRole::Leader,
                        Seat::Voter => NodeRole::Follower,
                    },
                    address: info.http_address.clone(),
                    node_address: Some(info.address.clone()),
                    position: if is_own { status.last.0 } else { of_leader.or(reported).unwrap_or(0) },
                    clock_offset_ms: clock.map_or(0, |(offset, _)| offset),
                    clock_error_ms: clock.map(|(_, error)| error),
                    heard_ms_ago: if is_own { Some(0) } else { line.and_then(|line| line.heard_ms_ago) },
                    disk_free_bytes: if is_own {
                        self.disk_free
                    } else {
                        heard.and_then(|heard| heard.report.disk_free_bytes)
                    },
                    version: if is_own {
                        Some(env!("CARGO_PKG_VERSION").to_owned())
                    } else {
                        heard.map(|heard| heard.report.version.clone())
                    },
                }
            })
            .collect();
        let can_lose = can_lose(membership, &nodes, status.leader);
        let mut view = ClusterView {
            name: Some(self.name.clone()),
            cluster: replica.identity().log.to_string(),
            this: status.id.0,
            leader,
            term: status.term,
            position: replica.applied().0,
            can_lose,
            nodes,
            elections: self.changes.clone(),
            troubles: Vec::new(),
            at: now,
        };
        view.troubles = self.troubles(&view);
        Some(Arc::new(view))
    }

    /// A leader that is only being looked for is not a change yet.
    fn note_change(&mut self, change: LeaderChange) {
        self.leaderless_since = match change.leader {
            Some(_) => None,
            None => self.leaderless_since.or(Some(change.at)),
        };
        match self.changes.last_mut() {
            Some(last) if last.leader.is_none() && change.leader.is_none() => *last = change,
            _ => self.changes.push(change),
        }
        if self.changes.len() > LEADER_CHANGES_MAX {
            self.changes.remove(0);
        }
    }

    fn troubles(&self, view: &ClusterView) -> Vec<Trouble> {
        let mut troubles = Vec::new();
        if let Some(since) = self.leaderless_since {
            troubles.push(Trouble::NoLeader { since });
        }
        for node in &view.nodes {
            let heard = node.heard_ms_ago.unwrap_or(u64::MAX);
            if heard > SILENT_MILLIS {
                troubles.push(Trouble::Silent { node: node.id, seconds: (heard / 1000).min(1_000_000) });
            }
            if node.disk_free_bytes.is_some_and(|free| free < DISK_LOW_BYTES) {
                troubles.push(Trouble::DiskFull { node: node.id });
            }
            let furthest = view.nodes.iter().map(|node| node.position).max().unwrap_or(0);
            let entries = furthest.saturating_sub(node.position);
            if entries > BEHIND_ENTRIES && heard <= SILENT_MILLIS {
                troubles.push(Trouble::Behind { node: node.id, entries });
            }
            if node.clock_offset_ms.unsigned_abs() > crate::clock::STEP_MILLIS {
                troubles.push(Trouble::ClockOff { node: node.id, offset_ms: node.clock_offset_ms });
            }
        }
        if view.leader.is_some() && view.can_lose == Some(0) {
            troubles.push(Trouble::NoSpare);
        }
        let others = self.courier.other_clusters().into_iter();
        troubles.extend(others.map(|(cluster, address)| Trouble::OtherCluster { cluster, address }));
        troubles
    }
}

/// Voters that are heard, over what a majority needs; `None` where it stands still.
fn can_lose(membership: &Membership, nodes: &[NodeView], leader: Option<NodeId>) -> Option<u64> {
    leader?;
    let voters = membership.with_seat(Seat::Voter).count() as u64;
    let is_heard = |node: &&NodeView| {
        node.role != NodeRole::Learner && node.heard_ms_ago.is_some_and(|heard| heard <= SILENT_MILLIS)
    };
    let heard = nodes.iter().filter(is_heard).count() as u64;
    heard.checked_sub(voters / 2 + 1)
}
