//! What a process costs, as the kernel counts it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::time::clock_getcpuclockid;
use nix::unistd::{Pid, SysconfVar, sysconf};

/// Counters of one process that only grow.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    /// CPU time of the process with all its threads, to the nanosecond.
    pub(crate) own: Duration,
    /// CPU time of the children that it has waited for, to a clock tick.
    pub(crate) children: Duration,
    /// Times that a thread of it went to sleep, which is how often it was woken.
    pub(crate) sleeps: u64,
}

impl Spent {
    pub(crate) fn by(pid: u32) -> Result<Self> {
        let clock =
            clock_getcpuclockid(raw(pid)?).with_context(|| format!("no CPU clock of process {pid}"))?;
        let own = Duration::from(clock.now().with_context(|| format!("read the CPU clock of {pid}"))?);
        let ticks = sysconf(SysconfVar::CLK_TCK)?.context("no clock tick")?;
        // utime, stime, cutime, cstime are the fields 14 to 17.
        let waited: u64 = stat_field(pid, 16)? + stat_field(pid, 17)?;
        let children = Duration::from_secs_f64(waited as f64 / ticks as f64);
        Ok(Self { own, children, sleeps: sleeps(pid)? })
    }

    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            own: self.own.saturating_sub(before.own),
            children: self.children.saturating_sub(before.children),
            sleeps: self.sleeps.saturating_sub(before.sleeps),
        }
    }
}

fn stat_field(pid: u32, number: usize) -> Result<u64> {
    let stat = read(pid, "stat")?;
    let (_, rest) = stat.rsplit_once(") ").context("an odd stat line")?;
    let field = rest.split(' ').nth(number - 3).context("a short stat line")?;
    field.parse().with_context(|| format!("field {number} of {pid}: {field}"))
}

/// Field 22 of the stat line: the start time, which names a process together with its id.
pub(crate) fn start_ticks(pid: u32) -> Result<u64> {
    stat_field(pid, 22)
}

fn sleeps(pid: u32) -> Result<u64> {
    let mut sum = 0;
    for thread in
        std::fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("threads of {pid}"))?
    {
        // A thread may end between the listing and the look.
        let Ok(status) = std::fs::read_to_string(thread?.path().join("status")) else { continue };
        sum += labelled(&status, "voluntary_ctxt_switches:").unwrap_or(0);
    }
    Ok(sum)
}

pub(crate) fn threads(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count)
}

/// Memory of one process, in KiB.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) rss: u64,
    /// Shared pages divided by those who share them.
    pub(crate) pss: u64,
    /// Nobody else's, and not on disk.
    pub(crate) private_dirty: u64,
}

impl Memory {
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let text = read(pid, "smaps_rollup")?;
        let one = |label: &str| labelled(&text, label).with_context(|| format!("no {label} of {pid}"));
        Ok(Self { rss: one("Rss:")?, pss: one("Pss:")?, private_dirty: one("Private_Dirty:")? })
    }
}

fn labelled(text: &str, label: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(label))?.split_whitespace().next()?.parse().ok()
}

fn read(pid: u32, file: &str) -> Result<String> {
    std::fs::read_to_string(format!("/proc/{pid}/{file}"))
        .with_context(|| format!("read {file} of process {pid}"))
}

pub(crate) fn signal(pid: u32, signal: Signal) -> Result<()> {
    kill(raw(pid)?, signal).with_context(|| format!("{signal} to process {pid}"))
}

fn raw(pid: u32) -> Result<Pid> {
    Ok(Pid::from_raw(i32::try_from(pid)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_costs_are_seen() {
        let me = std::process::id();
        let before = Spent::by(me).unwrap();
        let mut sum = 0u64;
        while Spent::by(me).unwrap().since(before).own < Duration::from_millis(5) {
            sum = sum.wrapping_add(1);
        }
        let memory = Memory::of(me).unwrap();
        assert!(sum > 0 && memory.rss > 500 && memory.pss <= memory.rss && threads(me) > 0);
    }
}
