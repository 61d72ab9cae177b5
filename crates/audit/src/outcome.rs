//! Outcomes, made again from counts by the words of `docs/formats.md`.

use election::definition::{Base, Contest, Draw, Method, Quorum};
use serde::{Deserialize, Serialize};

/// A contest's outcome as the result object shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    pub kind: String,
    pub sentence: String,
    pub winners: Vec<String>,
    pub tied: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub needed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub base: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub points: Option<u64>,
}

/// What decides a contest.
#[derive(Clone, Copy, Debug)]
pub struct Counted<'a> {
    pub contest: &'a Contest,
    /// Per choice.
    pub votes: &'a [u64],
    /// Weight of all ballots, blank ones included.
    pub weight: u64,
    /// Weight of the roll, 0 without one.
    pub eligible: u64,
}

/// Who stands where in a contest that elects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// Most votes first, equal ones in the definition's order.
    pub elected: Vec<usize>,
    /// In the definition's order.
    pub tied: Vec<usize>,
    /// Seats left for the tied.
    pub open_seats: usize,
}

/// Places each choice by counting how many stand above it and how many beside it.
pub fn places(counted: Counted<'_>) -> Places {
    let Counted { contest, votes, .. } = counted;
    let seats = usize::from(contest.seats);
    let (mut elected, mut tied) = (Vec::new(), Vec::new());
    for choice in 0..votes.len() {
        let above = votes.iter().filter(|other| **other > votes[choice]).count();
        let equal = votes.iter().filter(|other| **other == votes[choice]).count();
        if votes[choice] == 0 {
            continue;
        }
        if above + equal <= seats {
            elected.push(choice);
        } else if above < seats {
            tied.push(choice);
        }
    }
    elected.sort_by_key(|choice| (std::cmp::Reverse(votes[*choice]), *choice));
    let open_seats = seats - elected.len();
    Places { elected, tied, open_seats }
}

/// The lot's order: choices by ascending `H("hustings draw v1\n" ‖ seed ‖ closing root ‖ contest ‖ 0 ‖ choice)`.
pub fn draw_order(contest: &Contest, seed: &[u8; 32], closing_root: &[u8; 32]) -> Vec<usize> {
    let mut drawn = Vec::new();
    for (index, choice) in contest.choices.iter().enumerate() {
        let parts: [&[u8]; 6] =
            [b"hustings draw v1\n", seed, closing_root, contest.id.as_bytes(), &[0], choice.id.as_bytes()];
        drawn.push((proof::sha256(&parts), index));
    }
    drawn.sort_unstable();
    drawn.into_iter().map(|(_, index)| index).collect()
}

/// The outcome. `lot` are the tied choices that a lot elected, in its order; `None` where none was drawn.
pub fn outcome(counted: Counted<'_>, draw: Draw, lot: Option<&[usize]>) -> Outcome {
    match counted.contest.method {
        Method::Plurality | Method::Approval => elected(counted, draw, lot),
        Method::Motion => motion(counted),
        Method::Rating => rating(counted),
    }
}

/// Adds up every mark at its level, and rounds the average to tenths, a half up.
fn rating(counted: Counted<'_>) -> Outcome {
    let (mut ratings, mut points, mut highest) = (0, 0, 0);
    for (choice, votes) in counted.contest.choices.iter().zip(counted.votes) {
        // A definition that was refused is not counted by, so every id is a number.
        let level: u128 = choice.id.parse().unwrap_or(0);
        ratings += u128::from(*votes);
        points += u128::from(*votes) * level;
        highest = level;
    }
    if ratings == 0 {
        return no_votes(counted);
    }
    let (whole, rest) = (points / ratings, points % ratings);
    // 9.96 is rounded to ten tenths more, and so becomes 10.0.
    let tenths = whole * 10 + (rest * 20 / ratings).div_ceil(2);
    let given = if ratings == 1 { "1 rating".to_owned() } else { format!("{ratings} ratings") };
    Outcome {
        kind: "rated".to_owned(),
        sentence: format!("Average {}.{} of {highest} from {given}", tenths / 10, tenths % 10),
        winners: Vec::new(),
        tied: Vec::new(),
        needed: None,
        base: u64::try_from(ratings).ok(),
        points: Some(u64::try_from(points).unwrap_or(u64::MAX)),
    }
}

fn no_votes(counted: Counted<'_>) -> Outcome {
    without_base("no_votes", "No votes were cast".to_owned(), counted, &[], &[])
}

