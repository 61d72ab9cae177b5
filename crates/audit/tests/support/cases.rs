//! The cases of `testdata/audit`: clean records, and for each check records that fail exactly that one.

use std::sync::OnceLock;

use data_encoding::BASE64;
use election::OfficerCommand;
use election::ballot::Extras;
use election::command::{DrawSource, EpochReason};
use election::{Hlc, UnixMillis};
use proof::receipt::Receipt;
use proof::{Hash, NodeKey, Secret, sha256};
use serde_json::{Value, json};

use super::{Ballot, Draft, Leaf, START, Vote, key_hex, key_of, make_opening, node_key, tag};

/// One case: files, and what an auditor says.
pub struct Case {
    pub name: String,
    pub about: &'static str,
    pub record: String,
    pub receipts: Vec<String>,
    pub checkpoints: Vec<String>,
    /// Number of the one check that fails; `None` for a clean record.
    pub fails: Option<u8>,
}

pub fn all() -> Vec<Case> {
    let mut cases: Vec<Case> =
        clean().into_iter().map(|(name, about, draft)| clean_case(name, about, &draft)).collect();
    cases.extend(tampered());
    cases
}

fn clean_case(name: &str, about: &'static str, draft: &Draft) -> Case {
    let receipts = if draft.ballots() == 0 { Vec::new() } else { draft.receipts() };
    let receipts = receipts.iter().step_by(3).map(receipt_text).collect();
    let sizes = draft.checkpoint_sizes.iter().step_by(2);
    let checkpoints = sizes.map(|size| draft.checkpoint(*size)).chain([draft.checkpoint(2)]).collect();
    Case { name: format!("clean/{name}"), about, record: draft.write(), receipts, checkpoints, fails: None }
}

fn receipt_text(receipt: &Receipt) -> String {
    serde_json::to_string(receipt).unwrap() + "\n"
}

type Clean = Vec<(&'static str, &'static str, Draft)>;

/// Small elections without fault.
pub fn clean() -> Clean {
    static CLEAN: OnceLock<Clean> = OnceLock::new();
    let make = || {
        vec![
            ("plurality-tie", "two contests, one tied and one won; blanks; published", plurality_tie()),
            ("approval", "two seats, a tie for the last one, groups, a pause, seven checkpoints", approval()),
            (
                "motion",
                "three motions, quorum and bases, a list with weights and groups, a restored epoch",
                motion(),
            ),
            ("last-counts", "the last ballot counts, keys, a deadline extended and reached", last_counts()),
            ("capped", "up to three ballots a voter, closed by the number of voters", capped()),
            ("draw-server", "a tie drawn by the server", drawn(DrawSource::Server)),
            (
                "draw-public",
                "a tie for the last two of three seats, drawn in public",
                drawn(DrawSource::Public),
            ),
            ("draw-pending", "closed, and the tie not yet drawn", draw_pending()),
            ("rating", "two scales, one without a rating; a motion with abstentions only", rating()),
            (
                "on-reveal",
                "counts shown by the officer, hidden, and shown again; choices in shuffled order",
                on_reveal(),
            ),
            ("open", "still open, live results", still_open()),
            ("cancelled", "cancelled while paused", cancelled()),
            ("no-votes", "no ballot at all; text that JSON escapes", no_votes()),
            (
                "cluster",
                "three nodes sign, the third joins during the vote and vouches for ballots from before that",
                cluster(),
            ),
            (
                "cluster-restored",
                "three nodes, then a restored epoch that the second begins; the first joins it after publication",
                cluster_restored(),
            ),
        ]
    };
    CLEAN.get_or_init(make).clone()
}

/// A clean record by name.
pub fn draft(name: &str) -> Draft {
    clean().into_iter().find(|(known, ..)| *known == name).unwrap().2
}

fn plurality_tie() -> Draft {
    let mut vote = Vote::open(
        json!({"slug": "heroes", "title": "Heroes and villains", "description": "Everybody may vote once.",
            "contest": [
                {"id": "hero", "title": "Who is it?", "choices": ["Harry Potter", "Darth Vader", "Frodo"]},
                {"id": "snack", "title": "Best sandwich?", "choices": ["Peanut Butter and Jelly", "Cheese"]}]}),
        &[],
    );
    vote.cast_all(&[
        &[&[0], &[0]],
        &[&[1], &[0]],
        &[&[0], &[1]],
        &[&[1], &[]],
        &[&[], &[0]],
        &[&[0], &[]],
        &[&[1], &[1]],
        &[&[2], &[0]],
    ]);
    vote.close();
    vote.publish();
    vote.record()
}

fn approval() -> Draft {
    let mut vote = Vote::open(
        json!({"slug": "committee", "title": "Committee", "results": "live", "groups": ["North", "South & \"West\""],
            "contest": [{"id": "seats", "title": "Two seats", "method": "approval", "seats": 2,
                "choose": {"min": 1, "max": 3}, "choices": ["Ann", "Bob", "Cem", "Dörte"]}]}),
        &[],
    );
    vote.cast_all(&[&[&[0]], &[&[0, 1]], &[&[0, 2]]]);
    vote.act(OfficerCommand::Pause { slug: vote.slug() });
    vote.wait(60);
    vote.act(OfficerCommand::Open { slug: vote.slug() });
    for (voter, marks) in [(3, &[0u16, 1, 2][..]), (4, &[]), (5, &[3]), (6, &[1, 2])] {
        vote.cast(Ballot { voter, marks: &[marks], key: "" });
    }
    vote.close();
    vote.publish();
    let mut draft = vote.record();
    draft.checkpoint_sizes.extend([3, 7, 9]);
    draft.checkpoint_sizes.sort_unstable();
    draft
}

