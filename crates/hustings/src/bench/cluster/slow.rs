//! A slow disk for one process: the kernel lets it write only so often a second (cgroup v1, `blkio.throttle`).

use std::fs;
use std::os::linux::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

const CONTROLLER: &str = "/sys/fs/cgroup/blkio";
/// As an old disk without a cache: a sync is two or three writes.
pub const WRITES_PER_SECOND: u32 = 100;

/// Processes in it have a slow disk, until it is dropped.
pub struct SlowDisk {
    group: PathBuf,
    device: String,
}

impl SlowDisk {
    /// For the disk that `folder` lies on. Needs root and cgroup v1.
    pub fn new(folder: &Path) -> anyhow::Result<Self> {
        let device = fs::metadata(folder)?.st_dev();
        let device = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
        let group = Path::new(CONTROLLER).join(format!("hustings-bench-{}", std::process::id()));
        fs::create_dir(&group).with_context(|| format!("cannot make {}", group.display()))?;
        let slow = Self { group, device };
        slow.limit(WRITES_PER_SECOND)?;
        Ok(slow)
    }

    fn limit(&self, writes: u32) -> anyhow::Result<()> {
        let limit = self.group.join("blkio.throttle.write_iops_device");
        fs::write(limit, format!("{} {writes}", self.device)).context("cannot limit the writes")
    }

    pub fn take(&self, pid: u32) -> anyhow::Result<()> {
        fs::write(self.group.join("cgroup.procs"), pid.to_string()).context("cannot slow a process down")
    }

    pub fn release(&self, pid: u32) {
        let _ = fs::write(Path::new(CONTROLLER).join("cgroup.procs"), pid.to_string());
    }
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        // 0 takes the limit away; the group goes once nobody is in it.
        let _ = self.limit(0);
        let _ = fs::remove_dir(&self.group);
    }
}
