//! What is asked of the budget, and its answers: typed, with the figures that decided.

use std::fmt;

use crate::time::Wall;

use super::amount::Used;
use crate::limits::Provenance;

/// How much haste. It is never more than what was authorized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Urgency {
    #[default]
    Normal,
    High,
}

/// May this task start now?
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ask {
    pub tenant: String,
    /// The session's name; empty where nobody has been chosen yet.
    pub agent: String,
    pub class: String,
    /// Empty: the dearest that the ladder knows.
    pub model: String,
    /// The account that is wanted; another one is then a reroute.
    pub account: Option<String>,
    /// Tokens.
    pub estimate: Option<u64>,
    pub urgency: Urgency,
    pub mission: String,
    /// The task's name, the asker's own; empty: one is made. Asking again with the same name is the same task.
    pub task: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decision {
    Admit,
    /// On a cheaper model.
    Downgrade,
    /// On another account.
    Reroute,
    /// Ask again then.
    Queue,
    Refuse,
}

impl Decision {
    pub const ALL: [Self; 5] = [Self::Admit, Self::Downgrade, Self::Reroute, Self::Queue, Self::Refuse];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admit => "admit",
            Self::Downgrade => "downgrade",
            Self::Reroute => "reroute",
            Self::Queue => "queue",
            Self::Refuse => "refuse",
        }
    }

    /// The task may start.
    pub fn admits(self) -> bool {
        matches!(self, Self::Admit | Self::Downgrade | Self::Reroute)
    }
}

/// Why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// There is room.
    Fits,
    /// Faster than even, within what was authorized.
    Authorized,
    /// There is no budget for it: nothing was configured.
    NoBudget,
    /// The pause switch is on.
    Paused,
    /// The provider lets nothing through until the reset.
    LimitHit,
    /// The window has not as much left.
    WindowFull,
    /// A hard ceiling has not as much left.
    Ceiling,
    Concurrency,
    /// The window is spent faster than evenly.
    AheadOfPace,
    /// It needs more than any window or ceiling can ever hold.
    TooLarge,
    /// A ceiling in dollars, and no price is known.
    PriceUnknown,
    /// No account serves it.
    NoAccount,
}

impl Reason {
    pub const ALL: [Self; 12] = [
        Self::Fits,
        Self::Authorized,
        Self::NoBudget,
        Self::Paused,
        Self::LimitHit,
        Self::WindowFull,
        Self::Ceiling,
        Self::Concurrency,
        Self::AheadOfPace,
        Self::TooLarge,
        Self::PriceUnknown,
        Self::NoAccount,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fits => "fits",
            Self::Authorized => "authorized",
            Self::NoBudget => "no_budget",
            Self::Paused => "paused",
            Self::LimitHit => "limit_hit",
            Self::WindowFull => "window_full",
            Self::Ceiling => "ceiling",
            Self::Concurrency => "concurrency",
            Self::AheadOfPace => "ahead_of_pace",
            Self::TooLarge => "too_large",
            Self::PriceUnknown => "price_unknown",
            Self::NoAccount => "no_account",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == word)
    }
}

/// Where a task's estimate comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    Given,
    Learned,
    Default,
}

impl Basis {
    pub const ALL: [Self; 3] = [Self::Given, Self::Learned, Self::Default];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Learned => "learned",
            Self::Default => "default",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == word)
    }
}

/// Tokens that a task is taken to need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// The middle of what is expected.
    pub projected: u64,
    /// What is held for it: of a learned estimate the 90th percentile.
    pub reserved: u64,
    pub basis: Basis,
}

/// One figure that decided: of `what`, so much is used and held, so much is needed, and so much is allowed.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    pub what: String,
    pub unit: &'static str,
    pub used: f64,
    pub held: f64,
    pub needed: f64,
    pub limit: f64,
    pub by: Provenance,
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, unit, used, held, needed, limit, .. } = self;
        let show = |value: f64| match *unit {
            "share" => format!("{:.1} %", value * 100.0),
            "usd" => format!("${value:.2}"),
            unit => format!("{value:.0} {unit}"),
        };
        let [used, held, needed, limit] = [*used, *held, *needed, *limit].map(show);
        write!(f, "{what}: {used} used, {held} held, {needed} needed, {limit} allowed")
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    pub decision: Decision,
    pub reason: Reason,
    pub model: String,
    pub account: Option<String>,
    pub estimate: Estimate,
    /// Of a queued task: when to ask again, where that can be told.
    pub until: Option<Wall>,
    /// The tightest first.
    pub figures: Vec<Figure>,
    /// Pace would hold it back, and the budget does not enforce it.
    pub advice: Option<Reason>,
    /// The task's name, where it was given a place.
    pub task: Option<String>,
    /// When an unused place is given back.
    pub expires: Option<Wall>,
}

/// What cannot be answered, because it makes no sense here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    #[error("no account is called `{name}`{}", near(.nearest.as_deref()))]
    Account { name: String, nearest: Option<String> },
    #[error("account `{account}` has no window `{name}`; it has {}", list(.known))]
    Window { account: String, name: String, known: Vec<String> },
    #[error("no account, ladder or price knows a model `{name}`{}", near(.nearest.as_deref()))]
    Model { name: String, nearest: Option<String> },
    #[error("no task is called `{name}`")]
    Task { name: String },
    #[error("task `{name}` has {state} already")]
    Over { name: String, state: &'static str },
    #[error("paused: task `{name}` keeps its place until its time is out, and does not start")]
    Paused { name: String },
    #[error("{0}")]
    Senseless(String),
    #[error("{0} tasks are held already; end some, or wait until they expire")]
    TooMany(usize),
}

fn near(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("; is it `{name}`?")).unwrap_or_default()
}

fn list(known: &[String]) -> String {
    if known.is_empty() { "none".to_owned() } else { known.join(", ") }
}

/// Where a task is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// A place is held for it.
    Admitted,
    Started,
    Ended,
    /// It never started.
    Expired,
    /// It started, and nobody ended it.
    TimedOut,
}

impl Stage {
    pub const ALL: [Self; 5] = [Self::Admitted, Self::Started, Self::Ended, Self::Expired, Self::TimedOut];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Started => "started",
            Self::Ended => "ended",
            Self::Expired => "expired",
            Self::TimedOut => "timed_out",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == word)
    }

    /// Something is held for it.
    pub fn holds(self) -> bool {
        matches!(self, Self::Admitted | Self::Started)
    }
}

/// A task in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    pub name: String,
    pub tenant: String,
    pub agent: String,
    pub class: String,
    pub mission: String,
    pub model: String,
    pub account: Option<String>,
    pub stage: Stage,
    pub estimate: Estimate,
    /// What is held for it, in pico-dollars beside the tokens; 0 where no price is known.
    pub price: u64,
    pub actual: Used,
    pub admitted: Wall,
    pub started: Option<Wall>,
    pub ended: Option<Wall>,
}

impl Task {
    /// What is held and not spent yet.
    pub fn held(&self) -> Used {
        if !self.stage.holds() {
            return Used::default();
        }
        let mut held = Used { tokens: self.estimate.reserved, dollars: crate::price::Money(self.price) };
        held.subtract(self.actual);
        held
    }
}

/// More speed than even, by somebody's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    pub account: String,
    /// Tokens.
    pub tokens: u64,
    pub drawn: u64,
    pub until: Wall,
    pub by: String,
    pub at: Wall,
}

impl Authorization {
    pub fn left(&self, now: Wall) -> u64 {
        if now < self.until { self.tokens.saturating_sub(self.drawn) } else { 0 }
    }
}
