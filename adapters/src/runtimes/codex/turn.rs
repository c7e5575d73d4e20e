//! Whose turn it is, by the events of a rollout. Approvals are not written there: a turn that waits for one is busy.

use std::borrow::Cow;

use fleet_domain::observation::{NativeState, StuckKind};
use fleet_domain::{Wall, secrets, text};
use memchr::memmem;
use serde::Deserialize;

use crate::runtimes::ending::{Answered, Ending, Failed, TurnMark};
use crate::screens::reset;

/// Of a limit that is used up, this much.
const USED_UP: f64 = 99.5;

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    timestamp: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    payload: Option<Payload<'a>>,
}

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    model: Option<Cow<'a, str>>,
    #[serde(default)]
    error: Option<Error>,
    #[serde(default)]
    rate_limits: Option<RateLimits>,
}

#[derive(Deserialize)]
struct Error {
    #[serde(default)]
    message: String,
    /// A word, or an object whose only key is the word.
    #[serde(default)]
    codex_error_info: serde_json::Value,
}

#[derive(Deserialize)]
struct RateLimits {
    #[serde(default)]
    primary: Option<Window>,
    #[serde(default)]
    secondary: Option<Window>,
}

#[derive(Deserialize)]
struct Window {
    #[serde(default)]
    used_percent: f64,
    #[serde(default)]
    resets_at: Option<i64>,
}

pub(in crate::runtimes) fn fold(ending: &mut Ending, line: &[u8]) {
    let concerns =
        ["\"task_started\"", "\"task_complete\"", "\"turn_aborted\"", "\"turn_context\"", "\"token_count\""];
    let head = &line[..line.len().min(256)];
    if !concerns.iter().any(|word| memmem::find(head, word.as_bytes()).is_some()) {
        return;
    }
    let Ok(Line { timestamp, kind: Some(kind), payload: Some(payload) }) = serde_json::from_slice(line)
    else {
        return;
    };
    let at = timestamp.as_deref().and_then(Wall::parse_rfc3339);
    let mark = |state| Some(TurnMark { state, at });
    match (kind.as_ref(), payload.kind.as_deref()) {
        ("turn_context", _) => {
            let model = payload.model.map(|model| Answered { model: text::clean(&model, 80), at });
            ending.model = model.or(ending.model.take());
        }
        ("event_msg", Some("task_started")) => {
            (ending.turn, ending.failed) = (mark(NativeState::Busy), None);
        }
        ("event_msg", Some("turn_aborted")) => {
            (ending.turn, ending.failed) = (mark(NativeState::TurnEnded), None);
        }
        ("event_msg", Some("task_complete")) => {
            ending.turn = mark(NativeState::TurnEnded);
            ending.failed = payload.error.map(|error| failed(&error, at));
        }
        ("event_msg", Some("token_count")) => {
            // The limits of a failed request come before or after its end.
            if let (Some(Failed { kind: StuckKind::UsageLimit, until, .. }), Some(limits)) =
                (&mut ending.failed, payload.rate_limits)
            {
                *until = used_up(&limits).or(*until);
            }
        }
        _ => {}
    }
}

fn failed(error: &Error, at: Option<Wall>) -> Failed {
    let said = text::clean(&secrets::mask(&error.message), 200);
    let info = match &error.codex_error_info {
        serde_json::Value::String(word) => word.as_str(),
        serde_json::Value::Object(map) => map.keys().next().map_or("", String::as_str),
        _ => "",
    };
    let kind = match info {
        "usage_limit_exceeded" | "session_budget_exceeded" => StuckKind::UsageLimit,
        "unauthorized" => StuckKind::Login,
        "context_window_exceeded" => StuckKind::ContextFull,
        _ if said.contains("401 Unauthorized") || said.contains("403 Forbidden") => StuckKind::Login,
        _ => StuckKind::Error,
    };
    let until = at.and_then(|at| reset::find(&said).and_then(|reset| reset.after(at)));
    Failed { kind, line: said, at, until: until.filter(|_| kind == StuckKind::UsageLimit) }
}

