//! What the pages show of an election: names, states and numbers as text.

use crate::input::Input;
use crate::language::Texts;
use crate::outcome;
use crate::text::{qr_path, share};
use crate::views;
use election::definition::{
    AfterVoters, Base, Choice, Contest, Definition, Eligibility, Method, ResultsMode, Revote,
};
use election::results::{ContestResults, share_base};
use election::{ElectionState, Results, Shown, UnixMillis, Viewer};
use node::{ElectionHandle, ElectionView};

/// The top of a page about an election.
#[derive(Debug)]
pub struct Head {
    pub organiser: Option<String>,
    /// What the heading is part of: the election, where the heading is its one contest's title.
    pub over: Option<String>,
    pub title: String,
    /// As people read it: `Open`.
    pub state: String,
    pub state_word: &'static str,
    pub state_class: &'static str,
    pub rehearsal: bool,
    pub round: Option<String>,
    /// When it closes by itself, while it can.
    pub closes: Option<Moment>,
    /// See [`Head::counting_down`].
    pub left: Option<Countdown>,
    pub closes_after: Option<String>,
}

impl Head {
    pub fn new(t: Texts, election: &ElectionHandle, view: &ElectionView) -> Self {
        let definition = &election.definition;
        let is_single = definition.contests.len() == 1;
        let contest_title = &definition.contests[0].title;
        let (over, title) = match is_single && *contest_title != definition.title {
            true => (Some(definition.title.clone()), contest_title.clone()),
            false => (None, definition.title.clone()),
        };
        let may_close = matches!(view.state, ElectionState::Open | ElectionState::Paused);
        Head {
            organiser: definition.organiser.clone(),
            over,
            title,
            state: state_name(t, view.state),
            state_word: view.state.as_str(),
            state_class: view.state.as_str(),
            rehearsal: definition.is_rehearsal(),
            round: (definition.round > 1).then(|| t.with("round", "n", u64::from(definition.round))),
            left: None,
            closes: view.closes_at.filter(|_| may_close).map(|at| Moment::new(t, "closes-at", at)),
            closes_after: definition.closing.after_voters.filter(|_| may_close).map(|after| match after {
                AfterVoters::Number(number) => t.with("closes-after", "n", number),
                AfterVoters::All => t.say("closes-after-all").into_owned(),
            }),
        }
    }
}

impl Head {
    /// With what is left until the closing time, for pages that somebody has before them while it runs out.
    pub fn counting_down(self, input: &Input, view: &ElectionView) -> Self {
        Head { left: Countdown::of(input, view), ..self }
    }
}

/// A moment within a sentence, in UTC; the script adds the reader's own zone.
#[derive(Debug)]
pub struct Moment {
    pub before: String,
    /// As in `datetime` attributes.
    pub at: String,
    pub text: String,
    pub after: String,
}

