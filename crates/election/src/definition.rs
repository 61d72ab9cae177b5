//! What an election is: its contests and rules, as a file, as JSON and as the frozen canonical bytes.
//!
//! [`RawDefinition`] is the form people and programs write; [`Definition`] is the checked form, and writes
//! itself back as canonical JSON, whose SHA-256 is the definition's hash.

use crate::ids::{NAME_CHARS_MAX, Slug, is_slug, slugify};
use crate::time::UnixMillis;
use crate::{RULES_VERSION, sha256};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

pub const CONTESTS_MAX: usize = 50;
pub const CHOICES_MAX: usize = 1000;
pub const GROUPS_MAX: usize = 1000;
pub const TITLE_CHARS_MAX: usize = 300;
pub const DESCRIPTION_CHARS_MAX: usize = 10_000;
pub const LINK_CHARS_MAX: usize = 2_000;
pub const BALLOTS_PER_VOTER_MAX: u16 = 1_000;
/// Levels of a rating's scale, and the highest of them.
pub const LEVELS_MAX: usize = 11;
pub const LEVEL_MAX: u64 = 100;

/// Counting methods and features the format knows but this build does not honour yet.
const METHODS_LATER: [&str; 8] =
    ["instant-runoff", "stv", "score", "borda", "condorcet", "star", "majority-judgment", "cumulative"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultsMode {
    /// Counts are public while voting goes on.
    Live,
    /// Counts are shown to those who have cast their own ballot.
    OwnBallot,
    AtClose,
    OnPublish,
    /// Counts are public while an officer reveals them, and for good once published.
    OnReveal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eligibility {
    /// One ballot per voter session.
    Open,
    /// A list of ids: the smallest roll, and a weak one.
    List,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revote {
    Forbid,
    LastCounts,
}

/// How a tie is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// The server draws the seed after the close; the outcome says so.
    Server,
    /// A seed from dice or a beacon is logged by the officer after the closing checkpoint is published.
    Public,
    /// The tie is declared.
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterVoters {
    Number(u64),
    /// Everybody on the list.
    All,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Closing {
    pub at: Option<UnixMillis>,
    pub after_voters: Option<AfterVoters>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Plurality,
    Approval,
    Motion,
    /// One mark on a scale; its outcome is the average.
    Rating,
}

impl Method {
    /// Whether it elects choices to seats; only then can there be a tie, a lot or a run-off.
    pub fn has_seats(self) -> bool {
        matches!(self, Method::Plurality | Method::Approval)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Method::Plurality => "plurality",
            Method::Approval => "approval",
            Method::Motion => "motion",
            Method::Rating => "rating",
        }
    }
}

/// In which order voters see a contest's choices. It touches no count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChoiceOrder {
    AsWritten,
    /// Each voter in an order of their own, see [`crate::order`].
    Shuffled,
}

/// What a motion's majority is taken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// Yes and no votes; abstentions and blanks stay out.
    YesNo,
    /// Every ballot cast in the contest, with abstentions and blanks.
    Cast,
    /// Everybody on the list, whether they voted or not.
    Eligible,
}

impl Base {
    pub fn as_str(self) -> &'static str {
        match self {
            Base::YesNo => "yes-no",
            Base::Cast => "cast",
            Base::Eligible => "eligible",
        }
    }
}

/// Share that must be reached: `>1/2` more than, `>=2/3` at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Majority {
    pub numerator: u32,
    pub denominator: u32,
    pub strict: bool,
}

impl Majority {
    pub const SIMPLE: Majority = Majority { numerator: 1, denominator: 2, strict: true };

    /// Fewest votes that reach this share of `base`. Exact: no floats.
    pub fn needed(self, base: u64) -> u64 {
        let product = u128::from(base) * u128::from(self.numerator);
        let denominator = u128::from(self.denominator);
        let needed = if self.strict { product / denominator + 1 } else { product.div_ceil(denominator) };
        u64::try_from(needed).unwrap_or(u64::MAX)
    }

    fn parse(text: &str) -> Option<Self> {
        let (strict, share) = match text.strip_prefix(">=") {
            Some(share) => (false, share),
            None => (true, text.strip_prefix('>')?),
        };
        let (numerator, denominator) = parse_fraction(share)?;
        Some(Majority { numerator, denominator, strict })
    }
}

impl fmt::Display for Majority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.strict { ">" } else { ">=" };
        write!(f, "{sign}{}/{}", self.numerator, self.denominator)
    }
}

