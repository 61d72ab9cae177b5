//! The Voter workload: telephone votes for contestants, at most so many a number, totals per contestant and state.
//!
//! As VoltDB and BenchBase define it: a vote names a phone number and a contestant; it is refused when there is no
//! such contestant or the number has used up its votes; it is counted for the contestant in the state of the
//! number's area code, `XX` when the code belongs to none. Half of the callers follow their area's favourite; one
//! in a hundred names a contestant who is not there. Here the gateway looks up the state and sends it as `group`, and
//! one caller in twenty calls again, so that the limit is met, which ten million numbers an area never bring about.

use std::collections::HashMap;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::bulk::{Bodies, Lines, is_ok};
use super::drive::{Load, Next, Traffic, drive};
use super::machine::Machine;
use super::report::Report;
use super::server::Server;
use super::{Context, http};

const SLUG: &str = "voter";
const CONTESTANTS: usize = 6;
/// The number of a contestant who is not there: one vote in a hundred names it.
const NOBODY: usize = CONTESTANTS;
const VOTES_PER_NUMBER: u16 = 2;
const NUMBERS_PER_AREA: u64 = 10_000_000;

#[derive(clap::Args, Debug)]
pub struct VoterArgs {
    /// Calls in bulk.
    #[arg(long, value_name = "N")]
    pub calls: Option<u64>,
    /// Calls as single requests.
    #[arg(long, value_name = "N")]
    pub single_calls: Option<u64>,
}

/// One call in so many is from a number that called a short while ago.
const REDIALS_ONE_IN: u64 = 20;
const RECENT: usize = 1024;
const BULK_LANES: usize = 8;
const SINGLE_LANES: usize = 256;

/// One call: all of a vote.
#[derive(Clone, Copy)]
struct Call {
    phone: u64,
    contestant: usize,
    state: usize,
}

/// Draws calls, and keeps the totals of those the server took.
struct Caller {
    random: SplitMix,
    areas: Vec<(u64, usize)>,
    /// Numbers that called last, with their states.
    recent: Vec<(u64, usize)>,
    /// Calls accepted and calls for a contestant there is, per number.
    numbers: HashMap<u64, (u16, u16)>,
    /// Accepted, per contestant and state.
    totals: Vec<[u64; CONTESTANTS]>,
    accepted: u64,
    over_limit: u64,
    no_contestant: u64,
    other: Vec<String>,
}

/// Sebastiano Vigna's SplitMix64: a seed gives the same calls in every run.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }
}

impl Caller {
    fn new(seed: u64) -> Self {
        let areas = STATES.iter().enumerate().flat_map(|(state, (_, codes))| {
            codes.split(' ').map(move |code| (code.parse().expect("area codes are numbers"), state))
        });
        let mut areas: Vec<(u64, usize)> = areas.collect();
        // A code that no state has: its votes count for `XX`.
        areas.push((999, STATES.len()));
        Self {
            random: SplitMix(seed),
            areas,
            recent: Vec::with_capacity(RECENT),
            numbers: HashMap::new(),
            totals: vec![[0; CONTESTANTS]; STATES.len() + 1],
            accepted: 0,
            over_limit: 0,
            no_contestant: 0,
            other: Vec::new(),
        }
    }

    fn next(&mut self) -> Call {
        let (phone, state) = self.number();
        let contestant = match self.random.below(200) {
            0 | 1 => NOBODY,
            draw if draw.is_multiple_of(2) => (phone / NUMBERS_PER_AREA) as usize % CONTESTANTS,
            _ => self.random.below(CONTESTANTS as u64) as usize,
        };
        Call { phone, contestant, state }
    }

    /// Who calls, and from which state.
    fn number(&mut self) -> (u64, usize) {
        if self.recent.len() == RECENT && self.random.below(REDIALS_ONE_IN) == 0 {
            return self.recent[self.random.below(RECENT as u64) as usize];
        }
        let (code, state) = self.areas[self.random.below(self.areas.len() as u64) as usize];
        let number = (code * NUMBERS_PER_AREA + self.random.below(NUMBERS_PER_AREA), state);
        if self.recent.len() < RECENT {
            self.recent.push(number);
        } else {
            let place = self.random.below(RECENT as u64) as usize;
            self.recent[place] = number;
        }
        number
    }

