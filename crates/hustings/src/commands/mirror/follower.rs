//! What a mirror has seen, and what it refuses.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use proof::checkpoint::{Checkpoint, CheckpointError};
use proof::{Hash, NodePublicKey, verify_consistency};
use serde::{Deserialize, Serialize};

use super::{Signing, signing};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::note;

/// Looks without a break at which a server may show less than another has signed: 5 to 10 minutes.
const BEHIND_LOOKS_MAX: u32 = 120;
const STATE_FILE: &str = "mirror.json";
const EVIDENCE_FILE: &str = "CONTRADICTION.txt";

/// What is kept between runs, beside the notes themselves.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct State {
    mirror: u32,
    url: String,
    pub(super) slug: String,
    /// 32 hexadecimal digits.
    ledger: String,
    election: String,
    /// Keys with the epochs in which each was seen. In one epoch a node has one.
    keys: Vec<SeenKey>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct SeenKey {
    epoch: u32,
    #[serde(flatten)]
    key: NodePublicKey,
}

/// A follower of one election's tree: what it has seen, and what it refuses.
#[derive(Debug)]
pub(super) struct Mirror {
    dir: PathBuf,
    pub(super) state: State,
    pub(super) newest: Option<(Checkpoint, String)>,
    count: u64,
    /// Looks, the last ones, at which the server showed less than was seen before.
    pub(super) behind: u32,
}

/// What became of a note that contradicts nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Kept(Checkpoint),
    /// A beginning of the tree that more was signed of already.
    Behind(String),
}

/// Why two statements of the server cannot both be true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contradiction(String);

impl Mirror {
    pub(super) fn open(dir: &Path, slug: &str, client: &Client) -> Result<Self> {
        fs::create_dir_all(dir)
            .map_err(|error| Failure::usage(format!("cannot make folder `{}`: {error}", dir.display())))?;
        let path = dir.join(STATE_FILE);
        let state = match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).map_err(|error| {
                Failure::new(Exit::Damaged, format!("`{}` is damaged: {error}", path.display()))
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let state = State::new(client.base(), slug, signing(client)?.ledger);
                store(&path, &serde_json::to_string_pretty(&state)?)?;
                state
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", path.display())),
        };
        if state.slug != slug {
            return Err(Failure::usage(format!(
                "`{}` mirrors election `{}`, not `{slug}`",
                dir.display(),
                state.slug
            ))
            .hint("Give each election a folder of its own.")
            .into());
        }
        let mut mirror = Self { dir: dir.to_owned(), state, newest: None, count: 0, behind: 0 };
        mirror.load()?;
        Ok(mirror)
    }

    /// Reads the notes kept before; the one with the largest tree is what the next must continue.
    fn load(&mut self) -> Result<()> {
        let cannot = || format!("cannot read folder `{}`", self.dir.display());
        for entry in fs::read_dir(&self.dir).with_context(cannot)? {
            let path = entry.with_context(cannot)?.path();
            if path.extension().is_none_or(|extension| extension != "checkpoint") {
                continue;
            }
            let text =
                fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
            let checkpoint = Checkpoint::parse(&text).map_err(|error| {
                Failure::new(Exit::Damaged, format!("`{}` is no checkpoint: {error}", path.display()))
            })?;
            self.count += 1;
            if self.newest.as_ref().is_none_or(|(newest, _)| newest.size.0 < checkpoint.size.0) {
                self.newest = Some((checkpoint, text));
            }
        }
        Ok(())
    }

