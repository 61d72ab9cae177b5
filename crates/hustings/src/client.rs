//! The HTTP side of every command that talks to a server: one blocking client, and answers turned into
//! results or into a [`Failure`] with the right exit code and a sentence that helps.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use ureq::http::{Method, Request, StatusCode};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body};

use crate::exit::{Exit, Failure};

pub const DEFAULT_SERVER: &str = "http://127.0.0.1:8700";
/// Largest JSON answer read into memory. Records are streamed and have no such limit.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How to reach a server, as given on the command line.
#[derive(Clone, Debug, clap::Args)]
pub struct ServerOptions {
    /// Server to talk to
    #[arg(long, global = true, env = "HUSTINGS_SERVER", value_name = "URL", default_value = DEFAULT_SERVER,
          help_heading = "Server")]
    pub server: String,

    /// File that holds the officer token, `-` for standard input; else HUSTINGS_OFFICER_TOKEN
    #[arg(
        long,
        global = true,
        env = "HUSTINGS_OFFICER_TOKEN_FILE",
        value_name = "FILE",
        help_heading = "Server"
    )]
    pub officer_token_file: Option<PathBuf>,

    /// Certificate (PEM) to trust beside the public ones, for a server that signs its own
    #[arg(long, global = true, env = "HUSTINGS_CA_CERT", value_name = "FILE", help_heading = "Server")]
    pub ca_cert: Option<PathBuf>,

    /// Longest wait for an answer
    #[arg(
        long,
        global = true,
        env = "HUSTINGS_TIMEOUT_SECONDS",
        value_name = "SECONDS",
        default_value_t = 30,
        help_heading = "Server"
    )]
    pub timeout_seconds: u64,
}

