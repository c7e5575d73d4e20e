//! The one owner of the agent's state: takes steps, keys and signals, performs one step at a time, draws, and
//! answers the control socket when a step's effects are on disk and on the screen.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use nix::sys::signal::Signal;

use super::args::Args;
use super::control::Event;
use super::identity::Identity;
use super::keys::{Key, Keys};
use super::screen::{self, Mode, Phase, View};
use super::state_file::{StateFile, Status};
use super::step::{Step, Work};
use super::terminal::Terminal;
use super::transcript::{Call, Transcript};

const FRAME: Duration = Duration::from_millis(100);
/// A terminal that does not say where its cursor is has drawn after this time.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) struct Engine {
    pub(super) state: StateFile,
    pub(super) transcript: Transcript,
    pub(super) view: View,
    pub(super) turn: Option<Turn>,
    /// Tool calls of the dialog that is open.
    pub(super) calls: Vec<Call>,
    pub(super) queue: VecDeque<Job>,
    pub(super) current: Option<Current>,
    pub(super) exit: Option<u8>,
    pub(super) speed: f64,
    pub(super) reply: Duration,
    pub(super) turns: usize,
    pub(super) interrupt_asked: bool,
    identity: Rc<Identity>,
    terminal: Terminal,
    keys: Keys,
    script: Vec<Step>,
    at: usize,
    round_began: Instant,
    settled: Vec<Settled>,
    questions: u64,
    control: Option<PathBuf>,
}

pub(super) struct Turn {
    pub(super) began: Instant,
    pub(super) prompt: String,
    pub(super) responses: usize,
}

pub(super) struct Job {
    pub(super) step: Step,
    pub(super) answer: Option<Sender<String>>,
}

/// A step that lasts.
pub(super) struct Current {
    pub(super) until: Instant,
    pub(super) then: Then,
    pub(super) answer: Option<Sender<String>>,
}

#[derive(Clone, Debug)]
pub(super) enum Then {
    Respond(Work),
    Allow,
    EndShell,
    Nothing,
}