    /// Verifies a note against all that was seen, and keeps it. `proof` is the consistency proof between the newest
    /// note and this one, the smaller tree first, or why there is none; `signing` asks the server for its keys.
    /// The outer error is about doing it, the inner one is the answer.
    pub(super) fn take(
        &mut self,
        note: &str,
        proof: Result<Vec<Hash>>,
        signing: impl Fn() -> Result<Signing>,
    ) -> Result<Result<Taken, Contradiction>> {
        let checkpoint = Checkpoint::parse(note).map_err(|error| damaged(&error))?;
        if let Err(contradiction) = self.is_this_election(&checkpoint) {
            return Ok(Err(contradiction));
        }
        let epoch = checkpoint.origin.epoch;
        if self.signer(note, epoch).is_none()
            && let Err(contradiction) = self.learn_signer(note, epoch, &signing)?
        {
            return Ok(Err(contradiction));
        }
        if self.is_outgrown(&checkpoint, &signing)? {
            return self.wait_for(note, &checkpoint, proof);
        }
        let proof = match proof {
            Ok(proof) => proof,
            // Less of the tree than before needs no proof to be refused.
            Err(error) if is_refused(&error) && !self.is_less(&checkpoint) => {
                return Ok(Err(Contradiction(format!(
                    "the server proves nothing of its earlier tree: {error}"
                ))));
            }
            Err(error) if is_refused(&error) => Vec::new(),
            Err(error) => return Err(error),
        };
        let kept = self.newest.as_ref().map(|(checkpoint, _)| checkpoint);
        if let Err(why) = audit::mirror::step(kept, note, &proof, &self.keys_of(epoch)) {
            return Ok(Err(Contradiction(why.to_string())));
        }
        self.tell_epoch(&checkpoint);
        store(&self.dir.join(file_name(&checkpoint)), note)?;
        self.count += 1;
        self.behind = 0;
        if self.newest.as_ref().is_none_or(|(newest, _)| newest.size.0 <= checkpoint.size.0) {
            self.newest = Some((checkpoint, note.to_owned()));
        }
        Ok(Ok(Taken::Kept(checkpoint)))
    }

    fn keys_of(&self, epoch: u32) -> Vec<NodePublicKey> {
        self.state.keys.iter().filter(|seen| seen.epoch == epoch).map(|seen| seen.key).collect()
    }

    /// Which of the keys seen in the epoch has signed this note.
    fn signer(&self, note: &str, epoch: u32) -> Option<NodePublicKey> {
        self.keys_of(epoch).into_iter().find(|key| Checkpoint::verify(note, &[*key]).is_ok())
    }

    /// A node's key is believed when first seen; another one of the same node only with a later epoch. The record
    /// names them all, and an audit with the notes kept here shows a key that was never the ledger's.
    fn learn_signer(
        &mut self,
        signed: &str,
        epoch: u32,
        signing: impl Fn() -> Result<Signing>,
    ) -> Result<Result<(), Contradiction>> {
        if let Some(seen) = self.state.keys.iter().find(|seen| seen.epoch > epoch) {
            let text = format!("a checkpoint of epoch {epoch} comes after one of epoch {}", seen.epoch);
            return Ok(Err(Contradiction(text)));
        }
        let has_signed = |key: &NodePublicKey| Checkpoint::verify(signed, &[*key]).is_ok();
        if let Some(known) = self.state.keys.iter().map(|seen| seen.key).find(has_signed) {
            return self.learn(epoch, [known]);
        }
        let told = signing()?;
        let Some(signer) = told.keys.iter().copied().find(has_signed) else {
            let text = "none of the keys that the server names has signed its checkpoint".to_owned();
            return Ok(Err(Contradiction(text)));
        };
        let others = if told.epoch == epoch { told.keys } else { Vec::new() };
        self.learn(epoch, [signer].into_iter().chain(others))
    }

    /// Takes keys of an epoch down.
    fn learn(
        &mut self,
        epoch: u32,
        keys: impl IntoIterator<Item = NodePublicKey>,
    ) -> Result<Result<(), Contradiction>> {
        let before = self.state.keys.len();
        for key in keys {
            let node = key.node;
            match self.keys_of(epoch).into_iter().find(|known| known.node == node) {
                Some(known) if known == key => continue,
                Some(_) => {
                    let text =
                        format!("node {node} has another key in epoch {epoch} than the one seen before");
                    return Ok(Err(Contradiction(text)));
                }
                None => {}
            }
            match self.state.keys.iter().rev().find(|seen| seen.key.node == node) {
                Some(earlier) if earlier.key != key => note(format!(
                    "Node {node} signs with a new key from epoch {epoch} on. The record says why."
                )),
                None if before > 0 => note(format!("Node {node} signs, too. The record names it.")),
                _ => {}
            }
            self.state.keys.push(SeenKey { epoch, key });
        }
        if self.state.keys.len() > before {
            store(&self.dir.join(STATE_FILE), &serde_json::to_string_pretty(&self.state)?)?;
        }
        Ok(Ok(()))
    }

