//! A pi session file, pure. Entries form a tree, and every branch was paid for, so position in it does not matter.
//! A fork copies entries as they are: an entry's id, time and response make its identity.

use std::borrow::Cow;

use fleet_domain::SessionId;
use fleet_domain::price::Money;
use fleet_domain::text;
use fleet_domain::time::Wall;
use fleet_domain::usage::{Record, Terms, Tokens};
use memchr::memmem;
use serde::{Deserialize, Serialize};

use crate::runtimes::usage::{Fingerprint, Line};

/// Reads one session file, line after line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reader {
    #[serde(rename = "s")]
    session: String,
    /// Of entries that name none of their own, such as a compaction's.
    #[serde(rename = "m")]
    model: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    timestamp: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    model_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    message: Option<Message<'a>>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    #[serde(borrow, default)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    response_model: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    response_id: Option<Cow<'a, str>>,
    #[serde(default)]
    usage: Option<Usage>,
}

/// Input excludes cache, output includes reasoning, `cache_write` includes what is kept for an hour.
#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "camelCase")]
struct Usage {
    #[serde(default)]
    input: Option<u64>,
    #[serde(default)]
    output: Option<u64>,
    #[serde(default)]
    cache_read: Option<u64>,
    #[serde(default)]
    cache_write: Option<u64>,
    #[serde(default, rename = "cacheWrite1h")]
    cache_write_1h: Option<u64>,
    #[serde(default)]
    reasoning: Option<u64>,
    #[serde(default)]
    cost: Option<Cost>,
}

/// US dollars, by pi's own prices or the provider's word.
#[derive(Deserialize, Clone, Copy)]
struct Cost {
    #[serde(default)]
    total: Option<f64>,
}

impl Usage {
    /// pi counts with nothing where it knows no price.
    fn reported(self) -> Option<Money> {
        self.cost.and_then(|cost| cost.total).filter(|usd| *usd > 0.0).and_then(Money::from_usd)
    }

    fn tokens(self) -> Tokens {
        let written = self.cache_write.unwrap_or(0);
        let hour = self.cache_write_1h.unwrap_or(0).min(written);
        Tokens {
            input: self.input.unwrap_or(0),
            cache_read: self.cache_read.unwrap_or(0),
            cache_write_5m: written - hour,
            cache_write_1h: hour,
            output: self.output.unwrap_or(0),
            reasoning: self.reasoning.unwrap_or(0),
        }
    }
}

impl Reader {
    pub fn new() -> Self {
        Self::default()
    }

    /// What must be remembered beside the position.
    pub fn state(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(self).ok()
    }

    pub fn resume(state: &[u8]) -> Option<Self> {
        serde_json::from_slice(state).ok()
    }

    pub fn line(&mut self, line: &[u8], emit: &mut dyn FnMut(Record)) -> Line {
        const WORDS: [&[u8]; 3] = [b"\"usage\"", b"\"session\"", b"\"model_change\""];
        if !WORDS.iter().any(|word| memmem::find(line, word).is_some()) {
            return Line::Understood;
        }
        let Ok(entry) = serde_json::from_slice::<Entry<'_>>(line) else { return Line::Unreadable };
        match entry.kind.as_deref() {
            Some("session") => self.session = text::clean(entry.id.as_deref().unwrap_or_default(), 128),
            Some("model_change") => self.speaks(entry.model_id.as_deref()),
            Some(_) => return self.entry(&entry, line, emit),
            None => {}
        }
        Line::Understood
    }

    fn speaks(&mut self, model: Option<&str>) {
        if let Some(model) = model.filter(|model| !model.is_empty()) {
            self.model = text::clean(model, 100);
        }
    }

    /// Answers, tools that call a model, cache warming, compactions and branch summaries, each with a usage of its own.
    fn entry(&mut self, entry: &Entry<'_>, line: &[u8], emit: &mut dyn FnMut(Record)) -> Line {
        let message = entry.message.as_ref();
        let said = message.and_then(|message| message.response_model.as_deref().or(message.model.as_deref()));
        let Some(usage) = message.map_or(entry.usage, |message| message.usage) else {
            return Line::Understood;
        };
        let tokens = usage.tokens();
        if tokens.is_zero() {
            return Line::Understood;
        }
        let Some(at) = entry.timestamp.as_deref().and_then(Wall::parse_rfc3339) else {
            return Line::Unreadable;
        };
        let model = said.or(entry.model.as_deref()).unwrap_or(&self.model);
        emit(Record {
            id: identity(entry, at, line),
            conversation: SessionId::new(&self.session),
            model: text::clean(model, 100),
            at,
            tokens,
            sidechain: false,
            terms: Terms::default(),
            reported: usage.reported(),
        });
        Line::Understood
    }
}

fn identity(entry: &Entry<'_>, at: Wall, line: &[u8]) -> String {
    let response = entry.message.as_ref().and_then(|message| message.response_id.as_deref());
    match (entry.id.as_deref(), response) {
        (None | Some(""), None) => format!("pi:{}:{:016x}", at.0, Fingerprint::EMPTY.with(line).0),
        (id, response) => {
            let id = text::clean(id.unwrap_or_default(), 64);
            format!("pi:{id}:{}:{}", at.0, text::clean(response.unwrap_or_default(), 128))
        }
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
