//! The suites: what each runs, what it needs, and how its results are read.

use std::process::Command;

use crate::counts::{self, Counts};
use crate::needs::{FIRST_CLUSTER_COMMIT, Need, Place, able_to_mount, chromium, in_own_network};

/// A named part of the whole test run.
#[derive(Debug)]
pub struct Suite {
    pub name: &'static str,
    pub about: &'static str,
    pub needs: &'static [Need],
    pub only_full: bool,
    pub steps: fn(&Place) -> Vec<Step>,
}

/// One command of a suite.
#[derive(Debug)]
pub struct Step {
    pub command: Command,
    pub reader: Reader,
}

/// How the result of a command is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// It prepares (a build): only its failure counts, and ends the suite.
    Prepares,
    /// Its exit status is one check.
    OneCheck,
    Cargo,
    /// All tests of the workspace: those with a suite of their own are counted there.
    Workspace,
    Pytest,
    Node,
}

impl Reader {
    pub fn read(self, output: &str, succeeded: bool) -> Counts {
        match self {
            Reader::Prepares => Counts::default(),
            Reader::OneCheck => Counts::one_check(succeeded),
            Reader::Cargo => counts::cargo(output, &[]),
            Reader::Workspace => counts::cargo(output, SUITES_OF_THEIR_OWN),
            Reader::Pytest => counts::pytest(output),
            Reader::Node => counts::node(output),
        }
        .with_exit(succeeded)
    }
}

/// All suites, in the order in which they run.
pub const SUITES: &[Suite] = &[
    Suite {
        name: "rust",
        about: "formatting, clippy with warnings denied, every test of the workspace, the parsers under seeded noise",
        needs: &[Need::CCompiler, Need::Rustfmt, Need::Clippy],
        only_full: false,
        steps: rust,
    },
    Suite {
        name: "python",
        about: "ZeroMQ subscriber, schemathesis against the OpenAPI file, the second auditor",
        needs: &[Need::CCompiler, Need::Python, Need::PythonVenv, Need::PythonPackages],
        only_full: false,
        steps: python,
    },
    Suite {
        name: "browser",
        about: "journeys of voters and officers in Chromium, with and without JavaScript",
        needs: &[Need::CCompiler, Need::Node, Need::Npm, Need::NodePackages, Need::Chromium],
        only_full: false,
        steps: browser,
    },
    Suite {
        name: "states",
        about: "every page in every state and dress: axe, no sideways scroll, screenshots in target/screenshots/states",
        needs: &[Need::CCompiler, Need::Node, Need::Npm, Need::NodePackages, Need::Chromium],
        only_full: false,
        steps: states,
    },
    Suite {
        name: "lan",
        about: "a phone on the room's network: Chromium on another host, over plain HTTP, in network namespaces",
        needs: &[
            Need::CCompiler,
            Need::Node,
            Need::Npm,
            Need::NodePackages,
            Need::Chromium,
            Need::Linux,
            Need::Networks,
        ],
        only_full: false,
        steps: lan,
    },
    Suite {
        name: "kill-loop",
        about: "kill -9 under load, 10 times (200 with --full): nothing acknowledged is lost or doubled",
        needs: &[Need::CCompiler],
        only_full: false,
        steps: kill_loop,
    },
    Suite {
        name: "faults",
        about: "a full disk and a failing fsync under the real binary",
        needs: &[Need::CCompiler, Need::Linux, Need::Mounting],
        only_full: false,
        steps: faults,
    },
    Suite {
        name: "cluster",
        about: "real servers in network namespaces, under load and faults, 2 minutes (10 with --full): every answer holds",
        needs: &[
            Need::CCompiler,
            Need::Linux,
            Need::Mounting,
            Need::Networks,
            Need::Nftables,
            Need::Faketime,
        ],
        only_full: false,
        steps: in_namespaces,
    },
    Suite {
        name: "mutations",
        about: "each safety rule switched off in turn: the suite must notice",
        needs: &[Need::CCompiler],
        only_full: false,
        steps: mutations,
    },
    Suite {
        name: "upgrade",
        about: "a cluster of three upgraded one by one, from the first version that had clusters, while votes go on",
        needs: &[Need::CCompiler, Need::History],
        only_full: true,
        steps: upgrade,
    },
    Suite {
        name: "bench-smoke",
        about: "each benchmark at a tiny size, in the program as released (`rust` runs them unoptimised)",
        needs: &[Need::CCompiler],
        only_full: true,
        steps: bench_smoke,
    },
    Suite {
        name: "fuzz",
        about: "every parser under libFuzzer, a minute each",
        needs: &[Need::CCompiler, Need::Nightly, Need::CargoFuzz],
        only_full: true,
        steps: fuzz,
    },
];

