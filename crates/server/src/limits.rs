//! Every limit of the HTTP side, in one place, as `config show` prints it.

use serde::{Deserialize, Serialize};

/// Limits of the HTTP side. Units stand last in the names; `0` for a rate means no limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Connections held at once; the next one is answered 503 and closed.
    pub connections_max: usize,
    /// Request line and headers together.
    pub header_bytes_max: usize,
    /// From the first byte of a request to the end of its headers.
    pub header_timeout_seconds: u32,
    /// From the end of the headers to the end of the body.
    pub body_timeout_seconds: u32,
    /// A connection on which nothing moves for so long is closed: idle, or a reader that stopped reading.
    pub idle_timeout_seconds: u32,
    pub ballot_bytes_max: usize,
    /// Bodies other than ballots, definitions and bulk files.
    pub body_bytes_max: usize,
    pub definition_bytes_max: usize,
    /// A picture of a choice.
    pub picture_bytes_max: usize,
    /// All pictures together, on disk.
    pub pictures_bytes_total_max: u64,
    pub bulk_bytes_max: usize,
    pub bulk_line_bytes_max: usize,
    /// Chunks of at most 4,096 ballots from bulk requests that the writer holds at once; further ones wait.
    pub bulk_chunks_max: usize,
    /// Followers of live feeds at once, over all elections.
    pub subscribers_max: usize,
    /// Snapshots of one election sent to followers, while it changes.
    pub snapshots_per_second: u32,
    /// Silence after which a feed says that it is alive.
    pub heartbeat_seconds: u32,
    /// Records streamed at once; each holds a thread.
    pub record_downloads_max: usize,
    /// Ballots that one voter may send, refused ones too.
    pub ballots_per_voter_per_second: u32,
    pub ballots_per_voter_burst: u32,
    /// Ballots that one election takes.
    pub ballots_per_election_per_second: u32,
    pub ballots_per_election_burst: u32,
    /// Sessions that one election, or the pages, hand out.
    pub sessions_per_election_per_second: u32,
    pub sessions_per_election_burst: u32,
    /// Sessions that one address gets: generous, because a classroom shares one. Loopback is exempt.
    pub sessions_per_address_per_second: u32,
    pub sessions_per_address_burst: u32,
    /// Wrong officer tokens and pairing codes, over all addresses.
    pub logins_per_minute: u32,
    /// Officers' sessions that were logged out before their time and are remembered.
    pub officer_logouts_max: usize,
    pub officer_session_hours: u32,
    pub pairing_code_minutes: u32,
    /// What a graceful stop waits for answers in work.
    pub stop_timeout_seconds: u32,
}

impl Limits {
    /// The limits that a node runs with when nothing is configured.
    pub const STANDARD: Limits = Limits {
        connections_max: 16_384,
        header_bytes_max: 16 * 1024,
        header_timeout_seconds: 10,
        body_timeout_seconds: 30,
        idle_timeout_seconds: 75,
        ballot_bytes_max: 64 * 1024,
        body_bytes_max: 64 * 1024,
        definition_bytes_max: 16 * 1024 * 1024,
        picture_bytes_max: 256 * 1024,
        pictures_bytes_total_max: 256 * 1024 * 1024,
        bulk_bytes_max: 256 * 1024 * 1024,
        bulk_line_bytes_max: 64 * 1024,
        bulk_chunks_max: 8,
        subscribers_max: 12_000,
        snapshots_per_second: 5,
        heartbeat_seconds: 15,
        record_downloads_max: 16,
        ballots_per_voter_per_second: 5,
        ballots_per_voter_burst: 20,
        ballots_per_election_per_second: 0,
        ballots_per_election_burst: 0,
        sessions_per_election_per_second: 20_000,
        sessions_per_election_burst: 100_000,
        sessions_per_address_per_second: 100,
        sessions_per_address_burst: 2_000,
        logins_per_minute: 30,
        officer_logouts_max: 1_024,
        officer_session_hours: 12,
        pairing_code_minutes: 10,
        stop_timeout_seconds: 10,
    };
}
