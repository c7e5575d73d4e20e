//! One session on its way through the states, and what is asked of each.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use fleet_testkit::fleet::fleet;
use fleet_testkit::real::{Kind, RuntimeSession, Setup};
use fleet_testkit::stub::ModelStub;
use fleet_testkit::wait::wait_until;
use serde_json::Value;

use crate::world::{Cell, World};

/// A screen is looked at every few seconds and believed the second time, and the machine is busy.
const PATIENCE: Duration = Duration::from_secs(60);

const DRAWN: Duration = Duration::from_secs(8);

/// What a state must be told as.
#[derive(Clone, Copy)]
pub(crate) struct Want {
    state: &'static str,
    kind: Option<&'static str>,
    /// How the verdict's reason begins, where the state alone says too little.
    reason: &'static str,
    /// How the signal of whose turn it is begins; several that may be are separated by `|`.
    says: &'static str,
    /// Part of the line that it rests on; several that may be are separated by `|`.
    line: &'static str,
    /// What the screen alone must tell, where it can.
    screen: Option<&'static str>,
}

pub(crate) fn available() -> Want {
    Want {
        state: "available",
        kind: None,
        reason: "the turn is over",
        says: "turn ended",
        line: "",
        screen: Some("available/prompt"),
    }
}

pub(crate) fn working(line: &'static str) -> Want {
    Want {
        state: "working",
        kind: None,
        reason: "a turn is running",
        says: "busy",
        line,
        screen: Some("working/turn"),
    }
}

pub(crate) fn retrying(line: &'static str) -> Want {
    // A state file says no more than that it is busy.
    Want { screen: Some("working/retrying"), says: "busy|retrying", ..working(line) }
}

pub(crate) fn background(line: &'static str) -> Want {
    Want {
        reason: "background work",
        says: "background work",
        screen: Some("working/background"),
        ..working(line)
    }
}

/// `shown` is state and kind, such as `stuck/question`.
pub(crate) fn stuck(shown: &'static str, line: &'static str) -> Want {
    let kind = shown.strip_prefix("stuck/");
    Want { state: "stuck", kind, reason: "", says: "", line, screen: Some(shown) }
}

/// A screen cannot tell a stopped program from a quiet one.
pub(crate) fn frozen() -> Want {
    Want { screen: None, ..stuck("stuck/frozen", "") }
}

/// `screen` where one is left.
pub(crate) fn dead(screen: Option<&'static str>) -> Want {
    Want { state: "dead", kind: None, reason: "", says: "", line: "", screen }
}

impl Want {
    fn name(&self) -> String {
        self.kind.map_or_else(|| self.state.to_owned(), |kind| format!("{}/{kind}", self.state))
    }

    /// As the agent is told now, and on which line.
    fn check(&self, agent: &Value) -> Result<()> {
        let kind = self.kind.map_or(Value::Null, Value::from);
        let reason = agent["readinessReason"].as_str().unwrap_or_default();
        ensure!(agent["readiness"] == self.state && agent["readinessKind"] == kind, "{}", told(agent));
        ensure!(reason.starts_with(self.reason), "{}", told(agent));
        Ok(())
    }

    /// The line that the verdict rests on, of `fleet explain --json`.
    fn line_of(&self, explained: &Value) -> Result<String> {
        let texts = |list: &Value, of: &str, wanted: &dyn Fn(&Value) -> bool| -> Vec<String> {
            let items = list.as_array().cloned().unwrap_or_default();
            items.iter().filter(|item| wanted(item)).map(|item| text(&item[of])).collect()
        };
        let lines = match self.kind {
            Some("frozen") => vec![String::new()],
            Some(kind) => texts(&explained["agent"]["evidence"], "line", &|item| item["kind"] == kind),
            None if self.state == "dead" => vec![String::new()],
            None => texts(&explained["signals"], "says", &|item| {
                item["signal"] == "native" && begins(&text(&item["says"]), self.says)
            }),
        };
        let plausible = |line: &&String| self.line.split('|').any(|part| line.contains(part));
        let found = lines.iter().filter(plausible).max_by_key(|line| line.len());
        found.cloned().with_context(|| format!("no {:?} in {lines:?}", self.line))
    }
}

fn begins(text: &str, any: &str) -> bool {
    any.split('|').any(|word| text.starts_with(word))
}

