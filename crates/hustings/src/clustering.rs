//! A server in a cluster: the line to the others, its place among them, and its leave.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use cluster::net::{
    BEACON_PORT, Begin as Outcome, BeginConfig, BeginError, Deliver, JoinKey, Mode, NEWCOMER, NO_LEDGER,
    NetError, Network, NetworkConfig, Standing,
};
use cluster::time::{ClockSample, TimeConfig};
use cluster::{Admission, JoinReply, JoinRequest, NodeId, NodeInfo, founding};
use ledger::{LedgerId, Position};
use node::cluster_shell::{ClusterConfig, Courier, Line, Place};
use node::folder::DataFolder;
use node::replica::{Begin, PROGRAM_VERSION};
use node::{ClusterError, ClusterRequest, Handle, SystemClock};
use zeroize::Zeroizing;

use crate::addresses;
use crate::config::ClusterSettings;
use crate::exit::{Exit, Failure};
use crate::output::note;

/// How long a graceful stop waits for the others to take over.
const HAND_OVER: Duration = Duration::from_secs(5);
/// File of the join key in the data folder, for later starts.
pub const JOIN_KEY_FILE: &str = "join-key";

/// How one node asks another for a picture: this, and the picture's name.
const PICTURE_QUESTION: &[u8] = b"hustings picture 1\n";
const PICTURE_WAIT: Duration = Duration::from_secs(3);

/// The join key, and whether it was made just now.
pub struct FoundKey {
    pub key: JoinKey,
    pub is_new: bool,
}

/// From the environment, or where an earlier start has kept it; made where a cluster is founded.
pub fn join_key(data: &Path, founds: bool) -> Result<FoundKey> {
    let path = data.join(JOIN_KEY_FILE);
    let kept = match std::fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            return Err(Failure::new(Exit::Io, format!("cannot read `{}`: {error}", path.display())).into());
        }
    };
    let given = std::env::var("HUSTINGS_JOIN_KEY").ok().filter(|text| !text.trim().is_empty());
    let from = if given.is_some() { "HUSTINGS_JOIN_KEY".to_owned() } else { format!("`{}`", path.display()) };
    let Some(text) = given.map(Zeroizing::new).or(kept.map(Zeroizing::new)) else {
        if !founds {
            return Err(Failure::usage("this server has no join key for the cluster")
                .hint("Set HUSTINGS_JOIN_KEY to the key that the cluster's first start printed. To found a cluster: --first.")
                .into());
        }
        let key = JoinKey::from_random(node::identity::system_random()?);
        keep_join_key(data, &key)?;
        return Ok(FoundKey { key, is_new: true });
    };
    let key = JoinKey::from_text(text.trim())
        .map_err(|error| Failure::usage(format!("the join key in {from} cannot be used: {error}")))?;
    keep_join_key(data, &key)?;
    Ok(FoundKey { key, is_new: false })
}

fn keep_join_key(data: &Path, key: &JoinKey) -> Result<()> {
    let folder = DataFolder::new(data);
    folder.create()?;
    let path = data.join(JOIN_KEY_FILE);
    node::folder::replace_file(&path, &path.with_extension("new"), key.to_text().as_bytes())
        .map_err(|error| Failure::new(Exit::Io, format!("cannot write `{}`: {error}", path.display())))?;
    Ok(())
}

/// The running line to the other servers.
#[derive(Debug)]
pub struct Lines {
    pub network: Arc<Network>,
    /// Where letters go once the node runs.
    handle: Arc<OnceLock<Handle>>,
    /// What samples of the others' clocks count by.
    clock: SystemClock,
}

