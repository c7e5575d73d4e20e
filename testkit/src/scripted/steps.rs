//! What each step does to the state file, the transcript and the view; in this order, as the real one does.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use jiff::tz::TimeZone;
use nix::sys::signal::Signal;

use super::engine::{Engine, Misplaced, Then, Turn};
use super::json::{Object, array};
use super::rows::Block;
use super::screen::Phase;
use super::state_file::Status;
use super::step::{ApiError, Step, Work};
use super::tokens::Tokens;
use super::transcript::tool;
use crate::process;

/// What a response bills when the step does not say.
const USUAL: Tokens =
    Tokens { input: 12, output: 480, cache_read: 24_000, cache_write_5m: 600, cache_write_1h: 0 };
const VERBS: [(&str, &str); 6] = [
    ("Marinating", "Marinated"),
    ("Stewing", "Stewed"),
    ("Cogitating", "Cogitated"),
    ("Brewing", "Brewed"),
    ("Churning", "Churned"),
    ("Cooking", "Cooked"),
];
const ANSWERS: [&str; 4] = [
    "I read the module and its tests.",
    "The change is small: one function and the test that pins it.",
    "All tests pass; I am looking at what else calls it.",
    "Done. The reason is in the commit message.",
];
const INTERRUPTED: &str = "  ⎿  Interrupted · What should Claude do instead?";

impl Engine {
    /// The step's immediate effects; how long it lasts and what follows, if it lasts.
    pub(super) fn begin(&mut self, step: Step) -> Result<Option<(Duration, Then)>> {
        let lasting = match step {
            Step::Prompt(text) => {
                ensure!(self.turn.is_none(), Misplaced("a turn is on already"));
                self.prompt(text)?;
                None
            }
            Step::Work(work) => {
                self.need_turn()?;
                if !self.calls.is_empty() {
                    self.allow()?;
                }
                if work.lasts.is_zero() {
                    self.respond(&work)?;
                    return Ok(None);
                }
                Some((work.lasts, Then::Respond(work)))
            }
            Step::Permission { tool, input, lasts, tokens } => {
                self.permission(&tool, &input, tokens.unwrap_or(USUAL))?;
                lasts.map(|lasts| (lasts, Then::Allow))
            }
            Step::Question { text, lasts, tokens } => {
                self.question(&text, tokens.unwrap_or(USUAL))?;
                lasts.map(|lasts| (lasts, Then::Allow))
            }
            Step::Background(lasts) => {
                self.need_turn()?;
                self.end_turn(Status::Shell, Phase::Shell)?;
                lasts.map(|lasts| (lasts, Then::EndShell))
            }
            Step::Idle(lasts) => (!lasts.is_zero()).then_some((lasts, Then::Nothing)),
            instant => {
                self.instant(instant)?;
                None
            }
        };
        Ok(lasting)
    }

    fn instant(&mut self, step: Step) -> Result<()> {
        match step {
            Step::End => self.end(),
            Step::Allow => self.allow(),
            Step::Deny => self.deny(),
            Step::Interrupt => self.interrupt(),
            Step::Limit(lasts) => self.limit(lasts),
            Step::Error(error) => self.fail(&error, None, None),
            Step::Subagent(tokens) => self.subagent(tokens.unwrap_or(USUAL)),
            Step::Crash => crash(),
            Step::Exit(code) => {
                self.exit = Some(code);
                Ok(())
            }
            other => bail!("{other:?} is no instant step"),
        }
    }

    pub(super) fn finish(&mut self, then: Then) -> Result<()> {
        match then {
            Then::Respond(work) => self.respond(&work),
            Then::Allow if !self.calls.is_empty() => self.allow(),
            Then::EndShell if self.view.phase == Phase::Shell => self.end_shell(),
            Then::Allow | Then::EndShell | Then::Nothing => Ok(()),
        }
    }

    pub(super) fn prompt(&mut self, text: String) -> Result<()> {
        self.state.set(Status::Busy)?;
        self.transcript.prompt(&text)?;
        self.view.said.push(format!("❯ {text}"));
        self.view.limit = None;
        self.view.ghost = "";
        self.turn = Some(Turn { began: Instant::now(), prompt: text, responses: 0 });
        self.turns += 1;
        self.view.phase = self.working();
        Ok(())
    }

    /// A step that only makes sense inside a turn begins one.
    fn need_turn(&mut self) -> Result<()> {
        if self.turn.is_none() { self.prompt("go on".to_owned()) } else { Ok(()) }
    }

