//! One agent on its way, and the two sums that must be one.

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use fleet_testkit::fleet::{Daemon, agent, collector, fleet, sidecar, write_roster};
use fleet_testkit::home::TestHome;
use fleet_testkit::real::{Kind, RealRuntime, RuntimeSession, Setup};
use fleet_testkit::stub::ModelStub;
use fleet_testkit::tmux::PrivateTmux;
use fleet_testkit::wait::wait_until;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(90);
/// After this a key counts as swallowed.
const PRESSED: Duration = Duration::from_secs(6);
const PRESSES: usize = 4;
const AGENT: &str = "coder0";
const KINDS: [&str; 6] = ["input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning"];

/// Responses, and tokens of each kind.
#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
pub(crate) struct Sum {
    pub(crate) responses: u64,
    pub(crate) tokens: [u64; 6],
}

impl Sum {
    fn add(&mut self, line: &Value) {
        self.responses += 1;
        for (sum, kind) in self.tokens.iter_mut().zip(KINDS) {
            *sum += line[kind].as_u64().unwrap_or_default();
        }
    }

    fn of_report(report: &Value) -> Self {
        let totals = &report["totals"];
        let count = |kind: &str| totals[kind].as_u64().unwrap_or_default();
        Self { responses: count("responses"), tokens: KINDS.map(count) }
    }
}

/// One runtime's fleet of one agent, and who pays for what.
pub(crate) struct World {
    runtime: RealRuntime,
    setup: Setup,
    /// Whether a transcript holds what was billed for this purpose.
    holds: fn(&str) -> bool,
    /// It tells the reasoning in its output apart.
    tells_reasoning: bool,
    /// Where its transcripts are, below its home.
    transcripts: &'static str,
    stub: ModelStub,
    daemons: RefCell<Option<(Daemon, Daemon)>>,
    tmux: PrivateTmux,
    home: TestHome,
}

impl World {
    /// `None` where the program cannot be had.
    pub(crate) fn new(
        kind: Kind,
        setup: Setup,
        transcripts: &'static str,
        holds: fn(&str) -> bool,
    ) -> Option<Self> {
        let runtime = RealRuntime::require_or_skip(kind)?;
        let home = TestHome::new().unwrap();
        let tmux = PrivateTmux::named(&home, "mosaic-fleet").unwrap();
        let roster = format!(
            "version: 1\ntmux: {{socket_name: mosaic-fleet}}\nagents: [{{name: {AGENT}, runtime: {}}}]\n",
            kind.name()
        );
        write_roster(&home, &roster).unwrap();
        // The server outlives the agent, as the holder's does.
        tmux.run(["new-session", "-d", "-s", "holder", "sleep", "900"]).unwrap();
        let stub = ModelStub::start().unwrap();
        let daemons = RefCell::new(Some(daemons(&home).unwrap()));
        let tells_reasoning = kind != Kind::Pi;
        Some(Self { runtime, setup, holds, tells_reasoning, transcripts, stub, daemons, tmux, home })
    }

    fn user_home(&self) -> PathBuf {
        self.home.root().join("u").join(AGENT)
    }

    /// The file below this directory of its transcripts that was written last.
    pub(crate) fn newest(&self, directory: &str) -> Result<String> {
        let mut left = vec![self.user_home().join(self.transcripts).join(directory)];
        let mut newest = None;
        while let Some(directory) = left.pop() {
            for entry in std::fs::read_dir(&directory)? {
                let entry = entry?;
                match entry.metadata()? {
                    of if of.is_dir() => left.push(entry.path()),
                    of => newest = newest.max(Some((of.modified()?, entry.path()))),
                }
            }
        }
        let (_, path) = newest.context("no file")?;
        Ok(path.display().to_string())
    }

    /// What was billed so far and can be in a transcript.
    fn billed(&self) -> Result<Sum> {
        let mut sum = Sum::default();
        let bill = self.stub.billed()?;
        bill.iter().filter(|line| (self.holds)(purpose(line))).for_each(|line| sum.add(line));
        if !self.tells_reasoning {
            sum.tokens[5] = 0;
        }
        Ok(sum)
    }

