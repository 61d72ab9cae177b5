//! Officers' browsers: who is logged in, and one-time codes that let another device in.
//!
//! Sessions and codes carry their own proof, made with the cluster's key: each is good on every server of a cluster and
//! over a restart. Only what was ended is kept in memory, bounded, and on the server where it was ended: after logging
//! out, a copy of the cookie would be good elsewhere until its time is up, and a code that was used here could be used
//! once more on another server within its minutes. A new officer token ends all sessions.

use crate::app::with_edge;
use node::Handle;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use subtle::ConstantTimeEq;

/// Letters and digits of pairing codes: none that look alike.
const ALPHABET: &[u8; 32] = b"23456789ABCDEFGHJKMNPQRSTVWXYZ+=";
const CODE_CHARS: usize = 8;
/// Different codes that may be made within a minute.
const DRAWS: u8 = 16;
const CODES_USED_MAX: usize = 256;
const MINUTE_MS: u64 = 60_000;

#[derive(Debug)]
pub struct Officers {
    logouts_max: usize,
    session_ms: u64,
    code_minutes: u64,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Number of a session that was logged out → when its time would have been up.
    ended: BTreeMap<u64, u64>,
    /// Codes that were made or used here, with their minute.
    made: Vec<(String, u64)>,
    used: Vec<(String, u64)>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("ended", &self.ended.len()).finish_non_exhaustive()
    }
}

impl Officers {
    pub fn new(logouts_max: usize, session_hours: u32, code_minutes: u32) -> Self {
        Self {
            logouts_max: logouts_max.max(1),
            session_ms: u64::from(session_hours) * 3_600_000,
            code_minutes: u64::from(code_minutes),
            inner: Mutex::default(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Begins a session and returns its cookie. On a worker's thread.
    pub fn log_in(&self) -> String {
        with_edge(|edge| edge.new_officer_session())
    }

    /// Whether this is the cookie of somebody who is logged in. On a worker's thread.
    pub fn is_logged_in(&self, cookie: &str, now_ms: u64) -> bool {
        let session = with_edge(|edge| edge.verify_officer_session(cookie));
        session.is_ok_and(|session| {
            session.begun.0 + self.session_ms > now_ms && !self.inner().ended.contains_key(&session.number)
        })
    }

    pub fn log_out(&self, cookie: &str, now_ms: u64) {
        let Ok(session) = with_edge(|edge| edge.verify_officer_session(cookie)) else { return };
        self.end(session.number, session.begun.0 + self.session_ms, now_ms);
    }

    fn end(&self, number: u64, ends_ms: u64, now_ms: u64) {
        let mut inner = self.inner();
        inner.ended.retain(|_, ends| *ends > now_ms);
        if inner.ended.len() >= self.logouts_max {
            let oldest = inner.ended.iter().min_by_key(|(_, ends)| **ends).map(|(number, _)| *number);
            inner.ended.remove(&oldest.expect("the map is not empty here"));
        }
        inner.ended.insert(number, ends_ms);
    }

    /// A one-time code of 8 letters and digits, 39 bits, in two groups, that was not made here before. Where all of a
    /// minute's are made, the last one again.
    pub fn new_code(&self, node: &Handle, now_ms: u64) -> String {
        let minute = now_ms / MINUTE_MS;
        let first = rand::random_range(0..DRAWS);
        let draws = (0..DRAWS).map(|next| code_of(node, minute, (first + next) % DRAWS));
        let mut inner = self.inner();
        inner.made.retain(|(_, made)| *made == minute);
        let mut code = String::new();
        for draw in draws {
            code = draw;
            if !inner.made.iter().any(|(made, _)| *made == code) {
                break;
            }
        }
        if inner.made.len() < usize::from(DRAWS) {
            inner.made.push((code.clone(), minute));
        }
        format!("{}-{}", &code[..CODE_CHARS / 2], &code[CODE_CHARS / 2..])
    }

    /// Uses up a code; case, spaces and hyphens are forgiven. Cost: some 200 keyed hashes.
    pub fn use_code(&self, node: &Handle, typed: &str, now_ms: u64) -> bool {
        let typed: String = typed
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_uppercase())
            .take(64)
            .collect();
        let now = now_ms / MINUTE_MS;
        let minutes = now.saturating_sub(self.code_minutes)..=now;
        let mut found = None;
        for minute in minutes {
            for draw in 0..DRAWS {
                if bool::from(code_of(node, minute, draw).as_bytes().ct_eq(typed.as_bytes())) {
                    found = Some(minute);
                }
            }
        }
        let Some(minute) = found else { return false };
        let mut inner = self.inner();
        inner.used.retain(|(_, made)| made + self.code_minutes >= now);
        let is_new = !inner.used.iter().any(|(used, _)| *used == typed);
        if is_new && inner.used.len() < CODES_USED_MAX {
            inner.used.push((typed, minute));
            return true;
        }
        false
    }
}

/// The code of a minute and a draw: letters of a keyed hash. The last two of the alphabet are passed over, so that every
/// letter is as likely as another.
fn code_of(node: &Handle, minute: u64, draw: u8) -> String {
    let letters = node.pairing_bytes(minute, draw).map(|byte| ALPHABET[usize::from(byte & 31)]);
    letters.into_iter().filter(u8::is_ascii_alphanumeric).take(CODE_CHARS).map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_logouts_are_remembered_and_none_for_longer_than_its_session() {
        let officers = Officers::new(2, 1, 10);
        let ended = || officers.inner().ended.keys().copied().collect::<Vec<_>>();
        officers.end(1, 100, 0);
        officers.end(2, 200, 0);
        officers.end(3, 300, 0);
        assert_eq!(ended(), [2, 3]);
        officers.end(4, 400, 250);
        assert_eq!(ended(), [3, 4]);
    }
}
