//! The live feed: server-sent events with absolute snapshots.
//!
//! ```text
//! election's view ──changed──▶ one task per election and worker ──frame──▶ watch ──▶ 256 followers
//!                              (a few times a second, encoded once)     ├▶ watch ──▶ 256 followers   the newest,
//!                                                                       └▶ watch ──▶ 256 followers   never a queue
//! ```
//!
//! A slow reader skips frames and is never waited for. Between two groups of followers the worker looks after
//! everybody else, so that ten thousand followers do not make a ballot wait for all of them.
//!
//! A room's feed names everything its pages are made of in a short `room` event, and carries figures of the one
//! election on its screen only, so that a whole hall of phones can follow it.
//!
//! Ids are opaque and name what a snapshot was made of, so they resume at any node: who comes back with the
//! newest gets nothing again, anybody else the newest at once.

use crate::app::{App, count, with_local};
use crate::counters::add;
use crate::problem::{self, Problem};
use crate::{views, wire};
use axum::response::Response;
use bytes::Bytes;
use election::room::RoomCode;
use election::{Slug, Viewer};
use hyper::body::{Body, Frame as BodyFrame};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use node::ElectionView;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Browsers come back after this long, and up to as much again, so that they do not come all at once.
const RETRY_MS: u64 = 2_000;
/// Elections of a room whose state and turnout its feed carries: some 70 bytes each, in every frame.
const ROOM_LINES_MAX: usize = 50;
/// Comings and goings alone are news this often; with other news they go along at once.
const CONNECTED_EVERY: Duration = Duration::from_secs(1);

/// What is followed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FeedKey {
    Election(Slug),
    Room(RoomCode),
}

/// The newest state of a feed.
#[derive(Clone, Debug)]
struct Frame {
    id: Arc<str>,
    /// Events as they go over the wire, id and all.
    bytes: Bytes,
    /// Grows with each sign of life that carries no news.
    beat: u64,
    is_end: bool,
}

/// Where there are other servers to go to, a script hears a sign of life this often, and leaves after three missed ones.
const BEAT_SECONDS: u32 = 4;
/// Followers who are woken together: some 2 ms of sending.
const GROUP_FOLLOWERS: usize = 256;

type Group = Arc<watch::Sender<Frame>>;

/// The feeds that somebody of this worker follows, each with its groups of followers.
#[derive(Debug, Default)]
pub struct Feeds {
    open: RefCell<BTreeMap<FeedKey, Vec<Group>>>,
}

impl Feeds {
    /// Ends every feed, so that their connections can close.
    pub fn end(&self) {
        for group in std::mem::take(&mut *self.open.borrow_mut()).into_values().flatten() {
            group.send_modify(|frame| frame.is_end = true);
        }
    }

    /// Joins a group of a feed that is open; a new group if all are full.
    fn join(&self, key: &FeedKey) -> Option<watch::Receiver<Frame>> {
        let mut open = self.open.borrow_mut();
        let groups = open.get_mut(key)?;
        let with_room = groups.iter().find(|group| group.receiver_count() < GROUP_FOLLOWERS);
        if let Some(group) = with_room {
            return Some(group.subscribe());
        }
        let newest = groups.first()?.borrow().clone();
        let (sender, receiver) = watch::channel(newest);
        groups.push(Arc::new(sender));
        Some(receiver)
    }

    /// The groups of a feed; empty once it has ended.
    fn groups(&self, key: &FeedKey) -> Vec<Group> {
        self.open.borrow().get(key).cloned().unwrap_or_default()
    }

    /// Ends a feed that nobody follows; false if somebody does.
    fn end_if_unused(&self, key: &FeedKey) -> bool {
        let mut open = self.open.borrow_mut();
        let is_unused =
            open.get(key).is_none_or(|groups| groups.iter().all(|group| group.receiver_count() == 0));
        if is_unused {
            open.remove(key);
        }
        is_unused
    }
}