fn motion() -> Draft {
    let motions = [
        json!({"id": "budget", "title": "Accept the budget?", "method": "motion", "majority": ">=2/3", "base": "cast",
            "quorum": "1/3"}),
        json!({"id": "statute", "title": "Change the statute?", "method": "motion", "majority": ">1/2",
            "base": "eligible"}),
        json!({"id": "trip", "title": "A trip?", "method": "motion", "quorum": 100}),
        json!({"id": "lunch", "title": "Lunch?", "method": "motion", "choose": {"min": 1, "max": 1}}),
    ];
    let roll = [
        (3, Some(0)),
        (1, Some(1)),
        (2, None),
        (5, Some(0)),
        (1, Some(1)),
        (1, None),
        (4, Some(0)),
        (1, None),
    ];
    let mut vote = Vote::open(
        json!({"slug": "assembly-2027", "title": "Assembly", "organiser": "The club", "eligibility": "list",
            "results": "on-publish", "groups": ["Founders", "Friends"], "contest": motions}),
        &roll,
    );
    vote.cast_all(&[&[&[0], &[0], &[0], &[1]], &[&[2], &[1], &[], &[0]], &[&[0], &[0], &[1], &[]]]);
    vote.epoch(2, EpochReason::Restored);
    for (voter, marks) in [(3, [&[0u16][..], &[0], &[0], &[2]]), (4, [&[1], &[1], &[0], &[0]]), (7, [&[]; 4])]
    {
        vote.cast(Ballot { voter, marks: &marks, key: "k" });
    }
    vote.close();
    vote.publish();
    vote.record()
}

fn last_counts() -> Draft {
    let closes_at = UnixMillis(START.0 + 600_000);
    let mut vote = Vote::open(
        json!({"slug": "party", "title": "Where to?", "revote": "last-counts",
            "closing": {"at": closes_at.to_string()},
            "contest": [{"id": "place", "title": "Where to?", "choices": ["Sea", "Hills"]}]}),
        &[],
    );
    for (voter, choice, key) in [(0, 0, "a"), (1, 0, ""), (2, 1, ""), (0, 1, "b"), (2, 1, ""), (3, 0, "a")] {
        vote.cast(Ballot { voter, marks: &[&[choice]], key });
    }
    vote.wait(500);
    vote.act(OfficerCommand::Extend { slug: vote.slug(), closes_at: UnixMillis(START.0 + 900_000) });
    vote.wait(200);
    vote.cast(Ballot { voter: 1, marks: &[&[]], key: "" });
    vote.wait(300);
    vote.act(OfficerCommand::Deadline { slug: vote.slug() });
    vote.publish();
    vote.record()
}

fn capped() -> Draft {
    let mut vote = Vote::open(
        json!({"slug": "song-contest", "title": "Song contest", "ballots_per_voter": 3,
            "closing": {"after_voters": 4},
            "contest": [{"id": "song", "title": "Which song?", "choices": ["First", "Second", "Third"]}]}),
        &[],
    );
    let calls = [(0, 0, "x"), (0, 0, "y"), (1, 1, ""), (0, 2, ""), (2, 1, "x"), (1, 1, ""), (3, 0, "")];
    for (voter, choice, key) in calls {
        vote.cast(Ballot { voter, marks: &[&[choice]], key });
    }
    vote.publish();
    vote.record()
}

fn drawn(source: DrawSource) -> Draft {
    let is_server = source == DrawSource::Server;
    let (slug, draw, seats) = if is_server { ("tie", "server", 1) } else { ("three-seats", "public", 3) };
    let contest = json!({"id": "chair", "title": "Who chairs?", "seats": seats, "choose": {"max": 2},
        "choices": ["Ann", "Bob", "Cem", "Dora"]});
    let mut vote =
        Vote::open(json!({"slug": slug, "title": "Chair", "draw": draw, "contest": [contest]}), &[]);
    vote.cast_all(match source {
        DrawSource::Server => &[&[&[0, 1]], &[&[0, 1]], &[&[2]], &[&[]]],
        DrawSource::Public => &[&[&[0, 1]], &[&[0, 2]], &[&[0, 3]], &[&[0]]],
    });
    vote.close();
    vote.draw(source);
    vote.publish();
    vote.record()
}

fn draw_pending() -> Draft {
    let contest = json!({"id": "chair", "title": "Who chairs?", "choices": ["Ann", "Bob"]});
    let mut vote =
        Vote::open(json!({"slug": "pending", "title": "Chair", "draw": "public", "contest": [contest]}), &[]);
    vote.cast_all(&[&[&[0]], &[&[1]]]);
    vote.close();
    vote.record()
}

fn rating() -> Draft {
    let levels = [json!({"id": "0", "name": "Poor"}), json!("7"), json!({"id": "100", "name": "\"Great\""})];
    let mut vote = Vote::open(
        json!({"slug": "feedback", "title": "Feedback", "eligibility": "list", "draw": "public", "contest": [
            {"id": "talk", "title": "How was the talk?", "method": "rating"},
            {"id": "food", "title": "And the food?", "method": "rating", "choices": levels},
            {"id": "again", "title": "Again next year?", "method": "motion"}]}),
        &[(3, None), (1, None), (1, None), (2, None), (1, None)],
    );
    vote.cast_all(&[
        &[&[4], &[], &[2]],
        &[&[0], &[], &[]],
        &[&[3], &[], &[2]],
        &[&[], &[], &[]],
        &[&[4], &[], &[2]],
    ]);
    vote.close();
    vote.publish();
    vote.record()
}