    /// Hears how a call ended: accepted, or refused with what the server said.
    fn ended(&mut self, call: Call, accepted: bool, said: &[u8]) {
        if call.contestant != NOBODY {
            let (taken, valid) = self.numbers.entry(call.phone).or_default();
            *valid += 1;
            *taken += u16::from(accepted);
        }
        if accepted {
            self.accepted += 1;
            if let Some(total) = self.totals[call.state].get_mut(call.contestant) {
                *total += 1;
            }
        } else if http::contains(said, b"no_such_choice") {
            self.no_contestant += 1;
        } else if http::contains(said, b"already_voted") {
            self.over_limit += 1;
        } else if self.other.len() < 3 {
            self.other.push(String::from_utf8_lossy(said).trim().to_owned());
        }
    }

    /// Every number has exactly the votes it may have: as many as it tried, up to the limit.
    fn limit_held(&self) -> bool {
        self.numbers.values().all(|(taken, valid)| *taken == (*valid).min(VOTES_PER_NUMBER))
    }
}

const STATE_NOBODY: &str = "XX";

fn state_name(state: usize) -> &'static str {
    STATES.get(state).map_or(STATE_NOBODY, |(name, _)| name)
}

fn state_index(name: &[u8]) -> usize {
    STATES.iter().position(|(state, _)| state.as_bytes() == name).unwrap_or(STATES.len())
}

/// A ballot as the gateway sends it; all calls have the same length.
const LINE: &str = r#"{"voter":"0000000000","group":"XX","choices":{"contestant":["c0"]}}"#;
const PHONE_AT: usize = r#"{"voter":""#.len();
const PHONE_DIGITS: usize = 10;
const STATE_AT: usize = PHONE_AT + PHONE_DIGITS + r#"","group":""#.len();
const CONTESTANT_AT: usize = STATE_AT + 2 + r#"","choices":{"contestant":["c"#.len();

impl Call {
    fn write(self, line: &mut [u8]) {
        let mut phone = self.phone;
        for digit in line[PHONE_AT..PHONE_AT + PHONE_DIGITS].iter_mut().rev() {
            *digit = b'0' + (phone % 10) as u8;
            phone /= 10;
        }
        line[STATE_AT..STATE_AT + 2].copy_from_slice(state_name(self.state).as_bytes());
        line[CONTESTANT_AT] = if self.contestant == NOBODY { b'9' } else { b'0' + self.contestant as u8 };
    }

    fn read(line: &[u8]) -> Self {
        let digits = &line[PHONE_AT..PHONE_AT + PHONE_DIGITS];
        let phone = digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        let contestant = usize::from(line[CONTESTANT_AT] - b'0').min(NOBODY);
        Self { phone, contestant, state: state_index(&line[STATE_AT..STATE_AT + 2]) }
    }
}

impl Lines for Caller {
    fn template(&self) -> Vec<u8> {
        format!("{LINE}\n").into_bytes()
    }

    fn patch(&mut self, line: &mut [u8]) {
        Caller::next(self).write(line);
    }

    fn answered(&mut self, line: &[u8], answer: &[u8]) {
        self.ended(Call::read(line), is_ok(answer), answer);
    }
}

/// The same calls as single requests.
struct SingleCalls<'a> {
    caller: &'a mut Caller,
    officer_token: &'static str,
    left: u64,
}

impl Traffic for SingleCalls<'_> {
    fn next(&mut self, _: usize, request: &mut Vec<u8>) -> Next {
        let Some(left) = self.left.checked_sub(1) else { return Next::Done };
        self.left = left;
        if request.is_empty() {
            request.extend_from_slice(
                format!(
                    "POST /api/v1/elections/{SLUG}/ballots HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer \
                     {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{LINE}",
                    self.officer_token,
                    LINE.len()
                )
                .as_bytes(),
            );
        }
        let body_at = request.len() - LINE.len();
        self.caller.next().write(&mut request[body_at..]);
        Next::Send
    }

    fn answered(&mut self, _: usize, request: &[u8], status: u16, body: &[u8]) {
        let call = Call::read(&request[request.len() - LINE.len()..]);
        self.caller.ended(call, status == 201, body);
    }
}