    fn is_less(&self, checkpoint: &Checkpoint) -> bool {
        self.newest.as_ref().is_some_and(|(newest, _)| checkpoint.size.0 < newest.size.0)
    }

    /// Whether more of the same epoch's tree was seen, and several nodes sign, so that this one may only be late: less
    /// committed, or restarted and not yet done with reading its log. Where one node alone signs, less is less.
    fn is_outgrown(
        &mut self,
        checkpoint: &Checkpoint,
        signing: impl Fn() -> Result<Signing>,
    ) -> Result<bool> {
        let epoch = checkpoint.origin.epoch;
        let is_same_epoch = self.newest.as_ref().is_some_and(|(newest, _)| newest.origin.epoch == epoch);
        if !is_same_epoch || !self.is_less(checkpoint) {
            return Ok(false);
        }
        let listed = match self.keys_of(epoch).len() {
            1 => Some(signing()?).filter(|told| told.epoch == epoch),
            _ => None,
        };
        Ok(listed.map_or(self.keys_of(epoch).len(), |told| told.keys.len()) > 1)
    }

    /// A smaller tree than the one seen: is it the beginning of that, as far as anybody can prove?
    fn wait_for(
        &mut self,
        signed: &str,
        checkpoint: &Checkpoint,
        proof: Result<Vec<Hash>>,
    ) -> Result<Result<Taken, Contradiction>> {
        let (newest, newest_note) = self.newest.as_ref().expect("something larger was seen");
        let (has, seen) = (checkpoint.size, newest.size);
        let same_size = fs::read_to_string(self.dir.join(file_name(checkpoint))).ok();
        let same_size = same_size.and_then(|text| Checkpoint::parse(&text).ok());
        let is_other = same_size.is_some_and(|kept| kept.root != checkpoint.root);
        let is_beginning = match proof {
            Ok(path) => verify_consistency(has, &checkpoint.root, seen, &newest.root, &path).is_ok(),
            // It cannot prove what it has not got yet.
            Err(error) if is_refused(&error) => true,
            Err(error) => return Err(error),
        };
        if is_other || !is_beginning {
            return Ok(Err(Contradiction(format!(
                "the tree of {has} leaves is not the beginning of the one of {seen}: history was changed"
            ))));
        }
        let number = |note: &str, epoch: u32| self.signer(note, epoch).map_or(0, |key| key.node);
        let late = number(signed, checkpoint.origin.epoch);
        let ahead = number(newest_note, newest.origin.epoch);
        self.behind += 1;
        if self.behind > BEHIND_LOOKS_MAX {
            return Ok(Err(Contradiction(format!(
                "node {late} goes on showing {has} leaves, and node {ahead} signed {seen} long ago: \
                 it is cut off from the others, or ballots were taken back"
            ))));
        }
        Ok(Ok(Taken::Behind(format!(
            "Node {late} shows {has} leaves, and node {ahead} signed {seen} already."
        ))))
    }

    fn is_this_election(&self, checkpoint: &Checkpoint) -> Result<(), Contradiction> {
        let origin = &checkpoint.origin;
        let (ledger, election) = (hex(&origin.ledger), hex(&origin.election));
        match ledger == self.state.ledger && election == self.state.election && origin.shard == 0 {
            true => Ok(()),
            false => {
                Err(Contradiction(format!("the checkpoint is about another ledger or election: {origin}")))
            }
        }
    }

    fn tell_epoch(&self, to: &Checkpoint) {
        if self.newest.as_ref().is_some_and(|(newest, _)| to.origin.epoch > newest.origin.epoch) {
            note(format!("Epoch {} begins: the ledger was restored or recovered.", to.origin.epoch));
        }
    }

