//! A tmux server of one's own, on a socket by path below a [`TestHome`], without the user's configuration. It
//! ends with the value; the machine's default server is never spoken to.
#![expect(clippy::disallowed_methods, reason = "the tests' own private tmux server")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::home::TestHome;
use crate::process;
use crate::wait::wait_until;

/// Every session starts with this size.
pub const COLUMNS: u16 = 120;
pub const ROWS: u16 = 40;

#[derive(Debug)]
pub struct PrivateTmux {
    socket: PathBuf,
    env: Vec<(String, String)>,
    _home: Arc<TempDir>,
}

/// A session's first pane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pane {
    pub session: String,
    /// Such as `%0`: exact, and never reused while the server lives.
    pub id: String,
    pub pid: u32,
    pub command: String,
    pub title: String,
    pub dead: bool,
}

impl PrivateTmux {
    /// The server itself starts with the first session.
    ///
    /// # Errors
    /// When there is no tmux.
    pub fn new(home: &TestHome) -> Result<Self> {
        let tmux = Self {
            socket: home.root().join(format!("tmux{}.sock", unique())),
            env: home.env(),
            _home: home.keep(),
        };
        let version = Command::new("tmux").arg("-V").output().context("run tmux")?;
        ensure!(version.status.success(), "tmux -V failed");
        Ok(tmux)
    }

