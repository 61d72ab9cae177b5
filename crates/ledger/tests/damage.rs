//! A flipped bit anywhere: what was confirmed is never silently gone, and refusing changes nothing.

mod support;

use ledger::faulty::FaultyStorage;
use ledger::{LedgerError, Log as _, LogReader as _, Position, Scan as _};
use proptest::prelude::*;
use support::{DATA, ledger_with, open_and_check};

const ENTRIES: u64 = 27;

/// All files of a sound ledger and the byte at which its last record ends in the last segment.
struct Sound {
    files: std::collections::BTreeMap<String, Vec<u8>>,
    last_segment: String,
    end_of_records: usize,
}

fn sound_ledger(marked: bool) -> Sound {
    let files = ledger_with(ENTRIES, marked).contents();
    let (last_segment, bytes) = files.iter().next_back().expect("a ledger has a segment");
    let end_of_records = bytes.iter().rposition(|&byte| byte != 0).expect("a segment has entries") + 1;
    Sound { last_segment: last_segment.clone(), end_of_records, files: files.clone() }
}

/// Opens a ledger with one flipped byte; how many entries it has, or the refusal.
fn open_flipped(sound: &Sound, name: &str, offset: usize) -> Result<u64, LedgerError> {
    let storage = FaultyStorage::with_contents(0, &sound.files);
    storage.flip(name, offset, 1 << (offset % 8));
    let flipped = storage.contents();
    let opened = open_and_check(&storage).map(|(ledger, _)| ledger.committed().0);
    if opened.is_err() {
        assert!(storage.contents() == flipped, "refusing changes nothing");
    }
    opened
}

/// Every byte around the borders of things, every 29th elsewhere.
fn bytes_to_flip(bytes: usize, end_of_records: usize) -> impl Iterator<Item = usize> {
    let borders = [0..90, 4090..4210, DATA - 5..DATA + 500, end_of_records - 220..end_of_records + 20];
    (0..bytes).filter(move |at| at % 29 == 0 || borders.iter().any(|border| border.contains(at)))
}

#[test]
fn a_flip_below_the_mark_is_refused_wherever_it_is() {
    let sound = sound_ledger(true);
    assert!(sound.files.len() >= 4);
    for (name, bytes) in &sound.files {
        for offset in bytes_to_flip(bytes.len(), sound.end_of_records) {
            let behind_the_log = *name == sound.last_segment && offset >= sound.end_of_records;
            let in_marks_page = (4096..DATA).contains(&offset);
            let opened = open_flipped(&sound, name, offset);
            if behind_the_log || in_marks_page {
                // An unfinished record or an unfinished mark, and nothing lost.
                assert_eq!(
                    opened.expect("nothing confirmed was touched"),
                    ENTRIES,
                    "byte {offset} of {name}"
                );
            } else {
                assert!(opened.is_err(), "byte {offset} of {name}");
            }
        }
    }
}

#[test]
fn a_flip_in_the_last_unmarked_entry_cuts_it_and_only_it() {
    let sound = sound_ledger(false);
    let last_entry_bytes = 104 + support::payload(ENTRIES).len();
    let bytes = sound.files[&sound.last_segment].len();
    for offset in bytes_to_flip(bytes, sound.end_of_records).filter(|&offset| offset >= DATA) {
        let opened = open_flipped(&sound, &sound.last_segment, offset);
        if offset < sound.end_of_records - last_entry_bytes {
            assert!(opened.is_err(), "byte {offset}");
        } else if offset < sound.end_of_records {
            assert_eq!(opened.unwrap(), ENTRIES - 1, "byte {offset}");
        } else {
            assert_eq!(opened.unwrap(), ENTRIES, "byte {offset}");
        }
    }
}

/// A short log fits one page; its mark stands in another.
#[test]
fn a_lost_page_with_all_of_a_short_log_in_it_is_refused() {
    let files = ledger_with(2, true).contents();
    let name = files.keys().next().unwrap();
    for lost in [vec![0; 4096], vec![0x5a; 4096]] {
        let mut files = files.clone();
        files.get_mut(name).unwrap()[DATA..DATA + 4096].copy_from_slice(&lost);
        let error = open_and_check(&FaultyStorage::with_contents(0, &files)).unwrap_err();
        assert!(matches!(error, LedgerError::Damaged { position: Position(1), .. }), "{error}");
    }
}

#[test]
fn the_first_entry_of_a_later_segment_was_safe_before_its_file_had_a_name() {
    let entries = (1..).find(|&entries| ledger_with(entries, false).contents().len() == 2).unwrap();
    let files = ledger_with(entries, false).contents();
    let name = files.keys().next_back().unwrap().clone();
    for offset in [0, 4, 54, 103, 104, 150].map(|offset| DATA + offset) {
        let storage = FaultyStorage::with_contents(0, &files);
        storage.flip(&name, offset, 1);
        let error = open_and_check(&storage).unwrap_err();
        assert!(matches!(error, LedgerError::Damaged { position, .. } if position.0 == entries), "{error}");
    }
}

#[test]
fn a_refusal_names_entry_file_and_byte_and_says_what_to_do() {
    let sound = sound_ledger(true);
    let first = sound.files.keys().next().unwrap();
    let error = open_flipped(&sound, first, DATA + 300).unwrap_err();
    assert_eq!(
        error.to_string(),
        "entry 2 is damaged (its checksum does not match) in `/faulty/0000000000000001.seg` at byte 8336, after it \
         had been confirmed as written; nothing was changed: keep this folder, and start from a backup with \
         `hustings restore`"
    );
    let error = open_flipped(&sound, first, 20).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("`/faulty/0000000000000001.seg` is damaged (the checksum of its header")
    );
}

