//! One session's screen: when to look at it, and what it said.
//!
//! A look costs tmux something, so it is spent only where it can tell more than the runtime itself does, and only after
//! something was drawn: a screen on which nothing was drawn says what it said.

use std::time::{Duration, Instant};

use fleet_adapters::look;
use fleet_adapters::screens::{Grid, Rules, Sight};
use fleet_domain::fusion::Steady;
use fleet_domain::observation::{Evidence, Native, NativeState};
use fleet_domain::{Mono, Wall};

/// tmux tells to the second when a pane was last drawn into.
const GRAIN: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Watch {
    sight: Steady<Sight>,
    /// When the last look was, and when tmux had last seen something drawn by then, in seconds since the epoch.
    looked: Option<(Instant, Option<i64>)>,
    /// It was looked at, or known to be as it was then.
    confirmed: Option<Instant>,
    /// Nobody knows how this runtime draws.
    without_rules: bool,
    origin: Option<Instant>,
}

impl Watch {
    /// Whether a look can tell something. `native` is what the runtime itself says, `drawn` tmux's time of the last
    /// drawing.
    pub(super) fn wants_look(&self, native: Option<NativeState>, drawn: Option<i64>, now: Instant) -> bool {
        // A runtime that says it is busy would say so too if it waited.
        if self.without_rules || matches!(native, Some(NativeState::Busy | NativeState::Background)) {
            return false;
        }
        let Some((at, then)) = self.looked else { return true };
        self.sight.wants_another() || drawn != then || now.duration_since(at) < GRAIN
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
        drawn: Option<i64>,
        now: Instant,
    ) -> bool {
        let sight = rules.judge(&Grid::parse(capture), title);
        let at = self.mono(now);
        self.looked = Some((now, drawn));
        self.confirmed = Some(now);
        self.sight.look(sight, at, Sight::agrees)
    }

    /// Nothing was drawn since the last look, as tmux just said.
    pub(super) fn still(&mut self, drawn: Option<i64>, now: Instant) {
        if self.looked.is_some_and(|(_, then)| then == drawn) {
            self.confirmed = Some(now);
        }
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

    pub(super) fn draft(&self) -> Option<bool> {
        self.sight.held().and_then(|(sight, _)| sight.draft)
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