/// An officer's or voter's bearer token. `Debug` prints nothing of it.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    pub fn new(text: &str) -> Result<Self, Failure> {
        let text = text.trim();
        match text.is_empty() || text.chars().any(|c| !c.is_ascii_graphic()) {
            true => Err(Failure::usage("a token is one line of letters and digits; this one is not")),
            false => Ok(Self(text.to_owned())),
        }
    }

    /// From a file, or from standard input where the file is `-`.
    pub fn read(path: &Path) -> Result<Self> {
        let text = match path == Path::new("-") {
            true => io::read_to_string(io::stdin()).context("cannot read the token from standard input")?,
            false => fs::read_to_string(path).map_err(|error| {
                Failure::usage(format!("cannot read token file `{}`: {error}", path.display()))
            })?,
        };
        Ok(Self::new(&text)?)
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The officer token of this run: the file if one is named, else the environment, else none.
pub fn officer_token(options: &ServerOptions) -> Result<Option<Token>> {
    if let Some(path) = &options.officer_token_file {
        return Token::read(path).map(Some);
    }
    match std::env::var("HUSTINGS_OFFICER_TOKEN") {
        Ok(text) if !text.trim().is_empty() => Ok(Some(Token::new(&text)?)),
        _ => Ok(None),
    }
}

/// A blocking HTTP client of one server.
#[derive(Clone, Debug)]
pub struct Client {
    agent: Agent,
    /// For streams: no limit on the whole answer.
    streams: Agent,
    base: String,
    token: Option<Token>,
}

impl Client {
    /// A client with the officer's token where there is one.
    pub fn new(options: &ServerOptions) -> Result<Self> {
        let base = server_base(&options.server)?;
        let wait = Duration::from_secs(options.timeout_seconds.max(1));
        let tls = tls_config(options.ca_cert.as_deref())?;
        let agent = |whole: Option<Duration>| -> Agent {
            let config = Agent::config_builder()
                .http_status_as_error(false)
                .timeout_connect(Some(CONNECT_TIMEOUT.min(wait)))
                .timeout_recv_response(Some(wait))
                .timeout_global(whole)
                .max_redirects(0)
                .tls_config(tls.clone())
                .user_agent(concat!("hustings/", env!("CARGO_PKG_VERSION")));
            match is_loopback(&base) {
                true => config.proxy(None).build().into(),
                false => config.build().into(),
            }
        };
        Ok(Self { agent: agent(Some(wait)), streams: agent(None), base, token: officer_token(options)? })
    }

    /// The same server, as somebody else (or as nobody).
    pub fn with_token(&self, token: Option<Token>) -> Self {
        Self { token, ..self.clone() }
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    pub fn get(&self, path: &str) -> Result<Value> {
        json(self.send(Method::GET, path, None, &[])?)
    }

    /// Posts a JSON body (none: an empty one) and reads the JSON answer.
    pub fn post(&self, path: &str, body: Option<&Value>) -> Result<Value> {
        self.post_with(path, body, &[])
    }

    pub fn post_with(&self, path: &str, body: Option<&Value>, headers: &[(&str, &str)]) -> Result<Value> {
        json(self.send(Method::POST, path, body, headers)?)
    }

    /// Posts a file and reads the JSON answer.
    pub fn post_bytes(&self, path: &str, content_type: &str, bytes: Vec<u8>) -> Result<Value> {
        let request = self.request(Method::POST, path, &[("content-type", content_type)]);
        let request = request.body(bytes).context("building the request")?;
        json(refuse(self.agent.run(request).map_err(|error| self.unreachable(error))?)?)
    }

    pub fn text(&self, path: &str) -> Result<String> {
        let mut answer = self.send(Method::GET, path, None, &[])?;
        Ok(answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string().map_err(broken_off)?)
    }

    /// A long answer as a reader: record or live feed. Reading it has no time limit.
    pub fn stream(&self, path: &str, headers: &[(&str, &str)]) -> Result<Stream> {
        let request = self.request(Method::GET, path, headers).body(()).context("building the request")?;
        let answer = self.streams.run(request).map_err(|error| self.unreachable(error))?;
        let answer = refuse(answer)?;
        let length =
            answer.headers().get("content-length").and_then(|value| value.to_str().ok()?.parse().ok());
        Ok(Stream { length, reader: Box::new(answer.into_body().into_reader()) })
    }

    fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Result<ureq::http::Response<Body>> {
        let mut request = self.request(method, path, headers);
        let text = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                body.to_string()
            }
            None => String::new(),
        };
        let request = request.body(text).context("building the request")?;
        refuse(self.agent.run(request).map_err(|error| self.unreachable(error))?)
    }

    fn request(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> ureq::http::request::Builder {
        let mut request =
            Request::builder().method(method).uri(format!("{}{path}", self.base)).header("accept", "*/*");
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {}", token.reveal()));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request
    }

    fn unreachable(&self, error: ureq::Error) -> Failure {
        let base = &self.base;
        let cause = cause_of(&error);
        let hint = match &error {
            ureq::Error::Io(io) if io.kind() == io::ErrorKind::ConnectionRefused => Some(
                "No server listens there. Start one with `hustings serve` (or `hustings demo`), or name another \
                 with --server URL.",
            ),
            ureq::Error::ConnectionFailed => {
                Some("Start one with `hustings serve`, or name another with --server URL.")
            }
            ureq::Error::HostNotFound => Some("Check the name in --server URL or HUSTINGS_SERVER."),
            ureq::Error::Timeout(_) => {
                Some("The server is slow or a firewall swallows the connection; see --timeout-seconds.")
            }
            ureq::Error::Io(io) if io.to_string().contains("certificate") => {
                Some("For a certificate of your own, name its file with --ca-cert FILE.")
            }
            ureq::Error::Rustls(_) | ureq::Error::Tls(_) | ureq::Error::TlsRequired => {
                Some("For a certificate of your own, name its file with --ca-cert FILE.")
            }
            _ => None,
        };
        let failure = Failure::new(Exit::Unreachable, format!("cannot reach the server at {base}: {cause}"));
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// An answer that is read as it comes.
pub struct Stream {
    /// Bytes to come, where the server said so.
    pub length: Option<u64>,
    reader: Box<dyn Read + Send>,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("length", &self.length).finish_non_exhaustive()
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

/// One segment of a path, percent-encoded.
pub fn segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(byte as char),
            _ => encoded += &format!("%{byte:02X}"),
        }
    }
    encoded
}

/// `/api/v1/elections/SLUG` and what follows it.
pub fn election_path(slug: &str, rest: &str) -> String {
    format!("/api/v1/elections/{}{rest}", segment(slug))
}

fn server_base(text: &str) -> Result<String, Failure> {
    let with_scheme = match text.contains("://") {
        true => text.to_owned(),
        false => format!("http://{text}"),
    };
    let base = with_scheme.trim_end_matches('/').to_owned();
    let wrong = |why: &str| {
        Err(Failure::usage(format!("`{text}` is not the address of a server: {why}"))
            .hint("An address looks like http://127.0.0.1:8700 or https://vote.example.org."))
    };
    match base.parse::<ureq::http::Uri>() {
        Ok(uri) if uri.host().is_none_or(str::is_empty) => wrong("it names no host"),
        Ok(uri) if !matches!(uri.scheme_str(), Some("http" | "https")) => {
            wrong("it must begin with http:// or https://")
        }
        Ok(_) => Ok(base),
        Err(error) => wrong(&error.to_string()),
    }
}

fn is_loopback(base: &str) -> bool {
    let Some(host) = base.parse::<ureq::http::Uri>().ok().and_then(|uri| uri.host().map(str::to_owned))
    else {
        return false;
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn tls_config(ca_cert: Option<&Path>) -> Result<TlsConfig> {
    let Some(path) = ca_cert else {
        return Ok(TlsConfig::default());
    };
    let unreadable = |why: String| {
        Failure::usage(format!("cannot use certificate file `{}`: {why}", path.display()))
            .hint("It must be a PEM file that begins with -----BEGIN CERTIFICATE-----.")
    };
    let pem = fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    let certificate = Certificate::from_pem(&pem).map_err(|error| unreadable(error.to_string()))?;
    Ok(TlsConfig::builder().root_certs(RootCerts::new_with_certs(&[certificate])).build())
}

/// The innermost cause in few words: "connection refused", not four layers of it.
fn cause_of(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(io) => match io.kind() {
            io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
            io::ErrorKind::ConnectionReset => "the connection was reset".to_owned(),
            io::ErrorKind::UnexpectedEof => "the connection was closed without an answer".to_owned(),
            _ => io.to_string(),
        },
        ureq::Error::HostNotFound => "no such host".to_owned(),
        ureq::Error::Timeout(which) => format!("no answer in time ({which})"),
        other => other.to_string(),
    }
}

fn broken_off(error: ureq::Error) -> Failure {
    Failure::new(Exit::Unreachable, format!("the answer broke off: {}", cause_of(&error)))
}

fn json(mut answer: ureq::http::Response<Body>) -> Result<Value> {
    let status = answer.status();
    let text =
        answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string().map_err(broken_off)?;
    if text.is_empty() && status.is_success() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&text).map_err(|error| {
        Failure::new(Exit::Damaged, format!("the answer is not JSON: {error}"))
            .hint("Is there something else than a Hustings server at this address?")
            .into()
    })
}

/// Turns an answer that is not 2xx into a failure.
fn refuse(mut answer: ureq::http::Response<Body>) -> Result<ureq::http::Response<Body>> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let retry_after = answer.headers().get("retry-after").and_then(|v| v.to_str().ok()).map(str::to_owned);
    let text = answer.body_mut().with_config().limit(1 << 20).read_to_string().unwrap_or_default();
    Err(refusal(status, &text, retry_after.as_deref()).into())
}

