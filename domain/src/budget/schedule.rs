//! When a window or a ceiling's period begins and ends: by a calendar in a time zone, or by its first use.
//!
//! Days, weeks and months are those of the calendar, so that a reset at nine stays at nine when the clocks change;
//! hours are hours.

use std::fmt;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Zoned};

use crate::time::Wall;

use super::amount::parse_span;

/// From one reset to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Every {
    /// So many hours, minutes and seconds.
    Exact(Duration),
    Days(i64),
    Months(i64),
}

impl Every {
    /// `5h`, `1d`, `2w`, `1mo`.
    ///
    /// # Errors
    /// What is wanted instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wanted = || "a span is wanted here, such as `5h`, `7d` or `1mo`".to_owned();
        let text = text.trim();
        if let Some(months) = text.strip_suffix("mo") {
            let months: i64 = months.parse().map_err(|_| wanted())?;
            return if (1..=12).contains(&months) { Ok(Self::Months(months)) } else { Err(wanted()) };
        }
        let span = parse_span(text).map_err(|_| wanted())?;
        let days = span.as_secs() / 86_400;
        let calendar = text.ends_with(['d', 'w']);
        Ok(if calendar { Self::Days(i64::try_from(days).unwrap_or(1)) } else { Self::Exact(span) })
    }

    /// About how long; a month as thirty days.
    pub fn about(self) -> Duration {
        match self {
            Self::Exact(span) => span,
            Self::Days(days) => Duration::from_secs(days.unsigned_abs() * 86_400),
            Self::Months(months) => Duration::from_secs(months.unsigned_abs() * 30 * 86_400),
        }
    }
}

/// As [`Every::parse`] reads it.
impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(span) if span.as_secs().is_multiple_of(3_600) => {
                write!(f, "{}h", span.as_secs() / 3_600)
            }
            Self::Exact(span) if span.as_secs().is_multiple_of(60) => write!(f, "{}m", span.as_secs() / 60),
            Self::Exact(span) => write!(f, "{}s", span.as_secs()),
            Self::Days(days) => write!(f, "{days}d"),
            Self::Months(months) => write!(f, "{months}mo"),
        }
    }
}

/// Somebody who says when a window resets rounds it.
const ROUNDED: u32 = 10;

/// Why a single reset cannot be the next one of a window of that length; `None` where it can.
pub fn misplaced(reset: Wall, length: Duration, now: Wall) -> Option<&'static str> {
    if reset <= now {
        return Some("in the past");
    }
    (now.age_at(reset) > length + length / ROUNDED).then_some("further away than the window is long")
}

/// From `begins` up to, not including, `ends`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    pub begins: Wall,
    pub ends: Wall,
}

impl Stretch {
    pub fn holds(&self, at: Wall) -> bool {
        self.begins <= at && at < self.ends
    }

    pub fn length(&self) -> Duration {
        self.begins.age_at(self.ends)
    }

