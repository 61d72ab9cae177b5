//! Reading a whole log in order while other threads read ahead and check sums.
//!
//! ```text
//! walk_ahead ──chunk──▶ weigh_jobs (a thread per core) ──weighed chunk──▶ take (the caller, in order)
//!      └───────────────────── where each chunk's result will come ───────────────▶┘
//! ```

use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};

use crate::format::SEGMENT_DATA_OFFSET;
use crate::scan::{Chunk, Walk, WalkError};
use crate::segment::Segment;
use crate::{StorageFile, Threads};

/// Threads that check sums at once, at most; beyond this the disk or the caller is the limit.
const CHECKING_THREADS_MAX: usize = 4;

/// Where a scan begins or stops.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScanPlace {
    /// Number of the segment in the scanned slice.
    pub segment: usize,
    pub offset: u64,
}

impl ScanPlace {
    pub const START: Self = Self { segment: 0, offset: SEGMENT_DATA_OFFSET };
}

/// Feeds `take` with weighed chunks in order from `from` on, up to the end or the first place that `take` returns.
pub fn scan_segments<F: StorageFile, E>(
    segments: &[Segment<F>],
    from: ScanPlace,
    threads: Threads,
    take: impl FnMut(Result<&Chunk, WalkError>) -> Result<Option<ScanPlace>, E>,
) -> Result<Option<ScanPlace>, E> {
    let walk = Walk::new(segments, from);
    match threads {
        Threads::Helpers if segments.len() - from.segment > 1 => scan_with_helpers(walk, take),
        _ => scan_alone(walk, take),
    }
}

fn scan_alone<F: StorageFile, E>(
    mut walk: Walk<'_, F>,
    mut take: impl FnMut(Result<&Chunk, WalkError>) -> Result<Option<ScanPlace>, E>,
) -> Result<Option<ScanPlace>, E> {
    let mut chunk = Chunk::default();
    loop {
        match walk.next(&mut chunk) {
            Ok(false) => return Ok(None),
            Ok(true) => {
                chunk.weigh();
                if let Some(place) = take(Ok(&chunk))? {
                    return Ok(Some(place));
                }
            }
            Err(error) => return take(Err(error)),
        }
    }
}

/// A chunk on its way to a checking thread, and where the result goes.
type Job = (Chunk, SyncSender<Chunk>);

fn scan_with_helpers<F: StorageFile, E>(
    walk: Walk<'_, F>,
    mut take: impl FnMut(Result<&Chunk, WalkError>) -> Result<Option<ScanPlace>, E>,
) -> Result<Option<ScanPlace>, E> {
    let helpers =
        std::thread::available_parallelism().map_or(1, |cores| cores.get().min(CHECKING_THREADS_MAX));
    std::thread::scope(|scope| {
        let in_flight = helpers * 2;
        let (jobs, job_queue) = sync_channel::<Job>(in_flight);
        let (ordered, results) = sync_channel::<Result<Receiver<Chunk>, WalkError>>(in_flight);
        let (used, spare) = channel::<Chunk>();
        scope.spawn(move || walk_ahead(walk, &jobs, &ordered, &spare));
        let job_queue = Arc::new(Mutex::new(job_queue));
        for _ in 0..helpers {
            let job_queue = job_queue.clone();
            scope.spawn(move || weigh_jobs(&job_queue));
        }
        drop(job_queue);
        for result in results {
            let chunk = match result {
                Ok(weighed) => weighed.recv().expect("a checking thread answers each job"),
                Err(error) => return take(Err(error)),
            };
            if let Some(place) = take(Ok(&chunk))? {
                return Ok(Some(place));
            }
            let _ = used.send(chunk);
        }
        Ok(None)
    })
}

fn walk_ahead<F: StorageFile>(
    mut walk: Walk<'_, F>,
    jobs: &SyncSender<Job>,
    ordered: &SyncSender<Result<Receiver<Chunk>, WalkError>>,
    spare: &Receiver<Chunk>,
) {
    loop {
        let mut chunk = spare.try_recv().unwrap_or_default();
        match walk.next(&mut chunk) {
            Ok(false) => return,
            Ok(true) => {
                let (answer, weighed) = sync_channel(1);
                if ordered.send(Ok(weighed)).is_err() || jobs.send((chunk, answer)).is_err() {
                    return;
                }
            }
            Err(error) => {
                let _ = ordered.send(Err(error));
                return;
            }
        }
    }
}

fn weigh_jobs(job_queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = job_queue.lock().expect("taking a job does not panic").recv();
        let Ok((mut chunk, answer)) = job else { return };
        chunk.weigh();
        let _ = answer.send(chunk);
    }
}
