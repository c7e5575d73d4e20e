//! The loopback model API (`tests/support/stub.py`): answers the runtimes' requests by words in the prompt.
#![expect(clippy::disallowed_methods, reason = "starts the stub as a child process")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::agent::read_rows;
use crate::process::{self, Owned};
use crate::wait::wait_until;

const PROGRAM: &str = include_str!("../../tests/support/stub.py");

/// Ends with the value.
#[derive(Debug)]
pub struct ModelStub {
    child: Owned,
    port: u16,
    dir: TempDir,
}

impl ModelStub {
    /// On a free port of 127.0.0.1, and healthy when this returns.
    ///
    /// # Errors
    /// When python3 is missing or the stub does not come up.
    pub fn start() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("mf-stub-").tempdir().context("make a directory")?;
        let program = dir.path().join("stub.py");
        std::fs::write(&program, PROGRAM).context("write the stub")?;
        let mut command = Command::new("python3");
        command.arg(&program).args(["--port", "0", "--log"]).arg(dir.path().join("stub.jsonl"));
        command
            .arg("--bodies")
            .arg(dir.path().join("bodies"))
            .arg("--work")
            .arg(dir.path())
            .current_dir(dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = Owned(command.spawn().context("start python3")?);
        let mut said = String::new();
        if let Some(stdout) = child.0.stdout.take() {
            BufReader::new(stdout).read_line(&mut said).context("read the stub's port")?;
        }
        let port = said.trim().rsplit(':').next().and_then(|port| port.parse().ok());
        let port = port.with_context(|| format!("the stub said {said:?}"))?;
        let stub = Self { child, port, dir };
        wait_until(Duration::from_secs(10), "the stub's health", || stub.health())?;
        Ok(stub)
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// SIGKILL: connections that are open break, and no new one is taken.
    pub fn kill(&self) {
        process::signal(self.child.id(), Signal::SIGKILL);
    }

    /// Lets the answers end that `HOLD` and this number hold up.
    ///
    /// # Errors
    /// When its file cannot be written.
    pub fn release(&self, number: u32) -> Result<()> {
        std::fs::write(self.dir.path().join(format!("released{number}")), "").context("release the answers")
    }

    /// Number of requests so far, as the stub counts them.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn health(&self) -> Result<u64> {
        let mut stream =
            TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).context("connect to the stub")?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET /__stub/health HTTP/1.1\r\nHost: stub\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
        ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
        let body: Value = serde_json::from_str(body).context("the health's JSON")?;
        body["requests"].as_u64().context("no count of requests")
    }

    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.dir.path().join("stub.jsonl")
    }

    /// The number of requests so far whose body has all of these texts, as they stand in JSON.
    #[must_use]
    pub fn asked_with(&self, texts: &[&str]) -> usize {
        let bodies = std::fs::read_dir(self.dir.path().join("bodies")).into_iter().flatten();
        let bodies = bodies.filter_map(|entry| std::fs::read_to_string(entry.ok()?.path()).ok());
        bodies.filter(|body| texts.iter().all(|text| body.contains(text))).count()
    }

    /// Whether a prompt with this text reached it.
    #[must_use]
    pub fn heard(&self, text: &str) -> bool {
        let holds = |request: &Value| request["last"].as_str().is_some_and(|last| last.contains(text));
        self.requests().is_ok_and(|requests| requests.iter().any(holds))
    }

    /// When the last byte of the first answer to a prompt with this text went out, in seconds since 1970; title requests and
    /// the like are not meant.
    #[must_use]
    pub fn answered(&self, text: &str) -> Option<f64> {
        let log = self.dir.path().join("stub.jsonl.answered");
        let rows = read_rows(&log).ok()?;
        let of_it = |row: &&Value| row["last"].as_str().is_some_and(|last| last.contains(text));
        rows.iter().find(of_it)?["ts"].as_f64()
    }

    /// Every request so far, without secrets and bodies.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn requests(&self) -> Result<Vec<Value>> {
        let log = self.log_path();
        if Path::new(&log).exists() { read_rows(&log) } else { Ok(Vec::new()) }
    }
}
