//! How a node with an empty data folder begins: founds a cluster, founds one with others, or joins one.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use ledger::{FileStorage, files};
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep};

use super::link::in_full;
use super::{AskError, LinkError, Network, NetworkConfig, Shared, ask};
use crate::MEMBERS_MAX;
use crate::fields::FieldsError;
use crate::founding::{Effect, Founders, Founding, Promise, SAY_EVERY_MS, Say};
use crate::join::{Admission, JoinReply, JoinRequest};

/// How long a node is given to answer about founding: it only has to look, or to write a few bytes.
const SAY_MAX: Duration = Duration::from_secs(2);
/// How long a leader is given to admit: a change of the membership has to be committed.
const JOIN_MAX: Duration = Duration::from_secs(15);
const JOIN_AGAIN: Duration = Duration::from_millis(300);
/// Answers of "not yet" after which somebody else is asked.
const TRIES_MAX: u32 = 10;
/// Failures that are named in [`Beginning::waits_for`].
const NAMED_MAX: usize = 3;

/// The file in which a node keeps what it has promised to others.
pub const PROMISE_NAME: &str = "founding";

/// How a node comes to a cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// It founds one at once, whoever else is there.
    First,
    /// It waits for one and joins it.
    Join,
    /// It founds one together with others, so many in all; or joins one that is there.
    Expect(u8),
}

/// What a beginning needs to know.
#[derive(Clone, Debug)]
pub struct BeginConfig {
    pub mode: Mode,
    /// The data folder, where [`PROMISE_NAME`] is kept.
    pub folder: PathBuf,
    /// What the node says of itself to join.
    pub request: JoinRequest,
}

/// How it came to a cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Begin {
    /// Found a cluster of one, with this node as number 1: nobody else does.
    Found,
    /// It is a member.
    Join(Admission),
}

