//! `mirror URL DIR`: follows an election from outside. Every signed checkpoint is verified, shown to continue the
//! one before by a consistency proof, and kept as a file, so that a later record can be held against it.
//!
//! ```text
//! DIR/mirror.json             which election, and the node keys as first seen
//! DIR/00000012.checkpoint     one signed note each, by tree size
//! DIR/CONTRADICTION.txt       written when two checkpoints cannot both be true
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use proof::checkpoint::{Checkpoint, CheckpointError};
use proof::{Hash, NodePublicKey};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cli::MirrorArgs;
use crate::client::{Client, ServerOptions, election_path};
use crate::exit::{Exit, Failure};
use crate::output::{Form, note};

/// Pause between two looks at the server. Checkpoints are made at most once a second.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);
const STATE_FILE: &str = "mirror.json";
const EVIDENCE_FILE: &str = "CONTRADICTION.txt";

pub fn run(args: MirrorArgs, options: ServerOptions, form: Form) -> Result<Exit> {
    let (base, slug) = split_url(&args.url)?;
    let client = Client::new(&ServerOptions { server: base, ..options })?.with_token(None);
    let mut mirror = Mirror::open(&args.dir, &slug, &client)?;
    let mut pause = LOOK_EVERY;
    loop {
        match look(&mut mirror, &client, form) {
            Ok(Seen::Ended(state)) => {
                note(format!(
                    "Election `{slug}` is {state}; {} kept in {}.",
                    mirror.kept(),
                    args.dir.display()
                ));
                return Ok(Exit::Ok);
            }
            Ok(_) if args.once => return Ok(Exit::Ok),
            Ok(Seen::New) => pause = LOOK_EVERY,
            Ok(Seen::Nothing) => pause = (pause * 5 / 4).min(LOOK_EVERY * 5),
            Err(error) => {
                let lasts = error
                    .downcast_ref::<Failure>()
                    .is_some_and(|failure| matches!(failure.exit, Exit::Unreachable | Exit::Unavailable));
                if args.once || !lasts {
                    return Err(error);
                }
                pause = (pause * 2).min(PAUSE_MAX);
                note(format!("{error:#}; trying again in {} s", pause.as_secs()));
            }
        }
        std::thread::sleep(pause);
    }
}

enum Seen {
    New,
    Nothing,
    Ended(String),
}

/// One look: state first, so that the checkpoint after it covers the last act.
fn look(mirror: &mut Mirror, client: &Client, form: Form) -> Result<Seen> {
    let path = |rest: &str| election_path(&mirror.state.slug, rest);
    let election = client.get(&path(""))?;
    let state = election["state"].as_str().unwrap_or_default().to_owned();
    let ended = matches!(state.as_str(), "published" | "cancelled");
    if state == "draft" {
        return Ok(Seen::Nothing);
    }
    let signed = client.text(&path("/checkpoint"))?;
    if mirror.newest.as_ref().is_some_and(|(_, kept)| *kept == signed) {
        return Ok(if ended { Seen::Ended(state) } else { Seen::Nothing });
    }
    let checkpoint = Checkpoint::parse(&signed).map_err(|error| damaged(&error))?;
    let kept = mirror.newest.as_ref().map(|(newest, _)| newest);
    let proof = match kept.and_then(|kept| audit::mirror::proof_needed(kept, &checkpoint)) {
        Some((from, to)) => consistency(client, &path(&format!("/consistency?from={from}&to={to}"))),
        None => Ok(Vec::new()),
    };
    match mirror.take(&signed, proof, || node_key(client))? {
        Ok(taken) => {
            let value = json!({"size": taken.size.0, "root": taken.root.to_hex(), "epoch": taken.origin.epoch,
                "state": state, "file": mirror.file(&taken)});
            form.result(&value, || {
                format!(
                    "{state}  {} leaves  root {}…  epoch {}",
                    taken.size.0,
                    &taken.root.to_hex()[..16],
                    taken.origin.epoch
                )
            });
            Ok(if ended { Seen::Ended(state) } else { Seen::New })
        }
        Err(contradiction) => Err(mirror.convict(&contradiction, &signed)?.into()),
    }
}

