//! `election::State::apply` alone: the rules without HTTP, disk or queue, and with the evidence's hashing.

use std::hint::black_box;

use anyhow::{Context as _, bail};
use election::answers::encode_indices;
use election::ballot::write_opening;
use election::{
    Cast, Command, Definition, ElectionId, ElectionIndex, Event, EventKind, Extras, Hlc, IdempotencyKey,
    LedgerId, OfficerCommand, OpeningFields, Outcome, Rejection, State, UnixMillis, Voter, VoterTag,
};
use proof::{Edge, Hash, LeafKind, leaf_hash};
use serde_json::json;

use super::machine::{self, Machine};
use super::report::{Aim, Report};
use super::{Context, clock};

const CHOICES: [&str; 4] = ["alpha", "bravo", "delta", "gamma"];
/// Different openings that take turns, 8 MiB: the voters differ by their numbers and tags, which come in the command.
const OPENINGS: usize = 1 << 16;
/// Coprime to every power of ten: steps through all voters, each once, far from the last one.
const STRIDE: u64 = 7_368_787;

/// Ballots a batch: what the node takes at most in one turn.
const BATCH: u64 = 4_096;

#[derive(clap::Args, Debug)]
pub struct ApplyArgs {
    /// Voters with one ballot each; without it 10 million and 100 million.
    #[arg(long, value_name = "N")]
    pub voters: Option<u64>,
}

pub fn run(context: &Context, args: &ApplyArgs) -> anyhow::Result<Report> {
    let mut report = Report::new("apply", &Machine::read(context.folder()));
    report.method(format!(
        "one thread, one open plurality election of {} choices, {OPENINGS} openings made before; voters in an order \
         that jumps over all of them; `hashed` adds leaf hash and tree; memory is the growth of the process's \
         anonymous pages",
        CHOICES.len()
    ));
    let sizes = match args.voters {
        Some(voters) => vec![voters],
        None => vec![context.size(10_000_000, 10_000), context.size(100_000_000, 100_000)],
    };
    for voters in &sizes {
        numbered(*voters, &mut report)?;
    }
    hashed(sizes[0], &mut report)?;
    named(sizes[0], &mut report)?;
    Ok(report)
}

/// An open election, and openings of ballots for it.
struct Bench {
    state: State,
    openings: Vec<Vec<u8>>,
    stamp: Hlc,
}

impl Bench {
    fn new() -> anyhow::Result<Self> {
        let definition = json!({
            "slug": "bench", "title": "Benchmark", "results": "live",
            "contest": [{"id": "winner", "title": "Who wins?", "method": "plurality", "choices": CHOICES}],
        });
        let slug: election::Slug = "bench".parse()?;
        let ledger = LedgerId([7; 16]);
        let id = ElectionId::derive(ledger, &slug);
        let definition = Definition::from_json(&definition.to_string())?.to_json();
        let mut bench = Self {
            state: State::default(),
            openings: (0..OPENINGS).map(|number| opening(id, number)).collect(),
            stamp: Hlc::at(UnixMillis(1_800_000_000_000)),
        };
        let zeros = "00".repeat(32);
        bench.officer(OfficerCommand::Found { ledger, node: 1, key: zeros.clone(), officer: zeros })?;
        bench.officer(OfficerCommand::Create { definition, roll: Vec::new() })?;
        bench.officer(OfficerCommand::Open { slug })?;
        Ok(bench)
    }

    fn officer(&mut self, command: OfficerCommand) -> anyhow::Result<()> {
        let outcome = self.state.apply(self.stamp, &Command::Officer(Box::new(command)));
        outcome.map(|_| ()).context("the election is not made")
    }

    fn cast(&mut self, turn: u64, number: Option<u64>) -> Outcome {
        self.stamp = Hlc(self.stamp.0 + 1);
        let opening = &self.openings[turn as usize % OPENINGS];
        self.state.apply(self.stamp, &Command::Cast(Cast { election: ElectionIndex(0), number, opening }))
    }

    fn touch(&self, number: u64) {
        self.state.touch(ElectionIndex(0), &Voter { tag: VoterTag([0; 16]), number: Some(number) });
    }

    fn counted(&self) -> anyhow::Result<u64> {
        let election = self.state.election(ElectionIndex(0)).context("the election is not there")?;
        Ok(election.tally.all.contests[0].votes.iter().sum())
    }
}

fn opening(election: ElectionId, number: usize) -> Vec<u8> {
    let mut nonce = [0x5A; 32];
    nonce[..8].copy_from_slice(&number.to_be_bytes());
    let mut tag = [0xA5; 16];
    tag[..8].copy_from_slice(&mixed(number as u64).to_be_bytes());
    let stamp = Some(Hlc::at(UnixMillis(1_800_000_000_000)));
    let extras = Extras { weight: 1, group: None, stamp, click: None };
    let fields =
        OpeningFields { nonce, election, shard: 0, voter: VoterTag(tag), key: IdempotencyKey::NONE, extras };
    let mut bytes = Vec::new();
    let choice = (number % CHOICES.len()) as u16;
    write_opening(&mut bytes, &fields, encode_indices(&[vec![choice]]).as_bytes());
    bytes
}

