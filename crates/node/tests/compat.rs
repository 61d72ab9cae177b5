//! The data folder and records of every released format open in this build and give the same bytes.
//!
//! `HUSTINGS_MAKE_COMPAT=v2 cargo test -p node --test compat` adds the folder of a new format; the old ones stay.

use election::answers::{GivenAnswer, GivenAnswers, encode};
use election::{Definition, IdempotencyKey};
use node::{Edge, ElectionHandle, Handle, ListedVoter, Mailbox, Node, NodeConfig, OfficerRequest};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const ELECTIONS: [(&str, &[&str]); 4] = [
    (
        r#"{"slug":"lunch","title":"Lunch?","results":"live","contest":[{"id":"c","title":"C","choices":["A","B"]}]}"#,
        &[],
    ),
    (
        r#"{"slug":"board","title":"Board","eligibility":"list","draw":"server","contest":[{"id":"c","title":"C","choices":["A","B"]}]}"#,
        &["u0", "u1", "u2", "u3", "u4"],
    ),
    (
        r#"{"slug":"seat","title":"Seat","revote":"last-counts","contest":[{"id":"c","title":"C","method":"approval","choices":["A","B"]}]}"#,
        &[],
    ),
    (
        r#"{"slug":"show","title":"Show","ballots_per_voter":3,"groups":["N","S"],"contest":[{"id":"c","title":"C","choices":["A","B"]}]}"#,
        &[],
    ),
];

fn compat() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/compat")
}

fn versions_kept() -> impl Iterator<Item = PathBuf> {
    fs::read_dir(compat()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn record(election: &Arc<ElectionHandle>) -> String {
    let mut text = String::new();
    node::RecordReader::new(Arc::clone(election)).unwrap().read_to_string(&mut text).unwrap();
    text
}

#[tokio::test]
async fn every_kept_format_opens_and_gives_the_same_records() {
    if let Ok(version) = std::env::var("HUSTINGS_MAKE_COMPAT") {
        make(&compat().join(version)).await;
    }
    let mut versions = 0;
    for version in versions_kept() {
        versions += 1;
        for with_caches in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            copy(&version.join("data"), folder.path());
            if !with_caches {
                fs::remove_dir_all(folder.path().join("cache")).unwrap();
            }
            let started = Node::start(NodeConfig::standard(folder.path())).unwrap();
            assert_eq!(started.notes, Vec::<String>::new(), "{}", version.display());
            for kept in fs::read_dir(version.join("records")).unwrap().map(|entry| entry.unwrap().path()) {
                let slug = kept.file_stem().unwrap().to_str().unwrap();
                let election = started.handle.election(slug).unwrap();
                let (kept, made) = (fs::read_to_string(&kept).unwrap(), record(&election));
                assert!(kept == made, "{} {slug}", version.display());
                assert!(audit::run(std::io::Cursor::new(kept), &[], &[]).unwrap().clean);
            }
            started.node.stop().unwrap();
        }
    }
    assert!(versions > 0, "there is at least the first format");
}

/// Makes a folder in this build's format. A node's key and secret are in it: they protect nothing.
async fn make(folder: &Path) {
    assert!(!folder.exists(), "a kept format is never made again");
    let data = folder.join("data");
    let started = Node::start(NodeConfig::standard(&data)).unwrap();
    let (handle, mailbox, mut edge) =
        (started.handle.clone(), started.handle.mailbox(), started.handle.edge().unwrap());
    for (json, voters) in ELECTIONS {
        vote(&handle, &mailbox, &mut edge, json, voters).await;
    }
    fs::create_dir_all(folder.join("records")).unwrap();
    for election in &handle.directory().by_index {
        let name = format!("{}.record", election.slug);
        fs::write(folder.join("records").join(name), record(election)).unwrap();
    }
    started.node.stop().unwrap();
    fs::remove_file(data.join("lock")).unwrap();
}

async fn vote(handle: &Handle, mailbox: &Mailbox, edge: &mut Edge, json: &str, voters: &[&str]) {
    let definition = Definition::from_json(json).unwrap();
    let slug = definition.slug.clone();
    let listed = voters.iter().map(|id| ListedVoter { id: (*id).to_owned(), weight: 2 }).collect();
    handle.act(OfficerRequest::Create(Box::new(definition), listed)).await.unwrap();
    handle.act(OfficerRequest::Open(slug.clone())).await.unwrap();
    let election = handle.election(slug.as_str()).unwrap();
    for number in 0..300_u32 {
        let text = format!("u{}", number % 200);
        let Ok(voter) = edge.voter_by_text(&election, &text) else { continue };
        let choice = if number % 2 == 0 { "a" } else { "b" };
        let given = GivenAnswers(vec![("c".into(), GivenAnswer::Choices(vec![choice.into()]))]);
        let answers = encode(&election.definition, &given).unwrap();
        let group = (slug.as_str() == "show").then_some(u16::try_from(number % 2).unwrap());
        let key = IdempotencyKey::from_text(&format!("{number}"));
        // Second ballots are refused where one is allowed; that belongs in the log, too.
        let _ = mailbox.cast(edge.prepare(&election, voter, key, &answers, group)).await;
    }
    handle.act(OfficerRequest::Pause(slug.clone())).await.unwrap();
    if slug.as_str() != "lunch" {
        handle.act(OfficerRequest::Close(slug.clone())).await.unwrap();
        while election.view().needs_draw {
            tokio::task::yield_now().await;
        }
        handle.act(OfficerRequest::Publish(slug)).await.unwrap();
    }
}
