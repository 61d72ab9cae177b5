//! Votes in bulk: NDJSON bodies of a gateway, one answer line per ballot.

use std::time::Duration;

use serde_json::json;

use super::drive::{Load, Next, Traffic, drive};
use super::machine::Machine;
use super::report::{Aim, Report};
use super::server::Server;
use super::{Context, http, votes_of};

pub const SLUG: &str = "bulk";
const CHOICES: [&str; 4] = ["alpha", "bravo", "delta", "gamma"];
const VOTER_DIGITS: usize = 12;

#[derive(clap::Args, Debug)]
pub struct BulkArgs {
    /// Different voters with one ballot each.
    #[arg(long, value_name = "N")]
    pub voters: Option<u64>,
    /// Ballots a body.
    #[arg(long, default_value_t = 4_000, value_name = "N")]
    pub lines: usize,
    #[arg(long, default_value_t = 8, value_name = "N")]
    pub connections: usize,
}

/// What the lines of a bulk body say. Lines are of one length, so that a body is patched in place.
pub trait Lines {
    /// A line, its newline included.
    fn template(&self) -> Vec<u8>;
    /// Writes the next ballot over `line`.
    fn patch(&mut self, line: &mut [u8]);
    /// Hears the answer line to `line`.
    fn answered(&mut self, line: &[u8], answer: &[u8]);
}

/// Bodies of `lines` ballots until `left` ballots are sent.
pub struct Bodies<'a, L> {
    pub lines: &'a mut L,
    pub slug: &'static str,
    pub lines_per_body: usize,
    pub left: u64,
    pub officer_token: &'static str,
    /// Answers that do not have one line per ballot.
    pub torn: u64,
}

impl<L: Lines> Bodies<'_, L> {
    fn write_request(&self, lines: usize, request: &mut Vec<u8>) {
        let line = self.lines.template();
        request.clear();
        request.extend_from_slice(
            format!(
                "POST /api/v1/elections/{}/ballots/bulk HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer \
                 {}\r\ncontent-type: application/x-ndjson\r\ncontent-length: {}\r\n\r\n",
                self.slug,
                self.officer_token,
                line.len() * lines
            )
            .as_bytes(),
        );
        (0..lines).for_each(|_| request.extend_from_slice(&line));
    }
}

impl<L: Lines> Traffic for Bodies<'_, L> {
    fn next(&mut self, _: usize, request: &mut Vec<u8>) -> Next {
        let lines = (self.lines_per_body as u64).min(self.left) as usize;
        if lines == 0 {
            return Next::Done;
        }
        self.left -= lines as u64;
        let length = self.lines.template().len();
        if request.is_empty() || lines < self.lines_per_body {
            self.write_request(lines, request);
        }
        let body_at = request.len() - lines * length;
        request[body_at..].chunks_exact_mut(length).for_each(|line| self.lines.patch(line));
        Next::Send
    }

    fn answered(&mut self, _: usize, request: &[u8], _: u16, body: &[u8]) {
        let length = self.lines.template().len();
        let head = request.windows(4).position(|window| window == b"\r\n\r\n").map_or(0, |at| at + 4);
        let (mut sent, mut answers) =
            (request[head..].chunks_exact(length), body.split_inclusive(|b| *b == b'\n'));
        loop {
            match (sent.next(), answers.next()) {
                (Some(line), Some(answer)) => self.lines.answered(line, answer),
                (None, None) => return,
                _ => {
                    self.torn += 1;
                    return;
                }
            }
        }
    }
}

/// Voters 1, 2, 3 … with one ballot each.
#[derive(Default)]
pub struct EveryVoterOnce {
    next: u64,
    pub accepted: u64,
    pub first_refusal: Option<String>,
}

impl EveryVoterOnce {
    /// Where the voter's digits and the choice stand in a line.
    const VOTER_AT: usize = r#"{"voter":""#.len();
    const CHOICE_AT: usize = Self::VOTER_AT + VOTER_DIGITS + r#"","choices":{"winner":[""#.len();

    pub fn cast_per_choice(votes: u64) -> [u64; CHOICES.len()] {
        let (whole, rest) = (votes / CHOICES.len() as u64, votes % CHOICES.len() as u64);
        std::array::from_fn(|choice| whole + u64::from((choice as u64) < rest))
    }
}

impl Lines for EveryVoterOnce {
    fn template(&self) -> Vec<u8> {
        b"{\"voter\":\"000000000000\",\"choices\":{\"winner\":[\"alpha\"]}}\n".to_vec()
    }

    fn patch(&mut self, line: &mut [u8]) {
        let choice = CHOICES[(self.next % CHOICES.len() as u64) as usize].as_bytes();
        let mut number = self.next;
        for digit in line[Self::VOTER_AT..Self::VOTER_AT + VOTER_DIGITS].iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
        line[Self::CHOICE_AT..Self::CHOICE_AT + choice.len()].copy_from_slice(choice);
        self.next += 1;
    }

    fn answered(&mut self, _: &[u8], answer: &[u8]) {
        if is_ok(answer) {
            self.accepted += 1;
        } else if self.first_refusal.is_none() {
            self.first_refusal = Some(String::from_utf8_lossy(answer).trim().to_owned());
        }
    }
}

