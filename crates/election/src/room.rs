//! Rooms: a named place with one join code, an ordered list of elections, and what its screen shows.

use crate::ids::Slug;
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Letters and digits of join codes: none that look or sound alike (no 0 O 1 I L U).
pub const CODE_ALPHABET: &[u8; 30] = b"23456789ABCDEFGHJKMNPQRSTVWXYZ";
pub const CODE_CHARS: usize = 6;
pub const ROOM_ELECTIONS_MAX: usize = 200;

/// Join code of a room, an address and never a credential: 4 to 12 of the alphabet, case and separators forgiven.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoomCode(String);

impl RoomCode {
    /// A code from random bytes.
    pub fn from_random(bytes: [u8; CODE_CHARS]) -> Self {
        let letter = |byte: u8| char::from(CODE_ALPHABET[usize::from(byte) % CODE_ALPHABET.len()]);
        RoomCode(bytes.into_iter().map(letter).collect())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RoomCode {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let typed = text.chars().filter(|letter| !matches!(letter, ' ' | '-'));
        let code: String = typed.map(|letter| letter.to_ascii_uppercase()).take(13).collect();
        let known = code.bytes().all(|byte| CODE_ALPHABET.contains(&byte));
        if known && (4..=12).contains(&code.len()) {
            Ok(RoomCode(code))
        } else {
            Err("a join code has 4 to 12 letters and digits".to_owned())
        }
    }
}

impl TryFrom<String> for RoomCode {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<RoomCode> for String {
    fn from(code: RoomCode) -> String {
        code.0
    }
}

impl fmt::Display for RoomCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `own`: voters go through all elections at leisure; `led`: the officer leads one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pace {
    Own,
    Led,
}

/// What the room's screen shows now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Show {
    Lobby,
    Election,
    Results,
    Black,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Screen {
    pub show: Show,
    /// Which election, where `show` names one.
    pub election: Option<Slug>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    pub code: RoomCode,
    pub title: String,
    pub pace: Pace,
    /// In the order in which they are shown.
    pub elections: Vec<Slug>,
    pub screen: Screen,
    /// Since when nobody joins any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked_at: Option<UnixMillis>,
}