    fn answers(&self) -> Result<usize> {
        Ok(self.stub.billed()?.iter().filter(|line| purpose(line) == "answer").count())
    }

    fn counted(&self, args: &[&str]) -> Result<Sum> {
        let said = fleet(&self.home, &[&["usage", "--json"], args].concat())?;
        Ok(Sum::of_report(&said.from_collector()?.json()?))
    }

    fn live(&self) -> Result<Sum> {
        self.counted(&["--by", "agent,model,session"])
    }

    fn offline(&self) -> Result<Sum> {
        let place = self.user_home().join(self.transcripts).display().to_string();
        self.counted(&["--runtime", self.runtime.kind().name(), "--path", &place])
    }

    /// The running fleet has counted what was billed.
    fn agrees(&self, after: &str) -> Result<()> {
        wait_until(PATIENCE, format!("the ledger to hold what was billed after {after}"), || {
            let (billed, counted) = (self.billed()?, self.live()?);
            ensure!(billed == counted, "billed {billed:?}, counted {counted:?}; {:#?}", self.stub.billed()?);
            Ok(())
        })
        .with_context(|| self.logs())
    }

    fn logs(&self) -> String {
        let daemons = self.daemons.borrow();
        let logs = daemons.as_ref().map(|(collector, sidecar)| [collector.log(), sidecar.log()].concat());
        logs.unwrap_or_default()
    }

    /// Both killed at once, and started anew.
    pub(crate) fn kill_daemons(&self) -> Result<()> {
        let (collector, sidecar) = self.daemons.borrow_mut().take().context("no daemons")?;
        sidecar.kill()?;
        collector.kill()?;
        *self.daemons.borrow_mut() = Some(daemons(&self.home)?);
        Ok(())
    }

    /// The transcripts alone tell the same, read as often as one likes; every response stands in the agent's name.
    pub(crate) fn end(&self) -> Result<()> {
        // A sub-agent in the background that ends after the turn has its own be told of it, in an answer more.
        wait_until(PATIENCE, "the transcripts and the ledger to hold what was billed", || -> Result<()> {
            let (billed, offline, live) = (self.billed()?, self.offline()?, self.live()?);
            ensure!(billed == offline, "billed {billed:?}, read {offline:?}");
            ensure!(billed == live, "billed {billed:?}, counted {live:?}");
            Ok(())
        })?;
        let report = fleet(&self.home, &["usage", "--json", "--by", "agent"])?.json()?;
        let rows = report["rows"].as_array().context("no rows")?;
        ensure!(rows.len() == 1 && rows[0]["agent"] == AGENT, "whose: {rows:#?}");
        Ok(())
    }

    /// A session of the program with these arguments beside those of its setup; `ready` is what its screen shows then.
    pub(crate) fn start(&self, args: &[&str], ready: impl Fn(&str) -> bool) -> Result<Journey<'_>> {
        let mut setup = self.setup.clone();
        setup.args.extend(args.iter().map(|&arg| arg.to_owned()));
        let session = self.runtime.start(&self.tmux, &self.home, AGENT, &self.stub, &setup)?;
        // On a busy machine the largest of them takes a minute to draw anything.
        (0..3).find_map(|_| session.wait_for_screen("a box for prompts", &ready).ok()).with_context(
            || format!("{} draws no box for prompts: {:?}", self.runtime.kind().name(), session.screen()),
        )?;
        Ok(Journey { world: self, session })
    }
}

fn daemons(home: &TestHome) -> Result<(Daemon, Daemon)> {
    Ok((collector(home, "off")?, sidecar(home, &["--host"])?))
}

fn purpose(line: &Value) -> &str {
    line["for"].as_str().unwrap_or_default()
}

/// A session of the agent.
pub(crate) struct Journey<'w> {
    world: &'w World,
    pub(crate) session: RuntimeSession<'w>,
}

