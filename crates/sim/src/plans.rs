//! Elections as the simulation plans them: their rules in the plainest form, and their voters.

use crate::random::Random;
use election::roll::RollEntry;
use election::{Definition, ElectionId, LedgerId, OfficerCommand, Slug, UnixMillis, VoterTag};
use node::identity::{Keys, tag_of_number, tag_of_text};
use serde_json::json;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lot {
    None,
    Server,
    Public,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlannedKind {
    /// For seats: only these can be tied.
    Seats,
    Motion,
    Rating,
}

/// One question, as much of it as the plain count needs.
#[derive(Clone, Debug)]
pub struct PlannedContest {
    pub kind: PlannedKind,
    pub choices: u16,
    pub min: u16,
    pub max: u16,
    pub seats: usize,
}

#[derive(Clone, Copy, Debug)]
pub struct PlannedVoter {
    pub tag: VoterTag,
    pub number: Option<u64>,
    pub weight: u32,
    /// On a list, the list's.
    pub group: Option<u16>,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub slug: Slug,
    /// As it is sent; canonical where it is valid.
    pub definition: String,
    /// False for a definition that has to be refused.
    pub is_valid: bool,
    pub contests: Vec<PlannedContest>,
    pub ballots_per_voter: usize,
    pub last_counts: bool,
    pub after_voters: Option<usize>,
    pub closes_at: Option<u64>,
    pub lot: Lot,
    /// Whether officers show and hide the counts.
    pub is_on_reveal: bool,
    pub groups: u16,
    pub is_list: bool,
    pub voters: Vec<PlannedVoter>,
}

/// Draws an election: every kind that this version knows.
pub fn draw(
    random: &mut Random,
    name: u64,
    ledger: LedgerId,
    keys: &Keys,
    now: UnixMillis,
    crowd: u64,
) -> Plan {
    let slug: Slug = format!("vote-{name}").parse().expect("it is a slug");
    let is_mass = random.one_in(5);
    let is_list = !is_mass && random.one_in(3);
    let contests: Vec<PlannedContest> = (0..random.between(1, 3)).map(|_| draw_contest(random)).collect();
    let (ballots_per_voter, last_counts) = match random.below(4) {
        0 => (usize::try_from(random.between(2, 4)).expect("small"), false),
        1 => (1, true),
        _ => (1, false),
    };
    let groups = if is_mass || random.one_in(4) { 3 } else { 0 };
    let voters = if is_mass { random.between(120, 300) * crowd } else { random.between(2, 16) };
    let voters = usize::try_from(voters).expect("small");
    let after_voters = random.one_in(4).then(|| random.between(1, voters as u64));
    let is_all = is_list && random.one_in(3);
    let closes_at = random.one_in(3).then(|| now.0 + random.between(1_000, 60_000));
    let lot = *random.pick(&[Lot::None, Lot::Server, Lot::Server, Lot::Public]);
    let results = *random.pick(&["live", "own-ballot", "at-close", "on-publish", "on-reveal", "on-reveal"]);
    let closing = json!({
        "at": closes_at.map(|at| UnixMillis(at).to_string()),
        "after_voters": if is_all { json!("all") } else { json!(after_voters) },
    });
    let mut definition = json!({
        "slug": slug.as_str(),
        "title": format!("Vote {name}"),
        "eligibility": if is_list { "list" } else { "open" },
        "revote": if last_counts { "last-counts" } else { "forbid" },
        "ballots_per_voter": ballots_per_voter,
        "results": results,
        "draw": match lot { Lot::None => "none", Lot::Server => "server", Lot::Public => "public" },
        "closing": closing,
        "contest": contests.iter().enumerate().map(contest_json).collect::<Vec<_>>(),
    });
    if groups > 0 {
        definition["groups"] = json!((0..groups).map(|group| format!("Region {group}")).collect::<Vec<_>>());
    }
    let is_valid = !random.one_in(12);
    if !is_valid {
        spoil(random, &mut definition);
    }
    let text = definition.to_string();
    let definition = match Definition::from_json(&text) {
        Ok(definition) if is_valid => definition.to_json(),
        _ => text,
    };
    let id = ElectionId::derive(ledger, &slug);
    let voters = draw_voters(random, voters, is_list.then_some(groups), keys, id);
    Plan {
        slug,
        definition,
        is_valid,
        contests,
        ballots_per_voter,
        last_counts,
        after_voters: if is_all {
            Some(voters.len())
        } else {
            after_voters.map(|n| usize::try_from(n).expect("small"))
        },
        closes_at,
        lot,
        is_on_reveal: results == "on-reveal",
        groups,
        is_list,
        voters,
    }
}

impl Plan {
    pub fn create(&self) -> OfficerCommand {
        let entry =
            |voter: &PlannedVoter| RollEntry { voter: voter.tag, weight: voter.weight, group: voter.group };
        let roll = if self.is_list { self.voters.iter().map(entry).collect() } else { Vec::new() };
        OfficerCommand::Create { definition: self.definition.clone(), roll }
    }
}

fn draw_contest(random: &mut Random) -> PlannedContest {
    match random.below(4) {
        0 => {
            let min = u16::from(random.one_in(2));
            PlannedContest { kind: PlannedKind::Motion, choices: 3, min, max: 1, seats: 1 }
        }
        1 => {
            let (min, choices) = (u16::from(random.one_in(2)), small(random.between(2, 11)));
            PlannedContest { kind: PlannedKind::Rating, choices, min, max: 1, seats: 1 }
        }
        _ => {
            let choices = small(random.between(2, 6));
            let max = small(random.between(1, u64::from(choices)));
            let min = small(random.below(u64::from(max) + 1));
            let seats = usize::from(small(random.between(1, u64::from(choices.min(2)))));
            PlannedContest { kind: PlannedKind::Seats, choices, min, max, seats }
        }
    }
}

fn contest_json((index, contest): (usize, &PlannedContest)) -> serde_json::Value {
    let choose = json!({ "min": contest.min, "max": contest.max });
    let (id, title) = (format!("contest-{index}"), format!("Question {index}"));
    if contest.kind == PlannedKind::Motion {
        return json!({ "id": id, "title": title, "method": "motion", "choose": choose, "majority": ">=2/3" });
    }
    if contest.kind == PlannedKind::Rating {
        let levels: Vec<String> = (0..contest.choices).map(|level| level.to_string()).collect();
        return json!({ "id": id, "title": title, "method": "rating", "choose": choose, "choices": levels });
    }
    let choices: Vec<String> = (0..contest.choices).map(|choice| format!("Choice {choice}")).collect();
    let method = if index % 2 == 0 { "plurality" } else { "approval" };
    json!({
        "id": id, "title": title, "method": method, "choose": choose,
        "seats": contest.seats, "choices": choices,
    })
}

/// Makes a definition one that has to be refused.
fn spoil(random: &mut Random, definition: &mut serde_json::Value) {
    match random.below(4) {
        0 => definition["secrecy"] = json!("sealed"),
        1 => definition["no_such_field"] = json!(1),
        2 => definition["contest"] = json!([]),
        _ => definition["closing"] = json!({ "click_grace_seconds": 2 }),
    }
}

fn draw_voters(
    random: &mut Random,
    count: usize,
    list_groups: Option<u16>,
    keys: &Keys,
    id: ElectionId,
) -> Vec<PlannedVoter> {
    let key = keys.voter_tags(id);
    let block = random.below(1 << 40) << 16;
    let voter = |index: usize| match list_groups {
        Some(groups) => PlannedVoter {
            tag: tag_of_text(&key, &format!("member-{index}")),
            number: Some(index as u64),
            weight: small(random.between(1, 3)).into(),
            group: (groups > 0).then(|| small(random.below(u64::from(groups)))),
        },
        None if index % 3 == 2 => {
            let tag = tag_of_text(&key, &format!("+49 {index}"));
            PlannedVoter { tag, number: None, weight: 1, group: None }
        }
        None => {
            let number = block + index as u64;
            PlannedVoter { tag: tag_of_number(&key, number), number: Some(number), weight: 1, group: None }
        }
    };
    (0..count).map(voter).collect()
}

fn small(value: u64) -> u16 {
    u16::try_from(value).expect("it was drawn small")
}
