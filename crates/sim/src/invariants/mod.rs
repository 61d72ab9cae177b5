//! What must hold after every turn, one promise a file. Each file says where the promise comes from; the short list is
//! "What each promise rests on" in `docs/dev/simulation.md`.

pub mod acknowledged;
pub mod closed;
pub mod feed;
pub mod one_voter;
pub mod only_committed;
pub mod refused;
pub mod replay;
pub mod retry;
pub mod serves;
pub mod tally;