/// Test files that `cargo test` runs in little or not at all; their suites run them in earnest.
const SUITES_OF_THEIR_OWN: &[&str] = &["tests/kills.rs", "tests/faults.rs", "tests/cluster/main.rs"];
const KILLS: &str = "10";
const KILLS_FULL: &str = "200";
/// How long there are faults; the variable of this name overrides it.
const CLUSTER_SECONDS: (&str, &str, &str) = ("HUSTINGS_CLUSTER_SECONDS", "120", "600");
const FUZZ_SECONDS_PER_TARGET: &str = "60";

/// The program under test: built without optimisation for every day, as released with `--full`.
pub fn binary(place: &Place) -> std::path::PathBuf {
    place.target.join(if place.full { "release" } else { "debug" }).join("hustings")
}

fn build(place: &Place) -> Step {
    let mut command = cargo(place, &["build", "--package", "hustings"]);
    if place.full {
        command.arg("--release");
    }
    Step { command, reader: Reader::Prepares }
}

fn cargo(place: &Place, arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(arguments).current_dir(&place.root);
    command
}

fn rust(place: &Place) -> Vec<Step> {
    const CLIPPY: [&str; 4] = ["--all-targets", "--", "--deny", "warnings"];
    let mut clippy = cargo(place, &["clippy", "--workspace"]);
    clippy.args(CLIPPY);
    let mut fuzz_clippy = in_fuzz(place, "clippy");
    fuzz_clippy.args(CLIPPY);
    let fuzz_format = cargo(place, &["fmt", "--check", "--manifest-path", "fuzz/Cargo.toml"]);
    vec![
        Step { command: cargo(place, &["fmt", "--all", "--check"]), reader: Reader::OneCheck },
        Step { command: fuzz_format, reader: Reader::OneCheck },
        Step { command: clippy, reader: Reader::OneCheck },
        Step { command: cargo(place, &["test", "--workspace", "--no-fail-fast"]), reader: Reader::Workspace },
        // The bodies of the fuzz targets under seeded noise: needs neither nightly nor cargo-fuzz.
        Step { command: fuzz_clippy, reader: Reader::OneCheck },
        Step { command: in_fuzz(place, "test"), reader: Reader::Cargo },
    ]
}

/// A cargo command in the fuzzing package, which is a workspace of its own.
fn in_fuzz(place: &Place, what: &str) -> Command {
    let mut command = cargo(place, &[what, "--manifest-path", "fuzz/Cargo.toml", "--target-dir"]);
    command.arg(&place.target);
    command
}

fn python(place: &Place) -> Vec<Step> {
    let mut pytest = Command::new(place.venv().join("bin/python"));
    pytest
        .args(["-m", "pytest", "-q", "-rs", "tests/python"])
        .current_dir(&place.root)
        .env("HUSTINGS_BIN", binary(place));
    vec![build(place), Step { command: pytest, reader: Reader::Pytest }]
}

const NODE_TESTS: [&str; 3] = ["--test", "--test-reporter=tap", "--test-concurrency=1"];

fn browser(place: &Place) -> Vec<Step> {
    node_tests(place, "journeys")
}

fn states(place: &Place) -> Vec<Step> {
    node_tests(place, "states")
}

fn node_tests(place: &Place, folder: &str) -> Vec<Step> {
    let mut node = Command::new("node");
    node.args(NODE_TESTS).arg(folder);
    vec![build(place), in_browser(place, node)]
}

fn lan(place: &Place) -> Vec<Step> {
    let arguments = [&NODE_TESTS[..], &["lan"]].concat();
    vec![build(place), in_browser(place, in_own_network("node", &arguments))]
}

fn in_browser(place: &Place, mut node: Command) -> Step {
    node.current_dir(place.browser_tests())
        .env("HUSTINGS_BIN", binary(place))
        .env("HUSTINGS_SCREENSHOTS", place.target.join("screenshots"));
    if let Some(path) = chromium() {
        node.env("HUSTINGS_CHROMIUM", path);
    }
    Step { command: node, reader: Reader::Node }
}

