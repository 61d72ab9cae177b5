//! `doctor`: one line for each thing that has to be right for a server, and what to do where it is not.

use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use clap::ArgMatches;
use serde_json::json;

use crate::cli::DoctorArgs;
use crate::clock;
use crate::config::{self, Settings};
use crate::exit::Exit;
use crate::output::{Form, thousands};

const SYNC_SAMPLES: usize = 64;
const SYNC_BYTES: usize = 8_192;
const SYNC_SLOW: Duration = Duration::from_millis(20);
const SPACE_LOW_BYTES: u64 = 1 << 30;
const SPACE_FULL_BYTES: u64 = 64 << 20;
const FILES_FEW: u64 = 1_024;
/// Open files the server needs for itself.
const FILES_OWN: u64 = 64;
/// 2026-01-01: an earlier clock is surely wrong.
const EARLIEST_UNIX_SECONDS: i64 = 1_767_225_600;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    Look,
    Bad,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Verdict::Good => "good",
            Verdict::Look => "look",
            Verdict::Bad => "bad",
        }
    }
}

/// What was looked at, what was found, and what to do (empty where nothing).
#[derive(Clone, Debug)]
struct Check {
    name: &'static str,
    verdict: Verdict,
    found: String,
    advice: String,
}

impl Check {
    fn good(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Good, found: found.into(), advice: String::new() }
    }

    fn look(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Look, found: found.into(), advice: advice.into() }
    }

    fn bad(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Bad, found: found.into(), advice: advice.into() }
    }

    fn line(&self) -> String {
        let line = format!("{:<4}  {:<12} {}", self.verdict.word(), self.name, self.found);
        match self.advice.is_empty() {
            true => line,
            false => format!("{line}. {}", self.advice),
        }
    }
}

pub fn run(args: DoctorArgs, matches: &ArgMatches, form: Form) -> Result<Exit> {
    let settings = config::settle(args.config, matches)?;
    let checks = all_checks(&settings);
    let bad = checks.iter().any(|check| check.verdict == Verdict::Bad);
    let entry = |check: &Check| json!({"check": check.name, "verdict": check.verdict.word(), "found": check.found, "advice": check.advice});
    let value = json!({"healthy": !bad, "checks": checks.iter().map(entry).collect::<Vec<_>>()});
    form.result(&value, || checks.iter().map(|check| check.line() + "\n").collect());
    Ok(if bad { Exit::No } else { Exit::Ok })
}

fn all_checks(settings: &Settings) -> Vec<Check> {
    let data = &settings.data.value;
    // A folder that is not there yet will be made in the nearest one that is.
    let nearest = nearest_existing(data);
    vec![
        data_folder(data, &nearest),
        secrets(data),
        sync_latency(&nearest),
        space(&nearest),
        wall_clock(),
        open_files(),
        port(settings),
    ]
}

fn nearest_existing(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/")).to_owned()
}

fn data_folder(data: &Path, nearest: &Path) -> Check {
    let name = "data folder";
    if nearest != std::path::absolute(data).unwrap_or_else(|_| data.to_owned()) {
        return match data.exists() {
            true => {
                Check::bad(name, format!("`{}` is not a folder", data.display()), "Name a folder with --data")
            }
            false => Check::good(name, format!("`{}` is not there yet and will be made", data.display())),
        };
    }
    match is_in_use(data) {
        Some(true) => Check::good(name, format!("`{}`, a server runs on it", data.display())),
        _ => Check::good(name, format!("`{}`, no server runs on it", data.display())),
    }
}

/// Whether a running server holds the folder's lock; `None` where there is no lock file.
fn is_in_use(data: &Path) -> Option<bool> {
    let file = fs::File::open(data.join("lock")).ok()?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockShared) {
        Ok(()) => Some(false),
        Err(error) => Some(error == rustix::io::Errno::WOULDBLOCK),
    }
}

#[cfg(unix)]
fn secrets(data: &Path) -> Check {
    use std::os::unix::fs::PermissionsExt as _;
    let name = "keys";
    for file in ["secret", "node-key"] {
        let path = data.join(file);
        match fs::metadata(&path) {
            Ok(meta) if meta.permissions().mode() & 0o077 != 0 => {
                let mode = meta.permissions().mode() & 0o777;
                let advice = format!("Others can read it: chmod 600 {}", path.display());
                return Check::bad(name, format!("`{}` has mode {mode:o}", path.display()), advice);
            }
            Ok(_) => {}
            Err(_) => return Check::good(name, "none yet; they are made at the first start"),
        }
    }
    Check::good(name, "readable by their owner alone")
}

#[cfg(not(unix))]
fn secrets(_: &Path) -> Check {
    Check::look(
        "keys",
        "cannot be checked on this system",
        "See that only the server's account can read them",
    )
}

fn sync_latency(folder: &Path) -> Check {
    let name = "disk sync";
    let mut samples = match sync_samples(folder) {
        Ok(samples) => samples,
        Err(error) => {
            let found = format!("cannot write to `{}`: {error}", folder.display());
            return Check::bad(
                name,
                found,
                "Give the server's account write access, or another folder with --data",
            );
        }
    };
    samples.sort();
    let (median, worst) = (samples[samples.len() / 2], samples[samples.len() * 98 / 100]);
    let found = format!("{} typical, {} worst of {SYNC_SAMPLES}", millis(median), millis(worst));
    match median > SYNC_SLOW {
        true => Check::look(
            name,
            found,
            "Every vote waits for it; an SSD or a battery-backed cache makes votes faster",
        ),
        false => Check::good(name, found),
    }
}

