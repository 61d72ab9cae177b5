//! Children of the benchmark: started, measured, and ended by their own id.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::{clock, machine};

const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A running child; dropped, it is killed.
pub struct Running {
    child: Child,
    name: String,
}

impl Running {
    pub fn start(name: &str, command: &mut Command) -> anyhow::Result<Self> {
        let child =
            command.spawn().with_context(|| format!("cannot start {name}: {:?}", command.get_program()))?;
        Ok(Self { child, name: name.to_owned() })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    pub fn cpu_time(&self) -> Duration {
        machine::cpu_time(self.pid()).unwrap_or_default()
    }

    /// Waits until `is_ready` says so; an error when the child ends first or `at_most` passes.
    pub fn wait_until(
        &mut self,
        at_most: Duration,
        mut is_ready: impl FnMut() -> bool,
    ) -> anyhow::Result<Duration> {
        let began = clock::now();
        while !is_ready() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status} before it was ready", self.name);
            }
            if began.elapsed() > at_most {
                bail!("{} was not ready after {} s", self.name, at_most.as_secs());
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(began.elapsed())
    }

    /// Asks it to stop (SIGTERM) and waits.
    pub fn stop(&mut self, at_most: Duration) -> anyhow::Result<ExitStatus> {
        self.signal(Signal::TERM);
        self.wait(at_most)
    }

    /// For servers, as PostgreSQL, that take another signal to mean "now".
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _ = kill_process(pid, signal);
        }
    }

    pub fn wait(&mut self, at_most: Duration) -> anyhow::Result<ExitStatus> {
        let began = clock::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if began.elapsed() > at_most {
                bail!("{} did not end within {} s", self.name, at_most.as_secs());
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A port of loopback that was free a moment ago.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
