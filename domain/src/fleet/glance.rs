//! A session of the register before it is looked at closely: enough to tell whether what was made of its row before is
//! still right, and what of it is another at every moment.

use std::borrow::Cow;
use std::time::Duration;

use crate::ids::AgentKey;
use crate::readiness::Thresholds;
use crate::time::{Now, Wall};

use super::Host;
use super::entry::Entry;
use super::row::{self, Row};
use super::view::BeatView;

/// One of the register's sessions at one moment.
#[derive(Debug)]
pub struct Glance<'a> {
    pub(super) key: &'a AgentKey,
    pub(super) entry: &'a Entry,
    pub(super) host: Option<&'a Host>,
    pub(super) name: Cow<'a, str>,
    pub(super) thresholds: &'a Thresholds,
    pub(super) now: Now,
    pub(super) day_start: Wall,
}

/// Rows of one register that have the same mark differ in their ages alone: how long the pane has been idle, and the
/// heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mark {
    generation: u64,
    collides: bool,
    day_start: i64,
    clocks: i64,
}

/// Steps of this width, in milliseconds, between the two clocks count as one.
const CLOCKS_APART: i64 = 10_000;

impl<'a> Glance<'a> {
    /// `None` where time alone may have changed more than ages since the last event.
    pub fn mark(&self) -> Option<Mark> {
        let judged = self.entry.judged.as_ref().filter(|_| self.entry.standing.is_some())?;
        judged.holds_at(self.now.mono).then(|| Mark {
            generation: self.entry.generation,
            collides: matches!(self.name, Cow::Owned(_)),
            day_start: self.day_start.0,
            clocks: self.now.wall.0.wrapping_sub(self.now.mono.0).div_euclid(CLOCKS_APART),
        })
    }

    pub fn idle(&self) -> Option<Duration> {
        row::idle(self.entry.best()?, self.now)
    }

    pub fn heartbeat(&self) -> BeatView {
        row::beat(self.entry.best(), self.now)
    }

    pub fn row(self) -> Row<'a> {
        row::of(self)
    }
}