fn elected(counted: Counted<'_>, draw: Draw, lot: Option<&[usize]>) -> Outcome {
    let Places { elected, tied, open_seats } = places(counted);
    if elected.is_empty() && tied.is_empty() {
        return no_votes(counted);
    }
    if tied.is_empty() {
        return without_base("winner", winner_sentence(counted, &elected), counted, &elected, &[]);
    }
    if let Some(lot) = lot {
        let mut winners = elected;
        winners.extend_from_slice(lot);
        let by_server = if draw == Draw::Server { " by the server" } else { "" };
        let names: Vec<String> = tied.iter().map(|choice| name(counted, *choice).to_owned()).collect();
        let sentence = winner_sentence(counted, &winners);
        let sentence = format!("{sentence}, drawn by lot{by_server} from {}", list(&names));
        return without_base("drawn", sentence, counted, &winners, &tied);
    }
    let mut sentence = tie_sentence(counted, &elected, &tied, open_seats);
    if draw != Draw::None {
        sentence += ", to be drawn by lot";
    }
    without_base("tie", sentence, counted, &elected, &tied)
}

fn tie_sentence(counted: Counted<'_>, elected: &[usize], tied: &[usize], open_seats: usize) -> String {
    let tied = list(&names_with_votes(counted, tied));
    let is_for = match open_seats {
        1 => "for the last seat".to_owned(),
        several => format!("for the last {several} seats"),
    };
    match (elected, counted.contest.seats) {
        ([], 1) => format!("It's a tie between {tied}"),
        ([], _) => format!("It's a tie between {tied} {is_for}"),
        ([one], _) => {
            let elected = list(&names_with_votes(counted, &[*one]));
            format!("{elected} is elected, and it's a tie between {tied} {is_for}")
        }
        (several, _) => {
            let elected = list(&names_with_votes(counted, several));
            format!("{elected} are elected, and it's a tie between {tied} {is_for}")
        }
    }
}

fn winner_sentence(counted: Counted<'_>, winners: &[usize]) -> String {
    match winners {
        [one] => format!("The winner is {} with {}", name(counted, *one), votes(counted.votes[*one])),
        several => format!("The winners are {}", list(&names_with_votes(counted, several))),
    }
}

fn motion(counted: Counted<'_>) -> Outcome {
    let Counted { contest, weight, eligible, .. } = counted;
    let (yes, no) = (counted.votes[0], counted.votes[1]);
    let quorum = contest.quorum.map(|quorum| match quorum {
        Quorum::Votes(votes) => votes,
        Quorum::Eligible { numerator, denominator } => share(eligible, numerator, denominator).0,
    });
    if let Some(quorum) = quorum
        && weight < quorum
    {
        let sentence = format!("No quorum: {} cast, needed {quorum}", votes(weight));
        return with_base("no_quorum", sentence, &[], quorum, weight);
    }
    let base = match contest.base {
        Base::YesNo => yes + no,
        Base::Cast => weight,
        Base::Eligible => eligible,
    };
    if base == 0 {
        return no_votes(counted);
    }
    let (at_least, more_than) = share(base, contest.majority.numerator, contest.majority.denominator);
    let needed = if contest.majority.strict { more_than } else { at_least };
    if yes >= needed {
        let sentence = format!("Motion passed: {yes} of {base}, needed {needed}");
        with_base("passed", sentence, &["yes"], needed, base)
    } else {
        let sentence = format!("Motion failed: {yes} of {base}, needed {needed}");
        with_base("failed", sentence, &[], needed, base)
    }
}

/// Fewest whole votes that are at least, and that are more than, numerator/denominator of `base`.
fn share(base: u64, numerator: u32, denominator: u32) -> (u64, u64) {
    let product = u128::from(base) * u128::from(numerator);
    let whole = (product / u128::from(denominator)) as u64;
    let is_exact = product % u128::from(denominator) == 0;
    (if is_exact { whole } else { whole + 1 }, whole + 1)
}

fn without_base(
    kind: &str,
    sentence: String,
    counted: Counted<'_>,
    winners: &[usize],
    tied: &[usize],
) -> Outcome {
    let ids = |choices: &[usize]| {
        choices.iter().map(|choice| counted.contest.choices[*choice].id.clone()).collect()
    };
    Outcome {
        kind: kind.to_owned(),
        sentence,
        winners: ids(winners),
        tied: ids(tied),
        needed: None,
        base: None,
        points: None,
    }
}

fn with_base(kind: &str, sentence: String, winners: &[&str], needed: u64, base: u64) -> Outcome {
    let winners = winners.iter().map(|id| (*id).to_owned()).collect();
    let kind = kind.to_owned();
    Outcome {
        kind,
        sentence,
        winners,
        tied: Vec::new(),
        needed: Some(needed),
        base: Some(base),
        points: None,
    }
}

fn name<'a>(counted: Counted<'a>, choice: usize) -> &'a str {
    &counted.contest.choices[choice].name
}

fn names_with_votes(counted: Counted<'_>, choices: &[usize]) -> Vec<String> {
    choices
        .iter()
        .map(|choice| format!("{} ({})", name(counted, *choice), votes(counted.votes[*choice])))
        .collect()
}

fn votes(count: u64) -> String {
    if count == 1 { "1 vote".to_owned() } else { format!("{count} votes") }
}

fn list(names: &[String]) -> String {
    match names {
        [one] => one.clone(),
        [before @ .., last] => format!("{} and {last}", before.join(", ")),
        [] => String::new(),
    }
}
