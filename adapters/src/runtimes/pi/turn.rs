//! Whose turn it is, by the messages of a session. What failed is asked again up to three times, each failure written
//! down: whether one is the last, only the screen tells.

use std::borrow::Cow;

use fleet_domain::Wall;
use fleet_domain::observation::NativeState;
use fleet_domain::text;
use serde::Deserialize;

use crate::runtimes::ending::{Answered, Ending, TurnMark};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    timestamp: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    message: Option<Message<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    #[serde(borrow, default)]
    role: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    stop_reason: Option<Cow<'a, str>>,
}

pub(in crate::runtimes) fn fold(ending: &mut Ending, line: &[u8]) {
    let Ok(Line { kind: Some(kind), timestamp, message: Some(message) }) = serde_json::from_slice(line)
    else {
        return;
    };
    if kind != "message" {
        return;
    }
    let state = match (message.role.as_deref(), message.stop_reason.as_deref()) {
        (Some("user" | "toolResult"), _) | (Some("assistant"), Some("toolUse")) => Some(NativeState::Busy),
        (Some("assistant"), Some("stop" | "length" | "aborted")) => Some(NativeState::TurnEnded),
        (Some("assistant"), _) => None,
        _ => return,
    };
    let at = timestamp.as_deref().and_then(Wall::parse_rfc3339);
    ending.turn = state.map(|state| TurnMark { state, at });
    let model = message.model.map(|model| Answered { model: text::clean(&model, 80), at });
    ending.model = model.or(ending.model.take());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtimes::ending::of_lines;

    fn state(roles: &[(&str, &str)]) -> Option<NativeState> {
        let lines: Vec<String> = roles
            .iter()
            .map(|(role, stop)| {
                format!(r#"{{"type":"message","timestamp":"2026-11-21T10:00:00Z","message":{{"role":"{role}","stopReason":"{stop}"}}}}"#)
            })
            .collect();
        of_lines(fold, &lines.join("\n")).turn.map(|turn| turn.state)
    }

    #[test]
    fn a_turn_runs_from_the_prompt_through_its_tools_to_the_answer() {
        assert_eq!(state(&[("user", "")]), Some(NativeState::Busy));
        assert_eq!(
            state(&[("user", ""), ("assistant", "toolUse"), ("toolResult", "")]),
            Some(NativeState::Busy)
        );
        assert_eq!(state(&[("user", ""), ("assistant", "stop")]), Some(NativeState::TurnEnded));
        assert_eq!(state(&[("user", ""), ("assistant", "aborted")]), Some(NativeState::TurnEnded));
        assert_eq!(state(&[("user", ""), ("assistant", "error")]), None);
        assert_eq!(state(&[]), None);
    }
}