/// A one-to-one mixing of 64 bits, for tags that differ like hashes.
fn mixed(number: u64) -> u64 {
    let turned = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (turned ^ (turned >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93)
}

/// Voters with dense numbers, as tokens and rolls deal them.
fn numbered(voters: u64, report: &mut Report) -> anyhow::Result<()> {
    let mut bench = Bench::new()?;
    let memory_before = memory();
    let number = |turn: u64| turn.wrapping_mul(STRIDE) % voters;
    let began = clock::now();
    for batch in (0..voters).step_by(BATCH as usize) {
        let turns = batch..voters.min(batch + BATCH);
        // As the node does with a batch, so that the reads of its voters' bits overlap.
        turns.clone().for_each(|turn| bench.touch(number(turn)));
        for turn in turns {
            accepted(bench.cast(turn, Some(number(turn))))?;
        }
    }
    let elapsed = began.elapsed().as_secs_f64();
    let name = millions(voters);
    report.aimed(format!("{name} voters"), voters as f64 / elapsed, "/s", Aim::AtLeast(20_000_000.0));
    let grown = memory().saturating_sub(memory_before) as f64 / voters as f64;
    report.figure(format!("{name} voters, each voter's one ballot"), grown, "bytes");

    let again = voters.min(10_000_000);
    let began = clock::now();
    for turn in 0..again {
        match bench.cast(turn, Some(turn.wrapping_mul(STRIDE) % voters)) {
            Err(Rejection::AlreadyVoted) => {}
            other => bail!("a second ballot came to {other:?}"),
        }
    }
    report.figure(
        format!("{name} voters, second ballots"),
        again as f64 / began.elapsed().as_secs_f64(),
        "/s",
    );
    let counted = bench.counted()?;
    report.check(format!("{name} voters are counted once"), counted == voters, counted.to_string());
    Ok(())
}

/// The same with each ballot's leaf and the tree's edge, whose finished tile hashes go to the caller.
fn hashed(voters: u64, report: &mut Report) -> anyhow::Result<()> {
    let mut bench = Bench::new()?;
    let mut edge = Edge::new();
    let mut tile_hashes = 0_u64;
    let began = clock::now();
    for turn in 0..voters {
        accepted(bench.cast(turn, Some(turn.wrapping_mul(STRIDE) % voters)))?;
        let leaf: Hash = leaf_hash(LeafKind::Ballot, &bench.openings[turn as usize % OPENINGS]);
        edge.append_with(leaf, |_, hash| {
            black_box(hash);
            tile_hashes += 1;
        });
    }
    let elapsed = began.elapsed().as_secs_f64();
    black_box(edge.root());
    let name = format!("{} voters, hashed", millions(voters));
    report.aimed(name, voters as f64 / elapsed, "/s", Aim::AtLeast(2_500_000.0));
    let size = edge.size().0;
    report.check(
        "every ballot is in the tree",
        size == voters,
        format!("{size} leaves, {tile_hashes} tile hashes"),
    );
    Ok(())
}

/// Voters a gateway names by text, kept by tag: the openings' own tags are written over.
fn named(voters: u64, report: &mut Report) -> anyhow::Result<()> {
    const TAG_AT: usize = 32 + 16 + 4;
    let mut bench = Bench::new()?;
    let memory_before = memory();
    let began = clock::now();
    for turn in 0..voters {
        let opening = &mut bench.openings[turn as usize % OPENINGS];
        opening[TAG_AT..TAG_AT + 8].copy_from_slice(&mixed(turn).to_be_bytes());
        accepted(bench.cast(turn, None))?;
    }
    let elapsed = began.elapsed().as_secs_f64();
    let name = format!("{} voters named by text", millions(voters));
    report.figure(name.clone(), voters as f64 / elapsed, "/s");
    let grown = memory().saturating_sub(memory_before) as f64 / voters as f64;
    report.figure(format!("{name}, each"), grown, "bytes");
    let counted = bench.counted()?;
    report.check(format!("{name} are counted once"), counted == voters, counted.to_string());
    Ok(())
}

fn accepted(outcome: Outcome) -> anyhow::Result<()> {
    match outcome {
        Ok(Event { kind: EventKind::Cast { .. }, .. }) => Ok(()),
        other => bail!("a ballot came to {other:?}"),
    }
}

fn memory() -> u64 {
    machine::anonymous_bytes(std::process::id()).unwrap_or(0)
}

fn millions(voters: u64) -> String {
    match voters {
        1_000_000.. => format!("{} M", voters / 1_000_000),
        _ => voters.to_string(),
    }
}