    /// Writes the evidence beside the notes.
    pub(super) fn convict(&self, contradiction: &Contradiction, signed: &str) -> Result<Failure> {
        let path = self.dir.join(EVIDENCE_FILE);
        let (earlier, name) = match &self.newest {
            Some((checkpoint, text)) => (text.as_str(), file_name(checkpoint)),
            None => ("(none)\n", "-".to_owned()),
        };
        let keys = serde_json::to_string(&self.state.keys)?;
        let text = format!(
            "{}\n\nElection `{}` at {}, keys as first seen: {keys}\n\nKept earlier ({name}):\n{earlier}\nServed now:\n{signed}\n\
             Both notes are signed; anybody can verify them (docs/formats.md, checkpoints).\n",
            contradiction.0, self.state.slug, self.state.url
        );
        store(&path, &text)?;
        Ok(Failure::new(Exit::No, format!("contradiction: {}", contradiction.0))
            .hint(format!("Evidence: {}", path.display())))
    }

    pub(super) fn file(&self, checkpoint: &Checkpoint) -> PathBuf {
        self.dir.join(file_name(checkpoint))
    }

    pub(super) fn kept(&self) -> String {
        crate::output::count(self.count, "checkpoint")
    }
}

impl State {
    fn new(url: &str, slug: &str, ledger: [u8; 16]) -> Self {
        let id = proof::sha256(&[b"hustings election v1\n", &ledger, slug.as_bytes()]);
        Self {
            mirror: 1,
            url: url.to_owned(),
            slug: slug.to_owned(),
            ledger: hex(&ledger),
            election: hex(&id.0[..16]),
            keys: Vec::new(),
        }
    }
}

fn file_name(checkpoint: &Checkpoint) -> String {
    format!("{:08}.checkpoint", checkpoint.size.0)
}

