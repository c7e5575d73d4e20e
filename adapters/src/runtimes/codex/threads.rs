//! What Codex' daemon says of its threads, message by message. Pure: what is to be asked for comes back.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use fleet_domain::Wall;
use fleet_domain::observation::{NativeState, StuckKind};
use serde::Deserialize;

use crate::runtimes::live::{Conversation, InTheWay, Standing, merged};

/// More threads than this are not followed.
const MAX_THREADS: usize = 512;
const HELLO: u64 = 1;
const LOADED: u64 = 2;
const READ: u64 = 3;

#[derive(Debug, Default)]
pub(super) struct Threads {
    known: BTreeMap<String, Thread>,
}

#[derive(Debug)]
struct Thread {
    parent: Option<String>,
    directory: PathBuf,
    began: Option<SystemTime>,
    standing: Standing,
}

/// What follows a message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Next {
    /// To be sent.
    pub(super) ask: Vec<String>,
    /// The threads are not as they were.
    pub(super) changed: bool,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(default)]
    id: serde_json::Value,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(default)]
    params: Option<Params>,
    #[serde(default)]
    result: Option<Answer>,
    #[serde(default, rename = "emittedAtMs")]
    at: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Params {
    #[serde(default)]
    thread_id: Option<String>,
    #[serde(default)]
    status: Option<Status>,
    #[serde(default)]
    thread: Option<Info>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    data: Option<Vec<serde_json::Value>>,
    #[serde(default)]
    thread: Option<Info>,
}

/// Other messages have a status too, which is a word.
#[derive(Deserialize)]
#[serde(untagged)]
enum Status {
    #[serde(rename_all = "camelCase")]
    Thread {
        #[serde(rename = "type")]
        kind: String,
        #[serde(default)]
        active_flags: Vec<String>,
    },
    Other(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    id: String,
    #[serde(default)]
    cwd: PathBuf,
    /// Seconds since the epoch.
    #[serde(default)]
    created_at: Option<u64>,
    #[serde(default)]
    status: Option<Status>,
    /// What the daemon does for itself, like finding a title.
    #[serde(default)]
    ephemeral: bool,
    #[serde(default)]
    parent_thread_id: Option<String>,
}

/// The first thing to say. The name that a client gives stands in the daemon's own requests to the model from then on, so
/// it is that of its terminal, which stands there already: to be watched changes nothing.
pub(super) fn hello(version: &str) -> String {
    let client = serde_json::json!({"name": "codex-tui", "title": "Codex TUI", "version": version});
    request(HELLO, "initialize", &serde_json::json!({"clientInfo": client}))
}

fn request(id: u64, method: &str, params: &serde_json::Value) -> String {
    serde_json::json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
}

fn read(thread: &str) -> String {
    request(READ, "thread/read", &serde_json::json!({"threadId": thread, "includeTurns": false}))
}

impl Threads {
    /// Takes in a message. What the daemon asks of its clients is none of ours and gets no answer.
    pub(super) fn take(&mut self, message: &[u8]) -> Next {
        let Ok(message) = serde_json::from_slice::<Message<'_>>(message) else { return Next::default() };
        let at = message.at.map(Wall);
        match (message.method.as_deref(), message.params, message.result) {
            (None, _, Some(answer)) => match message.id.as_u64() {
                Some(HELLO) => Next { ask: loaded(), changed: false },
                Some(LOADED) => {
                    let ids = answer.data.unwrap_or_default();
                    let ask = ids.iter().filter_map(|id| id.as_str()).take(MAX_THREADS).map(read).collect();
                    Next { ask, changed: true }
                }
                Some(READ) => self.learn(answer.thread, None),
                _ => Next::default(),
            },
            (Some("thread/started"), Some(params), _) => self.learn(params.thread, at),
            (
                Some("thread/status/changed"),
                Some(Params { thread_id: Some(id), status: Some(status), .. }),
                _,
            ) => self.change(&id, &status, at),
            (Some("thread/closed" | "thread/deleted"), Some(Params { thread_id: Some(id), .. }), _) => {
                Next { ask: Vec::new(), changed: self.known.remove(&id).is_some() }
            }
            _ => Next::default(),
        }
    }

