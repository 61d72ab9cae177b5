//! Which seeds a test runs, and how a failure names its own command.

use crate::broken::Broken;

/// The seeds of a test: `1..=count`, or as many as `SIM_SEEDS` says, from `SIM_FIRST` on, or the one of `SIM_SEED` alone.
pub fn seeds(count: u64) -> impl Iterator<Item = u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.trim().parse::<u64>().ok());
    let all = match number("SIM_SEED") {
        Some(seed) => seed..=seed,
        None => number("SIM_FIRST").unwrap_or(1)..=number("SIM_SEEDS").unwrap_or(count),
    };
    all.into_iter()
}

/// Runs `one` for each seed of [`seeds`]; a failure, and a panic too, ends with the command that repeats it.
///
/// # Panics
/// Where a promise is broken.
pub fn each_seed(test: &str, count: u64, mut one: impl FnMut(u64) -> Result<(), Broken>) {
    for seed in seeds(count) {
        let told = Told { test, seed };
        if let Err(broken) = one(seed) {
            panic!("{broken}");
        }
        std::mem::forget(told);
    }
}

/// Says how to repeat a run, unless it ends well.
struct Told<'a> {
    test: &'a str,
    seed: u64,
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        eprintln!("repeat it with: SIM_SEED={} cargo test -p sim {}", self.seed, self.test);
    }
}
