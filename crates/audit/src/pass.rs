//! The one pass over a record: its lines in their order, each ballot checked and counted as it comes by.

use std::collections::HashMap;
use std::io::{self, Read};

use data_encoding::BASE64URL_NOPAD;
use election::ballot::{Body, Opening};
use election::definition::{Definition, Eligibility};
use election::time::UnixMillis;
use proof::{Edge, Hash, LeafKind, leaf_hash, sha256};

use crate::acts::{Acts, Place, State};
use crate::count::{Marks, Recount, read_answers};
use crate::form::{
    CheckpointLine, Eligible, End, EndLine, Header, Leaf, Published, RollLine, compact, has_small_numbers,
    leaf_line, result_bytes,
};
use crate::lines::{LineError, Lines};
use crate::receipts::Seen;
use crate::report::{Check, Finding, Verdicts};
use crate::run::{AuditError, Progress};
use crate::voters::{Cast, Tag, Voters};

/// Version of the record's form.
const RECORD_VERSION: u32 = 1;

/// Leaves between two reports of progress.
const PROGRESS_LEAVES: u64 = 1 << 16;

/// No ballot line is shorter, in bytes: an opening of 96 bytes is 128 characters of base64.
const BALLOT_LINE_BYTES_MIN: u64 = 150;

/// Why the pass ended early.
pub enum Stop {
    Read(io::Error),
    /// Check 1 fails, and nothing else is checked.
    Form(Finding),
}

pub struct NumberedLines<R> {
    pub lines: Lines<R>,
    /// Number of the line returned last, from 1.
    pub number: u64,
}

impl<R: Read> NumberedLines<R> {
    fn next(&mut self) -> Result<Option<&[u8]>, Stop> {
        self.number += 1;
        let number = self.number;
        self.lines.next().map_err(|error| match error {
            LineError::Read(error) => Stop::Read(error),
            LineError::TooLong => Stop::Form(Finding::new(format!("line {number} is longer than 16 MiB"))),
            LineError::NoLineFeed => {
                Stop::Form(Finding::new("the file ends within a line: it is incomplete"))
            }
        })
    }

    /// The next line, which must be there.
    fn expect(&mut self, what: &str) -> Result<&[u8], Stop> {
        let missing = || Stop::Form(Finding::new(format!("the file ends before {what}: it is incomplete")));
        self.next()?.ok_or_else(missing)
    }

    fn fault(&self, what: &str) -> Stop {
        Stop::Form(Finding::new(format!("line {}: {what}", self.number)))
    }
}

pub fn read_header<R: Read>(lines: &mut NumberedLines<R>) -> Result<Header, AuditError> {
    let not_a_record = |what: &str| AuditError::NotARecord(what.to_owned());
    match lines.next() {
        Err(Stop::Read(error)) => Err(AuditError::Read(error)),
        Err(Stop::Form(finding)) => Err(AuditError::NotARecord(finding.what)),
        Ok(None) => Err(not_a_record("the file is empty")),
        Ok(Some(line)) => {
            let header: Header =
                compact(line).ok_or_else(|| not_a_record("its first line is not a header"))?;
            if header.hustings_record == RECORD_VERSION {
                Ok(header)
            } else {
                Err(not_a_record("another version"))
            }
        }
    }
}

/// The lines after the leaves.
pub struct Rest {
    pub checkpoints: Vec<String>,
    pub result: Published,
    pub result_hash: Hash,
    pub end: End,
    pub digest: Hash,
}

/// A stamp, and the ballot that carries it.
#[derive(Clone, Copy)]
struct Stamped {
    at: UnixMillis,
    leaf: u64,
    ballot: u64,
}

