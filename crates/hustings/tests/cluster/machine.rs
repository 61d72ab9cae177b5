//! A machine: its namespace, its data folder, and the real server that runs there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use crate::hall::{CLUSTER, HTTP_PORT, NODE_PORT, PATIENCE};
use crate::support::{OFFICER, now, signal, ureq_get};

/// Documented exit code of a server whose disk failed.
pub const EXIT_IO: i32 = 74;

#[derive(Debug)]
pub struct Machine {
    pub namespace: String,
    pub address: String,
    /// Scheme and authority of its HTTP side.
    pub base: String,
    /// Where its data and what it said lie.
    folder: PathBuf,
    pub data: PathBuf,
    child: Option<Child>,
    /// As of the last start, to start it again.
    arguments: Vec<String>,
    key: Option<String>,
    /// How often a server was started here.
    pub starts: u32,
    is_stopped: bool,
    small_disk: bool,
}

impl Machine {
    pub fn new(namespace: String, address: String, folder: PathBuf) -> Self {
        fs::create_dir_all(&folder).expect("made");
        let base = format!("http://{address}:{HTTP_PORT}");
        let data = folder.join("disk/data");
        fs::create_dir_all(folder.join("disk")).expect("made");
        Self {
            namespace,
            address,
            base,
            folder,
            data,
            child: None,
            arguments: Vec::new(),
            key: None,
            starts: 0,
            is_stopped: false,
            small_disk: false,
        }
    }