/// Times `SYNC_SAMPLES` overwrites with fdatasync, as the ledger does them.
fn sync_samples(folder: &Path) -> std::io::Result<Vec<Duration>> {
    let path = folder.join(format!(".hustings-doctor-{}", std::process::id()));
    let result = (|| {
        let mut file = fs::File::create(&path)?;
        file.write_all(&vec![0; SYNC_BYTES])?;
        file.sync_all()?;
        let mut samples = Vec::with_capacity(SYNC_SAMPLES);
        for index in 0..SYNC_SAMPLES {
            let started = clock::now();
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&vec![index as u8; SYNC_BYTES])?;
            file.sync_data()?;
            samples.push(clock::now() - started);
        }
        Ok(samples)
    })();
    let _ = fs::remove_file(&path);
    result
}

fn millis(duration: Duration) -> String {
    format!("{}.{:02} ms", duration.as_millis(), duration.as_micros() % 1_000 / 10)
}

fn space(folder: &Path) -> Check {
    let name = "disk space";
    let free = match rustix::fs::statvfs(folder) {
        Ok(stat) => stat.f_bavail * stat.f_frsize,
        Err(error) => return Check::look(name, format!("unknown: {error}"), "Look with df"),
    };
    let found = format!("{} MiB free", thousands(free >> 20));
    match free {
        0..SPACE_FULL_BYTES => Check::bad(name, found, "New votes will be refused; free some space"),
        SPACE_FULL_BYTES..SPACE_LOW_BYTES => Check::look(
            name,
            found,
            "A million ballots need about 250 MiB; free some space before a large vote",
        ),
        _ => Check::good(name, found),
    }
}

fn wall_clock() -> Check {
    let name = "clock";
    let now = clock::wall();
    let found = now.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    if now.as_second() < EARLIEST_UNIX_SECONDS {
        return Check::bad(name, found, "That is in the past: set the clock before a vote with a deadline");
    }
    match is_synchronised() {
        Some(true) => Check::good(name, format!("{found}, kept by a time service")),
        Some(false) => Check::look(
            name,
            format!("{found}, kept by no time service"),
            "Deadlines hang on it: switch NTP on",
        ),
        None => Check::good(name, found),
    }
}

/// Whether the kernel believes its clock to be disciplined.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn is_synchronised() -> Option<bool> {
    // SAFETY: `timex` is plain data for which zeros are valid, and with `modes` 0 the call only fills it in.
    let (answer, status) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&mut timex), timex.status)
    };
    (answer >= 0).then_some(answer != libc::TIME_ERROR && status & libc::STA_UNSYNC == 0)
}

#[cfg(not(target_os = "linux"))]
fn is_synchronised() -> Option<bool> {
    None
}

fn open_files() -> Check {
    let name = "open files";
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let Some(hard) = limit.maximum else {
        return Check::good(name, "no limit");
    };
    let found = format!(
        "{} allowed, room for about {} people",
        thousands(hard),
        thousands(hard.saturating_sub(FILES_OWN))
    );
    match hard < FILES_FEW {
        true => Check::look(
            name,
            found,
            "Raise the hard limit (ulimit -Hn, LimitNOFILE=) for more people at once",
        ),
        false => Check::good(name, found),
    }
}

fn port(settings: &Settings) -> Check {
    let (name, listen) = ("port", settings.listen.value);
    match TcpListener::bind(listen) {
        Ok(_) => Check::good(name, format!("{listen} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            match is_in_use(&settings.data.value) {
                Some(true) => {
                    Check::good(name, format!("{listen} is taken, and a server runs on this data folder"))
                }
                _ => Check::bad(
                    name,
                    format!("{listen} is taken"),
                    "End the other program, or choose with --listen",
                ),
            }
        }
        Err(error) => {
            Check::bad(name, format!("{listen} cannot be used: {error}"), "Choose another with --listen")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_was_found_and_what_to_do() {
        let check = Check::look("disk sync", "31.20 ms typical", "Use an SSD");
        assert_eq!(check.line(), "look  disk sync    31.20 ms typical. Use an SSD");
        assert_eq!(Check::good("port", "free").line(), "good  port         free");
    }

    #[test]
    fn a_folder_to_come_is_looked_at_where_it_will_be_made() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(nearest_existing(&folder.path().join("a/b")), folder.path());
        assert_eq!(sync_samples(folder.path()).expect("writable").len(), SYNC_SAMPLES);
        assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 0, "nothing is left behind");
    }

    #[cfg(unix)]
    #[test]
    fn a_readable_secret_is_bad() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(secrets(folder.path()).verdict, Verdict::Good, "none yet");
        let secret = folder.path().join("secret");
        fs::write(&secret, "00").expect("written");
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).expect("set");
        assert_eq!(secrets(folder.path()).verdict, Verdict::Bad);
    }
}