impl Moment {
    /// The sentence called `id`, whose value `time` is the moment.
    pub fn new(t: Texts, id: &str, at: UnixMillis) -> Self {
        const PLACE: &str = "\u{1}";
        let sentence = t.with(id, "time", PLACE);
        let (before, after) = sentence.split_once(PLACE).unwrap_or((&sentence, ""));
        Moment { before: before.to_owned(), at: at.to_string(), text: time_text(at), after: after.to_owned() }
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

/// How many have voted, as one sentence that the script can say again with another number.
#[derive(Debug)]
pub struct Voted {
    pub sentence: String,
    /// The sentence for each plural, as JSON.
    pub forms: String,
    /// Of how many, where that is known, and what share that is in percent.
    pub bar: Option<(u64, u64)>,
}

impl Voted {
    pub fn new(t: Texts, definition: &Definition, results: &Results) -> Self {
        let voters = results.voters;
        let eligible = results.eligible.map(|eligible| eligible.voters);
        let all = match definition.closing.after_voters {
            Some(AfterVoters::Number(number)) => Some(number),
            _ => eligible,
        };
        match all {
            None => Voted { sentence: t.with("voted", "n", voters), forms: t.plurals("voted"), bar: None },
            Some(all) => Voted {
                sentence: t.fill("voted-of", [("n", voters.into()), ("max", t.number(&all).into())]),
                forms: t.plurals_of("voted-of", "max", all),
                bar: Some((all, (voters.saturating_mul(100) / all.max(1)).min(100))),
            },
        }
    }
}

/// A contest's counts as a table.
#[derive(Debug)]
pub struct ContestTable {
    pub id: String,
    pub title: String,
    /// The element that names the contest above its table; none where the page's title does.
    pub heading: Option<&'static str>,
    /// Whether the table's caption is to be seen, or only heard because the title stands above already.
    pub shows_caption: bool,
    pub outcome: Option<String>,
    /// A rating's average for each plural of the ratings, as JSON, `{average}` standing for it.
    pub rated: Option<String>,
    /// Heading of the first column.
    pub column: String,
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
    let counted = definition.contests.iter().zip(&results.contests);
    counted.map(|(contest, counts)| counted_table(t, definition, results, contest, counts)).collect()
}

/// What a page that stays open shows of the counts: figures, or the tables without them until the feed brings some.
#[derive(Debug)]
pub struct Tables {
    pub contests: Vec<ContestTable>,
    pub are_hidden: bool,
    /// Whether everybody sees them, and so the feed has them.
    pub are_public: bool,
}

pub fn tables_for(t: Texts, election: &ElectionHandle, view: &ElectionView, viewer: Viewer) -> Tables {
    let contests = contest_tables(t, election, view, viewer);
    let are_hidden = contests.is_empty();
    Tables {
        contests: if are_hidden { empty_tables(t, &election.definition) } else { contests },
        are_hidden,
        are_public: views::shown(election, view, Viewer::Public) == Shown::Counts,
    }
}

/// What is left until the closing time, for the script to count down; shown for the last day only.
#[derive(Debug)]
pub struct Countdown {
    pub ms: u64,
    pub text: String,
}

impl Countdown {
    fn of(input: &Input, view: &ElectionView) -> Option<Self> {
        const SHOWN_MS: u64 = 24 * 3600 * 1000;
        let closes_at = view.closes_at.filter(|_| view.state == ElectionState::Open)?;
        let ms = closes_at.0.saturating_sub(input.app.now_ms());
        let seconds = ms.div_ceil(1000);
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let text = if hours > 0 {
            format!("{hours}:{minutes:02}:{seconds:02}")
        } else {
            format!("{minutes}:{seconds:02}")
        };
        (ms < SHOWN_MS).then_some(Countdown { ms, text })
    }
}

/// The tables without figures, for the feed to fill in. Made of the definition alone: what is hidden cannot be in them.
pub fn empty_tables(t: Texts, definition: &Definition) -> Vec<ContestTable> {
    definition.contests.iter().map(|contest| empty_table(t, contest)).collect()
}

fn empty_table(t: Texts, contest: &Contest) -> ContestTable {
    let is_rating = contest.method == Method::Rating;
    let column = if is_rating { "column-level" } else { "column-choice" };
    let row = |(place, choice): (usize, &Choice)| Row {
        id: choice.id.clone(),
        name: choice_name(contest, choice),
        votes: String::new(),
        share: String::new(),
        bar: 0,
        // The levels of one scale have one colour, choices one each.
        colour: if is_rating { 1 } else { place % 8 + 1 },
        winner: false,
    };
    ContestTable {
        id: contest.id.clone(),
        title: contest.title.clone(),
        heading: Some("h3"),
        shows_caption: false,
        outcome: None,
        rated: is_rating.then(|| outcome::rated_forms(t, contest)),
        column: t.say(column).into_owned(),
        rows: contest.choices.iter().enumerate().map(row).collect(),
        method: method_text(t, contest),
        blank: String::new(),
        groups: Vec::new(),
    }
}

/// A level of a rating carries its number before its name, where they differ.
pub fn choice_name(contest: &Contest, choice: &Choice) -> String {
    match contest.method == Method::Rating && choice.name != choice.id {
        true => format!("{} · {}", choice.id, choice.name),
        false => choice.name.clone(),
    }
}

fn counted_table(
    t: Texts,
    definition: &Definition,
    results: &Results,
    contest: &Contest,
    counts: &ContestResults,
) -> ContestTable {
    let base = share_base(definition, results, counts);
    let most = counts.counts.iter().map(|count| count.votes).max().unwrap_or(0).max(1);
    let winners = counts.outcome.as_ref().map_or(&[][..], |outcome| &outcome.winners);
    let mut table = empty_table(t, contest);
    for (row, count) in table.rows.iter_mut().zip(&counts.counts) {
        row.votes = t.number(&count.votes);
        row.share = share(t.0, count.votes, base);
        row.bar = u64::try_from(u128::from(count.votes) * 100 / u128::from(most)).unwrap_or(100);
        row.winner = winners.contains(&count.choice);
    }
    let groups = counts.groups.iter().map(|group| GroupTable {
        name: group.group.clone(),
        rows: counts
            .counts
            .iter()
            .zip(&group.votes)
            .map(|(count, votes)| (count.name.clone(), t.number(votes)))
            .collect(),
    });
    table.groups = groups.collect();
    // An average is of use while voting goes on; whoever leads is no outcome yet.
    table.outcome = outcome::sentence(t, contest, definition.draw, counts)
        .or_else(|| outcome::average_so_far(t, contest, counts));
    table.blank = t.number(&counts.blank);
    table
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
    pub progress: super::screen::Progress,
    pub outcome: Option<String>,
    pub voted: bool,
    pub next: bool,
}

impl ElectionLine {
    /// As the public sees it.
    pub fn new(t: Texts, election: &ElectionHandle, view: &ElectionView) -> Self {
        let is_shown = views::shown(election, view, Viewer::Public) == Shown::Counts;
        let sentences = if is_shown { sentences(t, &election.definition, &view.results) } else { Vec::new() };
        ElectionLine {
            slug: election.slug.to_string(),
            title: election.definition.title.clone(),
            state: state_text(t, view.state, view.closes_at),
            state_class: view.state.as_str(),
            open: view.state == ElectionState::Open,
            voters: t.number(&view.results.voters),
            progress: super::screen::Progress::of(t, election, view),
            outcome: (!sentences.is_empty()).then(|| sentences.join(" · ")),
            voted: false,
            next: false,
        }
    }
}
