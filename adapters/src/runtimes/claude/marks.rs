//! Rows of a Claude Code transcript that bill nothing, and bound what was billed: the process's own sums at its exit,
//! and where a conversation was compacted (by calls that no transcript holds).

use std::borrow::Cow;
use std::collections::BTreeMap;

use fleet_domain::SessionId;
use fleet_domain::reconcile::Told;
use fleet_domain::text;
use fleet_domain::time::Wall;
use fleet_domain::usage::{Record, Tokens};
use memchr::memmem;
use serde::{Deserialize, Serialize};

use super::transcript;

/// More models than anybody uses in one session.
const MAX_MODELS: usize = 64;

#[derive(Debug, Clone, PartialEq)]
pub enum Mark {
    Sums(Sums),
    Compacted(Compacted),
}

/// Cumulative over the session with its sub-agents, compactions and titles, and over resumes; a fork begins with its
/// parent's. Written at the process's exit only, and not after a crash.
#[derive(Debug, Clone, PartialEq)]
pub struct Sums {
    pub conversation: SessionId,
    pub by_model: BTreeMap<String, Tokens>,
    /// US dollars, by the runtime's own prices.
    pub cost_usd: f64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compacted {
    pub at: Option<Wall>,
    /// Somebody asked for it; else it came by itself.
    pub manual: bool,
    /// Tokens of context before and after.
    pub before: Option<u64>,
    pub after: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    subtype: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    session_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    timestamp: Option<Cow<'a, str>>,
    #[serde(default, rename = "totalCostUSD")]
    total_cost_usd: Option<f64>,
    #[serde(default)]
    model_usage: BTreeMap<String, ModelUsage>,
    #[serde(borrow, default)]
    compact_metadata: Option<CompactMetadata<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct ModelUsage {
    input_tokens: u64,
    output_tokens: u64,
    thinking_tokens: u64,
    cache_read_input_tokens: u64,
    cache_creation_input_tokens: u64,
    #[serde(rename = "cacheCreationEphemeral1hInputTokens")]
    hour: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CompactMetadata<'a> {
    #[serde(borrow, default)]
    trigger: Option<Cow<'a, str>>,
    #[serde(default)]
    pre_tokens: Option<u64>,
    #[serde(default)]
    post_tokens: Option<u64>,
}

/// What the rows so far say of how the process's own sum is to be read; remembered beside the position.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Input, cache read, both cache writes, output, reasoning of the responses that a fork copied.
    #[serde(rename = "i")]
    inherited: [u64; 6],
    /// The last of them: each stands in several rows that follow each other.
    #[serde(rename = "l")]
    last: String,
    #[serde(rename = "c")]
    compactions: u64,
    #[serde(rename = "s")]
    interactive: bool,
}

impl Bounds {
    pub fn state(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(self).ok()
    }

    /// As at the beginning for what another version remembered.
    pub fn resume(state: &[u8]) -> Self {
        serde_json::from_slice(state).unwrap_or_default()
    }

    /// What the process says that the conversation used, where this row says it.
    pub fn line(&mut self, line: &[u8]) -> Option<Told> {
        self.interactive = self.interactive || is_interactive(line);
        if memmem::find(line, b"\"requestSessionId\"").is_some()
            && let transcript::Row::Response(record) = transcript::parse(line)
        {
            self.copied(&record);
        }
        match parse(line)? {
            Mark::Compacted(_) => self.compactions += 1,
            Mark::Sums(sums) => {
                let mut sum = Tokens::default();
                sums.by_model.values().for_each(|of| sum.add(of));
                return Some(Told {
                    conversation: sums.conversation.to_string(),
                    sum,
                    inherited: self.inherited(),
                    compactions: self.compactions,
                    interactive: self.interactive,
                });
            }
        }
        None
    }

    /// Copied rows, and only they, name who paid.
    fn copied(&mut self, record: &Record) {
        if self.last == record.id {
            return;
        }
        self.last.clone_from(&record.id);
        let mut inherited = self.inherited();
        inherited.add(&record.tokens);
        let Tokens { input, cache_read, cache_write_5m, cache_write_1h, output, reasoning } = inherited;
        self.inherited = [input, cache_read, cache_write_5m, cache_write_1h, output, reasoning];
    }

