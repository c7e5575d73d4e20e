//! The edge to the clocks: both read together, and the reader's own day.

use std::path::Path;
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

/// The reader's own time zone.
pub fn zone() -> TimeZone {
    // To find a zone by its name, the whole database of zones is walked, which takes longer than the rest of a table.
    let told = std::env::var_os("TZ").is_some_and(|zone| !zone.is_empty());
    if told { TimeZone::system() } else { local(Path::new(LOCAL)).unwrap_or_else(TimeZone::system) }
}

const LOCAL: &str = "/etc/localtime";
/// A larger file is no time zone.
const MAX_ZONE: u64 = 1 << 20;

/// The zone that a file has, by the name that its link tells.
fn local(path: &Path) -> Option<TimeZone> {
    if std::fs::metadata(path).ok()?.len() > MAX_ZONE {
        return None;
    }
    let link = std::fs::read_link(path).ok()?;
    let (_, name) = link.to_str()?.split_once("zoneinfo/")?;
    TimeZone::tzif(name, &std::fs::read(path).ok()?).ok()
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
    fn the_machines_zone_is_the_same_by_its_file_and_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("localtime");
        assert!(local(&link).is_none());
        std::fs::write(&link, "no zone").unwrap();
        assert!(local(&link).is_none());
        let Some(own) = local(Path::new(LOCAL)) else { return };
        let now = jiff::Timestamp::from_second(1_780_000_000).unwrap();
        assert_eq!(own.to_offset(now), TimeZone::system().to_offset(now));
        assert_eq!(own.iana_name(), TimeZone::system().iana_name());
    }

    #[test]
    fn a_day_begins_at_the_readers_midnight() {
        let now = Wall::parse_rfc3339("2026-11-21T00:30:00Z").unwrap();
        assert_eq!(day_start(now, &TimeZone::UTC).to_rfc3339(), "2026-11-21T00:00:00Z");
        let west = TimeZone::fixed(jiff::tz::offset(-5));
        assert_eq!(day_start(now, &west).to_rfc3339(), "2026-11-20T05:00:00Z");
    }
}
