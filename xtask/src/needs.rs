//! What the suites need beyond Rust: how to see whether it is there, and how to get it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

use crate::process::{run_shown, succeeds};

/// One thing a suite cannot run without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    CCompiler,
    Rustfmt,
    Clippy,
    Chromium,
    Node,
    Npm,
    /// The packages of `tests/browser`, as its lock file names them.
    NodePackages,
    Python,
    /// Python's `venv` and `ensurepip`, which Debian packs apart.
    PythonVenv,
    /// The packages of `tests/python/requirements.txt` in `target/venv`.
    PythonPackages,
    Linux,
    /// May mount a small file system: root, or in a user namespace where the system allows those.
    Mounting,
    /// `ip`, and the right to make network namespaces, in a user namespace if need be.
    Networks,
    /// `nft`, which drops packets between machines of a test.
    Nftables,
    /// A library that sets the clock of one process wrong.
    Faketime,
    Nightly,
    CargoFuzz,
    /// The first version that had clusters, in the repository's history: not in a shallow clone.
    History,
}

/// The first version that had clusters; every later one has to work beside it while a cluster is upgraded.
pub const FIRST_CLUSTER_COMMIT: &str = "de7e8fe201788334c19c951195301b7b25ce1ce4";

/// Arguments of `unshare` that let anybody mount what only their own processes see.
const NAMESPACE: [&str; 3] = ["--user", "--map-root-user", "--mount"];

/// Where things lie: the repository, and the folder that builds go to.
#[derive(Debug, Clone)]
pub struct Place {
    pub root: PathBuf,
    pub target: PathBuf,
    pub full: bool,
}

impl Place {
    pub fn new(root: &Path, full: bool) -> Place {
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(folder) => root.join(folder),
            None => root.join("target"),
        };
        Place { root: root.to_path_buf(), target, full }
    }

    pub fn venv(&self) -> PathBuf {
        self.target.join("venv")
    }

    pub fn browser_tests(&self) -> PathBuf {
        self.root.join("tests/browser")
    }

    fn requirements(&self) -> PathBuf {
        self.root.join("tests/python/requirements.txt")
    }

    /// Copy of the requirements that the venv was filled from: a changed file fills it again.
    fn installed_requirements(&self) -> PathBuf {
        self.venv().join("installed-requirements.txt")
    }

    /// Copy of the lock file that the node packages were installed from.
    fn installed_lock(&self) -> PathBuf {
        self.browser_tests().join("node_modules/installed-package-lock.json")
    }
}

impl Need {
    pub fn name(self) -> &'static str {
        match self {
            Need::CCompiler => "C compiler",
            Need::Rustfmt => "rustfmt",
            Need::Clippy => "clippy",
            Need::Chromium => "Chromium",
            Need::Node => "Node.js",
            Need::Npm => "npm",
            Need::NodePackages => "packages of tests/browser",
            Need::Python => "Python 3",
            Need::PythonVenv => "Python's venv",
            Need::PythonPackages => "packages of tests/python",
            Need::Linux => "Linux",
            Need::Mounting => "root or user namespaces (to mount a small file system)",
            Need::Networks => "iproute2 and network namespaces",
            Need::Nftables => "nftables",
            Need::Faketime => "libfaketime",
            Need::Nightly => "Rust nightly",
            Need::CargoFuzz => "cargo-fuzz",
            Need::History => "the repository's history (a shallow clone lacks it)",
        }
    }

    pub fn present(self, place: &Place) -> bool {
        match self {
            Need::CCompiler => succeeds("cc", &["--version"]),
            Need::Rustfmt => succeeds("cargo", &["fmt", "--version"]),
            Need::Clippy => succeeds("cargo", &["clippy", "--version"]),
            Need::Chromium => chromium().is_some(),
            Need::Node => succeeds("node", &["--version"]),
            Need::Npm => succeeds("npm", &["--version"]),
            Need::NodePackages => {
                same(&place.browser_tests().join("package-lock.json"), &place.installed_lock())
            }
            Need::Python => succeeds("python3", &["--version"]),
            Need::PythonVenv => succeeds("python3", &["-c", "import venv, ensurepip"]),
            Need::PythonPackages => same(&place.requirements(), &place.installed_requirements()),
            Need::Linux => cfg!(target_os = "linux"),
            Need::Mounting => can_mount(),
            Need::Networks => can_network(),
            Need::Nftables => succeeds("nft", &["--version"]),
            Need::Faketime => has_faketime(),
            Need::Nightly => succeeds("cargo", &["+nightly", "--version"]),
            Need::CargoFuzz => succeeds("cargo", &["fuzz", "--version"]),
            Need::History => {
                let root = place.root.to_string_lossy();
                succeeds(
                    "git",
                    &["-C", &root, "cat-file", "-e", &format!("{FIRST_CLUSTER_COMMIT}^{{commit}}")],
                )
            }
        }
    }

    fn debian(self) -> &'static [&'static str] {
        match self {
            Need::CCompiler => &["build-essential"],
            Need::Chromium => &["chromium", "fonts-dejavu-core"],
            Need::Node => &["nodejs"],
            Need::Npm => &["npm"],
            Need::Python => &["python3"],
            Need::PythonVenv => &["python3-venv"],
            Need::Networks => &["iproute2"],
            Need::Nftables => &["nftables"],
            Need::Faketime => &["libfaketime"],
            _ => &[],
        }
    }

    fn brew(self) -> &'static [&'static str] {
        match self {
            Need::Chromium => &["--cask chromium"],
            Need::Node | Need::Npm => &["node"],
            Need::Python | Need::PythonVenv => &["python"],
            _ => &[],
        }
    }
}

