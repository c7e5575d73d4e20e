//! When a limit resets, as screens word it: `resets 1:07pm (UTC)`, `try again at 12:24 PM`, `try again in 2 hours`.

use std::time::Duration;

use fleet_domain::Wall;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use regex_lite::Regex;
use std::sync::OnceLock;

/// A time of day, or a span, as it was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// In the zone that was named, else in the reader's own.
    At {
        hour: i8,
        minute: i8,
        zone: Option<String>,
    },
    In(Duration),
}

/// Behind these words stands a reset.
const AT: &str = r"(?i)(?:resets?|again|continu\w+(?: automatically)?)(?: at)? (\d{1,2})(?::(\d{2}))? ?([ap]m)?\b(?: ?\(([A-Za-z_/+-]+)\))?";
const SPAN: &str =
    r"(?i)(?:resets?|again|retry) in (?:(\d+) ?d\w*)?,? ?(?:(\d+) ?h\w*)?,? ?(?:(\d+) ?m(?:in\w*)?\b)?";

fn compiled(cell: &'static OnceLock<Option<Regex>>, pattern: &str) -> Option<&'static Regex> {
    cell.get_or_init(|| Regex::new(pattern).ok()).as_ref()
}

/// The reset that a line tells.
pub fn find(line: &str) -> Option<Said> {
    static AT_RE: OnceLock<Option<Regex>> = OnceLock::new();
    static SPAN_RE: OnceLock<Option<Regex>> = OnceLock::new();
    let number =
        |text: Option<regex_lite::Match<'_>>| text.and_then(|text| text.as_str().parse::<u32>().ok());
    if let Some(found) = compiled(&SPAN_RE, SPAN)?.captures(line) {
        let [days, hours, minutes] = [1, 2, 3].map(|group| number(found.get(group)).unwrap_or(0));
        let seconds = u64::from(days) * 86_400 + u64::from(hours) * 3_600 + u64::from(minutes) * 60;
        if seconds > 0 {
            return Some(Said::In(Duration::from_secs(seconds)));
        }
    }
    let found = compiled(&AT_RE, AT)?.captures(line)?;
    let said = i8::try_from(number(found.get(1))?).ok()?;
    let minute = i8::try_from(number(found.get(2)).unwrap_or(0)).ok()?;
    let half = found.get(3).map(|half| half.as_str().to_ascii_lowercase());
    let hour = match half.as_deref() {
        Some(_) if !(1..=12).contains(&said) => return None,
        Some("pm") => said % 12 + 12,
        Some(_) => said % 12,
        // A bare number is no time of day.
        None if found.get(2).is_none() => return None,
        None => said,
    };
    Time::new(hour, minute, 0, 0).ok()?;
    Some(Said::At { hour, minute, zone: found.get(4).map(|zone| zone.as_str().to_owned()) })
}

impl Said {
    /// The next moment that it can mean, at `now`; nothing where its zone is unknown.
    pub fn after(&self, now: Wall) -> Option<Wall> {
        match self {
            Self::In(span) => Some(now.plus(*span)),
            Self::At { hour, minute, zone } => {
                let zone = match zone {
                    Some(name) if matches!(name.as_str(), "UTC" | "GMT" | "Z") => TimeZone::UTC,
                    Some(name) => TimeZone::get(name).ok()?,
                    None => TimeZone::system(),
                };
                let now = Timestamp::from_millisecond(now.0).ok()?.to_zoned(zone);
                let time = Time::new(*hour, *minute, 0, 0).ok()?;
                let at = |day: &Zoned| day.date().to_datetime(time).to_zoned(day.time_zone().clone()).ok();
                let today = at(&now)?;
                let next = if today > now { today } else { at(&now.tomorrow().ok()?)? };
                Some(Wall(next.timestamp().as_millisecond()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i8, minute: i8, zone: Option<&str>) -> Option<Said> {
        Some(Said::At { hour, minute, zone: zone.map(str::to_owned) })
    }

    #[test]
    fn the_wordings_of_the_runtimes() {
        assert_eq!(find("You've hit your session limit · resets 12:15pm (UTC)"), at(12, 15, Some("UTC")));
        assert_eq!(find("⚠ Usage limit reached · limit resets 1pm"), at(13, 0, None));
        assert_eq!(find("usage to purchase more credits or try again at 12:24 AM."), at(0, 24, None));
        assert_eq!(find("Continuing automatically at 1:07pm · Esc to cancel"), at(13, 7, None));
        assert_eq!(find("resets 3:45pm (Europe/Berlin)"), at(15, 45, Some("Europe/Berlin")));
        assert_eq!(
            find("try again in 2 days 3 hours 5 minutes"),
            Some(Said::In(Duration::from_secs(183_900)))
        );
        assert_eq!(find("try again in 45 minutes"), Some(Said::In(Duration::from_secs(2_700))));
        assert_eq!(find("try again later"), None);
        assert_eq!(find("resets 25:00"), None);
    }

    #[test]
    fn a_time_of_day_is_the_next_one() {
        let noon = Wall(1_795_262_400_000); // 2026-11-21T12:00:00Z
        let said = find("resets 1:07pm (UTC)").unwrap();
        assert_eq!(said.after(noon), Some(Wall(noon.0 + 67 * 60_000)));
        let passed = find("resets 11am (UTC)").unwrap();
        assert_eq!(passed.after(noon), Some(Wall(noon.0 + 23 * 3_600_000)));
        assert_eq!(find("resets 1pm (Nowhere/Land)").unwrap().after(noon), None);
    }
}
