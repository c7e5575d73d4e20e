//! What Codex tells of an account's windows: beside its counters in a rollout, and as its app-server's answer. Each family
//! of limits (`limit_id`) has windows of its own, and a window is known by its length: which of the two slots it stands in
//! says nothing.

use std::time::Duration;

use fleet_domain::limits::{Sighting, Source, WindowName};
use fleet_domain::time::Wall;
use memchr::memmem;
use serde::Deserialize;
use serde_json::Value;

/// The family of the account as a whole.
const MAIN: &str = "codex";

#[derive(Deserialize)]
struct Row {
    #[serde(default)]
    timestamp: Option<String>,
    #[serde(default)]
    payload: Option<Payload>,
}

#[derive(Deserialize)]
struct Payload {
    #[serde(default)]
    rate_limits: Option<Limits>,
}

/// Rollouts write names with underscores, the app-server in camel case.
#[derive(Deserialize)]
struct Limits {
    #[serde(default, alias = "limitId")]
    limit_id: Option<String>,
    #[serde(default)]
    primary: Option<Window>,
    #[serde(default)]
    secondary: Option<Window>,
    #[serde(default, alias = "individualLimit")]
    individual_limit: Option<Individual>,
}

#[derive(Deserialize)]
struct Window {
    #[serde(alias = "usedPercent")]
    used_percent: f64,
    #[serde(default, alias = "windowDurationMins")]
    window_minutes: Option<u64>,
    #[serde(default, alias = "resetsAt")]
    resets_at: Option<i64>,
    /// Old versions: from the row's time on.
    #[serde(default)]
    resets_in_seconds: Option<i64>,
}

#[derive(Deserialize)]
struct Individual {
    #[serde(alias = "remainingPercent")]
    remaining_percent: f64,
    #[serde(default, alias = "resetsAt")]
    resets_at: Option<i64>,
}

/// Of a rollout's line; empty for all that tell nothing of limits.
pub fn row(line: &[u8]) -> Vec<Sighting> {
    if memmem::find(line, b"\"rate_limits\"").is_none() {
        return Vec::new();
    }
    let Ok(Row { timestamp, payload }) = serde_json::from_slice(line) else { return Vec::new() };
    let at = timestamp.as_deref().and_then(Wall::parse_rfc3339);
    let limits = payload.and_then(|payload| payload.rate_limits);
    at.zip(limits).map_or_else(Vec::new, |(at, limits)| limits.sightings(at, Source::Rollout))
}

/// Of the app-server's answer to `account/rateLimits/read` (the second question that it is asked), or of its notification;
/// `None` where it is neither, empty where the account has no windows to read.
pub fn app_server(line: &[u8], now: Wall) -> Option<Vec<Sighting>> {
    let message: Value = serde_json::from_slice(line).ok()?;
    if message.get("error").is_some() && message.get("id").and_then(Value::as_u64) == Some(2) {
        return Some(Vec::new());
    }
    let body = message.get("result").or_else(|| message.get("params"))?;
    let mut all: Vec<&Value> = body
        .get("rateLimitsByLimitId")
        .and_then(Value::as_object)
        .map(|families| families.values().take(16).collect())
        .unwrap_or_default();
    if all.is_empty() {
        all.push(body.get("rateLimits")?);
    }
    let read = |limits: &Value| Limits::deserialize(limits).ok();
    Some(
        all.into_iter()
            .filter_map(read)
            .flat_map(|limits| limits.sightings(now, Source::AppServer))
            .collect(),
    )
}

impl Limits {
    fn sightings(&self, at: Wall, source: Source) -> Vec<Sighting> {
        let family = self.limit_id.as_deref().filter(|id| !id.is_empty() && *id != MAIN);
        let slots = [("primary", &self.primary), ("secondary", &self.secondary)];
        let windows = slots.into_iter().filter_map(|(slot, window)| {
            let window = window.as_ref()?;
            let length = window.window_minutes.filter(|minutes| *minutes > 0 && *minutes < 1 << 20);
            let length = length.map(|minutes| Duration::from_secs(minutes * 60));
            let name = match (length, family) {
                (Some(length), _) => WindowName::of(length, family),
                (None, None) => WindowName::custom(slot),
                (None, Some(family)) => WindowName::custom(&format!("{slot}-{family}")),
            };
            let later = || {
                window
                    .resets_in_seconds
                    .map(|seconds| Wall(at.0.saturating_add(seconds.saturating_mul(1000))))
            };
            Some(Sighting {
                window: name,
                length,
                used_ratio: window.used_percent / 100.0,
                resets_at: epoch(window.resets_at).or_else(later),
                observed_at: at,
                source,
            })
        });
        let own = self.individual_limit.as_ref().map(|limit| Sighting {
            window: WindowName::custom("individual"),
            length: None,
            used_ratio: 1.0 - limit.remaining_percent / 100.0,
            resets_at: epoch(limit.resets_at),
            observed_at: at,
            source,
        });
        windows.chain(own).collect()
    }
}

