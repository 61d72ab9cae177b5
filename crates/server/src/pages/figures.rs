//! What the pages show of an election: names, states and numbers as text.

use crate::language::Texts;
use crate::outcome;
use crate::text::{qr_path, share};
use crate::views;
use election::definition::{
    AfterVoters, Base, Contest, Definition, Eligibility, Method, ResultsMode, Revote,
};
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
    pub fn new(t: Texts, election: &ElectionHandle, view: &ElectionView) -> Self {
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
            state: state_text(t, view.state, view.closes_at),
            state_word: view.state.as_str(),
            state_class: view.state.as_str(),
            rehearsal: definition.is_rehearsal(),
            round: (definition.round > 1).then(|| t.with("round", "n", u64::from(definition.round))),
        }
    }
}

/// A state in plain words, with the closing time where there is one.
pub fn state_text(t: Texts, state: ElectionState, closes_at: Option<UnixMillis>) -> String {
    let name = state_name(t, state);
    match closes_at.filter(|_| matches!(state, ElectionState::Open | ElectionState::Paused)) {
        Some(at) => t.fill("state-closes", [("state", name.into()), ("time", time_text(at).into())]),
        None => name,
    }
}

/// A state in plain words.
pub fn state_name(t: Texts, state: ElectionState) -> String {
    let id = match state {
        ElectionState::Draft => "state-draft",
        ElectionState::Open => "state-open",
        ElectionState::Paused => "state-paused",
        ElectionState::Closing => "state-closing",
        ElectionState::Closed => "state-closed",
        ElectionState::Published => "state-published",
        ElectionState::Cancelled => "state-cancelled",
    };
    t.say(id).into_owned()
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
    pub fn new(t: Texts, results: &Results) -> Self {
        let voters_label = match results.eligible {
            Some(eligible) => t.with("turnout-of", "n", eligible.voters),
            None => t.with("turnout-voters", "n", results.voters),
        };
        let is_weighted = results.weight != results.ballots;
        Turnout {
            voters: t.number(&results.voters),
            voters_label,
            ballots: t.number(&results.ballots),
            weight: is_weighted.then(|| t.number(&results.weight)),
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
pub fn contest_tables(
    t: Texts,
    election: &ElectionHandle,
    view: &ElectionView,
    viewer: Viewer,
) -> Vec<ContestTable> {
    if views::shown(election, view, viewer) != Shown::Counts {
        return Vec::new();
    }
    let (definition, results) = (&election.definition, &view.results);
    results.contests.iter().map(|contest| table(t, definition, results, contest)).collect()
}

fn table(t: Texts, definition: &Definition, results: &Results, contest: &ContestResults) -> ContestTable {
    let base = share_base(definition, results, contest);
    let most = contest.counts.iter().map(|count| count.votes).max().unwrap_or(0).max(1);
    let rules = definition.contest(&contest.id).map(|(_, rules)| rules);
    let winners = contest.outcome.as_ref().map_or(&[][..], |outcome| &outcome.winners);
    let rows = contest
        .counts
        .iter()
        .enumerate()
        .map(|(place, count)| Row {
            id: count.choice.clone(),
            name: count.name.clone(),
            votes: t.number(&count.votes),
            share: share(t.0, count.votes, base),
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
            .map(|(count, votes)| (count.name.clone(), t.number(votes)))
            .collect(),
    });
    ContestTable {
        id: contest.id.clone(),
        title: contest.title.clone(),
        outcome: rules.and_then(|rules| outcome::sentence(t, rules, definition.draw, contest)),
        rows,
        method: rules.map_or_else(String::new, |rules| method_text(t, rules)),
        blank: t.number(&contest.blank),
        groups: groups.collect(),
    }
}

/// The rule by which a contest is counted, in one sentence.
pub fn method_text(t: Texts, contest: &Contest) -> String {
    let seats = u64::from(contest.seats);
    match contest.method {
        Method::Plurality => t.with("method-plurality", "n", seats),
        Method::Approval => t.with("method-approval", "n", seats),
        Method::Motion => {
            let id = match (contest.base, contest.majority.strict) {
                (Base::YesNo, true) => "method-motion-more-yes-no",
                (Base::YesNo, false) => "method-motion-least-yes-no",
                (Base::Cast, true) => "method-motion-more-cast",
                (Base::Cast, false) => "method-motion-least-cast",
                (Base::Eligible, true) => "method-motion-more-eligible",
                (Base::Eligible, false) => "method-motion-least-eligible",
            };
            let share = format!("{}/{}", contest.majority.numerator, contest.majority.denominator);
            t.with(id, "share", share)
        }
        Method::Rating => t.say("method-rating").into_owned(),
    }
}

/// What a voter may mark, in one sentence.
pub fn hint(t: Texts, contest: &Contest) -> String {
    let (min, max) = (u64::from(contest.choose_min), u64::from(contest.choose_max));
    match (min, max) {
        (_, 1) => t.say("choose-one").into_owned(),
        (0 | 1, max) if max >= contest.choices.len() as u64 => t.say("choose-any").into_owned(),
        (0 | 1, max) => t.with("choose-up-to", "n", max),
        (min, max) if min == max => t.with("choose-exactly", "n", max),
        (min, max) => t.fill("choose-from-to", [("min", min.into()), ("max", max.into())]),
    }
}

/// When results are shown, to whom, in one sentence.
pub fn shown_sentence(t: Texts, definition: &Definition) -> String {
    let id = match definition.results {
        ResultsMode::Live => "results-live",
        ResultsMode::OwnBallot => "results-own-ballot",
        ResultsMode::AtClose => "results-at-close",
        ResultsMode::OnPublish => "results-on-publish",
        ResultsMode::OnReveal => "results-on-reveal",
    };
    t.say(id).into_owned()
}

/// The rules of an election as pairs for a list.
pub fn rules(t: Texts, election: &ElectionHandle) -> Vec<(String, String)> {
    let definition = &election.definition;
    let say = |id: &str| t.say(id).into_owned();
    let eligibility = match definition.eligibility {
        Eligibility::Open => say("rule-open"),
        Eligibility::List => t.with("rule-list", "n", election.roll_size().unwrap_or(0)),
    };
    let mut rules =
        vec![(say("rule-who"), eligibility), (say("rule-results"), shown_sentence(t, definition))];
    if definition.ballots_per_voter > 1 {
        rules.push((say("rule-ballots"), definition.ballots_per_voter.to_string()));
    }
    if definition.revote == Revote::LastCounts {
        rules.push((say("rule-again"), say("rule-last-counts")));
    }
    match definition.closing.after_voters {
        Some(AfterVoters::Number(number)) => {
            rules.push((say("rule-closes-after"), t.with("rule-voters", "n", number)))
        }
        Some(AfterVoters::All) => rules.push((say("rule-closes-after"), say("rule-everybody"))),
        None => {}
    }
    rules.push((say("rule-definition"), crate::text::grouped(&election.definition_hash.to_string())));
    rules
}

/// Outcome sentences, one a contest, titled where there are several.
pub fn sentences(t: Texts, definition: &Definition, results: &Results) -> Vec<String> {
    let is_single = results.contests.len() == 1;
    let sentence = |contest: &ContestResults| {
        let (_, rules) = definition.contest(&contest.id)?;
        let sentence = outcome::sentence(t, rules, definition.draw, contest)?;
        Some(if is_single { sentence } else { format!("{}: {sentence}", contest.title) })
    };
    results.contests.iter().filter_map(sentence).collect()
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
    pub fn new(t: Texts, election: &ElectionHandle, view: &ElectionView) -> Self {
        let turnout = Turnout::new(t, &view.results);
        let is_shown = views::shown(election, view, Viewer::Public) == Shown::Counts;
        let sentences = if is_shown { sentences(t, &election.definition, &view.results) } else { Vec::new() };
        ElectionLine {
            slug: election.slug.to_string(),
            title: election.definition.title.clone(),
            state: state_text(t, view.state, view.closes_at),
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
