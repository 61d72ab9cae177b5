//! A ballot's answers: from ids to the compact bytes that are stored, and back, checked against the definition.
//!
//! Bytes: contest count (u8), then per contest in the definition's order: kind (u8: 0 choices, 1 scores),
//! item count (LEB128), and per item the choice's index (LEB128) and, for scores, a zigzag LEB128 score.
//! Methods that do not rank hold their choices in ascending order, so equal ballots are equal bytes.

use crate::definition::{Contest, Definition, Method};
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;

pub const KIND_CHOICES: u8 = 0;
pub const KIND_SCORES: u8 = 1;
pub const ANSWERS_BYTES_MAX: usize = 64 * 1024;

/// Answers in stored form, valid for the definition they were encoded with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedAnswers(Vec<u8>);

impl EncodedAnswers {
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What is wrong with a ballot, and in which contest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    #[error("the election has no contest `{0}`")]
    NoSuchContest(String),
    #[error("contest `{0}` has no answer: send `[]` for a blank one")]
    Missing(String),
    #[error("contest `{0}` is answered twice")]
    Twice(String),
    #[error("contest `{contest}` has no choice `{choice}`")]
    NoSuchChoice { contest: String, choice: String },
    #[error("contest `{contest}` names `{choice}` twice")]
    ChoiceTwice { contest: String, choice: String },
    #[error("contest `{contest}` takes {min} to {max} choices, not {given}")]
    Count { contest: String, min: u16, max: u16, given: usize },
    #[error("contest `{0}` takes a list of choice ids, not scores")]
    NotScored(String),
}

impl AnswerError {
    pub fn code(&self) -> &'static str {
        match self {
            AnswerError::NoSuchContest(_) => "no_such_contest",
            AnswerError::NoSuchChoice { .. } => "no_such_choice",
            _ => "invalid_ballot",
        }
    }

    /// The contest at fault, as clients wrote it.
    pub fn contest(&self) -> &str {
        match self {
            AnswerError::NoSuchContest(contest)
            | AnswerError::Missing(contest)
            | AnswerError::Twice(contest)
            | AnswerError::NotScored(contest)
            | AnswerError::NoSuchChoice { contest, .. }
            | AnswerError::ChoiceTwice { contest, .. }
            | AnswerError::Count { contest, .. } => contest,
        }
    }
}

