//! What every history must fulfil, held against the record that each server gives.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proof::sha256;

use crate::hall::Hall;
use crate::history::{Act, ActKind, Answer, At, Cast, History};
use crate::support::{Record, ballot_leaf, hustings, run, voter_tag, write};
use crate::voters::{Stage, VOTER_BITS};

/// Receipts that each audit is given.
const RECEIPTS_AUDITED: usize = 40;

/// A ballot as a record shows it.
#[derive(Debug)]
pub struct Counted {
    pub index: u64,
    pub leaf: String,
    pub tag: [u8; 16],
    pub key: [u8; 16],
    pub content: u32,
}

/// All faults found, in words; empty where every promise was kept. And how much was checked.
pub fn check(stage: &Stage, hall: &Hall, history: &History) -> (Vec<String>, Checked) {
    let mut faults = history.wrong.clone();
    let mut checked = Checked::default();
    leaders(history, &mut faults);
    readings(history, &mut faults);
    for election in 0..stage.elections.read().expect("no client panics").len() {
        let casts: Vec<&Cast> = history.casts.iter().filter(|cast| cast.election == election).collect();
        let records: Vec<_> =
            (0..hall.len()).map(|place| hall.record(place, &stage.slug(election))).collect();
        let read: Vec<Record> = records.iter().map(|path| Record::read(path)).collect();
        for (place, record) in read.iter().enumerate().skip(1) {
            if leaves_of(record) != leaves_of(&read[0]) {
                faults.push(format!(
                    "election {election}: machine {} tells other leaves than machine 1",
                    place + 1
                ));
            }
        }
        for (place, path) in records.iter().enumerate() {
            audit(hall.folder(), path, &casts, place, &mut faults);
            checked.audits += 1;
        }
        let counted = counted(&read[0]);
        checked.ballots += counted.len();
        checked.elections += 1;
        ballots(election, &counted, &casts, &mut faults);
        let acts: Vec<&Act> = history.acts.iter().filter(|act| act.election == election).collect();
        answers(election, &counted, &casts, &acts, &mut faults);
        order(election, &casts, &mut faults);
    }
    (faults, checked)
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Checked {
    pub elections: usize,
    pub ballots: usize,
    pub audits: usize,
}

/// Everything that the log decides: leaves and result, without the signatures, which are each server's own.
fn leaves_of(record: &Record) -> Vec<&serde_json::Value> {
    record.lines.iter().filter(|line| line["leaf"].is_u64() || line["result"].is_object()).collect()
}

fn counted(record: &Record) -> Vec<Counted> {
    let ballot = |(index, opening): (u64, Vec<u8>)| Counted {
        index,
        leaf: ballot_leaf(&opening),
        tag: voter_tag(&opening),
        key: opening[68..84].try_into().expect("16 bytes"),
        content: content(&opening),
    };
    record.ballots().into_iter().map(ballot).collect()
}

/// The number that a ballot's choices say (format: `docs/formats.md`, "Ballot opening").
fn content(opening: &[u8]) -> u32 {
    let flags = opening[84];
    let stamp = if flags & 0b100 != 0 { 8 } else { 0 };
    assert_eq!(flags & !0b100, 0, "no weights and groups here");
    let answers = &opening[85 + stamp..];
    assert_eq!(answers[..2], [1, 0], "one contest, with choices");
    // Fewer than 128 items with indexes below 128: each LEB128 is one byte.
    let items = &answers[3..];
    assert_eq!(items.len(), answers[2] as usize);
    items.iter().fold(0, |content, bit| content | 1 << bit)
}

pub fn ballots(election: usize, counted: &[Counted], casts: &[&Cast], faults: &mut Vec<String>) {
    let mut fault = |what: String| faults.push(format!("election {election}: {what}"));
    let mut keys: BTreeMap<u32, BTreeSet<[u8; 16]>> = BTreeMap::new();
    for cast in casts {
        keys.entry(cast.content).or_default().insert(key_of(cast));
    }
    let (mut voters, mut tags) = (BTreeMap::new(), BTreeSet::new());
    for ballot in counted {
        match keys.get(&ballot.content) {
            None => {
                fault(format!("ballot {} counts and nobody cast it: {:#x}", ballot.index, ballot.content))
            }
            Some(keys) if !keys.contains(&ballot.key) => {
                fault(format!("ballot {} counts under a key that nobody sent with it", ballot.index));
            }
            Some(_) => {}
        }
        let voter = ballot.content & ((1 << VOTER_BITS) - 1);
        if let Some(other) = voters.insert(voter, ballot.index) {
            fault(format!("voter {voter} counts twice, at {other} and {}", ballot.index));
        }
        if !tags.insert(ballot.tag) {
            fault(format!("a voter's tag is there twice, again at {}", ballot.index));
        }
    }
}

/// When the election was certainly open, and when certainly not.
struct Times {
    open: Vec<(At, At)>,
    shut: Vec<(At, At)>,
}

impl Times {
    fn of(acts: &[&Act]) -> Self {
        let mut acts: Vec<&Act> = acts.to_vec();
        acts.sort_by_key(|act| act.begun);
        let (mut open, mut shut) = (Vec::new(), Vec::new());
        let (mut since, mut is_open) = (0, false);
        for act in acts {
            let begins = match act.what {
                ActKind::Create => continue,
                ActKind::Open => true,
                ActKind::Pause | ActKind::Close => false,
            };
            if begins != is_open {
                if is_open { &mut open } else { &mut shut }.push((since, act.begun));
                (since, is_open) = (act.ended, begins);
            }
        }
        if is_open { &mut open } else { &mut shut }.push((since, At::MAX));
        Self { open, shut }
    }

    fn is_within(spans: &[(At, At)], begun: At, ended: At) -> bool {
        spans.iter().any(|(from, to)| *from < begun && ended < *to)
    }
}

pub fn answers(
    election: usize,
    counted: &[Counted],
    casts: &[&Cast],
    acts: &[&Act],
    faults: &mut Vec<String>,
) {
    let times = Times::of(acts);
    let by_index: BTreeMap<u64, &Counted> = counted.iter().map(|ballot| (ballot.index, ballot)).collect();
    let by_content: BTreeMap<u32, &Counted> = counted.iter().map(|ballot| (ballot.content, ballot)).collect();
    let by_voter: BTreeMap<u32, &Counted> =
        counted.iter().map(|ballot| (ballot.content & ((1 << VOTER_BITS) - 1), ballot)).collect();
    for cast in casts {
        let mut fault = |what: &str| faults.push(format!("election {election}: {what}: {cast:?}"));
        for attempt in &cast.attempts {
            if let Answer::Recorded { index, leaf } = &attempt.answer {
                match by_index.get(index) {
                    None => fault("acknowledged and lost"),
                    Some(ballot)
                        if ballot.content != cast.content || (!leaf.is_empty() && *leaf != ballot.leaf) =>
                    {
                        fault("another ballot stands at the place of the receipt");
                    }
                    Some(_) => {}
                }
            }
        }
        let last = cast.attempts.last().expect("every ballot is tried");
        // Asked with its key, a server tells what became of this very ballot; lines of a file have no receipts.
        let is_bulk = cast.key.as_ref().is_some_and(|key| key.starts_with("bulk"));
        let own =
            by_content.get(&cast.content).filter(|ballot| cast.key.is_some() && ballot.key == key_of(cast));
        // Given again later, a receipt is of the time when it was first asked for.
        if let Some((answered, index)) = cast.recorded()
            && Times::is_within(&times.shut, cast.begun(), answered)
            && !was_known_before(cast, casts)
        {
            fault(&format!("recorded at {index} while the election was not open"));
        }
        match &last.answer {
            Answer::Recorded { .. } => {}
            Answer::Open(_) => fault("never answered for good"),
            Answer::Refused(code) => match code.as_str() {
                "already_voted" => {
                    if !by_voter.contains_key(&cast.voter) {
                        fault("told to have voted, and has no ballot");
                    }
                    if own.is_some() && !is_bulk {
                        fault("told to have voted instead of given its own receipt");
                    }
                }
                "idempotency_key_reused" => {
                    if by_voter.get(&cast.voter).is_none_or(|ballot| ballot.content == cast.content) {
                        fault("told that the key was used, and it was not");
                    }
                }
                "election_not_open" => {
                    if Times::is_within(&times.open, last.begun, last.ended) {
                        fault("told that the election is not open while it was");
                    }
                    // Asked again when all is over: see `Client::ask_again`.
                    if own.is_some() && !is_bulk {
                        fault("told that it was not taken, and it counts");
                    }
                }
                _ => fault("refused for a reason that is none here"),
            },
        }
    }
}

/// Whether the same ballot was sent earlier, too.
fn was_known_before(cast: &Cast, casts: &[&Cast]) -> bool {
    casts.iter().any(|other| other.content == cast.content && other.begun() < cast.begun())
}

/// The key as ballots show it.
pub fn key_of(cast: &Cast) -> [u8; 16] {
    cast.key.as_ref().map_or([0; 16], |key| sha256(&[key.as_bytes()]).0[..16].try_into().expect("16 bytes"))
}

/// What was answered before another ballot was sent stands before it.
pub fn order(election: usize, casts: &[&Cast], faults: &mut Vec<String>) {
    let mut answered: Vec<(At, u64)> = Vec::new();
    // Whatever was told of it: the first request may be the one that counts.
    let mut begun: BTreeMap<u32, At> = BTreeMap::new();
    for cast in casts {
        let first = begun.entry(cast.content).or_insert(cast.begun());
        *first = (*first).min(cast.begun());
    }
    let mut first_sent: BTreeMap<u64, At> = BTreeMap::new();
    for cast in casts {
        if let Some((at, index)) = cast.recorded() {
            answered.push((at, index));
            first_sent.insert(index, begun[&cast.content]);
        }
    }
    answered.sort_unstable();
    let mut sent: Vec<(At, u64)> = first_sent.iter().map(|(index, at)| (*at, *index)).collect();
    sent.sort_unstable();
    let (mut highest, mut answered) = (None, answered.into_iter().peekable());
    for (at, index) in sent {
        while let Some((_, earlier)) = answered.next_if(|(ended, _)| *ended < at) {
            highest = highest.max(Some(earlier));
        }
        if highest > Some(index) {
            faults.push(format!(
                "election {election}: leaf {index} was sent after leaf {highest:?} was answered"
            ));
        }
    }
}

pub fn leaders(history: &History, faults: &mut Vec<String>) {
    let mut by_term: BTreeMap<u64, u64> = BTreeMap::new();
    for (term, leader) in &history.leaders {
        let first = *by_term.entry(*term).or_insert(*leader);
        if first != *leader {
            faults.push(format!("{first} and {leader} both led in term {term}"));
        }
    }
}

/// Who asks one server again and again never sees less than before.
pub fn readings(history: &History, faults: &mut Vec<String>) {
    let mut last: BTreeMap<(usize, u32, usize), (u64, u64)> = BTreeMap::new();
    for reading in &history.readings {
        let session = (reading.place, reading.start, reading.election);
        let now = (reading.position, reading.ballots);
        if let Some(before) = last.insert(session, now)
            && (now.0 < before.0 || now.1 < before.1)
        {
            faults.push(format!("a reader went back from {before:?} to {now:?}: {reading:?}"));
        }
    }
}

fn audit(folder: &Path, record: &Path, casts: &[&Cast], place: usize, faults: &mut Vec<String>) {
    let mut command = hustings();
    command.arg("audit").arg(record);
    let receipts: Vec<_> = casts.iter().filter_map(|cast| cast.receipt.as_ref()).collect();
    // Others for each server.
    let sampled = receipts.iter().skip(place).step_by(receipts.len() / RECEIPTS_AUDITED + 1);
    for (number, receipt) in sampled.enumerate() {
        let path = write(folder, &format!("{number}.receipt"), &receipt.to_string());
        command.arg("--receipt").arg(path);
    }
    let ran = run(&mut command);
    if ran.code != 0 {
        faults.push(format!(
            "the audit of {} ended with {}:\n{}{}",
            record.display(),
            ran.code,
            ran.stdout,
            ran.stderr
        ));
    }
}
