//! `mirror URL DIR`: follows an election from outside. Every signed checkpoint is verified, shown to continue the
//! one before by a consistency proof, and kept as a file, so that a later record can be held against it.
//!
//! Where several nodes keep the ledger each signs with its own key, and one may show a tree that another has outgrown
//! already: that is no contradiction as long as it is the beginning of the same tree.
//!
//! ```text
//! DIR/mirror.json             which election, and the node keys as first seen
//! DIR/00000012.checkpoint     one signed note each, by tree size
//! DIR/CONTRADICTION.txt       written when two checkpoints cannot both be true
//! ```

mod follower;

use std::time::Duration;

use anyhow::Result;
use proof::checkpoint::Checkpoint;
use proof::{Hash, NodePublicKey};
use serde_json::{Value, json};

use crate::cli::MirrorArgs;
use crate::client::{Client, ServerOptions, election_path};
use crate::exit::{Exit, Failure};
use crate::output::{Form, note};
use follower::{Mirror, Taken, bytes16, damaged};

/// Pause between two looks at the server. Checkpoints are made at most once a second.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);
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
            Ok(Seen::Behind(told)) if args.once => {
                return Err(Failure::new(Exit::Unavailable, told).hint("Try again in a moment.").into());
            }
            Ok(_) if args.once => return Ok(Exit::Ok),
            Ok(Seen::Behind(told)) => {
                if mirror.behind == 1 {
                    note(format!("{told} Waiting for it."));
                }
                pause = (pause * 5 / 4).min(LOOK_EVERY * 5);
            }
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
    /// What to tell of a server that shows less than was seen before.
    Behind(String),
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
    // The other way round where the server shows less: it may have caught up by now.
    let sizes = kept.map(|kept| (kept.size.0.min(checkpoint.size.0), kept.size.0.max(checkpoint.size.0)));
    let proof = match sizes.filter(|(from, to)| 0 < *from && from < to) {
        Some((from, to)) => consistency(client, &path(&format!("/consistency?from={from}&to={to}"))),
        None => Ok(Vec::new()),
    };
    match mirror.take(&signed, proof, || signing(client))? {
        Ok(Taken::Behind(told)) => Ok(Seen::Behind(told)),
        Ok(Taken::Kept(taken)) => {
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

fn consistency(client: &Client, path: &str) -> Result<Vec<Hash>> {
    let value = client.get(path)?;
    let hashes = value["path"].as_array().or(value["proof"].as_array()).or(value.as_array());
    let hash = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
    hashes
        .and_then(|hashes| hashes.iter().map(hash).collect::<Option<Vec<Hash>>>())
        .ok_or_else(|| Failure::new(Exit::Damaged, "the consistency proof is not a list of hashes").into())
}

/// What a server says of who signs.
struct Signing {
    ledger: [u8; 16],
    epoch: u32,
    /// Of all nodes that sign in the epoch; of older servers their own alone.
    keys: Vec<NodePublicKey>,
}

fn signing(client: &Client) -> Result<Signing> {
    let value = client.get("/api/v1")?;
    let keys = match value.get("nodes") {
        Some(nodes) => serde_json::from_value(nodes.clone()),
        None => {
            serde_json::from_value(json!({"node": value["node"], "key": value["key"]})).map(|own| vec![own])
        }
    };
    let epoch = value["epoch"].as_u64().and_then(|epoch| u32::try_from(epoch).ok());
    match (bytes16(value["ledger"].as_str().unwrap_or_default()), epoch, keys) {
        (Some(ledger), Some(epoch), Ok(keys)) => Ok(Signing { ledger, epoch, keys }),
        _ => Err(Failure::new(Exit::Damaged, "the server does not say its ledger and keys").into()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_elections_address_is_taken_apart() {
        let split = |url| split_url(url).ok();
        assert_eq!(split("http://h:1/e/lunch"), Some(("http://h:1".into(), "lunch".into())));
        assert_eq!(split("https://h/e/lunch/record?x"), Some(("https://h".into(), "lunch".into())));
        assert_eq!(split("http://h:1/lunch"), None);
        assert_eq!(split("http://h:1/e/"), None);
    }
}
