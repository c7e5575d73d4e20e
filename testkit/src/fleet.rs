//! A whole fleet under test: collector, sidecars and CLI as a user runs them, in one home.

use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::bins::bin;
use crate::home::TestHome;
use crate::process::{self, Owned};
use crate::wait::wait_until;

/// How long a test waits for what takes milliseconds: machines under test are busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A program of ours that runs until it is dropped; its stderr is kept for the failure's message.
#[derive(Debug)]
pub struct Daemon {
    child: Owned,
    log: PathBuf,
}

impl Daemon {
    fn start(home: &TestHome, program: &str, args: &[&str], env: &[(&str, &str)]) -> Result<Self> {
        static STARTED: AtomicU64 = AtomicU64::new(0);
        let log = home.root().join(format!("{program}.{}.log", STARTED.fetch_add(1, Ordering::Relaxed)));
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log)?;
        let mut command = home.command(bin(program)?);
        command.args(args).envs(env.iter().copied());
        let child: Child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).spawn().context("start")?;
        Ok(Self { child: Owned(child), log })
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it said so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// SIGKILL, and gone when this returns.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill(mut self) -> Result<()> {
        process::signal(self.pid(), Signal::SIGKILL);
        self.child.0.wait().context("wait for the killed")?;
        Ok(())
    }

    /// SIGTERM; true when it ended well within the patience of a service manager.
    ///
    /// # Errors
    /// When it does not end.
    pub fn terminate(mut self) -> Result<bool> {
        process::signal(self.pid(), Signal::SIGTERM);
        let status = wait_until(PATIENCE, "its end", || self.child.0.try_wait().ok().flatten())?;
        Ok(status.success())
    }
}

/// Starts a collector and waits until it answers. `http` is `off` or a loopback address.
///
/// # Errors
/// When it does not come up; the message has its log.
pub fn collector(home: &TestHome, http: &str) -> Result<Daemon> {
    collector_with(home, &["--http", http])
}

/// The same with these arguments only.
///
/// # Errors
/// When it does not come up; the message has its log.
pub fn collector_with(home: &TestHome, args: &[&str]) -> Result<Daemon> {
    let daemon = Daemon::start(home, "fleet-collector", args, &[])?;
    let answers = || fleet(home, &["ps", "--json"]).and_then(Said::from_collector);
    wait_until(PATIENCE, "the collector's answer", answers).with_context(|| daemon.log())?;
    Ok(daemon)
}

/// Starts a sidecar with these arguments.
///
/// # Errors
/// When it cannot be started.
pub fn sidecar(home: &TestHome, args: &[&str]) -> Result<Daemon> {
    sidecar_with(home, args, &[])
}

/// The same with more environment.
///
/// # Errors
/// When it cannot be started.
pub fn sidecar_with(home: &TestHome, args: &[&str], env: &[(&str, &str)]) -> Result<Daemon> {
    Daemon::start(home, "fleet-sidecar", args, env)
}

/// What `fleet` printed.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    /// # Errors
    /// When it failed, or had no collector to ask.
    pub fn from_collector(self) -> Result<Self> {
        ensure!(self.code == 0, "exit {}: {}", self.code, self.stderr);
        ensure!(!self.stderr.contains("no collector"), "{}", self.stderr);
        Ok(self)
    }

    /// # Errors
    /// When stdout is no JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout)
            .with_context(|| format!("exit {}: {}{}", self.code, self.stdout, self.stderr))
    }
}

/// Runs `fleet` in this home.
///
/// # Errors
/// When it cannot be run at all.
pub fn fleet(home: &TestHome, args: &[&str]) -> Result<Said> {
    let Output { status, stdout, stderr } =
        home.command(bin("fleet")?).args(args).output().context("run fleet")?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Said { code: status.code().unwrap_or(-1), stdout: text(stdout), stderr: text(stderr) })
}

/// One agent of `fleet ps --json`, by name.
///
/// # Errors
/// When there is none, or no collector answered.
pub fn agent(home: &TestHome, name: &str) -> Result<Value> {
    let list = fleet(home, &["ps", "--json"])?.from_collector()?.json()?;
    let items = list["items"].as_array().context("no items")?;
    items.iter().find(|item| item["name"] == name).cloned().with_context(|| format!("no {name} in {list}"))
}

/// Waits until an agent's readiness is `state`, and gives the agent.
///
/// # Errors
/// When it does not come to be; the message has the agent as last seen.
pub fn wait_for_state(home: &TestHome, name: &str, state: &str) -> Result<Value> {
    wait_until(PATIENCE, format!("{name} to be {state}"), || {
        let agent = agent(home, name)?;
        ensure!(agent["readiness"] == state, "{agent}");
        Ok(agent)
    })
    .map_err(Into::into)
}

/// Writes the roster of this home.
///
/// # Errors
/// When it cannot be written.
pub fn write_roster(home: &TestHome, text: &str) -> Result<PathBuf> {
    let path = home.mosaic_home().join("fleet/roster.yaml");
    write(&path, text)?;
    Ok(path)
}

/// Writes the budget of this home.
///
/// # Errors
/// When it cannot be written.
pub fn write_budget(home: &TestHome, text: &str) -> Result<PathBuf> {
    let path = home.mosaic_home().join("fleet/budget.yaml");
    write(&path, text)?;
    Ok(path)
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    std::fs::write(path, text).with_context(|| path.display().to_string())
}
