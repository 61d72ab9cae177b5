//! Cookies: what they are called, how they are set, how they are read.
//!
//! Over HTTPS they are `__Host-` and `Secure`. Over plain HTTP, a room's laptop, browsers would drop those,
//! so an unprefixed one is set. Names carry the ledger, which is the cluster: two clusters on one host do not share them,
//! the servers of one do.

use hyper::HeaderMap;
use hyper::header::{COOKIE, HeaderValue};

/// The language a person chose. It says nothing about anybody, so it is the same on every server of a host.
pub const LANGUAGE_COOKIE: &str = "hustings-language";

/// What a cookie is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose<'a> {
    /// A browser session: good for one ballot in each open election.
    Voter,
    /// A voter of one election's list; its id in hex.
    Listed(&'a str),
    Officer,
    /// The ledger's position that the browser has seen, so that the next server does not show it older things.
    Seen,
}

#[derive(Clone, Debug)]
pub struct Cookies {
    /// First 8 hexadecimal digits of the ledger id.
    ledger: String,
}

impl Cookies {
    pub fn new(ledger_hex: &str) -> Self {
        Self { ledger: ledger_hex.chars().take(8).collect() }
    }

    pub fn name(&self, purpose: Purpose<'_>, is_secure: bool) -> String {
        match purpose {
            Purpose::Voter => self.raw_name("voter", is_secure),
            Purpose::Listed(election) => {
                self.raw_name(&format!("list-{}", &election[..16.min(election.len())]), is_secure)
            }
            Purpose::Officer => self.raw_name("officer", is_secure),
            Purpose::Seen => self.raw_name("seen", is_secure),
        }
    }

    /// The name of the cookie for a purpose in words, as in [`Cookies::carried`].
    pub fn raw_name(&self, purpose: &str, is_secure: bool) -> String {
        let prefix = if is_secure { "__Host-" } else { "" };
        format!("{prefix}hustings-{}-{purpose}", self.ledger)
    }

    /// All of a browser's cookies of this cluster: their purposes in words, and their values.
    pub fn carried<'h>(&self, headers: &'h HeaderMap, is_secure: bool) -> Vec<(&'h str, &'h str)> {
        let start = self.raw_name("", is_secure);
        let mut carried: Vec<(&str, &str)> = Vec::new();
        for (name, value) in pairs(headers) {
            if let Some(purpose) = name.strip_prefix(&*start)
                && !carried.iter().any(|(known, _)| *known == purpose)
            {
                carried.push((purpose, value));
            }
        }
        carried
    }

    pub fn raw<'h>(&self, headers: &'h HeaderMap, purpose: &str, is_secure: bool) -> Option<&'h str> {
        find(headers, &self.raw_name(purpose, is_secure))
    }

    /// The value of a cookie in a request.
    pub fn get<'h>(&self, headers: &'h HeaderMap, purpose: Purpose<'_>, is_secure: bool) -> Option<&'h str> {
        find(headers, &self.name(purpose, is_secure))
    }

    /// The code of the language chosen in this browser.
    pub fn language<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        find(headers, LANGUAGE_COOKIE)
    }

    /// A `Set-Cookie` value that lives as long as the browser, or for `max_age_seconds`.
    pub fn set(
        &self,
        purpose: Purpose<'_>,
        is_secure: bool,
        value: &str,
        max_age_seconds: Option<u64>,
    ) -> HeaderValue {
        self.set_named(&self.name(purpose, is_secure), is_secure, value, max_age_seconds)
    }

    /// As [`Cookies::set`], for a purpose in words whose value was checked.
    pub fn set_raw(
        &self,
        purpose: &str,
        is_secure: bool,
        value: &str,
        max_age_seconds: Option<u64>,
    ) -> HeaderValue {
        self.set_named(&self.raw_name(purpose, is_secure), is_secure, value, max_age_seconds)
    }

    fn set_named(
        &self,
        name: &str,
        is_secure: bool,
        value: &str,
        max_age_seconds: Option<u64>,
    ) -> HeaderValue {
        let secure = if is_secure { "; Secure" } else { "" };
        let age = max_age_seconds.map_or_else(String::new, |seconds| format!("; Max-Age={seconds}"));
        let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{age}{secure}");
        HeaderValue::try_from(text).expect("names and tokens are of visible ASCII")
    }

    /// The cookie that remembers up to where a browser has seen the ledger, for as long as it is open.
    pub fn seen(&self, position: u64, is_secure: bool) -> HeaderValue {
        self.set(Purpose::Seen, is_secure, &position.to_string(), None)
    }

    fn draft_name(&self) -> String {
        format!("hustings-{}-draft", self.ledger)
    }

    /// What is marked on the ballot at hand; the browser sends that of this election only.
    pub fn draft<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        find(headers, &self.draft_name())
    }

    /// Keeps a draft for the pages of one election, until the browser is closed; an empty one removes it. Its path takes
    /// the `__Host-` prefix from it: it is no credential, and carries its own proof.
    pub fn set_draft(&self, slug: &str, value: &str, is_secure: bool) -> HeaderValue {
        let secure = if is_secure { "; Secure" } else { "" };
        let age = if value.is_empty() { "; Max-Age=0" } else { "" };
        let text =
            format!("{}={value}; Path=/e/{slug}; HttpOnly; SameSite=Lax{age}{secure}", self.draft_name());
        HeaderValue::try_from(text).expect("names, slugs and drafts are of visible ASCII")
    }

    pub fn remove(&self, purpose: Purpose<'_>, is_secure: bool) -> HeaderValue {
        self.set(purpose, is_secure, "", Some(0))
    }
}

fn find<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    pairs(headers).find_map(|(found, value)| (found == name).then_some(value))
}

fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_host_bound_over_https_and_named_after_the_ledger() {
        let cookies = Cookies::new("00112233445566778899aabbccddeeff");
        let secure = cookies.set(Purpose::Voter, true, "abc", None);
        assert_eq!(secure, "__Host-hustings-00112233-voter=abc; Path=/; HttpOnly; SameSite=Lax; Secure");
        let plain = cookies.set(Purpose::Officer, false, "abc", Some(60));
        assert_eq!(plain, "hustings-00112233-officer=abc; Path=/; HttpOnly; SameSite=Lax; Max-Age=60");
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let cookies = Cookies::new("00112233");
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, "a=b; hustings-00112233-voter=token; c=d".parse().unwrap());
        assert_eq!(cookies.get(&headers, Purpose::Voter, false), Some("token"));
        assert_eq!(cookies.get(&headers, Purpose::Voter, true), None);
        assert_eq!(cookies.get(&headers, Purpose::Officer, false), None);
    }
}
