//! Random elections are clean, as the state machine counts them; and no byte of a record changes unnoticed.

mod support;

use std::io::Cursor;

use audit::{AuditError, Report};
use election::OfficerCommand;
use election::command::DrawSource;
use proptest::prelude::*;
use proptest::sample::subsequence;
use serde_json::{Value, json};
use support::{Ballot, Vote, cases};

fn audit_bytes(record: &[u8]) -> Result<Report, AuditError> {
    audit::run(Cursor::new(record), &[], &[])
}

#[derive(Clone, Debug)]
struct RandomContest {
    method: &'static str,
    choices: usize,
    /// Seats, least and most marks, cut to what the choices allow.
    limits: (usize, usize, usize),
    /// Of a motion.
    majority: &'static str,
    quorum: Option<u64>,
}

#[derive(Clone, Debug)]
struct RandomVote {
    contests: Vec<RandomContest>,
    /// Weights of a roll; empty for an open vote.
    roll: Vec<u32>,
    ballots_per_voter: u16,
    is_last_counts: bool,
    draw: &'static str,
    after_voters: Option<u64>,
    has_groups: bool,
    /// Whether an officer shows and hides the counts, after each third ballot.
    is_on_reveal: bool,
    /// Voter, key, and per contest a number that picks the marks.
    ballots: Vec<(u64, u8, Vec<u64>)>,
    publish: bool,
}

fn contest() -> impl Strategy<Value = RandomContest> {
    let methods = prop::sample::select(vec!["plurality", "approval", "motion", "rating"]);
    let limits = (1..4usize, 0..3usize, 1..4usize);
    let majorities = prop::sample::select(vec![">1/2", ">=2/3", ">=1/1", ">1/3"]);
    (methods, 1..6usize, limits, majorities, prop::option::of(0..12u64)).prop_map(
        |(method, choices, limits, majority, quorum)| RandomContest {
            method,
            choices,
            limits,
            majority,
            quorum,
        },
    )
}

fn vote() -> impl Strategy<Value = RandomVote> {
    let roll = prop_oneof![Just(Vec::new()), prop::collection::vec(1..5u32, 1..9)];
    let ballots = prop::collection::vec((0..8u64, 0..4u8, prop::collection::vec(any::<u64>(), 3)), 0..20);
    let draws = prop::sample::select(vec!["none", "server", "public"]);
    let rules = (1..4u16, any::<bool>(), draws, prop::option::weighted(0.2, 1..6u64), any::<(bool, bool)>());
    (prop::collection::vec(contest(), 1..4), roll, rules, ballots, any::<bool>()).prop_map(
        |(
            contests,
            roll,
            (cap, is_last_counts, draw, after_voters, (has_groups, is_on_reveal)),
            ballots,
            publish,
        )| {
            RandomVote {
                contests,
                roll,
                ballots_per_voter: if is_last_counts { 1 } else { cap },
                is_last_counts,
                draw,
                after_voters,
                has_groups,
                is_on_reveal,
                ballots,
                publish,
            }
        },
    )
}

impl RandomContest {
    fn definition(&self, index: usize) -> Value {
        let (id, title) = (format!("c{index}"), format!("Contest {index}"));
        if self.method == "motion" {
            return json!({"id": id, "title": title, "method": "motion", "majority": self.majority,
                "base": if index == 0 { "cast" } else { "yes-no" }, "quorum": self.quorum});
        }
        if self.method == "rating" {
            // Scales of all lengths, with gaps that the seats draw.
            let (seats, least, _) = self.limits;
            let levels: Vec<String> = (0..self.levels()).map(|level| (level * seats).to_string()).collect();
            return json!({"id": id, "title": title, "method": "rating", "choices": levels,
                "choose": {"min": least.min(1)}});
        }
        let names: Vec<String> = (0..self.choices).map(|choice| format!("Choice {choice}")).collect();
        let (seats, ..) = self.limits;
        let (least, most) = self.choose();
        json!({"id": id, "title": title, "method": self.method, "seats": seats.min(self.choices), "choices": names,
            "choose": {"min": least, "max": most}})
    }