impl Lines {
    /// Takes the port and begins to listen.
    pub fn open(settings: &ClusterSettings, key: JoinKey) -> Result<Self> {
        let clock = SystemClock::start();
        let listen = settings.node_listen;
        let config = NetworkConfig {
            name: settings.name.clone(),
            key,
            listen,
            advertised: settings.node_address.clone().unwrap_or_else(|| reachable(listen)),
            seeds: settings.seeds.clone(),
            beacons: settings.beacons,
            beacon_port: BEACON_PORT,
        };
        let bound = Network::bind(config).map_err(network_failure)?;
        let handle: Arc<OnceLock<Handle>> = Arc::default();
        let to = Arc::clone(&handle);
        let deliver: Deliver = Box::new(move |from, lane, bytes| {
            // Before the node runs nobody is a member, so nothing is lost.
            if let Some(handle) = to.get() {
                handle.letter(from, lane, bytes);
            }
        });
        let network = Network::start(bound, NEWCOMER, NO_LEDGER, Box::new(clock.reader()), deliver)
            .map_err(network_failure)?;
        Ok(Self { network: Arc::new(network), handle, clock })
    }

    pub fn courier(&self) -> Box<dyn Courier> {
        Box::new(NetworkCourier(Arc::clone(&self.network)))
    }

    /// Where this server gets pictures that it lacks.
    pub fn pictures(&self, handle: &Handle) -> Arc<dyn server::PictureSource> {
        Arc::new(OthersPictures { network: Arc::clone(&self.network), handle: handle.clone() })
    }

    /// Letters are taken, and newcomers are answered, from now on.
    pub fn serve(&self, handle: &Handle, name: &str) {
        let _ = self.handle.set(handle.clone());
        let (handle, name) = (handle.clone(), name.to_owned());
        let own_address = self.network.config().advertised.clone();
        self.network.on_ask(move |asker, question| {
            let (handle, name, own_address) = (handle.clone(), name.clone(), own_address.clone());
            async move {
                if let Some(picture) = question.strip_prefix(PICTURE_QUESTION) {
                    let folder = asker.is_member.then(|| handle.folder().pictures());
                    return picture_for_another(folder, picture).await;
                }
                let view = handle.cluster("");
                let leader = view.nodes.iter().find(|node| Some(node.id) == view.leader);
                let member = founding::Member {
                    ledger: LedgerId(handle.identity().log.0),
                    node: NodeId(view.this),
                    ask_at: leader.and_then(|node| node.node_address.clone()).unwrap_or(own_address),
                };
                if let Some(answer) = member.answers(&question) {
                    return Bytes::from(answer);
                }
                match JoinRequest::decode(&question) {
                    Some(Ok(request)) => Bytes::from(admit(&handle, &name, request).await.encode().to_vec()),
                    Some(Err(error)) => {
                        let reply = JoinReply::Refused(format!("the request cannot be read: {error}"));
                        Bytes::from(reply.encode().to_vec())
                    }
                    None => Bytes::new(),
                }
            }
        });
    }
}

/// A picture that another member lacks; nothing where this one lacks it, too.
async fn picture_for_another(folder: Option<PathBuf>, name: &[u8]) -> Bytes {
    let name = std::str::from_utf8(name).unwrap_or_default().to_owned();
    let Some(folder) = folder else { return Bytes::new() };
    let read = tokio::task::spawn_blocking(move || server::read_picture(&folder, &name)).await;
    read.ok().flatten().unwrap_or_default()
}

/// The other members' pictures, over the line between the nodes.
pub struct OthersPictures {
    network: Arc<Network>,
    handle: Handle,
}

impl std::fmt::Debug for OthersPictures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OthersPictures").finish_non_exhaustive()
    }
}

impl server::PictureSource for OthersPictures {
    fn fetch(&self, name: &str) -> Option<Bytes> {
        let view = self.handle.cluster("");
        let others = view.nodes.iter().filter(|node| node.id != view.this);
        let question = Bytes::from([PICTURE_QUESTION, name.as_bytes()].concat());
        let ask = |address: &String| self.network.ask_blocking(address, question.clone(), PICTURE_WAIT).ok();
        let mut answers = others.filter_map(|node| node.node_address.as_ref()).filter_map(ask);
        answers.find(|bytes| !bytes.is_empty())
    }
}

