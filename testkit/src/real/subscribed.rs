//! A real Claude Code or Codex that spends from a subscription, beside a collector and a host-wide sidecar: what its
//! provider tells of the account's windows, followed from the provider's answer into `fleet budget`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use fleet_domain::Wall;
use serde_json::Value;

use super::{Credentials, Kind, RealRuntime, RuntimeSession, Setup};
use crate::fleet::{self, Daemon, collector, fleet, sidecar, write_budget, write_roster};
use crate::home::TestHome;
use crate::stub::ModelStub;
use crate::tmux::PrivateTmux;
use crate::wait::wait_until;

/// The machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(120);
const AGENT: &str = "sub0";

/// The parts; [`Subscribed::launch`] starts the runtime in them.
#[derive(Debug)]
pub struct Subscribed {
    pub home: TestHome,
    pub stub: ModelStub,
    tmux: PrivateTmux,
    kind: Kind,
    _collector: Daemon,
    _sidecar: Daemon,
}

/// A window as the budget first had it so.
#[derive(Debug)]
pub struct Told {
    /// An item of `windows` in `fleet budget --json`.
    pub window: Value,
    /// From the last byte of the provider's answer to the end of the `fleet budget` that said so.
    pub after: Duration,
    /// Of it, the runtime's own: until it told somebody.
    pub of_runtime: Duration,
}

impl Subscribed {
    /// With a budget of one account, called `sub`, that the agent spends from.
    ///
    /// # Errors
    /// When a part does not come up.
    pub fn start(kind: Kind) -> Result<Self> {
        let home = TestHome::new()?;
        let tmux = PrivateTmux::named(&home, "mosaic-fleet")?;
        let runtime = kind.name();
        write_roster(
            &home,
            &format!(
                "version: 1\ntmux: {{socket_name: mosaic-fleet}}\nagents:\n  - {{name: {AGENT}, runtime: {runtime}, \
                 account: sub, yolo: false, working_directory: {}}}\n",
                home.work(AGENT)?.display()
            ),
        )?;
        let provider = if kind == Kind::Claude { "anthropic" } else { "openai" };
        write_budget(&home, &format!("version: 1\naccounts:\n  - {{name: sub, provider: {provider}}}\n"))?;
        let (collector, sidecar) = (collector(&home, "off")?, sidecar(&home, &["--host"])?);
        let stub = ModelStub::start()?;
        Ok(Self { home, stub, tmux, kind, _collector: collector, _sidecar: sidecar })
    }

    /// The runtime as its user starts it, waiting for a prompt and known to the fleet.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn launch(&self, runtime: &RealRuntime) -> Result<RuntimeSession<'_>> {
        ensure!(runtime.kind() == self.kind, "made for {}", self.kind.name());
        let setup = Setup { credentials: Credentials::Subscription, ..Setup::default() };
        let session = if self.kind == Kind::Claude {
            // Its statusline, which tells of limits, is wired by the launch.
            runtime.launched_by_fleet(&self.tmux, &self.home, AGENT, &self.stub, &setup)?
        } else {
            runtime.launch(&self.tmux, &self.home, AGENT, &self.stub, &setup)?
        };
        fleet::wait_for_state(&self.home, AGENT, "available")?;
        Ok(session)
    }

    /// Sends a prompt (its text must be new) and waits until a window of the account is as `wanted`.
    ///
    /// # Errors
    /// When it never is; with the budget as last seen.
    pub fn tell(
        &self,
        session: &RuntimeSession<'_>,
        prompt: &str,
        window: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Told> {
        session.send_prompt(&self.stub, prompt)?;
        let (window, seen) = wait_until(PATIENCE, format!("{window} in fleet budget"), || {
            let budget = self.budget()?;
            let seen = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
            let windows = budget["windows"].as_array().context("no windows")?;
            let found = windows.iter().find(|item| item["window"] == window && wanted(item));
            found.cloned().map(|found| (found, seen)).with_context(|| budget.to_string())
        })?;
        let answered = wait_until(PATIENCE, "the end of the answer", || self.stub.answered(prompt))?;
        let since = |at: f64| Duration::from_secs_f64((at - answered).max(0.0));
        let told = window["observedAt"].as_str().and_then(Wall::parse_rfc3339).context("no observedAt")?;
        let of_runtime = since(told.0 as f64 / 1e3);
        Ok(Told { window, after: since(seen), of_runtime })
    }

    /// `fleet budget --json` at this moment.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn budget(&self) -> Result<Value> {
        fleet(&self.home, &["budget", "--json"])?.from_collector()?.json()
    }
}