fn told(agent: &Value) -> String {
    let words = ["readiness", "readinessKind", "readinessReason", "evidence", "runtime"]
        .map(|key| agent[key].to_string());
    words.join(" ")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

pub(crate) struct Lane<'w> {
    world: &'w World,
    name: &'static str,
    pub(crate) session: RuntimeSession<'w>,
    stub: &'w ModelStub,
    cells: Vec<Cell>,
    /// The kinds that it was rightly stuck by, in their order.
    stuck: Vec<&'static str>,
    prompts: usize,
    /// What must be named among the signals, where a verdict is not by screen alone.
    source: Option<&'static str>,
}

impl<'w> Lane<'w> {
    /// Ready for a prompt.
    pub(crate) fn launch(world: &'w World, name: &'static str, setup: &Setup) -> Result<Self> {
        Self::launch_with(world, name, &world.stub, setup)
    }

    /// The same with a model of its own.
    pub(crate) fn launch_with(
        world: &'w World,
        name: &'static str,
        stub: &'w ModelStub,
        setup: &Setup,
    ) -> Result<Self> {
        let _one = world.starting.lock().unwrap_or_else(PoisonError::into_inner);
        let session = world.runtime.launch(&world.tmux, &world.home, name, stub, setup)?;
        Ok(Self::new(world, name, session, stub))
    }

    /// In front of whatever it shows first.
    pub(crate) fn start(world: &'w World, name: &'static str, setup: &Setup) -> Result<Self> {
        let _one = world.starting.lock().unwrap_or_else(PoisonError::into_inner);
        let session = world.runtime.start(&world.tmux, &world.home, name, &world.stub, setup)?;
        Ok(Self::new(world, name, session, &world.stub))
    }

    fn new(world: &'w World, name: &'static str, session: RuntimeSession<'w>, stub: &'w ModelStub) -> Self {
        let source = (session.kind() == Kind::Claude).then_some("state-file");
        Self { world, name, session, stub, cells: Vec::new(), stuck: Vec::new(), prompts: 0, source }
    }

    /// Sends a prompt that no other lane sends; the model's words come first. Gives its text.
    pub(crate) fn prompt(&mut self, words: &str) -> Result<String> {
        self.prompts += 1;
        let text = format!("{words} {} {}", self.name, self.prompts);
        self.session.send_prompt(self.stub, &text)?;
        Ok(text)
    }

    /// Types a text and sends it to a model that is not there.
    pub(crate) fn draft_and_enter(&mut self, text: &str) -> Result<()> {
        self.session.draft(text)?;
        let drafted = self.session.screen()?;
        self.session.press("Enter", "something else", |screen| screen != drafted)
    }

    /// Its box was seen to be empty: what its screen showed before is forgotten.
    pub(crate) fn settles(&self) -> Result<()> {
        self.draft_is(false)
    }

    fn draft_is(&self, wanted: bool) -> Result<()> {
        let began = Instant::now();
        let told = wait_until(PATIENCE, format!("{}: a draft: {wanted}", self.name), || {
            let agent = self.world.agent(self.name, began)?;
            ensure!(agent["draft"] == wanted, "{}", agent["draft"]);
            Ok(())
        });
        told.with_context(|| self.session.screen().unwrap_or_default())
    }

    /// A person's unsent text is told, and changes nothing else; then it is gone again.
    pub(crate) fn draft(&mut self) -> Result<()> {
        let text = "words of mine";
        self.draft_is(false)?;
        self.session.draft(text)?;
        self.draft_is(true)?;
        self.expect("a draft", &available())?;
        self.session.clear(text)
    }

    /// Answers what it asks by a key, again where that was ignored, until this part of the dialog is gone.
    pub(crate) fn answer(&mut self, key: &str, dialog: &str) -> Result<()> {
        self.session.wait_for_screen("a dialog", |screen| screen.contains(dialog))?;
        self.session.press(key, "no dialog", |screen| !screen.contains(dialog))
    }

    /// Its model is gone from now on.
    pub(crate) fn cut(&self, stub: &ModelStub) -> Result<()> {
        stub.kill();
        wait_until(PATIENCE, "a model that does not answer", || stub.health().is_err())?;
        Ok(())
    }

