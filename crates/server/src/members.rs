//! The other addresses of this cluster, where each server has one of its own, and what browsers may do across them.
//!
//! ```text
//! page from A ── A is silent ──▶ feed of B: CORS, no cookies             every form carries what A's cookies said,
//!                            └─▶ form to B: `as-voter`, same key ──────▶ and B makes cookies of its own of it
//! ```
//!
//! Behind one public name all servers say the same address; then there are no others, and nothing here does anything.

use crate::pages::CONTENT_SECURITY_POLICY;
use hyper::header::{HeaderMap, HeaderName, HeaderValue, ORIGIN, VARY};
use hyper::{Method, StatusCode};
use node::ClusterView;

/// Addresses that go into every page; a cluster has three to five.
const OTHERS_MAX: usize = 8;
const POLICY: HeaderName = HeaderName::from_static("content-security-policy");

/// What pages and answers need to know of the cluster.
#[derive(Debug, PartialEq, Eq)]
pub struct Members {
    /// Whether several servers keep the ledger, behind one address or several.
    pub is_cluster: bool,
    /// Scheme and authority of the other servers that have an address of their own, the next id first.
    pub others: Vec<String>,
    /// As [`Members::others`], with a space before each.
    sources: String,
    policy: HeaderValue,
}

impl Members {
    /// `also`: further addresses of the same ledger that the node does not know of.
    pub fn of(view: &ClusterView, base_url: &str, also: &[String]) -> Self {
        let mut nodes: Vec<_> = view.nodes.iter().collect();
        // Each server names another one first, so that not everybody goes to the same.
        nodes.sort_by_key(|node| (node.id <= view.this, node.id));
        let addresses = nodes.into_iter().map(|node| &node.address).chain(also);
        let mut others: Vec<String> = Vec::new();
        for address in addresses.map(|address| address.trim_end_matches('/')) {
            let is_other = address != base_url && !others.iter().any(|known| known == address);
            if is_other && is_origin(address) && others.len() < OTHERS_MAX {
                others.push(address.to_owned());
            }
        }
        let sources: String = others.iter().map(|address| format!(" {address}")).collect();
        let policy = widened(CONTENT_SECURITY_POLICY, &sources);
        let policy = HeaderValue::try_from(policy).expect("origins are of visible ASCII");
        Self { is_cluster: view.nodes.len() > 1, others, sources, policy }
    }

    /// Whether `origin` is one of the other servers.
    pub fn knows(&self, origin: &HeaderValue) -> bool {
        self.others.iter().any(|other| other.as_bytes() == origin.as_bytes())
    }

    /// Lets a page's script and forms reach the other servers too, and its forms say where they come from.
    pub fn open_page(&self, headers: &mut HeaderMap) {
        let Some(policy) = headers.get(POLICY).filter(|_| !self.others.is_empty()) else { return };
        let policy = if policy == CONTENT_SECURITY_POLICY {
            self.policy.clone()
        } else {
            let text = widened(policy.to_str().unwrap_or_default(), &self.sources);
            HeaderValue::try_from(text).unwrap_or_else(|_| policy.clone())
        };
        headers.insert(POLICY, policy);
        // Under `same-origin` browsers send `Origin: null` with a form for another server.
        headers.insert(
            HeaderName::from_static("referrer-policy"),
            HeaderValue::from_static("strict-origin-when-cross-origin"),
        );
    }

    /// The origin of a request that comes from another server's page and may be answered to it: for the feeds, for a
    /// ballot with its own token, and for asking whether this server answers. Never with cookies.
    pub fn admitted(&self, headers: &HeaderMap, path: &str) -> Option<HeaderValue> {
        let origin = (!self.others.is_empty()).then(|| headers.get(ORIGIN)).flatten()?;
        (cors_method(path).is_some() && self.knows(origin)).then(|| origin.clone())
    }
}

/// An origin as browsers write it, and nothing that would end a directive of a policy.
fn is_origin(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")) else {
        return false;
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    !rest.is_empty() && rest.len() <= 255 && rest.bytes().all(is_plain)
}

fn widened(policy: &str, sources: &str) -> String {
    let mut policy = policy.to_owned();
    for directive in ["connect-src 'self'", "form-action 'self'"] {
        policy = policy.replace(directive, &format!("{directive}{sources}"));
    }
    policy
}