fn is_refused(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Failure>().is_some_and(|failure| failure.exit == Exit::Refused)
}

fn consistency(client: &Client, path: &str) -> Result<Vec<Hash>> {
    let value = client.get(path)?;
    let hashes = value["path"].as_array().or(value["proof"].as_array()).or(value.as_array());
    let hash = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
    hashes
        .and_then(|hashes| hashes.iter().map(hash).collect::<Option<Vec<Hash>>>())
        .ok_or_else(|| Failure::new(Exit::Damaged, "the consistency proof is not a list of hashes").into())
}

/// Ledger and signing key as the server states them.
fn node_key(client: &Client) -> Result<([u8; 16], NodePublicKey)> {
    let value = client.get("/api/v1")?;
    let text = |key: &str| value[key].as_str().or(value["node"][key].as_str()).unwrap_or_default().to_owned();
    let node = value["node"].as_u64().or(value["node"]["node"].as_u64()).unwrap_or(1);
    let key: Option<Hash> = text("key").parse().ok();
    match (bytes16(&text("ledger")), key, u16::try_from(node)) {
        (Some(ledger), Some(key), Ok(node)) => Ok((ledger, NodePublicKey { node, key: key.0 })),
        _ => Err(Failure::new(Exit::Damaged, "the server does not say its ledger and key").into()),
    }
}

fn damaged(error: &CheckpointError) -> Failure {
    Failure::new(Exit::Damaged, format!("the checkpoint cannot be read: {error}"))
}

/// `http://HOST:PORT/e/SLUG`, also with more behind the slug.
fn split_url(url: &str) -> Result<(String, String), Failure> {
    let found = url
        .split_once("/e/")
        .map(|(base, rest)| (base, rest.split(['/', '?', '#']).next().unwrap_or_default()));
    match found {
        Some((base, slug)) if !slug.is_empty() && !base.is_empty() => Ok((base.to_owned(), slug.to_owned())),
        _ => Err(Failure::usage(format!("`{url}` is not the address of an election"))
            .hint("It looks like http://192.168.1.20:8700/e/lunch.")),
    }
}

/// What is kept between runs, beside the notes themselves.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    mirror: u32,
    url: String,
    slug: String,
    /// 32 hexadecimal digits.
    ledger: String,
    election: String,
    /// Keys with the first epoch in which each was seen.
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
struct Mirror {
    dir: PathBuf,
    state: State,
    newest: Option<(Checkpoint, String)>,
    count: u64,
}

/// Why two statements of the server cannot both be true.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Contradiction(String);

