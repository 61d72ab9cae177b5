//! What the figures were measured on, and what a process cost it.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::clock;
use super::histogram::Histogram;

const PAGE_BYTES: u64 = 4096;
/// Of `utime` and `stime` in `/proc/PID/stat`; 100 on every Linux that Rust's std supports.
const TICKS_PER_SECOND: u64 = 100;
const SYNC_PROBES: usize = 200;

#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    pub cores: usize,
    pub cpu: String,
    pub memory_gib: u64,
    pub kernel: String,
    /// File system of the benchmark's folder: on `tmpfs` a sync costs nothing and proves nothing.
    pub file_system: String,
    /// Median of an 8 KiB overwrite with `fdatasync` in that folder.
    pub sync_micros: f64,
    pub load_before: String,
}

impl Machine {
    pub fn read(folder: &Path) -> Self {
        let cpu = line_of("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
        let memory_kib = line_of("/proc/meminfo", "MemTotal")
            .and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok())
            .unwrap_or(0);
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            cpu,
            memory_gib: memory_kib.div_ceil(1 << 20),
            kernel: first_line("/proc/sys/kernel/osrelease")
                .unwrap_or_else(|| std::env::consts::OS.to_owned()),
            file_system: file_system(folder),
            sync_micros: sync_latency(folder).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e6),
            load_before: first_line("/proc/loadavg").unwrap_or_default(),
        }
    }

    pub fn is_durable(&self) -> bool {
        self.file_system != "tmpfs"
    }
}

/// Processor time of a process since it began, user and system; `None` where there is no `/proc`.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold spaces; the fields count from after it (`man 5 proc`, utime is the 14th).
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// Processor time of this thread alone.
pub fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Resident memory in bytes; `None` where there is no `/proc`.
pub fn resident_bytes(pid: u32) -> Option<u64> {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    Some(statm.split_whitespace().nth(1)?.parse::<u64>().ok()? * PAGE_BYTES)
}

/// The most that was ever resident at once.
pub fn peak_bytes(pid: u32) -> Option<u64> {
    status_kib(pid, "VmHWM:")
}

/// Of the anonymous part alone: what the program asked for, without mapped files.
pub fn anonymous_bytes(pid: u32) -> Option<u64> {
    status_kib(pid, "RssAnon:")
}

fn status_kib(pid: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// The soft limit of open files is raised to the hard one; gives the limit now in force.
pub fn raise_open_files() -> u64 {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

fn first_line(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.lines().next()?.to_owned())
}

fn line_of(path: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Type of the mount with the longest path above `folder`.
fn file_system(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let holding = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (point, kind) = (fields.next()?, fields.next()?);
        folder.starts_with(point).then_some((point.len(), kind))
    });
    holding
        .max_by_key(|(length, _)| *length)
        .map_or_else(|| "unknown".to_owned(), |(_, kind)| kind.to_owned())
}

fn sync_latency(folder: &Path) -> std::io::Result<Duration> {
    let mut file = tempfile::tempfile_in(folder)?;
    file.write_all(&vec![0; 8192 * 16])?;
    file.sync_all()?;
    let mut latencies = Histogram::new();
    for probe in 0..SYNC_PROBES {
        let began = clock::now();
        file.write_all_at(&[probe as u8; 8192], (probe as u64 % 16) * 8192)?;
        file.sync_data()?;
        latencies.record(began.elapsed());
    }
    Ok(latencies.quantile(0.5))
}