/// Answers a follower of `key`, who has seen `last_event_id` before.
pub fn follow(app: &Arc<App>, key: FeedKey, last_event_id: Option<&str>) -> Result<Response, Problem> {
    let slot = SubscriberSlot::take(&app.subscribers, app.limits().subscribers_max)?;
    let presence = match &key {
        FeedKey::Room(code) => Some(Presence::begin(&app.present, code)),
        FeedKey::Election(_) => None,
    };
    let mut receiver = subscribe(app, key)?;
    let seen = receiver.borrow_and_update().clone();
    let retry = RETRY_MS + rand::random_range(0..=RETRY_MS);
    let mut prelude = format!("retry: {retry}\n").into_bytes();
    if last_event_id == Some(&*seen.id) {
        prelude.extend_from_slice(b": up to date\n\n");
    } else {
        prelude.extend_from_slice(&seen.bytes);
    }
    let body = FeedBody {
        prelude: Some(Bytes::from(prelude)),
        next: Box::pin(next_frame(receiver)),
        id: seen.id,
        alive: if app.members().others.is_empty() { ": alive\n\n" } else { "event: alive\ndata: 1\n\n" },
        _slot: slot,
        _presence: presence,
    };
    let mut response = Response::new(axum::body::Body::new(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

/// One of the places for followers; given back when dropped.
#[derive(Debug)]
struct SubscriberSlot(Arc<AtomicUsize>);

impl SubscriberSlot {
    fn take(count: &Arc<AtomicUsize>, max: usize) -> Result<Self, Problem> {
        let slot = Self(Arc::clone(count));
        if count.fetch_add(1, Relaxed) >= max {
            let sentence = "as many people follow as there is room for; figures are at the results page";
            return Err(Problem::new(&problem::OVERLOADED, sentence).retry_after(10));
        }
        Ok(slot)
    }
}

impl Drop for SubscriberSlot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// How many follow each room on this node. Rooms that nobody follows take no place, and there are never more
/// followers than [`SubscriberSlot`]s.
#[derive(Debug, Default)]
pub struct Present {
    rooms: Mutex<BTreeMap<RoomCode, usize>>,
}

impl Present {
    /// Followers of the room's feed now.
    pub fn count(&self, code: &RoomCode) -> usize {
        self.rooms().get(code).copied().unwrap_or(0)
    }

    fn rooms(&self) -> MutexGuard<'_, BTreeMap<RoomCode, usize>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One follower of a room; gone when dropped.
#[derive(Debug)]
struct Presence {
    present: Arc<Present>,
    code: RoomCode,
}

impl Presence {
    fn begin(present: &Arc<Present>, code: &RoomCode) -> Self {
        *present.rooms().entry(code.clone()).or_default() += 1;
        Self { present: Arc::clone(present), code: code.clone() }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut rooms = self.present.rooms();
        match rooms.get_mut(&self.code) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(rooms.remove(&self.code)),
        }
    }
}

/// Joins the feed of `key` on this worker, and begins it if nobody follows yet.
fn subscribe(app: &Arc<App>, key: FeedKey) -> Result<watch::Receiver<Frame>, Problem> {
    if let Some(receiver) = with_local(|local| local.feeds.join(&key)) {
        return Ok(receiver);
    }
    let source = Source::find(app, &key)?;
    let (sender, receiver) = watch::channel(source.frame(app));
    with_local(|local| local.feeds.open.borrow_mut().insert(key.clone(), vec![Arc::new(sender)]));
    tokio::spawn(produce(Arc::clone(app), key, source));
    Ok(receiver)
}

/// Makes frames while somebody follows.
async fn produce(app: Arc<App>, key: FeedKey, mut source: Source) {
    let pause = Duration::from_millis(1000 / u64::from(app.limits().snapshots_per_second.max(1)));
    let seconds = app.limits().heartbeat_seconds.max(1);
    let has_others = !app.members().others.is_empty();
    let heartbeat =
        Duration::from_secs(u64::from(if has_others { seconds.min(BEAT_SECONDS) } else { seconds }));
    let mut silent_until = Instant::now() + heartbeat;
    loop {
        let has_news = tokio::select! {
            has_news = source.changed(pause) => Some(has_news),
            () = tokio::time::sleep_until(silent_until) => None,
        };
        if with_local(|local| local.feeds.end_if_unused(&key)) {
            return;
        }
        let next = Instant::now() + pause;
        let is_sent = match has_news {
            None => send(&key, |frame| frame.beat += 1).await > 0,
            Some(true) => send_news(&key, &source.frame(&app)).await,
            Some(false) => {
                send(&key, |frame| frame.is_end = true).await;
                with_local(|local| local.feeds.open.borrow_mut().remove(&key));
                return;
            }
        };
        if is_sent {
            silent_until = Instant::now() + heartbeat;
            tokio::time::sleep_until(next).await;
        }
    }
}

/// Sends a frame unless it is the newest already.
async fn send_news(key: &FeedKey, news: &Frame) -> bool {
    let newest =
        with_local(|local| local.feeds.groups(key).first().map(|group| Arc::clone(&group.borrow().id)));
    if newest.is_none_or(|newest| newest == news.id) {
        return false;
    }
    let followers = send(key, |frame| *frame = news.clone()).await;
    count(|counters| add(&counters.feed_messages, followers as u64));
    true
}

/// Changes the frame of every group, one after the other; returns how many follow.
async fn send(key: &FeedKey, change: impl Fn(&mut Frame)) -> usize {
    let mut followers = 0;
    for group in with_local(|local| local.feeds.groups(key)) {
        followers += group.receiver_count();
        group.send_modify(&change);
        // The group's followers, and whoever else waits on this worker, come first.
        tokio::task::yield_now().await;
    }
    followers
}

/// Where a feed's news comes from.
enum Source {
    Election { election: Arc<node::ElectionHandle>, view: watch::Receiver<Arc<ElectionView>> },
    Room { code: RoomCode, connected: Cell<(Instant, usize)> },
}

impl Source {
    fn find(app: &App, key: &FeedKey) -> Result<Self, Problem> {
        match key {
            FeedKey::Election(slug) => {
                let election = views::election_here(app, slug.as_str())?;
                let view = election.watch();
                Ok(Source::Election { election, view })
            }
            FeedKey::Room(code) => {
                views::room(app, code.as_str())?;
                let connected = Cell::new((Instant::now(), app.present.count(code)));
                Ok(Source::Room { code: code.clone(), connected })
            }
        }
    }

    /// Waits until there may be news; false when there never will be any. Cancelling loses nothing.
    async fn changed(&mut self, pause: Duration) -> bool {
        match self {
            Source::Election { view, .. } => view.changed().await.is_ok(),
            // A room is made of many views; looking at them is cheaper than listening to all.
            Source::Room { .. } => {
                tokio::time::sleep(pause).await;
                true
            }
        }
    }

    fn frame(&self, app: &App) -> Frame {
        let (id, events) = match self {
            Source::Election { election, .. } => {
                let view = election.view();
                let id = format!("{:x}-{:x}", app.node.identity().epoch, view.position.0);
                (id, snapshot_event(app, election, &view))
            }
            Source::Room { code, connected } => {
                let (looked_at, _) = connected.get();
                if looked_at.elapsed() >= CONNECTED_EVERY {
                    connected.set((Instant::now(), app.present.count(code)));
                }
                room_events(app, code, connected.get().1)
            }
        };
        let bytes = Bytes::from(events.replace("\n\n", &format!("\nid: {id}\n\n")));
        Frame { id: id.into(), bytes, beat: 0, is_end: false }
    }
}

/// The public figures as one event.
fn snapshot_event(app: &App, election: &node::ElectionHandle, view: &ElectionView) -> String {
    let figures = views::figures(election, view, Viewer::Public);
    let mut body = wire::ResultsBody::new(&figures);
    body.translate(&figures);
    body.at = app.node.now().to_string();
    body.checkpoint = view.checkpoint.as_deref();
    let json = serde_json::to_string(&body).expect("figures always serialise");
    format!("event: snapshot\ndata: {json}\n\n")
}

/// What a room's pages are made of, and the figures of the election on its screen.
fn room_events(app: &App, code: &RoomCode, connected: usize) -> (String, String) {
    let Ok(room) = views::room(app, code.as_str()) else {
        return ("gone".to_owned(), "event: room\ndata: {\"version\":\"gone\"}\n\n".to_owned());
    };
    let version = views::room_version(app, &room);
    let elections = room.elections.iter().take(ROOM_LINES_MAX);
    let views: Vec<_> = elections
        .filter_map(|slug| app.node.election(slug.as_str()))
        .map(|election| (election.view(), election))
        .collect();
    let lines = views.iter().map(|(view, election)| wire::RoomFeedElection {
        slug: election.slug.as_str(),
        state: view.state.as_str(),
        voters: view.results.voters,
        revealed: wire::revealed(&election.definition, view.curtain()),
    });
    let body = wire::RoomFeedBody {
        version: &version,
        pace: room.pace,
        show: room.screen.show,
        election: room.screen.election.as_ref().map(Slug::as_str),
        locked: room.locked_at.is_some(),
        connected,
        elections: lines.collect(),
    };
    let json = serde_json::to_string(&body).expect("a room's lines always serialise");
    let mut events = format!("event: room\ndata: {json}\n\n");
    let mut id = format!("{version}-{connected:x}");
    for (view, _) in &views {
        id.push_str(&format!("-{:x}", view.results.voters));
    }
    let shown = room.screen.election.as_ref().and_then(|slug| app.node.election(slug.as_str()));
    if let Some(election) = shown {
        let view = election.view();
        id.push_str(&format!("-{:x}", view.position.0));
        events.push_str(&snapshot_event(app, &election, &view));
    }
    (id, events)
}

type NextFrame = Pin<Box<dyn Future<Output = (watch::Receiver<Frame>, Option<Frame>)> + Send>>;

/// Waits for the next frame; `None` when the feed has ended.
async fn next_frame(mut receiver: watch::Receiver<Frame>) -> (watch::Receiver<Frame>, Option<Frame>) {
    let frame = match receiver.changed().await {
        Ok(()) => Some(receiver.borrow_and_update().clone()).filter(|frame| !frame.is_end),
        Err(_) => None,
    };
    (receiver, frame)
}

/// One follower's body: the newest frame whenever the connection has room for it.
struct FeedBody {
    prelude: Option<Bytes>,
    next: NextFrame,
    id: Arc<str>,
    /// A sign of life without news. Scripts hear events only.
    alive: &'static str,
    _slot: SubscriberSlot,
    _presence: Option<Presence>,
}

impl Body for FeedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, Infallible>>> {
        if let Some(prelude) = self.prelude.take() {
            return Poll::Ready(Some(Ok(BodyFrame::data(prelude))));
        }
        let (receiver, frame) = std::task::ready!(self.next.as_mut().poll(cx));
        let Some(frame) = frame else {
            return Poll::Ready(None);
        };
        self.next = Box::pin(next_frame(receiver));
        let bytes = if frame.id == self.id { Bytes::from_static(self.alive.as_bytes()) } else { frame.bytes };
        self.id = frame.id;
        Poll::Ready(Some(Ok(BodyFrame::data(bytes))))
    }
}
