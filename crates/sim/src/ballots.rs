//! Ballots as voters mean them, and as the edge makes them: sound ones, and rubbish.

use crate::plans::Plan;
use crate::random::Random;
use election::answers::encode_indices;
use election::ballot::{Click, Extras, OpeningFields, write_opening};
use election::{ElectionId, ElectionIndex, Hlc, IdempotencyKey, UnixMillis};
use node::PreparedBallot;
use proof::{LeafKind, leaf_hash};
use std::collections::BTreeMap;

/// What a voter wants: the same wish may be sent many times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Place of the election in the order of creation.
    pub election: usize,
    pub voter: usize,
    pub key: IdempotencyKey,
    /// Per contest, ascending; none for blank.
    pub choices: Vec<Vec<u16>>,
    /// Sent by a gateway; on a list the list's counts.
    pub group: Option<u16>,
}

impl Wish {
    pub fn has_same_content(&self, other: &Wish) -> bool {
        self.choices == other.choices && self.group == other.group
    }
}

/// One attempt: a wish with its own nonce and stamp.
#[derive(Clone, Debug)]
pub struct Paper {
    pub wish: Wish,
    /// False for rubbish, which must be refused whatever else holds.
    pub is_sound: bool,
    pub ballot: PreparedBallot,
}

/// Every paper ever sent, so that what is in the log can be told apart from what nobody sent.
#[derive(Debug, Default)]
pub struct Papers {
    papers: Vec<Paper>,
    by_opening: BTreeMap<Vec<u8>, usize>,
}

impl Papers {
    pub fn add(&mut self, paper: Paper) -> usize {
        let number = self.papers.len();
        self.by_opening.insert(paper.ballot.opening.clone(), number);
        self.papers.push(paper);
        number
    }

    pub fn get(&self, number: usize) -> &Paper {
        &self.papers[number]
    }

    pub fn find(&self, opening: &[u8]) -> Option<usize> {
        self.by_opening.get(opening).copied()
    }
}

/// Draws a voter's answers, all allowed.
pub fn draw_choices(random: &mut Random, plan: &Plan) -> Vec<Vec<u16>> {
    let contest = |contest: &crate::plans::PlannedContest| {
        if random.one_in(6) {
            return Vec::new();
        }
        let count = random.between(u64::from(contest.min.max(1)), u64::from(contest.max));
        let mut choices: Vec<u16> = (0..contest.choices).collect();
        random.shuffle(&mut choices);
        choices.truncate(usize::try_from(count).expect("small"));
        choices.sort_unstable();
        choices
    };
    plan.contests.iter().map(contest).collect()
}

/// Makes a wish ready to be cast, as the node's edge does.
pub fn prepare(random: &mut Random, plan: &Plan, id: ElectionId, wish: &Wish, stamp: Hlc) -> Paper {
    let (ballot, is_sound) = (make(plan, id, wish, stamp, random.bytes(), |_| ()), true);
    Paper { wish: wish.clone(), is_sound, ballot }
}

/// The same, spoilt in one of the ways that a faulty or hostile edge could find.
pub fn prepare_rubbish(random: &mut Random, plan: &Plan, id: ElectionId, wish: &Wish, stamp: Hlc) -> Paper {
    let mut wish = wish.clone();
    let nonce = random.bytes();
    let kind = random.below(13);
    let mut ballot = match kind {
        0 => {
            let first = plan.contests[0].choices;
            let mut spoilt = wish.clone();
            spoilt.choices[0] = vec![first];
            make(plan, id, &spoilt, stamp, nonce, |_| ())
        }
        1 => {
            let mut spoilt = wish.clone();
            spoilt.choices[0] = (0..=plan.contests[0].max).collect();
            make(plan, id, &spoilt, stamp, nonce, |_| ())
        }
        2 => {
            let mut spoilt = wish.clone();
            spoilt.choices.push(Vec::new());
            make(plan, id, &spoilt, stamp, nonce, |_| ())
        }
        3 => make(plan, id, &wish, stamp, nonce, |fields| fields.extras.weight += 7),
        4 => make(plan, id, &wish, stamp, nonce, |fields| fields.extras.group = Some(999)),
        5 => make(plan, id, &wish, stamp, nonce, |fields| fields.election.0[3] ^= 1),
        6 => make(plan, id, &wish, stamp, nonce, |fields| fields.shard = 1),
        7 => make(plan, id, &wish, stamp, nonce, |fields| {
            let (clicked, served) = (UnixMillis(1), UnixMillis(1));
            fields.extras.click = Some(Click { clicked, served });
        }),
        _ => make(plan, id, &wish, stamp, nonce, |_| ()),
    };
    match kind {
        8 => ballot.opening.truncate(random.index(ballot.opening.len())),
        9 => ballot.opening.extend_from_slice(&random.bytes::<3>()),
        10 => ballot.opening = random.bytes::<150>()[..random.index(150)].to_vec(),
        11 => {
            ballot.election = ElectionIndex(7_000);
            wish.election = 7_000;
        }
        // Somebody else's number, or nobody's; where voting is open the tag is not held against it.
        12 if plan.is_list => ballot.number = Some(wish.voter as u64 + 1 + random.below(3)),
        12 => ballot.opening.clear(),
        _ => {}
    }
    ballot.leaf = leaf_hash(LeafKind::Ballot, &ballot.opening);
    Paper { wish, is_sound: false, ballot }
}

fn make(
    plan: &Plan,
    id: ElectionId,
    wish: &Wish,
    stamp: Hlc,
    nonce: [u8; 32],
    spoil: impl FnOnce(&mut OpeningFields),
) -> PreparedBallot {
    let voter = &plan.voters[wish.voter];
    let group = if plan.is_list { voter.group } else { wish.group };
    let extras = Extras { weight: voter.weight, group, stamp: Some(stamp), click: None };
    let mut fields = OpeningFields { nonce, election: id, shard: 0, voter: voter.tag, key: wish.key, extras };
    spoil(&mut fields);
    let mut opening = Vec::new();
    write_opening(&mut opening, &fields, encode_indices(&wish.choices).as_bytes());
    PreparedBallot {
        election: ElectionIndex(u32::try_from(wish.election).expect("few elections")),
        stamp,
        number: voter.number,
        tag: voter.tag,
        key: wish.key,
        leaf: leaf_hash(LeafKind::Ballot, &opening),
        opening,
    }
}
