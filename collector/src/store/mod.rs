//! What must survive: the usage ledger, cursors, transitions, windows of accounts, the budget's tasks and log.
//!
//! [`Store`] is what a database has to do, `sqlite` does it in a file, `conformance` checks whoever does it. The
//! [`actor`] owns the one connection on a thread of its own, groups what waits into transactions and holds
//! acknowledgements while nothing can be stored. What a record is worth is the domain's business ([`fleet_domain::usage`]).

pub mod actor;
pub mod handle;
pub mod sqlite;

#[cfg(test)]
pub(crate) mod conformance;
#[cfg(test)]
mod conservation;
#[cfg(test)]
pub(crate) mod flaky;
#[cfg(test)]
mod telemetry_laws;

use std::path::PathBuf;
use std::time::Duration;

use fleet_domain::budget::amount::Used;
use fleet_domain::fleet::{Happening, MassDeath, Restored};
use fleet_domain::limits::Reading;
use fleet_domain::price::Table;
use fleet_domain::report::{Question, Report};
use fleet_domain::usage::{Change, Record};
use fleet_domain::{AgentKey, HostId, TenantId, Wall};
use fleet_proto::convert::UsageBatch;

/// How long transitions are kept. An agent's latest stays for ever: it says since when the agent is what it is.
pub const KEEP_TRANSITIONS: Duration = Duration::from_secs(90 * 24 * 3600);
/// How far back a restart knows usage by quarters of an hour; a little more than the longest day.
pub const KEEP_RECENT: Duration = Duration::from_secs(30 * 3600);
/// How long a window is kept that nobody tells of any more.
pub const KEEP_WINDOWS: Duration = Duration::from_secs(90 * 24 * 3600);
/// How long what telemetry told may wait for its transcript, and the other way.
pub const KEEP_JOINS: Duration = Duration::from_secs(30 * 24 * 3600);
/// So many agents are restored at most, those of the latest activity.
pub const MAX_RESTORED: u32 = 10_000;
/// So many of the budget's rows are restored at most, tasks last and of them the latest.
pub const MAX_TASKS: u32 = 30_000;

/// A place that keeps what it was given. It is called from one thread, and blocks.
pub trait Store: Send {
    /// For people: what and where it is.
    fn describe(&self) -> String;

    /// What is booked from now on is priced by this table.
    fn price_by(&mut self, table: Table);

    /// All of it or nothing, durable on return. Answers what each write changed, in order.
    fn commit(&mut self, writes: &[Write]) -> Result<Vec<Vec<Booked>>, StoreError>;

    /// Where a source was read up to; `None` where it never was.
    fn cursor(&mut self, source: &SourceKey) -> Result<Option<Vec<u8>>, StoreError>;

    /// What the register must know after a start at `now`.
    fn load(&mut self, now: Wall) -> Result<Loaded, StoreError>;

    /// Transitions in order, at most `limit`, each after `after`.
    fn transitions(&mut self, past: &Past, after: u64, limit: u32) -> Result<Vec<Numbered>, StoreError>;

    /// The number below which transitions must be skipped so that at most `count` remain.
    fn skip_to_latest(&mut self, past: &Past, count: u32) -> Result<u64, StoreError>;

    /// Usage summed at the table's prices, over at most `limit` records after `after`.
    fn summed(
        &mut self,
        question: &Question,
        table: &Table,
        after: &Place,
        limit: u32,
    ) -> Result<Summed, StoreError>;

    /// What was spent since then, by agent, model and five minutes, at the table's prices.
    fn spent(&mut self, since: Wall, table: &Table) -> Result<Vec<Spent>, StoreError>;

    /// What was changed of the budget, and decided unless only changes are wanted; the latest first.
    fn budget_log(&mut self, since: Wall, changes: bool, limit: u32) -> Result<Vec<LogEntry>, StoreError>;

    /// Lets go of what is past its time; answers how many rows.
    fn prune(&mut self, now: Wall) -> Result<usize, StoreError>;
}

/// A source of usage on its host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceKey {
    pub tenant: TenantId,
    pub host: HostId,
    pub source: String,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    Usage(UsageWrite),
    Happened(Numbered),
    Window(WindowWrite),
    Budget(BudgetWrite),
    Auxiliary(AuxiliaryWrite),
}

/// Usage as telemetry told it.
#[derive(Debug, Clone, PartialEq)]
pub struct AuxiliaryWrite {
    pub tenant: TenantId,
    pub host: HostId,
    pub received: Wall,
    pub told: Vec<Auxiliary>,
}

/// One response by telemetry; its record's id is none that a transcript has.
#[derive(Debug, Clone, PartialEq)]
pub struct Auxiliary {
    pub runtime: String,
    /// Who pays, where the conversation is not known yet.
    pub account: String,
    pub join: Join,
    pub record: Record,
}

/// What a transcript that holds the same response would show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Join {
    /// The provider's identity of the request.
    Request(String),
    /// Any response of the conversation: its transcript misses none.
    Conversation(String),
}

/// Records and the position after them.
#[derive(Debug, Clone, PartialEq)]
pub struct UsageWrite {
    pub tenant: TenantId,
    pub host: HostId,
    pub received: Wall,
    pub batch: UsageBatch,
}