fn refusal(status: StatusCode, body: &str, retry_after: Option<&str>) -> Failure {
    let exit = match status.is_client_error() {
        true => Exit::Refused,
        false => Exit::Unavailable,
    };
    let problem: Value = serde_json::from_str(body).unwrap_or(Value::Null);
    let Some(code) = problem["code"].as_str() else {
        let failure = Failure::new(exit, format!("the server answered {status}"));
        return match status.is_redirection() || problem.is_null() {
            true => failure.hint("Is there something else than a Hustings server at this address?"),
            false => failure,
        };
    };
    let exit = if code == "not_known_yet" { Exit::NotKnown } else { exit };
    let title = problem["title"].as_str().unwrap_or(code);
    let detail = problem["detail"].as_str().filter(|detail| !detail.is_empty()).unwrap_or(title);
    let message = match problem["field"].as_str() {
        Some(field) => format!("{detail} (field `{field}`)"),
        None => detail.to_owned(),
    };
    let failure = Failure::new(exit, message).code(code);
    match (code, retry_after) {
        ("unauthorized" | "forbidden", _) => failure.hint(
            "An officer's command needs the officer token: set HUSTINGS_OFFICER_TOKEN, or name a file with \
             --officer-token-file. The server printed it at its first start.",
        ),
        ("election_not_open", _) => failure.hint("An officer opens it with `hustings election open SLUG`."),
        ("not_a_cluster", _) => {
            failure.hint("The guide's operator page says how three servers become one: serve --cluster NAME.")
        }
        ("unknown_node", _) => failure.hint("`hustings cluster members` shows who belongs to it."),
        ("not_known_yet", _) => failure.hint("Ask again with the same idempotency key: it counts once."),
        ("no_such_election", _) => failure.hint("`hustings election list` shows what there is."),
        (_, Some(seconds)) => failure.hint(format!("Try again in {seconds} s.")),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_leave_out_its_scheme_and_keeps_no_slash() {
        assert_eq!(server_base("127.0.0.1:8700").expect("good"), "http://127.0.0.1:8700");
        assert_eq!(server_base("https://vote.example.org/").expect("good"), "https://vote.example.org");
        for wrong in ["ftp://x", "http://", "http://a b"] {
            assert_eq!(server_base(wrong).expect_err(wrong).exit, Exit::Usage, "{wrong}");
        }
    }

    #[test]
    fn a_path_segment_cannot_leave_its_place() {
        assert_eq!(segment("../a b/é"), "..%2Fa%20b%2F%C3%A9");
    }

    #[test]
    fn a_problem_document_becomes_a_sentence_with_its_code() {
        let body = r#"{"type":"/errors#already_voted","title":"Already voted","status":409,"code":"already_voted",
            "detail":"u1 has already voted in `100`"}"#;
        let failure = refusal(StatusCode::CONFLICT, body, None);
        assert_eq!(failure.exit, Exit::Refused);
        assert_eq!(failure.message, "u1 has already voted in `100`");
        assert_eq!(failure.code.as_deref(), Some("already_voted"));
    }

    #[test]
    fn an_overloaded_server_says_when_to_come_back() {
        let body = r#"{"code":"overloaded","title":"Overloaded","detail":"the queue is full"}"#;
        let failure = refusal(StatusCode::SERVICE_UNAVAILABLE, body, Some("2"));
        assert_eq!(failure.exit, Exit::Unavailable);
        assert_eq!(failure.hint.as_deref(), Some("Try again in 2 s."));
    }

    #[test]
    fn what_is_not_known_yet_has_an_exit_code_of_its_own() {
        let body = r#"{"code":"not_known_yet","title":"Not known yet","detail":"it is not known yet"}"#;
        let failure = refusal(StatusCode::SERVICE_UNAVAILABLE, body, Some("1"));
        assert_eq!(failure.exit, Exit::NotKnown);
        assert_eq!(failure.hint.as_deref(), Some("Ask again with the same idempotency key: it counts once."));
    }

    #[test]
    fn another_program_at_the_address_is_told_from_a_hustings_server() {
        let failure = refusal(StatusCode::NOT_FOUND, "<html>nginx</html>", None);
        assert_eq!(failure.message, "the server answered 404 Not Found");
        assert!(failure.hint.is_some());
    }

    #[test]
    fn a_token_shows_nothing_of_itself() {
        let token = Token::new(" secret\n").expect("good");
        assert_eq!(format!("{token:?}"), "Token(…)");
        assert_eq!(token.reveal(), "secret");
        assert!(Token::new("two words").is_err());
    }
}
