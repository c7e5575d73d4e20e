//! What a runtime's hooks tell: Claude Code and Codex hand each event to a command as JSON, pi through an extension of
//! ours in the same shape. The command turns it into a [`Call`] and sends that to the sidecars, one datagram each.

use std::borrow::Cow;

use fleet_domain::observation::{NativeState, StuckKind};
use fleet_domain::{secrets, text};
use serde::{Deserialize, Serialize};

/// More of a payload is not read: tools may have printed megabytes.
pub const MAX_PAYLOAD: usize = 1 << 20;
/// A call is smaller by far.
pub const MAX_CALL: usize = 4 << 10;
const LINE: usize = 200;
/// How far up the client looks for the runtime.
pub(crate) const ANCESTORS: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    SessionStarted,
    SessionEnded,
    Prompted,
    /// A tool begins, ends, or the context is compacted: the turn goes on.
    Working,
    PermissionAsked,
    QuestionAsked,
    Stopped,
    /// The turn is over, what it started in the background is not.
    StoppedWithBackground,
    Interrupted,
    Failed,
    Limited,
    LoginNeeded,
}

impl Event {
    /// Whose turn it is from now on.
    pub fn state(self) -> NativeState {
        match self {
            Self::Prompted | Self::Working => NativeState::Busy,
            Self::PermissionAsked | Self::QuestionAsked => NativeState::Waiting,
            Self::StoppedWithBackground => NativeState::Background,
            Self::SessionStarted
            | Self::SessionEnded
            | Self::Stopped
            | Self::Interrupted
            | Self::Failed
            | Self::Limited
            | Self::LoginNeeded => NativeState::TurnEnded,
        }
    }

    /// What is in the way from now on.
    pub fn stuck(self) -> Option<StuckKind> {
        match self {
            Self::PermissionAsked => Some(StuckKind::Permission),
            Self::QuestionAsked => Some(StuckKind::Question),
            Self::Failed => Some(StuckKind::Error),
            Self::Limited => Some(StuckKind::UsageLimit),
            Self::LoginNeeded => Some(StuckKind::Login),
            _ => None,
        }
    }
}

/// One hook's call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    pub event: Event,
    /// The runtime's identity of its conversation.
    pub session: String,
    /// What it is about, for people; empty where the event says it all.
    pub line: String,
    /// The client's ancestors, nearest first: the runtime is one of them.
    pub pids: Vec<u32>,
}

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow, default)]
    hook_event_name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    session_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    notification_type: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    message: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    tool_name: Option<Cow<'a, str>>,
    #[serde(default)]
    tool_input: Option<serde_json::Value>,
    #[serde(borrow, default)]
    error: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    last_assistant_message: Option<Cow<'a, str>>,
    #[serde(default)]
    background_tasks: Option<Vec<serde_json::Value>>,
    /// Only inside a sub-agent.
    #[serde(borrow, default)]
    agent_id: Option<Cow<'a, str>>,
    /// Codex' `notify` has a shape of its own.
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "thread-id")]
    thread_id: Option<Cow<'a, str>>,
}

/// Reads what a runtime handed over; nothing for events that say nothing of the turn.
pub fn read(payload: &[u8], pids: Vec<u32>) -> Option<Call> {
    let payload: Payload<'_> = serde_json::from_slice(payload).ok()?;
    let event = payload.event()?;
    let inside = payload.agent_id.is_some();
    // A sub-agent's events say nothing of whose turn it is, but that it asks is the agent's asking.
    if inside && event.state() != NativeState::Waiting {
        return None;
    }
    let session = payload.session_id.as_deref().or(payload.thread_id.as_deref()).unwrap_or_default();
    let line = text::clean(&secrets::mask(&payload.line(event)), LINE);
    Some(Call { event, session: text::clean(session, 80), line, pids })
}

impl Payload<'_> {
    fn event(&self) -> Option<Event> {
        if self.kind.as_deref() == Some("agent-turn-complete") {
            return Some(Event::Stopped);
        }
        Some(match self.hook_event_name.as_deref()? {
            "SessionStart" => Event::SessionStarted,
            "SessionEnd" => Event::SessionEnded,
            "UserPromptSubmit" => Event::Prompted,
            "PreToolUse" | "PostToolUse" | "PostToolUseFailure" | "PostToolBatch" | "PreCompact" => {
                Event::Working
            }
            "PermissionRequest" if self.tool_name.as_deref() == Some("AskUserQuestion") => {
                Event::QuestionAsked
            }
            "PermissionRequest" => Event::PermissionAsked,
            "Elicitation" => Event::QuestionAsked,
            "Stop" if self.background_tasks.as_ref().is_some_and(|tasks| !tasks.is_empty()) => {
                Event::StoppedWithBackground
            }
            "Stop" => Event::Stopped,
            "Interrupt" => Event::Interrupted,
            "StopFailure" => match self.error.as_deref() {
                Some("authentication_failed" | "oauth_org_not_allowed") => Event::LoginNeeded,
                Some("rate_limit") if self.said().contains("limit ·") => Event::Limited,
                _ => Event::Failed,
            },
            "Notification" => match self.notification_type.as_deref()? {
                "permission_prompt" => Event::PermissionAsked,
                "elicitation_dialog" | "elicitation_url_dialog" | "agent_needs_input" => Event::QuestionAsked,
                _ => return None,
            },
            _ => return None,
        })
    }

    fn said(&self) -> &str {
        self.last_assistant_message.as_deref().or(self.message.as_deref()).unwrap_or_default()
    }

    fn line(&self, event: Event) -> String {
        match event {
            Event::PermissionAsked | Event::QuestionAsked => {
                let tool = self.tool_name.as_deref().unwrap_or_default();
                let about = self.tool_input.as_ref().and_then(about).unwrap_or(self.said());
                match (tool.is_empty(), about.is_empty()) {
                    (true, _) => about.to_owned(),
                    (false, true) => tool.to_owned(),
                    (false, false) => format!("{tool}: {about}"),
                }
            }
            Event::Failed | Event::Limited | Event::LoginNeeded => self.said().to_owned(),
            _ => String::new(),
        }
    }
}

