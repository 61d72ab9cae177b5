//! The embedded log keeps the contract of every log.

use ledger::contract::{self, Harness};
use ledger::faulty::FaultyStorage;
use ledger::{
    FileStorage, HardState, Ledger, LedgerError, LedgerId, LedgerOptions, Log as _, Position, Reader,
    ReplicatedLedger, ReplicatedLog as _, Storage, Threads,
};

struct Embedded<S> {
    storage: S,
    options: LedgerOptions,
}

impl<S: Storage> Harness for Embedded<S> {
    type Log = Ledger<S>;
    type Reader = Reader<S>;

    fn open(&mut self) -> (Ledger<S>, Reader<S>) {
        let opened = Ledger::open(self.storage.clone(), self.options, |_| Ok::<_, LedgerError>(()));
        let ledger = match opened {
            Ok((ledger, recovery)) => {
                assert_eq!(recovery.cut, None);
                ledger
            }
            Err(LedgerError::NoLedger { .. }) => {
                Ledger::create(self.storage.clone(), LedgerId([7; 16]), self.options).unwrap()
            }
            Err(error) => panic!("{error}"),
        };
        let reader = ledger.reader();
        (ledger, reader)
    }
}

#[test]
fn the_embedded_log_keeps_the_contract_on_a_disk() {
    let folder = tempfile::tempdir().unwrap();
    let storage = FileStorage::new(folder.path().join("ledger")).unwrap();
    contract::check(&mut Embedded { storage, options: LedgerOptions::STANDARD });
}

#[test]
fn the_embedded_log_keeps_the_contract_in_memory_with_tiny_segments() {
    for (segment_bytes_first, segment_bytes_max) in
        [(16 << 10, 16 << 10), (16 << 10, 64 << 10), (1 << 20, 1 << 20)]
    {
        for threads in [Threads::Helpers, Threads::CallerOnly] {
            let options = LedgerOptions { segment_bytes_first, segment_bytes_max, threads };
            contract::check(&mut Embedded { storage: FaultyStorage::new(1), options });
        }
    }
}

struct Replicated<S> {
    storage: S,
    options: LedgerOptions,
    /// Commits all that is synced, and has seen a high term, as the suite of every log wants it.
    alone: bool,
}

impl<S: Storage> Harness for Replicated<S> {
    type Log = ReplicatedLedger<S>;
    type Reader = Reader<S>;

    fn open(&mut self) -> (ReplicatedLedger<S>, Reader<S>) {
        let opened = ReplicatedLedger::open(self.storage.clone(), self.options, |_| Ok::<_, LedgerError>(()));
        let mut log = match opened {
            Ok((log, _)) => log,
            Err(LedgerError::NoLedger { .. }) => {
                ReplicatedLedger::create(self.storage.clone(), LedgerId([7; 16]), self.options).unwrap()
            }
            Err(error) => panic!("{error}"),
        };
        if self.alone {
            log.save_hard_state(HardState { term: 1000, vote: 1, committed: Position::NONE }).unwrap();
            log.commit_to(log.last().position);
        }
        let reader = log.reader();
        (log, reader)
    }

    fn settle(&mut self, log: &mut ReplicatedLedger<S>, position: Position) {
        assert!(log.committed() < position, "nobody has said so yet");
        log.commit_to(position);
    }
}

#[test]
fn the_replicated_log_keeps_both_contracts() {
    let folder = tempfile::tempdir().unwrap();
    for alone in [true, false] {
        let run = |storage, options| {
            let mut harness = Replicated { storage, options, alone };
            if alone { contract::check(&mut harness) } else { contract::check_replicated(&mut harness) }
        };
        for threads in [Threads::Helpers, Threads::CallerOnly] {
            let (segment_bytes_first, segment_bytes_max) = (16 << 10, 64 << 10);
            run(FaultyStorage::new(1), LedgerOptions { segment_bytes_first, segment_bytes_max, threads });
        }
        let storage = FileStorage::new(folder.path().join(alone.to_string())).unwrap();
        let mut harness = Replicated { storage, options: LedgerOptions::STANDARD, alone };
        if alone { contract::check(&mut harness) } else { contract::check_replicated(&mut harness) }
    }
}
