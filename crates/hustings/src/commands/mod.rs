//! What each command does. Every function prints its result and returns the exit code.

pub mod backup;
pub mod config;
pub mod doctor;
pub mod election;
pub mod mirror;
pub mod results;
pub mod room;
pub mod vote;
pub mod watch;