    /// A program that runs on this machine.
    pub fn inside(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace, program]);
        command
    }

    /// Starts a server; does not wait. What it says goes to a file.
    pub fn start(&mut self, arguments: &[&str], key: Option<&str>) {
        self.arguments = arguments.iter().map(|&word| word.to_owned()).collect();
        self.key = key.map(str::to_owned);
        self.start_again();
    }

    /// Starts it as it was started before.
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let said = fs::File::options().create(true).append(true).open(self.log()).expect("a log");
        let mut command = self.inside("env");
        command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command
            .arg(format!("LD_PRELOAD={}", preloaded()))
            .arg(format!("HUSTINGS_TEST_FAIL_SYNC={}", self.sync_trigger().display()))
            .arg(format!("FAKETIME_TIMESTAMP_FILE={}", self.clock_file().display()))
            .args(["FAKETIME_CACHE_DURATION=1", "FAKETIME_DONT_FAKE_MONOTONIC=1", "NO_FAKE_STAT=1"])
            .arg(format!("HUSTINGS_OFFICER_TOKEN={OFFICER}"))
            .args(["HUSTINGS_LOG=info", "RUST_BACKTRACE=1"]);
        if let Some(key) = &self.key {
            command.arg(format!("HUSTINGS_JOIN_KEY={key}"));
        }
        command.arg(program()).args(["--json", "serve", "--cluster", CLUSTER, "--data"]);
        command.arg(&self.data).args(["--listen", &format!("0.0.0.0:{HTTP_PORT}")]);
        command.args(["--node-listen", &format!("0.0.0.0:{NODE_PORT}")]).args(&self.arguments);
        command.stdin(Stdio::null()).stdout(said.try_clone().expect("cloned")).stderr(said);
        if !self.clock_file().exists() {
            self.set_clock("+0");
        }
        self.child = Some(command.spawn().expect("the server starts"));
        self.starts += 1;
    }

    pub fn log(&self) -> PathBuf {
        self.folder.join("said.log")
    }

    /// All that servers said here.
    pub fn said(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    pub fn last_words(&self) -> String {
        let said = self.said();
        let lines: Vec<&str> = said.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }

    fn sync_trigger(&self) -> PathBuf {
        self.folder.join("fail-sync")
    }

    fn clock_file(&self) -> PathBuf {
        self.folder.join("clock")
    }

    /// Sets the wall clock off by `offset`, as libfaketime takes it: `+30` is half a minute ahead, `+0 x1.001` runs fast.
    pub fn set_clock(&self, offset: &str) {
        let aside = self.clock_file().with_extension("new");
        fs::write(&aside, format!("{offset}\n")).expect("written");
        fs::rename(&aside, self.clock_file()).expect("renamed");
    }

    /// Its next sync fails.
    pub fn fail_next_sync(&self) {
        fs::write(self.sync_trigger(), "").expect("written");
    }

    pub fn join_key(&self) -> String {
        fs::read_to_string(self.data.join("join-key")).expect("a join key").trim().to_owned()
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("running").id()
    }

    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// kill -9, and its end.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("killed");
            child.wait().expect("waited for");
        }
        self.is_stopped = false;
    }

    /// SIGTERM, and its exit.
    pub fn stop(&mut self) -> ExitStatus {
        signal(self.pid(), "TERM");
        self.wait()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("running");
        let until = now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().expect("waited for") {
                return status;
            }
            if now() > until {
                child.kill().expect("killed");
                child.wait().expect("waited for");
                panic!("the server did not end:\n{}", self.last_words());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether it has ended by itself, and how; then it may be started again.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().expect("waited for")?;
        self.child = None;
        Some(status)
    }

    #[track_caller]
    pub fn must_not_have_ended(&mut self) {
        if let Some(status) = self.ended() {
            panic!("a server ended by itself with {status}:\n{}", self.last_words());
        }
    }

    /// SIGSTOP: it stands still with all its connections open.
    pub fn freeze(&mut self) {
        signal(self.pid(), "STOP");
        self.is_stopped = true;
    }

    /// SIGCONT.
    pub fn thaw(&mut self) {
        if self.is_stopped && self.child.is_some() {
            signal(self.pid(), "CONT");
        }
        self.is_stopped = false;
    }

    #[track_caller]
    pub fn wait_until_ready(&mut self) {
        let until = now() + PATIENCE;
        let url = format!("{}/readyz", self.base);
        while !ureq_get(&url).is_ok_and(|(status, _)| status == 200) {
            self.must_not_have_ended();
            assert!(now() < until, "not ready:\n{}", self.last_words());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Deletes what can be made again from the log.
    pub fn forget_caches(&self) {
        remove(&self.data.join("cache"));
    }

    /// A new disk: nothing is left of what was there.
    pub fn empty_disk(&self) {
        remove(&self.data);
    }

    /// Its data will lie on a disk of so many MiB; before the first start.
    pub fn mount_small_disk(&mut self, mebibytes: u32) {
        let size = format!("size={mebibytes}m");
        let disk = self.disk();
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&disk).status();
        assert!(status.expect("mount runs").success(), "a tmpfs needs root");
        self.small_disk = true;
    }

    pub fn has_small_disk(&self) -> bool {
        self.small_disk
    }

    fn disk(&self) -> PathBuf {
        self.folder.join("disk")
    }

    /// Fills its disk up to the last page.
    pub fn fill_disk(&self) {
        assert!(self.small_disk, "this would fill the disk of the computer");
        let mut file = fs::File::create(self.disk().join("ballast")).expect("created");
        let block = vec![1; 64 << 10];
        use std::io::Write as _;
        while file.write_all(&block).is_ok() {}
        while file.write_all(&[1; 512]).is_ok() {}
    }

    pub fn free_disk(&self) {
        let _ = fs::remove_file(self.disk().join("ballast"));
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill();
        if self.small_disk {
            let _ = Command::new("umount").arg("-l").arg(self.disk()).status();
        }
    }
}

fn remove(folder: &Path) {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{}: {error}", folder.display()),
        _ => {}
    }
}

/// The servers under test: `HUSTINGS_BIN`, such as a released build, or the one built for this test.
pub fn program() -> PathBuf {
    let given = std::env::var_os("HUSTINGS_BIN").map(PathBuf::from);
    given.unwrap_or_else(|| env!("CARGO_BIN_EXE_hustings").into())
}

/// libfaketime, for wall clocks, and a failing sync of ours.
fn preloaded() -> &'static str {
    static PRELOADED: OnceLock<String> = OnceLock::new();
    PRELOADED.get_or_init(|| {
        let shim = build_shim();
        let clock = faketime().expect("libfaketime is installed: cargo xtask test --install");
        format!("{}:{}", clock.display(), shim.display())
    })
}

/// Debian keeps it in a folder of the processor's name.
fn faketime() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).find(|path| path.exists())
}

fn build_shim() -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fail_sync.c");
    let shim = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fail_sync.so");
    let status =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&shim).arg(&source).arg("-ldl").status();
    assert!(status.expect("cc runs").success());
    shim
}