    /// What part of it is over at `now`, from zero to one.
    pub fn elapsed(&self, now: Wall) -> f64 {
        let length = self.length().as_secs_f64();
        if length <= 0.0 { 1.0 } else { (self.begins.age_at(now).as_secs_f64() / length).clamp(0.0, 1.0) }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schedule {
    /// Begins with the first use after the last one ended.
    Rolling(Duration),
    /// Resets at `anchor` and every so often before and after it.
    Fixed { anchor: Wall, every: Every, zone: TimeZone },
    /// Ends once.
    Once { at: Wall, length: Duration },
}

impl Schedule {
    /// About how long one window is.
    pub fn length(&self) -> Duration {
        match self {
            Self::Rolling(length) | Self::Once { length, .. } => *length,
            Self::Fixed { every, .. } => every.about(),
        }
    }

    /// The window in which `now` lies. A rolling one begins at `first_use`, the first use not before the end of the window
    /// before; unused, it begins now.
    pub fn around(&self, now: Wall, first_use: Option<Wall>) -> Stretch {
        match self {
            Self::Rolling(length) => {
                let begins = first_use.filter(|at| *at <= now && now < at.plus(*length)).unwrap_or(now);
                Stretch { begins, ends: begins.plus(*length) }
            }
            Self::Once { at, length } => Stretch { begins: at.minus(*length), ends: *at },
            Self::Fixed { anchor, every, zone } => {
                fixed(*anchor, *every, zone, now).unwrap_or_else(|| cut(*anchor, every.about(), now))
            }
        }
    }
}

/// Where the calendar gives up (beyond the year 9999), plain division does.
fn cut(anchor: Wall, length: Duration, now: Wall) -> Stretch {
    let length_ms = i64::try_from(length.as_millis()).unwrap_or(i64::MAX).max(1);
    let past = now.0.saturating_sub(anchor.0).rem_euclid(length_ms);
    let begins = Wall(now.0.saturating_sub(past));
    Stretch { begins, ends: begins.plus(length) }
}

fn fixed(anchor: Wall, every: Every, zone: &TimeZone, now: Wall) -> Option<Stretch> {
    let Every::Exact(length) = every else {
        let anchor = zoned(anchor, zone)?;
        let length_ms = i64::try_from(every.about().as_millis()).ok()?;
        let mut count = now.0.saturating_sub(wall(&anchor).0).div_euclid(length_ms);
        // The guess is off by a few where months are longer or shorter than thirty days.
        while wall(&turn(&anchor, every, count)?) > now {
            count -= 1;
        }
        while wall(&turn(&anchor, every, count + 1)?) <= now {
            count += 1;
        }
        let (begins, ends) = (turn(&anchor, every, count)?, turn(&anchor, every, count + 1)?);
        return Some(Stretch { begins: wall(&begins), ends: wall(&ends) });
    };
    Some(cut(anchor, length, now))
}

fn turn(anchor: &Zoned, every: Every, count: i64) -> Option<Zoned> {
    let span = match every {
        Every::Exact(_) => return None,
        Every::Days(days) => Span::new().try_days(days.checked_mul(count)?).ok()?,
        Every::Months(months) => Span::new().try_months(months.checked_mul(count)?).ok()?,
    };
    anchor.checked_add(span).ok()
}

/// What dollars and tokens of a ceiling are counted over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Period {
    Day,
    Week,
    Month,
}

impl Period {
    pub const ALL: [Self; 3] = [Self::Day, Self::Week, Self::Month];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|period| period.as_str() == word)
    }

    /// The zone's day, week from Monday, or month in which `now` lies.
    pub fn around(self, now: Wall, zone: &TimeZone) -> Stretch {
        self.calendar(now, zone).unwrap_or_else(|| {
            let days = match self {
                Self::Day => 1,
                Self::Week => 7,
                Self::Month => 30,
            };
            cut(Wall(0), Duration::from_secs(days * 86_400), now)
        })
    }

    fn calendar(self, now: Wall, zone: &TimeZone) -> Option<Stretch> {
        let today = zoned(now, zone)?.start_of_day().ok()?;
        let begins = match self {
            Self::Day => today.clone(),
            Self::Week => {
                let back = i64::from(today.weekday().to_monday_zero_offset());
                today.checked_sub(Span::new().days(back)).ok()?.start_of_day().ok()?
            }
            Self::Month => today.first_of_month().ok()?.start_of_day().ok()?,
        };
        let span = match self {
            Self::Day => Span::new().days(1),
            Self::Week => Span::new().days(7),
            Self::Month => Span::new().months(1),
        };
        let ends = begins.checked_add(span).ok()?.start_of_day().ok()?;
        Some(Stretch { begins: wall(&begins), ends: wall(&ends) })
    }
}

/// A reset as people write it: RFC 3339 with its own offset, or a date and time of the zone's clock.
///
/// # Errors
/// What is wanted instead.
pub fn parse_reset(text: &str, zone: &TimeZone) -> Result<Wall, String> {
    let text = text.trim();
    let wanted =
        "a time is wanted here, such as `2026-11-24T09:00` on the zone's clock, or `2026-11-24T09:00:00Z`";
    if let Some(at) = Wall::parse_rfc3339(text) {
        return Ok(at);
    }
    let civil: DateTime = text.parse().map_err(|_| wanted.to_owned())?;
    let zoned = civil.to_zoned(zone.clone()).map_err(|_| wanted.to_owned())?;
    Ok(wall(&zoned))
}

fn zoned(at: Wall, zone: &TimeZone) -> Option<Zoned> {
    Some(Timestamp::from_millisecond(at.0).ok()?.to_zoned(zone.clone()))
}