/// All that is gathered while the lines pass by.
pub struct Pass {
    pub header: Header,
    pub verdicts: Verdicts,
    pub definition: Option<Definition>,
    pub definition_hash: Hash,
    pub roll: HashMap<Tag, RollLine>,
    pub roll_commitment: Hash,
    pub eligible: Option<Eligible>,
    pub acts: Acts,
    /// As long as there is a definition to count by.
    pub voters: Option<Voters>,
    pub recount: Option<Recount>,
    edge: Edge,
    /// Sizes whose roots are wanted, descending, and the roots found.
    sizes: Vec<u64>,
    pub roots: HashMap<u64, Hash>,
    /// Leaves that receipts ask for, descending, and those found.
    leaves_asked: Vec<u64>,
    pub seen: HashMap<u64, Seen>,
    ballots: u64,
    /// Latest stamp since the last act.
    latest: Option<Stamped>,
    ballots_expected: u64,
    marks: Marks,
    opening: Vec<u8>,
}

impl Pass {
    pub fn new(header: Header, length: u64, mut sizes: Vec<u64>, leaves: impl Iterator<Item = u64>) -> Pass {
        sizes.push(header.leaves);
        let descending = |mut numbers: Vec<u64>| {
            numbers.sort_unstable_by(|a, b| b.cmp(a));
            numbers.dedup();
            numbers
        };
        Pass {
            verdicts: Verdicts::new(),
            definition: None,
            definition_hash: Hash::ZERO,
            roll: HashMap::new(),
            roll_commitment: Hash::ZERO,
            eligible: None,
            acts: Acts::new(None, 0),
            voters: None,
            recount: None,
            edge: Edge::new(),
            sizes: descending(sizes),
            roots: HashMap::new(),
            leaves_asked: descending(leaves.collect()),
            seen: HashMap::new(),
            ballots: 0,
            latest: None,
            // What the header promises, if the file is long enough for it.
            ballots_expected: header.ballots.min(length / BALLOT_LINE_BYTES_MIN),
            marks: Marks::new(),
            opening: Vec::new(),
            header,
        }
    }