pub fn run(context: &Context, args: &VoterArgs) -> anyhow::Result<Report> {
    let calls = args.calls.unwrap_or(context.size(5_000_000, 20_000));
    let single_calls = args.single_calls.unwrap_or(context.size(300_000, 2_000));
    let mut report = Report::new("voter", &Machine::read(context.folder()));
    report.method(format!(
        "the Voter workload: {calls} calls in bulk, then {single_calls} as single requests of a gateway; phone number, \
         one of {CONTESTANTS} contestants, at most {VOTES_PER_NUMBER} votes a number, totals per contestant and \
         {} states and `XX`; 1 % name a contestant who is not there, one in {REDIALS_ONE_IN} calls again; durable",
        STATES.len()
    ));
    let server = Server::start(&context.folder().join("voter"))?;
    server.create_and_open(&definition())?;
    let mut caller = Caller::new(1);
    let bulk = in_bulk(&server, &mut caller, calls)?;
    report.figure("bulk calls", calls as f64 / bulk.elapsed.as_secs_f64(), "/s");
    let mut singles =
        SingleCalls { caller: &mut caller, officer_token: server.officer_token(), left: single_calls };
    let single = drive(server.address(), SINGLE_LANES, None, &mut singles)?;
    report.figure("single calls", single.per_second(), "/s");
    report.latencies("single call", &single.latencies, None);

    let ended = caller.accepted + caller.over_limit + caller.no_contestant;
    report.check(
        "every call is accepted or refused for one of the two reasons",
        ended == calls + single_calls && caller.other.is_empty(),
        format!(
            "{} accepted, {} over the limit, {} without a contestant, others {:?}",
            caller.accepted, caller.over_limit, caller.no_contestant, caller.other
        ),
    );
    let numbers = caller.numbers.len();
    report.check("each number has the votes it may have", caller.limit_held(), format!("{numbers} numbers"));
    server.act(SLUG, "close")?;
    let difference = differences(&server.results(SLUG)?, &caller)?;
    let cells = STATES.len() * CONTESTANTS + CONTESTANTS;
    let detail = difference.clone().unwrap_or_else(|| format!("{cells} totals, {} votes", caller.accepted));
    report.check("totals per contestant and state are the generator's own", difference.is_none(), detail);
    server.stop()?;
    Ok(report)
}

fn definition() -> Value {
    let contestants: Vec<Value> =
        (0..CONTESTANTS).map(|n| json!({"id": format!("c{n}"), "name": format!("Contestant {n}")})).collect();
    let groups: Vec<&str> = (0..=STATES.len()).map(state_name).collect();
    json!({
        "slug": SLUG, "title": "Voter", "eligibility": "open", "results": "live", "revote": "forbid",
        "ballots_per_voter": VOTES_PER_NUMBER, "groups": groups,
        "contest": [{"id": "contestant", "title": "Who sings best?", "method": "plurality", "choices": contestants}],
    })
}

fn in_bulk(server: &Server, caller: &mut Caller, calls: u64) -> anyhow::Result<Load> {
    let mut bodies = Bodies {
        lines: caller,
        slug: SLUG,
        lines_per_body: 4_000,
        left: calls,
        officer_token: server.officer_token(),
        torn: 0,
    };
    let load = drive(server.address(), BULK_LANES, None, &mut bodies)?;
    anyhow::ensure!(bodies.torn == 0, "{} answers lack lines", bodies.torn);
    Ok(load)
}

/// The first total that is not the generator's own.
fn differences(results: &Value, caller: &Caller) -> anyhow::Result<Option<String>> {
    let groups = results["contests"][0]["groups"].as_array().context("the results have no groups")?;
    for (state, expected) in caller.totals.iter().enumerate() {
        let name = state_name(state);
        let group = groups.iter().find(|group| group["group"] == name);
        for (contestant, expected) in expected.iter().enumerate() {
            let votes = group.and_then(|group| group["votes"][contestant].as_u64()).unwrap_or(0);
            if votes != *expected {
                return Ok(Some(format!("{name}, contestant {contestant}: {votes}, expected {expected}")));
            }
        }
    }
    Ok(None)
}

