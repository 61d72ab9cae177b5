//! Buffers into runs, and runs into fewer, larger runs.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::run::{Run, RunRows, RunWriter, Span, remove, write_run};
use super::{BUFFER_ROWS, IndexError, Shared};
use crate::{LedgerId, Storage};

/// Runs of like size that are merged into one, and the factor between sizes that count as like. High, because ballots
/// come by the million and look-ups are rare: at 4 merging took a fifth of the processor under a bulk load.
const FAN: usize = 8;
/// Rows merged between two looks at whether a buffer is waiting.
const ROWS_BETWEEN_LOOKS: u64 = 65_536;

/// Writes what is frozen, then merges while there is something to merge.
pub fn write_frozen_and_merge<S: Storage>(shared: &Shared<S>, ledger: LedgerId) -> Result<(), IndexError> {
    write_frozen(shared, ledger)?;
    merge_runs(shared, ledger)
}

/// Makes a run of each frozen buffer, oldest first. What fails stays frozen, and can be looked up.
pub fn write_frozen<S: Storage>(shared: &Shared<S>, ledger: LedgerId) -> Result<(), IndexError> {
    loop {
        let Some(frozen) = shared.view.load().frozen.first().cloned() else { return Ok(()) };
        let rows = frozen.buffer.sorted();
        let written = write_run(&shared.storage, ledger, frozen.span, |writer| {
            rows.into_iter().try_for_each(|row| writer.push(row))?;
            Ok(true)
        })?;
        let run = Arc::new(written.expect("all rows were pushed"));
        shared.change(|view| {
            view.frozen.remove(0);
            view.runs.push(run);
        });
        shared.signals.announce_progress();
    }
}

/// Merges the youngest runs while [`FAN`] of them are of like size.
pub fn merge_runs<S: Storage>(shared: &Shared<S>, ledger: LedgerId) -> Result<(), IndexError> {
    loop {
        let runs = shared.view.load().runs.clone();
        let Some(from) = first_to_merge(&runs.iter().map(|run| run.rows).collect::<Vec<_>>()) else {
            return Ok(());
        };
        let old = &runs[from..];
        let Some(merged) = merge(shared, ledger, old)?.map(Arc::new) else { return Ok(()) };
        // Runs written meanwhile stand behind these.
        shared.change(|view| drop(view.runs.splice(from..from + old.len(), [merged])));
        // The merged run is on disk under its name; a crash in between leaves these to be cleared at opening.
        for run in old {
            remove(&shared.storage, run)?;
        }
    }
}

/// Where the runs to be merged begin, which go to the end: the longest tail of at least [`FAN`] runs none of which is
/// of a larger size class than the smallest class for which there are so many.
fn first_to_merge(rows: &[u64]) -> Option<usize> {
    let classes: Vec<u32> = rows.iter().map(|&rows| size_class(rows)).collect();
    (0..=*classes.iter().max()?).find_map(|class| {
        let from = classes.iter().rposition(|&other| other > class).map_or(0, |larger| larger + 1);
        (classes.len() - from >= FAN).then_some(from)
    })
}

/// 0 for a run of one buffer, one more for each factor of [`FAN`].
fn size_class(rows: u64) -> u32 {
    (rows / (BUFFER_ROWS as u64 * 2)).checked_ilog(FAN as u64).map_or(0, |class| class + 1)
}

/// One run of several adjacent ones; `None` when it is time to stop.
fn merge<S: Storage>(
    shared: &Shared<S>,
    ledger: LedgerId,
    runs: &[Arc<Run<S::File>>],
) -> Result<Option<Run<S::File>>, IndexError> {
    let (first, last) = (runs.first().expect("runs to merge"), runs.last().expect("runs to merge"));
    let span = Span { after: first.span.after, through: last.span.through };
    write_run(&shared.storage, ledger, span, |writer| merge_rows(shared, ledger, runs, writer))
}

/// Pushes the rows of all runs by key; false when it is time to stop.
fn merge_rows<S: Storage>(
    shared: &Shared<S>,
    ledger: LedgerId,
    runs: &[Arc<Run<S::File>>],
    writer: &mut RunWriter<'_, S>,
) -> Result<bool, IndexError> {
    let mut sources: Vec<_> = runs.iter().map(|run| RunRows::new(run)).collect();
    // Ordered by key, then age: values of one key stay in the order they went in.
    let mut heads = BinaryHeap::with_capacity(sources.len());
    for (age, source) in sources.iter_mut().enumerate() {
        if let Some((key, value)) = source.next()? {
            heads.push(Reverse((key, age, value)));
        }
    }
    let mut merged = 0_u64;
    while let Some(Reverse((key, age, value))) = heads.pop() {
        writer.push((key, value))?;
        if let Some((key, value)) = sources[age].next()? {
            heads.push(Reverse((key, age, value)));
        }
        merged += 1;
        if merged.is_multiple_of(ROWS_BETWEEN_LOOKS) {
            if shared.signals.is_stopping() {
                return Ok(false);
            }
            write_frozen(shared, ledger)?;
        }
    }
    Ok(true)
}
