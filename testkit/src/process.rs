//! Processes by id: whether one still runs, and a child that ends with its owner.

use std::process::Child;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait::wait_until;

/// Field 22 of `/proc/PID/stat` (start time in clock ticks since boot), `None` when no such process exists.
/// Together with the id it names one process for ever; an id alone is reused.
#[must_use]
pub(crate) fn start_ticks(pid: u32) -> Option<String> {
    stat_field(pid, 22)
}

/// Whether the process exists and is no zombie.
#[must_use]
pub(crate) fn alive(pid: u32) -> bool {
    stat_field(pid, 3).is_some_and(|state| state != "Z" && state != "X")
}

pub(crate) fn parent(pid: u32) -> Option<u32> {
    stat_field(pid, 4)?.parse().ok()
}

fn stat_field(pid: u32, number: usize) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in field 2 may hold spaces and parentheses: count from the last one.
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(number.checked_sub(3)?).map(str::to_owned)
}

pub(crate) fn all_pids() -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Children, their children, and so on.
pub(crate) fn descendants(pid: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> =
        all_pids().into_iter().filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let mut family = vec![pid];
    let mut next = 0;
    while let Some(&elder) = family.get(next) {
        family.extend(parents.iter().filter(|(_, parent)| *parent == elder).map(|(pid, _)| pid));
        next += 1;
    }
    family.split_off(1)
}

/// Processes whose environment holds this text.
pub(crate) fn with_environment(text: &str) -> Vec<u32> {
    let holds = |pid: &u32| {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.windows(text.len()).any(|window| window == text.as_bytes())
    };
    all_pids().into_iter().filter(holds).collect()
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        // It may be gone already, which is what the caller wants.
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// A child that does not outlive its owner.
#[derive(Debug)]
pub(crate) struct Owned(pub(crate) Child);

impl Owned {
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Asks to end, and insists after `patience`.
    pub(crate) fn end(&mut self, patience: Duration) {
        signal(self.id(), Signal::SIGTERM);
        let gone =
            wait_until(patience, "the child's end", || matches!(self.0.try_wait(), Ok(Some(_)) | Err(_)));
        if gone.is_err() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.end(Duration::from_secs(2));
    }
}