/// Fewest votes, abstentions and blanks included, that make a motion's vote valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quorum {
    Votes(u64),
    /// Share of everybody on the list, rounded up.
    Eligible {
        numerator: u32,
        denominator: u32,
    },
}

impl Quorum {
    pub fn needed(self, eligible: u64) -> u64 {
        match self {
            Quorum::Votes(votes) => votes,
            Quorum::Eligible { numerator, denominator } => {
                Majority { numerator, denominator, strict: false }.needed(eligible)
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    pub id: String,
    pub name: String,
    pub description: Option<String>,
    pub party: Option<String>,
    pub photo: Option<String>,
    pub link: Option<String>,
}

impl Choice {
    /// The number that its id stands for on a rating's scale: whole, 0 to [`LEVEL_MAX`], written plainly.
    pub fn level(&self) -> Option<u64> {
        let level: u64 = self.id.parse().ok()?;
        (level <= LEVEL_MAX && self.id == level.to_string()).then_some(level)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contest {
    pub id: String,
    pub title: String,
    pub description: Option<String>,
    pub method: Method,
    /// Fewest and most choices on a ballot that is not blank.
    pub choose_min: u16,
    pub choose_max: u16,
    /// How many choices are elected.
    pub seats: u16,
    pub majority: Majority,
    pub base: Base,
    pub quorum: Option<Quorum>,
    pub order: ChoiceOrder,
    pub choices: Vec<Choice>,
}

/// A checked definition. Frozen, and shown with its hash, from opening on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    pub slug: Slug,
    pub title: String,
    pub description: Option<String>,
    pub organiser: Option<String>,
    pub rules: u16,
    pub eligibility: Eligibility,
    pub results: ResultsMode,
    pub revote: Revote,
    pub ballots_per_voter: u16,
    pub draw: Draw,
    pub closing: Closing,
    /// Names of the groups (regions) turnout and counts are also kept by.
    pub groups: Vec<String>,
    pub rehearsal_of: Option<Slug>,
    pub follows: Option<Slug>,
    pub round: u32,
    pub contests: Vec<Contest>,
}

/// Why a definition is refused: which field, and what to write there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionError {
    #[error("{message}")]
    Invalid { field: String, message: String },
    #[error("`{field}`: {what} is not supported by this version")]
    NotSupported { field: String, what: String },
}

impl DefinitionError {
    pub fn code(&self) -> &'static str {
        match self {
            DefinitionError::Invalid { .. } => "invalid_definition",
            DefinitionError::NotSupported { .. } => "not_supported",
        }
    }

    pub fn field(&self) -> &str {
        match self {
            DefinitionError::Invalid { field, .. } | DefinitionError::NotSupported { field, .. } => field,
        }
    }
}

fn invalid(field: impl Into<String>, message: impl Into<String>) -> DefinitionError {
    let field = field.into();
    let message = format!("`{field}`: {}", message.into());
    DefinitionError::Invalid { field, message }
}

fn not_supported(field: impl Into<String>, what: impl Into<String>) -> DefinitionError {
    DefinitionError::NotSupported { field: field.into(), what: what.into() }
}

/// The written form: every field as text or number, checked by [`RawDefinition::check`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawDefinition {
    pub slug: String,
    pub title: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organiser: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrecy: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eligibility: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revote: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ballots_per_voter: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draw: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closing: Option<RawClosing>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearsal_of: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follows: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round: Option<u32>,
    #[serde(default)]
    pub contest: Vec<RawContest>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawClosing {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_voters: Option<RawAfterVoters>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub click_grace_seconds: Option<u32>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RawAfterVoters {
    Number(u64),
    Word(String),
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawContest {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    pub title: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choose: Option<RawChoose>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seats: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub majority: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<RawQuorum>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    #[serde(default)]
    pub choices: Vec<RawChoice>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawChoose {
    #[serde(default)]
    pub min: Option<u16>,
    #[serde(default)]
    pub max: Option<u16>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RawQuorum {
    Votes(u64),
    Share(String),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RawChoice {
    Name(String),
    Table(RawChoiceTable),
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawChoiceTable {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub party: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub photo: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

impl Definition {
    /// Parses and checks a definition written as JSON.
    pub fn from_json(json: &str) -> Result<Self, DefinitionError> {
        let raw: RawDefinition = serde_json::from_str(json).map_err(|error| from_serde(&error))?;
        raw.check()
    }

    /// The canonical bytes: one line of JSON, every rule written out, fields in a fixed order.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.to_raw()).expect("a definition holds nothing that JSON cannot")
    }

    /// SHA-256 over [`Definition::to_json`].
    pub fn hash(&self) -> [u8; 32] {
        sha256(&[self.to_json().as_bytes()])
    }

    pub fn is_rehearsal(&self) -> bool {
        self.rehearsal_of.is_some()
    }

    /// The same election as a rehearsal: an election of its own, so nothing of it can be counted for real.
    pub fn rehearsal(&self) -> Definition {
        let mut rehearsal = self.clone();
        rehearsal.slug = self.slug.with_suffix("-rehearsal");
        rehearsal.rehearsal_of = Some(self.slug.clone());
        rehearsal
    }

    /// The next round: a new election linked to this one. `slug` defaults to this one's with its round.
    pub fn repeat(&self, slug: Option<Slug>) -> Definition {
        self.next_round(self.contests.clone(), slug)
    }

    /// The next round with these contests.
    pub(crate) fn next_round(&self, contests: Vec<Contest>, slug: Option<Slug>) -> Definition {
        let mut next = Definition { contests, ..self.clone() };
        next.round = self.round + 1;
        next.follows = Some(self.slug.clone());
        next.closing.at = None;
        let own_suffix = format!("-{}", self.round);
        let is_named_by_round = self.round > 1;
        let stem = self.slug.as_str().strip_suffix(&own_suffix).filter(|_| is_named_by_round);
        let stem: Slug = stem.and_then(|stem| stem.parse().ok()).unwrap_or_else(|| self.slug.clone());
        next.slug = slug.unwrap_or_else(|| stem.with_suffix(&format!("-{}", next.round)));
        next
    }

    pub fn contest(&self, id: &str) -> Option<(usize, &Contest)> {
        self.contests.iter().enumerate().find(|(_, contest)| contest.id == id)
    }

    fn to_raw(&self) -> RawDefinition {
        RawDefinition {
            slug: self.slug.to_string(),
            title: self.title.clone(),
            description: self.description.clone(),
            organiser: self.organiser.clone(),
            rules: Some(self.rules),
            secrecy: Some("open".to_owned()),
            eligibility: Some(eligibility_text(self.eligibility).to_owned()),
            results: Some(results_text(self.results).to_owned()),
            revote: Some(revote_text(self.revote).to_owned()),
            ballots_per_voter: Some(self.ballots_per_voter),
            draw: Some(draw_text(self.draw).to_owned()),
            shards: None,
            closing: Some(RawClosing {
                at: self.closing.at.map(|at| at.to_string()),
                after_voters: self.closing.after_voters.map(|after| match after {
                    AfterVoters::Number(number) => RawAfterVoters::Number(number),
                    AfterVoters::All => RawAfterVoters::Word("all".to_owned()),
                }),
                click_grace_seconds: None,
            }),
            groups: self.groups.clone(),
            rehearsal_of: self.rehearsal_of.as_ref().map(Slug::to_string),
            follows: self.follows.as_ref().map(Slug::to_string),
            round: Some(self.round),
            contest: self.contests.iter().map(Contest::to_raw).collect(),
        }
    }
}

/// Turns a parse error into one that names the field where the parser knows it.
pub fn from_serde(error: &serde_json::Error) -> DefinitionError {
    let text = error.to_string();
    let field = text.split('`').nth(1).unwrap_or("definition").to_owned();
    DefinitionError::Invalid { message: format!("the definition cannot be read: {text}"), field }
}

impl RawDefinition {
    /// Checks every field; the first fault found is the answer.
    pub fn check(self) -> Result<Definition, DefinitionError> {
        let slug: Slug = self.slug.parse().map_err(|error| invalid("slug", format!("{error}")))?;
        check_text("title", &self.title, 1, TITLE_CHARS_MAX)?;
        check_optional("description", self.description.as_deref(), DESCRIPTION_CHARS_MAX)?;
        check_optional("organiser", self.organiser.as_deref(), TITLE_CHARS_MAX)?;
        check_honoured(&self)?;
        let eligibility = eligibility_of(self.eligibility.as_deref())?;
        let revote = revote_of(self.revote.as_deref())?;
        let ballots_per_voter = self.ballots_per_voter.unwrap_or(1);
        if !(1..=BALLOTS_PER_VOTER_MAX).contains(&ballots_per_voter) {
            return Err(invalid("ballots_per_voter", format!("must be 1 to {BALLOTS_PER_VOTER_MAX}")));
        }
        if ballots_per_voter > 1 && revote == Revote::LastCounts {
            return Err(invalid("revote", "`last-counts` goes with one ballot per voter only"));
        }
        let contests = check_contests(self.contest, eligibility)?;
        Ok(Definition {
            slug,
            title: self.title,
            description: self.description,
            organiser: self.organiser,
            rules: RULES_VERSION,
            eligibility,
            results: results_of(self.results.as_deref())?,
            revote,
            ballots_per_voter,
            draw: draw_of(self.draw.as_deref())?,
            closing: check_closing(self.closing.unwrap_or_default(), eligibility)?,
            groups: check_groups(self.groups)?,
            rehearsal_of: check_slug("rehearsal_of", self.rehearsal_of)?,
            follows: check_slug("follows", self.follows)?,
            round: self.round.unwrap_or(1).max(1),
            contests,
        })
    }
}

impl Contest {
    fn to_raw(&self) -> RawContest {
        let is_motion = self.method == Method::Motion;
        let is_shuffled = self.order == ChoiceOrder::Shuffled;
        RawContest {
            id: Some(self.id.clone()),
            title: self.title.clone(),
            description: self.description.clone(),
            method: Some(self.method.as_str().to_owned()),
            choose: Some(RawChoose { min: Some(self.choose_min), max: Some(self.choose_max) }),
            seats: self.method.has_seats().then_some(self.seats),
            majority: is_motion.then(|| self.majority.to_string()),
            base: is_motion.then(|| self.base.as_str().to_owned()),
            quorum: self.quorum.map(|quorum| match quorum {
                Quorum::Votes(votes) => RawQuorum::Votes(votes),
                Quorum::Eligible { numerator, denominator } => {
                    RawQuorum::Share(format!("{numerator}/{denominator}"))
                }
            }),
            order: is_shuffled.then(|| order_text(self.order).to_owned()),
            choices: self.choices.iter().map(Choice::to_raw).collect(),
        }
    }
}

impl Choice {
    fn to_raw(&self) -> RawChoice {
        RawChoice::Table(RawChoiceTable {
            id: Some(self.id.clone()),
            name: self.name.clone(),
            description: self.description.clone(),
            party: self.party.clone(),
            photo: self.photo.clone(),
            link: self.link.clone(),
        })
    }
}

/// Refuses what the format knows and this build does not do, so that no rule is silently ignored.
fn check_honoured(raw: &RawDefinition) -> Result<(), DefinitionError> {
    match raw.secrecy.as_deref().unwrap_or("open") {
        "open" => {}
        later @ ("private" | "sealed") => return Err(not_supported("secrecy", format!("`{later}`"))),
        _ => return Err(invalid("secrecy", "must be `open`, `private` or `sealed`")),
    }
    if raw.shards.is_some_and(|shards| shards != 1) {
        return Err(not_supported("shards", "more than one shard"));
    }
    if raw.rules.is_some_and(|rules| rules != RULES_VERSION) {
        return Err(not_supported("rules", format!("a rules version other than {RULES_VERSION}")));
    }
    Ok(())
}

fn check_closing(raw: RawClosing, eligibility: Eligibility) -> Result<Closing, DefinitionError> {
    let parse = |text: String| {
        UnixMillis::parse_rfc3339(&text)
            .ok_or_else(|| invalid("closing.at", "must be a time like 2027-03-01T18:00:00Z"))
    };
    let at = raw.at.map(parse).transpose()?;
    let after_voters = match raw.after_voters {
        None => None,
        Some(RawAfterVoters::Number(0)) => return Err(invalid("closing.after_voters", "must be at least 1")),
        Some(RawAfterVoters::Number(number)) => Some(AfterVoters::Number(number)),
        Some(RawAfterVoters::Word(word)) if word == "all" => Some(AfterVoters::All),
        Some(RawAfterVoters::Word(_)) => {
            return Err(invalid("closing.after_voters", "must be a number or \"all\""));
        }
    };
    if after_voters == Some(AfterVoters::All) && eligibility == Eligibility::Open {
        return Err(invalid("closing.after_voters", "\"all\" needs a list of voters"));
    }
    if raw.click_grace_seconds.is_some_and(|seconds| seconds > 0) {
        return Err(not_supported("closing.click_grace_seconds", "a grace after the deadline"));
    }
    Ok(Closing { at, after_voters })
}

fn check_groups(groups: Vec<String>) -> Result<Vec<String>, DefinitionError> {
    if groups.len() > GROUPS_MAX {
        return Err(invalid("groups", format!("at most {GROUPS_MAX} groups")));
    }
    let mut seen = BTreeSet::new();
    for group in &groups {
        check_text("groups", group, 1, NAME_CHARS_MAX)?;
        if !seen.insert(group) {
            return Err(invalid("groups", format!("`{group}` is there twice")));
        }
    }
    Ok(groups)
}

fn check_contests(raw: Vec<RawContest>, eligibility: Eligibility) -> Result<Vec<Contest>, DefinitionError> {
    if raw.is_empty() || raw.len() > CONTESTS_MAX {
        return Err(invalid("contest", format!("an election has 1 to {CONTESTS_MAX} contests")));
    }
    let mut ids = BTreeSet::new();
    let mut contests = Vec::with_capacity(raw.len());
    for (index, raw) in raw.into_iter().enumerate() {
        let contest = check_contest(&format!("contest[{index}]"), index, raw, eligibility)?;
        if !ids.insert(contest.id.clone()) {
            return Err(invalid(format!("contest[{index}].id"), format!("`{}` is there twice", contest.id)));
        }
        contests.push(contest);
    }
    Ok(contests)
}

fn check_contest(
    at: &str,
    index: usize,
    raw: RawContest,
    eligibility: Eligibility,
) -> Result<Contest, DefinitionError> {
    check_text(&format!("{at}.title"), &raw.title, 1, TITLE_CHARS_MAX)?;
    check_optional(&format!("{at}.description"), raw.description.as_deref(), DESCRIPTION_CHARS_MAX)?;
    let id =
        raw.id.clone().or_else(|| slugify(&raw.title)).unwrap_or_else(|| format!("contest-{}", index + 1));
    check_id(&format!("{at}.id"), &id)?;
    let method = method_of(at, raw.method.as_deref())?;
    let choices = match method {
        Method::Motion => motion_choices(at, &raw.choices)?,
        Method::Rating => check_levels(at, raw.choices)?,
        Method::Plurality | Method::Approval => check_choices(at, raw.choices)?,
    };
    let count = u16::try_from(choices.len()).expect("CHOICES_MAX fits in 16 bits");
    let (choose_min, choose_max) = check_choose(at, method, raw.choose, count)?;
    let seats = raw.seats.unwrap_or(1);
    if method == Method::Rating && raw.seats.is_some() {
        return Err(invalid(format!("{at}.seats"), "a rating elects nobody: leave it out"));
    }
    if seats == 0 || seats > count || (method == Method::Motion && seats != 1) {
        return Err(invalid(format!("{at}.seats"), "must be 1 to the number of choices; a motion has none"));
    }
    let order = order_of(at, method, raw.order.as_deref())?;
    let is_motion_rule = raw.majority.is_some() || raw.base.is_some() || raw.quorum.is_some();
    if method != Method::Motion && is_motion_rule {
        return Err(invalid(format!("{at}.majority"), "majority, base and quorum are rules of a `motion`"));
    }
    let majority = match raw.majority.as_deref() {
        None => Majority::SIMPLE,
        Some(text) => Majority::parse(text).ok_or_else(|| {
            invalid(format!("{at}.majority"), "must be like \">1/2\" (more than) or \">=2/3\" (at least)")
        })?,
    };
    let base = base_of(at, raw.base.as_deref(), eligibility)?;
    let quorum = quorum_of(at, raw.quorum, eligibility)?;
    Ok(Contest {
        id,
        title: raw.title,
        description: raw.description,
        method,
        choose_min,
        choose_max,
        seats,
        majority,
        base,
        quorum,
        order,
        choices,
    })
}

fn check_choose(
    at: &str,
    method: Method,
    raw: Option<RawChoose>,
    count: u16,
) -> Result<(u16, u16), DefinitionError> {
    let field = format!("{at}.choose");
    let raw = raw.unwrap_or_default();
    let default_max = if method == Method::Approval { count } else { 1 };
    let (min, max) = (raw.min.unwrap_or(0), raw.max.unwrap_or(default_max));
    if max == 0 || max > count || min > max {
        return Err(invalid(
            field,
            format!("min and max must be 0 <= min <= max <= {count}, max at least 1"),
        ));
    }
    if method == Method::Motion && (min, max) != (0, 1) && (min, max) != (1, 1) {
        return Err(invalid(field, "a motion takes one answer: min 0 or 1, max 1"));
    }
    if method == Method::Rating && max != 1 {
        return Err(invalid(field, "a rating takes one mark: min 0 or 1, max 1"));
    }
    Ok((min, max))
}

fn check_choices(at: &str, raw: Vec<RawChoice>) -> Result<Vec<Choice>, DefinitionError> {
    if raw.is_empty() || raw.len() > CHOICES_MAX {
        return Err(invalid(format!("{at}.choices"), format!("a contest has 1 to {CHOICES_MAX} choices")));
    }
    let mut ids = BTreeSet::new();
    let mut choices = Vec::with_capacity(raw.len());
    for (index, raw) in raw.into_iter().enumerate() {
        let at = format!("{at}.choices[{index}]");
        let choice = check_choice(&at, index, raw)?;
        if !ids.insert(choice.id.clone()) {
            return Err(invalid(
                at,
                format!("`{}` is there twice; give each choice its own name or id", choice.id),
            ));
        }
        choices.push(choice);
    }
    Ok(choices)
}

fn check_choice(at: &str, index: usize, raw: RawChoice) -> Result<Choice, DefinitionError> {
    let table = match raw {
        RawChoice::Name(name) => RawChoiceTable { name, ..RawChoiceTable::default() },
        RawChoice::Table(table) => table,
    };
    check_text(&format!("{at}.name"), &table.name, 1, NAME_CHARS_MAX)?;
    check_optional(&format!("{at}.description"), table.description.as_deref(), DESCRIPTION_CHARS_MAX)?;
    check_optional(&format!("{at}.party"), table.party.as_deref(), NAME_CHARS_MAX)?;
    check_photo(&format!("{at}.photo"), table.photo.as_deref())?;
    check_link(&format!("{at}.link"), table.link.as_deref())?;
    let id = table.id.or_else(|| slugify(&table.name)).unwrap_or_else(|| format!("choice-{}", index + 1));
    check_id(&format!("{at}.id"), &id)?;
    Ok(Choice {
        id,
        name: table.name,
        description: table.description,
        party: table.party,
        photo: table.photo,
        link: table.link,
    })
}

/// The levels of a rating's scale, 1 to 5 where a file leaves them out.
fn check_levels(at: &str, raw: Vec<RawChoice>) -> Result<Vec<Choice>, DefinitionError> {
    let field = format!("{at}.choices");
    let raw = match raw.is_empty() {
        true => (1..=5).map(|level| RawChoice::Name(level.to_string())).collect(),
        false => raw,
    };
    let levels = check_choices(at, raw)?;
    if !(2..=LEVELS_MAX).contains(&levels.len()) {
        return Err(invalid(field, format!("a rating has 2 to {LEVELS_MAX} levels")));
    }
    let numbers: Option<Vec<u64>> = levels.iter().map(Choice::level).collect();
    match numbers {
        Some(numbers) if numbers.is_sorted_by(|lower, higher| lower < higher) => Ok(levels),
        _ => Err(invalid(
            field,
            format!(
                "a rating's levels have whole numbers 0 to {LEVEL_MAX} as ids, ascending; their names are free"
            ),
        )),
    }
}

/// A motion's choices are always yes, no, abstain; a file may only give them other names.
fn motion_choices(at: &str, raw: &[RawChoice]) -> Result<Vec<Choice>, DefinitionError> {
    const IDS: [(&str, &str); 3] = [("yes", "Yes"), ("no", "No"), ("abstain", "Abstain")];
    if !raw.is_empty() && raw.len() != 3 {
        return Err(invalid(
            format!("{at}.choices"),
            "a motion's choices are yes, no, abstain: leave them out",
        ));
    }
    let mut choices = Vec::with_capacity(3);
    for (index, (id, name)) in IDS.into_iter().enumerate() {
        let given = match raw.get(index) {
            Some(raw) => check_choice(&format!("{at}.choices[{index}]"), index, raw.clone())?.name,
            None => name.to_owned(),
        };
        let own_id = matches!(raw.get(index), Some(RawChoice::Table(table)) if table.id.as_deref().is_some_and(|own| own != id));
        if own_id {
            return Err(invalid(format!("{at}.choices[{index}].id"), format!("is `{id}` in a motion")));
        }
        choices.push(Choice {
            id: id.to_owned(),
            name: given,
            description: None,
            party: None,
            photo: None,
            link: None,
        });
    }
    Ok(choices)
}

fn method_of(at: &str, text: Option<&str>) -> Result<Method, DefinitionError> {
    let field = || format!("{at}.method");
    match text.unwrap_or("plurality") {
        "plurality" => Ok(Method::Plurality),
        "approval" => Ok(Method::Approval),
        "motion" => Ok(Method::Motion),
        "rating" => Ok(Method::Rating),
        later if METHODS_LATER.contains(&later) => Err(not_supported(field(), format!("`{later}`"))),
        _ => Err(invalid(field(), "must be `plurality`, `approval`, `motion` or `rating`")),
    }
}

fn order_of(at: &str, method: Method, text: Option<&str>) -> Result<ChoiceOrder, DefinitionError> {
    let field = format!("{at}.order");
    match text.unwrap_or("as-written") {
        "as-written" => Ok(ChoiceOrder::AsWritten),
        "shuffled" if method.has_seats() => Ok(ChoiceOrder::Shuffled),
        "shuffled" => Err(invalid(field, format!("the choices of a {} keep their order", method.as_str()))),
        _ => Err(invalid(field, "must be `as-written` or `shuffled`")),
    }
}

fn base_of(at: &str, text: Option<&str>, eligibility: Eligibility) -> Result<Base, DefinitionError> {
    let field = format!("{at}.base");
    match text.unwrap_or("yes-no") {
        "yes-no" => Ok(Base::YesNo),
        "cast" => Ok(Base::Cast),
        "eligible" if eligibility == Eligibility::List => Ok(Base::Eligible),
        "eligible" => Err(invalid(field, "`eligible` needs a list of voters")),
        _ => Err(invalid(field, "must be `yes-no`, `cast` or `eligible`")),
    }
}

fn quorum_of(
    at: &str,
    raw: Option<RawQuorum>,
    eligibility: Eligibility,
) -> Result<Option<Quorum>, DefinitionError> {
    let field = format!("{at}.quorum");
    match raw {
        None => Ok(None),
        Some(RawQuorum::Votes(votes)) => Ok(Some(Quorum::Votes(votes))),
        Some(RawQuorum::Share(_)) if eligibility == Eligibility::Open => {
            Err(invalid(field, "a share needs a list of voters; write a number of votes"))
        }
        Some(RawQuorum::Share(text)) => {
            let (numerator, denominator) = parse_fraction(&text)
                .ok_or_else(|| invalid(field, "must be a number of votes or a share like \"1/2\""))?;
            Ok(Some(Quorum::Eligible { numerator, denominator }))
        }
    }
}

fn eligibility_of(text: Option<&str>) -> Result<Eligibility, DefinitionError> {
    match text.unwrap_or("open") {
        "open" => Ok(Eligibility::Open),
        "list" => Ok(Eligibility::List),
        "roll" => Err(not_supported("eligibility", "`roll` (a list of ids is: `list`)")),
        _ => Err(invalid("eligibility", "must be `open` or `list`")),
    }
}

fn results_of(text: Option<&str>) -> Result<ResultsMode, DefinitionError> {
    match text.unwrap_or("at-close") {
        "live" => Ok(ResultsMode::Live),
        "own-ballot" => Ok(ResultsMode::OwnBallot),
        "at-close" => Ok(ResultsMode::AtClose),
        "on-publish" => Ok(ResultsMode::OnPublish),
        "on-reveal" => Ok(ResultsMode::OnReveal),
        _ => Err(invalid("results", "must be `live`, `own-ballot`, `at-close`, `on-publish` or `on-reveal`")),
    }
}

fn revote_of(text: Option<&str>) -> Result<Revote, DefinitionError> {
    match text.unwrap_or("forbid") {
        "forbid" => Ok(Revote::Forbid),
        "last-counts" => Ok(Revote::LastCounts),
        _ => Err(invalid("revote", "must be `forbid` or `last-counts`")),
    }
}

fn draw_of(text: Option<&str>) -> Result<Draw, DefinitionError> {
    match text.unwrap_or("none") {
        "server" => Ok(Draw::Server),
        "public" => Ok(Draw::Public),
        "none" => Ok(Draw::None),
        _ => Err(invalid("draw", "must be `server`, `public` or `none`")),
    }
}

pub fn eligibility_text(eligibility: Eligibility) -> &'static str {
    match eligibility {
        Eligibility::Open => "open",
        Eligibility::List => "list",
    }
}

pub fn results_text(results: ResultsMode) -> &'static str {
    match results {
        ResultsMode::Live => "live",
        ResultsMode::OwnBallot => "own-ballot",
        ResultsMode::AtClose => "at-close",
        ResultsMode::OnPublish => "on-publish",
        ResultsMode::OnReveal => "on-reveal",
    }
}

pub fn order_text(order: ChoiceOrder) -> &'static str {
    match order {
        ChoiceOrder::AsWritten => "as-written",
        ChoiceOrder::Shuffled => "shuffled",
    }
}

pub fn revote_text(revote: Revote) -> &'static str {
    match revote {
        Revote::Forbid => "forbid",
        Revote::LastCounts => "last-counts",
    }
}

pub fn draw_text(draw: Draw) -> &'static str {
    match draw {
        Draw::Server => "server",
        Draw::Public => "public",
        Draw::None => "none",
    }
}

fn check_slug(field: &str, text: Option<String>) -> Result<Option<Slug>, DefinitionError> {
    text.map(|text| text.parse().map_err(|error| invalid(field, format!("{error}")))).transpose()
}

fn check_id(field: &str, id: &str) -> Result<(), DefinitionError> {
    if is_slug(id) {
        Ok(())
    } else {
        Err(invalid(field, format!("`{id}` is not an id: use 1 to 40 of a-z, 0-9 and -")))
    }
}

fn check_text(field: &str, text: &str, chars_min: usize, chars_max: usize) -> Result<(), DefinitionError> {
    let chars = text.chars().count();
    let is_control = |letter: char| letter.is_control() && letter != '\n';
    if chars < chars_min || chars > chars_max || text.trim().len() < chars_min {
        return Err(invalid(field, format!("must have {chars_min} to {chars_max} characters")));
    }
    if text.chars().any(is_control) {
        return Err(invalid(field, "must not hold control characters"));
    }
    Ok(())
}

fn check_optional(field: &str, text: Option<&str>, chars_max: usize) -> Result<(), DefinitionError> {
    text.map_or(Ok(()), |text| check_text(field, text, 0, chars_max))
}

/// Links lead to the web or to a path on this server; nothing that a browser would run.
fn check_link(field: &str, link: Option<&str>) -> Result<(), DefinitionError> {
    let Some(link) = link else { return Ok(()) };
    check_text(field, link, 1, LINK_CHARS_MAX)?;
    let is_web = ["https://", "http://"].iter().any(|scheme| link.starts_with(scheme));
    let is_path = link.starts_with('/') && !link.starts_with("//");
    if is_web || is_path { Ok(()) } else { Err(invalid(field, "must begin with https://, http:// or /")) }
}

/// Endings of pictures that a server keeps, see [`is_picture_path`].
pub const PICTURE_ENDINGS: [&str; 3] = ["png", "jpg", "webp"];

/// Whether this is the path of a picture that a server keeps, named by its content:
/// `/pictures/` ‖ SHA-256 in hex ‖ `.png`, `.jpg` or `.webp`. Only such pictures are shown.
pub fn is_picture_path(path: &str) -> bool {
    let named = path.strip_prefix("/pictures/").and_then(|name| name.split_once('.'));
    named.is_some_and(|(hash, ending)| {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        hash.len() == 64 && hash.bytes().all(is_digit) && PICTURE_ENDINGS.contains(&ending)
    })
}

/// A picture of a choice: one of the server's own, or one elsewhere on the web, which stands in the definition and is
/// shown to nobody: fetching it would tell another host who is voting.
fn check_photo(field: &str, photo: Option<&str>) -> Result<(), DefinitionError> {
    let Some(photo) = photo else { return Ok(()) };
    check_text(field, photo, 1, LINK_CHARS_MAX)?;
    let is_web = ["https://", "http://"].iter().any(|scheme| photo.starts_with(scheme));
    if is_web || is_picture_path(photo) {
        return Ok(());
    }
    let message = "must be the path of a picture on this server, /pictures/… as `hustings picture add` prints it, \
                   or begin with https:// or http://, which is kept and not shown";
    Err(invalid(field, message))
}

/// `numerator/denominator` with 1 <= numerator <= denominator <= 1,000,000.
fn parse_fraction(text: &str) -> Option<(u32, u32)> {
    let (numerator, denominator) = text.split_once('/')?;
    let (numerator, denominator): (u32, u32) = (numerator.parse().ok()?, denominator.parse().ok()?);
    (1 <= numerator && numerator <= denominator && denominator <= 1_000_000)
        .then_some((numerator, denominator))
}