fn wall(at: &Zoned) -> Wall {
    Wall(at.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Wall {
        Wall::parse_rfc3339(text).unwrap()
    }

    fn berlin() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    fn told(stretch: Stretch) -> (String, String) {
        (stretch.begins.to_rfc3339(), stretch.ends.to_rfc3339())
    }

    #[test]
    fn a_reset_at_nine_stays_at_nine_when_the_clocks_change() {
        let weekly = Schedule::Fixed {
            anchor: parse_reset("2026-10-19T09:00", &berlin()).unwrap(),
            every: Every::parse("7d").unwrap(),
            zone: berlin(),
        };
        let window = weekly.around(at("2026-10-24T12:00:00Z"), None);
        assert_eq!(told(window), ("2026-10-19T07:00:00Z".into(), "2026-10-26T08:00:00Z".into()));
        assert_eq!(window.length(), Duration::from_secs(7 * 86_400 + 3_600));
        // Before the anchor as after it.
        let before = weekly.around(at("2026-10-13T00:00:00Z"), None);
        assert_eq!(told(before), ("2026-10-12T07:00:00Z".into(), "2026-10-19T07:00:00Z".into()));
    }

    #[test]
    fn months_are_the_calendars_and_hours_are_hours() {
        let zone = berlin();
        let monthly = Schedule::Fixed {
            anchor: parse_reset("2026-01-31T00:00", &zone).unwrap(),
            every: Every::parse("1mo").unwrap(),
            zone: zone.clone(),
        };
        let window = monthly.around(at("2026-03-05T00:00:00Z"), None);
        assert_eq!(told(window), ("2026-02-27T23:00:00Z".into(), "2026-03-30T22:00:00Z".into()));
        let five = Schedule::Fixed {
            anchor: at("2026-11-21T03:00:00Z"),
            every: Every::parse("5h").unwrap(),
            zone: TimeZone::UTC,
        };
        let window = five.around(at("2026-11-21T13:00:00Z"), None);
        assert_eq!(told(window), ("2026-11-21T13:00:00Z".into(), "2026-11-21T18:00:00Z".into()));
    }

    #[test]
    fn a_rolling_window_begins_with_its_first_use() {
        let rolling = Schedule::Rolling(Duration::from_secs(5 * 3_600));
        let now = at("2026-11-21T12:00:00Z");
        assert_eq!(rolling.around(now, None).begins, now);
        assert_eq!(rolling.around(now, Some(at("2026-11-21T08:00:00Z"))).ends, at("2026-11-21T13:00:00Z"));
        assert_eq!(rolling.around(now, Some(at("2026-11-21T06:00:00Z"))).begins, now);
    }

    #[test]
    fn a_day_has_the_hours_that_the_zone_gives_it() {
        let zone = berlin();
        let hours = |text| Period::Day.around(at(text), &zone).length().as_secs() / 3_600;
        assert_eq!(
            [hours("2026-10-25T12:00:00Z"), hours("2026-03-29T12:00:00Z"), hours("2026-11-21T12:00:00Z")],
            [25, 23, 24]
        );
        let week = Period::Week.around(at("2026-11-22T12:00:00Z"), &TimeZone::UTC);
        assert_eq!(told(week), ("2026-11-16T00:00:00Z".into(), "2026-11-23T00:00:00Z".into()));
        let month = Period::Month.around(at("2026-02-10T12:00:00Z"), &TimeZone::UTC);
        assert_eq!(told(month), ("2026-02-01T00:00:00Z".into(), "2026-03-01T00:00:00Z".into()));
    }

    #[test]
    fn a_span_is_written_as_it_is_read() {
        for text in ["5h", "90m", "7d", "1mo", "36h"] {
            assert_eq!(Every::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_span_or_time_is_refused() {
        for text in ["0mo", "13mo", "-1mo", "mo", "0d", "5", "x"] {
            assert!(Every::parse(text).is_err(), "{text}");
        }
        assert!(parse_reset("tomorrow", &TimeZone::UTC).is_err());
    }

    proptest! {
        #[test]
        fn every_moment_lies_in_exactly_one_window(
            now in 0i64..4_000_000_000_000, anchor in 0i64..4_000_000_000_000,
            every in prop_oneof!["[1-9]h", "[1-9]d", "[1-6]mo"],
        ) {
            let schedule = Schedule::Fixed { anchor: Wall(anchor), every: Every::parse(&every).unwrap(), zone: berlin() };
            let window = schedule.around(Wall(now), None);
            prop_assert!(window.holds(Wall(now)));
            let next = schedule.around(window.ends, None);
            prop_assert_eq!(next.begins, window.ends);
            let before = schedule.around(Wall(window.begins.0 - 1), None);
            prop_assert_eq!(before.ends, window.begins);
        }

        #[test]
        fn extremes_never_panic(now in any::<i64>(), anchor in any::<i64>()) {
            for every in [Every::Days(7), Every::Months(1), Every::Exact(Duration::from_secs(1))] {
                Schedule::Fixed { anchor: Wall(anchor), every, zone: berlin() }.around(Wall(now), None);
            }
            for period in Period::ALL {
                period.around(Wall(now), &berlin());
            }
        }
    }
}
