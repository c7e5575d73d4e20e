//! What a measurement ran on, and how much else the machine was doing.
#![expect(clippy::disallowed_methods, reason = "asks git and tmux for their versions")]

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

#[derive(Clone, Debug)]
pub(crate) struct Machine {
    cpu: String,
    cores: usize,
    memory_gib: f64,
    kernel: String,
    tmux: String,
    commit: String,
    date: String,
    /// Share of all cores that others used just before, in percent.
    pub(crate) busy_before: f64,
}

impl Machine {
    /// Takes two seconds.
    pub(crate) fn look() -> Result<Self> {
        let read = |path: &str| std::fs::read_to_string(path).with_context(|| path.to_owned());
        let cpuinfo = read("/proc/cpuinfo")?;
        let model = cpuinfo
            .lines()
            .find(|line| line.starts_with("model name"))
            .and_then(|line| line.split(':').nth(1));
        let meminfo = read("/proc/meminfo")?;
        let total = meminfo.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok());
        let before = Busy::now()?;
        std::thread::sleep(Duration::from_secs(2));
        Ok(Self {
            cpu: model.map_or_else(|| std::env::consts::ARCH.to_owned(), |model| model.trim().to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: total.unwrap_or(0.0) / f64::from(1 << 20),
            kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            tmux: said("tmux", &["-V"])?,
            commit: said("git", &["describe", "--dirty", "--always"])
                .unwrap_or_else(|_| "unknown".to_owned()),
            date: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string(),
            busy_before: Busy::now()?.share_since(before),
        })
    }

    /// One paragraph for a section's head.
    pub(crate) fn line(&self) -> String {
        format!(
            "{} · {}, {} cores, {:.0} GiB · Linux {} · {} · commit `{}` · {:.0} % of the machine busy beforehand",
            self.date,
            self.cpu,
            self.cores,
            self.memory_gib,
            self.kernel,
            self.tmux,
            self.commit,
            self.busy_before,
        )
    }
}

fn said(program: &str, args: &[&str]) -> Result<String> {
    let out = Command::new(program).args(args).output().with_context(|| format!("run {program}"))?;
    anyhow::ensure!(out.status.success(), "{program} failed");
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

/// Clock ticks of all cores since the start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Busy {
    busy: u64,
    all: u64,
}

impl Busy {
    pub(crate) fn now() -> Result<Self> {
        let stat = std::fs::read_to_string("/proc/stat").context("/proc/stat")?;
        let first = stat.lines().next().context("an empty /proc/stat")?;
        // user nice system idle iowait irq softirq steal; the guest's time is part of the user's.
        let ticks: Vec<u64> =
            first.split_whitespace().skip(1).take(8).filter_map(|word| word.parse().ok()).collect();
        let all = ticks.iter().sum();
        let idle: u64 = ticks.iter().skip(3).take(2).sum();
        Ok(Self { busy: all - idle, all })
    }

    /// In percent of all cores.
    pub(crate) fn share_since(self, before: Self) -> f64 {
        let all = self.all.saturating_sub(before.all).max(1);
        100.0 * self.busy.saturating_sub(before.busy) as f64 / all as f64
    }
}