    fn inherited(&self) -> Tokens {
        let [input, cache_read, cache_write_5m, cache_write_1h, output, reasoning] = self.inherited;
        Tokens { input, cache_read, cache_write_5m, cache_write_1h, output, reasoning }
    }
}

/// `None` for every other row, and for what cannot be read.
pub fn parse(line: &[u8]) -> Option<Mark> {
    let sums = memmem::find(line, b"\"cost-state\"").is_some();
    if !sums && memmem::find(line, b"\"compact_boundary\"").is_none() {
        return None;
    }
    let row: Row<'_> = serde_json::from_slice(line).ok()?;
    match (row.kind.as_deref(), row.subtype.as_deref()) {
        (Some("cost-state"), _) => Some(Mark::Sums(Sums {
            conversation: SessionId::new(row.session_id.as_deref().unwrap_or_default()),
            by_model: row.model_usage.into_iter().take(MAX_MODELS).map(by_model).collect(),
            cost_usd: row.total_cost_usd.filter(|cost| cost.is_finite()).unwrap_or(0.0),
        })),
        (Some("system"), Some("compact_boundary")) => {
            let metadata = row.compact_metadata;
            Some(Mark::Compacted(Compacted {
                at: row.timestamp.as_deref().and_then(Wall::parse_rfc3339),
                manual: metadata.as_ref().is_some_and(|data| data.trigger.as_deref() == Some("manual")),
                before: metadata.as_ref().and_then(|data| data.pre_tokens),
                after: metadata.as_ref().and_then(|data| data.post_tokens),
            }))
        }
        _ => None,
    }
}

/// The row is of a session that somebody sits before.
pub fn is_interactive(line: &[u8]) -> bool {
    memmem::find(line, b"\"entrypoint\":\"cli\"").is_some()
}

fn by_model((model, usage): (String, ModelUsage)) -> (String, Tokens) {
    let hour = usage.hour.min(usage.cache_creation_input_tokens);
    let tokens = Tokens {
        input: usage.input_tokens,
        cache_read: usage.cache_read_input_tokens,
        cache_write_5m: usage.cache_creation_input_tokens - hour,
        cache_write_1h: hour,
        output: usage.output_tokens,
        reasoning: usage.thinking_tokens,
    };
    (text::clean(&model, 100), tokens)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SUMS: &str = r#"{"type":"cost-state","sessionId":"s","totalCostUSD":0.044496,"modelUsage":{"claude-sonnet-5":{"inputTokens":183,"outputTokens":1323,"thinkingTokens":0,"cacheReadInputTokens":123000,"cacheCreationInputTokens":1800,"cacheCreationEphemeral5mInputTokens":600,"cacheCreationEphemeral1hInputTokens":1200,"webSearchRequests":0,"costUSD":0.044496}},"hasUnknownModelCost":false}"#;
    const BOUNDARY: &str = r#"{"type":"system","subtype":"compact_boundary","timestamp":"2026-11-21T10:00:00Z","compactMetadata":{"trigger":"manual","preTokens":24000,"postTokens":900,"durationMs":12}}"#;

    #[test]
    fn sums_at_exit_are_read_by_model() {
        let Some(Mark::Sums(sums)) = parse(SUMS.as_bytes()) else { panic!() };
        let expected = Tokens {
            input: 183,
            cache_read: 123_000,
            cache_write_5m: 600,
            cache_write_1h: 1200,
            output: 1323,
            reasoning: 0,
        };
        assert_eq!(sums.by_model.into_iter().collect::<Vec<_>>(), [("claude-sonnet-5".to_owned(), expected)]);
    }

    #[test]
    fn a_compaction_tells_what_it_made_of_what() {
        let Some(Mark::Compacted(compacted)) = parse(BOUNDARY.as_bytes()) else { panic!() };
        assert_eq!((compacted.manual, compacted.before, compacted.after), (true, Some(24_000), Some(900)));
        assert_eq!(parse(br#"{"type":"user","message":"\"cost-state\""}"#), None);
    }

    proptest! {
        #[test]
        fn any_damage_is_an_answer_never_a_panic(at in 0..SUMS.len(), with in any::<u8>()) {
            let mut line = SUMS.as_bytes().to_vec();
            line[at] = with;
            let _ = parse(&line);
        }
    }
}