    /// The server that `-L name` is for programs that run in this home.
    ///
    /// # Errors
    /// When its directory cannot be made.
    pub fn named(home: &TestHome, name: &str) -> Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        let directory = home.root().join(format!("tmux-{}", nix::unistd::getuid()));
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .context("make the socket's directory")?;
        Ok(Self { socket: directory.join(name), env: home.env(), _home: home.keep() })
    }

    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// One tmux command on this server; its standard output. A server is started by `new-session` only.
    ///
    /// # Errors
    /// What tmux said.
    pub fn run<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<String> {
        self.run_with(args, b"")
    }

    fn run_with<S: AsRef<std::ffi::OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
        input: &[u8],
    ) -> Result<String> {
        let mut command = Command::new("tmux");
        command.arg("-f").arg("/dev/null").arg("-S").arg(&self.socket).args(args);
        command.env_clear().envs(self.env.iter().cloned());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("start tmux")?;
        if let Some(mut stdin) = child.stdin.take() {
            // Most commands read nothing: a closed pipe is no error.
            let _ = stdin.write_all(input);
        }
        let out = child.wait_with_output().context("read tmux")?;
        if !out.status.success() {
            bail!("{command:?}: {}", String::from_utf8_lossy(&out.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    }

    /// Starts `argv` without a shell in a detached session of [`COLUMNS`] × [`ROWS`]. The session has the home's
    /// environment, `env` on top of it, and what tmux itself adds.
    ///
    /// # Errors
    /// What tmux said.
    pub fn new_session(
        &self,
        name: &str,
        cwd: &Path,
        env: &[(String, String)],
        argv: &[String],
    ) -> Result<Pane> {
        ensure!(!argv.is_empty(), "a session needs a program");
        let mut args: Vec<String> =
            ["new-session", "-d", "-s", name, "-P", "-F", PANE_FORMAT].map(str::to_owned).into();
        args.extend(["-x".to_owned(), COLUMNS.to_string(), "-y".to_owned(), ROWS.to_string()]);
        args.extend(["-c".to_owned(), cwd.display().to_string()]);
        for (key, value) in env {
            args.extend(["-e".to_owned(), format!("{key}={value}")]);
        }
        args.push("--".to_owned());
        // One word would go through a shell: `env` execs it, and is gone.
        args.extend((argv.len() == 1).then(|| "/usr/bin/env".to_owned()));
        args.extend_from_slice(argv);
        pane(self.run(args)?.trim_end_matches('\n'))
    }

    /// # Errors
    /// What tmux said; no server is an error too.
    pub fn list(&self) -> Result<Vec<Pane>> {
        self.run(["list-panes", "-a", "-F", PANE_FORMAT])?.lines().map(pane).collect()
    }

    /// # Errors
    /// When there is no such session.
    pub fn pane(&self, session: &str) -> Result<Pane> {
        let found = self.list()?.into_iter().find(|pane| pane.session == session);
        found.with_context(|| format!("no session {session}"))
    }

    /// The visible screen as text.
    ///
    /// # Errors
    /// What tmux said.
    pub fn capture(&self, session: &str) -> Result<String> {
        self.run(["capture-pane", "-p", "-t", &target(session)])
    }

    /// The visible screen with its attributes as escape sequences.
    ///
    /// # Errors
    /// What tmux said.
    pub fn capture_ansi(&self, session: &str) -> Result<String> {
        self.run(["capture-pane", "-p", "-e", "-t", &target(session)])
    }

    /// Keys by tmux's names (`Enter`, `Escape`, `C-c`, `1`).
    ///
    /// # Errors
    /// What tmux said.
    pub fn send_keys(&self, session: &str, keys: &[&str]) -> Result<()> {
        let to = target(session);
        self.run(["send-keys", "-t", &to].iter().chain(keys)).map(drop)
    }

    /// Text as if typed, in one go.
    ///
    /// # Errors
    /// What tmux said.
    pub fn type_text(&self, session: &str, text: &str) -> Result<()> {
        self.run(["send-keys", "-t", &target(session), "-l", text]).map(drop)
    }

    /// From now on the window has this size, whoever looks at it.
    ///
    /// # Errors
    /// What tmux said.
    pub fn resize(&self, session: &str, columns: u16, rows: u16) -> Result<()> {
        let (columns, rows) = (columns.to_string(), rows.to_string());
        self.run(["resize-window", "-t", &target(session), "-x", &columns, "-y", &rows]).map(drop)
    }

    /// Pastes `text`, bracketed where the program asked for it. Into a dead pane nothing is pasted: tmux 3.3a
    /// crashes on it.
    ///
    /// # Errors
    /// What tmux said, or that the pane is dead.
    pub fn paste(&self, session: &str, text: &str) -> Result<()> {
        let to = target(session);
        ensure!(!self.pane(session)?.dead, "the pane of {session} is dead");
        let buffer = format!("testkit{}", unique());
        self.run_with(["load-buffer", "-b", &buffer, "-"], text.as_bytes())?;
        let discard = format!("delete-buffer -b {buffer}");
        let paste = format!("paste-buffer -p -d -b {buffer} -t '{to}'");
        self.run(["if-shell", "-F", "-t", &to, "#{pane_dead}", &discard, &paste]).map(drop)
    }

    /// # Errors
    /// What tmux said.
    pub fn kill_session(&self, session: &str) -> Result<()> {
        self.run(["kill-session", "-t", &format!("={session}")]).map(drop)
    }

    /// `None` when no server runs on the socket.
    #[must_use]
    pub fn server_pid(&self) -> Option<u32> {
        self.socket.exists().then(|| self.run(["display-message", "-p", "#{pid}"]).ok())??.trim().parse().ok()
    }
}

/// The programs in the panes get a hang-up and may still write to their home: they are waited for too.
impl Drop for PrivateTmux {
    fn drop(&mut self) {
        let Some(server) = self.server_pid() else { return };
        let panes = self.list().unwrap_or_default();
        let mut left: Vec<u32> = panes.iter().filter(|pane| !pane.dead).map(|pane| pane.pid).collect();
        left.push(server);
        let _ = self.run(["kill-server"]);
        let gone = wait_until(Duration::from_secs(5), "the server's end", || {
            left.retain(|pid| process::alive(*pid));
            left.is_empty()
        });
        if gone.is_err() {
            left.iter().for_each(|pid| process::signal(*pid, Signal::SIGKILL));
        }
    }
}

const PANE_FORMAT: &str = "#{session_name}\u{1f}#{pane_id}\u{1f}#{pane_pid}\u{1f}#{pane_current_command}\u{1f}#{pane_title}\u{1f}#{pane_dead}";

fn unique() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    COUNT.fetch_add(1, Ordering::Relaxed)
}

fn pane(line: &str) -> Result<Pane> {
    // Some versions print a control character as an octal escape.
    let line = line.replace("\\037", "\u{1f}");
    let fields: Vec<&str> = line.split('\u{1f}').collect();
    let [session, id, pid, command, title, dead] = fields[..] else { bail!("unexpected pane line {line:?}") };
    Ok(Pane {
        session: session.to_owned(),
        id: id.to_owned(),
        pid: pid.parse().with_context(|| format!("pane pid {pid:?}"))?,
        command: command.to_owned(),
        title: title.to_owned(),
        dead: dead == "1",
    })
}

/// `=name` is exact for a session; with the colon it is the session's current pane.
fn target(session: &str) -> String {
    format!("={session}:")
}
