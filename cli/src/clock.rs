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
    // To find a zone by its name, the whole database of zones is walked, which takes as long as the rest of a table.
    let known = match std::env::var_os("TZ").filter(|zone| !zone.is_empty()) {
        Some(_) if std::env::var_os("TZDIR").is_some() => None,
        Some(name) => name.to_str().and_then(|name| named(Path::new(ZONES), name)),
        None => local(Path::new(LOCAL)),
    };
    known.unwrap_or_else(TimeZone::system)
}

const LOCAL: &str = "/etc/localtime";
/// Where systems have their zones, each in the file of its name.
const ZONES: &str = "/usr/share/zoneinfo";
/// A larger file is no time zone.
const MAX_ZONE: u64 = 1 << 20;

/// The zone of that very name; `None` for what says it otherwise (`:Europe/Rome`, `CET-1CEST`), and where there is none.
fn named(zones: &Path, name: &str) -> Option<TimeZone> {
    let plain =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "_+-".contains(c));
    if !name.split('/').all(plain) {
        return None;
    }
    read(&zones.join(name), name)
}

/// The zone that a file has, by the name that its link tells.
fn local(path: &Path) -> Option<TimeZone> {
    let link = std::fs::read_link(path).ok()?;
    let (_, name) = link.to_str()?.split_once("zoneinfo/")?;
    read(path, name)
}

fn read(path: &Path, name: &str) -> Option<TimeZone> {
    if std::fs::metadata(path).ok()?.len() > MAX_ZONE {
        return None;
    }
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
    fn a_named_zone_is_read_from_its_file_and_what_is_no_name_is_left_to_others() {
        let zones = Path::new(ZONES);
        for no_name in ["", "/etc/passwd", "../zoneinfo/UTC", "a//b", ":UTC", "CET-1CEST,M3.5.0", "No/Such"] {
            assert!(named(zones, no_name).is_none(), "{no_name}");
        }
        let Some(rome) = named(zones, "Europe/Rome") else { return };
        let now = jiff::Timestamp::from_second(1_780_000_000).unwrap();
        let known = TimeZone::get("Europe/Rome").unwrap();
        assert_eq!((rome.to_offset(now), rome.iana_name()), (known.to_offset(now), known.iana_name()));
    }

    #[test]
    fn a_day_begins_at_the_readers_midnight() {
        let now = Wall::parse_rfc3339("2026-11-21T00:30:00Z").unwrap();
        assert_eq!(day_start(now, &TimeZone::UTC).to_rfc3339(), "2026-11-21T00:00:00Z");
        let west = TimeZone::fixed(jiff::tz::offset(-5));
        assert_eq!(day_start(now, &west).to_rfc3339(), "2026-11-20T05:00:00Z");
    }
}