    pub fn read<R: Read>(
        &mut self,
        lines: &mut NumberedLines<R>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Rest, Stop> {
        let definition = lines.expect("the definition")?;
        if !self.read_definition(definition) {
            return Err(lines.fault("this is not UTF-8"));
        }
        self.read_roll(lines)?;
        self.acts = Acts::new(self.definition.as_ref(), self.header.roll);
        if let Some(definition) = &self.definition {
            self.voters = Some(Voters::new(definition, self.ballots_expected as usize));
            self.recount = Some(Recount::new(definition));
        }
        for leaf in 0..self.header.leaves {
            let line = lines.expect("its last leaf")?;
            if self.read_leaf(leaf, line).is_none() {
                return Err(lines.fault("this is not a leaf line"));
            }
            if leaf % PROGRESS_LEAVES == 0 {
                progress(Progress { leaves: leaf, of: self.header.leaves });
            }
        }
        if self.ballots != self.header.ballots {
            let what =
                format!("{} ballots stand in the file, {} in its header", self.ballots, self.header.ballots);
            return Err(Stop::Form(Finding::new(what)));
        }
        read_rest(lines)
    }

    /// False if the line is not even UTF-8.
    fn read_definition(&mut self, line: &[u8]) -> bool {
        self.definition_hash = sha256(&[line]);
        let Ok(text) = std::str::from_utf8(line) else { return false };
        let parsed = Definition::from_json(text).map_err(|error| error.to_string());
        match parsed {
            Ok(definition) if definition.to_json() == text && has_small_numbers(line) => {
                self.definition = Some(definition);
            }
            Ok(_) => self.verdicts.fail(Check::Definition, Finding::new("it is not compact")),
            Err(what) => self.verdicts.fail(Check::Definition, Finding::new(what)),
        }
        true
    }

    fn read_roll<R: Read>(&mut self, lines: &mut NumberedLines<R>) -> Result<(), Stop> {
        if self.header.roll == 0 {
            return Ok(());
        }
        let groups = self.definition.as_ref().map_or(usize::MAX, |definition| definition.groups.len());
        let mut bytes = proof::Sha256Stream::new();
        let mut weight = 0;
        let mut last_tag = None;
        for number in 0..self.header.roll {
            let line = lines.expect("the end of the roll")?;
            bytes.update(line);
            bytes.update(b"\n");
            let Some(entry) = compact::<RollLine>(line) else {
                return Err(lines.fault("this is not a roll line"));
            };
            weight += u64::from(entry.weight);
            let is_known_group = entry.group.is_none_or(|group| usize::from(group) < groups);
            if entry.weight == 0 || !is_known_group || last_tag.is_some_and(|last| last >= entry.voter) {
                let what = format!("roll line {number} has no weight, no known group, or is out of order");
                self.verdicts.fail(Check::Roll, Finding::new(what));
            }
            last_tag = Some(entry.voter);
            self.roll.insert(entry.voter, entry);
        }
        self.roll_commitment = bytes.digest();
        self.eligible = Some(Eligible { voters: self.header.roll, weight });
        Ok(())
    }

    /// `None` if the line is not a leaf's.
    fn read_leaf(&mut self, leaf: u64, line: &[u8]) -> Option<()> {
        let (number, content) = leaf_line(line)?;
        if number != leaf {
            let what = format!("its line carries the number {number}");
            self.verdicts.fail(Check::Tree, Finding::at_leaf(leaf, what));
        }
        match content {
            Leaf::Act(json) => {
                let hash = leaf_hash(LeafKind::Act, json);
                self.append(leaf, hash, None);
                self.act(leaf, json);
            }
            Leaf::Ballot(text) => {
                let mut opening = std::mem::take(&mut self.opening);
                let is_base64 = decode_base64url(text, &mut opening);
                if is_base64 {
                    let hash = leaf_hash(LeafKind::Ballot, &opening);
                    self.append(leaf, hash, Some(&opening));
                    let ballot = self.ballots;
                    self.ballots += 1;
                    self.ballot(leaf, ballot, &opening);
                }
                self.opening = opening;
                return is_base64.then_some(());
            }
        }
        Some(())
    }

    fn append(&mut self, leaf: u64, hash: Hash, ballot: Option<&[u8]>) {
        self.edge.append(hash);
        if self.sizes.last() == Some(&0) {
            self.sizes.pop();
        }
        if self.sizes.last() == Some(&(leaf + 1)) {
            self.sizes.pop();
            self.roots.insert(leaf + 1, self.edge.root());
        }
        if self.leaves_asked.last() == Some(&leaf) {
            self.leaves_asked.pop();
            let nonce = ballot.and_then(|opening| opening.first_chunk().copied());
            self.seen.insert(leaf, Seen { hash, nonce });
        }
    }

    fn act(&mut self, leaf: u64, json: &[u8]) {
        let voters = self.voters.as_ref().map_or(0, Voters::so_far);
        let edge = &self.edge;
        let place = Place { leaf, root: &|| edge.root(), voters };
        if !self.acts.take(json, place, &mut self.verdicts) {
            return;
        }
        if let Some(Stamped { at, leaf, ballot }) =
            self.latest.take().filter(|latest| latest.at > self.acts.at)
        {
            let what = format!("it is stamped {at}, after the act that follows it");
            self.verdicts.fail(Check::Time, Finding::at_ballot(leaf, ballot, what));
        }
    }

    /// Checks 9 to 12 on one ballot, and its count.
    fn ballot(&mut self, leaf: u64, ballot: u64, opening: &[u8]) {
        let (Some(definition), Some(voters), Some(recount)) =
            (&self.definition, &mut self.voters, &mut self.recount)
        else {
            return;
        };
        let verdicts = &mut self.verdicts;
        let mut fail = |check, what: String| verdicts.fail(check, Finding::at_ballot(leaf, ballot, what));

        let (opening, at) = match read_opening(definition, &self.header, opening, &mut self.marks) {
            Ok(read) => read,
            Err(what) => return fail(Check::Ballots, what),
        };
        let fields = &opening.fields;
        let (weight, group) = (fields.extras.weight, fields.extras.group);
        if let Err(what) = check_entitled(definition, &self.roll, &fields.voter.0, weight, group) {
            fail(Check::Eligibility, what);
        }
        if self.acts.is_full(voters.so_far()) {
            fail(Check::Acts, "it follows the ballot that closes the vote".to_owned());
        }
        if let Err(what) = check_time(&self.acts, at) {
            fail(Check::Time, what);
        }
        if self.latest.is_none_or(|latest| at > latest.at) {
            self.latest = Some(Stamped { at, leaf, ballot });
        }
        let cast = Cast { tag: &fields.voter.0, key: &fields.key.0, marks: &self.marks, weight, group };
        if let Err(what) = voters.cast(cast, recount) {
            fail(Check::Once, what.to_owned());
        }
    }
}

/// Check 9: the opening, its arrival, and its answers in `marks`.
fn read_opening<'a>(
    definition: &Definition,
    header: &Header,
    opening: &'a [u8],
    marks: &mut Marks,
) -> Result<(Opening<'a>, UnixMillis), String> {
    let opening = Opening::parse(opening).map_err(|error| error.to_string())?;
    let fields = &opening.fields;
    if fields.election.0 != header.election || fields.shard != header.shard {
        return Err("it was cast in another election or shard".to_owned());
    }
    let Some(stamp) = fields.extras.stamp else { return Err("it carries no stamp".to_owned()) };
    if fields.extras.click.is_some() {
        return Err("it carries a click time".to_owned());
    }
    let Body::Answers(answers) = opening.body else { return Err("it is encrypted".to_owned()) };
    read_answers(definition, answers, marks)?;
    Ok((opening, stamp.wall()))
}

