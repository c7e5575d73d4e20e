//! `sessions/<pid>.json`: what Claude Code says of each of its processes. Left behind by a kill -9, so the reader
//! compares pid and start time with the living process.

use std::io::Read;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fleet_domain::observation::NativeState;
use fleet_domain::readiness::StuckKind;
use fleet_domain::text;
use serde::Deserialize;

const MAX_BYTES: u64 = 256 << 10;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateFile {
    pub pid: u32,
    /// Start time of the process, in clock ticks after boot.
    pub started: Option<u64>,
    pub session: String,
    pub directory: String,
    pub version: Option<String>,
    /// `None` for a status that is not known here.
    pub status: Option<NativeState>,
    /// What it waits for, with the runtime's own words.
    pub waiting: Option<(StuckKind, String)>,
    pub changed: Option<SystemTime>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    pid: u32,
    #[serde(default)]
    proc_start: Option<serde_json::Value>,
    #[serde(default)]
    session_id: String,
    #[serde(default)]
    cwd: String,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    waiting_for: Option<String>,
    #[serde(default)]
    status_updated_at: Option<f64>,
    #[serde(default)]
    updated_at: Option<f64>,
}

/// `None` where there is no such file, or it is not one of these.
pub fn read(path: &Path) -> Option<StateFile> {
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    parse(&bytes)
}

pub fn parse(bytes: &[u8]) -> Option<StateFile> {
    let raw: Raw = serde_json::from_slice(bytes).ok()?;
    let waiting = (raw.status.as_deref() == Some("waiting")).then(|| {
        let line =
            raw.waiting_for.as_deref().map_or_else(|| "waiting".to_owned(), |words| text::clean(words, 120));
        (kind_of(&line), line)
    });
    let changed = raw.status_updated_at.or(raw.updated_at).filter(|ms| (0.0..1e15).contains(ms));
    Some(StateFile {
        pid: raw.pid,
        started: raw.proc_start.as_ref().and_then(ticks),
        session: raw.session_id,
        directory: raw.cwd,
        version: raw.version.map(|version| text::clean(&version, 40)),
        status: match raw.status.as_deref() {
            Some("busy") => Some(NativeState::Busy),
            Some("idle") => Some(NativeState::TurnEnded),
            Some("shell") => Some(NativeState::Background),
            Some("waiting") => Some(NativeState::Waiting),
            _ => None,
        },
        waiting,
        changed: changed.map(|ms| UNIX_EPOCH + Duration::from_millis(ms as u64)),
    })
}

/// Written as a number by some versions, as text by others.
fn ticks(value: &serde_json::Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

fn kind_of(words: &str) -> StuckKind {
    match words {
        "permission prompt" | "sandbox request" | "worker request" => StuckKind::Permission,
        "input needed" => StuckKind::Question,
        _ => StuckKind::Dialog,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_status_has_its_meaning() {
        let state = |json: &str| parse(json.as_bytes()).unwrap();
        let waiting = state(
            r#"{"pid":7,"procStart":"123","sessionId":"s","cwd":"/w","status":"waiting","waitingFor":"permission prompt","statusUpdatedAt":1795000000000}"#,
        );
        assert_eq!(waiting.started, Some(123));
        assert_eq!(waiting.waiting, Some((StuckKind::Permission, "permission prompt".to_owned())));
        assert_eq!(waiting.status, Some(NativeState::Waiting));
        assert_eq!(state(r#"{"pid":7,"status":"shell"}"#).status, Some(NativeState::Background));
        assert_eq!(state(r#"{"pid":7,"status":"idle","waitingFor":"x"}"#).waiting, None);
        assert_eq!(state(r#"{"pid":7,"status":"hibernating","procStart":99}"#).status, None);
    }

    #[test]
    fn what_is_no_state_file_is_none() {
        for text in ["", "{", "[]", "{\"pid\":-1}", "{\"pid\":\"x\"}", "null"] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }
    }
}