    fn levels(&self) -> usize {
        self.choices + 1
    }

    fn choose(&self) -> (usize, usize) {
        let (_, least, more) = self.limits;
        let most = (least + more).min(self.choices);
        (least.min(most), most)
    }

    /// Blank, or as many marks as allowed, from a number.
    fn marks(&self, pick: u64) -> Vec<u16> {
        let (least, most, choices) = match self.method {
            "motion" => (0, 1, 3),
            "rating" => (0, 1, self.levels()),
            _ => (self.choose().0, self.choose().1, self.choices),
        };
        let count = least.max(1) + (pick as usize / 64) % (most - least.max(1) + 1);
        let first = pick as usize % choices;
        let mut marks: Vec<u16> = (0..count).map(|at| ((first + at) % choices) as u16).collect();
        marks.sort_unstable();
        if pick.is_multiple_of(11) { Vec::new() } else { marks }
    }
}

fn run(random: &RandomVote) -> Vote {
    let contests: Vec<Value> =
        random.contests.iter().enumerate().map(|(index, contest)| contest.definition(index)).collect();
    let mut definition = json!({"slug": "random", "title": "Random", "contest": contests, "draw": random.draw,
        "ballots_per_voter": random.ballots_per_voter,
        "results": if random.is_on_reveal { "on-reveal" } else { "live" },
        "eligibility": if random.roll.is_empty() { "open" } else { "list" },
        "revote": if random.is_last_counts { "last-counts" } else { "forbid" }});
    if let Some(number) = random.after_voters {
        definition["closing"] = json!({"after_voters": number});
    }
    if random.has_groups {
        definition["groups"] = json!(["Left", "Right"]);
    }
    let group = |voter: usize| if random.has_groups && voter != 3 { Some((voter % 2) as u16) } else { None };
    let roll: Vec<_> =
        random.roll.iter().enumerate().map(|(voter, weight)| (*weight, group(voter))).collect();
    let mut vote = Vote::open(definition, &roll);
    for (voter, key, picks) in &random.ballots {
        let marks: Vec<Vec<u16>> =
            random.contests.iter().zip(picks).map(|(contest, pick)| contest.marks(*pick)).collect();
        let marks: Vec<&[u16]> = marks.iter().map(Vec::as_slice).collect();
        let key = ["", "a", "b", "c"][usize::from(*key)];
        vote.try_cast(Ballot { voter: *voter, marks: &marks, key });
        if random.is_on_reveal && voter.is_multiple_of(3) {
            vote.turn_curtain();
        }
    }
    if vote.is_running() && random.publish {
        vote.close();
    }
    if random.publish {
        if vote.needs_draw() {
            vote.draw(if random.draw == "server" { DrawSource::Server } else { DrawSource::Public });
        }
        vote.act(OfficerCommand::Publish { slug: vote.slug() });
    }
    vote
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_the_state_machine_counts_the_auditor_counts_too(random in vote()) {
        let draft = run(&random).record();
        let report = audit_bytes(draft.write().as_bytes()).unwrap();
        prop_assert!(report.clean, "{}{}", report, draft.write());
    }

    #[test]
    fn one_flipped_bit_anywhere_is_found(place: prop::sample::Index, bit in 0..8u8, case: prop::sample::Index) {
        let clean = cases::clean();
        let mut record = case.get(&clean).2.write().into_bytes();
        let at = place.index(record.len());
        record[at] ^= 1 << bit;
        let found = audit_bytes(&record).map_or(true, |report| !report.clean);
        prop_assert!(found, "bit {bit} of byte {at} of {}", case.get(&clean).0);
    }

    #[test]
    fn a_record_cut_anywhere_is_incomplete(place: prop::sample::Index) {
        let record = cases::draft("plurality-tie").write();
        let cut = &record.as_bytes()[..place.index(record.len())];
        let is_found = audit_bytes(cut).map_or(true, |report| report.checks[0].verdict == audit::Verdict::Failed);
        prop_assert!(is_found);
    }

    #[test]
    fn a_record_without_some_of_its_lines_is_not_clean(
        kept in (10..30usize).prop_flat_map(|count| subsequence((0..30usize).collect::<Vec<_>>(), count)),
        case: prop::sample::Index,
    ) {
        let clean = cases::clean();
        let record = case.get(&clean).2.write();
        let lines: Vec<&str> = record.lines().collect();
        let some: Vec<&str> = kept.iter().filter_map(|line| lines.get(*line).copied()).collect();
        prop_assume!(some.len() < lines.len());
        let text: String = some.iter().map(|line| format!("{line}\n")).collect();
        prop_assert!(audit_bytes(text.as_bytes()).map_or(true, |report| !report.clean));
    }
}

