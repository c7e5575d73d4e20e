//! Log records ↔ responses. Pure.
//!
//! Claude Code names the request, Codex the conversation: see [`Join`].

use fleet_domain::ids::SessionId;
use fleet_domain::limits::account_of;
use fleet_domain::text;
use fleet_domain::usage::{Record, Terms, Tokens};
use fleet_domain::{AccountName, Wall};

use super::wire::{ExportLogs, LogRecord};
use crate::store::{Auxiliary, Join};

const MAX_ID: usize = 128;

/// What an export told of responses; `unusable` are those that nothing tells apart from what a transcript holds.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Told {
    pub(super) responses: Vec<Auxiliary>,
    pub(super) unusable: u64,
}

pub(super) fn told(export: &ExportLogs, received: Wall) -> Told {
    let mut told = Told::default();
    let scopes = export.resources.iter().flat_map(|resource| &resource.scopes);
    for record in scopes.flat_map(|scope| &scope.records) {
        let response = match record.name().as_ref() {
            "claude_code.api_request" | "api_request" => claude(record, received),
            "codex.sse_event" if record.text("event.kind").as_deref() == Some("response.completed") => {
                codex(record, received)
            }
            _ => continue,
        };
        match response {
            Some(response) => told.responses.push(response),
            None => told.unusable += 1,
        }
    }
    told
}

fn claude(record: &LogRecord, received: Wall) -> Option<Auxiliary> {
    let request = id(record, "request_id")?;
    let written = record.count("cache_creation_tokens").unwrap_or(0);
    let (w5, w1) =
        (record.count("cache_creation_5m_tokens"), record.count("cache_creation_1h_tokens").unwrap_or(0));
    let tokens = Tokens {
        input: record.count("input_tokens")?,
        cache_read: record.count("cache_read_tokens").unwrap_or(0),
        cache_write_5m: w5.unwrap_or_else(|| written.saturating_sub(w1)),
        cache_write_1h: w1,
        output: record.count("output_tokens")?,
        reasoning: 0,
    };
    Some(Auxiliary {
        runtime: "claude".to_owned(),
        account: account("claude"),
        record: Record {
            id: format!("otel:{request}"),
            conversation: SessionId::new(id(record, "session.id").unwrap_or_default()),
            model: text::clean(&record.text("model").unwrap_or_default(), 100),
            at: at(record, received),
            tokens: bounded(tokens)?,
            sidechain: record.text("query_source").is_some_and(|source| source != "main"),
            terms: Terms::of(record.text("speed").as_deref(), None),
            reported: None,
        },
        join: Join::Request(request),
    })
}

/// Both kinds of cache are part of its input.
fn codex(record: &LogRecord, received: Wall) -> Option<Auxiliary> {
    let conversation = id(record, "conversation.id")?;
    let (cached, written) = (
        record.count("cached_token_count").unwrap_or(0),
        record.count("cache_write_token_count").unwrap_or(0),
    );
    let tokens = Tokens {
        input: record.count("input_token_count")?.saturating_sub(cached).saturating_sub(written),
        cache_read: cached,
        cache_write_5m: written,
        cache_write_1h: 0,
        output: record.count("output_token_count")?,
        reasoning: record.count("reasoning_token_count").unwrap_or(0),
    };
    let at = at(record, received);
    // No response has a name here: one that is sent again has the same time and figures.
    let identity = format!("otel:codex:{conversation}:{}:{}:{}", record.time_unix_nano, at.0, tokens.total());
    Some(Auxiliary {
        runtime: "codex".to_owned(),
        account: account("codex"),
        record: Record {
            id: identity,
            conversation: SessionId::new(&conversation),
            model: text::clean(&record.text("model").unwrap_or_default(), 100),
            at,
            tokens: bounded(tokens)?,
            sidechain: false,
            terms: Terms::default(),
            reported: None,
        },
        join: Join::Conversation(conversation),
    })
}

fn account(runtime: &str) -> String {
    account_of(None, runtime, None).map(AccountName::into_string).unwrap_or_default()
}

fn id(record: &LogRecord, key: &str) -> Option<String> {
    let id = record.text(key)?;
    let plain = !id.is_empty() && id.len() <= MAX_ID && id.chars().all(|c| c.is_ascii_graphic());
    plain.then(|| id.into_owned())
}