fn on_reveal() -> Draft {
    let contests = json!([
        {"id": "lunch", "title": "Lunch?", "order": "shuffled", "choices": ["Pizza", "Sushi", "Soup"]},
        {"id": "mood", "title": "Mood?", "method": "rating", "choose": {"min": 1}, "choices": ["1", "2", "3"]}]);
    let mut vote = Vote::open(
        json!({"slug": "room", "title": "In the room", "results": "on-reveal", "contest": contests}),
        &[],
    );
    vote.cast_all(&[&[&[0], &[2]], &[&[1], &[1]], &[&[1], &[1]]]);
    vote.act(OfficerCommand::Reveal { slug: vote.slug() });
    vote.cast(Ballot { voter: 3, marks: &[&[1], &[0]], key: "" });
    vote.act(OfficerCommand::Hide { slug: vote.slug() });
    vote.act(OfficerCommand::Pause { slug: vote.slug() });
    vote.close();
    vote.act(OfficerCommand::Reveal { slug: vote.slug() });
    vote.publish();
    vote.record()
}

fn still_open() -> Draft {
    let contest = json!({"id": "lunch", "title": "Lunch?", "choices": ["Pizza", "Sushi"]});
    let mut vote =
        Vote::open(json!({"slug": "lunch", "title": "Lunch?", "results": "live", "contest": [contest]}), &[]);
    vote.cast_all(&[&[&[0]], &[&[1]], &[&[1]]]);
    vote.record()
}

fn cancelled() -> Draft {
    let contest = json!({"id": "lunch", "title": "Lunch?", "choices": ["Pizza", "Sushi"]});
    let mut vote = Vote::open(json!({"slug": "lunch-2", "title": "Lunch?", "contest": [contest]}), &[]);
    vote.cast_all(&[&[&[0]], &[&[1]]]);
    vote.act(OfficerCommand::Pause { slug: vote.slug() });
    let reason = "The kitchen is \"closed\"\n— sorry".to_owned();
    vote.act(OfficerCommand::Cancel { slug: vote.slug(), reason });
    vote.record()
}

fn no_votes() -> Draft {
    let contest = json!({"id": "name", "title": "A \\ \"name\"?", "description": "line\nbreak",
        "choices": [{"id": "a", "name": "É\u{1F41D}", "party": "</script>", "link": "https://example.org/?a=1&b=2"}]});
    let mut vote = Vote::open(
        json!({"slug": "nobody", "title": "Nobody\u{7f}"
        .replace('\u{7f}', "'s"), "contest": [contest]}),
        &[],
    );
    vote.close();
    vote.publish();
    vote.record()
}

fn tampered() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |check: u8,
                   name: &str,
                   about: &'static str,
                   record: String,
                   receipts: Vec<String>,
                   kept: Vec<String>| {
        let name = format!("tampered/{check:02}-{name}");
        cases.push(Case { name, about, record, receipts, checkpoints: kept, fails: Some(check) });
    };
    let mut changed = |check: u8, name: &str, about: &'static str, draft: Draft| {
        add(check, name, about, draft.write(), Vec::new(), Vec::new());
    };
    form_cases(&mut changed);
    evidence_cases(&mut changed);
    act_cases(&mut changed);
    node_cases(&mut changed);
    ballot_cases(&mut changed);
    count_cases(&mut changed);

    let whole = draft("plurality-tie").write();
    let cut = whole.lines().take(8).map(|line| format!("{line}\n")).collect();
    add(1, "form-cut", "the file ends after some lines", cut, Vec::new(), Vec::new());
    let unfinished = whole.trim_end().to_owned();
    add(1, "form-no-line-feed", "the last line feed is missing", unfinished, Vec::new(), Vec::new());
    let longer = whole.clone() + "{}\n";
    add(1, "form-more", "a line follows the end", longer, Vec::new(), Vec::new());

    receipt_cases(&mut add);
    cases
}

/// Nodes 1 and 2 from the opening on, and 3 from its middle.
fn cluster() -> Draft {
    let contest = json!({"id": "dish", "title": "Which dish?", "choices": ["Soup", "Pie", "Rice"]});
    let mut vote = Vote::open_with(
        &[2],
        json!({"slug": "dishes", "title": "Dishes", "results": "live", "contest": [contest]}),
        &[],
    );
    for voter in 0..6 {
        vote.cast(Ballot { voter, marks: &[&[(voter % 2) as u16]], key: "" });
    }
    vote.join(3);
    for voter in 6..9 {
        vote.cast(Ballot { voter, marks: &[&[1]], key: "" });
    }
    vote.close();
    vote.publish();
    let mut draft = vote.record();
    draft.receipt_nodes = vec![3, 1, 2];
    draft.checkpoint_nodes = vec![2, 1];
    draft.end_key = key_of(3, 1);
    draft
}

fn cluster_restored() -> Draft {
    let contest = json!({"id": "day", "title": "Which day?", "choices": ["Monday", "Friday"]});
    let definition = json!({"slug": "days", "title": "Days", "contest": [contest]});
    let mut vote = Vote::open_with(&[3, 2], definition, &[]);
    for voter in 0..9 {
        vote.cast(Ballot { voter, marks: &[&[(voter % 2) as u16]], key: "" });
    }
    vote.epoch_by(2, 2, EpochReason::Restored);
    for voter in 9..12 {
        vote.cast(Ballot { voter, marks: &[&[0]], key: "" });
    }
    vote.close();
    vote.publish();
    vote.join(1);
    let mut draft = vote.record();
    draft.receipt_nodes = vec![1, 2, 3];
    draft.checkpoint_nodes = vec![2, 1];
    draft.end_key = key_of(1, 2);
    draft
}

type Changed<'a> = dyn FnMut(u8, &str, &'static str, Draft) + 'a;

fn form_cases(changed: &mut Changed<'_>) {
    let mut draft = draft("plurality-tie");
    draft.header_leaves = Some(draft.leaves.len() as u64 + 1);
    changed(1, "form-leaves", "the header promises a leaf more", draft);

    let mut draft = self::draft("plurality-tie");
    draft.result = draft.result.replacen("\"ballots\"", " \"ballots\"", 1);
    draft.publish_again();
    changed(1, "form-space", "a space that compact JSON does not have", draft);
}

