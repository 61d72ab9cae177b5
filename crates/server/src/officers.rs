//! Officers' browsers: who is logged in, and one-time codes that let another device in.
//!
//! Kept in memory and bounded: a restart logs everybody out, which is the safe side.

use proof::sha256;
use rand::Rng;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use subtle::ConstantTimeEq;

/// Letters and digits of pairing codes: none that look alike.
const ALPHABET: &[u8; 32] = b"23456789ABCDEFGHJKMNPQRSTVWXYZ+=";
const CODE_CHARS: usize = 8;
const CODES_MAX: usize = 4;

#[derive(Debug)]
pub struct Officers {
    sessions_max: usize,
    session_ms: u64,
    code_ms: u64,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Hash of the session's cookie → when it ends. A hash, so that a memory dump logs nobody in.
    sessions: BTreeMap<[u8; 32], u64>,
    /// Code and when it ends; each works once.
    codes: Vec<(String, u64)>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("sessions", &self.sessions.len()).finish_non_exhaustive()
    }
}

impl Officers {
    pub fn new(sessions_max: usize, session_hours: u32, code_minutes: u32) -> Self {
        Self {
            sessions_max: sessions_max.max(1),
            session_ms: u64::from(session_hours) * 3_600_000,
            code_ms: u64::from(code_minutes) * 60_000,
            inner: Mutex::default(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Begins a session and returns its cookie. The oldest session ends if there are too many.
    pub fn log_in(&self, now_ms: u64) -> String {
        let mut bytes = [0; 32];
        rand::rng().fill_bytes(&mut bytes);
        let cookie = data_encoding::BASE64URL_NOPAD.encode(&bytes);
        let mut inner = self.inner();
        inner.sessions.retain(|_, ends| *ends > now_ms);
        while inner.sessions.len() >= self.sessions_max {
            let oldest = inner.sessions.iter().min_by_key(|(_, ends)| **ends).map(|(hash, _)| *hash);
            inner.sessions.remove(&oldest.expect("the map is not empty here"));
        }
        inner.sessions.insert(sha256(&[cookie.as_bytes()]).0, now_ms + self.session_ms);
        cookie
    }

    pub fn is_logged_in(&self, cookie: &str, now_ms: u64) -> bool {
        // The map is searched by hash, so timing says nothing about the cookie.
        self.inner().sessions.get(&sha256(&[cookie.as_bytes()]).0).is_some_and(|ends| *ends > now_ms)
    }

    pub fn log_out(&self, cookie: &str) {
        self.inner().sessions.remove(&sha256(&[cookie.as_bytes()]).0);
    }

    /// A new one-time code of 8 letters and digits, 38 bits, in two groups.
    pub fn new_code(&self, now_ms: u64) -> String {
        let mut bytes = [0; 64];
        rand::rng().fill_bytes(&mut bytes);
        // The last two of the alphabet are drawn again, so that every letter is as likely as another.
        let letters = bytes.iter().map(|byte| ALPHABET[usize::from(byte & 31)]);
        let code: String =
            letters.filter(u8::is_ascii_alphanumeric).take(CODE_CHARS).map(char::from).collect();
        let mut inner = self.inner();
        inner.codes.retain(|(_, ends)| *ends > now_ms);
        if inner.codes.len() >= CODES_MAX {
            inner.codes.remove(0);
        }
        inner.codes.push((code.clone(), now_ms + self.code_ms));
        format!("{}-{}", &code[..4], &code[4..])
    }

    /// Uses up a code; case, spaces and hyphens are forgiven.
    pub fn use_code(&self, typed: &str, now_ms: u64) -> bool {
        let typed: String = typed
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_uppercase())
            .take(64)
            .collect();
        let mut inner = self.inner();
        let found = inner
            .codes
            .iter()
            .position(|(code, ends)| *ends > now_ms && bool::from(code.as_bytes().ct_eq(typed.as_bytes())));
        found.map(|place| inner.codes.remove(place)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pairing_code_works_once_and_not_for_ever() {
        let officers = Officers::new(2, 1, 10);
        let code = officers.new_code(0);
        assert_eq!(code.len(), 9);
        assert!(!officers.use_code("2222-2222", 1));
        assert!(officers.use_code(&code.to_lowercase().replace('-', " "), 1));
        assert!(!officers.use_code(&code, 1));
        let late = officers.new_code(0);
        assert!(!officers.use_code(&late, 600_000));
    }

    #[test]
    fn sessions_end_by_time_by_logout_and_when_there_are_too_many() {
        let officers = Officers::new(2, 1, 10);
        let first = officers.log_in(0);
        let second = officers.log_in(1);
        assert!(officers.is_logged_in(&first, 2) && officers.is_logged_in(&second, 2));
        let third = officers.log_in(2);
        assert!(!officers.is_logged_in(&first, 3));
        officers.log_out(&third);
        assert!(!officers.is_logged_in(&third, 3));
        assert!(officers.is_logged_in(&second, 3_600_000) && !officers.is_logged_in(&second, 3_600_001));
        assert!(!officers.is_logged_in("", 3));
    }
}