    fn learn(&mut self, info: Option<Info>, at: Option<Wall>) -> Next {
        let Some(info) = info.filter(|info| !info.ephemeral) else { return Next::default() };
        let Some(standing) = info.status.as_ref().and_then(|status| standing(status, at)) else {
            return Next::default();
        };
        if self.known.len() >= MAX_THREADS && !self.known.contains_key(&info.id) {
            return Next::default();
        }
        let since = info.created_at.map(Duration::from_secs);
        let thread = Thread {
            parent: info.parent_thread_id,
            directory: info.cwd,
            began: since.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since)),
            standing,
        };
        self.known.insert(info.id, thread);
        Next { ask: Vec::new(), changed: true }
    }

    fn change(&mut self, id: &str, status: &Status, at: Option<Wall>) -> Next {
        let Some(now) = standing(status, at) else {
            return Next { ask: Vec::new(), changed: self.known.remove(id).is_some() };
        };
        let Some(thread) = self.known.get_mut(id) else {
            // Ephemeral, or one that was loaded while nobody listened.
            return Next { ask: vec![read(id)], changed: false };
        };
        thread.standing = now;
        Next { ask: Vec::new(), changed: true }
    }

    /// Each conversation with what its sub-agents do: their asking is its own.
    pub(super) fn conversations(&self) -> Vec<Conversation> {
        let roots = self.known.iter().filter(|(_, thread)| thread.parent.is_none());
        roots
            .map(|(id, thread)| {
                let below =
                    self.known.iter().filter(|(other, _)| *other != id && self.root_of(other) == Some(id));
                let below: Vec<Standing> = below.map(|(_, child)| as_background(&child.standing)).collect();
                let all = std::iter::once(&thread.standing).chain(&below);
                Conversation {
                    id: id.clone(),
                    directory: Some(thread.directory.clone()),
                    began: thread.began,
                    standing: merged(all).unwrap_or_else(|| thread.standing.clone()),
                }
            })
            .collect()
    }

    fn root_of<'s>(&'s self, id: &'s str) -> Option<&'s String> {
        let (mut id, mut thread) = self.known.get_key_value(id)?;
        // As deep as anything sane goes; parents may be said to be each other's.
        for _ in 0..16 {
            let Some(parent) = &thread.parent else { return Some(id) };
            (id, thread) = self.known.get_key_value(parent)?;
        }
        None
    }
}

fn loaded() -> Vec<String> {
    let initialized = serde_json::json!({"jsonrpc": "2.0", "method": "initialized"}).to_string();
    vec![initialized, request(LOADED, "thread/loaded/list", &serde_json::json!({}))]
}

/// Of a sub-agent only that it asks or works concerns the conversation, and what it does goes on behind it.
fn as_background(child: &Standing) -> Standing {
    match child.state {
        NativeState::Busy | NativeState::Retrying => {
            Standing { state: NativeState::Background, ..child.clone() }
        }
        NativeState::TurnEnded => Standing { since: None, in_the_way: None, ..child.clone() },
        NativeState::Background | NativeState::Waiting => child.clone(),
    }
}

