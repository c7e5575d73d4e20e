//! Programs run to their end, with what the kernel says that they took; and the peers that we are compared with.
#![expect(clippy::disallowed_methods, reason = "measured programs are started as they are")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use serde_json::{Value, json};

/// A peer's native program, pinned.
pub(crate) struct Peer {
    package: &'static str,
    folder: &'static str,
    /// Below `node_modules`.
    program: &'static str,
}

pub(crate) const CCUSAGE: Peer = Peer {
    package: "ccusage@20.0.24",
    folder: "ccusage-20.0.24",
    program: "@ccusage/ccusage-linux-x64/bin/ccusage",
};

pub(crate) const TOKSCALE: Peer = Peer {
    package: "@tokscale/cli-linux-x64-gnu@4.17.0",
    folder: "tokscale-4.17.0",
    program: "@tokscale/cli-linux-x64-gnu/bin/tokscale",
};

/// What is run, and how.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    path: PathBuf,
    arguments: Vec<String>,
    variable: Option<(String, PathBuf)>,
}

impl Program {
    pub(crate) fn new(path: PathBuf, arguments: Vec<String>) -> Self {
        Self { path, arguments, variable: None }
    }

    pub(crate) fn with_path(mut self, path: &Path) -> Self {
        self.arguments.push(path.display().to_string());
        self
    }

    pub(crate) fn with_variable(mut self, name: &str, value: &Path) -> Self {
        self.variable = Some((name.to_owned(), value.to_owned()));
        self
    }
}

/// Milliseconds, milliseconds, MiB, and what it wrote.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) wall: f64,
    pub(crate) cpu: f64,
    pub(crate) peak: f64,
    pub(crate) out: Vec<u8>,
}

/// Runs it below a process of its own, whose children's figures are then this one's alone.
pub(crate) fn run(program: &Program) -> Result<Run> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("spent").arg(&program.path).args(&program.arguments);
    command.envs(program.variable.clone()).stdin(Stdio::null());
    let output = command.output().context("run")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {said}", program.path.display());
    let figures = said.lines().next_back().context("no figures")?;
    let figures: Value = serde_json::from_str(figures).with_context(|| said.clone().into_owned())?;
    let of = |key: &str| figures[key].as_f64().unwrap_or(f64::NAN);
    Ok(Run { wall: of("wall"), cpu: of("cpu"), peak: of("peak"), out: output.stdout })
}

/// `fleet-bench spent PROGRAM ARGUMENT…`: runs it, and says in the last line of stderr what it took.
pub(crate) fn spent(words: &[String]) -> Result<()> {
    let (program, arguments) = words.split_first().context("spent PROGRAM ARGUMENT…")?;
    let began = Instant::now();
    let status = Command::new(program).args(arguments).status().with_context(|| program.clone())?;
    let wall = began.elapsed().as_secs_f64() * 1e3;
    ensure!(status.success(), "{program}: {status}");
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let millis = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 * 1e3 + time.tv_usec() as f64 / 1e3;
    let cpu = millis(usage.user_time()) + millis(usage.system_time());
    let peak = usage.max_rss() as f64 / 1024.0;
    crate::say(&json!({"wall": wall, "cpu": cpu, "peak": peak}).to_string());
    Ok(())
}

/// From npm once and from the cache from then on.
pub(crate) fn installed(peer: &Peer) -> Result<PathBuf> {
    let base = std::env::var_os("FLEET_TEST_CACHE").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/mosaic-fleet-tests"));
    let prefix = base.or_else(home).context("HOME is not set")?.join(peer.folder);
    let program = prefix.join("node_modules").join(peer.program);
    if !program.exists() {
        let mut command = Command::new("npm");
        command.args(["install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"]).arg(&prefix);
        let output = command.arg(peer.package).stdin(Stdio::null()).output().context("npm is not there")?;
        ensure!(output.status.success(), "npm: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    ensure!(program.exists(), "{} has no native program for this machine", peer.package);
    // npm leaves that to the wrapper's first run.
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
    Ok(program)
}
