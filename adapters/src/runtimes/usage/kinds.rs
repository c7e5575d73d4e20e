//! Rows that speak of tokens and are of a kind that this version does not know: perhaps a newer runtime bills by them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use fleet_domain::text;
use memchr::memmem::Finder;
use serde::Deserialize;

use crate::runtimes::{claude, codex, gemini, pi};

#[derive(Deserialize)]
struct Row<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
}

/// Every line of a scanned tree is searched for these.
static WORDS: LazyLock<[Finder<'static>; 2]> =
    LazyLock::new(|| [Finder::new("okens\""), Finder::new("\"usage\"")]);
/// More kinds than any runtime ever added.
const MAX_KINDS: usize = 100;

/// How many rows of each kind that is not known here; those beyond a hundred kinds together as `(others)`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unknown(BTreeMap<(&'static str, String), u64>);

impl Unknown {
    pub fn add(&mut self, runtime: &'static str, kind: String, rows: u64) {
        let place = (runtime, kind);
        let room = self.0.len() < MAX_KINDS || self.0.contains_key(&place);
        *self.0.entry(if room { place } else { (runtime, "(others)".to_owned()) }).or_default() += rows;
    }

    /// Runtime, kind, rows; in that order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str, u64)> {
        self.0.iter().map(|((runtime, kind), rows)| (*runtime, kind.as_str(), *rows))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The kinds that are known to bill, and those that are known to speak of tokens without billing.
fn known(runtime: &str) -> &'static [&'static str] {
    match runtime {
        claude::NAME => &[
            "assistant",
            "user",
            "system",
            "cost-state",
            "progress",
            "summary",
            "attachment",
            "queue-operation",
            "last-prompt",
            "tools-used",
            "file-history-snapshot",
            "content-replacement",
            "api-request",
            "api-request-blob",
            "api-request-resumed",
            "api-request-shape",
        ],
        codex::NAME => &[
            "session_meta",
            "turn_context",
            "event_msg",
            "response_item",
            "token_usage_record",
            "compacted",
            "world_state",
        ],
        pi::NAME => &[
            "session",
            "message",
            "usage",
            "compaction",
            "branch_summary",
            "model_change",
            "thinking_level_change",
            "custom",
            "custom_message",
            "label",
            "session_info",
        ],
        gemini::NAME => &["user", "gemini", "info", "error", "warning"],
        _ => &[],
    }
}

/// `None` for what is known, says nothing of tokens, or is no object with a kind.
pub(super) fn unknown(runtime: &str, line: &[u8]) -> Option<String> {
    if !WORDS.iter().any(|word| word.find(line).is_some()) {
        return None;
    }
    let kind = serde_json::from_slice::<Row<'_>>(line).ok()?.kind.filter(|kind| !kind.is_empty())?;
    (!known(runtime).contains(&kind.as_ref())).then(|| text::clean(&kind, 40))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_kind_of_row_is_told_where_it_speaks_of_tokens() {
        let told = |line: &str| unknown(claude::NAME, line.as_bytes());
        assert_eq!(told(r#"{"type":"oracle","input_tokens":5}"#).as_deref(), Some("oracle"));
        assert_eq!(
            told(r#"{"uuid":"u","message":{"type":"message","usage":{}},"type":"oracle"}"#).as_deref(),
            Some("oracle")
        );
        assert_eq!(told(r#"{"type":"oracle","mode":"plan"}"#), None);
        assert_eq!(told(r#"{"message":{"type":"message","usage":{}},"type":"assistant"}"#), None);
        assert_eq!(told(r#"{"type":"oracle","input_tokens":"#), None);
        assert_eq!(
            unknown(codex::NAME, br#"{"type":"token_bill","payload":{"total_tokens":1}}"#).as_deref(),
            Some("token_bill")
        );
    }
}
