//! What was told already, so that a collector that was restarted tells the rest and nothing twice.

use std::time::Duration;

use fleet_domain::Wall;

use crate::client::Happened;

/// What several hosts tell does not come in the order of its times, but hardly later than that.
const LATE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Past {
    /// Before it nothing is wanted.
    from: Option<Wall>,
    newest: Wall,
    /// The events of the last minute.
    recent: Vec<Happened>,
}

impl Past {
    pub(super) fn new(now: Wall) -> Self {
        Self { from: None, newest: now, recent: Vec::new() }
    }

    /// False for what was told before.
    pub(super) fn takes(&mut self, event: &Happened) -> bool {
        if self.recent.contains(event) {
            return false;
        }
        let at = at(event);
        self.from.get_or_insert(at);
        self.newest = self.newest.max(at);
        let oldest = self.newest.minus(LATE);
        self.recent.retain(|event| self::at(event) >= oldest);
        self.recent.push(event.clone());
        true
    }

    /// From when on the rest is asked for.
    pub(super) fn end(&mut self) -> Wall {
        let from = *self.from.get_or_insert(self.newest);
        self.newest.minus(LATE).max(from)
    }
}

fn at(event: &Happened) -> Wall {
    match event {
        Happened::Moved(event) => event.at,
        Happened::MassDeath(death) => death.at,
    }
}

#[cfg(test)]
mod tests {
    use fleet_domain::readiness::State;

    use super::*;
    use crate::client::EventView;
    use crate::render::samples;

    fn moved(name: &str, ms: i64) -> Happened {
        Happened::Moved(EventView {
            key: samples::agent(name, State::Stuck, 1).key,
            at: Wall(ms),
            from: None,
            to: State::Dead,
            kind: None,
            reason: String::new(),
            evidence: None,
        })
    }

    #[test]
    fn what_was_told_is_not_told_again_and_what_came_late_is() {
        let mut past = Past::new(Wall(0));
        assert!(past.takes(&moved("a", 100_000)) && past.takes(&moved("b", 200_000)));
        assert_eq!(past.end(), Wall(140_000));
        assert!(!past.takes(&moved("b", 200_000)));
        assert!(past.takes(&moved("a", 199_000)), "another host told it late");
        assert!(past.takes(&moved("b", 200_001)));
    }

    #[test]
    fn nothing_from_before_the_first_is_asked_for() {
        let mut past = Past::new(Wall(100_000));
        assert_eq!(past.end(), Wall(100_000), "nothing was told yet");
        let mut past = Past::new(Wall(100_000));
        past.takes(&moved("a", 99_000));
        assert_eq!(past.end(), Wall(99_000));
    }
}
