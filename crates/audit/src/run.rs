//! The audit itself: one pass over the record, then judgement.

use std::collections::HashMap;
use std::io::{self, BufRead, Read, Seek};

use data_encoding::BASE64URL_NOPAD;
use election::ballot::{Body, Opening};
use election::definition::{Definition, Eligibility};
use election::ids::{ElectionId, LedgerId};
use election::time::UnixMillis;
use proof::{Edge, Hash, LeafKind, leaf_hash, sha256};

use crate::acts::{Acts, Place, State};
use crate::checkpoints::{Known, kept_sizes, sizes_at_end};
use crate::count::{Marks, Recount, read_answers};
use crate::evidence::{Evidence, Found, SignedRecord};
use crate::form::{
    CheckpointLine, Eligible, End, EndLine, Header, Leaf, Published, PublishedContest, RollLine, compact,
    leaf_line, result_bytes,
};
use crate::lines::{LineError, Lines};
use crate::outcome::{Counted, Places, draw_order, outcome, places};
use crate::receipts::{Receipts, Seen};
use crate::report::{Check, FINDINGS_MAX, Facts, Finding, Report, Sentence, Verdicts};
use crate::voters::{Cast, Tag, Voters};

/// Version of the record's form.
const RECORD_VERSION: u32 = 1;

/// Leaves between two reports of progress.
const PROGRESS_LEAVES: u64 = 1 << 16;

/// No ballot line is shorter, in bytes: an opening of 96 bytes is 128 characters of base64.
const BALLOT_LINE_BYTES_MIN: u64 = 150;

#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error("cannot read the record")]
    Read(#[source] io::Error),
    #[error("this is not a record of a known version: {0}")]
    NotARecord(String),
}

/// A receipt or a checkpoint that somebody kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Names it in findings; a file name.
    pub name: String,
    /// Its file's content.
    pub text: String,
}

/// How far an audit is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    pub leaves: u64,
    /// As the header says.
    pub of: u64,
}

/// Checks a record, with the receipts and checkpoints that somebody kept.
///
/// The record is read twice at its end (checkpoints), otherwise once, and a second time only to place a fault. Memory:
/// 16 bytes a voter and 4 MiB; with more than one ballot a voter, or the last counting, some 60 to 100 bytes a voter.
/// Speed: above a million ballots a second on two cores. What cannot be read as a record is an error, every other
/// fault a finding.
pub fn run(
    record: impl BufRead + Seek,
    receipts: &[Kept],
    checkpoints: &[Kept],
) -> Result<Report, AuditError> {
    run_with_progress(record, receipts, checkpoints, &mut |_| ())
}

