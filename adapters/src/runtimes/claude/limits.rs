//! What Claude Code tells of a subscription's windows, in four shapes: to its statusline, in stream-json, as the answer to
//! a control request, and as a row of its transcript when a limit is hit. Pure; what is not told is not here.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use fleet_domain::limits::{Sighting, Source, WindowName};
use fleet_domain::text;
use fleet_domain::time::Wall;
use memchr::memmem;
use serde::Deserialize;
use serde_json::{Map, Value};

/// More windows than that nobody has.
const MAX_WINDOWS: usize = 16;

/// What the statusline was told.
#[derive(Debug, Clone, PartialEq)]
pub struct Statusline {
    pub session: String,
    /// Changes with every answer of the API: the same windows under the same stamp are no new sighting.
    pub stamp: u64,
    pub project: Option<PathBuf>,
    pub sightings: Vec<Sighting>,
}

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow, default)]
    session_id: Option<Cow<'a, str>>,
    #[serde(default)]
    workspace: Option<Workspace>,
    #[serde(default)]
    cost: Option<Cost>,
    #[serde(default)]
    rate_limits: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    spend_limit: Option<Value>,
}

#[derive(Deserialize)]
struct Workspace {
    #[serde(default)]
    project_dir: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Cost {
    #[serde(default)]
    total_api_duration_ms: Option<f64>,
}

/// Percent, and seconds since the epoch. `None` where it is no statusline's payload.
pub fn statusline(payload: &[u8], now: Wall) -> Option<Statusline> {
    let payload: Payload<'_> = serde_json::from_slice(payload).ok()?;
    let mut windows = payload.rate_limits.unwrap_or_default();
    if let Some(spend) = payload.spend_limit {
        windows.insert("spend_limit".to_owned(), spend);
    }
    let told = |window: &Value| {
        let used = window.get("used_percentage")?.as_f64()? / 100.0;
        Some((used, window.get("resets_at").and_then(epoch)))
    };
    let stamp = payload.cost.and_then(|cost| cost.total_api_duration_ms).unwrap_or(0.0);
    Some(Statusline {
        session: text::clean(&payload.session_id.unwrap_or_default(), 80),
        stamp: stamp.to_bits(),
        project: payload.workspace.and_then(|workspace| workspace.project_dir),
        sightings: sightings(&windows, told, now, Source::Statusline),
    })
}

/// A `rate_limit_event` line of stream-json: a share, and seconds since the epoch.
pub fn event(line: &[u8], now: Wall) -> Vec<Sighting> {
    if memmem::find(line, b"\"rate_limit_event\"").is_none() {
        return Vec::new();
    }
    let Ok(line) = serde_json::from_slice::<Value>(line) else { return Vec::new() };
    if line.get("type").and_then(Value::as_str) != Some("rate_limit_event") {
        return Vec::new();
    }
    let Some(info) = line.get("rate_limit_info") else { return Vec::new() };
    let told =
        |window: &Value| Some((window.get("utilization")?.as_f64()?, window.get("resetsAt").and_then(epoch)));
    match info.get("unifiedWindows").and_then(windows) {
        Some(windows) => sightings(&windows, told, now, Source::RateLimitEvent),
        None => rejected(info, now, Source::RateLimitEvent).into_iter().collect(),
    }
}

/// The answer to the control request `get_usage`: percent, and RFC 3339. `None` where it is no such answer; empty where
/// the account has no windows, as with an API key.
pub fn usage(line: &[u8], now: Wall) -> Option<Vec<Sighting>> {
    let line: Value = serde_json::from_slice(line).ok()?;
    let answer = line.get("response").filter(|_| line["type"] == "control_response")?;
    let limits = answer.get("response")?.get("rate_limits")?;
    let Some(mut told_windows) = windows(limits) else { return Some(Vec::new()) };
    for scoped in limits.get("model_scoped").and_then(Value::as_array).into_iter().flatten().take(MAX_WINDOWS)
    {
        if let Some(name) = scoped.get("display_name").and_then(Value::as_str) {
            told_windows.insert(format!("seven_day_{name}"), scoped.clone());
        }
    }
    let told = |window: &Value| {
        let resets = window.get("resets_at").and_then(Value::as_str).and_then(Wall::parse_rfc3339);
        Some((window.get("utilization")?.as_f64()? / 100.0, resets))
    };
    Some(sightings(&told_windows, told, now, Source::GetUsage))
}

/// A transcript's row for a limit that was hit; `None` for every other row.
pub fn row(line: &[u8]) -> Option<Sighting> {
    memmem::find(line, b"\"quotaLimits\"")?;
    let row: Value = serde_json::from_slice(line).ok()?;
    let at = row.get("timestamp")?.as_str().and_then(Wall::parse_rfc3339)?;
    rejected(row.get("quotaLimits")?, at, Source::LimitRow)
}

/// A refusal says no share, only that all of it is used.
fn rejected(info: &Value, at: Wall, source: Source) -> Option<Sighting> {
    let kind = info.get("rateLimitType").and_then(Value::as_str)?;
    if info.get("status").and_then(Value::as_str) != Some("rejected") {
        return None;
    }
    let (window, length) = named(kind);
    let resets_at = info.get("resetsAt").and_then(epoch);
    Some(Sighting { window, length, used_ratio: 1.0, resets_at, observed_at: at, source })
}

fn sightings(
    windows: &BTreeMap<String, Value>,
    told: impl Fn(&Value) -> Option<(f64, Option<Wall>)>,
    observed_at: Wall,
    source: Source,
) -> Vec<Sighting> {
    let one = |(kind, window): (&String, &Value)| {
        let (used_ratio, resets_at) = told(window)?;
        let (window, length) = named(kind);
        Some(Sighting { window, length, used_ratio, resets_at, observed_at, source })
    };
    windows.iter().filter_map(one).take(MAX_WINDOWS).collect()
}

fn windows(of: &Value) -> Option<BTreeMap<String, Value>> {
    let of: &Map<String, Value> = of.as_object()?;
    Some(
        of.iter()
            .filter(|(_, window)| window.is_object())
            .map(|(kind, window)| (kind.clone(), window.clone()))
            .collect(),
    )
}

/// `five_hour`, `seven_day`, `seven_day_opus`; of another word nobody knows the length.
fn named(kind: &str) -> (WindowName, Option<Duration>) {
    let (five, seven) = (Duration::from_secs(5 * 3600), Duration::from_secs(7 * 86_400));
    let scoped = |length: Duration, scope: &str| {
        let scope = scope.trim_start_matches('_').replace('_', "-");
        (WindowName::of(length, Some(&scope)), Some(length))
    };
    match (kind.strip_prefix("five_hour"), kind.strip_prefix("seven_day")) {
        (Some(scope), _) => scoped(five, scope),
        (None, Some(scope)) => scoped(seven, scope),
        (None, None) => (WindowName::custom(&kind.replace('_', "-")), None),
    }
}

/// Seconds since the epoch, of this century.
fn epoch(seconds: &Value) -> Option<Wall> {
    let seconds = seconds.as_f64().filter(|seconds| (0.0..1e11).contains(seconds))?;
    Some(Wall((seconds * 1000.0) as i64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Wall = Wall(1_795_259_000_000);
    const RESET: Wall = Wall(1_795_266_000_000);

    fn told(sightings: &[Sighting]) -> Vec<(String, f64, Option<Wall>)> {
        sightings.iter().map(|seen| (seen.window.to_string(), seen.used_ratio, seen.resets_at)).collect()
    }

    #[test]
    fn the_statusline_is_told_percents() {
        let payload = br#"{"session_id":"s1","workspace":{"project_dir":"/w"},"cost":{"total_api_duration_ms":4165},"rate_limits":{"five_hour":{"used_percentage":42.5,"resets_at":1795266000},"seven_day":{"used_percentage":17}},"spend_limit":{"used_percentage":3,"resets_at":1795266000}}"#;
        let status = statusline(payload, NOW).unwrap();
        assert_eq!((status.session.as_str(), status.project), ("s1", Some(PathBuf::from("/w"))));
        assert_eq!(
            told(&status.sightings),
            [
                ("5h".to_owned(), 0.425, Some(RESET)),
                ("7d".to_owned(), 0.17, None),
                ("spend-limit".to_owned(), 0.03, Some(RESET))
            ]
        );
        assert_eq!(status.sightings[0].length, Some(Duration::from_secs(18_000)));
        let key = statusline(br#"{"session_id":"s","cost":{}}"#, NOW).unwrap();
        assert!(key.sightings.is_empty(), "absent is unknown, not zero");
        assert_eq!(statusline(b"no json", NOW), None);
    }

    #[test]
    fn an_event_tells_shares_and_a_refusal_all() {
        let line = br#"{"type":"rate_limit_event","rate_limit_info":{"status":"allowed","resetsAt":1795266000,"rateLimitType":"five_hour","unifiedWindows":{"five_hour":{"utilization":1.23,"resetsAt":1795266000,"status":"allowed"},"seven_day_opus":{"utilization":0.41,"resetsAt":1795266000}}}}"#;
        let (five, opus) = (("5h".to_owned(), 1.23, Some(RESET)), ("7d-opus".to_owned(), 0.41, Some(RESET)));
        assert_eq!(told(&event(line, NOW)), [five, opus]);
        let refused = br#"{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","resetsAt":1795266000,"rateLimitType":"seven_day_overage_included"}}"#;
        assert_eq!(told(&event(refused, NOW)), [("7d-overage-included".to_owned(), 1.0, Some(RESET))]);
        let allowed = br#"{"type":"rate_limit_event","rate_limit_info":{"status":"allowed","rateLimitType":"five_hour"}}"#;
        assert!(event(allowed, NOW).is_empty());
    }

    #[test]
    fn a_control_answer_tells_percents_and_times() {
        let line = br#"{"type":"control_response","response":{"subtype":"success","request_id":"u1","response":{"subscription_type":"max","rate_limits_available":true,"rate_limits":{"five_hour":{"utilization":23,"resets_at":"2026-11-21T13:00:00Z"},"seven_day":null,"model_scoped":[{"display_name":"Opus 5","utilization":9.5,"resets_at":null}],"extra_usage":{"is_enabled":true,"utilization":4}}}}}"#;
        assert_eq!(
            told(&usage(line, NOW).unwrap()),
            [
                ("extra-usage".to_owned(), 0.04, None),
                ("5h".to_owned(), 0.23, Some(RESET)),
                ("7d-opus-5".to_owned(), 0.095, None)
            ]
        );
        let key = br#"{"type":"control_response","response":{"response":{"rate_limits_available":false,"rate_limits":null}}}"#;
        assert_eq!(usage(key, NOW), Some(Vec::new()));
        assert_eq!(usage(br#"{"type":"system"}"#, NOW), None);
    }

    #[test]
    fn a_row_tells_of_a_plans_limit_and_not_of_an_ordinary_429() {
        let line = br#"{"type":"assistant","isApiErrorMessage":true,"timestamp":"2026-11-21T11:03:20Z","error":"rate_limit","quotaLimits":{"status":"rejected","resetsAt":1795266000,"rateLimitType":"five_hour"}}"#;
        let seen = row(line).unwrap();
        assert_eq!((seen.window.as_str(), seen.used_ratio, seen.resets_at), ("5h", 1.0, Some(RESET)));
        assert_eq!(seen.observed_at, Wall::parse_rfc3339("2026-11-21T11:03:20Z").unwrap());
        assert_eq!(row(br#"{"type":"assistant","error":"rate_limit"}"#), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (statusline(&bytes, NOW), event(&bytes, NOW), usage(&bytes, NOW), row(&bytes));
        }

        #[test]
        fn any_figures_are_checked_before_they_count(used in any::<f64>(), resets in any::<f64>()) {
            let payload = serde_json::json!({"rate_limits": {"five_hour": {"used_percentage": used, "resets_at": resets}}});
            let account = fleet_domain::AccountName::new("a");
            for seen in statusline(payload.to_string().as_bytes(), NOW).unwrap().sightings {
                if let Some(reading) = seen.by(&account, "anthropic") {
                    prop_assert!((0.0..=1000.0).contains(&reading.used_ratio));
                }
            }
        }
    }
}