/// The record's own time; nothing happened in the future.
fn at(record: &LogRecord, received: Wall) -> Wall {
    let said = record.text("event.timestamp").and_then(|time| Wall::parse_rfc3339(&time));
    let nanos = || i64::try_from(record.time_unix_nano / 1_000_000).ok().filter(|at| *at > 0).map(Wall);
    said.or_else(nanos).unwrap_or(received).min(received)
}

/// Figures that a response can have.
fn bounded(tokens: Tokens) -> Option<Tokens> {
    (tokens.total() < 1 << 32).then_some(tokens)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::super::wire::{Any, AnyValue, KeyValue, ResourceLogs, ScopeLogs};
    use super::*;

    pub(in crate::otlp) fn export(name: &str, attributes: &[(&str, &str)]) -> ExportLogs {
        let value = |text: &str| AnyValue {
            value: Some(text.parse().map_or_else(|_| Any::Text(text.to_owned()), Any::Whole)),
        };
        let attributes = attributes
            .iter()
            .map(|(key, text)| KeyValue { key: (*key).to_owned(), value: Some(value(text)) })
            .collect();
        let body = Some(AnyValue { value: Some(Any::Text(name.to_owned())) });
        let record = LogRecord { time_unix_nano: 7_000_000, body, attributes, event_name: String::new() };
        ExportLogs { resources: vec![ResourceLogs { scopes: vec![ScopeLogs { records: vec![record] }] }] }
    }

    #[test]
    fn a_request_of_claude_code_is_known_by_its_name() {
        let export = export(
            "claude_code.api_request",
            &[
                ("request_id", "req_1"),
                ("session.id", "s"),
                ("model", "m"),
                ("input_tokens", "5"),
                ("output_tokens", "7"),
                ("cache_read_tokens", "11"),
                ("cache_creation_tokens", "30"),
                ("cache_creation_1h_tokens", "20"),
                ("query_source", "auxiliary"),
            ],
        );
        let one = told(&export, Wall(100)).responses.remove(0);
        assert_eq!((one.join, one.record.id.as_str()), (Join::Request("req_1".to_owned()), "otel:req_1"));
        let tokens = Tokens {
            input: 5,
            cache_read: 11,
            cache_write_5m: 10,
            cache_write_1h: 20,
            output: 7,
            reasoning: 0,
        };
        assert_eq!((one.record.tokens, one.record.at, one.record.sidechain), (tokens, Wall(7), true));
    }

    #[test]
    fn a_response_of_codex_is_known_by_its_conversation() {
        let attributes = [
            ("event.kind", "response.completed"),
            ("conversation.id", "t1"),
            ("input_token_count", "100"),
            ("cached_token_count", "60"),
            ("output_token_count", "9"),
            ("reasoning_token_count", "4"),
        ];
        let one = told(&export("codex.sse_event", &attributes), Wall(100)).responses.remove(0);
        assert_eq!(one.join, Join::Conversation("t1".to_owned()));
        assert_eq!(
            (one.record.tokens.input, one.record.tokens.cache_read, one.record.tokens.output),
            (40, 60, 9)
        );
        let again = told(&export("codex.sse_event", &attributes), Wall(999)).responses.remove(0);
        assert_eq!(one.record.id, again.record.id);
    }

    #[test]
    fn what_nothing_tells_apart_is_counted_and_not_booked() {
        let unnamed = export("claude_code.api_request", &[("input_tokens", "5"), ("output_tokens", "7")]);
        assert_eq!(told(&unnamed, Wall(1)), Told { responses: Vec::new(), unusable: 1 });
        assert_eq!(told(&export("claude_code.user_prompt", &[]), Wall(1)), Told::default());
        let absurd = export(
            "claude_code.api_request",
            &[("request_id", "r"), ("input_tokens", "9223372036854775807"), ("output_tokens", "7")],
        );
        assert_eq!(told(&absurd, Wall(1)).unusable, 1);
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(export) = ExportLogs::decode(bytes.as_slice()) {
                let _ = told(&export, Wall(0));
            }
        }
    }
}