/// `None` for a thread that is not loaded, and for words that are not known yet. Why a turn failed stands in the rollout.
fn standing(status: &Status, since: Option<Wall>) -> Option<Standing> {
    let Status::Thread { kind, active_flags } = status else { return None };
    let asked = active_flags.iter().find_map(|flag| match flag.as_str() {
        "waitingOnApproval" => Some(StuckKind::Permission),
        "waitingOnUserInput" => Some(StuckKind::Question),
        _ => None,
    });
    let state = match (kind.as_str(), asked) {
        ("active", Some(_)) => NativeState::Waiting,
        ("active", None) => NativeState::Busy,
        ("idle" | "systemError", _) => NativeState::TurnEnded,
        _ => return None,
    };
    let in_the_way = asked.map(|kind| {
        let line = active_flags.join(" ");
        InTheWay { kind, line: fleet_domain::text::clean(&line, 80), until: None }
    });
    Some(Standing { state, since, line: String::new(), in_the_way })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const READ_ROOT: &str = r#"{"id":3,"result":{"thread":{"id":"a","ephemeral":false,"parentThreadId":null,"createdAt":1795283867,"status":{"type":"idle"},"path":"/h/rollout-a.jsonl","cwd":"/w","source":"vscode","turns":[]},"readState":{"revision":"x"}}}"#;

    fn changed(id: &str, status: &str) -> String {
        format!(
            r#"{{"method":"thread/status/changed","params":{{"threadId":"{id}","status":{status}}},"emittedAtMs":7}}"#
        )
    }

    fn said(threads: &Threads) -> Vec<(NativeState, Option<StuckKind>)> {
        let conversations = threads.conversations();
        let said = |one: &Conversation| {
            (one.standing.state, one.standing.in_the_way.as_ref().map(|blocked| blocked.kind))
        };
        conversations.iter().map(said).collect()
    }

    fn with_root() -> Threads {
        let mut threads = Threads::default();
        assert!(threads.take(READ_ROOT.as_bytes()).changed);
        threads
    }

    #[test]
    fn it_introduces_itself_then_asks_which_threads_there_are_and_reads_each() {
        let mut threads = Threads::default();
        let asked = threads.take(br#"{"id":1,"result":{"userAgent":"x","codexHome":"/h"}}"#).ask;
        assert!(asked[0].contains("initialized") && asked[1].contains("thread/loaded/list"), "{asked:?}");
        let asked = threads.take(br#"{"id":2,"result":{"data":["a","b"],"nextCursor":null}}"#).ask;
        assert!(asked.len() == 2 && asked[1].contains(r#""threadId":"b""#), "{asked:?}");
    }

    #[test]
    fn a_turn_asks_goes_on_and_ends() {
        let mut threads = with_root();
        assert_eq!(said(&threads), [(NativeState::TurnEnded, None)]);
        let asks = r#"{"type":"active","activeFlags":["waitingOnApproval"]}"#;
        for (status, state, kind) in [
            (r#"{"type":"active","activeFlags":[]}"#, NativeState::Busy, None),
            (asks, NativeState::Waiting, Some(StuckKind::Permission)),
            (r#"{"type":"active","activeFlags":["someday"]}"#, NativeState::Busy, None),
            (
                r#"{"type":"active","activeFlags":["waitingOnUserInput"]}"#,
                NativeState::Waiting,
                Some(StuckKind::Question),
            ),
            (r#"{"type":"systemError"}"#, NativeState::TurnEnded, None),
        ] {
            assert!(threads.take(changed("a", status).as_bytes()).changed, "{status}");
            assert_eq!(said(&threads), [(state, kind)]);
            assert_eq!(threads.conversations()[0].standing.since, Some(Wall(7)));
        }
        assert!(threads.take(changed("a", r#"{"type":"notLoaded"}"#).as_bytes()).changed);
        assert!(said(&threads).is_empty());
    }

    #[test]
    fn what_a_sub_agent_asks_its_conversation_asks_and_what_it_ended_it_did_not() {
        let mut threads = with_root();
        let child = READ_ROOT.replace(r#""id":"a""#, r#""id":"c""#);
        let child = child.replace(r#""parentThreadId":null"#, r#""parentThreadId":"a""#);
        threads.take(child.as_bytes());
        assert_eq!(said(&threads), [(NativeState::TurnEnded, None)]);
        threads.take(changed("c", r#"{"type":"active","activeFlags":[]}"#).as_bytes());
        assert_eq!(said(&threads), [(NativeState::Background, None)]);
        threads.take(changed("c", r#"{"type":"active","activeFlags":["waitingOnApproval"]}"#).as_bytes());
        assert_eq!(said(&threads), [(NativeState::Waiting, Some(StuckKind::Permission))]);
        threads.take(changed("c", r#"{"type":"idle"}"#).as_bytes());
        threads.take(changed("a", r#"{"type":"active","activeFlags":[]}"#).as_bytes());
        assert_eq!(said(&threads), [(NativeState::Busy, None)]);
    }

    #[test]
    fn what_the_daemon_does_for_itself_is_nobodys_and_what_it_asks_is_not_answered() {
        let mut threads = with_root();
        let title = r#"{"method":"thread/started","params":{"thread":{"id":"t","ephemeral":true,"cwd":"/w","status":{"type":"idle"}}}}"#;
        assert_eq!(threads.take(title.as_bytes()), Next::default());
        let unknown = threads.take(changed("t", r#"{"type":"active","activeFlags":[]}"#).as_bytes());
        assert!(!unknown.changed && unknown.ask[0].contains("thread/read"));
        let asks = br#"{"id":9,"method":"item/commandExecution/requestApproval","params":{"threadId":"a"}}"#;
        assert_eq!(threads.take(asks), Next::default());
        let other = br#"{"method":"remoteControl/status/changed","params":{"status":"disabled"}}"#;
        assert_eq!(threads.take(other), Next::default());
    }

    #[test]
    fn parents_of_each_other_are_no_trouble() {
        let mut threads = Threads::default();
        for (id, parent) in [("a", "b"), ("b", "a")] {
            let info = READ_ROOT.replace(r#""id":"a""#, &format!(r#""id":"{id}""#));
            let parent = format!(r#""parentThreadId":"{parent}""#);
            threads.take(info.replace(r#""parentThreadId":null"#, &parent).as_bytes());
        }
        assert!(threads.conversations().is_empty());
    }

    proptest! {
        #[test]
        fn any_message_is_an_answer_never_a_panic(at in 0..READ_ROOT.len(), with in any::<u8>()) {
            let mut message = READ_ROOT.as_bytes().to_vec();
            message[at] = with;
            let mut threads = Threads::default();
            threads.take(&message);
            threads.conversations();
        }
    }
}