/// Writes aside, syncs, renames: a note is there whole or not at all.
fn store(path: &Path, text: &str) -> Result<()> {
    let cannot = || format!("cannot write `{}`", path.display());
    let aside = path.with_extension("part");
    let mut file = fs::File::create(&aside).with_context(cannot)?;
    std::io::Write::write_all(&mut file, text.as_bytes()).with_context(cannot)?;
    file.sync_all().with_context(cannot)?;
    fs::rename(&aside, path).with_context(cannot)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn bytes16(text: &str) -> Option<[u8; 16]> {
    // A hash text of 64 digits is parsed by `proof`; an id is its first half.
    let whole: Hash = format!("{text}{}", "0".repeat(64usize.checked_sub(text.len())?)).parse().ok()?;
    (text.len() == 32).then(|| whole.0[..16].try_into().expect("16 of 32 bytes"))
}

fn is_refused(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Failure>().is_some_and(|failure| failure.exit == Exit::Refused)
}

pub(super) fn damaged(error: &CheckpointError) -> Failure {
    Failure::new(Exit::Damaged, format!("the checkpoint cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proof::checkpoint::Origin;
    use proof::{LeafKind, MemoryTiles, NodeKey, Secret, TreeSize, leaf_hash};

    const LEDGER: [u8; 16] = [7; 16];

    struct Server {
        tiles: MemoryTiles,
        leaves: Vec<Hash>,
        key: NodeKey,
        /// Other nodes of the cluster.
        others: Vec<NodeKey>,
        epoch: u32,
    }

    impl Server {
        fn new() -> Self {
            let key = NodeKey::new(1, &Secret::from_bytes([3; 32]));
            Self { tiles: MemoryTiles::new(), leaves: vec![], key, others: vec![], epoch: 1 }
        }

        /// A node of a cluster of so many.
        fn of_cluster(node: u16, nodes: u16) -> Self {
            let key = |node: u16| NodeKey::new(node, &Secret::from_bytes([node as u8; 32]));
            let others = (1..=nodes).filter(|other| *other != node).map(key).collect();
            Self { key: key(node), others, ..Server::new() }
        }

        fn listed(&self) -> Vec<NodePublicKey> {
            [&self.key].into_iter().chain(&self.others).map(NodeKey::public).collect()
        }

        fn grow(&mut self, name: &str, to: u64) -> &mut Self {
            while (self.leaves.len() as u64) < to {
                let leaf = leaf_hash(LeafKind::Ballot, format!("{name}{}", self.leaves.len()).as_bytes());
                self.leaves.push(leaf);
                self.tiles.append(leaf);
            }
            self
        }

        fn note(&self) -> String {
            let election = State::new("", "lunch", LEDGER).election;
            let origin = Origin {
                ledger: LEDGER,
                epoch: self.epoch,
                election: bytes16(&election).expect("hex"),
                shard: 0,
            };
            let edge = self.tiles.edge();
            Checkpoint { origin, size: edge.size(), root: edge.root() }.sign(&self.key)
        }

        fn proof(&self, from: u64) -> Result<Vec<Hash>> {
            let to = TreeSize(self.leaves.len() as u64);
            Ok(proof::consistency(TreeSize(from), to, &self.tiles).expect("inside the tree"))
        }
    }

    fn mirror(dir: &Path) -> Mirror {
        let state = State::new("http://x", "lunch", LEDGER);
        Mirror { dir: dir.to_owned(), state, newest: None, count: 0, behind: 0 }
    }

    fn look(mirror: &mut Mirror, server: &Server) -> Result<Taken, Contradiction> {
        let from = mirror.newest.as_ref().map_or(0, |(newest, _)| newest.size.0);
        let size = server.leaves.len() as u64;
        let proof = match from {
            from if 0 < from && from < size => server.proof(from),
            from if from > size => Err(Failure::new(Exit::Refused, "no such size").into()),
            _ => Ok(vec![]),
        };
        let told = || Ok(Signing { ledger: LEDGER, epoch: server.epoch, keys: server.listed() });
        mirror.take(&server.note(), proof, told).expect("works")
    }

    fn take(mirror: &mut Mirror, server: &Server) -> Result<Checkpoint, Contradiction> {
        look(mirror, server).map(|taken| match taken {
            Taken::Kept(checkpoint) => checkpoint,
            Taken::Behind(told) => panic!("{told}"),
        })
    }

    #[test]
    fn a_growing_tree_is_followed_and_every_note_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut mirror, mut server) = (mirror(folder.path()), Server::new());
        for size in [1, 2, 300, 70_000] {
            take(&mut mirror, server.grow("a", size)).expect("continues");
        }
        assert!(folder.path().join("00070000.checkpoint").exists());
        let mut again = Mirror { newest: None, count: 0, ..mirror };
        again.load().expect("readable");
        assert_eq!((again.count, again.newest.as_ref().map(|(newest, _)| newest.size.0)), (4, Some(70_000)));
    }

    #[test]
    fn a_rewritten_ballot_is_a_contradiction() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut mirror = mirror(folder.path());
        take(&mut mirror, Server::new().grow("a", 5)).expect("first");
        let mut other = Server::new();
        let found = take(&mut mirror, other.grow("a", 4).grow("b", 9)).expect_err("does not continue");
        assert!(found.0.starts_with("the tree of 9 leaves does not continue the one of 5"), "{}", found.0);
        let failure = mirror.convict(&found, &other.note()).expect("written");
        assert_eq!(failure.exit, Exit::No);
        assert!(folder.path().join(EVIDENCE_FILE).exists());
    }

    #[test]
    fn two_trees_of_one_size_are_a_contradiction() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut mirror = mirror(folder.path());
        take(&mut mirror, Server::new().grow("a", 5)).expect("first");
        let found = take(&mut mirror, Server::new().grow("b", 5)).expect_err("another root");
        assert!(found.0.starts_with("the tree of 5 leaves does not continue the one of 5"), "{}", found.0);
    }

    #[test]
    fn a_restore_that_lost_leaves_is_a_contradiction() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut mirror = mirror(folder.path());
        take(&mut mirror, Server::new().grow("a", 9)).expect("first");
        let mut restored = Server::new();
        restored.epoch = 2;
        let found = take(&mut mirror, restored.grow("a", 5)).expect_err("leaves are gone");
        assert_eq!(found.0, "the tree shrank from 9 to 5 leaves: ballots were taken back");
    }

    #[test]
    fn another_key_needs_a_later_epoch() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut mirror, mut server) = (mirror(folder.path()), Server::new());
        take(&mut mirror, server.grow("a", 5)).expect("first");
        server.key = NodeKey::new(1, &Secret::from_bytes([4; 32]));
        let found = take(&mut mirror, server.grow("a", 6)).expect_err("another key");
        assert_eq!(found.0, "node 1 has another key in epoch 1 than the one seen before");
        server.epoch = 2;
        take(&mut mirror, &server).expect("a new epoch may bring a new key");
    }

    #[test]
    fn the_nodes_of_a_cluster_are_followed_as_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut mirror = mirror(folder.path());
        let mut nodes = [Server::of_cluster(1, 2), Server::of_cluster(2, 3), Server::of_cluster(3, 3)];
        for (turn, size) in [1, 2, 300, 700, 701].into_iter().enumerate() {
            take(&mut mirror, nodes[turn % 3].grow("a", size)).expect("each continues the other");
        }
        let state = fs::read_to_string(folder.path().join(STATE_FILE)).expect("it is kept");
        let state: State = serde_json::from_str(&state).expect("and readable");
        let mut seen: Vec<_> = state.keys.iter().map(|seen| (seen.key.node, seen.epoch)).collect();
        seen.sort_unstable();
        assert_eq!(seen, [(1, 1), (2, 1), (3, 1)]);
    }

    #[test]
    fn a_node_that_is_behind_is_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut mirror = mirror(folder.path());
        let (mut ahead, mut late) = (Server::of_cluster(1, 3), Server::of_cluster(2, 3));
        take(&mut mirror, ahead.grow("a", 9)).expect("first");
        let told = "Node 2 shows 5 leaves, and node 1 signed 9 already.".to_owned();
        assert_eq!(look(&mut mirror, late.grow("a", 5)), Ok(Taken::Behind(told)));
        assert!(!folder.path().join("00000005.checkpoint").exists());
        take(&mut mirror, late.grow("a", 12)).expect("it has caught up");
        let mut again = Server::of_cluster(2, 3);
        again.grow("a", 11);
        for _ in 0..BEHIND_LOOKS_MAX {
            assert!(matches!(look(&mut mirror, &again), Ok(Taken::Behind(_))), "it may have restarted");
        }
        let found = look(&mut mirror, &again).expect_err("it does not catch up");
        assert!(found.0.starts_with("node 2 goes on showing 11 leaves, and node 2 signed 12"), "{}", found.0);
    }

    #[test]
    fn a_node_with_another_history_is_a_contradiction() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut mirror = mirror(folder.path());
        let (mut one, mut other) = (Server::of_cluster(1, 3), Server::of_cluster(2, 3));
        take(&mut mirror, one.grow("a", 5)).expect("first");
        take(&mut mirror, one.grow("a", 9)).expect("more");
        let found = look(&mut mirror, other.grow("b", 5)).expect_err("seen by its size");
        assert_eq!(found.0, "the tree of 5 leaves is not the beginning of the one of 9: history was changed");
        let found = look(&mut mirror, other.grow("b", 12)).expect_err("another tree");
        assert!(found.0.starts_with("the tree of 12 leaves does not continue the one of 9"), "{}", found.0);
        // It catches up between the note and the proof, and the proof does not fit.
        let mut fork = Server::of_cluster(3, 3);
        let note = fork.grow("c", 6).note();
        let proof = proof::consistency(TreeSize(6), TreeSize(9), &fork.grow("c", 9).tiles).expect("inside");
        let told = || Ok(Signing { ledger: LEDGER, epoch: 1, keys: fork.listed() });
        mirror.take(&note, Ok(proof), told).expect("works").expect_err("not the beginning");
    }

    #[test]
    fn a_key_that_the_server_does_not_name_is_a_contradiction() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut mirror = mirror(folder.path());
        take(&mut mirror, Server::of_cluster(1, 2).grow("a", 5)).expect("first");
        let mut stranger = Server::of_cluster(4, 4);
        let note = stranger.grow("a", 6).note();
        let told = || Ok(Signing { ledger: LEDGER, epoch: 1, keys: Server::of_cluster(1, 3).listed() });
        let found = mirror.take(&note, stranger.proof(5), told).expect("works").expect_err("a stranger");
        assert_eq!(found.0, "none of the keys that the server names has signed its checkpoint");
        let mut other = Server::of_cluster(2, 2);
        other.key = NodeKey::new(2, &Secret::from_bytes([77; 32]));
        let found = look(&mut mirror, other.grow("a", 6)).expect_err("another key than the one named for it");
        assert_eq!(found.0, "node 2 has another key in epoch 1 than the one seen before");
    }
}
