//! Heartbeat protocol v1: the lines of `fleet/run/<agent>.hb` as values.
//!
//! `ts` is the last time at which the *runtime* answered, not the time at which somebody looked.

use std::time::Duration;

use crate::text;
use crate::time::Wall;

pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(15);
/// A heartbeat is healthy up to this many intervals of age.
pub const HEALTHY_INTERVALS: u32 = 3;
const MAX_INTERVAL: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Ok,
    Busy,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Busy => "busy",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "ok" => Some(Self::Ok),
            "busy" => Some(Self::Busy),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    Healthy,
    Stale,
    Unknown,
}

impl Health {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Stale => "stale",
            Self::Unknown => "unknown",
        }
    }
}

/// One heartbeat as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    pub ts: Wall,
    /// The runtime's process.
    pub pid: Option<u32>,
    pub status: Option<Status>,
    pub model: Option<String>,
    /// The writer's interval; `None` where an older writer did not say.
    pub interval: Option<Duration>,
    /// Which signal confirmed the runtime, such as `state-file`.
    pub source: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeartbeatError {
    #[error("no `ts=` line")]
    NoTime,
    #[error("line {line}: `ts={value}` is not an RFC 3339 time")]
    BadTime { line: usize, value: String },
}

impl Heartbeat {
    /// Reads v1. Unknown keys, malformed lines and bad optional values are passed over; only `ts` must be right.
    pub fn parse(text: &str) -> Result<Self, HeartbeatError> {
        let mut ts = None;
        let mut beat =
            Self { ts: Wall(0), pid: None, status: None, model: None, interval: None, source: None };
        for (index, line) in text.lines().enumerate().take(64) {
            let Some((key, value)) = line.split_once('=') else { continue };
            let value = value.trim();
            match key.trim() {
                "ts" => match Wall::parse_rfc3339(value) {
                    Some(time) => ts = Some(time),
                    None => {
                        return Err(HeartbeatError::BadTime {
                            line: index + 1,
                            value: text::clean(value, 40),
                        });
                    }
                },
                "pid" => beat.pid = value.parse().ok().filter(|pid| *pid > 0),
                "status" => beat.status = Status::parse(value),
                "model" => beat.model = Some(text::clean(value, 100)).filter(|model| !model.is_empty()),
                "interval" => beat.interval = parse_interval(value),
                "source" => beat.source = Some(text::clean(value, 40)).filter(|source| !source.is_empty()),
                _ => {}
            }
        }
        ts.map(|ts| Self { ts, ..beat }).ok_or(HeartbeatError::NoTime)
    }

    pub fn render(&self) -> String {
        let mut out = format!("ts={}\n", self.ts.to_rfc3339());
        let mut line = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                out.push_str(&format!("{key}={value}\n"));
            }
        };
        line("pid", self.pid.map(|pid| pid.to_string()));
        line("status", self.status.map(|status| status.as_str().to_owned()));
        line("model", self.model.as_ref().map(|model| text::clean(model, 100)));
        line("interval", self.interval.map(|interval| format!("{}", interval.as_secs_f64())));
        line("source", self.source.as_ref().map(|source| text::clean(source, 40)));
        out
    }
}

/// Health by age; an age of exactly three intervals is still healthy.
pub fn health(age: Duration, interval: Duration) -> Health {
    if age <= stale_after(interval) { Health::Healthy } else { Health::Stale }
}

pub fn stale_after(interval: Duration) -> Duration {
    interval.saturating_mul(HEALTHY_INTERVALS)
}

/// A positive number of seconds, at most a day.
pub fn parse_interval(text: &str) -> Option<Duration> {
    let seconds: f64 = text.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|interval| !interval.is_zero() && *interval <= MAX_INTERVAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn v1_is_read_and_what_is_unknown_is_passed_over() {
        let beat =
            Heartbeat::parse("ts=2026-11-21T10:00:00Z\npid=42\nstatus=busy\nmodel=m\nfuture=x\nnonsense\n")
                .unwrap();
        assert_eq!(beat.pid, Some(42));
        assert_eq!(beat.status, Some(Status::Busy));
        assert_eq!(beat.interval, None);
        assert_eq!(Heartbeat::parse("ts=2026-11-21T10:00:00Z\nstatus=great\npid=-1\n").unwrap().status, None);
    }

    #[test]
    fn a_file_without_a_time_is_an_error_that_says_where() {
        assert_eq!(Heartbeat::parse("pid=1\n"), Err(HeartbeatError::NoTime));
        assert_eq!(
            Heartbeat::parse("pid=1\nts=soon\n").unwrap_err().to_string(),
            "line 2: `ts=soon` is not an RFC 3339 time"
        );
    }

    #[test]
    fn three_intervals_are_healthy_and_a_moment_more_is_stale() {
        assert_eq!(health(Duration::from_secs(45), DEFAULT_INTERVAL), Health::Healthy);
        assert_eq!(health(Duration::from_millis(45_001), DEFAULT_INTERVAL), Health::Stale);
    }

    #[test]
    fn an_interval_is_a_positive_number() {
        for bad in ["0", "-1", "NaN", "inf", "soon", "", "1e99"] {
            assert_eq!(parse_interval(bad), None, "{bad}");
        }
        assert_eq!(parse_interval("2.5"), Some(Duration::from_millis(2500)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(ts in 0i64..4_000_000_000_000, pid in 1u32.., secs in 1u64..3600, busy: bool) {
            let beat = Heartbeat {
                ts: Wall(ts), pid: Some(pid), status: Some(if busy { Status::Busy } else { Status::Ok }),
                model: Some("a model".to_owned()), interval: Some(Duration::from_secs(secs)), source: Some("state-file".to_owned()),
            };
            prop_assert_eq!(Heartbeat::parse(&beat.render()), Ok(beat));
        }

        #[test]
        fn any_text_is_an_answer_never_a_panic(text in any::<String>()) {
            let _ = Heartbeat::parse(&text);
        }
    }
}