    /// The state that it is in now is told as wanted, with the line that shows it; then its screen alone is asked.
    pub(crate) fn expect(&mut self, name: &str, want: &Want) -> Result<Value> {
        let began = Instant::now();
        let what = format!("{}: {name} to be {}", self.name, want.name());
        let agent = wait_until(PATIENCE, &what, || {
            let agent = self.world.agent(self.name, began)?;
            want.check(&agent)?;
            // What was sent is a draft no more, though nobody looked since.
            let sent = want.state == "working" && self.source.is_some();
            ensure!(!sent || agent["draft"] != true, "a draft is told of what was sent");
            Ok(agent)
        });
        let agent = agent.with_context(|| self.scene(name))?;
        let took = began.elapsed();
        let line = wait_until(PATIENCE, format!("{what}, explained"), || {
            let explained = self.world.json(&["explain", self.name, "--json"])?;
            self.names_its_source(want, &explained)?;
            want.line_of(&explained)
        });
        let line = line.with_context(|| self.scene(name))?;
        let screen = match want.screen {
            // A runtime may say what it does before it draws it.
            Some(wanted) => {
                let alone = wait_until(DRAWN, "the screen alone", || {
                    let seen = self.screen_alone(name)?;
                    ensure!(seen == wanted, "{seen}");
                    Ok(seen)
                });
                Some((wanted.to_owned(), alone.or_else(|_| self.screen_alone(name))?))
            }
            None => None,
        };
        self.stuck.extend(want.kind);
        self.cells.push(Cell {
            lane: self.name,
            name: name.to_owned(),
            live: want.name(),
            line,
            screen,
            took,
        });
        Ok(agent)
    }

    /// For the message: what it shows, and what is known of it.
    fn scene(&self, name: &str) -> String {
        let screen = self.session.screen().unwrap_or_default();
        let alone = self.screen_alone(name).unwrap_or_default();
        let known =
            fleet(&self.world.home, &["explain", self.name]).map(|said| said.stdout).unwrap_or_default();
        format!("{screen}\nby screen alone {alone}; {known}")
    }

    /// What comes next is not in our hands: it may be called stuck by this, or not.
    pub(crate) fn may_be_stuck(&mut self, kind: &'static str) {
        self.stuck.push(kind);
    }

    /// What tells without its screen, and is named: `api` for its server, `hook`.
    pub(crate) fn is_told_by(&mut self, source: &'static str) {
        self.source = Some(source);
    }

    /// What tells without a screen is named; Claude Code's state file once its first dialogs are answered.
    fn names_its_source(&self, want: &Want, explained: &Value) -> Result<()> {
        let by_screen_only = want.state == "dead" || matches!(want.kind, Some("trust" | "frozen" | "dialog"));
        let Some(source) = self.source.filter(|_| !by_screen_only) else { return Ok(()) };
        let signals = explained["signals"].as_array().cloned().unwrap_or_default();
        let named = signals.iter().any(|line| line["signal"] == "native" && line["source"] == source);
        ensure!(named, "no {source} among {signals:?}");
        Ok(())
    }

    /// State and kind by the screen as it is now, and nothing else.
    fn screen_alone(&self, name: &str) -> Result<String> {
        let (picture, title) = self.session.picture()?;
        let file = format!("{}-{}.ansi", self.name, name.replace([' ', ':', '/'], "-"));
        let file = self.world.home.root().join(file);
        std::fs::write(&file, picture)?;
        let runtime = self.session.kind().name();
        let file = file.display().to_string();
        let args = ["explain", "--screen", &file, "--runtime", runtime, "--title", &title, "--json"];
        let verdict = fleet(&self.world.home, &args)?.json()?;
        Ok(format!("{}/{}", text(&verdict["state"]), text(&verdict["readinessKind"])))
    }

    /// All of its cells; that it was never called stuck without reason, or by another one, is asked at last.
    pub(crate) fn end(self) -> Result<Vec<Cell>> {
        let events = self.world.json(&["events", "--json", "--agent", self.name, "--limit", "0"])?;
        let events = events["items"].as_array().context("no items")?;
        let stuck: Vec<&Value> = events.iter().filter(|event| event["to"] == "stuck").collect();
        let entered = stuck.iter().filter(|event| event["from"] != "stuck").count();
        let known = |event: &&&Value| self.stuck.iter().any(|kind| event["kind"] == *kind);
        let unknown: Vec<&Value> = stuck.iter().filter(|event| !known(event)).copied().collect();
        let events = changes(events);
        ensure!(unknown.is_empty(), "{}: stuck by what was not there: {unknown:#?}\n{events}", self.name);
        let times = self.stuck.len();
        ensure!(entered <= times, "{}: {entered} times stuck instead of {times}:\n{events}", self.name);
        Ok(self.cells)
    }
}

/// The changes, a line each.
fn changes(events: &[Value]) -> String {
    let line = |event: &Value| {
        let [at, from, to, kind, reason] =
            ["at", "from", "to", "kind", "reason"].map(|key| event[key].as_str().unwrap_or("-").to_owned());
        format!("  {at} {from} -> {to} {kind}: {reason} {}", event["evidence"])
    };
    events.iter().map(line).collect::<Vec<_>>().join("\n")
}