#[test]
#[ignore = "takes minutes: every bit of one record"]
fn every_flipped_bit_of_a_record_is_found() {
    let record = cases::draft("draw-server").write().into_bytes();
    for at in 0..record.len() {
        for bit in 0..8 {
            let mut changed = record.clone();
            changed[at] ^= 1 << bit;
            let found = audit_bytes(&changed).map_or(true, |report| !report.clean);
            assert!(found, "bit {bit} of byte {at}");
        }
    }
}

/// A record of nodes 1 to `joined.len()` + 1; each of the others joins before that many ballots, of nine.
fn cluster(joined: &[usize]) -> support::Draft {
    let node = |index: usize| u16::try_from(index).unwrap() + 2;
    let early: Vec<u16> = (0..joined.len()).filter(|index| joined[*index] == 0).map(node).collect();
    let contest = json!({"id": "c", "title": "C", "choices": ["A", "B"]});
    let mut vote = Vote::open_with(&early, json!({"slug": "nodes", "title": "N", "contest": [contest]}), &[]);
    for voter in 0..9 {
        let late = (0..joined.len()).filter(|index| joined[*index] == voter + 1).map(node);
        late.for_each(|node| vote.join(node));
        vote.cast(Ballot { voter: voter as u64, marks: &[&[0]], key: "" });
    }
    vote.close();
    vote.publish();
    vote.record()
}

fn kept(texts: impl IntoIterator<Item = String>) -> Vec<audit::Kept> {
    let kept = |(number, text): (usize, String)| audit::Kept { name: number.to_string(), text };
    texts.into_iter().enumerate().map(kept).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Receipts and checkpoints count by every node of the record, and by nobody else, whenever it joined.
    #[test]
    fn whatever_a_node_of_the_record_signed_counts_and_nothing_else(
        joined in prop::collection::vec(0..10usize, 0..4),
        signer in 1..6u16,
        end in 1..6u16,
        size in 1..10u64,
    ) {
        let nodes = u16::try_from(joined.len()).unwrap() + 1;
        let mut draft = cluster(&joined);
        draft.end_key = support::key_of((end - 1) % nodes + 1, 1);
        let record = draft.write();
        draft.receipt_nodes = vec![signer];
        draft.checkpoint_nodes = vec![signer];
        let receipts = draft.receipts();
        let receipts = kept(receipts.iter().map(|receipt| serde_json::to_string(receipt).unwrap()));
        let notes = kept([draft.checkpoint(size)]);
        let report = audit::run(Cursor::new(record.as_bytes()), &receipts, &notes).unwrap();
        let failed: Vec<u8> = report.failed().map(|check| check.number).collect();
        let is_named = signer <= nodes;
        prop_assert_eq!(failed, if is_named { vec![] } else { vec![18, 19] });
        prop_assert_eq!(report.signed.len(), usize::from(nodes));
        for signed in &report.signed {
            let is_signer = is_named && signed.node == signer;
            prop_assert_eq!((signed.receipts, signed.kept_checkpoints), if is_signer { (9, 1) } else { (0, 0) });
            prop_assert_eq!(signed.record, signed.node == (end - 1) % nodes + 1);
            prop_assert_eq!(signed.checkpoints > 0, signed.node == 1);
        }
    }
}