/// Why a node cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    #[error("a cluster is founded by 1 to {MEMBERS_MAX} nodes, not by {0}")]
    Expect(u8),
    #[error("cannot keep what this node promised to others in `{}`", folder.join(PROMISE_NAME).display())]
    Promise {
        folder: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{}` is damaged, so that what this node promised to others is not known", folder.join(PROMISE_NAME).display())]
    Damaged {
        folder: PathBuf,
        #[source]
        source: FieldsError,
    },
    #[error("the cluster does not take this node: {0}")]
    Refused(String),
    #[error("the network ended before this node had begun")]
    Stopped,
}

/// A node that is beginning. Dropped, it gives up.
#[derive(Debug)]
pub struct Beginning {
    outcome: Option<oneshot::Receiver<Result<Begin, BeginError>>>,
    words: watch::Receiver<String>,
    task: AbortHandle,
}

impl Beginning {
    /// What it waits for, in words for whoever started it; changes as things go on.
    #[must_use]
    pub fn waits_for(&self) -> String {
        self.words.borrow().clone()
    }

    /// Until it has begun. May be dropped and called again.
    pub async fn outcome(&mut self) -> Result<Begin, BeginError> {
        let Some(outcome) = &mut self.outcome else { return Err(BeginError::Stopped) };
        let begun = outcome.await.unwrap_or(Err(BeginError::Stopped));
        self.outcome = None;
        begun
    }

    /// What came of it, if that is known by now.
    pub fn try_outcome(&mut self) -> Option<Result<Begin, BeginError>> {
        let begun = match self.outcome.as_mut()?.try_recv() {
            Ok(begun) => begun,
            Err(oneshot::error::TryRecvError::Empty) => return None,
            Err(oneshot::error::TryRecvError::Closed) => Err(BeginError::Stopped),
        };
        self.outcome = None;
        Some(begun)
    }
}

impl Drop for Beginning {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Network {
    /// Begins. Until there is an outcome, what others ask is answered here; the caller calls [`Network::on_ask`] and
    /// [`Network::set_own`] right after it, and answers questions about founding by
    /// [`crate::founding::Member::answers`].
    pub fn begin(&self, config: BeginConfig) -> Result<Beginning, BeginError> {
        let expect = match config.mode {
            Mode::Expect(expect) if expect == 0 || usize::from(expect) > MEMBERS_MAX => {
                return Err(BeginError::Expect(expect));
            }
            Mode::Expect(expect) => expect,
            Mode::First | Mode::Join => 0,
        };
        let failed = |source| BeginError::Promise { folder: config.folder.clone(), source };
        let storage = FileStorage::new(&config.folder).map_err(failed)?;
        let promise = kept_promise(&config, &storage, self.shared.air.nonce())?;
        let own_address = self.config().advertised.clone();
        let table = Arc::new(Table {
            state: Mutex::new(State {
                founding: Founding::new(&own_address, expect, promise),
                next: (config.mode == Mode::First).then_some(Next::Found),
            }),
            folder: config.folder.clone(),
            storage,
            began: Instant::now(),
            changed: Notify::new(),
        });
        self.answer_while_blank(table.clone());
        let (words_sender, words) = watch::channel(String::new());
        let (sender, outcome) = oneshot::channel();
        let driver = Driver {
            shared: self.shared.clone(),
            network: self.config().clone(),
            request: config.request,
            table,
            words: words_sender,
            failures: BTreeMap::new(),
        };
        let task = self.runtime.spawn(async move { _ = sender.send(driver.run().await) }).abort_handle();
        Ok(Beginning { outcome: Some(outcome), words, task })
    }

    fn answer_while_blank(&self, table: Arc<Table>) {
        self.on_ask(move |_, question| {
            let answer = match Say::decode(&question) {
                Some(Ok(say)) => table.answer(&say),
                _ if JoinRequest::decode(&question).is_some() => {
                    let reason = format!("this node belongs to no cluster itself: {}", table.waits_for());
                    Bytes::copy_from_slice(&JoinReply::NotYet(reason).encode())
                }
                _ => Bytes::new(),
            };
            async move { answer }
        });
    }
}

/// What the driver and the answers to others share.
struct Table {
    state: Mutex<State>,
    folder: PathBuf,
    storage: FileStorage,
    began: Instant,
    changed: Notify,
}

struct State {
    founding: Founding,
    next: Option<Next>,
}

enum Next {
    Found,
    Join(String),
    Fail(BeginError),
}

impl Table {
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waits_for(&self) -> String {
        self.state().founding.waits_for(self.now())
    }

    /// What somebody said, and what this node says to that. Nothing is said that is not on the disk.
    fn answer(&self, say: &Say) -> Bytes {
        let mut state = self.state();
        let effects = state.founding.heard(self.now(), say);
        self.carry_out(&mut state, effects);
        match state.next {
            Some(Next::Fail(_)) => Bytes::new(),
            _ => Bytes::from(state.founding.state(self.now(), false).encode()),
        }
    }

    fn hears(&self, say: &Say) {
        let mut state = self.state();
        let effects = state.founding.heard(self.now(), say);
        self.carry_out(&mut state, effects);
    }

    fn tick(&self, hints: &[String]) -> Vec<(String, Bytes)> {
        let mut state = self.state();
        let effects = state.founding.tick(self.now(), hints);
        self.carry_out(&mut state, effects)
    }

    /// Gives what is to be said to whom, in the order of `effects` and only as far as the disk took them. An answer
    /// is among these, too; whoever answers says the newest state instead.
    fn carry_out(&self, state: &mut State, effects: Vec<Effect>) -> Vec<(String, Bytes)> {
        let mut says = Vec::new();
        for effect in effects {
            match effect {
                Effect::Write(promise) => {
                    let written = files::replace(&self.storage, PROMISE_NAME, &[&promise.encode()]);
                    if let Err(source) = written {
                        let folder = self.folder.clone();
                        state.next = Some(Next::Fail(BeginError::Promise { folder, source }));
                        break;
                    }
                }
                Effect::Say { to, say } => says.push((to, Bytes::from(say.encode()))),
                Effect::Found => state.next = Some(Next::Found),
                Effect::Join(address) => state.next = Some(Next::Join(address)),
            }
        }
        if state.next.is_some() {
            self.changed.notify_one();
        }
        says
    }
}

/// Speaks for the node until it has begun.
struct Driver {
    shared: Arc<Shared>,
    network: NetworkConfig,
    request: JoinRequest,
    table: Arc<Table>,
    words: watch::Sender<String>,
    /// Who could not be asked, and why.
    failures: BTreeMap<String, String>,
}

impl Driver {
    async fn run(mut self) -> Result<Begin, BeginError> {
        let mut asking: JoinSet<(String, Result<Bytes, AskError>)> = JoinSet::new();
        let mut asked = BTreeSet::new();
        loop {
            let next = self.table.state().next.take();
            match next {
                Some(Next::Found) => return Ok(Begin::Found),
                Some(Next::Join(address)) => return self.join(address).await,
                Some(Next::Fail(error)) => return Err(error),
                None => {}
            }
            for (to, say) in self.table.tick(&self.hints()) {
                if asked.insert(to.clone()) {
                    let shared = self.shared.clone();
                    asking.spawn(async move { (to.clone(), ask::ask(&shared, to, say, SAY_MAX).await) });
                }
            }
            self.tell(self.table.waits_for());
            let pause = sleep(Duration::from_millis(SAY_EVERY_MS));
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    () = &mut pause => break,
                    () = self.table.changed.notified() => break,
                    Some(Ok((to, answer))) = asking.join_next() => {
                        asked.remove(&to);
                        self.take_answer(to, answer);
                    }
                }
            }
        }
    }

    fn take_answer(&mut self, to: String, answer: Result<Bytes, AskError>) {
        match answer {
            Ok(answer) => {
                self.failures.remove(&to);
                if let Some(Ok(say)) = Say::decode(&answer) {
                    self.table.hears(&say);
                }
            }
            Err(error) => _ = self.failures.insert(to, in_full(&error.reason)),
        }
    }

    /// Where somebody may be: as configured, and as beacons tell.
    fn hints(&self) -> Vec<String> {
        let sighted = self.shared.air.sightings().into_iter().map(|sighting| sighting.beacon.address);
        let mut hints: Vec<String> = self.network.seeds.iter().cloned().chain(sighted).collect();
        hints.retain(|address| *address != self.network.advertised);
        hints
    }

    fn tell(&self, waits_for: String) {
        let failures = self.failures.iter().take(NAMED_MAX);
        let failures = failures.map(|(at, why)| format!("; no answer from {at}: {why}"));
        let mut words = failures.fold(waits_for, |words, failure| words + &failure);
        if self.shared.air.refused() > 0 {
            words += "; beacons under another join key are heard, of another cluster or of nodes whose key differs";
        }
        self.words.send_if_modified(|before| {
            let is_new = *before != words;
            *before = words;
            is_new
        });
    }

    /// Asks there, then where that one says, and wherever else somebody may be, until it is a member.
    async fn join(&mut self, first: String) -> Result<Begin, BeginError> {
        let question = Bytes::from(self.request.encode());
        let (mut at, mut tries, mut turn) = (first.clone(), 0, 0);
        let mut said = String::new();
        loop {
            self.tell(format!("asking {at} for a place in the cluster{said}"));
            tries += 1;
            match ask::ask(&self.shared, at.clone(), question.clone(), JOIN_MAX).await {
                Ok(answer) => {
                    self.failures.remove(&at);
                    match JoinReply::decode(&answer) {
                        Ok(JoinReply::Admitted(admission)) => return self.admitted(admission),
                        Ok(JoinReply::Refused(reason)) => return Err(BeginError::Refused(reason)),
                        Ok(JoinReply::NotLeader(leader)) => (at, tries) = (leader, 0),
                        Ok(JoinReply::NotYet(reason)) => said = format!("; {at} says: {reason}"),
                        Err(error) => _ = self.failures.insert(at.clone(), in_full(&error)),
                    }
                }
                Err(AskError { reason: LinkError::Stopped, .. }) => return Err(BeginError::Stopped),
                Err(error) => {
                    self.failures.insert(at.clone(), in_full(&error.reason));
                    tries = TRIES_MAX;
                }
            }
            // Who does not let it in for long may not know better; another one may.
            if tries >= TRIES_MAX {
                let mut others = self.hints();
                others.push(first.clone());
                turn += 1;
                (at, tries) = (others[turn % others.len()].clone(), 0);
            }
            sleep(JOIN_AGAIN).await;
        }
    }

    fn admitted(&self, admission: Admission) -> Result<Begin, BeginError> {
        if admission.name == self.network.name.as_str() {
            return Ok(Begin::Join(admission));
        }
        Err(BeginError::Refused(format!("it is called `{}`, not `{}`", admission.name, self.network.name)))
    }
}

/// What the file holds. A node that is to found with others has one before it says its first word: so it is the same
/// node when it starts again.
fn kept_promise(config: &BeginConfig, storage: &FileStorage, nonce: [u8; 16]) -> Result<Promise, BeginError> {
    let folder = || config.folder.clone();
    let failed = |source| BeginError::Promise { folder: folder(), source };
    if let Some(bytes) = files::read(storage, PROMISE_NAME).map_err(failed)? {
        return Promise::decode(&bytes).map_err(|source| BeginError::Damaged { folder: folder(), source });
    }
    let promise = Promise { nonce, bound: Founders::new() };
    if matches!(config.mode, Mode::Expect(_)) {
        files::replace(storage, PROMISE_NAME, &[&promise.encode()]).map_err(failed)?;
    }
    Ok(promise)
}
