//! A node from the outside: real files, a real writer thread.

use election::answers::{GivenAnswer, GivenAnswers, encode};
use election::room::Pace;
use election::{Definition, ElectionState, IdempotencyKey, Rejection, UnixMillis};
use node::{
    BulkAnswer, Edge, ElectionHandle, Handle, ListedVoter, Mailbox, Node, NodeConfig, OfficerRequest,
    SubmitError,
};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

const LUNCH: &str = r#"{"slug":"lunch","title":"Lunch?","results":"live","contest":[{"id":"food","title":"Food","choices":["Pizza","Sushi"]}]}"#;

struct Running {
    node: Node,
    handle: Handle,
    mailbox: Mailbox,
    edge: Edge,
}

fn start(data: &Path) -> Running {
    let started = Node::start(NodeConfig::standard(data)).unwrap();
    let handle = started.handle;
    Running { node: started.node, mailbox: handle.mailbox(), edge: handle.edge().unwrap(), handle }
}

async fn create(running: &Running, json: &str, voters: Vec<ListedVoter>) -> Arc<ElectionHandle> {
    let definition = Definition::from_json(json).unwrap();
    let slug = definition.slug.clone();
    running.handle.act(OfficerRequest::Create(Box::new(definition), voters)).await.unwrap();
    running.handle.act(OfficerRequest::Open(slug.clone())).await.unwrap();
    running.handle.election(slug.as_str()).unwrap()
}

fn answers(election: &ElectionHandle, choice: &str) -> election::EncodedAnswers {
    let given = GivenAnswers(vec![("food".into(), GivenAnswer::Choices(vec![choice.into()]))]);
    encode(&election.definition, &given).unwrap()
}

async fn cast(
    running: &mut Running,
    election: &ElectionHandle,
    token: &str,
    choice: &str,
    key: IdempotencyKey,
) -> Result<node::CastReceipt, SubmitError> {
    let voter = running.edge.verify_voter(token, election).unwrap().voter;
    let ballot = running.edge.prepare(election, voter, key, &answers(election, choice), None);
    running.mailbox.cast(ballot).await
}

/// The record, which every auditor must find clean.
fn record(election: &Arc<ElectionHandle>) -> String {
    let mut text = String::new();
    node::RecordReader::new(Arc::clone(election)).unwrap().read_to_string(&mut text).unwrap();
    let report = audit::run(std::io::Cursor::new(text.as_bytes()), &[], &[]).unwrap();
    assert!(report.clean, "{report}\n{text}");
    text
}

#[tokio::test]
async fn a_ballot_gets_a_receipt_that_proves_itself_and_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = start(folder.path());
    let election = create(&running, LUNCH, Vec::new()).await;
    let token = running.edge.new_session(Some(&election)).unwrap();
    let key = IdempotencyKey::from_text("try-1");
    let receipt = cast(&mut running, &election, &token, "pizza", key).await.unwrap();
    proof::receipt::verify(&receipt.to_receipt(), Some(&running.handle.identity().key)).unwrap();
    assert_eq!((receipt.leaf_index, receipt.ballot_index, receipt.is_repeat), (1, 0, false));

    let again = cast(&mut running, &election, &token, "pizza", key).await.unwrap();
    assert_eq!((again.leaf, again.leaf_index, again.is_repeat), (receipt.leaf, 1, true));
    proof::receipt::verify(&again.to_receipt(), Some(&running.handle.identity().key)).unwrap();
    let other = cast(&mut running, &election, &token, "sushi", key).await.unwrap_err();
    assert_eq!(other.code(), "idempotency_key_reused");
    let no_key = cast(&mut running, &election, &token, "pizza", IdempotencyKey::NONE).await.unwrap_err();
    assert_eq!(no_key.code(), "already_voted");

    let before = record(&election);
    running.node.stop().unwrap();
    for wipe in [false, true] {
        if wipe {
            std::fs::remove_dir_all(folder.path().join("cache")).unwrap();
        }
        let mut running = start(folder.path());
        let election = running.handle.election("lunch").unwrap();
        assert_eq!(record(&election), before, "the same log gives the same bytes");
        let again = cast(&mut running, &election, &token, "pizza", key).await.unwrap();
        assert_eq!((again.leaf, again.leaf_index), (receipt.leaf, 1));
        let proof = election.proof(1).unwrap();
        let (leaf, size) = (proof::LeafIndex(1), proof::TreeSize(proof.size));
        proof::verify_inclusion(&proof.leaf, leaf, size, &proof.path, &proof.root).unwrap();
        running.node.stop().unwrap();
    }
}

#[tokio::test]
async fn bulk_ballots_are_answered_line_by_line_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = start(folder.path());
    let election = create(&running, LUNCH, Vec::new()).await;
    let mut chunk = running.edge.new_chunk(&election, false);
    for line in 0..1000 {
        let voter = running.edge.voter_by_text(&election, &format!("phone-{}", line % 999)).unwrap();
        let answers = answers(&election, if line % 3 == 0 { "pizza" } else { "sushi" });
        running.edge.prepare_line(&mut chunk, &election, voter, IdempotencyKey::NONE, &answers, None);
    }
    let lines = running.mailbox.cast_many(chunk).await.unwrap();
    let accepted = lines.iter().filter(|line| matches!(line, BulkAnswer::Accepted(_))).count();
    assert_eq!(accepted, 999);
    assert!(matches!(&lines[999], BulkAnswer::Refused(error) if error.code() == "already_voted"));
    let view = election.view();
    assert_eq!((view.results.ballots, view.tree_size), (999, 1000));
    record(&election);
    running.node.stop().unwrap();
}