impl UsageWrite {
    /// Who pays, unless a record is known already as somebody else's.
    pub fn reader(&self) -> AgentKey {
        AgentKey::new(self.tenant.clone(), self.host.clone(), self.batch.socket.clone(), &self.batch.session)
    }

    pub fn source(&self) -> SourceKey {
        SourceKey { tenant: self.tenant.clone(), host: self.host.clone(), source: self.batch.source.clone() }
    }
}

/// The newest sighting of a tenant's window.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowWrite {
    pub tenant: TenantId,
    pub reading: Reading,
}

/// What is kept of the budget.
#[derive(Debug, Clone, PartialEq)]
pub enum BudgetWrite {
    Put(BudgetRow),
    Drop(RowKind, String),
    Log(LogEntry),
}

/// A value as the wire writes it.
#[derive(Debug, Clone, PartialEq)]
pub struct BudgetRow {
    pub kind: RowKind,
    pub key: String,
    pub at: Wall,
    pub body: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowKind {
    Task,
    Setting,
    Authorization,
    /// What was learned of a window: the amount that makes it full.
    Capacity,
    /// The text of the last good budget.
    File,
}

impl RowKind {
    pub const ALL: [Self; 5] = [Self::Task, Self::Setting, Self::Authorization, Self::Capacity, Self::File];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Setting => "setting",
            Self::Authorization => "authorization",
            Self::Capacity => "capacity",
            Self::File => "file",
        }
    }

    /// `None` for a kind of a later version, which is left alone.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// Who did what to the budget, or what it decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    pub at: Wall,
    pub who: String,
    pub what: String,
    pub decision: bool,
    pub subject: String,
    pub detail: String,
}

/// What one agent spent on one model in one stretch of five minutes.
#[derive(Debug, Clone, PartialEq)]
pub struct Spent {
    pub agent: AgentKey,
    /// As the sidecar told it; empty where it did not.
    pub account: String,
    pub runtime: String,
    pub model: String,
    pub at: Wall,
    pub used: Used,
}

/// What happened, with its place in the order of all.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbered {
    pub seq: u64,
    pub what: Happening,
}

/// What responses cost by the prices of the time at which they were booked; also a difference of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bill {
    /// In 10⁻¹² US dollars.
    pub pico_usd: i128,
    /// Responses whose cost is not known, and which are not in it.
    pub unpriced: i64,
}

impl Bill {
    pub fn add(&mut self, other: &Self) {
        self.pico_usd = self.pico_usd.saturating_add(other.pico_usd);
        self.unpriced = self.unpriced.saturating_add(other.unpriced);
    }
}

/// What a record changed, and whose totals: the agent that brought it first, whoever brought it again.
#[derive(Debug, Clone, PartialEq)]
pub struct Booked {
    pub owner: AgentKey,
    pub change: Change,
    /// By model.
    pub spent: Vec<(String, Bill)>,
}

#[derive(Debug, Default)]
pub struct Loaded {
    pub agents: Vec<Restored>,
    /// Of the last transition.
    pub last_seq: u64,
    pub windows: Vec<WindowWrite>,
    /// Of each agent, by model.
    pub spent: Vec<(AgentKey, String, Bill)>,
    pub budget: Vec<BudgetRow>,
}

/// A place in the ledger's order; the default is before its beginning.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    pub tenant: String,
    pub id: String,
}

/// Sums of one stretch of the ledger, and where to go on; `None` at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summed {
    pub report: Report,
    pub next: Option<Place>,
}

/// Which transitions.
#[derive(Debug, Clone)]
pub struct Past {
    pub since: Wall,
    /// Inclusive.
    pub up_to: u64,
    pub whose: Option<Whose>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    Agent(AgentKey),
    /// Of any host and socket: an agent that nobody reports any more.
    Session(String),
}

impl Whose {
    pub fn covers(&self, what: &Happening) -> bool {
        match (self, what) {
            (Self::Agent(agent), Happening::Transition(transition)) => *agent == transition.key,
            (Self::Session(session), Happening::Transition(transition)) => *session == transition.key.session,
            (Self::Agent(agent), Happening::MassDeath(MassDeath { tenant, host, end, .. })) => {
                agent.tenant == *tenant && agent.host == *host && end.agents.contains(&agent.session)
            }
            (Self::Session(session), Happening::MassDeath(death)) => death.end.agents.contains(session),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the store {path} is open in another collector{}; stop that one, or give this one another --store", pid_phrase(*.pid))]
    Locked { path: PathBuf, pid: Option<i32> },
    #[error(
        "the store {path} was written by a later version (its layout is {found}, this program knows up to {known}); install that version, or give another --store"
    )]
    Newer { path: PathBuf, found: i64, known: i64 },
    #[error("{path} is a database, but not a register of Mosaic Fleet; give another --store")]
    Foreign { path: PathBuf },
    #[error(
        "the store {path} is damaged ({why}); it was left as it is. Restore a copy of it, or move it away: the usage is then read anew from the transcripts"
    )]
    Damaged { path: PathBuf, why: String },
    #[error("cannot {what} {path}")]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot {what} in the store {path}")]
    Failed {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
}

fn pid_phrase(pid: Option<i32>) -> String {
    pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
}
