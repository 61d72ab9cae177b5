//! Rows not yet in a run: one writer inserts, readers look up meanwhile, nobody waits.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use super::IndexKey;

/// A key and a value as they stand in runs: 16 bytes, 8 bytes big-endian.
pub type Row = (u128, u64);

/// An append-only list of rows with a hash table of their numbers. Never deletes, so rows of one key stand in their
/// table's probing order as they were inserted.
pub struct Buffer {
    /// Key (high, low), value.
    rows: Box<[[AtomicU64; 3]]>,
    /// Row number + 1; 0 is free. Twice as many as rows, a power of two.
    slots: Box<[AtomicU32]>,
    count: AtomicUsize,
}

impl Buffer {
    pub const ROWS_MIN: usize = 1024;

    pub fn with_rows(rows: usize) -> Self {
        let slots = (rows * 2).next_power_of_two();
        Self {
            rows: (0..rows).map(|_| Default::default()).collect(),
            slots: (0..slots).map(|_| AtomicU32::new(0)).collect(),
            count: AtomicUsize::new(0),
        }
    }

    pub fn rows(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Appends a row; false where there is no room. By the one writer.
    pub fn insert(&self, key: &IndexKey, value: u64) -> bool {
        let number = self.count.load(Ordering::Relaxed);
        let Some(row) = self.rows.get(number) else { return false };
        let key = u128::from_be_bytes(*key);
        row[0].store((key >> 64) as u64, Ordering::Relaxed);
        row[1].store(key as u64, Ordering::Relaxed);
        row[2].store(value, Ordering::Relaxed);
        let mut slot = self.first_slot(key);
        while self.slots[slot].load(Ordering::Relaxed) != 0 {
            slot = self.next_slot(slot);
        }
        self.slots[slot].store(number as u32 + 1, Ordering::Release);
        self.count.store(number + 1, Ordering::Release);
        true
    }

    pub fn lookup(&self, key: &IndexKey, values: &mut Vec<u64>) {
        let key = u128::from_be_bytes(*key);
        let mut slot = self.first_slot(key);
        loop {
            let number = self.slots[slot].load(Ordering::Acquire);
            if number == 0 {
                return;
            }
            let (row_key, value) = self.row(number as usize - 1);
            if row_key == key {
                values.push(value);
            }
            slot = self.next_slot(slot);
        }
    }

    /// A copy with twice the room.
    pub fn grown(&self) -> Self {
        let grown = Self::with_rows(self.rows.len() * 2);
        for number in 0..self.rows() {
            let (key, value) = self.row(number);
            assert!(
                grown.insert(&key.to_be_bytes(), value),
                "a larger buffer holds the rows of a smaller one"
            );
        }
        grown
    }

    /// All rows by key; rows of one key as they were inserted.
    pub fn sorted(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = (0..self.rows()).map(|number| self.row(number)).collect();
        rows.sort_by_key(|&(key, _)| key);
        rows
    }

    fn row(&self, number: usize) -> Row {
        let [high, low, value] = &self.rows[number];
        let key = u128::from(high.load(Ordering::Relaxed)) << 64 | u128::from(low.load(Ordering::Relaxed));
        (key, value.load(Ordering::Relaxed))
    }

    fn first_slot(&self, key: u128) -> usize {
        // The multiplier of Fibonacci hashing, 2^64 / the golden ratio: the upper bits depend on all of the key's.
        let mixed = ((key >> 64) as u64 ^ (key as u64).rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 32) as usize & (self.slots.len() - 1)
    }

    fn next_slot(&self, slot: usize) -> usize {
        (slot + 1) & (self.slots.len() - 1)
    }
}
