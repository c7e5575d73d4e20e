//! The columns of `fleet ps`: what each is called, what it shows of an agent, and what it is sorted by.

use std::borrow::Cow;

use anstyle::{AnsiColor, Style};
use fleet_domain::drift::Kind;
use fleet_domain::fleet::{AgentView, Link as Watched};
use fleet_domain::readiness::State as Readiness;

use super::grid::{Align, Cell, Fit};
use super::words::{NONE, age, count, or_none, safe};
use super::{Scene, budget};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    Agent,
    State,
    Since,
    Runtime,
    Class,
    Tokens,
    Cost,
    Hb,
    Idle,
    Unit,
    Flags,
    Why,
    Host,
    Tenant,
    Socket,
    Pid,
    Model,
    Conversation,
    Title,
    Alias,
    Account,
    Pace,
    Room,
    Command,
    Link,
}

use Column::*;

impl Column {
    pub const ALL: [Self; 25] = [
        Agent,
        State,
        Since,
        Runtime,
        Class,
        Tokens,
        Cost,
        Hb,
        Idle,
        Unit,
        Flags,
        Why,
        Host,
        Tenant,
        Socket,
        Pid,
        Model,
        Conversation,
        Title,
        Alias,
        Account,
        Pace,
        Room,
        Command,
        Link,
    ];
    pub const NORMAL: [Self; 11] = [Agent, State, Since, Runtime, Class, Tokens, Hb, Idle, Unit, Flags, Why];
    pub const WIDE: [Self; 22] = [
        Agent,
        State,
        Since,
        Runtime,
        Class,
        Tokens,
        Cost,
        Hb,
        Idle,
        Unit,
        Flags,
        Account,
        Pace,
        Room,
        Host,
        Tenant,
        Socket,
        Pid,
        Model,
        Conversation,
        Title,
        Why,
    ];

    /// Shows something that the budget or the ledger knows, which is asked for apart.
    pub fn of_budget(self) -> bool {
        matches!(self, Cost | Account | Pace | Room)
    }

    pub fn name(self) -> &'static str {
        match self {
            Agent => "agent",
            State => "state",
            Since => "since",
            Runtime => "runtime",
            Class => "class",
            Tokens => "tokens",
            Cost => "cost",
            Hb => "hb",
            Idle => "idle",
            Unit => "unit",
            Flags => "flags",
            Why => "why",
            Host => "host",
            Tenant => "tenant",
            Socket => "socket",
            Pid => "pid",
            Model => "model",
            Conversation => "conversation",
            Title => "title",
            Alias => "alias",
            Account => "account",
            Pace => "pace",
            Room => "room",
            Command => "command",
            Link => "link",
        }
    }

    /// Told of every agent, however little is asked for.
    pub fn is_basic(self) -> bool {
        Self::NORMAL.contains(&self) || matches!(self, Host | Tenant | Socket | Link)
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|column| column.name().eq_ignore_ascii_case(name))
    }

    pub fn align(self) -> Align {
        match self {
            Since | Tokens | Cost | Hb | Idle | Pid | Pace | Room => Align::Right,
            _ => Align::Left,
        }
    }

    /// How the column gives way on a narrow terminal: who the agent is and how it is stays to the end.
    pub fn fit(self) -> Fit {
        match self {
            Agent => Fit::Shrinks { least: 12 },
            State => Fit::Fixed,
            Flags => Fit::Shrinks { least: 9 },
            Why => Fit::Rest { least: 30 },
            Since => Fit::Leaves(1),
            Tokens => Fit::Leaves(2),
            Hb => Fit::Leaves(3),
            Runtime => Fit::Leaves(4),
            Host => Fit::Leaves(5),
            Model => Fit::Leaves(6),
            Idle => Fit::Leaves(7),
            Class => Fit::Leaves(8),
            Unit => Fit::Leaves(9),
            Cost | Tenant | Socket | Pid | Conversation | Title | Alias | Account | Pace | Room | Command
            | Link => Fit::Leaves(10),
        }
    }

    pub fn cell<'a>(self, agent: &'a AgentView, scene: &Scene) -> Cell<'a> {
        let text = self.text(agent, scene);
        let style = match self {
            Agent => Style::new().bold(),
            State => style_of(agent.state),
            Flags if text != NONE => AnsiColor::Yellow.on_default(),
            Pace => told(scene.funds.fund(agent).and_then(|fund| fund.pace.as_ref()), budget::fast),
            Room => told(scene.funds.fund(agent).and_then(|fund| fund.room.as_ref()), |left| {
                budget::full(1.0 - left)
            }),
            _ => Style::new(),
        };
        Cell::styled(text, style)
    }

    pub fn text<'a>(self, agent: &'a AgentView, scene: &Scene) -> Cow<'a, str> {
        match self {
            Agent => safe(&agent.name),
            State => state(agent),
            Flags => flags(agent, scene),
            Since => or_dash(scene.since(agent).map(|since| age(since.age_at(scene.now)))),
            Runtime => or_none(agent.runtime.as_ref().map(|runtime| runtime.as_str())),
            Class => or_none(agent.class.as_deref()),
            Tokens => or_dash(scene.tokens(agent).map(|tokens| count(tokens.total()))),
            Cost => or_dash(scene.funds.cost(agent).map(super::spent::dollars)),
            Hb => heartbeat(agent),
            Idle => or_dash(agent.idle.map(age)),
            Unit => unit(agent),
            Why => why(agent, scene),
            Host => or_none(Some(agent.key.host.as_str())),
            Tenant => or_none(Some(agent.key.tenant.as_str())),
            Socket => or_none(Some(agent.key.socket.shown())),
            Pid => or_dash(agent.pane_pid.map(|pid| pid.to_string())),
            Model => or_none(agent.model.as_deref()),
            Conversation => or_none(agent.conversation.as_ref().map(|id| id.as_str())),
            Title => or_none(agent.pane_title.as_deref()),
            Alias => or_none(agent.alias.as_deref()),
            Account => match scene.funds.fund(agent) {
                Some(fund) => safe(&fund.account).into_owned().into(),
                None => or_none(agent.account.as_deref()),
            },
            Pace => {
                of_window(scene.funds.fund(agent).and_then(|fund| fund.pace.as_ref()), budget::shown_ratio)
            }
            Room => of_window(scene.funds.fund(agent).and_then(|fund| fund.room.as_ref()), budget::percent),
            Command => or_none(agent.pane_command.as_deref()),
            Link => agent.link.as_str().into(),
        }
    }
}

