//! Plurality and approval: the choices with the most votes take the seats.
//!
//! Only a choice with at least one vote can be elected. Where the last seats cannot be given because more
//! choices than seats stand equal, those choices are tied, whatever stands above them.

use super::{ContestOutcome, OutcomeKind, TieBreak, and_list, no_votes, votes_text};
use crate::definition::Contest;
use crate::tally::ContestTally;

pub(super) fn outcome(contest: &Contest, tally: &ContestTally, tie: TieBreak<'_>) -> ContestOutcome {
    let Places { elected, tied, open_seats } = places(contest, tally);
    let ids = |indices: &[usize]| indices.iter().map(|index| contest.choices[*index].id.clone()).collect();
    let named = |indices: &[usize]| and_list(&with_votes(contest, tally, indices));
    if elected.is_empty() && tied.is_empty() {
        return no_votes();
    }
    if tied.is_empty() {
        return plain(
            OutcomeKind::Winner,
            winner_sentence(contest, tally, &elected),
            ids(&elected),
            Vec::new(),
        );
    }
    if let TieBreak::Drawn { order, by_server } = tie {
        let drawn: Vec<usize> =
            order.iter().copied().filter(|index| tied.contains(index)).take(open_seats).collect();
        let winners: Vec<usize> = elected.iter().chain(&drawn).copied().collect();
        let whose = if by_server { " by the server" } else { "" };
        let sentence = format!(
            "{}, drawn by lot{whose} from {}",
            winner_sentence(contest, tally, &winners),
            and_list(&names(contest, &tied))
        );
        return plain(OutcomeKind::Drawn, sentence, ids(&winners), ids(&tied));
    }
    let mut sentence = if elected.is_empty() && contest.seats == 1 {
        format!("It's a tie between {}", named(&tied))
    } else {
        let place =
            if open_seats == 1 { "the last seat".to_owned() } else { format!("the last {open_seats} seats") };
        let tie = format!("t's a tie between {} for {place}", named(&tied));
        match elected.as_slice() {
            [] => format!("I{tie}"),
            [one] => format!("{} is elected, and i{tie}", named(&[*one])),
            several => format!("{} are elected, and i{tie}", named(several)),
        }
    };
    if tie == TieBreak::Pending {
        sentence.push_str(", to be drawn by lot");
    }
    plain(OutcomeKind::Tie, sentence, ids(&elected), ids(&tied))
}

struct Places {
    elected: Vec<usize>,
    tied: Vec<usize>,
    open_seats: usize,
}

fn places(contest: &Contest, tally: &ContestTally) -> Places {
    let mut ranking: Vec<usize> =
        (0..contest.choices.len()).filter(|index| tally.votes[*index] > 0).collect();
    ranking.sort_by_key(|index| (std::cmp::Reverse(tally.votes[*index]), *index));
    let seats = usize::from(contest.seats);
    if ranking.len() <= seats {
        return Places { elected: ranking, tied: Vec::new(), open_seats: 0 };
    }
    let last_in = tally.votes[ranking[seats - 1]];
    if last_in > tally.votes[ranking[seats]] {
        ranking.truncate(seats);
        return Places { elected: ranking, tied: Vec::new(), open_seats: 0 };
    }
    let elected: Vec<usize> = ranking.iter().copied().filter(|index| tally.votes[*index] > last_in).collect();
    let mut tied: Vec<usize> = ranking.into_iter().filter(|index| tally.votes[*index] == last_in).collect();
    tied.sort_unstable();
    let open_seats = seats - elected.len();
    Places { elected, tied, open_seats }
}

fn winner_sentence(contest: &Contest, tally: &ContestTally, winners: &[usize]) -> String {
    match winners {
        [one] => {
            let votes = votes_text(tally.votes[*one]);
            format!("The winner is {} with {votes}", contest.choices[*one].name)
        }
        several => format!("The winners are {}", and_list(&with_votes(contest, tally, several))),
    }
}

fn names(contest: &Contest, indices: &[usize]) -> Vec<String> {
    indices.iter().map(|index| contest.choices[*index].name.clone()).collect()
}

fn with_votes(contest: &Contest, tally: &ContestTally, indices: &[usize]) -> Vec<String> {
    let text =
        |index: &usize| format!("{} ({})", contest.choices[*index].name, votes_text(tally.votes[*index]));
    indices.iter().map(text).collect()
}

fn plain(kind: OutcomeKind, sentence: String, winners: Vec<String>, tied: Vec<String>) -> ContestOutcome {
    ContestOutcome { kind, sentence, winners, tied, needed: None, base: None, points: None }
}
