//! Running counts of an election. Tallies of shards merge by addition.

use crate::answers::{MalformedAnswers, visit};
use crate::definition::Definition;
use serde::{Deserialize, Serialize};

/// Counts of one contest. All but `ballots` are sums of weights.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContestTally {
    /// Per choice, in the definition's order.
    pub votes: Vec<u64>,
    pub blank: u64,
}

/// Counts of one group of voters, or of all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Ballots that count, each once, whatever its weight.
    pub ballots: u64,
    pub weight: u64,
    pub contests: Vec<ContestTally>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub all: Counts,
    /// Per group of the definition, in its order.
    pub groups: Vec<Counts>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Plus,
    Minus,
}

impl Counts {
    fn new(definition: &Definition) -> Self {
        let contest = |choices: usize| ContestTally { votes: vec![0; choices], blank: 0 };
        let contests = definition.contests.iter().map(|c| contest(c.choices.len())).collect();
        Counts { ballots: 0, weight: 0, contests }
    }

    fn change(&mut self, definition: &Definition, answers: &[u8], weight: u32, sign: Sign) {
        let step = |sum: &mut u64, by: u64| match sign {
            Sign::Plus => *sum += by,
            Sign::Minus => *sum -= by,
        };
        let weight = u64::from(weight);
        step(&mut self.ballots, 1);
        step(&mut self.weight, weight);
        let contests = std::cell::RefCell::new(&mut self.contests);
        let visited: Result<(), MalformedAnswers> = visit(
            definition,
            answers,
            |contest, choice| step(&mut contests.borrow_mut()[contest].votes[choice], weight),
            |contest| step(&mut contests.borrow_mut()[contest].blank, weight),
        );
        assert_eq!(visited, Ok(()), "answers are checked before they are counted");
    }
}

impl Tally {
    pub fn new(definition: &Definition) -> Self {
        let groups = definition.groups.iter().map(|_| Counts::new(definition)).collect();
        Tally { all: Counts::new(definition), groups }
    }

    /// Counts one ballot whose answers have been checked.
    pub fn add(&mut self, definition: &Definition, answers: &[u8], weight: u32, group: Option<u16>) {
        self.change(definition, answers, weight, group, Sign::Plus);
    }

    /// Takes a counted ballot out again, when a later one of the same voter counts.
    pub fn subtract(&mut self, definition: &Definition, answers: &[u8], weight: u32, group: Option<u16>) {
        self.change(definition, answers, weight, group, Sign::Minus);
    }

    fn change(
        &mut self,
        definition: &Definition,
        answers: &[u8],
        weight: u32,
        group: Option<u16>,
        sign: Sign,
    ) {
        self.all.change(definition, answers, weight, sign);
        if let Some(group) = group.and_then(|group| self.groups.get_mut(usize::from(group))) {
            group.change(definition, answers, weight, sign);
        }
    }
}