fn epoch(seconds: Option<i64>) -> Option<Wall> {
    seconds.filter(|seconds| (1..100_000_000_000).contains(seconds)).map(|seconds| Wall(seconds * 1000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AT: &str = "2026-11-21T11:03:20Z";
    const RESET: Wall = Wall(1_795_266_000_000);

    fn line(limits: &str) -> String {
        format!(
            r#"{{"timestamp":"{AT}","type":"event_msg","payload":{{"type":"token_count","info":null,"rate_limits":{limits}}}}}"#
        )
    }

    fn told(sightings: &[Sighting]) -> Vec<(String, f64, Option<Wall>)> {
        sightings.iter().map(|seen| (seen.window.to_string(), seen.used_ratio, seen.resets_at)).collect()
    }

    #[test]
    fn windows_are_known_by_family_and_length() {
        let main = line(
            r#"{"limit_id":"codex","primary":{"used_percent":10.5,"window_minutes":300,"resets_at":1795266000},"secondary":{"used_percent":40.0,"window_minutes":10080,"resets_at":1795266000},"individual_limit":null}"#,
        );
        let (five, seven) = (("5h".to_owned(), 0.105, Some(RESET)), ("7d".to_owned(), 0.4, Some(RESET)));
        assert_eq!(told(&row(main.as_bytes())), [five, seven]);
        let other = line(
            r#"{"limit_id":"codex_bengalfox","limit_name":"GPT-5.3-Codex-Spark","primary":{"used_percent":101,"window_minutes":10080},"secondary":null}"#,
        );
        assert_eq!(told(&row(other.as_bytes())), [("7d-codex_bengalfox".to_owned(), 1.01, None)]);
    }

    #[test]
    fn old_rollouts_count_from_the_row() {
        let old = line(
            r#"{"primary":{"used_percent":1,"window_minutes":299,"resets_in_seconds":60},"secondary":{"used_percent":2}}"#,
        );
        let at = Wall::parse_rfc3339(AT).unwrap();
        let seen = row(old.as_bytes());
        assert_eq!(seen[0].resets_at, Some(Wall(at.0 + 60_000)));
        assert_eq!((seen[0].window.as_str(), seen[1].window.as_str()), ("299m", "secondary"));
    }

    #[test]
    fn the_app_server_tells_the_same() {
        let one = br#"{"id":2,"result":{"rateLimits":{"limitId":"codex","primary":{"usedPercent":12,"windowDurationMins":300,"resetsAt":1795266000},"secondary":null}}}"#;
        let now = Wall(5);
        assert_eq!(told(&app_server(one, now).unwrap()), [("5h".to_owned(), 0.12, Some(RESET))]);
        let by_id = br#"{"method":"account/rateLimits/updated","params":{"rateLimitsByLimitId":{"x":{"limitId":"x","primary":{"usedPercent":1,"windowDurationMins":300}}},"rateLimits":{}}}"#;
        assert_eq!(told(&app_server(by_id, now).unwrap()), [("5h-x".to_owned(), 0.01, None)]);
        assert_eq!(app_server(br#"{"id":1,"result":{"userAgent":"x"}}"#, now), None);
        assert_eq!(app_server(br#"{"id":2,"error":{"message":"not logged in"}}"#, now), Some(Vec::new()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (row(&bytes), app_server(&bytes, Wall(0)));
        }

        #[test]
        fn any_figures_are_an_answer(used in any::<f64>(), minutes in any::<u64>(), resets in any::<i64>()) {
            let text = line(&serde_json::json!({"primary": {"used_percent": used, "window_minutes": minutes, "resets_in_seconds": resets, "resets_at": resets}}).to_string());
            let _ = row(text.as_bytes());
        }
    }
}
