//! What opencode's server says of its sessions, event by event. Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use fleet_domain::observation::{NativeState, StuckKind};
use fleet_domain::{Wall, secrets, text};
use memchr::memmem;
use serde::Deserialize;

use crate::runtimes::live::{InTheWay, Standing};

/// More sessions and open questions than these are not followed.
const MAX: usize = 256;
const LINE: usize = 200;
/// A request that is sent again only after so long is one that a limit holds back.
const HELD_BACK: Duration = Duration::from_secs(600);
/// Of a limit, in the providers' words.
const LIMITS: [&str; 10] = [
    "exceeded your quota",
    "exceeded your current quota",
    "quota exceeded",
    "insufficient_quota",
    "usage limit",
    "hit your limit",
    "out of credits",
    "limit will reset",
    "free usage exceeded",
    "billing details",
];

/// All sessions of one process: sub-agents are sessions too, and their parent is as busy as they are.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    statuses: BTreeMap<String, Status>,
    /// Permissions and questions that are open, by their id.
    open: BTreeMap<String, (StuckKind, String)>,
    failed: Option<(String, InTheWay)>,
    since: Option<Wall>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Status {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    message: String,
    /// When it is sent again: milliseconds since the epoch.
    #[serde(default)]
    next: Option<i64>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default)]
    properties: Properties,
}

#[derive(Default, Deserialize)]
struct Properties {
    #[serde(default, rename = "sessionID")]
    session: Option<String>,
    #[serde(default, rename = "requestID")]
    request: Option<String>,
    #[serde(default)]
    status: Option<Status>,
    #[serde(default)]
    error: Option<Error>,
    #[serde(flatten)]
    asked: Asked,
}

/// A permission or a question.
#[derive(Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    permission: Option<String>,
    #[serde(default)]
    patterns: Vec<String>,
    #[serde(default)]
    metadata: Option<Metadata>,
    #[serde(default)]
    questions: Vec<Question>,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    command: Option<String>,
    #[serde(default)]
    filepath: Option<String>,
}

#[derive(Deserialize)]
struct Question {
    #[serde(default)]
    question: String,
}

#[derive(Deserialize)]
struct Error {
    #[serde(default)]
    name: String,
    #[serde(default)]
    data: Failure,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    #[serde(default)]
    message: String,
    #[serde(default)]
    status_code: Option<u16>,
}

impl Sessions {
    /// As `/session/status`, `/permission` and `/question` answer. What cannot be read counts as nothing.
    pub(super) fn begin(statuses: &[u8], permissions: &[u8], questions: &[u8]) -> Self {
        let mut sessions =
            Self { statuses: serde_json::from_slice(statuses).unwrap_or_default(), ..Self::default() };
        for (open, kind) in [(permissions, StuckKind::Permission), (questions, StuckKind::Question)] {
            let open: Vec<Asked> = serde_json::from_slice(open).unwrap_or_default();
            open.into_iter().for_each(|asked| sessions.ask(kind, asked));
        }
        sessions
    }

    /// Takes in an event of `now`; true when it says something of a turn, or that the server is there.
    pub(super) fn take(&mut self, event: &[u8], now: Wall) -> bool {
        // What is being written passes here by the word.
        let head = &event[..event.len().min(128)];
        let concerns = [&b"\"session."[..], b"\"permission.", b"\"question.", b"\"server."];
        if !concerns.iter().any(|word| memmem::find(head, word).is_some()) {
            return false;
        }
        let Ok(Event { kind, properties }) = serde_json::from_slice::<Event<'_>>(event) else { return false };
        let before = self.state();
        match (kind.as_ref(), properties) {
            ("session.status", Properties { session: Some(session), status: Some(status), .. }) => {
                self.turn(session, status);
            }
            ("session.idle", Properties { session: Some(session), .. }) => {
                drop(self.statuses.remove(&session))
            }
            ("session.deleted", Properties { session: Some(session), .. }) => {
                self.statuses.remove(&session);
                self.failed.take_if(|(failed, _)| *failed == session);
            }
            ("session.error", Properties { session, error: Some(error), .. }) => {
                self.failed = failure(&error).map(|failure| (session.unwrap_or_default(), failure));
            }
            ("permission.asked" | "permission.updated", Properties { asked, .. }) => {
                self.ask(StuckKind::Permission, asked);
            }
            ("question.asked", Properties { asked, .. }) => self.ask(StuckKind::Question, asked),
            (
                "permission.replied" | "question.replied" | "question.rejected",
                Properties { request: Some(request), .. },
            ) => drop(self.open.remove(&request)),
            ("server.heartbeat", _) => return true,
            _ => return false,
        }
        if self.state() != before {
            self.since = Some(now);
        }
        true
    }

    fn turn(&mut self, session: String, status: Status) {
        if status.kind == "idle" {
            self.statuses.remove(&session);
            return;
        }
        // Whatever failed before, somebody went on.
        self.failed = None;
        if self.statuses.len() < MAX || self.statuses.contains_key(&session) {
            self.statuses.insert(session, status);
        }
    }