#[tokio::test]
async fn the_last_of_the_list_closes_the_vote_and_the_server_draws_the_tie() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = start(folder.path());
    let json = r#"{"slug":"board","title":"Board","eligibility":"list","draw":"server","closing":{"after_voters":"all"},
        "contest":[{"id":"food","title":"Food","choices":["Pizza","Sushi"]}]}"#;
    let voters = ["u1", "u2"].map(|id| ListedVoter { id: id.to_owned(), weight: 1 }).to_vec();
    let election = create(&running, json, voters).await;
    assert!(running.edge.list_token(&election, "stranger").is_err());
    for (id, choice) in [("u1", "pizza"), ("u2", "sushi")] {
        let token = running.edge.list_token(&election, id).unwrap();
        cast(&mut running, &election, &token, choice, IdempotencyKey::NONE).await.unwrap();
    }
    let mut views = election.watch();
    while views.borrow_and_update().needs_draw || election.view().state != ElectionState::Closed {
        tokio::time::timeout(std::time::Duration::from_secs(10), views.changed()).await.unwrap().unwrap();
    }
    let sentences = election.view().results.sentences();
    assert!(sentences[0].contains("drawn by lot by the server"), "{sentences:?}");
    running.handle.act(OfficerRequest::Publish("board".parse().unwrap())).await.unwrap();
    let text = record(&election);
    assert_eq!(text.lines().filter(|line| line.contains(r#""act":"#)).count(), 4, "{text}");
    running.node.stop().unwrap();
}

#[tokio::test]
async fn a_room_stays_locked_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = start(folder.path());
    let election = create(&running, LUNCH, Vec::new()).await;
    let early = running.edge.new_session(Some(&election)).unwrap();
    let elections = vec![election.slug.clone()];
    let make = OfficerRequest::CreateRoom { title: "Hall".to_owned(), pace: Pace::Led, elections };
    let code = running.handle.act(make).await.unwrap().room.unwrap();
    running.handle.act(OfficerRequest::LockRoom(code.clone())).await.unwrap();
    let locked_at = running.handle.directory().rooms[&code].locked_at.unwrap();
    running.node.stop().unwrap();

    let mut running = start(folder.path());
    let election = running.handle.election("lunch").unwrap();
    // Within the second of the lock joining still counts as before it.
    let second_of = |at: UnixMillis| at.0 / 1000;
    while second_of(running.handle.now()) <= second_of(locked_at) {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let refused = running.edge.new_session(Some(&election)).unwrap_err();
    assert_eq!(refused, Rejection::RoomLocked(election.slug.clone()));
    let late = running.edge.new_session(None).unwrap();
    let shown = running.edge.verify_voter(&late, &election).unwrap();
    assert!(election.admits(shown.issued).is_err());
    let shown = running.edge.verify_voter(&early, &election).unwrap();
    assert_eq!(election.admits(shown.issued), Ok(()));
    running.handle.act(OfficerRequest::UnlockRoom(code)).await.unwrap();
    assert!(running.edge.new_session(Some(&election)).is_ok());
    running.node.stop().unwrap();
}

#[tokio::test]
async fn a_restored_ledger_begins_a_new_epoch_that_its_record_shows() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = start(folder.path());
    let election = create(&running, LUNCH, Vec::new()).await;
    let first = running.edge.new_session(Some(&election)).unwrap();
    cast(&mut running, &election, &first, "pizza", IdempotencyKey::NONE).await.unwrap();
    running.node.stop().unwrap();

    std::fs::remove_file(folder.path().join("node-key")).unwrap();
    let identity = node::begin_epoch(folder.path(), election::command::EpochReason::Restored).unwrap();
    assert_eq!(identity.epoch, 2);

    let mut running = start(folder.path());
    let election = running.handle.election("lunch").unwrap();
    let again = cast(&mut running, &election, &first, "sushi", IdempotencyKey::NONE).await.unwrap_err();
    assert_eq!(again.code(), "already_voted");
    let second = running.edge.new_session(Some(&election)).unwrap();
    let receipt = cast(&mut running, &election, &second, "sushi", IdempotencyKey::NONE).await.unwrap();
    assert_eq!(receipt.context.epoch, 2);
    running.handle.act(OfficerRequest::Close("lunch".parse().unwrap())).await.unwrap();
    let text = record(&election);
    assert!(text.contains(r#""act":"epoch""#) && text.contains("a tie"), "{text}");
    running.node.stop().unwrap();
}

#[tokio::test]
async fn a_rotten_tile_is_noticed_before_a_wrong_root_is_signed() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = start(folder.path());
    let election = create(&running, LUNCH, Vec::new()).await;
    for _ in 0..3 {
        let token = running.edge.new_session(Some(&election)).unwrap();
        cast(&mut running, &election, &token, "pizza", IdempotencyKey::NONE).await.unwrap();
    }
    running.handle.act(OfficerRequest::Close("lunch".parse().unwrap())).await.unwrap();
    let tile = folder.path().join("cache/election-000000.tile.0");
    let mut hashes = std::fs::read(&tile).unwrap();
    hashes[40] ^= 1;
    std::fs::write(&tile, hashes).unwrap();
    let mut text = String::new();
    let read = node::RecordReader::new(Arc::clone(&election)).unwrap().read_to_string(&mut text);
    assert!(read.is_err(), "the record ends before anything is signed");
    assert!(!text.contains(r#""end""#));
    running.node.stop().unwrap();
}