fn evidence_cases(changed: &mut Changed<'_>) {
    let mut draft = draft("plurality-tie");
    // Another first digit.
    draft.change_end = |end| {
        let start = end.find("\"sha256\":\"").unwrap() + 10;
        let digit = if &end[start..=start] == "0" { "1" } else { "0" };
        format!("{}{digit}{}", &end[..start], &end[start + 1..])
    };
    changed(2, "digest-hash", "the end line carries another hash", draft);

    let mut draft = self::draft("plurality-tie");
    draft.end_key = NodeKey::new(1, &Secret::from_bytes([99; 32]));
    changed(2, "digest-signature", "signed by a key that no act names", draft);

    let mut draft = self::draft("plurality-tie");
    draft.definition = draft.definition.replacen("Everybody may vote once", "Everybody may vote twice", 1);
    changed(3, "definition-text", "another description than the one opened", draft);

    let mut draft = self::draft("plurality-tie");
    draft.definition = draft.definition.replacen("Everybody may vote once", "Everybody may vote twice", 1);
    draft.definition_hash = sha256(&[draft.definition.as_bytes()]);
    changed(3, "definition-header", "another definition, and its hash in the header", draft);

    let mut draft = self::draft("motion");
    draft.roll = draft.roll.replacen(&tag(5).to_string(), &tag(500).to_string(), 1);
    let mut lines: Vec<&str> = draft.roll.lines().collect();
    lines.sort_unstable();
    draft.roll = lines.iter().map(|line| format!("{line}\n")).collect();
    changed(4, "roll-voter", "a voter who did not vote was exchanged", draft);

    let mut draft = self::draft("motion");
    draft.roll = draft.roll.lines().rev().map(|line| format!("{line}\n")).collect();
    let commitment = sha256(&[draft.roll.as_bytes()]).to_hex();
    draft.change_act("opened", |act| act["roll"] = json!(commitment));
    changed(4, "roll-order", "the roll is not sorted", draft);

    let mut draft = self::draft("motion");
    draft.epochs[1]["reason"] = json!("recovered");
    changed(6, "epochs-reason", "the header gives the second epoch another reason", draft);

    let mut draft = self::draft("motion");
    draft.epochs[0]["nodes"][0]["key"] = json!(election::hex(&node_key(9).public().key));
    changed(6, "epochs-key", "the header gives the node another key", draft);

    let mut draft = self::draft("motion");
    draft.epochs.pop();
    changed(6, "epochs-hidden", "the header hides the second epoch", draft);

    let mut draft = self::draft("plurality-tie");
    draft.signed_leaves = Some(draft.leaves.clone());
    draft.opening_mut(4)[0] ^= 1;
    changed(7, "tree-ballot", "a ballot's nonce was changed after the checkpoints", draft);

    let mut draft = self::draft("plurality-tie");
    draft.signed_leaves = Some(draft.leaves.clone());
    let (a, b) = (draft.ballot_leaf(2), draft.ballot_leaf(3));
    draft.leaves.swap(a, b);
    changed(7, "tree-order", "two ballots changed places", draft);

    let mut draft = self::draft("plurality-tie");
    draft.leaf_numbers[4] = 5;
    changed(7, "tree-number", "a leaf line carries a wrong number", draft);

    let mut draft = self::draft("open");
    draft.checkpoint_sizes.pop();
    changed(7, "tree-uncovered", "no checkpoint covers the last leaves", draft);

    let mut draft = self::draft("plurality-tie");
    draft.change_checkpoint = |index, note| if index == 1 { flip_signature(&note) } else { note };
    changed(8, "checkpoints-signature", "a checkpoint's signature does not hold", draft);

    let mut draft = self::draft("plurality-tie");
    draft.change_checkpoint =
        |index, note| if index == 0 { note.replacen("\n— ", "\n—", 1) } else { note };
    changed(8, "checkpoints-malformed", "a note is malformed", draft);

    let mut draft = self::draft("motion");
    draft.epoch_starts[1].1 += 1;
    changed(8, "checkpoints-epoch", "a checkpoint names the epoch before", draft);

    let mut draft = self::draft("plurality-tie");
    let closing = draft.leaves.len() as u64 - 1;
    draft.checkpoint_sizes.retain(|size| *size != closing);
    changed(8, "checkpoints-closing", "the closing checkpoint is missing", draft);
}

/// Changes one bit of a note's signature.
fn flip_signature(note: &str) -> String {
    let (head, blob) = note.trim_end().rsplit_once(' ').unwrap();
    let mut blob = BASE64.decode(blob.as_bytes()).unwrap();
    blob[20] ^= 4;
    format!("{head} {}\n", BASE64.encode(&blob))
}

