//! A Codex rollout, pure. New versions write one `token_usage_record` a response; older ones only the thread's
//! cumulative counters (`token_count`), which repeat, reset, and are copied into forks.
//!
//! A counter has no identity of its own, so it gets one from what led to it: the thread that the lineage began with,
//! and a chain over all counted vectors up to it. The copied beginning of a fork has the same chain as its parent's and
//! as its siblings', in whatever order, and whether or not the parent's file is still there; it counts once for that.

mod counters;

use std::borrow::Cow;

use fleet_domain::SessionId;
use fleet_domain::text;
use fleet_domain::time::Wall;
use fleet_domain::usage::{Record, Terms, Tokens};
use memchr::memmem;
use serde::{Deserialize, Serialize};

use crate::runtimes::usage::Line;
use counters::{Counters, Vector};

/// The longest identity that is taken over, in bytes.
const MAX_ID: usize = 128;
/// A state that would not fit beside a position is not kept; the file is then read again from its start.
const MAX_STATE: usize = 900;

/// Reads one rollout, line after line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reader {
    #[serde(rename = "t")]
    thread: String,
    #[serde(rename = "m")]
    model: String,
    /// Responses have records of their own here: counters say nothing more.
    #[serde(rename = "x")]
    exact: bool,
    #[serde(rename = "c")]
    counters: Counters,
}

#[derive(Deserialize)]
struct Row<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    timestamp: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    payload: Option<Payload<'a>>,
}

/// The fields of all payloads that matter; each kind has its own few.
#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    forked_from_id: Option<Cow<'a, str>>,
    #[serde(default)]
    history_base: Option<serde::de::IgnoredAny>,
    #[serde(borrow, default)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    thread_settings: Option<Settings<'a>>,
    #[serde(borrow, default)]
    thread_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    response_id: Option<Cow<'a, str>>,
    #[serde(default)]
    usage: Option<Usage>,
    #[serde(default)]
    thread_token_usage: Option<Usage>,
    #[serde(default)]
    info: Option<Info>,
}

#[derive(Deserialize)]
struct Settings<'a> {
    #[serde(borrow, default)]
    model: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Info {
    #[serde(default)]
    total_token_usage: Option<Usage>,
    #[serde(default)]
    last_token_usage: Option<Usage>,
}

#[derive(Deserialize, Clone, Copy)]
struct Usage {
    #[serde(default)]
    input_tokens: Option<u64>,
    #[serde(default)]
    cached_input_tokens: Option<u64>,
    #[serde(default)]
    cache_write_input_tokens: Option<u64>,
    #[serde(default)]
    output_tokens: Option<u64>,
    #[serde(default)]
    reasoning_output_tokens: Option<u64>,
}

impl Usage {
    fn vector(self) -> Vector {
        Vector(
            [
                self.input_tokens,
                self.cached_input_tokens,
                self.cache_write_input_tokens,
                self.output_tokens,
                self.reasoning_output_tokens,
            ]
            .map(Option::unwrap_or_default),
        )
    }
}

impl Vector {
    /// Codex counts both cache kinds within the input.
    fn tokens(self) -> Tokens {
        let [input, cached, written, output, reasoning] = self.0;
        Tokens {
            input: input.saturating_sub(cached).saturating_sub(written),
            cache_read: cached,
            cache_write_5m: written,
            cache_write_1h: 0,
            output,
            reasoning,
        }
    }
}

impl Reader {
    pub fn new() -> Self {
        Self::default()
    }

    /// A reader for a thread whose lineage is known to begin at `root`, where the file itself names only its parent.
    pub fn of_lineage(root: &str) -> Self {
        Self { counters: Counters::of_lineage(id(root)), ..Self::default() }
    }

    /// What must be remembered beside the position; `None` where it cannot be.
    pub fn state(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(self).ok().filter(|state| state.len() <= MAX_STATE)
    }

    pub fn resume(state: &[u8]) -> Option<Self> {
        serde_json::from_slice(state).ok()
    }