/// The one line that gets the missing system packages, if there are any: for apt, on a Mac for brew.
pub fn system_line(missing: &[Need]) -> Option<String> {
    let line = |packages: fn(Need) -> &'static [&'static str], start: &str| {
        let names = packages_of(missing, packages);
        (!names.is_empty()).then(|| format!("{start} {}", names.join(" ")))
    };
    if cfg!(target_os = "macos") {
        return line(Need::brew, "brew install");
    }
    let sudo = if is_root() { "" } else { "sudo " };
    line(Need::debian, &format!("{sudo}apt-get update && {sudo}apt-get install -y"))
}

/// Installs what can be installed of `needs`, in the order in which one builds on the other.
pub fn install(place: &Place, needs: &[Need]) -> Result<()> {
    let missing = |need: &&Need| !need.present(place);
    let system: Vec<Need> = needs.iter().filter(missing).copied().collect();
    install_packages(&system)?;
    let wanted = |need| needs.contains(&need) && !need.present(place);
    for (need, component) in [(Need::Rustfmt, "rustfmt"), (Need::Clippy, "clippy")] {
        if wanted(need) {
            step(Command::new("rustup").args(["component", "add", component]))?;
        }
    }
    if wanted(Need::NodePackages) {
        step(Command::new("npm").arg("ci").current_dir(place.browser_tests()))?;
        std::fs::copy(place.browser_tests().join("package-lock.json"), place.installed_lock())?;
    }
    if wanted(Need::PythonPackages) {
        fill_venv(place)?;
    }
    if wanted(Need::Nightly) {
        step(Command::new("rustup").args(["toolchain", "install", "nightly", "--profile", "minimal"]))?;
    }
    if wanted(Need::CargoFuzz) {
        step(Command::new("cargo").args(["install", "--locked", "cargo-fuzz"]))?;
    }
    Ok(())
}

fn install_packages(missing: &[Need]) -> Result<()> {
    let names = packages_of(missing, Need::debian);
    if names.is_empty() || !succeeds("apt-get", &["--version"]) {
        // Without apt the report names what is missing and the line that gets it.
        return Ok(());
    }
    let as_root = |arguments: &[&str]| {
        let mut command = if is_root() { Command::new("env") } else { Command::new("sudo") };
        if !is_root() {
            command.arg("env");
        }
        command.arg("DEBIAN_FRONTEND=noninteractive").arg("apt-get").args(arguments);
        command
    };
    step(&mut as_root(&["update"]))?;
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    arguments.extend(names);
    step(&mut as_root(&arguments))
}

fn fill_venv(place: &Place) -> Result<()> {
    let venv = place.venv();
    step(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    let pip = venv.join("bin/pip");
    step(Command::new(pip).args(["install", "--quiet", "-r"]).arg(place.requirements()))?;
    std::fs::copy(place.requirements(), place.installed_requirements())?;
    Ok(())
}

fn step(command: &mut Command) -> Result<()> {
    ensure!(run_shown(command)?.succeeded, "this step of the installation failed");
    Ok(())
}

fn packages_of(missing: &[Need], packages: fn(Need) -> &'static [&'static str]) -> Vec<&'static str> {
    let mut names: Vec<&str> = missing.iter().flat_map(|need| packages(*need)).copied().collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The browser's program: `HUSTINGS_CHROMIUM`, or where Debian, other systems and macOS keep it.
pub fn chromium() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("HUSTINGS_CHROMIUM") {
        return Some(PathBuf::from(named));
    }
    let known = [
        "/usr/bin/chromium",
        "/usr/bin/chromium-browser",
        "/usr/bin/google-chrome",
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    ];
    known.iter().map(PathBuf::from).find(|path| path.exists())
}

/// `program`, able to mount file systems: see [`Need::Mounting`].
pub fn able_to_mount(program: &str) -> Command {
    if is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("unshare");
    command.args(NAMESPACE).arg(program);
    command
}

/// Tries it, in a namespace that ends with the try: in a container even root may not.
fn can_mount() -> bool {
    let trial = ["sh", "-c", "mount -t tmpfs tmpfs /tmp"];
    let flags = if is_root() { &NAMESPACE[2..] } else { &NAMESPACE[..] };
    succeeds("unshare", &[flags, &trial].concat())
}

/// `program` in a network of its own that ends with it, able to make further ones: `ip netns` keeps them in `/run`,
/// which is its own too.
pub fn in_own_network(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    if !is_root() {
        command.args(&NAMESPACE[..2]);
    }
    command.args(["--net", "--mount", "sh", "-c", "mount -t tmpfs tmpfs /run && exec \"$@\"", "sh", program]);
    command.args(arguments);
    command
}

fn can_network() -> bool {
    let mut trial = in_own_network("ip", &["netns", "add", "trial"]);
    trial.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Debian keeps it in a folder of the processor's name.
fn has_faketime() -> bool {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    folders.into_iter().any(|folder| folder.path().join("faketime/libfaketimeMT.so.1").exists())
}

fn is_root() -> bool {
    succeeds("sh", &["-c", "test \"$(id -u)\" = 0"])
}

fn same(one: &Path, other: &Path) -> bool {
    match (std::fs::read(one), std::fs::read(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_missing_packages_stand_on_one_line() {
        let line = system_line(&[Need::Chromium, Need::PythonVenv, Need::Npm, Need::PythonPackages]);
        let line = line.expect("packages are missing");
        assert_eq!(line.lines().count(), 1);
        assert!(line.contains("install"), "{line}");
    }

    #[test]
    fn nothing_missing_needs_no_line() {
        assert_eq!(system_line(&[]), None);
        assert_eq!(system_line(&[Need::PythonPackages, Need::Mounting]), None);
    }
}