/// [`run`], telling `progress` every 65,536 leaves.
pub fn run_with_progress(
    mut record: impl BufRead + Seek,
    receipts: &[Kept],
    checkpoints: &[Kept],
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, AuditError> {
    let receipts = Receipts::read(receipts);
    let mut sizes = sizes_at_end(&mut record).map_err(AuditError::Read)?;
    sizes.extend(kept_sizes(checkpoints));
    let length = record.stream_position().map_err(AuditError::Read)?;
    let length = record.seek(io::SeekFrom::End(0)).map_err(AuditError::Read)?.max(length);
    record.rewind().map_err(AuditError::Read)?;

    let mut lines = NumberedLines { lines: Lines::new(&mut record), number: 0 };
    let header = read_header(&mut lines)?;
    let mut pass = Pass::new(header, length, sizes, receipts.leaves());
    let read = pass.read(&mut lines, progress);
    drop(lines);
    match read {
        Ok(rest) => judge(pass, rest, &mut record, &receipts, checkpoints),
        Err(Stop::Read(error)) => Err(AuditError::Read(error)),
        Err(Stop::Form(finding)) => Ok(form_failed(pass, finding)),
    }
}

/// Why the pass ended early.
enum Stop {
    Read(io::Error),
    /// Check 1 fails, and nothing else is checked.
    Form(Finding),
}

struct NumberedLines<R> {
    lines: Lines<R>,
    /// Number of the line returned last, from 1.
    number: u64,
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

fn read_header<R: Read>(lines: &mut NumberedLines<R>) -> Result<Header, AuditError> {
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
struct Rest {
    checkpoints: Vec<String>,
    result: Published,
    result_hash: Hash,
    end: End,
    digest: Hash,
}

/// A stamp, and the ballot that carries it.
#[derive(Clone, Copy)]
struct Stamped {
    at: UnixMillis,
    leaf: u64,
    ballot: u64,
}

/// All that is gathered while the lines pass by.
struct Pass {
    header: Header,
    verdicts: Verdicts,
    definition: Option<Definition>,
    definition_hash: Hash,
    roll: HashMap<Tag, RollLine>,
    roll_commitment: Hash,
    eligible: Option<Eligible>,
    acts: Acts,
    /// As long as there is a definition to count by.
    voters: Option<Voters>,
    recount: Option<Recount>,
    edge: Edge,
    /// Sizes whose roots are wanted, descending, and the roots found.
    sizes: Vec<u64>,
    roots: HashMap<u64, Hash>,
    /// Leaves that receipts ask for, descending, and those found.
    leaves_asked: Vec<u64>,
    seen: HashMap<u64, Seen>,
    ballots: u64,
    /// Latest stamp since the last act.
    latest: Option<Stamped>,
    ballots_expected: u64,
    marks: Marks,
    opening: Vec<u8>,
}

impl Pass {
    fn new(header: Header, length: u64, mut sizes: Vec<u64>, leaves: impl Iterator<Item = u64>) -> Pass {
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

    fn read<R: Read>(
        &mut self,
        lines: &mut NumberedLines<R>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Rest, Stop> {
        self.read_definition(lines.expect("the definition")?);
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

    fn read_definition(&mut self, line: &[u8]) {
        self.definition_hash = sha256(&[line]);
        let parsed = std::str::from_utf8(line).map_err(|error| error.to_string()).and_then(|text| {
            let definition = Definition::from_json(text).map_err(|error| error.to_string())?;
            if definition.to_json() == text { Ok(definition) } else { Err("it is not compact".to_owned()) }
        });
        match parsed {
            Ok(definition) => self.definition = Some(definition),
            Err(what) => self.verdicts.fail(Check::Definition, Finding::new(what)),
        }
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
        self.acts.take(json, Place { leaf, root: &|| edge.root(), voters }, &mut self.verdicts);
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

fn decode_base64url(text: &[u8], bytes: &mut Vec<u8>) -> bool {
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

fn form_failed(mut pass: Pass, finding: Finding) -> Report {
    let mut verdicts = Verdicts::new();
    verdicts.fail(Check::Form, finding);
    for check in Check::ALL {
        verdicts.skip(*check, "the file is not complete and well-formed");
    }
    pass.verdicts = verdicts;
    pass.voters = None;
    report(pass, None, Vec::new(), Vec::new())
}

fn report(pass: Pass, voters: Option<u64>, outcomes: Vec<Sentence>, evidence: Vec<Evidence>) -> Report {
    let Pass { header, verdicts, acts, roots, .. } = pass;
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let record = Facts {
        ledger: hex(&header.ledger),
        election: hex(&header.election),
        slug: header.slug,
        definition_hash: header.definition_hash.to_hex(),
        leaves: header.leaves,
        ballots: header.ballots,
        voters,
        root: roots.get(&header.leaves).map(Hash::to_hex),
        keys: acts.epochs.iter().map(|epoch| hex(&epoch.node.key)).collect(),
    };
    let checks = verdicts.into_reports();
    let clean = checks.iter().all(|check| check.verdict != crate::Verdict::Failed);
    Report { clean, record, checks, outcomes, evidence }
}

/// Everything that is decided once the whole record is known.
fn judge<R: BufRead + Seek>(
    mut pass: Pass,
    rest: Rest,
    record: &mut R,
    receipts: &Receipts<'_>,
    kept: &[Kept],
) -> Result<Report, AuditError> {
    check_digest(&mut pass, &rest);
    check_definition(&mut pass);
    check_roll(&mut pass);
    pass.acts.check_epochs(&pass.header, &mut pass.verdicts);
    let known = Known { header: &pass.header, acts: &pass.acts, roots: &pass.roots };
    known.check_published(&rest.checkpoints, &mut pass.verdicts);
    known.check_kept(kept, &mut pass.verdicts);
    let missing = receipts.check(&pass.header, &pass.acts, &pass.seen, &mut pass.verdicts);

    let voters = check_counts(&mut pass, &rest, record)?;
    check_publication(&mut pass, &rest);
    let outcomes = recounted(&pass);
    let evidence = if missing.is_empty() { Vec::new() } else { gather(&pass, &rest, &missing, record)? };
    Ok(report(pass, voters, outcomes, evidence))
}

/// Check 2.
fn check_digest(pass: &mut Pass, rest: &Rest) {
    let End { sha256, node, signature } = &rest.end;
    let mut fail = |what: &str| pass.verdicts.fail(Check::Digest, Finding::new(what));
    if *sha256 != rest.digest {
        fail("the file was changed after it was made: its hash is another");
    }
    match pass.acts.last_key(*node) {
        None => fail("it is signed by a node that no act names"),
        Some(key) => {
            if key.verify(&end_message(sha256), signature).is_err() {
                fail("its signature does not hold");
            }
        }
    }
}

/// What a node signs at the end of a record.
fn end_message(sha256: &Hash) -> Vec<u8> {
    [&b"hustings record v1\n"[..], &sha256.0].concat()
}

/// Check 3.
fn check_definition(pass: &mut Pass) {
    let Pass { header, verdicts, definition, .. } = pass;
    let mut fail = |what: &str| verdicts.fail(Check::Definition, Finding::new(what));
    if pass.definition_hash != header.definition_hash {
        fail("its hash is not that of the header");
    }
    if pass.acts.opened.is_some_and(|opened| opened.definition != header.definition_hash) {
        fail("another definition was opened");
    }
    if header.shard != 0 || header.secrecy != "open" {
        fail("the header names a shard or a secrecy that this version does not have");
    }
    let Some(definition) = definition else { return };
    if definition.slug.as_str() != header.slug {
        fail("its slug is not that of the header");
    }
    if ElectionId::derive(LedgerId(header.ledger), &definition.slug).0 != header.election {
        fail("the election id does not follow from ledger and slug");
    }
}

/// Check 4, but for the lines themselves.
fn check_roll(pass: &mut Pass) {
    let is_list = pass.definition.as_ref().map(|definition| definition.eligibility == Eligibility::List);
    if is_list.is_some_and(|is_list| is_list != (pass.header.roll > 0)) {
        pass.verdicts
            .fail(Check::Roll, Finding::new("there is a roll without a list, or a list without a roll"));
    }
    if pass.acts.opened.is_some_and(|opened| opened.roll != pass.roll_commitment) {
        pass.verdicts.fail(Check::Roll, Finding::new("another roll was opened"));
    }
}

/// Checks 11 and 13 to 16. Returns how many voters there are.
fn check_counts<R: BufRead + Seek>(
    pass: &mut Pass,
    rest: &Rest,
    record: &mut R,
) -> Result<Option<u64>, AuditError> {
    let (Some(definition), Some(voters), Some(mut recount)) =
        (pass.definition.take(), pass.voters.take(), pass.recount.take())
    else {
        use Check::*;
        for check in [Ballots, Eligibility, Once, Time, Turnout, Tally, Draw, Outcome] {
            pass.verdicts.skip(check, "there is no valid definition to count by");
        }
        return Ok(None);
    };
    let (voters, twice) = voters.finish(&mut recount);
    if !twice.is_empty() {
        let finding = |leaf, ballot| Finding::at_ballot(leaf, ballot, "its voter has a ballot already");
        let mut seen = std::collections::HashSet::new();
        look_again(record, &pass.header, |leaf, ballot, opening| {
            let tag =
                opening.ok().and_then(|opening| Opening::parse(opening).ok()).map(|it| it.fields.voter.0);
            if let Some(tag) = tag.filter(|tag| twice.contains(tag))
                && !seen.insert(tag)
            {
                pass.verdicts.fail(Check::Once, finding(leaf, ballot));
            }
        })?;
    }
    if let Some(closed) = pass.acts.closed
        && (closed.ballots, closed.voters) != (recount.all.ballots, voters)
    {
        let what = format!(
            "it counts {} ballots of {} voters, and there are {} of {voters}",
            closed.ballots, closed.voters, recount.all.ballots
        );
        pass.verdicts.fail(Check::Turnout, Finding::at_leaf(closed.leaf, what));
    }
    check_tally(pass, &definition, &recount, voters, &rest.result);
    check_outcomes(pass, &definition, &rest.result);
    (pass.definition, pass.recount) = (Some(definition), Some(recount));
    Ok(Some(voters))
}

/// Check 14.
fn check_tally(pass: &mut Pass, definition: &Definition, recount: &Recount, voters: u64, result: &Published) {
    let mut fail = |what: String| pass.verdicts.fail(Check::Tally, Finding::new(what));
    for (what, published, counted) in [
        ("ballots", result.ballots, recount.all.ballots),
        ("voters", result.voters, voters),
        ("weight", result.weight, recount.all.weight),
    ] {
        if published != counted {
            fail(format!("{what}: {published} published, {counted} recounted"));
        }
    }
    if result.eligible != pass.eligible {
        fail("the number or weight of those eligible is not that of the roll".to_owned());
    }
    if result.contests.len() != definition.contests.len() {
        fail("the result has other contests than the definition".to_owned());
    }
    for (index, published) in result.contests.iter().enumerate().take(definition.contests.len()) {
        let counted = recount.contest(definition, index);
        for (published, counted) in published.counts.iter().zip(&counted.counts) {
            if published != counted {
                let (id, choice) = (&definition.contests[index].id, &counted.choice);
                let (published, counted) = (published.votes, counted.votes);
                fail(format!(
                    "contest `{id}`, choice `{choice}`: {published} published, {counted} recounted"
                ));
            }
        }
        let rest = |contest: &PublishedContest| PublishedContest {
            counts: Vec::new(),
            outcome: None,
            ..contest.clone()
        };
        if published.counts.len() != counted.counts.len() || rest(published) != rest(&counted) {
            fail(format!(
                "contest `{}`: blanks, groups, title or method differ",
                definition.contests[index].id
            ));
        }
    }
}

/// Checks 15 and 16, on the counts as published.
fn check_outcomes(pass: &mut Pass, definition: &Definition, result: &Published) {
    let fits = result.contests.len() == definition.contests.len()
        && result
            .contests
            .iter()
            .zip(&definition.contests)
            .all(|(published, contest)| published.counts.len() == contest.choices.len());
    if !fits {
        pass.verdicts.skip(Check::Draw, "the published counts are not those of the contests");
        pass.verdicts.skip(Check::Outcome, "the published counts are not those of the contests");
        return;
    }
    let eligible = pass.eligible.map_or(0, |eligible| eligible.weight);
    let mut has_tie = false;
    for (contest, published) in definition.contests.iter().zip(&result.contests) {
        let votes: Vec<u64> = published.counts.iter().map(|count| count.votes).collect();
        let counted = Counted { contest, votes: &votes, weight: result.weight, eligible };
        let contest_places =
            (contest.method != election::definition::Method::Motion).then(|| places(counted));
        let is_tie = contest_places.as_ref().is_some_and(|places| !places.tied.is_empty());
        has_tie |= is_tie;
        let lot = published_lot(pass, published, contest_places.as_ref().filter(|_| is_tie), counted);
        check_outcome(pass, definition, published, counted, lot.as_deref());
    }
    if let Some(finding) = pass.acts.drawn_fault() {
        pass.verdicts.fail(Check::Draw, finding);
    }
    let drawn = pass.acts.drawn;
    if let Some(drawn) = drawn.filter(|_| !has_tie) {
        pass.verdicts.fail(Check::Draw, Finding::at_leaf(drawn.leaf, "there was no tie to draw"));
    }
    let needs_draw = has_tie && definition.draw != election::definition::Draw::None && drawn.is_none();
    if needs_draw && pass.acts.state == State::Published {
        pass.verdicts.fail(Check::Draw, Finding::new("it was published without the draw that its tie needs"));
    }
}

/// The tied choices that the published outcome says the lot elected; check 15 compares them with the lot drawn again.
/// `None` where nothing was drawn.
fn published_lot(
    pass: &mut Pass,
    published: &PublishedContest,
    tie: Option<&Places>,
    counted: Counted<'_>,
) -> Option<Vec<usize>> {
    let (tie, outcome) = (tie?, published.outcome.as_ref()?);
    let contest = counted.contest;
    let drawn = pass.acts.drawn;
    if outcome.kind != "drawn" && drawn.is_none() {
        return None;
    }
    let index_of = |id: &String| contest.choices.iter().position(|choice| choice.id == *id);
    let lot: Vec<usize> = outcome.winners.iter().skip(tie.elected.len()).filter_map(index_of).collect();
    match drawn {
        None => {
            let what = format!("contest `{}`: no act tells of its draw", contest.id);
            pass.verdicts.fail(Check::Draw, Finding::new(what));
        }
        Some(drawn) if outcome.kind == "drawn" => {
            let order = draw_order(contest, &drawn.seed, &drawn.closing_root.0);
            let first = order.into_iter().filter(|choice| tie.tied.contains(choice)).take(tie.open_seats);
            if first.collect::<Vec<_>>() != lot {
                let what = format!("contest `{}`: the lot, drawn again, elects others", contest.id);
                pass.verdicts.fail(Check::Draw, Finding::at_leaf(drawn.leaf, what));
            }
        }
        Some(_) => {}
    }
    Some(lot)
}

/// Check 16 on one contest.
fn check_outcome(
    pass: &mut Pass,
    definition: &Definition,
    published: &PublishedContest,
    counted: Counted<'_>,
    lot: Option<&[usize]>,
) {
    let id = &counted.contest.id;
    let mut fail =
        |what: String| pass.verdicts.fail(Check::Outcome, Finding::new(format!("contest `{id}`: {what}")));
    let expected = pass.acts.state.is_over().then(|| outcome(counted, definition.draw, lot));
    match (&published.outcome, expected) {
        (None, None) => {}
        (None, Some(_)) => fail("it has no outcome".to_owned()),
        (Some(_), None) => fail("it has an outcome, and the vote is not closed".to_owned()),
        (Some(published), Some(expected)) => {
            if published.sentence != expected.sentence {
                fail(format!(
                    "\"{}\" published, \"{}\" follows from the counts",
                    published.sentence, expected.sentence
                ));
            } else if *published != expected {
                fail("kind, winners, tied, needed or base do not follow from the counts".to_owned());
            }
            if let Some(lot) = lot
                && let Places { tied, open_seats, .. } = places(counted)
                && !is_lot_of(lot, &tied, open_seats)
            {
                fail("the lot elected others than the tied, or too many or too few".to_owned());
            }
        }
    }
}

/// As many different choices as seats, all of them tied.
fn is_lot_of(lot: &[usize], tied: &[usize], open_seats: usize) -> bool {
    let is_different = (1..lot.len()).all(|at| !lot[..at].contains(&lot[at]));
    lot.len() == open_seats && is_different && lot.iter().all(|choice| tied.contains(choice))
}

/// Check 17.
fn check_publication(pass: &mut Pass, rest: &Rest) {
    let state = pass.acts.state.name();
    if rest.result.state != state {
        let what = format!("the result is of an election that is {}, and it is {state}", rest.result.state);
        pass.verdicts.fail(Check::Publication, Finding::new(what));
    }
    if let Some((leaf, hash)) = pass.acts.published
        && hash != rest.result_hash
    {
        pass.verdicts.fail(Check::Publication, Finding::at_leaf(leaf, "another result was published"));
    }
}

/// Outcomes of the recount itself, for people.
fn recounted(pass: &Pass) -> Vec<Sentence> {
    let (Some(definition), Some(recount)) = (&pass.definition, &pass.recount) else { return Vec::new() };
    if !pass.acts.state.is_over() {
        return Vec::new();
    }
    let eligible = pass.eligible.map_or(0, |eligible| eligible.weight);
    let sentence = |(index, contest): (usize, &election::definition::Contest)| {
        let votes = &recount.all.contests[index].votes;
        let counted = Counted { contest, votes, weight: recount.all.weight, eligible };
        let lot = pass.acts.drawn.map(|drawn| {
            let Places { tied, open_seats, .. } = places(counted);
            let order = draw_order(contest, &drawn.seed, &drawn.closing_root.0);
            order.into_iter().filter(|choice| tied.contains(choice)).take(open_seats).collect::<Vec<_>>()
        });
        let is_motion = contest.method == election::definition::Method::Motion;
        let lot = lot.as_deref().filter(|_| !is_motion);
        let sentence = outcome(counted, definition.draw, lot).sentence;
        Sentence { contest: contest.id.clone(), title: contest.title.clone(), sentence }
    };
    definition.contests.iter().enumerate().map(sentence).collect()
}

/// Evidence for the first receipts whose ballots are missing, with the inclusion proofs of what stands in their places.
fn gather<R: BufRead + Seek>(
    pass: &Pass,
    rest: &Rest,
    missing: &[&proof::receipt::Receipt],
    record: &mut R,
) -> Result<Vec<Evidence>, AuditError> {
    let (Some(checkpoint), Some(key)) = (rest.checkpoints.last(), pass.acts.last_key(rest.end.node)) else {
        return Ok(Vec::new());
    };
    let size = pass.header.leaves;
    let missing = &missing[..missing.len().min(FINDINGS_MAX)];
    let mut paths: Vec<PathFinder> =
        missing.iter().map(|receipt| PathFinder::new(receipt.leaf_index.0, size)).collect();
    look_again(record, &pass.header, |leaf, _, opening| {
        let hash = match opening {
            Ok(opening) => leaf_hash(LeafKind::Ballot, opening),
            Err(act) => leaf_hash(LeafKind::Act, act),
        };
        paths.iter_mut().for_each(|path| path.leaf(leaf, hash));
    })?;
    let signed = SignedRecord {
        sha256: rest.end.sha256,
        node: rest.end.node,
        key: key.key,
        signature: rest.end.signature,
        leaves: size,
    };
    let evidence = missing.iter().zip(paths).map(|(receipt, path)| {
        let found =
            pass.seen.get(&receipt.leaf_index.0).map(|seen| Found { leaf: seen.hash, path: path.finish() });
        Evidence::new(receipt, signed.clone(), checkpoint.clone(), found)
    });
    Ok(evidence.collect())
}

/// Inclusion proof of one leaf, made while all leaves pass by: one edge for each subtree beside its way to the root.
struct PathFinder {
    /// Range of leaves and their tree so far, deepest first.
    siblings: Vec<(std::ops::Range<u64>, Edge)>,
}

impl PathFinder {
    fn new(leaf: u64, size: u64) -> PathFinder {
        let mut siblings = Vec::new();
        let mut range = 0..size;
        while leaf < size && range.end - range.start > 1 {
            let middle = range.start + (range.end - range.start).next_power_of_two() / 2;
            let sibling = if leaf < middle { middle..range.end } else { range.start..middle };
            range = if leaf < middle { range.start..middle } else { middle..range.end };
            siblings.push((sibling, Edge::new()));
        }
        siblings.reverse();
        PathFinder { siblings }
    }

    fn leaf(&mut self, leaf: u64, hash: Hash) {
        if let Some((_, edge)) = self.siblings.iter_mut().find(|(range, _)| range.contains(&leaf)) {
            edge.append(hash);
        }
    }

    fn finish(self) -> Vec<Hash> {
        self.siblings.into_iter().map(|(_, edge)| edge.root()).collect()
    }
}

/// Goes through the leaves once more: leaf, ballots before it, and its opening (`Ok`) or act (`Err`).
fn look_again<R: BufRead + Seek>(
    record: &mut R,
    header: &Header,
    mut each: impl FnMut(u64, u64, Result<&[u8], &[u8]>),
) -> Result<(), AuditError> {
    record.rewind().map_err(AuditError::Read)?;
    let mut lines = Lines::unhashed(record);
    let mut opening = Vec::new();
    let mut ballots = 0;
    let before_leaves = 2 + header.roll;
    for number in 0..before_leaves + header.leaves {
        let line = match lines.next() {
            Ok(Some(line)) => line,
            Err(LineError::Read(error)) => return Err(AuditError::Read(error)),
            Ok(None) | Err(_) => break,
        };
        let Some(leaf) = number.checked_sub(before_leaves) else { continue };
        match leaf_line(line) {
            Some((_, Leaf::Act(json))) => each(leaf, ballots, Err(json)),
            Some((_, Leaf::Ballot(text))) => {
                decode_base64url(text, &mut opening);
                each(leaf, ballots, Ok(&opening));
                ballots += 1;
            }
            None => break,
        }
    }
    Ok(())
}