    fn need_answered_turn(&mut self) -> Result<()> {
        self.need_turn()?;
        ensure!(self.calls.is_empty(), Misplaced("a dialog is open: allow or deny first"));
        Ok(())
    }

    fn working(&self) -> Phase {
        let (verb, _) = VERBS[self.turns % VERBS.len()];
        Phase::Working { frame: 0, verb, since: Duration::ZERO, tokens: 0 }
    }

    fn respond(&mut self, work: &Work) -> Result<()> {
        let answer = ANSWERS[self.transcript.billed().responses as usize % ANSWERS.len()];
        let mut blocks = vec![Block::Text(answer.to_owned())];
        if work.blocks > 2 {
            blocks.insert(0, Block::Thinking("What does the test expect?".to_owned()));
        }
        while blocks.len() < work.blocks {
            let number = blocks.len();
            blocks.push(tool("Bash", bash(&format!("cargo test part_{number}")))?);
        }
        let calls = self.transcript.respond(work.tokens.unwrap_or(USUAL), &blocks)?;
        self.transcript.tool_results(&calls, "ok")?;
        self.view.said.push(format!("● {answer}"));
        match calls.len() {
            0 => {}
            1 => self.view.said.push("  Ran 1 shell command".to_owned()),
            many => self.view.said.push(format!("  Ran {many} shell commands")),
        }
        self.count_response();
        Ok(())
    }

    fn count_response(&mut self) {
        if let Some(turn) = &mut self.turn {
            turn.responses += 1;
        }
    }

    fn permission(&mut self, name: &str, input: &str, tokens: Tokens) -> Result<()> {
        self.need_answered_turn()?;
        self.state.set(Status::Waiting("permission prompt"))?;
        let text = "I will run a command.";
        let arguments = if name == "Bash" { bash(input) } else { Object::new().text("file_path", input) };
        self.calls =
            self.transcript.respond(tokens, &[Block::Text(text.to_owned()), tool(name, arguments)?])?;
        self.count_response();
        self.view.said.push(format!("● {text}"));
        self.view.said.push(format!("● Scripted command\n  ⎿  $ {input}"));
        self.view.phase = Phase::Permission { tool: name.to_owned(), input: input.to_owned() };
        Ok(())
    }

    fn question(&mut self, text: &str, tokens: Tokens) -> Result<()> {
        self.need_answered_turn()?;
        self.state.set(Status::Waiting("input needed"))?;
        let option = |label, what| Object::new().text("label", label).text("description", what);
        let question = Object::new()
            .text("question", text)
            .text("header", "Question")
            .raw("multiSelect", false)
            .raw("options", array([option("Yes", "go on with it"), option("No", "leave it as it is")]));
        let call = tool("AskUserQuestion", Object::new().raw("questions", array([question])))?;
        self.calls = self.transcript.respond(tokens, &[call])?;
        self.count_response();
        self.view.phase = Phase::Question { text: text.to_owned() };
        Ok(())
    }

    pub(super) fn allow(&mut self) -> Result<()> {
        ensure!(!self.calls.is_empty(), Misplaced("nothing was asked"));
        self.state.set(Status::Busy)?;
        let calls = std::mem::take(&mut self.calls);
        self.transcript.tool_results(&calls, "ok")?;
        let said = match &self.view.phase {
            Phase::Question { text } => format!("● Answered Claude's questions:\n  ⎿  · {text} → Yes"),
            _ => "  Ran 1 shell command".to_owned(),
        };
        self.view.said.push(said);
        self.view.phase = self.working();
        Ok(())
    }

    pub(super) fn deny(&mut self) -> Result<()> {
        ensure!(!self.calls.is_empty(), Misplaced("nothing was asked"));
        self.state.set(Status::Idle)?;
        let calls = std::mem::take(&mut self.calls);
        self.transcript.tools_refused(&calls)?;
        self.view.said.push(format!("  Did not run 1 call\n{INTERRUPTED}"));
        self.turn_over(Phase::Quiet);
        Ok(())
    }

