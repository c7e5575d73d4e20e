//! How agents are shown: the same values as a table, as plain columns, as JSON.
//!
//! ```text
//! AgentView ─► columns (one cell a column) ─► grid (widths, alignment) ─► table: terminal or pipe
//!          └─► item (serde) ─► JSON
//! ```
//! Every text passes [`words::safe`] on its way out.

pub mod budget;
pub mod checked;
pub mod columns;
pub mod explain;
pub mod funds;
pub mod grid;
pub mod item;
pub mod order;
pub mod priced;
pub mod sheet;
pub mod spark;
pub mod spent;
pub mod summary;
pub mod table;
pub mod verdict;
pub mod windows;
pub mod words;
pub mod yaml;

#[cfg(test)]
pub mod samples;

use std::sync::Arc;

use fleet_domain::Wall;
use fleet_domain::fleet::AgentView;
use fleet_domain::usage::Tokens;
use funds::Funds;
use jiff::tz::TimeZone;

/// Stands where nobody can tell since when an agent is in its state: it was looked at once, and nothing it shows has a
/// time of its own.
pub const UNTOLD: Wall = Wall(i64::MAX);

/// The moment and place from which agents are looked at.
#[derive(Debug, Clone)]
pub struct Scene {
    pub now: Wall,
    pub zone: TimeZone,
    /// Nobody kept a history: tokens are unknown.
    pub direct: bool,
    pub colour: bool,
    /// Asked for only where something of it is shown.
    pub funds: Arc<Funds>,
}

impl Scene {
    /// Since when the agent is in its state; `None` where that is not known.
    pub fn since(&self, agent: &AgentView) -> Option<Wall> {
        (agent.since != UNTOLD).then_some(agent.since)
    }

    pub fn tokens<'a>(&self, agent: &'a AgentView) -> Option<&'a Tokens> {
        (!self.direct).then_some(&agent.tokens_today)
    }

    /// A time for people: of today the clock's, else with the date.
    pub fn time(&self, at: Wall) -> String {
        let zoned =
            |at: Wall| Some(jiff::Timestamp::from_millisecond(at.0).ok()?.to_zoned(self.zone.clone()));
        let Some((then, now)) = zoned(at).zip(zoned(self.now)) else { return at.to_rfc3339() };
        let format = if then.date() == now.date() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
        then.strftime(format).to_string()
    }
}

/// True for what is an agent at all: in the roster, or a runtime was seen in it. Other sessions are listed last.
pub fn is_agent(agent: &AgentView) -> bool {
    agent.managed || agent.runtime.is_some()
}
