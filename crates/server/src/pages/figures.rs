//! What the pages show of an election: names, states and numbers as text.

use crate::text::{count_of, qr_path, share, thousands};
use crate::views;
use election::definition::{AfterVoters, Contest, Definition, Eligibility, Method, ResultsMode, Revote};
use election::results::{ContestResults, share_base};
use election::{ElectionState, Results, Shown, UnixMillis, Viewer};
use node::{ElectionHandle, ElectionView};

/// The top of a page about an election.
#[derive(Debug)]
pub struct Head {
    pub over: Option<String>,
    pub title: String,
    /// As people read it: `Open · closes 2027-03-01 18:00 UTC`.
    pub state: String,
    pub state_word: &'static str,
    pub state_class: &'static str,
    pub rehearsal: bool,
    pub round: Option<String>,
}

impl Head {
    pub fn new(election: &ElectionHandle, view: &ElectionView) -> Self {
        let definition = &election.definition;
        let is_single = definition.contests.len() == 1;
        let contest_title = &definition.contests[0].title;
        let (over, title) = match is_single && *contest_title != definition.title {
            true => (Some(definition.title.clone()), contest_title.clone()),
            false => (definition.organiser.clone(), definition.title.clone()),
        };
        Head {
            over,
            title,
            state: state_text(view.state, view.closes_at),
            state_word: view.state.as_str(),
            state_class: view.state.as_str(),
            rehearsal: definition.is_rehearsal(),
            round: (definition.round > 1).then(|| format!("Round {}", definition.round)),
        }
    }
}

/// A state in plain words, with the closing time where there is one.
pub fn state_text(state: ElectionState, closes_at: Option<UnixMillis>) -> String {
    let name = match state {
        ElectionState::Draft => "Not open yet",
        ElectionState::Open => "Open",
        ElectionState::Paused => "Paused",
        ElectionState::Closing => "Closing",
        ElectionState::Closed => "Closed",
        ElectionState::Published => "Result published",
        ElectionState::Cancelled => "Cancelled",
    };
    match closes_at.filter(|_| matches!(state, ElectionState::Open | ElectionState::Paused)) {
        Some(at) => format!("{name} · closes {}", time_text(at)),
        None => name.to_owned(),
    }
}

/// `2027-03-01 18:00 UTC`
pub fn time_text(at: UnixMillis) -> String {
    let text = at.to_string();
    format!("{} {} UTC", &text[..10], &text[11..16])
}

#[derive(Debug)]
pub struct Turnout {
    pub voters: String,
    pub voters_label: String,
    pub ballots: String,
    pub weight: Option<String>,
}

impl Turnout {
    pub fn new(results: &Results) -> Self {
        let noun = if results.voters == 1 { "voter" } else { "voters" };
        let voters_label = match results.eligible {
            Some(eligible) => format!("of {} voters", thousands(eligible.voters)),
            None => noun.to_owned(),
        };
        let is_weighted = results.weight != results.ballots;
        Turnout {
            voters: thousands(results.voters),
            voters_label,
            ballots: thousands(results.ballots),
            weight: is_weighted.then(|| thousands(results.weight)),
        }
    }
}

/// A contest's counts as a table.
#[derive(Debug)]
pub struct ContestTable {
    pub id: String,
    pub title: String,
    pub outcome: Option<String>,
    pub rows: Vec<Row>,
    pub method: String,
    pub blank: String,
    pub groups: Vec<GroupTable>,
}

#[derive(Debug)]
pub struct Row {
    pub id: String,
    pub name: String,
    pub votes: String,
    pub share: String,
    /// Length of the bar, in percent of the longest.
    pub bar: u64,
    /// 1 to 8.
    pub colour: usize,
    pub winner: bool,
}

#[derive(Debug)]
pub struct GroupTable {
    pub name: String,
    pub rows: Vec<(String, String)>,
}

/// The counts that `viewer` may see; none where they are hidden.
pub fn contest_tables(election: &ElectionHandle, view: &ElectionView, viewer: Viewer) -> Vec<ContestTable> {
    if views::shown(election, view, viewer) != Shown::Counts {
        return Vec::new();
    }
    let (definition, results) = (&election.definition, &view.results);
    results.contests.iter().map(|contest| table(definition, results, contest)).collect()
}

fn table(definition: &Definition, results: &Results, contest: &ContestResults) -> ContestTable {
    let base = share_base(definition, results, contest);
    let most = contest.counts.iter().map(|count| count.votes).max().unwrap_or(0).max(1);
    let winners = contest.outcome.as_ref().map_or(&[][..], |outcome| &outcome.winners);
    let rows = contest
        .counts
        .iter()
        .enumerate()
        .map(|(place, count)| Row {
            id: count.choice.clone(),
            name: count.name.clone(),
            votes: thousands(count.votes),
            share: share(count.votes, base),
            bar: u64::try_from(u128::from(count.votes) * 100 / u128::from(most)).unwrap_or(100),
            colour: place % 8 + 1,
            winner: winners.contains(&count.choice),
        })
        .collect();
    let groups = contest.groups.iter().map(|group| GroupTable {
        name: group.group.clone(),
        rows: contest
            .counts
            .iter()
            .zip(&group.votes)
            .map(|(count, votes)| (count.name.clone(), thousands(*votes)))
            .collect(),
    });
    ContestTable {
        id: contest.id.clone(),
        title: contest.title.clone(),
        outcome: contest.outcome.as_ref().map(|outcome| outcome.sentence.clone()),
        rows,
        method: definition.contest(&contest.id).map_or_else(String::new, |(_, rules)| method_text(rules)),
        blank: thousands(contest.blank),
        groups: groups.collect(),
    }
}

