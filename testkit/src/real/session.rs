//! One session of any of the programs: started in a pane, driven by keys the way a person does, observed by what it
//! draws and by what it asks the model.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::Signal;

use super::{Command, Kind, Place, RealRuntime, Setup, Under, configure};
use crate::bins::bin;
use crate::home::TestHome;
use crate::process;
use crate::stub::ModelStub;
use crate::tmux::PrivateTmux;
use crate::wait::wait_until;

/// Generous: the programs are large, and the machine runs other tests.
const PATIENCE: Duration = Duration::from_secs(120);
/// After this a key counts as swallowed.
const PRESSED: Duration = Duration::from_secs(4);
const PRESSES: usize = 4;
/// Less than the five seconds after which opencode forgets that it asked.
const ASKS: Duration = Duration::from_secs(2);
const SHELL_PROMPT: &str = "dev@host:~/work$ ";

type Environment = Vec<(String, String)>;

#[derive(Debug)]
pub struct RuntimeSession<'a> {
    tmux: &'a PrivateTmux,
    kind: Kind,
    session: String,
    pane_pid: u32,
    under: Under,
    /// As in its environment: what was started from here has it too.
    user_home: String,
}

impl RealRuntime {
    /// Starts it in a new tmux session of this name, in a home and a work directory of its own. What it shows first
    /// is not waited for.
    ///
    /// # Errors
    /// When its files cannot be written, or tmux says no.
    pub fn start<'a>(
        &self,
        tmux: &'a PrivateTmux,
        home: &TestHome,
        session: &str,
        stub: &ModelStub,
        setup: &Setup,
    ) -> Result<RuntimeSession<'a>> {
        let (user_home, cwd, command, env) = self.configured(home, session, stub, setup)?;
        let program = self.link(home)?;
        let mut env = env;
        let line = [self.kind.name().to_owned()].into_iter().chain(command.args.iter().cloned());
        let line = line.collect::<Vec<_>>().join(" ");
        let argv: Vec<String> = match setup.under {
            Under::Pane => [program.display().to_string()].into_iter().chain(command.args).collect(),
            Under::Shell => ["bash", "--noprofile", "--norc", "-i"].map(str::to_owned).into(),
            // With a second command it stays, instead of becoming the first.
            Under::Script => vec!["sh".to_owned(), "-c".to_owned(), format!("{line}; exit")],
        };
        env.push(("PS1".to_owned(), SHELL_PROMPT.to_owned()));
        let pane = tmux.new_session(session, &cwd, &env, &argv)?;
        let runtime = RuntimeSession {
            tmux,
            kind: self.kind,
            session: session.to_owned(),
            pane_pid: pane.pid,
            under: setup.under,
            user_home,
        };
        if setup.under == Under::Shell {
            runtime.wait_for_screen("a shell's prompt", |screen| screen.contains(SHELL_PROMPT.trim_end()))?;
            runtime.type_text(&line)?;
            runtime.send_keys(&["Enter"])?;
        }
        Ok(runtime)
    }

    /// The same begun by `fleet launch` of an agent of this name, with what it takes for a roster's command line: only the
    /// home and its configuration are made here.
    ///
    /// # Errors
    /// When its files cannot be written, or it was not launched.
    pub fn launched_by_fleet<'a>(
        &self,
        tmux: &'a PrivateTmux,
        home: &TestHome,
        session: &str,
        stub: &ModelStub,
        setup: &Setup,
    ) -> Result<RuntimeSession<'a>> {
        let (user_home, _, _, env) = self.configured(home, session, stub, setup)?;
        self.link(home)?;
        let launched = home.command(bin("fleet")?).args(["launch", session]).env_clear().envs(env).output();
        let launched = launched.context("run fleet launch")?;
        ensure!(launched.status.success(), "{}", String::from_utf8_lossy(&launched.stderr));
        let pane_pid = tmux.pane(session)?.pid;
        let (session, under) = (session.to_owned(), Under::Pane);
        let runtime = RuntimeSession { tmux, kind: self.kind, session, pane_pid, under, user_home };
        // With a statusline, as fleet wires it, Claude shows no hints below its box.
        let box_is_there = |screen: &str| screen.lines().any(|line| line.starts_with("❯"));
        runtime.wait_for_screen("a box for prompts", |screen| match self.kind {
            Kind::Claude => box_is_there(screen),
            kind => is_ready(kind, screen),
        })?;
        Ok(runtime)
    }

    /// Writes its configuration: its home, its work directory, how it is started, and its environment.
    fn configured(
        &self,
        home: &TestHome,
        session: &str,
        stub: &ModelStub,
        setup: &Setup,
    ) -> Result<(String, PathBuf, Command, Environment)> {
        let user_home = home.root().join("u").join(session);
        std::fs::create_dir_all(&user_home).context("make the user's home")?;
        let cwd = home.work(session)?;
        let place = Place { user_home: &user_home, cwd: &cwd, base_url: &stub.base_url() };
        let mut command = configure(self.kind, &place, setup)?;
        let user_home = user_home.display().to_string();
        let mut env = home.env_with(&[("HOME", &user_home)]);
        env.append(&mut command.env);
        Ok((user_home, cwd, command, env))
    }

    /// [`Self::start`], and ready for a prompt when this returns.
    ///
    /// # Errors
    /// When it does not become ready; with the screen.
    pub fn launch<'a>(
        &self,
        tmux: &'a PrivateTmux,
        home: &TestHome,
        session: &str,
        stub: &ModelStub,
        setup: &Setup,
    ) -> Result<RuntimeSession<'a>> {
        let runtime = self.start(tmux, home, session, stub, setup)?;
        let kind = self.kind;
        runtime.wait_for_screen("a box for prompts", |screen| is_ready(kind, screen))?;
        Ok(runtime)
    }

    /// Ready to be started by somebody else, for the user of this home: found on its `PATH`, configured for this work
    /// directory. What it wants in its environment comes back.
    ///
    /// # Errors
    /// When its files cannot be written.
    pub fn prepare(
        &self,
        home: &TestHome,
        cwd: &Path,
        stub: &ModelStub,
        setup: &Setup,
    ) -> Result<Vec<(String, String)>> {
        self.link(home)?;
        let user_home = home.home();
        let place = Place { user_home: &user_home, cwd, base_url: &stub.base_url() };
        Ok(configure(self.kind, &place, setup)?.env)
    }

    /// Under the name that people type, with the Node it needs beside it.
    fn link(&self, home: &TestHome) -> Result<PathBuf> {
        let link = |name: &str, to: &Path| -> Result<PathBuf> {
            let path = home.bin().join(name);
            match symlink(to, &path) {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                    Err(error).with_context(|| format!("link {}", path.display()))
                }
                _ => Ok(path),
            }
        };
        if let Some(node) = &self.node {
            link("node", node)?;
        }
        link(self.kind.name(), &self.program)
    }
}