/// A figure and the window that it is of.
fn of_window(told: Option<&(f64, String)>, shown: impl Fn(f64) -> String) -> Cow<'static, str> {
    or_dash(told.map(|(figure, window)| format!("{} {}", shown(*figure), safe(window))))
}

fn told(told: Option<&(f64, String)>, style: impl Fn(f64) -> Style) -> Style {
    told.map_or(Style::new(), |(figure, _)| style(*figure))
}

fn or_dash(value: Option<String>) -> Cow<'static, str> {
    value.map_or(Cow::Borrowed(NONE), Cow::Owned)
}

/// The state's word, with the kind where it is stuck: `stuck/permission`.
pub fn state(agent: &AgentView) -> Cow<'static, str> {
    match agent.kind {
        Some(kind) => format!("{}/{}", agent.state.as_str(), kind.as_str()).into(),
        None => agent.state.as_str().into(),
    }
}

pub fn style_of(state: Readiness) -> Style {
    match state {
        Readiness::Stuck => AnsiColor::Red.on_default().bold(),
        Readiness::Dead => AnsiColor::Red.on_default(),
        Readiness::Stale => AnsiColor::Yellow.on_default(),
        Readiness::Unknown => AnsiColor::Magenta.on_default(),
        Readiness::Available => AnsiColor::Cyan.on_default(),
        Readiness::Working => AnsiColor::Green.on_default(),
    }
}

/// `<age>s/<readiness>`, or `unknown` where no heartbeat is known.
fn heartbeat(agent: &AgentView) -> Cow<'static, str> {
    match agent.heartbeat.age {
        Some(age) => (age.as_secs().to_string() + "s/" + agent.state.as_str()).into(),
        None => "unknown".into(),
    }
}

fn unit(agent: &AgentView) -> Cow<'_, str> {
    let (active, enabled) = (safe(&agent.systemd_active), safe(&agent.systemd_enabled));
    if active == enabled { active } else { [&*active, "/", &*enabled].concat().into() }
}

fn flags(agent: &AgentView, scene: &Scene) -> Cow<'static, str> {
    let mut flags: Vec<&str> = agent.drift.iter().map(|drift| drift.kind.flag()).collect();
    flags.dedup();
    if agent.draft == Some(true) {
        flags.push("DRAFT");
    }
    if agent.heartbeat.clock_skew {
        flags.push("CLOCK-SKEW");
    }
    if !scene.direct && matches!(agent.link, Watched::Lost | Watched::Stopped) {
        flags.push("UNWATCHED");
    }
    if flags.is_empty() { NONE.into() } else { flags.join(",").into() }
}

/// The reason, with the line that shows it.
pub fn why<'a>(agent: &'a AgentView, scene: &Scene) -> Cow<'a, str> {
    let decisive = agent.kind.and_then(|kind| agent.evidence.iter().find(|evidence| evidence.kind == kind));
    let reason = safe(&agent.reason);
    let until = agent.evidence.iter().filter(|evidence| Some(evidence.kind) == agent.kind);
    let until = until.filter_map(|evidence| evidence.until).max();
    let reason = match until {
        Some(until) => format!("{reason} until {}", scene.time(until)).into(),
        None => reason,
    };
    match decisive.map(|evidence| safe(&evidence.line)).filter(|line| !line.is_empty()) {
        Some(line) => format!("{reason}: {line}").into(),
        None if reason.is_empty() => NONE.into(),
        None => reason,
    }
}

/// The roster names another runtime, or another model, than what runs.
pub fn has_drift_flag(agent: &AgentView) -> bool {
    agent.drift.iter().any(|drift| drift.kind.flag() == Kind::Runtime.flag())
}
