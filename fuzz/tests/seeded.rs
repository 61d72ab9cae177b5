//! The fuzz bodies on the stable compiler. `FUZZ_SEED=17 FUZZ_RUNS=1000000 cargo test` for more, or for one again.

use hustings_fuzz::{Noise, TARGETS, mangled};

const RUNS: u64 = 20_000;
/// Audits check signatures and count: each takes milliseconds where the other parsers take microseconds.
const RUNS_OF_RECORD: u64 = 2_000;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn holds(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("the target is listed");
    let examples = (target.examples)();
    assert!(!examples.is_empty());
    for example in &examples {
        (target.body)(example);
    }
    let seed = setting("FUZZ_SEED", 1);
    let mut noise = Noise::new(seed);
    let runs = if name == "record" { RUNS_OF_RECORD } else { RUNS };
    for run in 0..setting("FUZZ_RUNS", runs) {
        let bytes = mangled(&mut noise, &examples);
        let held = std::panic::catch_unwind(|| (target.body)(&bytes));
        assert!(
            held.is_ok(),
            "{name}, run {run}: again with FUZZ_SEED={seed} cargo test; the input was {:?}",
            String::from_utf8_lossy(&bytes)
        );
    }
}

/// Every target has its test here and its file under `fuzz_targets`.
macro_rules! targets {
    ($($name:ident),+ $(,)?) => {
        $(#[test] fn $name() { holds(stringify!($name)); })+

        #[test]
        fn every_target_is_tested_and_has_its_file() {
            let tested = [$(stringify!($name)),+];
            let listed: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(listed, tested);
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz_targets");
            assert!(listed.iter().all(|name| folder.join(format!("{name}.rs")).exists()));
        }
    };
}

targets!(
    definition_json,
    definition_toml,
    ballot_body,
    opening,
    batch,
    checkpoint_note,
    receipt_json,
    record,
    token
);
