//! The embedded log keeps the contract of every log.

use ledger::contract::{self, Harness};
use ledger::faulty::FaultyStorage;
use ledger::{FileStorage, Ledger, LedgerError, LedgerId, LedgerOptions, Reader, Storage, Threads};

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