    /// Esc. Before the first response the prompt comes back as a draft and nothing is written; what streamed is
    /// kept with the usage of its beginning.
    pub(super) fn interrupt(&mut self) -> Result<()> {
        ensure!(self.turn.is_some(), Misplaced("no turn is on"));
        if !self.calls.is_empty() {
            self.cancel_current()?;
            return self.deny();
        }
        self.state.set(Status::Idle)?;
        let streaming = match self.current.as_ref().map(|current| &current.then) {
            Some(Then::Respond(work)) => Some(work.tokens.unwrap_or(USUAL)),
            _ => None,
        };
        self.cancel_current()?;
        let Some(turn) = self.turn.take() else { return Ok(()) };
        if let Some(tokens) = streaming {
            self.transcript.aborted(tokens, ANSWERS[0])?;
            self.view.said.push(format!("● {}\n{INTERRUPTED}", ANSWERS[0]));
        } else if turn.responses > 0 {
            self.transcript.tools_refused(&[])?;
            self.view.said.push(INTERRUPTED.to_owned());
        } else {
            self.view.said.pop();
            self.view.draft = turn.prompt;
        }
        self.turn_over(Phase::Quiet);
        Ok(())
    }

    pub(super) fn cancel_current(&mut self) -> Result<()> {
        match self.current.take().and_then(|current| current.answer) {
            Some(answer) => self.settle(Some(answer), Err(anyhow::anyhow!("interrupted"))),
            None => Ok(()),
        }
    }

    fn end(&mut self) -> Result<()> {
        if self.view.phase == Phase::Shell {
            return self.end_shell();
        }
        ensure!(self.turn.is_some(), Misplaced("no turn is on"));
        ensure!(self.calls.is_empty(), Misplaced("a dialog is open: allow or deny first"));
        self.end_turn(Status::Idle, Phase::Quiet)
    }

    fn end_turn(&mut self, status: Status, phase: Phase) -> Result<()> {
        let lasted = self.turn.as_ref().map(|turn| turn.began.elapsed()).unwrap_or_default();
        self.state.set(status)?;
        self.transcript.end(lasted)?;
        let (_, past) = VERBS[self.turns % VERBS.len()];
        let shell = if phase == Phase::Shell { " · 1 shell still running" } else { "" };
        let clock = clock(jiff::Timestamp::now(), "%-I:%M %p");
        self.view.said.push(format!("✻ {past} for {}s · done {clock}{shell}", lasted.as_secs()));
        self.turn_over(phase);
        self.next_queued()
    }

    fn end_shell(&mut self) -> Result<()> {
        self.state.set(Status::Idle)?;
        self.view.phase = Phase::Quiet;
        Ok(())
    }

    fn turn_over(&mut self, phase: Phase) {
        self.turn = None;
        self.view.phase = phase;
    }

    fn limit(&mut self, lasts: Duration) -> Result<()> {
        let reset = jiff::Timestamp::now() + jiff::SignedDuration::try_from(lasts.div_f64(self.speed))?;
        let time = clock(reset, "%-I:%M%P").replace(":00", "");
        let text = format!("You've hit your 5-hour limit · resets {time} (UTC)");
        let notice = format!("Usage limit reached · set to continue automatically at {time}");
        let error =
            ApiError { error: "rate_limit", status: 429, kind: "rate_limit_error", text: &text, ghost: "" };
        self.fail(&error, Some(reset.as_second()), Some(&notice))?;
        self.view.said.push(format!("● {notice}"));
        self.view.limit = Some(time);
        Ok(())
    }

    fn fail(&mut self, error: &ApiError<'_>, resets_at: Option<i64>, notice: Option<&str>) -> Result<()> {
        self.need_answered_turn()?;
        self.state.set(Status::Idle)?;
        self.transcript.error(error, resets_at, notice)?;
        let lead = if error.text.starts_with("API Error") { "●" } else { "  ⎿ " };
        self.view.said.push(format!("{lead} {}", error.text));
        self.view.ghost = error.ghost;
        self.turn_over(Phase::Quiet);
        Ok(())
    }

    fn subagent(&mut self, tokens: Tokens) -> Result<()> {
        self.need_answered_turn()?;
        self.transcript.subagent(tokens, "The part is sound; one call has no test.")?;
        self.view.said.push("● Agent \"Scripted sub-agent\" finished · 1s".to_owned());
        Ok(())
    }
}

fn bash(command: &str) -> Object {
    Object::new().text("command", command).text("description", "Scripted command")
}

fn crash() -> Result<()> {
    process::signal(std::process::id(), Signal::SIGKILL);
    bail!("survived SIGKILL")
}

fn clock(time: jiff::Timestamp, format: &str) -> String {
    time.to_zoned(TimeZone::UTC).strftime(format).to_string()
}