    fn ask(&mut self, kind: StuckKind, asked: Asked) {
        let line = asked.line();
        if let Some(id) = asked.id.filter(|_| self.open.len() < MAX) {
            self.open.insert(id, (kind, line));
        }
    }

    fn state(&self) -> NativeState {
        if !self.open.is_empty() {
            return NativeState::Waiting;
        }
        match self.statuses.values().map(|status| status.kind.as_str()).max() {
            Some("retry") => NativeState::Retrying,
            Some(_) => NativeState::Busy,
            None => NativeState::TurnEnded,
        }
    }

    pub(super) fn standing(&self, now: Wall) -> Standing {
        let state = self.state();
        let retries = || self.statuses.values().find(|status| status.kind == "retry");
        let in_the_way = match state {
            NativeState::Waiting => self.open.values().next().map(|(kind, line)| InTheWay {
                kind: *kind,
                line: line.clone(),
                until: None,
            }),
            NativeState::Retrying => retries().and_then(|status| held_back(status, now)),
            _ => self.failed.as_ref().map(|(_, failure)| failure.clone()),
        };
        let line = retries().filter(|_| state == NativeState::Retrying).map(|status| said(&status.message));
        Standing { state, since: self.since, line: line.unwrap_or_default(), in_the_way }
    }
}

impl Asked {
    fn line(&self) -> String {
        let about = self
            .metadata
            .as_ref()
            .and_then(|metadata| metadata.command.as_ref().or(metadata.filepath.as_ref()))
            .or(self.patterns.first())
            .or(self.questions.first().map(|question| &question.question));
        let about = about.map(String::as_str).unwrap_or_default();
        said(&match &self.permission {
            Some(permission) if about.is_empty() => permission.clone(),
            Some(permission) => format!("{permission}: {about}"),
            None => about.to_owned(),
        })
    }
}

fn said(words: &str) -> String {
    text::clean(&secrets::mask(words), LINE)
}

fn names_a_limit(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    LIMITS.iter().any(|limit| words.contains(limit))
}

/// It goes on trying, but nothing will come of it for a while.
fn held_back(status: &Status, now: Wall) -> Option<InTheWay> {
    let next = status.next.map(Wall).filter(|next| *next > now.plus(HELD_BACK));
    if next.is_none() && !names_a_limit(&status.message) {
        return None;
    }
    Some(InTheWay { kind: StuckKind::UsageLimit, line: said(&status.message), until: next })
}

