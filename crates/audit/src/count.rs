//! The count, done again: each ballot's answers are read and added up, and nothing is clever about it.

use election::definition::{Contest, Definition};

use crate::form::{ChoiceVotes, GroupVotes, PublishedContest};

/// Choices marked on one ballot, a list of indices per contest; an empty list is a blank answer.
pub type Marks = Vec<Vec<usize>>;

/// Sums of one contest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContestSums {
    /// Per choice.
    pub votes: Vec<u64>,
    pub blank: u64,
}

/// Sums of all ballots, or of one group's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub ballots: u64,
    pub weight: u64,
    pub contests: Vec<ContestSums>,
}

impl Sums {
    fn new(definition: &Definition) -> Sums {
        let sums = |contest: &Contest| ContestSums { votes: vec![0; contest.choices.len()], blank: 0 };
        Sums { ballots: 0, weight: 0, contests: definition.contests.iter().map(sums).collect() }
    }

    fn add(&mut self, marks: &Marks, weight: u32) {
        let weight = u64::from(weight);
        self.ballots += 1;
        self.weight += weight;
        for (sums, marked) in self.contests.iter_mut().zip(marks) {
            if marked.is_empty() {
                sums.blank += weight;
            }
            for choice in marked {
                sums.votes[*choice] += weight;
            }
        }
    }
}

/// The whole count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recount {
    pub all: Sums,
    /// Per group of the definition.
    pub groups: Vec<Sums>,
}

impl Recount {
    pub fn new(definition: &Definition) -> Recount {
        let groups = definition.groups.iter().map(|_| Sums::new(definition)).collect();
        Recount { all: Sums::new(definition), groups }
    }

    pub fn add(&mut self, marks: &Marks, weight: u32, group: Option<u16>) {
        self.all.add(marks, weight);
        if let Some(sums) = group.and_then(|group| self.groups.get_mut(usize::from(group))) {
            sums.add(marks, weight);
        }
    }

    /// A contest as the result object shows it, without its outcome.
    pub fn contest(&self, definition: &Definition, index: usize) -> PublishedContest {
        let contest = &definition.contests[index];
        let sums = &self.all.contests[index];
        let choice_votes = contest.choices.iter().zip(&sums.votes).map(|(choice, votes)| ChoiceVotes {
            choice: choice.id.clone(),
            name: choice.name.clone(),
            votes: *votes,
        });
        let group_votes = definition.groups.iter().zip(&self.groups).map(|(name, sums)| GroupVotes {
            group: name.clone(),
            weight: sums.weight,
            blank: sums.contests[index].blank,
            votes: sums.contests[index].votes.clone(),
        });
        PublishedContest {
            id: contest.id.clone(),
            title: contest.title.clone(),
            method: contest.method.as_str().to_owned(),
            rules: definition.rules,
            blank: sums.blank,
            counts: choice_votes.collect(),
            groups: group_votes.collect(),
            outcome: None,
        }
    }
}

/// Reads a ballot's answers into `marks`, contest by contest; or says what is wrong with them.
pub fn read_answers(definition: &Definition, answers: &[u8], marks: &mut Marks) -> Result<(), String> {
    let mut rest = answers;
    let contests = byte(&mut rest)?;
    if usize::from(contests) != definition.contests.len() {
        return Err(format!("{contests} contests are answered, and the definition has others"));
    }
    marks.resize(definition.contests.len(), Vec::new());
    for (contest, marked) in definition.contests.iter().zip(marks) {
        marked.clear();
        read_answer(contest, &mut rest, marked)
            .map_err(|what| format!("contest `{}`: {what}", contest.id))?;
    }
    if rest.is_empty() { Ok(()) } else { Err("bytes follow the last answer".to_owned()) }
}

fn read_answer(contest: &Contest, rest: &mut &[u8], marked: &mut Vec<usize>) -> Result<(), String> {
    let kind = byte(rest)?;
    if kind != 0 {
        return Err(format!("answers of kind {kind} are not for this method"));
    }
    let count = leb128(rest)?;
    let few = u64::from(contest.choose_min);
    let many = u64::from(contest.choose_max);
    if count != 0 && (count < few || count > many) {
        return Err(format!("{count} choices are marked, and {few} to {many} are allowed"));
    }
    for _ in 0..count {
        let choice = leb128(rest)? as usize;
        if choice >= contest.choices.len() {
            return Err(format!("there is no choice {choice}"));
        }
        if marked.last().is_some_and(|last| choice <= *last) {
            return Err("its choices do not ascend".to_owned());
        }
        marked.push(choice);
    }
    Ok(())
}

fn byte(rest: &mut &[u8]) -> Result<u8, String> {
    let (first, tail) = rest.split_first().ok_or("the answers end early")?;
    *rest = tail;
    Ok(*first)
}

/// LEB128 of at most 5 bytes in its shortest form.
fn leb128(rest: &mut &[u8]) -> Result<u64, String> {
    let mut value = 0;
    for place in 0..5 {
        let next = byte(rest)?;
        value |= u64::from(next & 0x7f) << (7 * place);
        if next < 0x80 {
            let is_shortest = place == 0 || next != 0;
            return if is_shortest {
                Ok(value)
            } else {
                Err("a number is not in its shortest form".to_owned())
            };
        }
    }
    Err("a number is too long".to_owned())
}
