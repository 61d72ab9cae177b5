//! Counts for operators, and `/metrics` in the Prometheus text format.
//!
//! Written by hand: a recorder crate would look up each metric by name and labels on every ballot, and the
//! node's own figures have to be read from its status anyway. Turnout is here; what was voted never is.

use crate::problem::{CODES, Code};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Upper bounds of the latency classes, in milliseconds.
const LATENCY_BOUNDS_MS: [u64; 11] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 5_000];

/// One worker's counts; only that worker writes them, so they never bounce between cores.
#[derive(Debug)]
#[repr(align(128))]
pub struct Counters {
    pub ballots_accepted: AtomicU64,
    pub bulk_ballots_accepted: AtomicU64,
    pub sessions: AtomicU64,
    pub responses: [AtomicU64; 5],
    /// By place in [`CODES`].
    pub refusals: Box<[AtomicU64]>,
    /// Of ballots alone, those of bulk bodies and of the pages among them; by place in [`CODES`].
    pub ballot_refusals: Box<[AtomicU64]>,
    pub connections_opened: AtomicU64,
    pub connections_closed: AtomicU64,
    pub connections_overdue: AtomicU64,
    pub feed_messages: AtomicU64,
    pub latency_classes: [AtomicU64; LATENCY_BOUNDS_MS.len() + 1],
    pub latency_sum_ms: AtomicU64,
}

/// Adds one without a locked instruction: each counter has one writer.
pub fn bump(counter: &AtomicU64) {
    add(counter, 1);
}

pub fn add(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Relaxed) + more, Relaxed);
}

impl Default for Counters {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        Counters {
            ballots_accepted: zero(),
            bulk_ballots_accepted: zero(),
            sessions: zero(),
            responses: Default::default(),
            refusals: CODES.iter().map(|_| zero()).collect(),
            ballot_refusals: CODES.iter().map(|_| zero()).collect(),
            connections_opened: zero(),
            connections_closed: zero(),
            connections_overdue: zero(),
            feed_messages: zero(),
            latency_classes: Default::default(),
            latency_sum_ms: zero(),
        }
    }
}

impl Counters {
    pub fn responded(&self, status: hyper::StatusCode) {
        bump(&self.responses[usize::from(status.as_u16() / 100).clamp(1, 5) - 1]);
    }

    pub fn refused(&self, code: &'static Code) {
        bump_code(&self.refusals, code);
    }

    pub fn ballot_refused(&self, code: &'static Code) {
        bump_code(&self.ballot_refusals, code);
    }

    pub fn ballot_took(&self, ms: u64) {
        let class =
            LATENCY_BOUNDS_MS.iter().position(|bound| ms <= *bound).unwrap_or(LATENCY_BOUNDS_MS.len());
        bump(&self.latency_classes[class]);
        add(&self.latency_sum_ms, ms);
    }
}

fn bump_code(counters: &[AtomicU64], code: &'static Code) {
    if let Some(place) = CODES.iter().position(|known| std::ptr::eq(*known, code)) {
        bump(&counters[place]);
    }
}

/// A page of metrics being written.
#[derive(Debug, Default)]
pub struct MetricsPage(String);

impl MetricsPage {
    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        self.0.push_str(name);
        for (place, (label, text)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"{text}\"", if place == 0 { '{' } else { ',' });
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{end} {value}");
    }

    pub fn single(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    pub fn finish(self) -> String {
        self.0
    }
}

/// The server's own figures, summed over the workers.
pub fn write_counters(page: &mut MetricsPage, workers: &[std::sync::Arc<Counters>]) {
    let sum = |pick: fn(&Counters) -> &AtomicU64| workers.iter().map(|w| pick(w).load(Relaxed)).sum::<u64>();
    page.family("hustings_ballots_accepted_total", "counter", "Ballots answered with a receipt.");
    page.sample("hustings_ballots_accepted_total", &[("by", "single")], sum(|c| &c.ballots_accepted));
    page.sample("hustings_ballots_accepted_total", &[("by", "bulk")], sum(|c| &c.bulk_ballots_accepted));
    page.single("hustings_sessions_total", "counter", "Voter sessions handed out.", sum(|c| &c.sessions));
    let opened = sum(|c| &c.connections_opened);
    let open = opened.saturating_sub(sum(|c| &c.connections_closed));
    page.single("hustings_connections_total", "counter", "Connections taken.", opened);
    page.single("hustings_connections", "gauge", "Connections open now.", open);
    page.single(
        "hustings_connections_overdue_total",
        "counter",
        "Connections closed because nothing moved.",
        sum(|c| &c.connections_overdue),
    );
    page.single("hustings_feed_messages_total", "counter", "Live snapshots sent.", sum(|c| &c.feed_messages));
    page.family("hustings_responses_total", "counter", "Responses by class of status.");
    for (place, class) in ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().enumerate() {
        let count = workers.iter().map(|worker| worker.responses[place].load(Relaxed)).sum();
        page.sample("hustings_responses_total", &[("class", class)], count);
    }
    write_codes(page, "hustings_refusals_total", "Problem documents sent, by code.", workers, |c| {
        &c.refusals
    });
    let help = "Ballots refused, by code; one a line of a bulk body.";
    write_codes(page, "hustings_ballots_refused_total", help, workers, |c| &c.ballot_refusals);
    write_latency(page, workers);
}

fn write_codes(
    page: &mut MetricsPage,
    name: &str,
    help: &str,
    workers: &[std::sync::Arc<Counters>],
    pick: fn(&Counters) -> &[AtomicU64],
) {
    page.family(name, "counter", help);
    for (place, code) in CODES.iter().enumerate() {
        let count: u64 = workers.iter().map(|worker| pick(worker)[place].load(Relaxed)).sum();
        if count > 0 {
            page.sample(name, &[("code", code.name)], count);
        }
    }
}

fn write_latency(page: &mut MetricsPage, workers: &[std::sync::Arc<Counters>]) {
    let name = "hustings_ballot_duration_milliseconds";
    page.family(name, "histogram", "From a ballot's headers to its receipt.");
    let mut total = 0;
    for (class, bound) in LATENCY_BOUNDS_MS.iter().enumerate() {
        total += workers.iter().map(|worker| worker.latency_classes[class].load(Relaxed)).sum::<u64>();
        page.sample(&format!("{name}_bucket"), &[("le", &bound.to_string())], total);
    }
    total += workers.iter().map(|w| w.latency_classes[LATENCY_BOUNDS_MS.len()].load(Relaxed)).sum::<u64>();
    page.sample(&format!("{name}_bucket"), &[("le", "+Inf")], total);
    let sum = workers.iter().map(|worker| worker.latency_sum_ms.load(Relaxed)).sum();
    page.sample(&format!("{name}_sum"), &[], sum);
    page.sample(&format!("{name}_count"), &[], total);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_sums_the_workers() {
        let workers = [std::sync::Arc::new(Counters::default()), std::sync::Arc::new(Counters::default())];
        bump(&workers[0].ballots_accepted);
        bump(&workers[1].ballots_accepted);
        workers[1].ballot_took(7);
        let mut page = MetricsPage::default();
        write_counters(&mut page, &workers);
        let text = page.finish();
        assert!(text.contains("hustings_ballots_accepted_total{by=\"single\"} 2\n"));
        assert!(text.contains("hustings_ballot_duration_milliseconds_bucket{le=\"10\"} 1\n"));
        assert!(text.contains("hustings_ballot_duration_milliseconds_bucket{le=\"5\"} 0\n"));
    }
}
