//! Results: what an election's counts come to, and who may see them when.

use crate::definition::{Definition, ResultsMode};
use crate::methods::{self, ContestOutcome, TieBreak};
use crate::state::{Election, ElectionState};
use crate::tally::Counts;
use serde::{Deserialize, Serialize};

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Viewer {
    Public,
    /// A voter who has cast a ballot in this election.
    Voted,
    Officer,
}

/// What a viewer may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    Counts,
    TurnoutOnly,
}

/// What the officer has last said about an election whose results are shown `on-reveal`; hidden in all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curtain {
    Hidden,
    Revealed,
}

/// The numbers of an election at one moment. Its JSON is the record's result object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Results {
    pub state: ElectionState,
    /// Ballots that count.
    pub ballots: u64,
    /// Voters who have cast at least one.
    pub voters: u64,
    /// Sum of the counted ballots' weights.
    pub weight: u64,
    /// Voters on the list and their weight; absent where voting is open to all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub eligible: Option<Eligible>,
    pub contests: Vec<ContestResults>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Eligible {
    pub voters: u64,
    pub weight: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContestResults {
    pub id: String,
    pub title: String,
    pub method: String,
    pub rules: u16,
    /// Sum of weights of blank answers.
    pub blank: u64,
    /// In the definition's order.
    pub counts: Vec<ChoiceVotes>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub groups: Vec<GroupVotes>,
    /// `None` until the election is closed.
    pub outcome: Option<ContestOutcome>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChoiceVotes {
    pub choice: String,
    pub name: String,
    pub votes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupVotes {
    pub group: String,
    pub weight: u64,
    pub blank: u64,
    /// Per choice, in the definition's order.
    pub votes: Vec<u64>,
}

/// Who sees counts: the one place where this rule stands.
pub fn shown_to(definition: &Definition, state: ElectionState, curtain: Curtain, viewer: Viewer) -> Shown {
    let has_begun = !matches!(state, ElectionState::Draft | ElectionState::Cancelled);
    let is_over = matches!(state, ElectionState::Closed | ElectionState::Published);
    let is_shown = match definition.results {
        ResultsMode::Live => has_begun,
        ResultsMode::OwnBallot => is_over || viewer == Viewer::Voted,
        ResultsMode::AtClose => is_over,
        ResultsMode::OnPublish => state == ElectionState::Published || (is_over && viewer == Viewer::Officer),
        // The officer leads a room by them; nobody else sees them before the reveal, own ballot or not.
        ResultsMode::OnReveal => {
            let is_raised = curtain == Curtain::Revealed || viewer == Viewer::Officer;
            state == ElectionState::Published || (has_begun && is_raised)
        }
    };
    if is_shown { Shown::Counts } else { Shown::TurnoutOnly }
}

/// Whether a viewer may see ballots one by one, and so the record: as soon as the counts, but `on-reveal` never before
/// the close. Counts revealed and hidden again stay secret from then on; single ballots would have been copied.
pub fn openings_shown(
    definition: &Definition,
    state: ElectionState,
    curtain: Curtain,
    viewer: Viewer,
) -> bool {
    match definition.results {
        ResultsMode::OnReveal => {
            let is_revealed = state == ElectionState::Closed && curtain == Curtain::Revealed;
            is_revealed || state == ElectionState::Published
        }
        _ => shown_to(definition, state, curtain, viewer) == Shown::Counts,
    }
}

/// What shares of a contest are of: all votes where each ballot marks at most one choice, else the weight of all ballots.
pub fn share_base(definition: &Definition, results: &Results, contest: &ContestResults) -> u64 {
    let rules = definition.contest(&contest.id).map(|(_, rules)| rules);
    if rules.is_none_or(|rules| rules.choose_max == 1) {
        contest.counts.iter().map(|count| count.votes).sum()
    } else {
        results.weight
    }
}

impl Results {
    /// Counts an election as it stands. Cost: linear in contests, choices and groups.
    pub fn of(election: &Election) -> Self {
        Self::in_state(election, election.state)
    }

    pub(crate) fn in_state(election: &Election, state: ElectionState) -> Self {
        let all = &election.tally.all;
        let contests = (0..election.definition.contests.len())
            .map(|index| contest_results(election, state, index))
            .collect();
        let roll = election.roll.as_ref();
        Results {
            state,
            ballots: all.ballots,
            voters: election.voted.voters(),
            weight: all.weight,
            eligible: roll
                .map(|roll| Eligible { voters: roll.entries().len() as u64, weight: roll.weight() }),
            contests,
        }
    }

    /// The record's result object: compact JSON in the fields' order.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("results hold nothing that JSON cannot")
    }

    /// Outcome sentences, one per contest, titled where there are several.
    pub fn sentences(&self) -> Vec<String> {
        let is_single = self.contests.len() == 1;
        let sentence = |contest: &ContestResults| {
            let outcome = contest.outcome.as_ref()?;
            Some(if is_single {
                outcome.sentence.clone()
            } else {
                format!("{}: {}", contest.title, outcome.sentence)
            })
        };
        self.contests.iter().filter_map(sentence).collect()
    }
}

fn contest_results(election: &Election, state: ElectionState, index: usize) -> ContestResults {
    let contest = &election.definition.contests[index];
    let tally = &election.tally.all.contests[index];
    let group_votes = |(name, counts): (&String, &Counts)| GroupVotes {
        group: name.clone(),
        weight: counts.weight,
        blank: counts.contests[index].blank,
        votes: counts.contests[index].votes.clone(),
    };
    let votes = contest.choices.iter().zip(&tally.votes);
    let is_over = matches!(state, ElectionState::Closed | ElectionState::Published);
    ContestResults {
        id: contest.id.clone(),
        title: contest.title.clone(),
        method: contest.method.as_str().to_owned(),
        rules: election.definition.rules,
        blank: tally.blank,
        counts: votes
            .map(|(choice, votes)| ChoiceVotes {
                choice: choice.id.clone(),
                name: choice.name.clone(),
                votes: *votes,
            })
            .collect(),
        groups: election.definition.groups.iter().zip(&election.tally.groups).map(group_votes).collect(),
        outcome: is_over.then(|| contest_outcome(election, index)),
    }
}

pub(crate) fn contest_outcome(election: &Election, index: usize) -> ContestOutcome {
    use crate::definition::Draw;
    let contest = &election.definition.contests[index];
    let counts = &election.tally.all;
    let eligible = election.roll.as_ref().map_or(0, |roll| roll.weight());
    let order =
        election.draw.as_ref().map(|draw| methods::draw_order(contest, &draw.seed, &draw.closing_root));
    let tie = match (&order, election.definition.draw) {
        (Some(order), policy) => TieBreak::Drawn { order, by_server: policy == Draw::Server },
        (None, Draw::None) => TieBreak::Declared,
        (None, Draw::Server | Draw::Public) => TieBreak::Pending,
    };
    methods::outcome(contest, counts, &counts.contests[index], eligible, tie)
}