/// Check 10.
fn check_entitled(
    definition: &Definition,
    roll: &HashMap<Tag, RollLine>,
    tag: &Tag,
    weight: u32,
    group: Option<u16>,
) -> Result<(), String> {
    if definition.eligibility == Eligibility::Open {
        let is_known_group = group.is_none_or(|group| usize::from(group) < definition.groups.len());
        return match (weight, is_known_group) {
            (1, true) => Ok(()),
            (1, false) => Err("its group does not exist".to_owned()),
            _ => Err(format!("it weighs {weight}, and every ballot weighs 1 here")),
        };
    }
    let Some(entry) = roll.get(tag) else { return Err("its voter is not on the roll".to_owned()) };
    if entry.weight != weight || entry.group != group {
        return Err("its weight or group is not that of the roll".to_owned());
    }
    Ok(())
}

/// Check 12, but for the act that follows.
fn check_time(acts: &Acts, at: UnixMillis) -> Result<(), String> {
    if acts.state != State::Open {
        return Err(format!("it was cast while the vote was {}", acts.state.name()));
    }
    if acts.opened.is_some_and(|opened| at < opened.at) {
        return Err(format!("it is stamped {at}, before the opening"));
    }
    if let Some(closes_at) = acts.closes_at.filter(|closes_at| at > *closes_at) {
        return Err(format!("it is stamped {at}, after the closing time {closes_at}"));
    }
    Ok(())
}

pub fn decode_base64url(text: &[u8], bytes: &mut Vec<u8>) -> bool {
    let Ok(length) = BASE64URL_NOPAD.decode_len(text.len()) else { return false };
    bytes.resize(length, 0);
    BASE64URL_NOPAD.decode_mut(text, bytes).is_ok_and(|written| written == length)
}

fn read_rest<R: Read>(lines: &mut NumberedLines<R>) -> Result<Rest, Stop> {
    let mut checkpoints = Vec::new();
    let (result, result_hash) = loop {
        let line = lines.expect("its result")?;
        if let Some(CheckpointLine { checkpoint }) = compact(line) {
            checkpoints.push(checkpoint);
            continue;
        }
        let result =
            result_bytes(line).and_then(|bytes| Some((compact::<Published>(bytes)?, sha256(&[bytes]))));
        break result.ok_or_else(|| lines.fault("this is neither a checkpoint nor the result"))?;
    };
    let line = lines.expect("its end line")?;
    let end = compact::<EndLine>(line);
    let Some(EndLine { end }) = end else { return Err(lines.fault("this is not the end line")) };
    let digest = lines.lines.digest_before_line();
    match lines.next()? {
        None => Ok(Rest { checkpoints, result, result_hash, end, digest }),
        Some(_) => Err(lines.fault("this follows the end line")),
    }
}