/// A step that makes no sense now.
#[derive(Debug)]
pub(super) struct Misplaced(pub(super) &'static str);

impl std::fmt::Display for Misplaced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Misplaced {}

/// An answer that waits until the terminal has drawn.
struct Settled {
    answer: Sender<String>,
    text: String,
    since: Instant,
    /// Number of the question to the terminal that follows the drawing.
    question: Option<u64>,
}

impl Engine {
    pub(super) fn new(args: Args, identity: Identity) -> Result<Self> {
        let identity = Rc::new(identity);
        let permission_mode = match args.mode {
            Mode::Manual => "default",
            Mode::Auto => "auto",
            Mode::Bypass => "bypassPermissions",
        };
        let state = StateFile::create(&identity, args.in_place)?;
        let view = View {
            model: args.model.clone(),
            cwd: identity.cwd.clone(),
            mode: args.mode,
            said: Vec::new(),
            phase: Phase::Quiet,
            draft: String::new(),
            ghost: "",
            queued: Vec::new(),
            limit: None,
        };
        let mut engine = Self {
            transcript: Transcript::new(Rc::clone(&identity), &args.model, permission_mode, args.noise),
            state,
            view,
            turn: None,
            calls: Vec::new(),
            queue: VecDeque::new(),
            current: None,
            exit: None,
            speed: args.speed,
            reply: args.reply,
            turns: 0,
            interrupt_asked: false,
            identity,
            terminal: Terminal::open(),
            keys: Keys::default(),
            script: args.script,
            at: 0,
            round_began: Instant::now(),
            settled: Vec::new(),
            questions: 0,
            control: args.control,
        };
        engine.draw();
        engine.state.set(Status::Idle)?;
        if let Some(text) = args.prompt {
            engine.typed(text);
        }
        Ok(engine)
    }

    /// Until `exit`, a signal, or a file that cannot be written.
    pub(super) fn run(&mut self, events: &Receiver<Event>) -> Result<u8> {
        let outcome = self.turn_the_wheel(events);
        self.state.remove();
        let closed = self.transcript.close();
        let session = &self.identity.session;
        self.terminal.close(&format!("Resume this session with:\r\nclaude --resume {session}\r\n"));
        if let Some(path) = &self.control {
            let _ = std::fs::remove_file(path);
        }
        closed.and(outcome)
    }

    fn turn_the_wheel(&mut self, events: &Receiver<Event>) -> Result<u8> {
        loop {
            self.advance()?;
            if let Some(code) = self.exit {
                return Ok(code);
            }
            self.draw();
            self.answer_settled();
            match self.next_event(events) {
                Ok(event) => self.take(event)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => bail!("no source of events is left"),
            }
        }
    }

    fn next_event(&self, events: &Receiver<Event>) -> Result<Event, RecvTimeoutError> {
        let now = Instant::now();
        let frame = matches!(self.view.phase, Phase::Working { .. }).then(|| now + FRAME);
        let patience = self.settled.iter().map(|settled| settled.since + PATIENCE);
        let step = self.current.iter().map(|current| current.until);
        match frame.into_iter().chain(patience).chain(step).min() {
            Some(deadline) => events.recv_timeout(deadline.saturating_duration_since(now)),
            None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn take(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Line(line, answer) => self.line(&line, answer),
            Event::Keys(bytes) => {
                for key in self.keys.feed(&bytes) {
                    match key {
                        Key::Drawn => self.drawn(),
                        key => self.key(key)?,
                    }
                }
                Ok(())
            }
            Event::Signal(Signal::SIGWINCH) => {
                self.terminal.forget();
                Ok(())
            }
            Event::Signal(_) => {
                self.exit = Some(0);
                Ok(())
            }
        }
    }

    fn line(&mut self, line: &str, answer: Sender<String>) -> Result<()> {
        if line.trim() == "status" {
            return self.settle(Some(answer), Ok(()));
        }
        match line.parse() {
            Err(error) => self.settle(Some(answer), Err(anyhow::anyhow!("{error}"))),
            Ok(Step::Loop) => self.settle(Some(answer), Err(anyhow::anyhow!("loop is for scripts"))),
            // It is about the step that runs, so it does not wait for its end.
            Ok(Step::Interrupt) => {
                let done = self.interrupt();
                self.settle(Some(answer), done)
            }
            Ok(step) => {
                self.queue.push_back(Job { step, answer: Some(answer) });
                Ok(())
            }
        }
    }

    /// Ends the step that is due, begins the next ones.
    fn advance(&mut self) -> Result<()> {
        loop {
            if let Some(current) = self.current.take_if(|current| current.until <= Instant::now()) {
                let done = self.finish(current.then);
                self.settle(current.answer, done)?;
            }
            if self.current.is_some() || self.exit.is_some() {
                return Ok(());
            }
            let Some(Job { step, answer }) = self.next_job() else { return Ok(()) };
            match self.begin(step) {
                Ok(Some((lasts, then))) => {
                    let until = Instant::now() + lasts.div_f64(self.speed);
                    self.current = Some(Current { until, then, answer });
                }
                Ok(None) => self.settle(answer, Ok(()))?,
                Err(error) => self.settle(answer, Err(error))?,
            }
        }
    }

    fn next_job(&mut self) -> Option<Job> {
        if let Some(job) = self.queue.pop_front() {
            return Some(job);
        }
        let step = self.script.get(self.at)?.clone();
        self.at += 1;
        if step != Step::Loop {
            return Some(Job { step, answer: None });
        }
        self.at = 0;
        // A round that takes no time must not become a busy loop.
        let idle = FRAME.saturating_sub(self.round_began.elapsed()).mul_f64(self.speed);
        self.round_began = Instant::now();
        Some(Job { step: Step::Idle(idle), answer: None })
    }

    /// A step that nobody asks about may come at the wrong time, as a person can end a script's turn; other errors
    /// end the agent.
    pub(super) fn settle(&mut self, answer: Option<Sender<String>>, done: Result<()>) -> Result<()> {
        let Some(answer) = answer else {
            return done.or_else(|error| if error.is::<Misplaced>() { Ok(()) } else { Err(error) });
        };
        let text = match done {
            Ok(()) => {
                let billed = self.transcript.billed();
                let Identity { pid, session, .. } = &*self.identity;
                format!(
                    "ok pid={pid} session={session} responses={} tokens={}",
                    billed.responses, billed.tokens
                )
            }
            Err(error) => format!("err {error:#}").replace('\n', " "),
        };
        self.settled.push(Settled { answer, text, since: Instant::now(), question: None });
        Ok(())
    }

    fn draw(&mut self) {
        if let (Phase::Working { frame, since, tokens, .. }, Some(turn)) = (&mut self.view.phase, &self.turn)
        {
            *since = turn.began.elapsed();
            *frame = usize::try_from(since.as_millis() / FRAME.as_millis()).unwrap_or_default();
            *tokens = since.as_millis() as u64 / 70;
        }
        let (columns, rows) = self.terminal.size();
        self.terminal.draw(screen::frame(&self.view, columns, rows));
    }

    fn answer_settled(&mut self) {
        if !self.terminal.is_live() {
            self.release(|_| true);
            return;
        }
        if self.settled.iter().any(|settled| settled.question.is_none()) {
            self.questions += 1;
            for settled in &mut self.settled {
                settled.question.get_or_insert(self.questions);
            }
            self.terminal.ask_cursor();
        }
        self.release(|settled| settled.since.elapsed() >= PATIENCE);
    }

    /// The terminal answers its questions in order.
    fn drawn(&mut self) {
        let oldest = self.settled.iter().filter_map(|settled| settled.question).min();
        self.release(|settled| settled.question == oldest);
    }

    fn release(&mut self, which: impl Fn(&Settled) -> bool) {
        for settled in self.settled.extract_if(.., |settled| which(settled)) {
            // Whoever asked may be gone.
            let _ = settled.answer.send(settled.text);
        }
    }
}
