//! Durable appends, opening, scanning and the index, on the disk that holds the target folder.
//!
//! `cargo bench -p ledger` measures and prints a table; `cargo test` runs the same at a tiny size. `LEDGER_BENCH_DIR`
//! chooses another folder, `LEDGER_BENCH_BATCHES=1,64` other batches, `LEDGER_BENCH_SHORT_TURNS=1`
//! asks for short turns of the processor. Method: one thread, 200-byte records of pseudo-random bytes made once, a batch counted
//! after its sync; each row starts from an empty folder; then the whole ledger is opened from a warm cache.

#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use ledger::index::Index;
use ledger::{
    EntryKind, FileStorage, Ledger, LedgerError, LedgerId, LedgerOptions, Log as _, LogPoint, LogReader as _,
    NewEntry, Position, Scan as _, Threads,
};

const RECORD_BYTES: usize = 200;

fn main() {
    let short_turns = std::env::var_os("LEDGER_BENCH_SHORT_TURNS").is_some() && ledger::prefer_short_turns();
    let measuring = std::env::args().any(|argument| argument == "--bench");
    let (duration, records_max, index_rows) = if measuring {
        (Duration::from_secs(3), 6_000_000, 10_000_000)
    } else {
        (Duration::from_millis(1), 2_000, 2_000)
    };
    println!("short turns: {short_turns}\n");
    println!("| batch | records/s | batches/s | p50 us | p99 us | max us | open MB/s | scan MB/s |");
    println!("|---|---|---|---|---|---|---|---|");
    let batches = std::env::var("LEDGER_BENCH_BATCHES").unwrap_or_else(|_| "1,64,1000,10000".into());
    for batch in
        batches.split(',').map(|batch| batch.parse().expect("LEDGER_BENCH_BATCHES is numbers and commas"))
    {
        append_open_and_scan(batch, duration, records_max);
    }
    index(index_rows);
}

fn folder() -> tempfile::TempDir {
    let root = std::env::var_os("LEDGER_BENCH_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    tempfile::tempdir_in(root).expect("a folder to write in")
}

fn append_open_and_scan(batch: usize, duration: Duration, records_max: usize) {
    let folder = folder();
    let storage = FileStorage::new(folder.path()).expect("the folder is there");
    let mut ledger = Ledger::create(storage.clone(), LedgerId([1; 16]), LedgerOptions::STANDARD)
        .expect("the folder is empty");
    let noise = noise(batch * RECORD_BYTES + 4096);
    let mut latencies = Vec::new();
    let start = Instant::now();
    while start.elapsed() < duration && latencies.len() * batch < records_max {
        let from = latencies.len() % 4096;
        let payload = &noise[from..from + batch * RECORD_BYTES];
        let begin = Instant::now();
        ledger
            .append(NewEntry { epoch: 1, term: 0, stamp: 0, kind: EntryKind(1), payload })
            .expect("there is room");
        latencies.push(begin.elapsed());
    }
    let elapsed = start.elapsed().as_secs_f64();
    let batches = latencies.len();
    latencies.sort_unstable();
    let micros = |rank: f64| latencies[((batches - 1) as f64 * rank) as usize].as_micros();
    let megabytes = (batches * (batch * RECORD_BYTES + 104)) as f64 / 1e6;

    let begin = Instant::now();
    let mut scan = ledger.reader().scan(Position(1));
    while scan.next().expect("the ledger is sound").is_some() {}
    let scanned = megabytes / begin.elapsed().as_secs_f64();
    drop(scan);
    ledger.close().expect("the disk works");

    let begin = Instant::now();
    let mut entries = 0;
    let (ledger, _) = Ledger::open(storage, LedgerOptions::STANDARD, |_| {
        entries += 1;
        Ok::<_, LedgerError>(())
    })
    .expect("the ledger is sound");
    let opened = megabytes / begin.elapsed().as_secs_f64();
    assert_eq!(entries, batches);
    drop(ledger);
    println!(
        "| {batch} | {:.0} | {:.0} | {} | {} | {} | {opened:.0} | {scanned:.0} |",
        (batches * batch) as f64 / elapsed,
        batches as f64 / elapsed,
        micros(0.5),
        micros(0.99),
        micros(1.0),
    );
}

fn index(rows: u64) {
    let folder = folder();
    let storage = FileStorage::new(folder.path()).expect("the folder is there");
    let mut index = Index::open(storage, LedgerId([1; 16]), Threads::Helpers).expect("the folder is empty");
    let begin = Instant::now();
    for row in 0..rows {
        index.insert(&key(row), row);
        if row % 1000 == 999 {
            let point = LogPoint { position: Position(row / 1000 + 1), hash: LogPoint::START.hash };
            index.advance(point).expect("the disk works");
        }
    }
    let inserting = begin.elapsed();
    index.flush().expect("the disk works");
    let flushed = begin.elapsed();
    let reader = index.reader();
    let lookups = rows.min(100_000);
    let begin = Instant::now();
    let mut values = Vec::new();
    for number in 0..lookups {
        let row = number * 7919 % rows;
        values.clear();
        reader.lookup(&key(row), &mut values).expect("the index is sound");
        assert_eq!(values, [row]);
    }
    println!(
        "\nindex: {rows} rows, insert {} ns, flushed after {flushed:.2?}, {} runs, lookup {:.1} us",
        inserting.as_nanos() / u128::from(rows),
        reader.runs(),
        begin.elapsed().as_secs_f64() * 1e6 / lookups as f64,
    );
}

/// As a keyed hash would spread them.
fn key(row: u64) -> [u8; 16] {
    let mixed = u128::from(row + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    (mixed ^ (mixed >> 64)).to_be_bytes()
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let words = std::iter::from_fn(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        Some(state.to_le_bytes())
    });
    words.flatten().take(bytes).collect()
}