#[test]
fn a_missing_segment_is_named() {
    let sound = sound_ledger(true);
    for missing in sound.files.keys().take(sound.files.len() - 1) {
        let mut files = sound.files.clone();
        files.remove(missing);
        let error = open_and_check(&FaultyStorage::with_contents(0, &files)).unwrap_err();
        assert!(matches!(error, LedgerError::Missing { .. }), "{error}");
    }
}

#[test]
fn a_segment_of_another_length_is_refused() {
    let sound = sound_ledger(true);
    for name in sound.files.keys() {
        for change in [-4096, -1, 1] {
            let mut files = sound.files.clone();
            let bytes = files.get_mut(name).unwrap();
            bytes.resize(bytes.len().strict_add_signed(change), 0);
            let error = open_and_check(&FaultyStorage::with_contents(0, &files)).unwrap_err();
            assert!(matches!(error, LedgerError::SegmentDamaged { .. }), "{error}");
        }
    }
}

#[test]
fn an_entry_put_in_from_elsewhere_breaks_the_chain() {
    // The same positions, other stamps: whole entries, sound sums, another history.
    let sound = sound_ledger(true);
    let storage = FaultyStorage::new(0);
    let mut other = ledger::Ledger::create(storage.clone(), support::ID, support::TINY).unwrap();
    for position in 1..=ENTRIES {
        let payload = support::payload(position);
        let kind = ledger::EntryKind(2);
        other.append(ledger::NewEntry { epoch: 1, term: 0, stamp: position << 16, kind, payload }).unwrap();
    }
    other.idle().unwrap();
    let others = storage.contents();
    for (name, bytes) in sound.files.iter().skip(1) {
        let mut files = sound.files.clone();
        files.insert(name.clone(), others[name].clone());
        let error = open_and_check(&FaultyStorage::with_contents(0, &files)).unwrap_err();
        assert!(matches!(error, LedgerError::BrokenChain { .. }), "{error}");
        assert_eq!(bytes.len(), others[name].len());
        // Only the entries, under the right header.
        let mut files = sound.files.clone();
        files.get_mut(name).unwrap()[DATA..].copy_from_slice(&others[name][DATA..]);
        let error = open_and_check(&FaultyStorage::with_contents(0, &files)).unwrap_err();
        assert!(matches!(error, LedgerError::BrokenChain { .. }), "{error}");
    }
}

#[test]
fn foreign_and_newer_files_are_refused_and_other_files_left_alone() {
    let sound = sound_ledger(true);
    let open = |files| open_and_check(&FaultyStorage::with_contents(0, &files)).map(|_| ());

    let mut files = sound.files.clone();
    files.insert("1.seg".into(), Vec::new());
    assert!(matches!(open(files), Err(LedgerError::ForeignFile { .. })));

    let mut files = sound.files.clone();
    files.insert("notes.txt".into(), b"hello".to_vec());
    let storage = FaultyStorage::with_contents(0, &files);
    open_and_check(&storage).unwrap();
    assert_eq!(storage.contents()["notes.txt"], b"hello");

    let mut files = sound.files.clone();
    let header = files.values_mut().next().unwrap();
    header[4] = 2;
    let sum = crc32c::crc32c(&header[..72]);
    header[72..76].copy_from_slice(&sum.to_be_bytes());
    assert!(matches!(open(files), Err(LedgerError::NewerFormat { version: 2, .. })));

    let mut files = sound.files.clone();
    let storage = FaultyStorage::new(0);
    ledger::Ledger::create(storage.clone(), ledger::LedgerId([1; 16]), support::TINY).unwrap();
    files.insert(sound.last_segment.clone(), storage.contents().into_values().next().unwrap());
    assert!(matches!(open(files), Err(LedgerError::OtherLedger { .. })));
}

#[test]
fn damage_behind_the_readers_back_is_an_error_not_an_answer() {
    let storage = ledger_with(ENTRIES, true);
    storage.crash(ledger::faulty::Crash::KeepAll);
    let (ledger, _) = open_and_check(&storage).unwrap();
    let reader = ledger.reader();
    let first = storage.contents().keys().next().unwrap().clone();
    let mut payload = Vec::new();
    for offset in DATA..DATA + 400 {
        storage.flip(&first, offset, 0x10);
        let position = Position(if offset < DATA + 144 { 1 } else { 2 });
        assert!(
            matches!(reader.read(position, &mut payload), Err(LedgerError::Damaged { .. })),
            "byte {offset}"
        );
        let mut scan = reader.scan(Position(1));
        let mut read = 0;
        let error = loop {
            match scan.next() {
                Ok(Some(_)) => read += 1,
                Ok(None) => panic!("byte {offset} went unnoticed"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, LedgerError::Damaged { .. }));
        assert_eq!(read, position.0 - 1);
        storage.flip(&first, offset, 0x10);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever is scribbled over a marked ledger: it is refused, or every entry is there unchanged.
    #[test]
    fn scribbling_is_refused_or_harmless(
        segment in 0_usize..4,
        from in 0_usize..24_576,
        bytes in prop::collection::vec(any::<u8>(), 1..2000),
    ) {
        let sound = sound_ledger(true);
        let mut files = sound.files.clone();
        let segment = segment % files.len();
        let target = files.values_mut().nth(segment).unwrap();
        let from = from.min(target.len() - 1);
        let to = (from + bytes.len()).min(target.len());
        target[from..to].copy_from_slice(&bytes[..to - from]);
        let storage = FaultyStorage::with_contents(0, &files);
        match open_and_check(&storage) {
            Ok((ledger, _)) => prop_assert_eq!(ledger.committed().0, ENTRIES),
            Err(_) => prop_assert!(storage.contents() == files),
        }
    }
}
