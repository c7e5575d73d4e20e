//! The edge to the clocks: the only place that reads them. Monotonic time goes on while the machine sleeps, so that
//! what was heard before a suspend is old after it.

use std::sync::Arc;

use fleet_domain::{Mono, Now, Wall};
use jiff::tz::TimeZone;
use nix::time::{ClockId, clock_gettime};

/// Both clocks at once; tests give their own.
pub type Clock = Arc<dyn Fn() -> Now + Send + Sync>;

pub fn system() -> Clock {
    Arc::new(|| Now {
        mono: Mono(millis(ClockId::CLOCK_BOOTTIME)),
        wall: Wall(millis(ClockId::CLOCK_REALTIME)),
    })
}

fn millis(clock: ClockId) -> i64 {
    clock_gettime(clock).map_or(0, |at| at.tv_sec() * 1000 + at.tv_nsec() / 1_000_000)
}

/// The collector's own day, worked out once a day.
#[derive(Debug)]
pub struct LocalDay {
    zone: TimeZone,
    start: Wall,
    end: Wall,
}

impl LocalDay {
    pub fn new(zone: TimeZone) -> Self {
        Self { zone, start: Wall(0), end: Wall(0) }
    }

    /// Midnight before `now`.
    pub fn start(&mut self, now: Wall) -> Wall {
        if now < self.start || now >= self.end {
            (self.start, self.end) = self.around(now).unwrap_or((now, now));
        }
        self.start
    }

    fn around(&self, now: Wall) -> Result<(Wall, Wall), jiff::Error> {
        let today = jiff::Timestamp::from_millisecond(now.0)?.to_zoned(self.zone.clone()).start_of_day()?;
        let tomorrow = today.tomorrow()?.start_of_day()?;
        let wall = |at: &jiff::Zoned| Wall(at.timestamp().as_millisecond());
        Ok((wall(&today), wall(&tomorrow)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_begins_at_the_collectors_midnight_and_changes_there() {
        let mut day = LocalDay::new(TimeZone::fixed(jiff::tz::offset(-5)));
        let at = |text| Wall::parse_rfc3339(text).unwrap();
        assert_eq!(day.start(at("2026-11-21T00:30:00Z")).to_rfc3339(), "2026-11-20T05:00:00Z");
        assert_eq!(day.start(at("2026-11-21T04:59:59Z")).to_rfc3339(), "2026-11-20T05:00:00Z");
        assert_eq!(day.start(at("2026-11-21T05:00:00Z")).to_rfc3339(), "2026-11-21T05:00:00Z");
        assert_eq!(day.start(Wall(i64::MAX)), Wall(i64::MAX));
    }

    #[test]
    fn both_clocks_run() {
        let clock = system();
        let (a, b) = (clock(), clock());
        assert!(b.mono >= a.mono && a.mono > Mono(0) && a.wall > Wall(1_600_000_000_000));
    }
}