    pub fn line(&mut self, line: &[u8], emit: &mut dyn FnMut(Record)) -> Line {
        if !may_matter(line) {
            return Line::Understood;
        }
        let Ok(row) = serde_json::from_slice::<Row<'_>>(line) else { return Line::Unreadable };
        let Some(payload) = &row.payload else { return Line::Understood };
        let at = row.timestamp.as_deref().and_then(Wall::parse_rfc3339);
        match (row.kind.as_deref(), payload.kind.as_deref()) {
            (Some("session_meta"), _) => self.meta(payload),
            (Some("turn_context"), _) => self.speaks(payload.model.as_deref()),
            (Some("event_msg"), Some("thread_settings_applied")) => {
                self.speaks(payload.thread_settings.as_ref().and_then(|settings| settings.model.as_deref()));
            }
            (Some("token_usage_record"), _) => return self.response(payload, at, emit),
            (Some("event_msg"), Some("token_count")) => return self.counter(payload, at, emit),
            _ => {}
        }
        Line::Understood
    }

    /// The first is the thread's own; those after it are the ancestors that a fork's copy begins with.
    fn meta(&mut self, payload: &Payload<'_>) {
        let own = payload.id.as_deref().map(id).unwrap_or_default();
        if self.thread.is_empty() {
            self.thread.clone_from(&own);
        }
        // A paginated fork copies nothing, so nothing of it can be somebody else's.
        let copies = payload.history_base.is_none();
        let parent = payload.forked_from_id.as_deref().map(id).filter(|_| copies);
        self.counters.meta(parent.unwrap_or(own), !copies);
    }

    fn speaks(&mut self, model: Option<&str>) {
        if let Some(model) = model.filter(|model| !model.is_empty()) {
            self.model = text::clean(model, 100);
        }
    }

    fn response(&mut self, payload: &Payload<'_>, at: Option<Wall>, emit: &mut dyn FnMut(Record)) -> Line {
        let (Some(usage), Some(response), Some(at)) = (payload.usage, payload.response_id.as_deref(), at)
        else {
            return Line::Unreadable;
        };
        let thread = payload.thread_id.as_deref().map_or_else(|| self.thread.clone(), id);
        // Where a counter of this very response came first, the two are one.
        let counted = payload.thread_token_usage.filter(|_| !self.exact);
        let known = counted.and_then(|total| self.counters.identity_at(total.vector()));
        let id = known.unwrap_or_else(|| format!("codex:{thread}:{}", id(response)));
        self.exact = true;
        emit(self.record(id, &thread, usage.vector(), at));
        Line::Understood
    }

    fn counter(&mut self, payload: &Payload<'_>, at: Option<Wall>, emit: &mut dyn FnMut(Record)) -> Line {
        let Some(info) = payload.info.as_ref().filter(|_| !self.exact) else { return Line::Understood };
        let (Some(total), Some(at)) = (info.total_token_usage, at) else { return Line::Unreadable };
        let last = info.last_token_usage.map(Usage::vector).unwrap_or_default();
        if let Some((identity, spent)) = self.counters.count(total.vector(), last) {
            emit(self.record(identity, &self.thread, spent, at));
        }
        Line::Understood
    }

    fn record(&self, id: String, thread: &str, spent: Vector, at: Wall) -> Record {
        Record {
            id,
            conversation: SessionId::new(thread),
            model: self.model.clone(),
            at,
            tokens: spent.tokens(),
            sidechain: false,
            terms: Terms::default(),
            reported: None,
        }
    }
}

/// A thread's own sum at one of its responses; a fork's begins with its parent's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub thread: String,
    pub before: Tokens,
    pub after: Tokens,
}

/// `None` for every row but a response's own record.
pub fn told(line: &[u8]) -> Option<Told> {
    memmem::find(line, b"\"thread_token_usage\"")?;
    let row: Row<'_> = serde_json::from_slice(line).ok()?;
    let payload = row.payload.filter(|_| row.kind.as_deref() == Some("token_usage_record"))?;
    let (usage, sum) = (payload.usage?.vector().tokens(), payload.thread_token_usage?.vector().tokens());
    let mut before = sum;
    before.subtract(&usage);
    Some(Told { thread: payload.thread_id.as_deref().map(id)?, before, after: sum })
}

/// Skips lines that can hold nothing wanted; never decides what a line says.
fn may_matter(line: &[u8]) -> bool {
    const WORDS: [&[u8]; 5] = [
        b"\"token_usage_record\"",
        b"\"token_count\"",
        b"\"turn_context\"",
        b"\"session_meta\"",
        b"\"thread_settings_applied\"",
    ];
    WORDS.iter().any(|word| memmem::find(line, word).is_some())
}

fn id(text: &str) -> String {
    text::clean(text, MAX_ID)
}

#[cfg(test)]
#[path = "rollout_tests.rs"]
mod tests;
