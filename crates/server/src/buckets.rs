//! Token buckets in bounded memory: one for each of many callers, by hash.
//!
//! Every key maps to two cells, and is refused only when both are empty, so one noisy caller does not shut
//! out those who share a cell with it. Cells are read and written without a lock: a lost update lets one
//! more request through, which a limit of this kind can bear.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A rate and the burst it allows.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// 0: no limit.
    pub per_second: u32,
    pub burst: u32,
}

#[derive(Debug)]
pub struct Buckets {
    rate: Rate,
    /// Each: milliseconds of the last refill in the upper half, thousandths of a token used in the lower.
    cells: Box<[AtomicU64]>,
    seed: u64,
}

impl Buckets {
    /// `cells` is rounded up to a power of two; `seed` keeps callers from choosing whom they share with.
    pub fn new(rate: Rate, cells: usize, seed: u64) -> Self {
        let count = if rate.per_second == 0 { 1 } else { cells.next_power_of_two() };
        Self { rate, cells: (0..count).map(|_| AtomicU64::new(0)).collect(), seed }
    }

    /// One bucket for everybody.
    pub fn single(rate: Rate) -> Self {
        Self::new(rate, 1, 0)
    }

    /// Takes a token of `key` at `now_ms`; `Err` with the seconds to wait: a rate is at least one a second.
    pub fn take(&self, key: u64, now_ms: u64) -> Result<(), u32> {
        if self.rate.per_second == 0 {
            return Ok(());
        }
        let mixed = mix(key ^ self.seed);
        let mask = self.cells.len() - 1;
        let first = &self.cells[mixed as usize & mask];
        let second = &self.cells[(mixed >> 32) as usize & mask];
        let first_has = self.take_from(first, now_ms);
        let second_has = !std::ptr::eq(first, second) && self.take_from(second, now_ms);
        if first_has || second_has { Ok(()) } else { Err(1) }
    }

    fn take_from(&self, cell: &AtomicU64, now_ms: u64) -> bool {
        let now = now_ms as u32;
        let value = cell.load(Relaxed);
        let (refilled_at, used) = ((value >> 32) as u32, value as u32);
        let elapsed_ms = if value == 0 { u32::MAX } else { now.wrapping_sub(refilled_at) };
        // A thousandth of a token per millisecond and unit of rate.
        let used = u64::from(used).saturating_sub(u64::from(elapsed_ms) * u64::from(self.rate.per_second));
        let capacity = u64::from(self.rate.burst.max(1)) * 1000;
        if used + 1000 > capacity {
            return false;
        }
        let used = u32::try_from(used + 1000).unwrap_or(u32::MAX);
        cell.store(u64::from(now) << 32 | u64::from(used), Relaxed);
        true
    }
}

/// Finaliser of splitmix64 (Steele et al., OOPSLA 2014): spreads any key over all bits.
fn mix(mut key: u64) -> u64 {
    key = key.wrapping_add(0x9E37_79B9_7F4A_7C15);
    key = (key ^ (key >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    key = (key ^ (key >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    key ^ (key >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let buckets = Buckets::new(Rate { per_second: 2, burst: 3 }, 1024, 7);
        let passed = |at: u64, tries: usize| (0..tries).filter(|_| buckets.take(42, at).is_ok()).count();
        assert_eq!(passed(1_000_000, 10), 3);
        assert_eq!(passed(1_000_500, 10), 1);
        assert_eq!(passed(1_002_000, 10), 3);
        assert_eq!(passed(1_060_000, 10), 3);
    }

    #[test]
    fn a_noisy_caller_does_not_shut_out_others() {
        let buckets = Buckets::new(Rate { per_second: 1, burst: 2 }, 1024, 9);
        for _ in 0..1000 {
            let _ = buckets.take(1, 5_000);
        }
        let refused = (2..200).filter(|key| buckets.take(*key, 5_000).is_err()).count();
        assert_eq!(refused, 0);
    }

    #[test]
    fn no_rate_means_no_limit() {
        let buckets = Buckets::single(Rate { per_second: 0, burst: 0 });
        assert!((0..1000).all(|_| buckets.take(1, 1).is_ok()));
    }
}
