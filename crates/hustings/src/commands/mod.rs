//! What each command does. Every function prints its result and returns the exit code.

pub mod audit;
pub mod backup;
pub mod cluster;
pub mod config;
pub mod demo;
pub mod demo_cluster;
pub mod doctor;
pub mod election;
pub mod manifest;
pub mod mirror;
pub mod picture;
pub mod poll;
pub mod recover;
pub mod restore;
pub mod results;
pub mod room;
pub mod serve;
pub mod status;
pub mod token;
pub mod vote;
pub mod watch;