fn used_up(limits: &RateLimits) -> Option<Wall> {
    let windows = [&limits.primary, &limits.secondary].into_iter().flatten();
    let resets =
        windows.filter(|window| window.used_percent >= USED_UP).filter_map(|window| window.resets_at);
    let sane = resets.filter(|seconds| (0..100_000_000_000).contains(seconds));
    sane.max().map(|seconds| Wall(seconds * 1000))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::runtimes::ending::of_lines;

    const STARTED: &str = r#"{"timestamp":"2026-11-21T10:05:36.071Z","ordinal":34,"type":"event_msg","payload":{"type":"task_started","turn_id":"t"}}"#;
    const CONTEXT: &str = r#"{"timestamp":"2026-11-21T10:05:36.080Z","type":"turn_context","payload":{"turn_id":"t","model":"gpt-5.5"}}"#;
    const LIMITED: &str = r#"{"timestamp":"2026-11-21T10:05:36.148Z","type":"event_msg","payload":{"type":"task_complete","last_agent_message":null,"error":{"message":"You’ve hit your usage limit. Try again at 10:22 AM.","codex_error_info":"usage_limit_exceeded"}}}"#;
    const COUNT: &str = r#"{"timestamp":"2026-11-21T10:05:36.150Z","type":"event_msg","payload":{"type":"token_count","info":null,"rate_limits":{"limit_id":"codex","primary":{"used_percent":100.0,"window_minutes":300,"resets_at":1795266000},"secondary":{"used_percent":40.0,"resets_at":1795651200}}}}"#;
    const DONE: &str = r#"{"timestamp":"2026-11-21T10:06:00Z","type":"event_msg","payload":{"type":"task_complete","last_agent_message":"ok"}}"#;

    fn state(text: &str) -> Option<NativeState> {
        of_lines(fold, text).turn.map(|turn| turn.state)
    }

    #[test]
    fn a_turn_begins_and_ends() {
        assert_eq!(state(&format!("{DONE}\n{STARTED}\n{CONTEXT}")), Some(NativeState::Busy));
        assert_eq!(state(&format!("{STARTED}\n{DONE}")), Some(NativeState::TurnEnded));
        let aborted = DONE.replace("task_complete", "turn_aborted");
        assert_eq!(state(&format!("{STARTED}\n{aborted}")), Some(NativeState::TurnEnded));
        let ending = of_lines(fold, &format!("{STARTED}\n{CONTEXT}"));
        assert_eq!(ending.model().as_deref(), Some("gpt-5.5"));
        assert_eq!(ending.turn.unwrap().at, Wall::parse_rfc3339("2026-11-21T10:05:36.071Z"));
    }

    #[test]
    fn a_limit_has_the_end_that_its_windows_tell_and_the_next_turn_ends_it() {
        let failed = of_lines(fold, &format!("{STARTED}\n{LIMITED}\n{COUNT}")).failed.unwrap();
        assert_eq!((failed.kind, failed.until), (StuckKind::UsageLimit, Some(Wall(1_795_266_000_000))));
        assert!(of_lines(fold, &format!("{LIMITED}\n{COUNT}\n{STARTED}")).failed.is_none());
    }

    #[test]
    fn errors_have_their_kinds_however_they_are_spelled() {
        let kind = |info: &str| {
            let line = LIMITED.replace(r#""usage_limit_exceeded""#, info);
            of_lines(fold, &line).failed.unwrap().kind
        };
        assert_eq!(kind(r#""unauthorized""#), StuckKind::Login);
        assert_eq!(kind(r#""context_window_exceeded""#), StuckKind::ContextFull);
        assert_eq!(kind(r#"{"http_connection_failed":{"http_status_code":500}}"#), StuckKind::Error);
        assert_eq!(kind("null"), StuckKind::Error);
    }

    proptest! {
        #[test]
        fn any_line_is_an_answer_never_a_panic(at in 0..LIMITED.len(), with in any::<u8>()) {
            let mut line = LIMITED.as_bytes().to_vec();
            line[at] = with;
            fold(&mut Ending::default(), &line);
        }
    }
}