/// The 50 states and the District of Columbia, each with its area codes.
const STATES: [(&str, &str); 51] = [
    ("AL", "205 251 256 334"),
    ("AK", "907"),
    ("AZ", "480 520 602 623 928"),
    ("AR", "479 501 870"),
    (
        "CA",
        "209 213 310 323 408 415 424 510 530 559 562 619 626 650 657 661 707 714 760 805 818 831 858 909 916 949",
    ),
    ("CO", "303 719 720 970"),
    ("CT", "203 475 860"),
    ("DE", "302"),
    ("DC", "202"),
    ("FL", "239 305 321 352 386 407 561 727 754 772 786 813 850 863 904 941 954"),
    ("GA", "229 404 470 478 678 706 762 770 912"),
    ("HI", "808"),
    ("ID", "208"),
    ("IL", "217 224 309 312 331 618 630 708 773 779 815 847 872"),
    ("IN", "219 260 317 574 765 812"),
    ("IA", "319 515 563 641 712"),
    ("KS", "316 620 785 913"),
    ("KY", "270 502 606 859"),
    ("LA", "225 318 337 504 985"),
    ("ME", "207"),
    ("MD", "240 301 410 443"),
    ("MA", "339 351 413 508 617 774 781 857 978"),
    ("MI", "231 248 269 313 517 586 616 734 810 906 947 989"),
    ("MN", "218 320 507 612 651 763 952"),
    ("MS", "228 601 662 769"),
    ("MO", "314 417 573 636 660 816"),
    ("MT", "406"),
    ("NE", "308 402"),
    ("NV", "702 775"),
    ("NH", "603"),
    ("NJ", "201 551 609 732 848 856 862 908 973"),
    ("NM", "505 575"),
    ("NY", "212 315 347 516 518 585 607 631 646 716 718 845 914 917"),
    ("NC", "252 336 704 828 910 919 980"),
    ("ND", "701"),
    ("OH", "216 234 330 419 440 513 567 614 740 937"),
    ("OK", "405 580 918"),
    ("OR", "458 503 541 971"),
    ("PA", "215 267 412 484 570 610 717 724 814 878"),
    ("RI", "401"),
    ("SC", "803 843 864"),
    ("SD", "605"),
    ("TN", "423 615 731 865 901 931"),
    ("TX", "210 214 254 281 325 361 409 430 432 469 512 682 713 806 817 830 832 903 915 936 940 956 972 979"),
    ("UT", "435 801"),
    ("VT", "802"),
    ("VA", "276 434 540 571 703 757 804"),
    ("WA", "206 253 360 425 509"),
    ("WV", "304 681"),
    ("WI", "262 414 608 715 920"),
    ("WY", "307"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_read_from_a_line_as_it_was_written() {
        let mut caller = Caller::new(7);
        for _ in 0..1_000 {
            let call = caller.next();
            let mut line = caller.template();
            call.write(&mut line);
            let read = Call::read(&line);
            assert_eq!((read.phone, read.contestant, read.state), (call.phone, call.contestant, call.state));
        }
    }

    #[test]
    fn one_call_in_a_hundred_names_nobody_and_half_follow_their_area() {
        let mut caller = Caller::new(3);
        let calls: Vec<Call> = (0..100_000).map(|_| caller.next()).collect();
        let share =
            |holds: &dyn Fn(&Call) -> bool| calls.iter().filter(|call| holds(call)).count() as f64 / 1e5;
        let nobody = share(&|call| call.contestant == NOBODY);
        assert!((0.008..0.012).contains(&nobody), "{nobody}");
        // Half by favour, and a sixth of the other half by chance.
        let favourite =
            share(&|call| call.contestant as u64 == call.phone / NUMBERS_PER_AREA % CONTESTANTS as u64);
        assert!((0.56..0.60).contains(&favourite), "{favourite}");
    }
}
