//! How long nobody is served: clients that ask again elsewhere, and the moments at which they were answered.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::bench::clock;

/// A client that has no answer for this long asks another server.
const PATIENCE: Duration = Duration::from_millis(300);
const CLIENTS: usize = 8;
/// Between two requests of a client, so that a run of known length uses a known number of voters.
const PAUSE: Duration = Duration::from_millis(3);
/// Most requests of all clients a second.
pub const REQUESTS_PER_SECOND: u64 = CLIENTS as u64 * 1_000 / 3;

/// One request, and whether an answer to it acknowledges it.
pub trait Asking: Sync {
    /// The bytes of the request with this number, for the server at `host`.
    fn request(&self, number: u64, host: SocketAddr) -> Vec<u8>;
    /// Whether this answer says that it is done and will stay so.
    fn is_acknowledged(&self, answer: &[u8]) -> bool;
}

/// Acknowledgements of a run, as moments.
pub struct Moments {
    all: Vec<Instant>,
}

impl Moments {
    /// The longest time without an acknowledgement that touches the `within` after `from`.
    pub fn longest_gap(&self, from: Instant, within: Duration) -> Duration {
        let until = from + within;
        let mut last = from;
        let mut longest = Duration::ZERO;
        for moment in self.all.iter().copied().filter(|moment| *moment > from) {
            longest = longest.max(moment - last);
            last = moment;
            if moment > until {
                return longest;
            }
        }
        longest.max(until.saturating_duration_since(last))
    }

    pub fn count(&self) -> usize {
        self.all.len()
    }
}

/// Lets clients ask one thing after the other while `meanwhile` runs; what it says comes back with the moments.
/// `first` is the first number that is free, and what is free afterwards.
pub fn watch<R>(
    addresses: &[SocketAddr],
    asking: &impl Asking,
    first: &AtomicU64,
    meanwhile: impl FnOnce() -> R,
) -> (R, Moments) {
    let (is_over, moments) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let result = std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (is_over, moments) = (&is_over, &moments);
            scope.spawn(move || {
                let mut at = client % addresses.len();
                let mut stream = None;
                while !is_over.load(Ordering::Relaxed) {
                    let number = first.fetch_add(1, Ordering::Relaxed);
                    while !is_over.load(Ordering::Relaxed) {
                        let host = addresses[at];
                        if ask(&mut stream, host, &asking.request(number, host), |answer| {
                            asking.is_acknowledged(answer)
                        }) {
                            let now = clock::now();
                            moments.lock().unwrap_or_else(PoisonError::into_inner).push(now);
                            std::thread::sleep(PAUSE);
                            break;
                        }
                        stream = None;
                        at = (at + 1) % addresses.len();
                        std::thread::sleep(Duration::from_millis(5));
                    }
                }
            });
        }
        let result = meanwhile();
        is_over.store(true, Ordering::Relaxed);
        result
    });
    let mut all = moments.into_inner().unwrap_or_else(PoisonError::into_inner);
    all.sort_unstable();
    (result, Moments { all })
}

/// One request on a connection that is kept; false where it was not acknowledged in time.
fn ask(
    stream: &mut Option<TcpStream>,
    host: SocketAddr,
    request: &[u8],
    is_acknowledged: impl Fn(&[u8]) -> bool,
) -> bool {
    if stream.is_none() {
        *stream = TcpStream::connect_timeout(&host, PATIENCE).ok();
    }
    let Some(connected) = stream else { return false };
    let _ = connected.set_nodelay(true);
    let is_set = connected.set_read_timeout(Some(PATIENCE)).is_ok();
    if !is_set || connected.write_all(request).is_err() {
        return false;
    }
    let (mut answer, mut part, mut decoded) = (Vec::new(), [0; 16 << 10], Vec::new());
    loop {
        match connected.read(&mut part) {
            Ok(0) | Err(_) => return false,
            Ok(read) => answer.extend_from_slice(&part[..read]),
        }
        match crate::bench::http::parse(&answer, &mut decoded) {
            Ok(Some(_)) => return is_acknowledged(&answer),
            Ok(None) => {}
            Err(_) => return false,
        }
    }
}
