//! ZeroMQ PUB: what programs that follow a vote hear. Topic: the election's slug; one JSON body a message.
//!
//! Where counts are public while voting goes on: one message per accepted ballot, with its choices. Elsewhere:
//! turnout, at most ten times a second. Officers' acts always. Bodies carry the position in the ledger, and
//! leaves their index, so that a subscriber sees what it missed: PUB drops what a slow reader does not take.

use crate::app::App;
use crate::serve::{ServerError, spawn};
use crate::worker::stopped;
use bytes::Bytes;
use election::Viewer;
use node::core::FeedWhat;
use node::{ElectionHandle, FeedEvent};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use zeromq::{PubSocket, Socket, SocketSend, ZmqMessage};

const TURNOUT_EVERY_MS: u64 = 100;
/// What is under way to subscribers when the server stops gets this long.
const LINGER_MS: u64 = 100;

/// Publishes at `address` (`tcp://127.0.0.1:8701`, or without the scheme); returns where it is bound.
pub fn start(
    app: Arc<App>,
    address: &str,
    stop: watch::Receiver<bool>,
) -> Result<(JoinHandle<()>, String), ServerError> {
    let address = match address.contains("://") {
        true => address.to_owned(),
        false => format!("tcp://{address}"),
    };
    let refused = |reason: String| ServerError::Zmq { address: address.clone(), reason };
    let (bound, answer) = channel();
    let to_bind = address.clone();
    let thread = spawn("hustings-zmq".to_owned(), move || run(&app, &to_bind, stop, &bound))?;
    match answer.recv() {
        Ok(Ok(endpoint)) => Ok((thread, endpoint)),
        Ok(Err(reason)) => Err(refused(reason)),
        Err(_) => Err(refused("its thread ended".to_owned())),
    }
}

fn run(app: &App, address: &str, stop: watch::Receiver<bool>, bound: &Sender<Result<String, String>>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime needs a few file descriptors, and the room for them was checked");
    runtime.block_on(async {
        let mut socket = PubSocket::new();
        match socket.bind(address).await {
            Ok(endpoint) => {
                let _ = bound.send(Ok(endpoint.to_string()));
                publish(app, socket, stop).await;
            }
            Err(error) => {
                let _ = bound.send(Err(error.to_string()));
            }
        }
    });
}

/// An election whose turnout has changed, and up to where.
struct Stale {
    election: Arc<ElectionHandle>,
    position: u64,
}

async fn publish(app: &App, mut socket: PubSocket, mut stop: watch::Receiver<bool>) {
    let mut events = app.node.feed();
    let mut stale: BTreeMap<u32, Stale> = BTreeMap::new();
    let mut tick = tokio::time::interval(Duration::from_millis(TURNOUT_EVERY_MS));
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) => hear(&mut socket, &mut stale, event).await,
                Err(RecvError::Lagged(missed)) => tracing::warn!(missed, "ZeroMQ fell behind the ledger"),
                Err(RecvError::Closed) => break,
            },
            _ = tick.tick(), if !stale.is_empty() => send_turnout(&mut socket, &mut stale).await,
            () = stopped(&mut stop) => break,
        }
    }
    while let Ok(event) = events.try_recv() {
        hear(&mut socket, &mut stale, event).await;
    }
    send_turnout(&mut socket, &mut stale).await;
    tokio::time::sleep(Duration::from_millis(LINGER_MS)).await;
}

async fn hear(socket: &mut PubSocket, stale: &mut BTreeMap<u32, Stale>, event: FeedEvent) {
    let election = &event.election;
    match &event.what {
        FeedWhat::Act { json } => {
            send_turnout_of(socket, stale, election.index.0).await;
            let body = act_body(&event, json);
            send(socket, election, body).await;
        }
        FeedWhat::Ballot { ballot, answers } => match choices_if_shown(election, answers) {
            Some(choices) => send(socket, election, ballot_body(&event, *ballot, &choices)).await,
            None => {
                let position = event.position.0;
                stale.insert(election.index.0, Stale { election: Arc::clone(election), position });
            }
        },
    }
}

/// The choices of a ballot as JSON, where the election's rule shows ballots to anybody while it is open.
fn choices_if_shown(election: &ElectionHandle, answers: &[u8]) -> Option<String> {
    let (state, curtain) = (election::ElectionState::Open, election::Curtain::Hidden);
    if !election::results::openings_shown(&election.definition, state, curtain, Viewer::Public) {
        return None;
    }
    let marked = election::answers::decode(&election.definition, answers).ok()?;
    let contests = election.definition.contests.iter().zip(marked);
    let choices: serde_json::Map<String, serde_json::Value> = contests
        .map(|(contest, marked)| {
            let ids: Vec<&str> = marked.iter().map(|index| contest.choices[*index].id.as_str()).collect();
            (contest.id.clone(), ids.into())
        })
        .collect();
    Some(serde_json::Value::Object(choices).to_string())
}

fn ballot_body(event: &FeedEvent, ballot_index: u64, choices: &str) -> String {
    let FeedEvent { position, at, leaf_index, .. } = event;
    format!(
        "{{\"position\":{},\"at\":\"{at}\",\"leaf_index\":{leaf_index},\"ballot_index\":{ballot_index},\"choices\":{choices}}}",
        position.0
    )
}

fn act_body(event: &FeedEvent, act: &str) -> String {
    let FeedEvent { position, at, leaf_index, .. } = event;
    format!("{{\"position\":{},\"at\":\"{at}\",\"leaf_index\":{leaf_index},\"act\":{act}}}", position.0)
}

/// Sends what the views show by now; an election whose view is not there yet waits for the next tick.
async fn send_turnout(socket: &mut PubSocket, stale: &mut BTreeMap<u32, Stale>) {
    let ready: Vec<u32> = stale
        .iter()
        .filter(|(_, stale)| stale.election.view().position.0 >= stale.position)
        .map(|(index, _)| *index)
        .collect();
    for index in ready {
        send_turnout_of(socket, stale, index).await;
    }
}

async fn send_turnout_of(socket: &mut PubSocket, stale: &mut BTreeMap<u32, Stale>, index: u32) {
    if let Some(Stale { election, position }) = stale.remove(&index) {
        let view = election.view();
        let body = serde_json::json!({
            "position": position,
            "at": view.at.to_string(),
            "state": view.state.as_str(),
            "turnout": { "ballots": view.results.ballots, "voters": view.results.voters },
        });
        send(socket, &election, body.to_string()).await;
    }
}

async fn send(socket: &mut PubSocket, election: &ElectionHandle, body: String) {
    let mut message = ZmqMessage::from(election.slug.as_str());
    message.push_back(Bytes::from(body));
    if let Err(error) = socket.send(message).await {
        tracing::debug!(%error, "ZeroMQ message dropped");
    }
}
