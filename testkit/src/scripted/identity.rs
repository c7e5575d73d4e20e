//! Who the scripted agent is: its process, its session, and where both leave their files.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::process;

#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) pid: u32,
    /// Field 22 of `/proc/PID/stat`, which the runtime writes as a string.
    pub(crate) proc_start: String,
    /// `linux:<machine id>:pid:[<pid namespace>]`
    pub(crate) pid_domain: String,
    pub(crate) session: String,
    pub(crate) cwd: String,
    pub(crate) config: PathBuf,
    pub(crate) started_ms: i64,
}

impl Identity {
    pub(crate) fn of_this_process(session: Option<String>) -> Result<Self> {
        let pid = std::process::id();
        let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
        let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        let cwd = std::env::current_dir().context("find the work directory")?.display().to_string();
        ensure!(cwd.len() <= 200, "the work directory's name is too long to stand for a project");
        Ok(Self {
            pid,
            proc_start: process::start_ticks(pid).context("read /proc/self/stat")?,
            pid_domain: format!("linux:{}:{}", machine.trim(), namespace.display()),
            session: session.map_or_else(uuid, Ok)?,
            cwd,
            config: config_dir()?,
            started_ms: now_ms(),
        })
    }

    pub(crate) fn project_dir(&self) -> PathBuf {
        project_dir(&self.config, &self.cwd)
    }

    pub(crate) fn transcript(&self) -> PathBuf {
        self.project_dir().join(format!("{}.jsonl", self.session))
    }

    pub(crate) fn subagents_dir(&self) -> PathBuf {
        self.project_dir().join(&self.session).join("subagents")
    }
}

fn config_dir() -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("CLAUDE_CONFIG_DIR").filter(|dir| !dir.is_empty()) {
        return Ok(PathBuf::from(dir));
    }
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty()).context("HOME is not set")?;
    Ok(PathBuf::from(home).join(".claude"))
}

/// Where the transcripts of a work directory are: every character but letters and digits becomes `-`.
pub(crate) fn project_dir(config: &Path, cwd: &str) -> PathBuf {
    let munged: String = cwd.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    config.join("projects").join(munged)
}

pub(crate) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// UTC with milliseconds, as every row has it.
pub(crate) fn stamp() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}

/// A version 4 UUID.
pub(crate) fn uuid() -> Result<String> {
    let mut hex = random_hex(16)?;
    hex.replace_range(12..13, "4");
    hex.replace_range(16..17, "a");
    Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}

pub(crate) fn random_hex(bytes: usize) -> Result<String> {
    let mut buffer = vec![0; bytes];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut buffer))
        .context("read /dev/urandom")?;
    Ok(buffer.iter().map(|byte| format!("{byte:02x}")).collect())
}
