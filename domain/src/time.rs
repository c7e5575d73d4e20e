//! Two clocks, one boundary: [`Mono`] inside, [`Wall`] at the edges (files, wire, screen).

use std::fmt;
use std::time::Duration;

/// Wall-clock time in milliseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Wall(pub i64);

/// Milliseconds on the receiver's own monotonic clock. Negative values lie before that clock's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mono(pub i64);

/// Both clocks, read together at the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    pub mono: Mono,
    pub wall: Wall,
}

impl Wall {
    /// Parses RFC 3339, with any offset.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let timestamp: jiff::Timestamp = text.parse().ok()?;
        Some(Self(timestamp.as_millisecond()))
    }

    /// RFC 3339 in UTC; to the second where the milliseconds are zero. A time beyond the year 9999 prints as the last one.
    pub fn to_rfc3339(self) -> String {
        let timestamp = jiff::Timestamp::from_millisecond(self.0).unwrap_or(if self.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        });
        timestamp.to_string()
    }

    /// How long before `now` this was; a future time is age zero.
    pub fn age_at(self, now: Wall) -> Duration {
        millis(now.0.saturating_sub(self.0))
    }

    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(as_millis(by)))
    }

    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(as_millis(by)))
    }
}

impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

impl Mono {
    /// How long before `now` this was; a future time is age zero.
    pub fn age_at(self, now: Mono) -> Duration {
        millis(now.0.saturating_sub(self.0))
    }

    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(as_millis(by)))
    }

    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(as_millis(by)))
    }

    /// How long from `now` until this; zero when it has passed.
    pub fn until_from(self, now: Mono) -> Duration {
        millis(self.0.saturating_sub(now.0))
    }
}

impl Now {
    /// The wall time at which the monotonic clock shows `mono`, as far as the two ran together.
    pub fn wall_of(&self, mono: Mono) -> Wall {
        Wall(self.wall.0.saturating_add(mono.0.saturating_sub(self.mono.0)))
    }

    /// The monotonic time of a wall time.
    pub fn mono_of(&self, wall: Wall) -> Mono {
        Mono(self.mono.0.saturating_add(wall.0.saturating_sub(self.wall.0)))
    }

    pub fn plus(&self, by: Duration) -> Self {
        Self { mono: self.mono.plus(by), wall: self.wall.plus(by) }
    }
}

fn millis(value: i64) -> Duration {
    Duration::from_millis(u64::try_from(value).unwrap_or(0))
}

fn as_millis(value: Duration) -> i64 {
    i64::try_from(value.as_millis()).unwrap_or(i64::MAX)
}

/// A duration for people: `42s`, `7m`, `3h 5m`, `2d 4h`.
pub fn humanize(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => of_unit(seconds, "s"),
        60..3600 => of_unit(seconds / 60, "m"),
        3600..86_400 if seconds % 3600 < 60 => of_unit(seconds / 3600, "h"),
        3600..86_400 => format!("{}h {}m", seconds / 3600, seconds % 3600 / 60),
        _ if seconds % 86_400 < 3600 => of_unit(seconds / 86_400, "d"),
        _ => format!("{}d {}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// Three of these stand in each row of a large table; this takes half as long as `format!`.
fn of_unit(count: u64, unit: &str) -> String {
    count.to_string() + unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_round_trips_and_tolerates_extremes() {
        let time = Wall::parse_rfc3339("2026-11-21T10:16:58.932Z").unwrap();
        assert_eq!(time.to_rfc3339(), "2026-11-21T10:16:58.932Z");
        assert_eq!(
            Wall::parse_rfc3339("2026-11-21T12:16:58+02:00").unwrap().to_rfc3339(),
            "2026-11-21T10:16:58Z"
        );
        assert!(Wall::parse_rfc3339("yesterday").is_none());
        assert!(!Wall(i64::MAX).to_rfc3339().is_empty());
        assert!(!Wall(i64::MIN).to_rfc3339().is_empty());
    }

    #[test]
    fn ages_never_go_below_zero() {
        assert_eq!(Wall(2000).age_at(Wall(500)), Duration::ZERO);
        assert_eq!(Mono(500).age_at(Mono(2000)), Duration::from_millis(1500));
        assert_eq!(Mono(i64::MIN).age_at(Mono(i64::MAX)), Duration::from_millis(i64::MAX as u64));
    }

    #[test]
    fn people_read_two_units_at_most() {
        let shown: Vec<String> = [0, 59, 60, 3599, 3600, 11_100, 86_400, 187_200]
            .map(|s| humanize(Duration::from_secs(s)))
            .to_vec();
        assert_eq!(shown, ["0s", "59s", "1m", "59m", "1h", "3h 5m", "1d", "2d 4h"]);
    }
}