fn reachable(listen: SocketAddr) -> String {
    let best = addresses::reachable(listen).first().copied().unwrap_or(listen);
    // Port 0 stands for the one that is bound.
    SocketAddr::new(best.ip(), listen.port()).to_string()
}

struct NetworkCourier(Arc<Network>);

impl Courier for NetworkCourier {
    fn send(&self, to: NodeId, lane: u8, bytes: Bytes) {
        self.0.send(to, lane, bytes);
    }

    fn set_members(&self, members: &[(NodeId, String)]) {
        self.0.set_members(members);
    }

    fn lines(&self) -> Vec<Line> {
        let line = |peer: cluster::net::PeerStatus| Line { node: peer.id, heard_ms_ago: peer.heard_ms_ago };
        self.0.peers().into_iter().map(line).collect()
    }

    fn clock_samples(&self) -> Vec<(NodeId, ClockSample)> {
        self.0.peers().into_iter().filter_map(|peer| Some((peer.id, peer.clock?))).collect()
    }

    fn other_clusters(&self) -> Vec<(String, String)> {
        let other = |other: cluster::net::OtherCluster| (other.cluster.to_string(), other.address);
        self.0.other_clusters().into_iter().map(other).collect()
    }

    fn tell(&self, leads: bool, term: u64, last: Position) {
        self.0.set_standing(Standing { is_leading: leads, term, last: last.0 });
    }
}

/// A newcomer's request, on whichever server it reached.
async fn admit(handle: &Handle, name: &str, request: JoinRequest) -> JoinReply {
    let info =
        NodeInfo { address: request.address, http_address: request.http_address, version: PROGRAM_VERSION };
    let view = handle.cluster("");
    if view.leader != Some(view.this) {
        let leader = view.nodes.iter().find(|node| Some(node.id) == view.leader);
        return match leader.and_then(|node| node.node_address.clone()) {
            Some(address) => JoinReply::NotLeader(address),
            None => JoinReply::NotYet("nobody leads the cluster at present".to_owned()),
        };
    }
    let node = match handle.admit(info).await {
        Ok(node) => node,
        Err(error @ (ClusterError::NoLeader | ClusterError::NotKnownYet | ClusterError::AddressTaken(_))) => {
            return JoinReply::NotYet(error.to_string());
        }
        Err(error) => return JoinReply::Refused(error.to_string()),
    };
    let secret = match handle.folder().secret_text() {
        Ok(secret) => Zeroizing::new(secret.as_bytes().to_vec()),
        Err(error) => {
            tracing::error!(%error, "the secret could not be handed over");
            return JoinReply::NotYet("the leader cannot read its secret".to_owned());
        }
    };
    let view = handle.cluster("");
    let members = view.nodes.iter().filter_map(|node| Some((NodeId(node.id), node.node_address.clone()?)));
    let log = handle.identity().log;
    JoinReply::Admitted(Admission {
        ledger: LedgerId(log.0),
        node,
        secret,
        name: name.to_owned(),
        members: members.collect(),
    })
}

/// Hands over what this server leads; in a cluster of two it leaves, so that the other goes on alone.
pub fn leave(handle: &Handle) -> Result<()> {
    let view = handle.cluster("");
    let voters = view.nodes.iter().filter(|node| node.role != node::cluster_view::NodeRole::Learner).count();
    let leads = view.leader == Some(view.this);
    let request = match voters {
        0 | 1 => return Ok(()),
        2 => ClusterRequest::Remove(view.this),
        _ if leads => ClusterRequest::Drain(view.this),
        _ => return Ok(()),
    };
    let leaves = matches!(request, ClusterRequest::Remove(_));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let done =
        runtime.block_on(async { tokio::time::timeout(HAND_OVER, handle.change_cluster(request)).await });
    match done {
        Ok(Ok(())) if leaves => {
            if let Some(place) = Place::read(handle.folder())? {
                Place { left: true, ..place }.write(handle.folder())?;
            }
            note("Left the cluster: the other server goes on alone. Started again, this one joins anew.");
        }
        Ok(Ok(())) => note("Another server leads now."),
        Ok(Err(error)) => note(format!("The others did not take over in good order: {error}")),
        Err(_) => note("The others did not take over in time; they do so by themselves."),
    }
    Ok(())
}

