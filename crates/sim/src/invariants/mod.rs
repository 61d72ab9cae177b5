//! What must hold after every turn, one promise a file. Each file says where the promise comes from; the short list is
//! "What each promise rests on" in `docs/dev/simulation.md`.

pub mod acknowledged;
pub mod closed;
pub mod elections_of_leaders;
pub mod feed;
pub mod kept;
pub mod one_voter;
pub mod only_committed;
pub mod reads;
pub mod refused;
pub mod replay;
pub mod retry;
pub mod same_log;
pub mod serves;
pub mod tally;
pub mod truthful;
