//! What a sidecar saw, as values. Ages are in the sender's milliseconds at the time of sending: the receiver
//! subtracts them from its own clock, so that two hosts' clocks never meet.

use std::time::Duration;

use crate::drift::Deviation;
use crate::heartbeat;
use crate::ids::{AgentName, RuntimeName, SessionId, SocketName};
use crate::time::Wall;

/// Who looked: the agent's own sidecar has precedence over the host-wide one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Vantage {
    Host,
    Agent,
}

/// One session as seen at one moment; the latest replaces what was known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    pub socket: SocketName,
    pub session: String,
    pub pane: Pane,
    pub process: Process,
    /// The runtime that runs in the pane, where it was recognised.
    pub runtime: Option<RuntimeName>,
    /// Whose turn it is, by everything that tells; which of them leads is [`crate::fusion`]'s business.
    pub native: Vec<Native>,
    pub evidence: Vec<Evidence>,
    pub heartbeat: Option<Beat>,
    /// How long nothing moved in the pane; `None` is unknown.
    pub idle: Option<Duration>,
    pub model: Option<String>,
    pub conversation: Option<SessionId>,
    /// A human's unsent text stands in the box; `None` where nobody can tell.
    pub draft: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pane {
    Alive {
        id: String,
        pid: u32,
        command: String,
        title: String,
    },
    /// `remain-on-exit` kept it.
    Dead {
        status: Option<i32>,
        signal: Option<i32>,
    },
    /// The session is not on the socket.
    Gone,
    /// tmux does not answer; what was known may no longer hold.
    Unreachable {
        why: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Process {
    Running {
        pid: u32,
        name: String,
        /// Stopped by a signal, or traced.
        stopped: bool,
    },
    /// A shell has the foreground and no runtime is left below the pane.
    Shell {
        name: String,
    },
    /// It ended while somebody watched.
    Exited,
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NativeState {
    Busy,
    /// A turn runs, and its last request failed and is sent again.
    Retrying,
    /// The turn is over and background work goes on.
    Background,
    TurnEnded,
    /// A prompt is open; the evidence says which.
    Waiting,
}

impl NativeState {
    /// Something runs: a turn, or what one left in the background.
    pub fn runs(self) -> bool {
        matches!(self, Self::Busy | Self::Retrying | Self::Background)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Retrying => "retrying",
            Self::Background => "background work",
            Self::TurnEnded => "turn ended",
            Self::Waiting => "waiting",
        }
    }
}

/// Whose turn it is, as one source says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Native {
    pub state: NativeState,
    /// How long it has been so, where the source tells.
    pub since: Option<Duration>,
    pub source: Source,
    /// How long ago it was last seen to hold.
    pub confirmed: Duration,
    /// The line that shows it; empty where the source has none.
    pub line: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The kernel: a process, its state, its end.
    Process,
    /// A state file that the runtime keeps.
    StateFile,
    Hook,
    Api,
    Transcript,
    Screen,
    /// A heartbeat file that somebody else wrote.
    HeartbeatFile,
    Tmux,
}

impl Source {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::StateFile => "state-file",
            Self::Hook => "hook",
            Self::Api => "api",
            Self::Transcript => "transcript",
            Self::Screen => "screen",
            Self::HeartbeatFile => "heartbeat-file",
            Self::Tmux => "tmux",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        [
            Self::Process,
            Self::StateFile,
            Self::Hook,
            Self::Api,
            Self::Transcript,
            Self::Screen,
            Self::HeartbeatFile,
            Self::Tmux,
        ]
        .into_iter()
        .find(|source| source.as_str() == word)
    }
}

/// The closed list of reasons to be stuck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StuckKind {
    Trust,
    Login,
    Dialog,
    Permission,
    Question,
    UsageLimit,
    Error,
    ContextFull,
    Frozen,
    NoProgress,
}

impl StuckKind {
    pub const ALL: [Self; 10] = [
        Self::Trust,
        Self::Login,
        Self::Dialog,
        Self::Permission,
        Self::Question,
        Self::UsageLimit,
        Self::Error,
        Self::ContextFull,
        Self::Frozen,
        Self::NoProgress,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trust => "trust",
            Self::Login => "login",
            Self::Dialog => "dialog",
            Self::Permission => "permission",
            Self::Question => "question",
            Self::UsageLimit => "usage_limit",
            Self::Error => "error",
            Self::ContextFull => "context_full",
            Self::Frozen => "frozen",
            Self::NoProgress => "no_progress",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// For people: what an agent in this trouble waits for.
    pub fn phrase(self) -> &'static str {
        match self {
            Self::Trust => "waits for folder trust",
            Self::Login => "needs a login",
            Self::Dialog => "a dialog is open",
            Self::Permission => "waits for permission",
            Self::Question => "asks a question",
            Self::UsageLimit => "usage limit reached",
            Self::Error => "the turn ended in an error",
            Self::ContextFull => "context is full",
            Self::Frozen => "frozen",
            Self::NoProgress => "no progress since its task",
        }
    }
}

/// A reason why an agent cannot go on by itself, with the line that shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    pub kind: StuckKind,
    pub line: String,
    pub source: Source,
    pub since: Option<Duration>,
    /// How long ago it was last seen to hold.
    pub confirmed: Duration,
    /// A limit's reset.
    pub until: Option<Wall>,
}

/// The runtime's last answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    pub age: Duration,
    pub interval: Duration,
    pub pid: Option<u32>,
    pub status: Option<heartbeat::Status>,
    pub source: Source,
    /// The file's time lies in the reader's future.
    pub clock_skew: bool,
}

/// What a host-wide sidecar knows of its host besides the sessions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostPlanes {
    pub roster: RosterPlane,
    pub systemd: SystemdPlane,
    pub sockets: Vec<SocketPlane>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RosterPlane {
    pub path: String,
    /// Why it cannot be read; the last good agents stay below.
    pub error: Option<String>,
    pub agents: Vec<RosterEntry>,
}

/// What the register needs of a roster's agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterEntry {
    pub name: AgentName,
    pub runtime: RuntimeName,
    pub class: String,
    pub alias: Option<String>,
    pub model_hint: Option<String>,
    pub socket: SocketName,
    pub account: Option<String>,
    pub runs_a_shell: bool,
    /// What its files on the host have otherwise.
    pub deviations: Vec<Deviation>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SystemdPlane {
    /// Why systemd's columns are unknown.
    pub unavailable: Option<String>,
    pub units: Vec<UnitState>,
}

/// systemd's own words for `mosaic-agent@<agent>.service`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitState {
    pub agent: String,
    pub active: String,
    pub enabled: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketPlane {
    pub socket: SocketName,
    pub holder: String,
    pub state: SocketState,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketState {
    Up,
    /// No server runs there.
    Down,
    Unreachable {
        why: String,
    },
}
