//! One runtime's fleet without a collector: a model, a tmux server, and whoever sends.

use std::io::Write as _;
use std::process::Stdio;

use anyhow::{Context as _, Result};
use fleet_testkit::bins::bin;
use fleet_testkit::fleet::{PATIENCE, Said, write_roster};
use fleet_testkit::home::TestHome;
use fleet_testkit::real::{Kind, RealRuntime, RuntimeSession, Setup};
use fleet_testkit::stub::ModelStub;
use fleet_testkit::tmux::PrivateTmux;
use fleet_testkit::wait::wait_until;
use serde_json::Value;

/// For a receipt: the programs are large, and the machine runs other tests.
const LIMIT: &str = "60s";

/// A home with a roster of these agents, and the fleet's tmux server.
pub(crate) struct Place {
    // Dropped first: agents end with their server, then the home goes.
    pub(crate) tmux: PrivateTmux,
    pub(crate) home: TestHome,
}

pub(crate) struct World {
    pub(crate) runtime: RealRuntime,
    pub(crate) stub: ModelStub,
    pub(crate) place: Place,
}

/// What `fleet agent send --json` came to.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) code: i32,
    /// Null where it was no receipt.
    pub(crate) receipt: Value,
    pub(crate) stderr: String,
}

impl Sent {
    pub(crate) fn result(&self) -> &str {
        self.receipt["result"].as_str().unwrap_or_default()
    }

    pub(crate) fn reason(&self) -> &str {
        self.receipt["reason"].as_str().unwrap_or_default()
    }
}

impl Place {
    pub(crate) fn new(runtime: &str, agents: &[&str]) -> Result<Self> {
        let home = TestHome::new()?;
        let tmux = PrivateTmux::named(&home, "mosaic-fleet")?;
        let agents: String =
            agents.iter().map(|agent| format!("  - {{name: {agent}, runtime: {runtime}}}\n")).collect();
        let far = "  - {name: far, runtime: pi, host: hill.example.org, ssh: ops@hill}\n";
        write_roster(
            &home,
            &format!("version: 1\ntmux: {{socket_name: mosaic-fleet}}\nagents:\n{agents}{far}"),
        )?;
        Ok(Self { tmux, home })
    }

    pub(crate) fn send(&self, to: &str, args: &[&str], text: &str) -> Result<Sent> {
        self.send_from(&[], to, args, text)
    }

    /// Sends with more environment, the text by standard input.
    pub(crate) fn send_from(
        &self,
        env: &[(&str, &str)],
        to: &str,
        args: &[&str],
        text: &str,
    ) -> Result<Sent> {
        let mut command = self.home.command(bin("fleet")?);
        command.args(["agent", "send", to, "--json", "--timeout", LIMIT]).args(args);
        command.envs(env.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        // One that refuses at once reads nothing.
        let _ = child.stdin.take().context("no stdin")?.write_all(text.as_bytes());
        let out = child.wait_with_output()?;
        let said = Said {
            code: out.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
        };
        let receipt = said.json().unwrap_or_default();
        eprintln!("to {to}: exit {} {receipt} {}", said.code, said.stderr);
        Ok(Sent { code: said.code, receipt, stderr: said.stderr })
    }
}

impl World {
    /// `None` where the program cannot be had, which was told.
    pub(crate) fn new(kind: Kind, agents: &[&str]) -> Option<Self> {
        let runtime = RealRuntime::require_or_skip(kind)?;
        let made = || -> Result<Self> {
            Ok(Self { runtime, stub: ModelStub::start()?, place: Place::new(kind.name(), agents)? })
        };
        Some(made().unwrap())
    }

    pub(crate) fn launch(&self, agent: &str, setup: &Setup) -> Result<RuntimeSession<'_>> {
        self.runtime.launch(&self.place.tmux, &self.place.home, agent, &self.stub, setup)
    }

    pub(crate) fn start(&self, agent: &str, setup: &Setup) -> Result<RuntimeSession<'_>> {
        self.runtime.start(&self.place.tmux, &self.place.home, agent, &self.stub, setup)
    }

    /// Waits until the model was asked with this text, as it stands, in one request.
    pub(crate) fn arrives(&self, text: &str) -> Result<()> {
        let json = serde_json::to_string(text)?;
        let inner = json.trim_matches('"');
        wait_until(PATIENCE, "the whole text in a request", || self.stub.asked_with(&[inner]) > 0)?;
        Ok(())
    }

    /// So many answers of the model were told to their end.
    pub(crate) fn answers(&self) -> usize {
        let rows = self.stub.billed().unwrap_or_default();
        rows.iter().filter(|row| row["for"] == "answer").count()
    }

    /// Waits until there are more than so many.
    pub(crate) fn answered(&self, before: usize) -> Result<()> {
        wait_until(PATIENCE, "an answer", || self.answers() > before)?;
        Ok(())
    }
}
