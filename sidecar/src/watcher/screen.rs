//! One session's screen: when to look at it, and what it said.
//!
//! A look costs tmux something, so it is spent only where it can tell more than the runtime itself does, and only after
//! something was drawn: a screen on which nothing was drawn says what it said.

use std::time::{Duration, Instant};

use fleet_adapters::look;
use fleet_adapters::screens::{Grid, Known, Rules, Shows, Sight};
use fleet_domain::fusion::Steady;
use fleet_domain::observation::{Evidence, Native};
use fleet_domain::{Mono, Wall};

/// How often a runtime is looked at that says it is busy and whose transcript does not move.
const SELDOM: Duration = Duration::from_secs(15);

/// A runtime that says that it is busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Busy {
    /// And its transcript shows it.
    Moving,
    /// For a while now nothing came of it.
    Silent,
}

#[derive(Default)]
pub(super) struct Watch {
    sight: Steady<Sight>,
    /// When the last look was.
    looked: Option<Wall>,
    /// It was looked at, or known to be as it was then.
    confirmed: Option<Instant>,
    /// Nobody knows how this runtime draws.
    without_rules: bool,
    origin: Option<Instant>,
    /// What its rows were found to say.
    known: Known,
}

impl Watch {
    /// Whether a look can tell something. `says_busy` is that the runtime itself does, `drawn` tmux's time of the last
    /// drawing.
    pub(super) fn wants_look(&self, says_busy: Option<Busy>, drawn: Option<i64>) -> bool {
        if self.without_rules {
            return false;
        }
        match says_busy {
            // A runtime that says it is busy would say so too if it waited.
            Some(Busy::Moving) => false,
            // But not that its request fails again and again.
            Some(Busy::Silent) => self.confirmed.is_none_or(|at| at.elapsed() >= SELDOM),
            None => self.sight.wants_another() || !self.is_as_looked_at(drawn),
        }
    }

    /// Nothing was drawn since the last look. tmux tells to the second when something was, so what was drawn in the
    /// second of the look may have come after it.
    fn is_as_looked_at(&self, drawn: Option<i64>) -> bool {
        self.looked.zip(drawn).is_some_and(|(looked, drawn)| drawn < looked.0.div_euclid(1000))
    }

    pub(super) fn has_no_rules(&mut self) {
        self.without_rules = true;
    }

    pub(super) fn wants_second_look(&self) -> bool {
        self.sight.wants_another()
    }

    /// Takes in a capture; true when what is held became another.
    pub(super) fn saw(
        &mut self,
        rules: &Rules,
        (title, capture): (&str, &str),
        now: Instant,
        wall: Wall,
    ) -> bool {
        let sight = rules.judge_again(&Grid::parse(capture), title, &mut self.known);
        let at = self.mono(now);
        self.looked = Some(wall);
        // What was no screen of the runtime's yet is no state that could be clung to.
        if self.sight.held().is_some_and(|(held, _)| held.shows.is_none()) {
            self.sight = Steady::default();
        }
        let changed = self.sight.look(sight, at, Sight::agrees);
        // A look that shows something else confirms nothing of what is held.
        if !self.sight.wants_another() {
            self.confirmed = Some(now);
        }
        changed
    }

    /// tmux just said when something was last drawn: before the last look, all is as it was then.
    pub(super) fn still(&mut self, drawn: Option<i64>, now: Instant) {
        if self.is_as_looked_at(drawn) && !self.sight.wants_another() {
            self.confirmed = Some(now);
        }
    }

    /// Not looked at any more for now: of its rows nothing is kept.
    pub(super) fn rest(&mut self) {
        self.known = Known::default();
    }

    /// Another program has the pane.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// The screen is one that the runtime draws.
    pub(super) fn recognised(&self) -> Option<Instant> {
        let (sight, _) = self.sight.held()?;
        sight.shows.and(self.confirmed)
    }

    /// Something was in the way when it was last looked at.
    pub(super) fn shows_a_block(&self) -> bool {
        self.sight.held().is_some_and(|(sight, _)| matches!(sight.shows, Some(Shows::Stuck(_))))
    }

    /// Whether unsent text stands in its box. What changed after the last look may have taken it: then nobody knows.
    pub(super) fn draft(&self, changed: Option<Duration>, now: Instant) -> Option<bool> {
        let looked = now.duration_since(self.confirmed?);
        let (sight, _) = self.sight.held()?;
        sight.draft.filter(|_| changed.is_none_or(|changed| looked <= changed))
    }

    /// Whose turn it is, or what is in the way.
    pub(super) fn says(&self, now: Instant, wall: Wall) -> (Option<Native>, Option<Evidence>) {
        let (Some((sight, since)), Some(confirmed), Some(origin)) =
            (self.sight.held(), self.confirmed, self.origin)
        else {
            return (None, None);
        };
        let since = since.age_at(mono(origin, now));
        look::seen(sight, since, now.duration_since(confirmed), wall)
    }

    fn mono(&mut self, now: Instant) -> Mono {
        mono(*self.origin.get_or_insert(now), now)
    }
}

fn mono(origin: Instant, now: Instant) -> Mono {
    Mono(i64::try_from(now.duration_since(origin).as_millis()).unwrap_or(i64::MAX))
}