impl Journey<'_> {
    /// Sends a prompt, and waits for so many answers and for the ledger to hold them.
    pub(crate) fn ask(&self, text: &str, answers: usize) -> Result<()> {
        let before = self.world.answers()?;
        self.session.send_prompt(&self.world.stub, text)?;
        self.answered(text, before + answers)?;
        wait_until(PATIENCE, "the model in fleet ps", || {
            let agent = agent(&self.world.home, AGENT)?;
            ensure!(agent["model"].as_str().is_some_and(|model| !model.is_empty()), "{}", agent["model"]);
            Ok(())
        })?;
        Ok(())
    }

    /// The same while the fleet's own programs are killed and started anew.
    pub(crate) fn ask_while_daemons_die(&self, text: &str) -> Result<()> {
        let before = self.world.answers()?;
        self.session.send_prompt(&self.world.stub, text)?;
        self.world.kill_daemons()?;
        self.answered(text, before + 1)
    }

    fn answered(&self, text: &str, answers: usize) -> Result<()> {
        wait_until(PATIENCE, format!("the answer to {text:?}"), || {
            let now = self.world.answers()?;
            ensure!(now >= answers, "{now} of {answers} answers");
            Ok(())
        })
        .with_context(|| self.session.screen().unwrap_or_default())?;
        self.settles(text).with_context(|| self.session.screen().unwrap_or_default())
    }

    /// A command of the program's own, typed; what it asks the model for is billed, and the ledger holds what it may.
    pub(crate) fn command(&self, command: &str) -> Result<()> {
        let before = self.world.stub.billed()?.len();
        self.enter(command, || Ok(self.world.stub.billed()?.len() > before))?;
        self.settles(command)
    }

    /// The same for one whose answer stands in a dialog, which Escape closes.
    pub(crate) fn aside(&self, command: &str, closed: impl Fn(&str) -> bool) -> Result<()> {
        let before = self.world.stub.billed()?.len();
        self.enter(command, || Ok(self.world.stub.billed()?.len() > before))?;
        self.session.press("Escape", "its own prompt", closed)?;
        self.settles(command)
    }

    /// Types a command and sends it, again where an Enter was swallowed or the program was busy still.
    fn enter(&self, command: &str, done: impl Fn() -> Result<bool>) -> Result<()> {
        for _ in 0..PRESSES {
            self.session.draft(command)?;
            let drafted = self.session.screen()?;
            for _ in 0..PRESSES {
                self.session.send_keys(&["Enter"])?;
                let done = wait_until(PRESSED, format!("what {command:?} does"), || -> Result<()> {
                    ensure!(done()?, "nothing");
                    Ok(())
                });
                if done.is_ok() {
                    return Ok(());
                }
                if self.session.screen()? != drafted {
                    break;
                }
            }
        }
        bail!("{command:?} does nothing: {}", self.session.screen()?)
    }

    /// Its turn is over, and the ledger holds all of it.
    fn settles(&self, after: &str) -> Result<()> {
        self.world.agrees(after)?;
        wait_until(PATIENCE, "the turn's end", || {
            let agent = agent(&self.world.home, AGENT)?;
            ensure!(agent["readiness"] == "available", "{}", agent["readinessReason"]);
            Ok(())
        })?;
        self.world.agrees(after)
    }

    /// Asks for a long answer and kills the program in the middle of it.
    pub(crate) fn killed_while_answering(self, text: &str) -> Result<()> {
        self.session.send_prompt(&self.world.stub, text)?;
        self.session.wait_for_screen("some of the answer", |screen| screen.contains("slow-word-3"))?;
        self.session.kill()?;
        self.gone()
    }

    /// Ends the program by its own command.
    pub(crate) fn leave(self, command: &str) -> Result<()> {
        let gone = || Ok(self.world.tmux.pane(self.session.name()).is_err());
        // Its screen is gone with it.
        if let Err(error) = self.enter(command, gone) {
            ensure!(gone()?, error);
        }
        self.world.agrees("its end")
    }

    fn gone(self) -> Result<()> {
        wait_until(PATIENCE, "the end of the session", || {
            self.world.tmux.pane(self.session.name()).is_err()
        })?;
        self.world.agrees("the program was killed")
    }
}
