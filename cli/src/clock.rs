//! The edge to the clocks: both read together, and the reader's own day.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use fleet_domain::{Mono, Now, Wall};
use jiff::tz::TimeZone;

pub fn now() -> Now {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = START.get_or_init(Instant::now);
    let mono = i64::try_from(start.elapsed().as_millis()).unwrap_or(i64::MAX);
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let wall = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
    Now { mono: Mono(mono), wall: Wall(wall) }
}

pub fn zone() -> TimeZone {
    TimeZone::system()
}

/// When the day began in which `now` lies, in that time zone.
pub fn day_start(now: Wall, zone: &TimeZone) -> Wall {
    jiff::Timestamp::from_millisecond(now.0)
        .and_then(|at| at.to_zoned(zone.clone()).start_of_day())
        .map_or(now, |start| Wall(start.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_the_readers_midnight() {
        let now = Wall::parse_rfc3339("2026-11-21T00:30:00Z").unwrap();
        assert_eq!(day_start(now, &TimeZone::UTC).to_rfc3339(), "2026-11-21T00:00:00Z");
        let west = TimeZone::fixed(jiff::tz::offset(-5));
        assert_eq!(day_start(now, &west).to_rfc3339(), "2026-11-20T05:00:00Z");
    }
}
