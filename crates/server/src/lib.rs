//! HTTP/JSON, pages, live feed and ZeroMQ: translates between the outside and a node, and decides nothing.
//!
//! ```text
//! accept thread ──connections──▶ worker (one per core: runtime, edge, mailbox)
//!                                  ├ POST …/ballots ─▶ ballots   the hot path, past the router
//!                                  └ all else ───────▶ routes ─▶ api, pages, feed
//! zmq thread ◀── the node's feed
//! ```

mod adopt;
mod api;
mod app;
mod assets;
mod auth;
mod ballots;
mod body;
mod buckets;
mod caller;
mod checked;
pub mod config;
mod connection;
mod cookies;
mod counters;
pub mod definition_file;
mod feed;
mod input;
mod language;
pub mod limits;
mod members;
mod multipart;
mod officers;
mod outcome;
mod pages;
mod pictures;
pub mod problem;
mod receipt_json;
mod routes;
mod serve;
mod text;
mod views;
mod wire;
mod worker;
mod zmq;

pub use config::{AddressRange, ServerConfig, TlsFiles};
pub use limits::Limits;
pub use pages::officer::cluster::join_command;
pub use pictures::{PictureSource, read_for_another as read_picture};
pub use routes::ROUTES;
pub use serve::{Running, ServerError, room_for_people, start};