impl Mirror {
    fn open(dir: &Path, slug: &str, client: &Client) -> Result<Self> {
        fs::create_dir_all(dir)
            .map_err(|error| Failure::usage(format!("cannot make folder `{}`: {error}", dir.display())))?;
        let path = dir.join(STATE_FILE);
        let state = match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).map_err(|error| {
                Failure::new(Exit::Damaged, format!("`{}` is damaged: {error}", path.display()))
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let (ledger, _) = node_key(client)?;
                let state = State::new(client.base(), slug, ledger);
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
        let mut mirror = Self { dir: dir.to_owned(), state, newest: None, count: 0 };
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
    /// note and this one, or why there is none; `node_key` asks the server for its key.
    /// The outer error is about doing it, the inner one is the answer.
    fn take(
        &mut self,
        note: &str,
        proof: Result<Vec<Hash>>,
        node_key: impl FnOnce() -> Result<([u8; 16], NodePublicKey)>,
    ) -> Result<Result<Checkpoint, Contradiction>> {
        let checkpoint = Checkpoint::parse(note).map_err(|error| damaged(&error))?;
        if let Err(contradiction) = self.is_this_election(&checkpoint) {
            return Ok(Err(contradiction));
        }
        if !self.state.keys.iter().any(|seen| Checkpoint::verify(note, &[seen.key]).is_ok())
            && let Err(contradiction) = self.learn_key(note, &checkpoint, node_key)?
        {
            return Ok(Err(contradiction));
        }
        let proof = match proof {
            Ok(proof) => proof,
            Err(error) if is_refused(&error) => {
                return Ok(Err(Contradiction(format!(
                    "the server proves nothing of its earlier tree: {error}"
                ))));
            }
            Err(error) => return Err(error),
        };
        let keys: Vec<NodePublicKey> = self.state.keys.iter().map(|seen| seen.key).collect();
        let kept = self.newest.as_ref().map(|(checkpoint, _)| checkpoint);
        if let Err(why) = audit::mirror::step(kept, note, &proof, &keys) {
            return Ok(Err(Contradiction(why.to_string())));
        }
        self.tell_epoch(&checkpoint);
        store(&self.dir.join(file_name(&checkpoint)), note)?;
        self.count += 1;
        if self.newest.as_ref().is_none_or(|(newest, _)| newest.size.0 <= checkpoint.size.0) {
            self.newest = Some((checkpoint, note.to_owned()));
        }
        Ok(Ok(checkpoint))
    }

    /// A key is believed when first seen; another one only with a later epoch.
    fn learn_key(
        &mut self,
        signed: &str,
        checkpoint: &Checkpoint,
        node_key: impl FnOnce() -> Result<([u8; 16], NodePublicKey)>,
    ) -> Result<Result<(), Contradiction>> {
        let epoch = checkpoint.origin.epoch;
        if let Some(seen) = self.state.keys.iter().find(|seen| seen.epoch >= epoch) {
            let text =
                format!("the checkpoint of epoch {epoch} is not signed by the key of epoch {}", seen.epoch);
            return Ok(Err(Contradiction(text)));
        }
        let (_, key) = node_key()?;
        if let Err(error) = Checkpoint::verify(signed, &[key]) {
            return Ok(Err(Contradiction(format!(
                "the server's own key did not sign its checkpoint: {error}"
            ))));
        }
        if !self.state.keys.is_empty() {
            note(format!("The server signs with a new key from epoch {epoch} on. The record says why."));
        }
        self.state.keys.push(SeenKey { epoch, key });
        store(&self.dir.join(STATE_FILE), &serde_json::to_string_pretty(&self.state)?)?;
        Ok(Ok(()))
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
    fn convict(&self, contradiction: &Contradiction, signed: &str) -> Result<Failure> {
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

    fn file(&self, checkpoint: &Checkpoint) -> PathBuf {
        self.dir.join(file_name(checkpoint))
    }

    fn kept(&self) -> String {
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

fn bytes16(text: &str) -> Option<[u8; 16]> {
    // A hash text of 64 digits is parsed by `proof`; an id is its first half.
    let whole: Hash = format!("{text}{}", "0".repeat(64usize.checked_sub(text.len())?)).parse().ok()?;
    (text.len() == 32).then(|| whole.0[..16].try_into().expect("16 of 32 bytes"))
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
        epoch: u32,
    }

    impl Server {
        fn new() -> Self {
            let key = NodeKey::new(1, &Secret::from_bytes([3; 32]));
            Self { tiles: MemoryTiles::new(), leaves: vec![], key, epoch: 1 }
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
        Mirror { dir: dir.to_owned(), state: State::new("http://x", "lunch", LEDGER), newest: None, count: 0 }
    }

    fn take(mirror: &mut Mirror, server: &Server) -> Result<Checkpoint, Contradiction> {
        let from = mirror.newest.as_ref().map_or(0, |(newest, _)| newest.size.0);
        let proof = match from < server.leaves.len() as u64 && from > 0 {
            true => server.proof(from),
            false => Ok(vec![]),
        };
        mirror.take(&server.note(), proof, || Ok((LEDGER, server.key.public()))).expect("works")
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
        assert_eq!(found.0, "the checkpoint of epoch 1 is not signed by the key of epoch 1");
        server.epoch = 2;
        take(&mut mirror, &server).expect("a new epoch may bring a new key");
    }

    #[test]
    fn an_elections_address_is_taken_apart() {
        let split = |url| split_url(url).ok();
        assert_eq!(split("http://h:1/e/lunch"), Some(("http://h:1".into(), "lunch".into())));
        assert_eq!(split("https://h/e/lunch/record?x"), Some(("https://h".into(), "lunch".into())));
        assert_eq!(split("http://h:1/lunch"), None);
        assert_eq!(split("http://h:1/e/"), None);
    }
}