/// The rule by which a contest is counted, in one sentence.
pub fn method_text(contest: &Contest) -> String {
    let seats = match contest.seats {
        1 => "the most votes win".to_owned(),
        seats => format!("the {seats} with the most votes win"),
    };
    match contest.method {
        Method::Plurality => format!("Plurality: {seats}."),
        Method::Approval => format!("Approval: mark all you approve of; {seats}."),
        Method::Motion => {
            let base = match contest.base {
                election::definition::Base::YesNo => "of yes and no votes",
                election::definition::Base::Cast => "of all ballots",
                election::definition::Base::Eligible => "of everybody on the list",
            };
            let relation = if contest.majority.strict { "more than" } else { "at least" };
            let share = format!("{}/{}", contest.majority.numerator, contest.majority.denominator);
            format!("Motion: passes with {relation} {share} {base}.")
        }
        Method::Rating => "Rating: the outcome is the average of all marks.".to_owned(),
    }
}

/// What a voter may mark, in one sentence.
pub fn hint(contest: &Contest) -> String {
    let (min, max) = (contest.choose_min, contest.choose_max);
    match (min, max) {
        (_, 1) => "Choose one.".to_owned(),
        (0 | 1, max) if usize::from(max) >= contest.choices.len() => {
            "Choose as many as you like. Choosing none leaves this contest blank.".to_owned()
        }
        (0 | 1, max) => format!("Choose up to {max}. Choosing none leaves this contest blank."),
        (min, max) if min == max => format!("Choose {max}. Choosing none leaves this contest blank."),
        (min, max) => format!("Choose {min} to {max}. Choosing none leaves this contest blank."),
    }
}

/// When results are shown, to whom, in one sentence.
pub fn shown_sentence(definition: &Definition) -> &'static str {
    match definition.results {
        ResultsMode::Live => "Counts are shown while voting goes on.",
        ResultsMode::OwnBallot => {
            "Counts are shown to those who have voted, and to everybody when voting is closed."
        }
        ResultsMode::AtClose => "Counts appear here when voting is closed.",
        ResultsMode::OnPublish => "Counts appear here when the officer publishes the result.",
        ResultsMode::OnReveal => "Counts appear here when the officer shows them.",
    }
}

/// What an open vote keeps secret and what not.
pub const SECRECY_BEFORE: &str = "This is an open vote: ballots are published under codes with the result, and whoever runs it can see them.";
pub const SECRECY_AFTER: &str =
    "Who sees this code or the receipt file can find your ballot in the published record.";

/// The rules of an election as pairs for a list.
pub fn rules(election: &ElectionHandle) -> Vec<(&'static str, String)> {
    let definition = &election.definition;
    let eligibility = match definition.eligibility {
        Eligibility::Open => "everybody with the address, one ballot a browser session".to_owned(),
        Eligibility::List => {
            format!("a list of {}", count_of(election.roll_size().unwrap_or(0), "voter", "voters"))
        }
    };
    let mut rules = vec![("Who votes", eligibility), ("Results", shown_sentence(definition).to_owned())];
    if definition.ballots_per_voter > 1 {
        rules.push(("Ballots a voter", definition.ballots_per_voter.to_string()));
    }
    if definition.revote == Revote::LastCounts {
        rules.push(("Voting again", "the last ballot counts".to_owned()));
    }
    match definition.closing.after_voters {
        Some(AfterVoters::Number(number)) => {
            rules.push(("Closes after", count_of(number, "voter", "voters")))
        }
        Some(AfterVoters::All) => rules.push(("Closes after", "everybody on the list".to_owned())),
        None => {}
    }
    rules.push(("Definition", crate::text::grouped(&election.definition_hash.to_string())));
    rules
}

/// A QR code for a template.
#[derive(Debug)]
pub struct Qr {
    pub path: String,
    pub side: usize,
}

impl Qr {
    pub fn of(text: &str) -> Option<Qr> {
        qr_path(text).map(|(path, side)| Qr { path, side })
    }
}

/// An election as one line of a list.
#[derive(Debug)]
pub struct ElectionLine {
    pub slug: String,
    pub title: String,
    pub state: String,
    pub state_class: &'static str,
    pub open: bool,
    pub voters: String,
    pub voters_label: String,
    pub ballots: String,
    pub outcome: Option<String>,
    pub voted: bool,
    pub next: bool,
}

impl ElectionLine {
    /// As the public sees it.
    pub fn new(election: &ElectionHandle, view: &ElectionView) -> Self {
        let turnout = Turnout::new(&view.results);
        let is_shown = views::shown(election, view, Viewer::Public) == Shown::Counts;
        let sentences = if is_shown { view.results.sentences() } else { Vec::new() };
        ElectionLine {
            slug: election.slug.to_string(),
            title: election.definition.title.clone(),
            state: state_text(view.state, view.closes_at),
            state_class: view.state.as_str(),
            open: view.state == ElectionState::Open,
            voters: turnout.voters,
            voters_label: turnout.voters_label,
            ballots: turnout.ballots,
            outcome: (!sentences.is_empty()).then(|| sentences.join(" · ")),
            voted: false,
            next: false,
        }
    }
}