fn network_failure(error: NetError) -> Failure {
    let exit = match &error {
        NetError::PortTaken { .. } | NetError::Listen { .. } => Exit::Unavailable,
        _ => Exit::Internal,
    };
    let cause = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
    let failure = Failure::new(exit, format!("{error}{cause}"));
    match &error {
        NetError::PortTaken { .. } => failure.code("port_taken"),
        _ => failure,
    }
}

/// What the data folder says of this server's place.
pub fn kept_place(data: &Path, settings: &ClusterSettings) -> Result<Option<Place>> {
    let folder = DataFolder::new(data);
    let Some(place) = Place::read(&folder)? else {
        if folder.has_ledger() {
            return Err(Failure::usage(format!("`{}` holds the ledger of a server alone", data.display()))
                .code("not_a_cluster")
                .hint("A cluster begins with an empty folder. Bring the votes along: `hustings backup`, then `hustings restore --cluster` into a new one.")
                .into());
        }
        return Ok(None);
    };
    crate::commands::recover::refuse_recovered(&place, data)?;
    // What a node acknowledged under its number must be on its disk; without that it begins anew, under another one.
    let is_blank = place.begun && !folder.has_ledger();
    if is_blank && !place.others {
        let sentence =
            format!("the ledger of `{}` is gone, and no other server of the cluster has it", data.display());
        return Err(Failure::new(Exit::Damaged, sentence)
            .hint("Bring its files back, or begin a new cluster from a backup: `hustings restore --cluster`.")
            .into());
    }
    if place.left || is_blank {
        let why = if place.left { "had left the cluster" } else { "has lost its ledger" };
        Place::give_up(&folder).map_err(crate::hosting::node_failure)?;
        note(format!("Server {} {why}: it joins anew, under another number.", place.node));
        return Ok(None);
    }
    if place.name != settings.name.as_str() {
        return Err(Failure::usage(format!(
            "`{}` belongs to the cluster `{}`, not to `{}`",
            data.display(),
            place.name,
            settings.name.as_str()
        ))
        .hint("Start it with that name, or choose an empty folder with --data.")
        .into());
    }
    Ok(Some(place))
}

/// A server of a cluster keeps its log with the others, so it does not start without them.
pub fn refuse_to_go_alone(data: &Path) -> Result<()> {
    let Some(place) = Place::read(&DataFolder::new(data)).map_err(crate::hosting::node_failure)? else {
        return Ok(());
    };
    crate::commands::recover::refuse_recovered(&place, data)?;
    let sentence = format!("`{}` is of a server of the cluster `{}`", data.display(), place.name);
    Err(Failure::usage(sentence)
        .code("of_a_cluster")
        .hint(format!(
            "Start it with --cluster {}. To go on without the others: `hustings cluster recover`.",
            place.name
        ))
        .into())
}

/// How to begin with a place that the folder knows.
pub fn resume(place: &Place) -> Result<(NodeId, LedgerId, Begin)> {
    let ledger = place
        .ledger_id()
        .ok_or_else(|| Failure::new(Exit::Damaged, "the file `cluster` in the data folder is damaged"))?;
    let node = NodeId(place.node);
    let begin = match (place.begun, place.node) {
        (true, _) => Begin::Resume,
        // Ended before its log was made: it has promised nothing under this number yet.
        (false, 1) => Begin::Found(ledger),
        (false, _) => Begin::Join(ledger),
    };
    Ok((node, ledger, begin))
}

