//! What each command does. Every function prints its result and returns the exit code.

pub mod config;
pub mod election;
pub mod results;
pub mod room;
pub mod vote;
