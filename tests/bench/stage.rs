//! What is measured on: agents in a tmux server and a home of the benchmark's own.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use fleet_testkit::agent::{ScriptedAgent, ScriptedOptions, link_as};
use fleet_testkit::fleet::{PATIENCE, write_roster};
use fleet_testkit::home::TestHome;
use fleet_testkit::tmux::PrivateTmux;
use fleet_testkit::wait::wait_until;

use crate::client::Client;

const SOCKET: &str = "mosaic-fleet";

/// What a scripted agent at work does for ever: turns of a minute, a billed response every five seconds, and on the
/// screen ten redraws a second.
const AT_WORK: &str = "\
prompt go on
work 5s tokens=100,20,3000,40,5 blocks=2
work 5s tokens=100,20,3000,40,5 blocks=2
work 5s tokens=100,20,3000,40,5 blocks=2
work 5s tokens=100,20,3000,40,5 blocks=2
work 5s tokens=100,20,3000,40,5 blocks=2
work 5s tokens=100,20,3000,40,5 blocks=2
work 5s tokens=100,20,3000,40,5 blocks=2
work 5s tokens=100,20,3000,40,5 blocks=2
work 5s tokens=100,20,3000,40,5 blocks=2
work 5s tokens=100,20,3000,40,5 blocks=2
work 5s tokens=100,20,3000,40,5 blocks=2
work 5s tokens=100,20,3000,40,5 blocks=2
end
loop
";

/// How busy the agents of a stage are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Idle at their prompts: nothing is drawn.
    Quiet,
    /// Ten redraws a second in every pane.
    Active,
    /// The same, and a response in the transcript every five seconds.
    AtWork,
    /// A turn of Codex drawn, moving ten times a second, by programs that say nothing of themselves: only their screens
    /// tell.
    ByScreen,
}

impl Pace {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Active => "active",
            Self::AtWork => "at work",
            Self::ByScreen => "by screen alone",
        }
    }
}

pub(crate) struct Stage {
    // Dropped in this order: the agents end with their server, then the home goes.
    pub(crate) tmux: PrivateTmux,
    pub(crate) home: TestHome,
    pub(crate) names: Vec<String>,
}

impl Stage {
    /// A roster of `count` agents that do not run yet.
    pub(crate) fn empty(count: usize) -> Result<Self> {
        Self::empty_of("claude", count)
    }

    fn empty_of(runtime: &str, count: usize) -> Result<Self> {
        let home = TestHome::new()?;
        let names: Vec<String> = (0..count).map(|number| format!("agent{number:03}")).collect();
        let agents: String =
            names.iter().map(|name| format!("  - {{name: {name}, runtime: {runtime}}}\n")).collect();
        write_roster(&home, &format!("version: 1\ntmux: {{socket_name: {SOCKET}}}\nagents:\n{agents}"))?;
        Ok(Self { tmux: PrivateTmux::named(&home, SOCKET)?, home, names })
    }

    /// Agents that run, all at this pace.
    pub(crate) fn of(count: usize, pace: Pace) -> Result<Self> {
        if pace == Pace::ByScreen {
            let stage = Self::empty_of("codex", count)?;
            let turn = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/screens/codex/work-exec60.ansi");
            stage.start_as("codex", &["stand-in".to_owned(), turn.display().to_string()])?;
            return Ok(stage);
        }
        let stage = Self::empty(count)?;
        let script = (pace == Pace::AtWork).then(|| AT_WORK.to_owned());
        let options = ScriptedOptions { script, ..ScriptedOptions::default() };
        for name in &stage.names {
            let mut agent = ScriptedAgent::launch(&stage.tmux, &stage.home, name, &options)?;
            if pace == Pace::Active {
                agent.step("prompt go on")?;
            }
        }
        Ok(stage)
    }

    /// Starts stand-ins for those of the roster that do not run: programs named `claude` that keep a state file and
    /// sleep.
    pub(crate) fn start_stand_ins(&self) -> Result<()> {
        self.start_as("claude", &["stand-in".to_owned()])
    }

    /// This program itself, under a runtime's name.
    fn start_as(&self, runtime: &str, arguments: &[String]) -> Result<()> {
        let program = link_as(&self.home, runtime, &std::env::current_exe()?)?;
        let argv = [&[program.display().to_string()], arguments].concat();
        for name in &self.names {
            self.tmux.new_session(name, &self.home.work(name)?, &self.home.env(), &argv)?;
        }
        Ok(())
    }

    /// A session that keeps the server up while the agents come and go.
    pub(crate) fn hold(&self) -> Result<()> {
        let argv = ["sleep".to_owned(), "infinity".to_owned()];
        self.tmux.new_session("_holder", self.home.root(), &self.home.env(), &argv).map(drop)
    }

    pub(crate) fn server(&self) -> Result<u32> {
        self.tmux.server_pid().context("the tmux server is gone")
    }

    /// Waits until the collector has every agent of the roster alive.
    pub(crate) fn all_seen(&self, client: &mut Client) -> Result<()> {
        wait_until(PATIENCE, "every agent to be seen alive", || {
            let list = client.list()?;
            let alive = list.agents.iter().filter(|agent| Client::is_alive(agent)).count();
            anyhow::ensure!(alive == self.names.len(), "{alive} of {}", self.names.len());
            Ok(())
        })
        .map_err(Into::into)
    }
}

/// Lets time pass: for windows of measurement, whose length is the point.
pub(crate) fn pass(time: Duration) {
    std::thread::sleep(time);
}