/// One contest's answer as given: choice ids (their order is the preference where the method ranks), or scores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GivenAnswer<'a> {
    Choices(Vec<Cow<'a, str>>),
    Scores(Vec<(Cow<'a, str>, i64)>),
}

/// A ballot's answers as given: (contest id, answer) in the order written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GivenAnswers<'a>(pub Vec<(Cow<'a, str>, GivenAnswer<'a>)>);

/// Encodes answers given by id. Every contest must be answered; `[]` is blank.
pub fn encode(definition: &Definition, given: &GivenAnswers<'_>) -> Result<EncodedAnswers, AnswerError> {
    for (index, (id, _)) in given.0.iter().enumerate() {
        if definition.contest(id).is_none() {
            return Err(AnswerError::NoSuchContest(shorten(id)));
        }
        if given.0[..index].iter().any(|(earlier, _)| earlier == id) {
            return Err(AnswerError::Twice(shorten(id)));
        }
    }
    let contests = u8::try_from(definition.contests.len()).expect("CONTESTS_MAX fits in 8 bits");
    let mut bytes = Vec::with_capacity(1 + definition.contests.len() * 4);
    bytes.push(contests);
    for contest in &definition.contests {
        let answer = given.0.iter().find(|(id, _)| *id == contest.id).map(|(_, answer)| answer);
        match answer {
            None => return Err(AnswerError::Missing(contest.id.clone())),
            Some(GivenAnswer::Scores(_)) => return Err(AnswerError::NotScored(contest.id.clone())),
            Some(GivenAnswer::Choices(choices)) => encode_choices(contest, choices, &mut bytes)?,
        }
    }
    Ok(EncodedAnswers(bytes))
}

/// Encodes answers given by index, one sorted list per contest; for load and simulation.
pub fn encode_indices(contests: &[Vec<u16>]) -> EncodedAnswers {
    let mut bytes = vec![u8::try_from(contests.len()).expect("at most 255 contests")];
    for choices in contests {
        bytes.push(KIND_CHOICES);
        put_varint(&mut bytes, choices.len() as u64);
        choices.iter().for_each(|choice| put_varint(&mut bytes, u64::from(*choice)));
    }
    EncodedAnswers(bytes)
}

fn encode_choices(contest: &Contest, given: &[Cow<'_, str>], bytes: &mut Vec<u8>) -> Result<(), AnswerError> {
    let mut indices = [0_u16; 8];
    let mut more = Vec::new();
    let indices = if given.len() <= indices.len() {
        &mut indices[..given.len()]
    } else if given.len() > contest.choices.len() {
        return Err(count_error(contest, given.len()));
    } else {
        more.resize(given.len(), 0);
        &mut more[..]
    };
    for (slot, id) in indices.iter_mut().zip(given) {
        let index =
            contest.choices.iter().position(|choice| choice.id == *id).ok_or_else(|| {
                AnswerError::NoSuchChoice { contest: contest.id.clone(), choice: shorten(id) }
            })?;
        *slot = u16::try_from(index).expect("CHOICES_MAX fits in 16 bits");
    }
    indices.sort_unstable();
    if let Some(pair) = indices.windows(2).find(|pair| pair[0] == pair[1]) {
        let choice = contest.choices[usize::from(pair[0])].id.clone();
        return Err(AnswerError::ChoiceTwice { contest: contest.id.clone(), choice });
    }
    if !count_allowed(contest, indices.len()) {
        return Err(count_error(contest, indices.len()));
    }
    bytes.push(KIND_CHOICES);
    put_varint(bytes, indices.len() as u64);
    indices.iter().for_each(|index| put_varint(bytes, u64::from(*index)));
    Ok(())
}

/// A blank answer is always allowed; any other must keep to `choose`.
fn count_allowed(contest: &Contest, count: usize) -> bool {
    count == 0 || (usize::from(contest.choose_min)..=usize::from(contest.choose_max)).contains(&count)
}

fn count_error(contest: &Contest, given: usize) -> AnswerError {
    let Contest { id, choose_min: min, choose_max: max, .. } = contest;
    AnswerError::Count { contest: id.clone(), min: *min, max: *max, given }
}

fn shorten(text: &str) -> String {
    text.chars().take(60).collect()
}

/// Why stored answers do not fit a definition; only a faulty or hostile writer can cause it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedAnswers {
    #[error("the answers end too early or carry bytes too many")]
    Length,
    #[error("the number of contests is not the definition's")]
    Contests,
    #[error("contest {0} is answered in a form its method does not take")]
    Kind(usize),
    #[error("contest {0} names a choice that does not exist, twice, or out of order")]
    Choice(usize),
    #[error("contest {0} has too few or too many choices")]
    Count(usize),
}

/// Checks stored answers and hands every marked choice to `mark(contest, choice)`; `blank(contest)` for blanks.
/// No allocation; time linear in the bytes.
pub fn visit(
    definition: &Definition,
    bytes: &[u8],
    mut mark: impl FnMut(usize, usize),
    mut blank: impl FnMut(usize),
) -> Result<(), MalformedAnswers> {
    let mut rest = bytes;
    if usize::from(take_u8(&mut rest)?) != definition.contests.len() {
        return Err(MalformedAnswers::Contests);
    }
    for (index, contest) in definition.contests.iter().enumerate() {
        match contest.method {
            Method::Plurality | Method::Approval | Method::Motion | Method::Rating => {}
        }
        if take_u8(&mut rest)? != KIND_CHOICES {
            return Err(MalformedAnswers::Kind(index));
        }
        let count = usize::try_from(take_varint(&mut rest)?).map_err(|_| MalformedAnswers::Length)?;
        if !count_allowed(contest, count) {
            return Err(MalformedAnswers::Count(index));
        }
        if count == 0 {
            blank(index);
        }
        let mut lowest = 0;
        for _ in 0..count {
            let choice = usize::try_from(take_varint(&mut rest)?).map_err(|_| MalformedAnswers::Length)?;
            if choice < lowest || choice >= contest.choices.len() {
                return Err(MalformedAnswers::Choice(index));
            }
            lowest = choice + 1;
            mark(index, choice);
        }
    }
    if rest.is_empty() { Ok(()) } else { Err(MalformedAnswers::Length) }
}

/// Stored answers as lists of choice indices, one per contest.
pub fn decode(definition: &Definition, bytes: &[u8]) -> Result<Vec<Vec<usize>>, MalformedAnswers> {
    let mut answers = vec![Vec::new(); definition.contests.len()];
    visit(definition, bytes, |contest, choice| answers[contest].push(choice), |_| {})?;
    Ok(answers)
}

pub(crate) fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn take_u8(rest: &mut &[u8]) -> Result<u8, MalformedAnswers> {
    let (first, tail) = rest.split_first().ok_or(MalformedAnswers::Length)?;
    *rest = tail;
    Ok(*first)
}

/// LEB128 in its shortest form, so that no answer has two encodings.
fn take_varint(rest: &mut &[u8]) -> Result<u64, MalformedAnswers> {
    let mut value = 0_u64;
    for shift in (0..=28).step_by(7) {
        let byte = take_u8(rest)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return if byte == 0 && shift > 0 { Err(MalformedAnswers::Length) } else { Ok(value) };
        }
    }
    Err(MalformedAnswers::Length)
}

impl<'de: 'a, 'a> Deserialize<'de> for GivenAnswers<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Answers;
        impl<'de> Visitor<'de> for Answers {
            type Value = GivenAnswers<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of contest id to a list of choice ids")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut answers = Vec::with_capacity(1);
                while let Some((contest, answer)) = map.next_entry::<Text<'de>, GivenAnswer<'de>>()? {
                    if answers.len() == crate::definition::CONTESTS_MAX {
                        return Err(A::Error::custom("too many contests"));
                    }
                    answers.push((contest.0, answer));
                }
                Ok(GivenAnswers(answers))
            }
        }
        deserializer.deserialize_map(Answers)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for GivenAnswer<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Answer;
        impl<'de> Visitor<'de> for Answer {
            type Value = GivenAnswer<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of choice ids, or an object of choice id to a whole number")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut choices = Vec::with_capacity(1);
                while let Some(Text(choice)) = seq.next_element()? {
                    if choices.len() == crate::definition::CHOICES_MAX {
                        return Err(A::Error::custom("too many choices"));
                    }
                    choices.push(choice);
                }
                Ok(GivenAnswer::Choices(choices))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut scores = Vec::new();
                while let Some((Text(choice), score)) = map.next_entry()? {
                    if scores.len() == crate::definition::CHOICES_MAX {
                        return Err(A::Error::custom("too many choices"));
                    }
                    scores.push((choice, score));
                }
                Ok(GivenAnswer::Scores(scores))
            }
        }
        deserializer.deserialize_any(Answer)
    }
}

/// Text borrowed from the input unless it holds escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrowing;
        impl<'de> Visitor<'de> for Borrowing {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Borrowing)
    }
}