/// Whether an answer line says that its ballot is in the ledger.
pub fn is_ok(answer: &[u8]) -> bool {
    answer.starts_with(b"{\"ok\":true") || http::contains(answer, b"\"ok\":true")
}

/// A server whose election took `voters` ballots in bulk, and how that went.
pub struct Filled {
    pub server: Server,
    pub load: Load,
    pub server_cpu: Duration,
    pub lines: EveryVoterOnce,
    pub torn: u64,
}

pub fn fill(context: &Context, voters: u64, args: &BulkArgs) -> anyhow::Result<Filled> {
    let server = Server::start(&context.folder().join("bulk"))?;
    server.create_and_open(&definition())?;
    let mut lines = EveryVoterOnce::default();
    let mut bodies = Bodies {
        lines: &mut lines,
        slug: SLUG,
        lines_per_body: args.lines,
        left: voters,
        officer_token: server.officer_token(),
        torn: 0,
    };
    let cpu_before = server.cpu_time();
    let load = drive(server.address(), args.connections, None, &mut bodies)?;
    let torn = bodies.torn;
    let server_cpu = server.cpu_time().saturating_sub(cpu_before);
    Ok(Filled { server, load, server_cpu, lines, torn })
}

pub fn definition() -> serde_json::Value {
    json!({
        "slug": SLUG, "title": "Bulk", "eligibility": "open", "results": "live", "revote": "forbid",
        "contest": [{"id": "winner", "title": "Who wins?", "method": "plurality", "choices": CHOICES}],
    })
}

pub fn run(context: &Context, args: &BulkArgs) -> anyhow::Result<Report> {
    let mut report = Report::new("bulk", &Machine::read(context.folder()));
    let filled = measure(context, args, &mut report)?;
    filled.server.stop()?;
    Ok(report)
}

/// Fills a server and writes down how fast that went and that the counts are right.
pub fn measure(context: &Context, args: &BulkArgs, report: &mut Report) -> anyhow::Result<Filled> {
    let voters = args.voters.unwrap_or(context.size(10_000_000, 20_000));
    report.method(format!(
        "NDJSON bodies of {} ballots on {} keep-alive connections, officer token, {voters} different voters named by \
         text; every ballot is checked, logged, synced and in the tree before its answer line",
        args.lines, args.connections
    ));
    let filled = fill(context, voters, args)?;
    let Filled { server, load, server_cpu, lines, torn } = &filled;
    let elapsed = load.elapsed.as_secs_f64();
    report.aimed("bulk votes", lines.accepted as f64 / elapsed, "/s", Aim::AtLeast(1_000_000.0));
    report.figure("bodies", load.per_second(), "/s");
    report.latencies("body", &load.latencies, None);
    report.figure("server, each vote", server_cpu.as_secs_f64() * 1e6 / voters as f64, "us of a core");
    report.figure("generator, each vote", load.generator.as_secs_f64() * 1e6 / voters as f64, "us of a core");
    let refusal = lines.first_refusal.clone().unwrap_or_default();
    let detail = format!(
        "{} of {voters} accepted, {torn} torn answers, {} {refusal}",
        lines.accepted,
        load.statuses()
    );
    report.check("every ballot is accepted", lines.accepted == voters && *torn == 0, detail);

    let results = server.results(SLUG)?;
    let counted = CHOICES.map(|choice| votes_of(&results, 0, choice));
    let expected = EveryVoterOnce::cast_per_choice(voters);
    report.check(
        "the counts are the generator's own",
        counted == expected,
        format!("{counted:?} of {expected:?}"),
    );
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_patched_where_its_voter_and_choice_stand() {
        let mut lines = EveryVoterOnce { next: 7_654_321, ..EveryVoterOnce::default() };
        let mut line = lines.template();
        lines.patch(&mut line);
        let text = String::from_utf8(line).unwrap();
        assert_eq!(text, "{\"voter\":\"000007654321\",\"choices\":{\"winner\":[\"bravo\"]}}\n");
    }

    #[test]
    fn votes_are_dealt_over_the_choices_in_turn() {
        assert_eq!(EveryVoterOnce::cast_per_choice(10), [3, 3, 2, 2]);
    }

    #[test]
    fn an_answer_with_a_line_too_few_is_torn() {
        let mut lines = EveryVoterOnce::default();
        let mut bodies =
            Bodies { lines: &mut lines, slug: SLUG, lines_per_body: 2, left: 5, officer_token: "t", torn: 0 };
        let mut request = Vec::new();
        assert_eq!(bodies.next(0, &mut request), Next::Send);
        bodies.answered(
            0,
            &request,
            200,
            b"{\"ok\":true,\"leaf_index\":1}\n{\"ok\":true,\"leaf_index\":2}\n",
        );
        assert_eq!(bodies.torn, 0);
        bodies.answered(0, &request, 200, b"{\"ok\":true,\"leaf_index\":1}\n");
        assert_eq!((bodies.torn, bodies.lines.accepted), (1, 3));
    }
}