/// The method with which pages of other servers may ask for `path`.
fn cors_method(path: &str) -> Option<&'static str> {
    let within = |start: &str, end: &str| {
        let name = path.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
        name.is_some_and(|name| !name.is_empty() && !name.contains('/'))
    };
    if path == "/readyz" || within("/r/", "/events") || within("/api/v1/elections/", "/events") {
        Some("GET")
    } else if within("/api/v1/elections/", "/ballots") {
        Some("POST")
    } else {
        None
    }
}

/// Whether this asks what a page of another server may do.
pub fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS && headers.contains_key("access-control-request-method")
}

/// The answer to that.
pub fn preflight(path: &str) -> hyper::Response<crate::body::ResponseBody> {
    let mut response = hyper::Response::new(crate::body::ResponseBody::full(bytes::Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    for (name, value) in [
        ("access-control-allow-methods", cors_method(path).unwrap_or_default()),
        ("access-control-allow-headers", "authorization, content-type, idempotency-key"),
        ("access-control-max-age", "600"),
    ] {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

/// Lets the page at `origin` read this answer.
pub fn admit(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(HeaderName::from_static("access-control-allow-origin"), origin);
    headers.insert(
        HeaderName::from_static("access-control-expose-headers"),
        HeaderValue::from_static("retry-after"),
    );
    headers.append(VARY, HeaderValue::from_static("origin"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(addresses: &[&str]) -> ClusterView {
        let node = |(place, address): (usize, &&str)| node::cluster_view::NodeView {
            id: place as u64 + 1,
            role: node::cluster_view::NodeRole::Follower,
            address: (*address).to_owned(),
            node_address: None,
            position: 0,
            clock_offset_ms: 0,
            clock_error_ms: None,
            heard_ms_ago: None,
            disk_free_bytes: None,
            version: None,
        };
        ClusterView {
            name: Some("hall".to_owned()),
            cluster: "00".repeat(16),
            this: 2,
            leader: Some(1),
            term: 1,
            position: 0,
            can_lose: Some(1),
            nodes: addresses.iter().enumerate().map(node).collect(),
            elections: Vec::new(),
            troubles: Vec::new(),
            at: election::UnixMillis(0),
        }
    }

    #[test]
    fn servers_with_addresses_of_their_own_stand_in_the_policy() {
        let members = Members::of(&view(&["http://a:1", "http://b:1", "http://c:1"]), "http://b:1", &[]);
        assert_eq!(members.others, ["http://c:1", "http://a:1"]);
        let mut headers = HeaderMap::new();
        crate::pages::set_security_headers(&mut headers);
        members.open_page(&mut headers);
        let policy = headers[POLICY].to_str().unwrap();
        assert!(
            policy.contains(
                "connect-src 'self' http://c:1 http://a:1; form-action 'self' http://c:1 http://a:1;"
            )
        );
    }

    #[test]
    fn behind_one_name_the_policy_stays_as_it_is() {
        let members = Members::of(&view(&["https://vote.example"; 3]), "https://vote.example", &[]);
        assert!(members.is_cluster && members.others.is_empty());
        let mut headers = HeaderMap::new();
        crate::pages::set_security_headers(&mut headers);
        let before = headers.clone();
        members.open_page(&mut headers);
        assert_eq!(headers, before);
    }

    #[test]
    fn an_address_cannot_widen_the_policy_beyond_itself() {
        let odd = ["http://a; script-src *", "javascript:x", "http://", "//a", "http://a b", "http://*"];
        assert_eq!(Members::of(&view(&odd), "http://own", &[]).others, Vec::<String>::new());
    }

    #[test]
    fn other_servers_pages_get_feeds_and_ballots_and_nothing_else() {
        let members = Members::of(&view(&["http://a:1", "http://b:1"]), "http://b:1", &[]);
        let admitted = |origin: &'static str, path: &str| {
            let headers = HeaderMap::from_iter([(ORIGIN, HeaderValue::from_static(origin))]);
            members.admitted(&headers, path).is_some()
        };
        for path in
            ["/readyz", "/r/ABC/events", "/api/v1/elections/lunch/events", "/api/v1/elections/lunch/ballots"]
        {
            assert!(admitted("http://a:1", path), "{path}");
            assert!(!admitted("http://a", path) && !admitted("null", path), "{path}");
        }
        for path in
            ["/", "/e/lunch", "/e/lunch/receipt", "/api/v1/elections/lunch/ballot", "/admin", "/r//events"]
        {
            assert!(!admitted("http://a:1", path), "{path}");
        }
    }
}