fn act_cases(changed: &mut Changed<'_>) {
    let mut draft = draft("approval");
    draft.change_act("paused", |act| act["by"] = json!("rule"));
    changed(5, "acts-by", "a pause by a rule", draft);

    let mut draft = self::draft("approval");
    let at = draft
        .leaves
        .iter()
        .position(|leaf| matches!(leaf, Leaf::Act(json) if json.contains("resumed")))
        .unwrap();
    let again = draft.leaves[at].clone();
    draft.insert(at, again);
    changed(5, "acts-state", "resumed twice", draft);

    let mut draft = self::draft("approval");
    draft.change_act("published", |act| act["at"] = json!("2027-03-01T10:00:59.000Z"));
    changed(5, "acts-time", "published before the close", draft);

    let mut draft = self::draft("last-counts");
    draft.change_act("closed", |act| act["at"] = json!("2027-03-01T10:14:00.000Z"));
    changed(5, "acts-deadline", "closed by the deadline before it was reached", draft);

    let mut draft = self::draft("capped");
    draft.change_act("closed", |act| act["reason"] = json!("officer"));
    draft.change_act("closed", |act| act["by"] = json!("officer"));
    let (closed, last) = (draft.leaves.len() - 2, draft.ballot_leaf(6));
    let (mut late, mut full) = (draft.leaves[draft.ballot_leaf(5)].clone(), draft.leaves[last].clone());
    assert_eq!(closed, last + 1);
    if let (Leaf::Ballot(late), Leaf::Ballot(full)) = (&mut late, &mut full) {
        // The voter who fills the number votes before one who voted already; stamps stay in order.
        let stamps = 85..93;
        let earlier = late[stamps.clone()].to_vec();
        late[stamps.clone()].copy_from_slice(&full[stamps.clone()]);
        full[stamps].copy_from_slice(&earlier);
    }
    (draft.leaves[last - 1], draft.leaves[last]) = (full, late);
    changed(5, "acts-full", "a ballot follows the one that closes the vote", draft);

    let mut draft = self::draft("plurality-tie");
    draft.change_act("closed", |act| act["reason"] = json!("deadline"));
    draft.change_act("closed", |act| act["by"] = json!("rule"));
    changed(5, "acts-no-deadline", "closed by a deadline that does not exist", draft);

    let mut draft = self::draft("plurality-tie");
    let last = draft.leaves.len() - 1;
    let Leaf::Act(closed) = &draft.leaves[last - 1] else { unreachable!("it was closed, then published") };
    let at = serde_json::from_str::<Value>(closed).unwrap()["at"].clone();
    draft.insert(last, Leaf::Act(format!(r#"{{"act":"revealed","at":{at},"by":"officer"}}"#)));
    changed(5, "acts-revealed", "results revealed that are shown at the close", draft);

    let mut draft = self::draft("on-reveal");
    let last = draft.leaves.len() - 1;
    let again = draft.leaves[last - 1].clone();
    draft.insert(last, again);
    changed(5, "acts-revealed-twice", "revealed twice", draft);
}

/// What is wrong about the nodes of a cluster.
fn node_cases(changed: &mut Changed<'_>) {
    let mut draft = draft("cluster");
    draft.end_key = key_of(4, 1);
    changed(2, "digest-node", "signed by a node that no act names", draft);

    let mut draft = self::draft("cluster");
    draft.change_act("node", |act| act["by"] = json!("officer"));
    changed(5, "acts-node-by", "a node that an officer let in", draft);

    let mut draft = self::draft("cluster");
    let last = draft.leaves.len() - 1;
    let Leaf::Act(closed) = &draft.leaves[last - 1] else { unreachable!("it was closed, then published") };
    let at = serde_json::from_str::<Value>(closed).unwrap()["at"].clone();
    let key = key_hex(2, 9);
    draft
        .insert(last, Leaf::Act(format!(r#"{{"act":"node","at":{at},"by":"rule","node":2,"key":"{key}"}}"#)));
    draft.epochs[0]["nodes"].as_array_mut().unwrap().push(json!({"node": 2, "key": key}));
    changed(5, "acts-node-twice", "a node has two keys in one epoch", draft);

    let mut draft = self::draft("cluster");
    let Leaf::Act(opened) = &mut draft.leaves[0] else { unreachable!("it was opened") };
    *opened = opened.replacen(r#""nodes":[{"node":2"#, r#""nodes":[{"node":1"#, 1);
    draft.epochs[0]["nodes"][1]["node"] = json!(1);
    draft.checkpoint_nodes = vec![3];
    changed(5, "acts-node-opened", "the opening names a node twice", draft);

    let mut draft = self::draft("cluster");
    let stranger = json!({"node": 4, "key": key_hex(4, 1)});
    draft.epochs[0]["nodes"].as_array_mut().unwrap().push(stranger);
    changed(6, "epochs-node-unnamed", "the header lists a node that no act names", draft);

    let mut draft = self::draft("cluster");
    draft.epochs[0]["nodes"].as_array_mut().unwrap().pop();
    changed(6, "epochs-node-left-out", "the header leaves out the node that joined", draft);

    let mut draft = self::draft("cluster-restored");
    draft.epochs[0]["nodes"].as_array_mut().unwrap().swap(1, 2);
    changed(6, "epochs-node-order", "the header lists the nodes in another order", draft);

    let mut draft = self::draft("cluster-restored");
    let stays = draft.epochs[0]["nodes"][1].clone();
    draft.epochs[1]["nodes"].as_array_mut().unwrap().push(stays);
    changed(6, "epochs-node-stays", "the header takes a node over into the new epoch", draft);

    let mut draft = self::draft("cluster");
    draft.checkpoint_nodes = vec![1, 4];
    changed(8, "checkpoints-node", "some checkpoints are signed by a node that no act names", draft);

    let mut draft = self::draft("cluster-restored");
    draft.checkpoint_nodes = vec![2, 3];
    changed(8, "checkpoints-node-stays", "a node signs on in an epoch that does not name it", draft);
}

fn extras(seconds: u64) -> Extras {
    Extras { stamp: Some(Hlc::at(UnixMillis(START.0 + seconds * 1_000))), ..Extras::NONE }
}

/// A ballot made outside the state machine.
fn loose_ballot(draft: &Draft, voter: u64, marks: &[&[u16]], extras: Extras) -> Leaf {
    let nonce = sha256(&[b"loose", &voter.to_be_bytes()]).0;
    let opening =
        make_opening(&draft.slug.parse().unwrap(), nonce, &Ballot { voter, marks, key: "" }, extras);
    Leaf::Ballot(opening)
}

fn ballot_cases(changed: &mut Changed<'_>) {
    // One second into the vote, after its first ballots.
    let early = extras(1);
    let mut add = |name: &str, about, change: fn(&mut Vec<u8>)| {
        let mut draft = draft("plurality-tie");
        let mut leaf = loose_ballot(&draft, 90, &[&[0], &[0]], extras(1));
        if let Leaf::Ballot(opening) = &mut leaf {
            change(opening);
        }
        draft.insert(9, leaf);
        changed(9, name, about, draft);
    };
    add("ballots-choice", "a ballot names a choice that does not exist", |opening| {
        let last = opening.len() - 1;
        opening[last] = 2;
    });
    add("ballots-more", "a byte follows the answers", |opening| opening.push(0));
    add("ballots-count", "a ballot marks too many choices", |opening| {
        let length = opening.len();
        opening[length - 2] = 2;
        opening[length - 1] = 0;
        opening.push(1);
    });
    add("ballots-election", "a ballot of another election", |opening| opening[32] ^= 1);
    add("ballots-short", "an opening of 40 bytes", |opening| opening.truncate(40));
    add("ballots-flags", "an unknown flag", |opening| opening[84] |= 0x20);
    add("ballots-weight-1", "a weight of 1 written out", |opening| {
        opening[84] |= 1;
        opening.splice(85..85, [0, 0, 0, 1]);
    });
    add("ballots-long-number", "a number not in its shortest form", |opening| {
        let last = opening.len() - 1;
        opening[last] = 0x80;
        opening.push(0);
    });

    let mut draft = self::draft("motion");
    let leaf = loose_ballot(&draft, 77, &[&[1], &[1], &[], &[]], early);
    draft.insert(draft.leaves.len() - 2, leaf);
    count_in(&mut draft, &[1, 1, 3, 3], 1);
    changed(10, "eligibility-stranger", "a ballot of somebody not on the roll, counted", draft);

    let mut draft = self::draft("plurality-tie");
    let leaf = loose_ballot(&draft, 90, &[&[2], &[0]], Extras { weight: 2, ..early });
    draft.insert(9, leaf);
    recount(&mut draft, |result| {
        add_to(&mut result["ballots"], 1);
        add_to(&mut result["voters"], 1);
        add_to(&mut result["weight"], 2);
        add_to(&mut result["contests"][0]["counts"][2]["votes"], 2);
        add_to(&mut result["contests"][1]["counts"][0]["votes"], 2);
        let outcome = &mut result["contests"][1]["outcome"];
        outcome["sentence"] = json!("The winner is Peanut Butter and Jelly with 6 votes");
    });
    draft.change_act("closed", |act| (act["ballots"], act["voters"]) = (json!(9), json!(9)));
    draft.publish_again();
    let hero = "It's a tie between Harry Potter (3 votes), Darth Vader (3 votes) and Frodo (3 votes)";
    recount(&mut draft, |result| {
        let outcome = &mut result["contests"][0]["outcome"];
        (outcome["sentence"], outcome["tied"]) =
            (json!(hero), json!(["harry-potter", "darth-vader", "frodo"]));
    });
    draft.publish_again();
    changed(10, "eligibility-weight", "a ballot that weighs two in an open vote, counted", draft);

    let mut draft = self::draft("plurality-tie");
    let leaf = loose_ballot(&draft, 3, &[&[], &[]], early);
    draft.insert(9, leaf);
    recount(&mut draft, |result| {
        add_to(&mut result["ballots"], 1);
        add_to(&mut result["weight"], 1);
        add_to(&mut result["contests"][0]["blank"], 1);
        add_to(&mut result["contests"][1]["blank"], 1);
    });
    draft.change_act("closed", |act| act["ballots"] = json!(9));
    draft.publish_again();
    changed(11, "once-twice", "a voter's second ballot, counted", draft);

    let mut draft = self::draft("capped");
    let leaf = loose_ballot(&draft, 0, &[&[]], early);
    draft.insert(5, leaf);
    recount(&mut draft, |result| {
        add_to(&mut result["ballots"], 1);
        add_to(&mut result["weight"], 1);
        add_to(&mut result["contests"][0]["blank"], 1);
    });
    draft.change_act("closed", |act| act["ballots"] = json!(8));
    draft.publish_again();
    changed(11, "once-cap", "a voter's fourth ballot of three, counted", draft);

    let mut draft = self::draft("last-counts");
    let key = draft.opening_mut(0)[68..84].to_vec();
    draft.opening_mut(3)[68..84].copy_from_slice(&key);
    changed(11, "once-key", "the same request counted twice", draft);

    let mut draft = self::draft("approval");
    let paused =
        draft.leaves.iter().position(|leaf| matches!(leaf, Leaf::Act(json) if json.contains("paused")));
    let (paused, ballot) = (paused.unwrap(), draft.ballot_leaf(2));
    draft.leaves.swap(paused, ballot);
    changed(12, "time-paused", "a ballot cast during the pause", draft);

    let mut draft = self::draft("last-counts");
    let late = UnixMillis(START.0 + 900_001).0 << 16;
    draft.opening_mut(6)[85..93].copy_from_slice(&late.to_be_bytes());
    changed(12, "time-deadline", "a ballot stamped after the closing time", draft);

    let mut draft = self::draft("plurality-tie");
    let early = UnixMillis(START.0 - 1).0 << 16;
    draft.opening_mut(0)[85..93].copy_from_slice(&early.to_be_bytes());
    changed(12, "time-early", "a ballot stamped before the opening", draft);

    let mut draft = self::draft("plurality-tie");
    let late = UnixMillis(START.0 + 3_600_000).0 << 16;
    draft.opening_mut(5)[85..93].copy_from_slice(&late.to_be_bytes());
    changed(12, "time-late", "a ballot stamped after the close that follows it", draft);
}

/// Changes the result object, its fields staying in their order.
fn recount(draft: &mut Draft, change: impl FnOnce(&mut Value)) {
    // `serde_json` sorts an object's fields, so numbers and texts are changed in place.
    let before: Value = serde_json::from_str(&draft.result).unwrap();
    let mut after = before.clone();
    change(&mut after);
    draft.result = rewrite(&draft.result, &after);
}

/// Writes `value` with the fields in the order they have in `like`.
fn rewrite(like: &str, value: &Value) -> String {
    let results: election::Results = serde_json::from_value(value.clone()).unwrap();
    let text = results.to_json();
    assert_eq!(text.starts_with("{\"state\""), like.starts_with("{\"state\""));
    text
}

fn add_to(number: &mut Value, more: u64) {
    *number = json!(number.as_u64().unwrap() + more);
}

/// Counts a further ballot of a motion record: per contest the index marked, 3 for blank.
fn count_in(draft: &mut Draft, marks: &[usize; 4], weight: u64) {
    let definition = election::Definition::from_json(&draft.definition).unwrap();
    recount(draft, |result| {
        add_to(&mut result["ballots"], 1);
        add_to(&mut result["voters"], 1);
        add_to(&mut result["weight"], weight);
        for (contest, mark) in marks.iter().enumerate() {
            let contest = &mut result["contests"][contest];
            let sum = if *mark == 3 { &mut contest["blank"] } else { &mut contest["counts"][*mark]["votes"] };
            add_to(sum, weight);
        }
        let (total, eligible) =
            (result["weight"].as_u64().unwrap(), result["eligible"]["weight"].as_u64().unwrap());
        for (index, contest) in definition.contests.iter().enumerate() {
            let votes: Vec<u64> = (0..3)
                .map(|choice| result["contests"][index]["counts"][choice]["votes"].as_u64().unwrap())
                .collect();
            let counts = election::tally::Counts { ballots: 0, weight: total, contests: Vec::new() };
            let tally = election::tally::ContestTally { votes, blank: 0 };
            let tie = election::methods::TieBreak::Declared;
            let outcome = election::methods::outcome(contest, &counts, &tally, eligible, tie);
            result["contests"][index]["outcome"] = serde_json::to_value(outcome).unwrap();
        }
    });
    let (ballots, voters): (Value, Value) = {
        let result: Value = serde_json::from_str(&draft.result).unwrap();
        (result["ballots"].clone(), result["voters"].clone())
    };
    draft.change_act("closed", |act| (act["ballots"], act["voters"]) = (ballots, voters));
    draft.publish_again();
}

fn count_cases(changed: &mut Changed<'_>) {
    let mut draft = draft("plurality-tie");
    draft.change_act("closed", |act| act["voters"] = json!(7));
    changed(13, "turnout-voters", "the close tells of a voter less", draft);

    let mut draft = self::draft("plurality-tie");
    recount(&mut draft, |result| {
        result["contests"][1]["counts"][0]["votes"] = json!(5);
        result["contests"][1]["outcome"]["sentence"] =
            json!("The winner is Peanut Butter and Jelly with 5 votes");
    });
    draft.publish_again();
    changed(14, "tally-votes", "a vote too many, with the outcome to fit", draft);

    let mut draft = self::draft("approval");
    recount(&mut draft, |result| add_to(&mut result["contests"][0]["groups"][1]["votes"][0], 1));
    draft.publish_again();
    changed(14, "tally-group", "a vote too many in a group", draft);

    let mut draft = self::draft("last-counts");
    recount(&mut draft, |result| {
        add_to(&mut result["ballots"], 1);
        add_to(&mut result["voters"], 1);
    });
    draft.publish_again();
    changed(14, "tally-voters", "more voters than ballots tell of", draft);

    let mut draft = self::draft("draw-server");
    recount(&mut draft, |result| {
        let outcome = &mut result["contests"][0]["outcome"];
        let winner = outcome["winners"][0].clone();
        let (other, name) = if winner == json!("ann") { ("bob", "Bob") } else { ("ann", "Ann") };
        outcome["winners"] = json!([other]);
        let sentence =
            format!("The winner is {name} with 2 votes, drawn by lot by the server from Ann and Bob");
        outcome["sentence"] = json!(sentence);
    });
    draft.publish_again();
    changed(15, "draw-winner", "the lot elected the other one", draft);

    let mut draft = self::draft("draw-public");
    draft.change_act("drawn", |act| (act["source"], act["by"]) = (json!("server"), json!("rule")));
    changed(15, "draw-source", "drawn by the server, and not in public", draft);

    let mut draft = self::draft("draw-server");
    let definition = election::Definition::from_json(&draft.definition).unwrap();
    let root = Hash([7; 32]);
    let winner = {
        let seed = sha256(&[b"dice"]).0;
        let order = election::methods::draw_order(&definition.contests[0], &seed, &root.0);
        order.into_iter().find(|choice| *choice < 2).unwrap()
    };
    draft.change_act("drawn", |act| act["closing_root"] = json!(root.to_hex()));
    recount(&mut draft, |result| {
        let (id, name) = [("ann", "Ann"), ("bob", "Bob")][winner];
        let outcome = &mut result["contests"][0]["outcome"];
        outcome["winners"] = json!([id]);
        let sentence =
            format!("The winner is {name} with 2 votes, drawn by lot by the server from Ann and Bob");
        outcome["sentence"] = json!(sentence);
    });
    draft.publish_again();
    changed(15, "draw-root", "drawn with another root than the closing one", draft);

    let mut draft = self::draft("plurality-tie");
    recount(&mut draft, |result| {
        result["contests"][1]["outcome"]["sentence"] = json!("The winner is Cheese with 4 votes");
    });
    draft.publish_again();
    changed(16, "outcome-sentence", "the sentence names another winner", draft);

    let mut draft = self::draft("plurality-tie");
    recount(&mut draft, |result| result["contests"][1]["outcome"]["winners"] = json!(["cheese"]));
    draft.publish_again();
    changed(16, "outcome-winner", "another winner for programs than for people", draft);

    let mut draft = self::draft("rating");
    recount(&mut draft, |result| {
        let outcome = &mut result["contests"][0]["outcome"];
        assert_eq!(outcome["sentence"], json!("Average 4.2 of 5 from 6 ratings"));
        outcome["sentence"] = json!("Average 4.1 of 5 from 6 ratings");
    });
    draft.publish_again();
    changed(16, "outcome-average", "an average that was rounded down", draft);

    let mut draft = self::draft("rating");
    recount(&mut draft, |result| add_to(&mut result["contests"][0]["outcome"]["points"], 1));
    draft.publish_again();
    changed(16, "outcome-points", "a point too many behind the average", draft);

    let mut draft = self::draft("motion");
    recount(&mut draft, |result| add_to(&mut result["contests"][0]["outcome"]["needed"], 1));
    draft.publish_again();
    changed(16, "outcome-needed", "a motion needs another number", draft);

    let mut draft = self::draft("plurality-tie");
    draft.change_act("published", |act| act["result"] = json!("00".repeat(32)));
    changed(17, "publication-hash", "another result was published", draft);

    let mut draft = self::draft("open");
    recount(&mut draft, |result| result["state"] = json!("paused"));
    changed(17, "publication-state", "the result is of another state", draft);
}

type Add<'a> = dyn FnMut(u8, &str, &'static str, String, Vec<String>, Vec<String>) + 'a;

fn receipt_cases(add: &mut Add<'_>) {
    let honest = draft("plurality-tie");
    let receipts = honest.receipts();
    let all: Vec<String> = receipts.iter().map(receipt_text).collect();

    // The operator makes the record anew without the fifth ballot, or with another in its place.
    let mut replaced = honest.clone();
    replaced.opening_mut(4)[0] ^= 1;
    add(
        18,
        "receipts-replaced",
        "one receipt's ballot is another now",
        replaced.write(),
        all.clone(),
        Vec::new(),
    );

    let open = draft("open");
    let mut shorter = open.clone();
    shorter.leaves.pop();
    shorter.leaf_numbers.pop();
    *shorter.checkpoint_sizes.last_mut().unwrap() -= 1;
    recount(&mut shorter, |result| {
        (result["ballots"], result["voters"], result["weight"]) = (json!(2), json!(2), json!(2));
        result["contests"][0]["counts"][1]["votes"] = json!(1);
    });
    let open_receipts = open.receipts().iter().map(receipt_text).collect();
    add(18, "receipts-dropped", "the last ballot was dropped", shorter.write(), open_receipts, Vec::new());

    let mut nonce = receipts[1].clone();
    nonce.nonce[0] ^= 1;
    add(
        18,
        "receipts-nonce",
        "a receipt with a wrong nonce",
        honest.write(),
        vec![receipt_text(&nonce)],
        Vec::new(),
    );

    let mut forged = receipts[2].clone();
    forged.promise = proof::receipt::Promise::Majority;
    add(
        18,
        "receipts-forged",
        "a receipt whose path does not hold",
        honest.write(),
        vec![receipt_text(&forged)],
        Vec::new(),
    );

    let other = draft("open").receipts();
    add(
        18,
        "receipts-elsewhere",
        "a receipt of another election",
        honest.write(),
        vec![receipt_text(&other[0])],
        Vec::new(),
    );

    let cluster = draft("cluster");
    let mut stranger = cluster.clone();
    stranger.receipt_nodes = vec![1, 4];
    let some = stranger.receipts().iter().map(receipt_text).collect();
    add(18, "receipts-node", "some receipts by a node that no act names", cluster.write(), some, Vec::new());

    // Asked again after the restore, a node answers that has not joined the new epoch.
    let restored = draft("cluster-restored");
    let mut again = restored.clone();
    (again.epoch_starts, again.receipt_nodes) = (vec![(2, 0)], vec![3]);
    let receipts_again = vec![receipt_text(&again.receipts()[0])];
    add(
        18,
        "receipts-node-stays",
        "a receipt by a node of the epoch before the restore",
        restored.write(),
        receipts_again,
        Vec::new(),
    );

    let nothing = "{\"receipt\":1}\n".to_owned();
    add(18, "receipts-malformed", "a file that is not a receipt", honest.write(), vec![nothing], Vec::new());

    let mut rewritten = honest.clone();
    rewritten.opening_mut(1)[3] ^= 1;
    let kept = vec![honest.checkpoint(1), honest.checkpoint(5)];
    add(
        19,
        "kept-rewritten",
        "a ballot was changed after a checkpoint was kept",
        rewritten.write(),
        Vec::new(),
        kept,
    );

    let kept = vec![open.checkpoint(4)];
    add(19, "kept-shorter", "the record ends before a checkpoint kept", shorter.write(), Vec::new(), kept);

    let kept = vec![flip_signature(&honest.checkpoint(5))];
    add(19, "kept-signature", "a kept checkpoint that nobody signed", honest.write(), Vec::new(), kept);

    let mut stranger = cluster.clone();
    stranger.checkpoint_nodes = vec![4];
    let kept = vec![cluster.checkpoint(4), stranger.checkpoint(5)];
    add(19, "kept-node", "a kept checkpoint by a node that no act names", cluster.write(), Vec::new(), kept);

    let kept = vec![open.checkpoint(4)];
    add(19, "kept-elsewhere", "a checkpoint of another election", honest.write(), Vec::new(), kept);
}