/// Of a tool's input what a person would want to know.
fn about(input: &serde_json::Value) -> Option<&str> {
    let keys = ["command", "file_path", "path", "url", "query", "pattern", "prompt"];
    let plain = keys.iter().find_map(|key| input.get(key)?.as_str());
    plain.or_else(|| input.pointer("/questions/0/question")?.as_str())
}

impl Call {
    /// As it travels; nothing where it would be larger than a call may be.
    pub fn encode(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(self).ok().filter(|bytes| bytes.len() <= MAX_CALL)
    }

    /// What came in: anyone of this user can send there.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut call: Self = serde_json::from_slice(bytes).ok()?;
        call.session = text::clean(&call.session, 80);
        call.line = text::clean(&secrets::mask(&call.line), LINE);
        call.pids.truncate(ANCESTORS);
        Some(call)
    }
}

/// This process's ancestors, nearest first.
pub fn ancestors() -> Vec<u32> {
    let mut pids = Vec::new();
    let mut pid = std::process::id();
    while pids.len() < ANCESTORS
        && let Some(parent) = crate::procfs::stat(pid).map(|stat| stat.parent).filter(|parent| *parent > 1)
    {
        pids.push(parent);
        pid = parent;
    }
    pids
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn call(payload: &str) -> Option<(Event, String)> {
        read(payload.as_bytes(), vec![7]).map(|call| (call.event, call.line))
    }

    #[test]
    fn a_turn_by_its_hooks() {
        let event = |name: &str| {
            call(&format!(r#"{{"session_id":"s","hook_event_name":"{name}"}}"#)).map(|(event, _)| event)
        };
        assert_eq!(event("UserPromptSubmit"), Some(Event::Prompted));
        assert_eq!(event("PostToolUse"), Some(Event::Working));
        assert_eq!(event("Stop"), Some(Event::Stopped));
        assert_eq!(event("Interrupt"), Some(Event::Interrupted));
        assert_eq!(event("MessageDisplay"), None);
        assert_eq!(event("SomethingNew"), None);
        let background = r#"{"hook_event_name":"Stop","background_tasks":[{"id":1}]}"#;
        assert_eq!(call(background).unwrap().0, Event::StoppedWithBackground);
        assert_eq!(call(r#"{"type":"agent-turn-complete","thread-id":"t"}"#).unwrap().0, Event::Stopped);
    }

    #[test]
    fn what_is_asked_is_told_with_its_secrets_masked() {
        let asked = r#"{"hook_event_name":"PermissionRequest","tool_name":"Bash","tool_input":{"command":"curl -H 'Authorization: Bearer abcdefgh1234' x"}}"#;
        assert_eq!(
            call(asked),
            Some((Event::PermissionAsked, "Bash: curl -H 'Authorization: Bearer [masked]' x".to_owned()))
        );
        let question = r#"{"hook_event_name":"PermissionRequest","tool_name":"AskUserQuestion","tool_input":{"questions":[{"question":"Which colour?"}]}}"#;
        assert_eq!(call(question), Some((Event::QuestionAsked, "AskUserQuestion: Which colour?".to_owned())));
    }

    #[test]
    fn a_sub_agents_turn_is_not_the_agents_but_its_asking_is() {
        assert_eq!(call(r#"{"hook_event_name":"Stop","agent_id":"a"}"#), None);
        let asks = r#"{"hook_event_name":"PermissionRequest","agent_id":"a","tool_name":"Write","tool_input":{"file_path":"/x"}}"#;
        assert_eq!(call(asks), Some((Event::PermissionAsked, "Write: /x".to_owned())));
    }

    #[test]
    fn failures_have_their_kinds() {
        let failed = |error: &str, said: &str| {
            let line = format!(
                r#"{{"hook_event_name":"StopFailure","error":"{error}","last_assistant_message":"{said}"}}"#
            );
            call(&line).unwrap().0.stuck()
        };
        assert_eq!(failed("authentication_failed", "x"), Some(StuckKind::Login));
        assert_eq!(
            failed("rate_limit", "You've hit your 5-hour limit · resets 1pm (UTC)"),
            Some(StuckKind::UsageLimit)
        );
        assert_eq!(failed("rate_limit", "API Error: Request rejected (429)"), Some(StuckKind::Error));
    }

    #[test]
    fn a_call_travels_and_a_forged_one_is_made_harmless() {
        let call = read(br#"{"hook_event_name":"Stop","session_id":"s"}"#, vec![3, 4]).unwrap();
        assert_eq!(Call::decode(&call.encode().unwrap()), Some(call));
        let forged =
            r#"{"event":"failed","session":"s","line":"\u001b[2Jboo","pids":[1,2,3,4,5,6,7,8,9,10]}"#;
        let decoded = Call::decode(forged.as_bytes()).unwrap();
        assert_eq!((decoded.line.as_str(), decoded.pids.len()), ("[2Jboo", ANCESTORS));
        assert_eq!(Call::decode(b"nonsense"), None);
    }

    #[test]
    fn the_ancestors_begin_with_the_parent() {
        assert_eq!(ancestors().first().copied(), Some(std::os::unix::process::parent_id()));
    }

    proptest! {
        #[test]
        fn any_payload_is_an_answer_never_a_panic(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&payload, Vec::new());
            let _ = Call::decode(&payload);
        }
    }
}