fn kill_loop(place: &Place) -> Vec<Step> {
    let mut command = cargo(place, &["test", "--package", "hustings", "--test", "kills"]);
    command.env("HUSTINGS_KILLS", if place.full { KILLS_FULL } else { KILLS });
    vec![Step { command, reader: Reader::Cargo }]
}

fn upgrade(place: &Place) -> Vec<Step> {
    let first = place.target.join(format!("upgrade-from-{}", &FIRST_CLUSTER_COMMIT[..8]));
    let source = first.join("source");
    let mut fetch = Command::new("git");
    // Forced: the folder may be registered and gone.
    fetch.args(["worktree", "add", "--force", "--detach"]).arg(&source).arg(FIRST_CLUSTER_COMMIT);
    fetch.current_dir(&place.root);
    let is_there = source.join("Cargo.toml").exists();
    let mut old = Command::new("cargo");
    old.args(["build", "--package", "hustings", "--target-dir"]).arg(first.join("target"));
    old.arg("--manifest-path").arg(source.join("Cargo.toml")).current_dir(&place.root);
    let mut test = cargo(place, &["test", "--package", "hustings", "--test", "recovery", "--", "--ignored"]);
    test.env("HUSTINGS_UPGRADE_FROM", first.join("target/debug/hustings"));
    let fetch = (!is_there).then_some(Step { command: fetch, reader: Reader::Prepares });
    let steps =
        [Step { command: old, reader: Reader::Prepares }, Step { command: test, reader: Reader::Cargo }];
    fetch.into_iter().chain(steps).collect()
}

fn faults(place: &Place) -> Vec<Step> {
    let mut command = able_to_mount("cargo");
    command.args(["test", "--package", "hustings", "--test", "faults"]).current_dir(&place.root);
    command.env("HUSTINGS_FAULTS", "1");
    vec![Step { command, reader: Reader::Cargo }]
}

fn in_namespaces(place: &Place) -> Vec<Step> {
    let test = ["test", "--package", "hustings", "--test", "cluster"];
    let mut build = cargo(place, &test);
    build.arg("--no-run");
    // The network it runs in has no way to a registry.
    let run = [&test[..], &["--offline", "--", "--test-threads=1", "--nocapture"]].concat();
    let mut command = in_own_network("cargo", &run);
    command.current_dir(&place.root);
    let (variable, daily, full) = CLUSTER_SECONDS;
    if std::env::var_os(variable).is_none() {
        command.env(variable, if place.full { full } else { daily });
    }
    vec![Step { command: build, reader: Reader::Prepares }, Step { command, reader: Reader::Cargo }]
}

fn mutations(place: &Place) -> Vec<Step> {
    let of = |package| {
        let arguments = ["test", "--package", package, "--features", "mutation", "--test", "mutations"];
        Step { command: cargo(place, &arguments), reader: Reader::Cargo }
    };
    vec![of("sim"), of("cluster")]
}

fn bench_smoke(place: &Place) -> Vec<Step> {
    let mut command = Command::new(binary(place));
    command.args(["bench", "all", "--quick"]).current_dir(&place.root);
    vec![build(place), Step { command, reader: Reader::OneCheck }]
}

fn fuzz(place: &Place) -> Vec<Step> {
    let targets = std::fs::read_dir(place.root.join("fuzz/fuzz_targets")).into_iter().flatten().flatten();
    let mut names: Vec<String> = targets
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".rs").map(str::to_owned))
        .collect();
    names.sort();
    let mut corpus = in_fuzz(place, "run");
    corpus.args(["--bin", "corpus"]);
    let mut steps = vec![Step { command: corpus, reader: Reader::Prepares }];
    steps.extend(names.iter().map(|name| fuzz_one(place, name)));
    steps
}

fn fuzz_one(place: &Place, name: &str) -> Step {
    let mut command = cargo(place, &["+nightly", "fuzz", "run", "--features", "libfuzzer", "--target-dir"]);
    command
        .arg(place.target.join("fuzz"))
        .args([name, "--"])
        .arg(format!("-max_total_time={FUZZ_SECONDS_PER_TARGET}"))
        .current_dir(place.root.join("fuzz"));
    Step { command, reader: Reader::OneCheck }
}