fn is_ready(kind: Kind, screen: &str) -> bool {
    let begins = |mark: &str| screen.lines().any(|line| line.starts_with(mark));
    match kind {
        Kind::Claude => begins("❯") && screen.contains("? for shortcuts"),
        Kind::Codex => begins("› ") && !screen.contains("Waiting for startup"),
        Kind::Opencode => screen.contains("Ask anything"),
        Kind::Pi => begins("──────────") && screen.contains("stub-model"),
    }
}

impl RuntimeSession<'_> {
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.session
    }

    /// # Errors
    /// What tmux said.
    pub fn screen(&self) -> Result<String> {
        self.tmux.capture(&self.session)
    }

    /// The screen with its attributes, and the title.
    ///
    /// # Errors
    /// What tmux said.
    pub fn picture(&self) -> Result<(String, String)> {
        Ok((self.tmux.capture_ansi(&self.session)?, self.tmux.pane(&self.session)?.title))
    }

    /// # Errors
    /// What tmux said.
    pub fn send_keys(&self, keys: &[&str]) -> Result<()> {
        self.tmux.send_keys(&self.session, keys)
    }

    /// # Errors
    /// What tmux said.
    pub fn type_text(&self, text: &str) -> Result<()> {
        self.tmux.type_text(&self.session, text)
    }

    /// # Errors
    /// What tmux said.
    pub fn resize(&self, columns: u16, rows: u16) -> Result<()> {
        self.tmux.resize(&self.session, columns, rows)
    }

    /// Waits until the screen is as `wanted`.
    ///
    /// # Errors
    /// After a minute; with the screen.
    pub fn wait_for_screen(&self, what: &str, wanted: impl Fn(&str) -> bool) -> Result<()> {
        self.wait(PATIENCE, what, wanted)
    }

    fn wait(&self, patience: Duration, what: &str, wanted: impl Fn(&str) -> bool) -> Result<()> {
        wait_until(patience, format!("{} to show {what}", self.session), || {
            let screen = self.screen().unwrap_or_else(|error| format!("{error:#}"));
            if wanted(&screen) { Ok(()) } else { Err(screen) }
        })
        .map_err(Into::into)
    }

    /// Pastes a short text, bracketed, and waits until it is drawn.
    ///
    /// # Errors
    /// When it is not drawn.
    pub fn draft(&self, text: &str) -> Result<()> {
        self.tmux.paste(&self.session, text)?;
        self.wait_for_screen("the draft", |screen| screen.contains(text))
    }

    /// Empties the box of this draft.
    ///
    /// # Errors
    /// When the draft stays.
    pub fn clear(&self, text: &str) -> Result<()> {
        self.press("C-u", "an empty box", |screen| !screen.contains(text))
    }

    /// Sends a prompt, which must be a new one: it counts as sent once the model was asked for it.
    ///
    /// # Errors
    /// When the model is not asked.
    pub fn send_prompt(&self, stub: &ModelStub, text: &str) -> Result<()> {
        self.draft(text)?;
        let drafted = self.screen()?;
        let asked =
            |patience| wait_until(patience, format!("the model to be asked {text:?}"), || stub.heard(text));
        for _ in 0..PRESSES {
            self.send_keys(&["Enter"])?;
            if asked(PRESSED).is_ok() {
                return Ok(());
            }
            // Seldom an Enter close to a paste is swallowed: then the screen is still what it was.
            if self.screen()? != drafted {
                return asked(PATIENCE).with_context(|| self.screen().unwrap_or_default());
            }
        }
        bail!("the prompt stays a draft: {drafted}")
    }

    /// Presses a key, again where it was swallowed, until the screen is as `wanted`.
    ///
    /// # Errors
    /// When it never is; with the screen.
    pub fn press(&self, key: &str, what: &str, wanted: impl Fn(&str) -> bool) -> Result<()> {
        for _ in 0..PRESSES {
            self.send_keys(&[key])?;
            if self.wait(PRESSED, what, &wanted).is_ok() {
                return Ok(());
            }
        }
        bail!("{} does not show {what}: {}", self.session, self.screen()?)
    }

    /// Interrupts the turn by Escape.
    ///
    /// # Errors
    /// When it goes on.
    pub fn interrupt(&self) -> Result<()> {
        for _ in 0..PRESSES {
            // opencode asks whether it is meant, and forgets in five seconds that it asked: the answer comes in time, but
            // not so close that the two are one key.
            if self.kind == Kind::Opencode {
                self.escape(ASKS, is_asked_again)?;
            }
            if self.escape(PRESSED, |_| false)? {
                return Ok(());
            }
        }
        bail!("the turn goes on: {}", self.screen()?)
    }

    /// One Escape; true when nothing runs any more or `enough` is shown.
    fn escape(&self, patience: Duration, enough: impl Fn(&str) -> bool) -> Result<bool> {
        self.send_keys(&["Escape"])?;
        let done = wait_until(patience, "the end of the turn", || -> Result<(), String> {
            let told = |error: anyhow::Error| format!("{error:#}");
            let title = self.tmux.pane(&self.session).map_err(told)?.title;
            let screen = self.screen().map_err(told)?;
            if !is_busy(self.kind, &screen, &title) || enough(&screen) { Ok(()) } else { Err(screen) }
        });
        Ok(done.is_ok())
    }

    /// The runtime's processes: all of the pane but the shell that it was started by.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        let mut pids = process::descendants(self.pane_pid);
        if self.under == Under::Pane {
            pids.push(self.pane_pid);
        }
        pids
    }

    /// To all of [`Self::pids`].
    pub fn signal(&self, signal: Signal) {
        self.pids().into_iter().for_each(|pid| process::signal(pid, signal));
    }

    /// SIGKILL, and gone when this returns.
    ///
    /// # Errors
    /// When one survives.
    pub fn kill(&self) -> Result<()> {
        let pids = self.pids();
        self.signal(Signal::SIGKILL);
        Ok(wait_until(PATIENCE, "its end", || !pids.iter().any(|pid| process::alive(*pid)))?)
    }
}

/// What a program left running in the background ends too.
impl Drop for RuntimeSession<'_> {
    fn drop(&mut self) {
        let own = format!("HOME={}\0", self.user_home);
        process::with_environment(&own).into_iter().for_each(|pid| process::signal(pid, Signal::SIGKILL));
    }
}

/// The line of opencode's spinner, which says how to interrupt it.
fn spinner(screen: &str) -> Option<&str> {
    screen.lines().find(|line| line.trim_start().starts_with(['⬝', '■']))
}

/// opencode was told Escape once and asks for it again; what an answer says is no question.
fn is_asked_again(screen: &str) -> bool {
    spinner(screen).is_some_and(|line| line.contains("again"))
}

/// It says how to interrupt it, or shows that it goes on.
fn is_busy(kind: Kind, screen: &str, title: &str) -> bool {
    let spins = |line: &str| line.starts_with(|c| ('\u{2801}'..='\u{28ff}').contains(&c));
    match kind {
        Kind::Claude => screen.contains("esc to interrupt"),
        Kind::Codex => spins(title),
        Kind::Opencode => spinner(screen).is_some(),
        Kind::Pi => screen.lines().any(|line| spins(line.trim_start())),
    }
}