/// Why a turn ended; nothing where somebody broke it off.
fn failure(error: &Error) -> Option<InTheWay> {
    let Failure { message, status_code } = &error.data;
    let kind = match (error.name.as_str(), status_code) {
        ("MessageAbortedError", _) => return None,
        ("ProviderAuthError", _) | (_, Some(401 | 403)) => StuckKind::Login,
        ("ContextOverflowError", _) => StuckKind::ContextFull,
        _ if names_a_limit(message) => StuckKind::UsageLimit,
        _ => StuckKind::Error,
    };
    let line = if message.is_empty() { said(&error.name) } else { said(message) };
    Some(InTheWay { kind, line, until: None })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Wall = Wall(1_795_283_950_000);
    const ASKED: &str = r#"{"id":"evt_1","type":"permission.asked","properties":{"id":"per_1","sessionID":"ses_1","permission":"bash","patterns":["touch x"],"metadata":{"command":"touch x && curl -H 'Authorization: Bearer abcdefgh1234' y"},"always":["touch *"],"tool":{"messageID":"m","callID":"c"}}}"#;
    const QUESTION: &str = r#"{"id":"evt_2","type":"question.asked","properties":{"id":"que_1","sessionID":"ses_1","questions":[{"question":"Which colour?","header":"Colour","options":[]}]}}"#;

    fn status(session: &str, status: &str) -> String {
        format!(
            r#"{{"id":"e","type":"session.status","properties":{{"sessionID":"{session}","status":{status}}}}}"#
        )
    }

    fn error(error: &str) -> String {
        format!(r#"{{"id":"e","type":"session.error","properties":{{"sessionID":"ses_1","error":{error}}}}}"#)
    }

    fn after(events: &[&str]) -> Standing {
        let mut sessions = Sessions::default();
        for event in events {
            sessions.take(event.as_bytes(), NOW);
        }
        sessions.standing(NOW)
    }

    fn kind(standing: &Standing) -> Option<StuckKind> {
        standing.in_the_way.as_ref().map(|blocked| blocked.kind)
    }

    #[test]
    fn a_turn_asks_goes_on_and_ends() {
        let busy = status("ses_1", r#"{"type":"busy"}"#);
        let idle = status("ses_1", r#"{"type":"idle"}"#);
        assert_eq!(after(&[]).state, NativeState::TurnEnded);
        let turn = after(&[&busy]);
        assert_eq!((turn.state, turn.since), (NativeState::Busy, Some(NOW)));
        let asks = after(&[&busy, ASKED]);
        assert_eq!((asks.state, kind(&asks)), (NativeState::Waiting, Some(StuckKind::Permission)));
        let line = &asks.in_the_way.unwrap().line;
        assert_eq!(line, "bash: touch x && curl -H 'Authorization: Bearer [masked]' y");
        let replied = r#"{"type":"permission.replied","properties":{"sessionID":"ses_1","requestID":"per_1","reply":"reject"}}"#;
        assert_eq!(after(&[&busy, ASKED, replied]).state, NativeState::Busy);
        assert_eq!(after(&[&busy, ASKED, replied, &idle]).state, NativeState::TurnEnded);
        let question = after(&[&busy, QUESTION]);
        assert_eq!(kind(&question), Some(StuckKind::Question));
        assert_eq!(question.in_the_way.unwrap().line, "Which colour?");
    }

    #[test]
    fn a_sub_agents_end_is_not_the_turns() {
        let (parent, child) = (status("ses_1", r#"{"type":"busy"}"#), status("ses_2", r#"{"type":"busy"}"#));
        let ended = r#"{"type":"session.idle","properties":{"sessionID":"ses_2"}}"#;
        assert_eq!(after(&[&parent, &child, ended]).state, NativeState::Busy);
    }

    #[test]
    fn a_request_is_sent_again_unless_a_limit_holds_it_back() {
        let retry = |message: &str, next: i64| {
            after(&[&status(
                "ses_1",
                &format!(r#"{{"type":"retry","attempt":1,"message":"{message}","next":{next}}}"#),
            )])
        };
        let again = retry("Rate limit reached for stub-model", NOW.0 + 3_000);
        assert_eq!((again.state, kind(&again)), (NativeState::Retrying, None));
        assert_eq!(again.line, "Rate limit reached for stub-model");
        let limited = retry("You exceeded your current quota, please check your plan.", NOW.0 + 3_000);
        assert_eq!(kind(&limited), Some(StuckKind::UsageLimit));
        let later = NOW.0 + 3_600_000;
        let held = retry("Too many requests", later);
        assert_eq!(held.in_the_way.unwrap().until, Some(Wall(later)));
    }

    #[test]
    fn failures_have_their_kinds_and_the_next_turn_ends_them() {
        let failed = |text: &str| after(&[&error(text)]);
        let unauthorized =
            failed(r#"{"name":"APIError","data":{"message":"Incorrect API key","statusCode":401}}"#);
        assert_eq!(
            (unauthorized.state, kind(&unauthorized)),
            (NativeState::TurnEnded, Some(StuckKind::Login))
        );
        let plain = r#"{"name":"APIError","data":{"message":"stub: bad request","statusCode":400}}"#;
        assert_eq!(kind(&failed(plain)), Some(StuckKind::Error));
        assert_eq!(kind(&failed(r#"{"name":"MessageAbortedError","data":{"message":"Aborted"}}"#)), None);
        assert_eq!(failed(r#"{"name":"Strange"}"#).in_the_way.unwrap().line, "Strange");
        let idle = status("ses_1", r#"{"type":"idle"}"#);
        assert_eq!(kind(&after(&[&error(plain), &idle])), Some(StuckKind::Error));
        let busy = status("ses_1", r#"{"type":"busy"}"#);
        assert_eq!(kind(&after(&[&error(plain), &busy, &idle])), None);
    }

    #[test]
    fn it_begins_with_what_holds_already() {
        let statuses = br#"{"ses_1":{"type":"busy"}}"#;
        let permissions =
            br#"[{"id":"per_1","sessionID":"ses_1","permission":"edit","metadata":{"filepath":"a.rs"}}]"#;
        let standing = Sessions::begin(statuses, permissions, b"[]").standing(NOW);
        assert_eq!((standing.state, standing.since), (NativeState::Waiting, None));
        assert_eq!(standing.in_the_way.unwrap().line, "edit: a.rs");
        assert_eq!(Sessions::begin(statuses, b"?", b"").standing(NOW).state, NativeState::Busy);
    }

    #[test]
    fn what_is_being_written_is_not_looked_into() {
        let mut sessions = Sessions::default();
        let part = r#"{"id":"e","type":"message.part.updated","properties":{"text":"\"session.status\""}}"#;
        assert!(!sessions.take(part.as_bytes(), NOW));
        assert!(sessions.take(br#"{"type":"server.heartbeat","properties":{}}"#, NOW));
    }

    proptest! {
        #[test]
        fn any_event_is_an_answer_never_a_panic(at in 0..ASKED.len(), with in any::<u8>()) {
            let mut event = ASKED.as_bytes().to_vec();
            event[at] = with;
            let mut sessions = Sessions::default();
            sessions.take(&event, NOW);
            sessions.standing(NOW);
        }
    }
}