/// Finds this server's place: the one it has, a cluster of its own, or a seat in one that is there. Waits until then.
pub fn take_place(
    lines: &Lines,
    settings: &ClusterSettings,
    data: &Path,
    kept: Option<Place>,
    was_there: bool,
    is_first: bool,
    http_address: &str,
) -> Result<ClusterConfig> {
    let folder = DataFolder::new(data);
    let network = &lines.network;
    let info = NodeInfo {
        address: network.config().advertised.clone(),
        http_address: http_address.to_owned(),
        version: PROGRAM_VERSION,
    };
    let config = |node, begin| ClusterConfig {
        name: settings.name.as_str().to_owned(),
        node,
        begin,
        info: info.clone(),
        courier: lines.courier(),
        clock: lines.clock.twin(),
        prefer_highest: settings.prefer_highest,
        time: TimeConfig { interval_us: settings.time_sync_seconds * 1_000_000, ..TimeConfig::default() },
    };
    if let Some(place) = kept {
        let (node, ledger, begin) = resume(&place)?;
        network.set_own(node, ledger).map_err(network_failure)?;
        return Ok(config(node, begin));
    }
    let mode = match settings.expect {
        // Who was there before is no founder again, whatever the command line says.
        _ if was_there => Mode::Join,
        _ if is_first => Mode::First,
        Some(expect) => Mode::Expect(u8::try_from(expect).expect("checked against MEMBERS_MAX")),
        None => Mode::Join,
    };
    folder.create()?;
    let request = JoinRequest {
        address: info.address.clone(),
        http_address: info.http_address.clone(),
        public_key: newcomers_name(&folder)?,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let begun = BeginConfig { mode, folder: data.to_owned(), request };
    let mut beginning = network.begin(begun).map_err(begin_failure)?;
    let mut said = String::new();
    let outcome = loop {
        if let Some(outcome) = beginning.try_outcome() {
            break outcome.map_err(begin_failure)?;
        }
        let words = beginning.waits_for();
        if words != said && !words.is_empty() {
            note(format!("Cluster `{}`: {words}", settings.name.as_str()));
            said = words;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    match outcome {
        Outcome::Found => {
            let ledger = LedgerId(node::identity::system_random()?);
            network.set_own(NodeId(1), ledger).map_err(network_failure)?;
            Ok(config(NodeId(1), Begin::Found(ledger)))
        }
        Outcome::Join(admission) => {
            folder.adopt_secret(std::str::from_utf8(&admission.secret)?)?;
            network.set_own(admission.node, admission.ledger).map_err(network_failure)?;
            network.set_members(&admission.members);
            Ok(config(admission.node, Begin::Join(admission.ledger)))
        }
    }
}

/// Who asks for a place: the same after an answer that was lost. Not secret, and not a key to sign with.
fn newcomers_name(folder: &DataFolder) -> Result<Vec<u8>> {
    let path = folder.root().join("newcomer");
    if let Ok(name) = std::fs::read(&path) {
        return Ok(name);
    }
    let name: [u8; 16] = node::identity::system_random()?;
    node::folder::replace_file(&path, &path.with_extension("new"), &name)
        .map_err(|error| Failure::new(Exit::Io, format!("cannot write `{}`: {error}", path.display())))?;
    Ok(name.to_vec())
}

fn begin_failure(error: BeginError) -> Failure {
    let exit = match &error {
        BeginError::Expect(_) => Exit::Usage,
        BeginError::Refused(_) => Exit::Refused,
        BeginError::Promise { .. } => Exit::Io,
        BeginError::Damaged { .. } => Exit::Damaged,
        BeginError::Stopped => Exit::Unavailable,
    };
    let cause = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
    Failure::new(exit, format!("{error}{cause}"))
}
