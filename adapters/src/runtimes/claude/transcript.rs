//! One line of a Claude Code transcript, pure. A response is written once per content block, each time with its whole
//! usage; `message.id` is its identity, in forks and side questions too.

use std::borrow::Cow;

use fleet_domain::SessionId;
use fleet_domain::price::Money;
use fleet_domain::readiness::StuckKind;
use fleet_domain::time::Wall;
use fleet_domain::usage::{Record, Terms, Tokens};
use fleet_domain::{secrets, text};
use memchr::memmem;
use serde::Deserialize;

use crate::runtimes::ending::Failed;

/// What a line says to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// A billed response.
    Response(Record),
    /// A turn that ended in an error of the API.
    Failed(Failed),
    /// Somebody prompted: a turn begins.
    Prompted,
    /// Nothing that matters here.
    Other,
    /// It should have been readable, and was not.
    Unreadable,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    uuid: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    session_id: Option<Cow<'a, str>>,
    /// Only on rows that a fork copied: who paid.
    #[serde(borrow, default)]
    request_session_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    request_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    timestamp: Option<Cow<'a, str>>,
    #[serde(default)]
    is_sidechain: Option<bool>,
    #[serde(default)]
    is_api_error_message: Option<bool>,
    #[serde(default)]
    is_meta: Option<bool>,
    #[serde(borrow, default)]
    message: Option<Message<'a>>,
    /// Old versions wrote what a response cost.
    #[serde(default, rename = "costUSD")]
    cost_usd: Option<f64>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    usage: Option<Usage<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Usage<'a> {
    #[serde(default)]
    input_tokens: Option<u64>,
    #[serde(default)]
    output_tokens: Option<u64>,
    #[serde(default)]
    cache_read_input_tokens: Option<u64>,
    #[serde(default)]
    cache_creation_input_tokens: Option<u64>,
    #[serde(default)]
    cache_creation: Option<CacheCreation>,
    #[serde(default)]
    output_tokens_details: Option<OutputDetails>,
    #[serde(borrow, default)]
    speed: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    inference_geo: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct CacheCreation {
    #[serde(default)]
    ephemeral_5m_input_tokens: Option<u64>,
    #[serde(default)]
    ephemeral_1h_input_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct OutputDetails {
    #[serde(default)]
    thinking_tokens: Option<u64>,
}

/// The model of rows that the client made itself, such as error messages.
const SYNTHETIC: &str = "<synthetic>";

pub fn parse(line: &[u8]) -> Row {
    // The filter only skips lines that can hold nothing wanted; it never decides what a line says.
    let usage = memmem::find(line, b"\"usage\"").is_some();
    let failed = memmem::find(line, b"\"isApiErrorMessage\"").is_some();
    let user = memmem::find(line, b"\"user\"").is_some();
    if !usage && !failed && !user {
        return Row::Other;
    }
    let Ok(row) = serde_json::from_slice::<Line<'_>>(line) else { return Row::Unreadable };
    if row.is_api_error_message == Some(true) {
        return failure(line, row.timestamp.as_deref());
    }
    match row.kind.as_deref() {
        Some("assistant") => response(&row),
        Some("user") if prompted(&row, line) => Row::Prompted,
        _ => Row::Other,
    }
}

/// The provider's identity of the request that a response's row answers. A quoted row in somebody's text is not one: its
/// quotes are escaped.
pub fn request(line: &[u8]) -> Option<String> {
    const KEY: &[u8] = b"\"requestId\":\"";
    memmem::find(line, b"\"usage\"")?;
    let rest = &line[memmem::find(line, KEY)? + KEY.len()..];
    let id = std::str::from_utf8(&rest[..memchr::memchr(b'"', rest).filter(|end| *end <= 128)?]).ok()?;
    let plain = !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    plain.then(|| id.to_owned())
}

/// A tool's result and the client's own notes are user rows too.
fn prompted(row: &Line<'_>, line: &[u8]) -> bool {
    row.is_meta != Some(true)
        && row.is_sidechain != Some(true)
        && memmem::find(line, b"\"tool_result\"").is_none()
}

fn response(row: &Line<'_>) -> Row {
    let Some(message) = &row.message else { return Row::Other };
    let Some(usage) = &message.usage else { return Row::Other };
    let model = message.model.as_deref().unwrap_or_default();
    if model == SYNTHETIC {
        return Row::Other;
    }
    let id = [&message.id, &row.request_id, &row.uuid]
        .into_iter()
        .flatten()
        .find(|id| !id.is_empty() && id.len() <= 256);
    let (Some(id), Some(at)) = (id, row.timestamp.as_deref().and_then(Wall::parse_rfc3339)) else {
        return Row::Unreadable;
    };
    let owner = row.request_session_id.as_deref().or(row.session_id.as_deref()).unwrap_or_default();
    Row::Response(Record {
        id: text::clean(id, 256),
        conversation: SessionId::new(owner),
        model: text::clean(model, 100),
        at,
        tokens: usage.tokens(),
        sidechain: row.is_sidechain == Some(true),
        terms: usage.terms(),
        reported: row.cost_usd.filter(|usd| *usd > 0.0).and_then(Money::from_usd),
    })
}

impl Usage<'_> {
    pub(super) fn terms(&self) -> Terms {
        Terms::of(self.speed.as_deref(), self.inference_geo.as_deref())
    }

    pub(super) fn tokens(&self) -> Tokens {
        let written = self.cache_creation_input_tokens.unwrap_or(0);
        // Old rows do not tell the two lifetimes apart: five minutes was the only one.
        let (w5, w1) = match &self.cache_creation {
            Some(split) => {
                let w5 = split.ephemeral_5m_input_tokens.unwrap_or(0);
                let w1 = split.ephemeral_1h_input_tokens.unwrap_or(0);
                (w5.saturating_add(written.saturating_sub(w5.saturating_add(w1))), w1)
            }
            None => (written, 0),
        };
        let details = self.output_tokens_details.as_ref();
        Tokens {
            input: self.input_tokens.unwrap_or(0),
            cache_read: self.cache_read_input_tokens.unwrap_or(0),
            cache_write_5m: w5,
            cache_write_1h: w1,
            output: self.output_tokens.unwrap_or(0),
            reasoning: details.and_then(|details| details.thinking_tokens).unwrap_or(0),
        }
    }
}

fn failure(line: &[u8], timestamp: Option<&str>) -> Row {
    let Ok(row) = serde_json::from_slice::<serde_json::Value>(line) else { return Row::Unreadable };
    let said = row.pointer("/message/content/0/text").or_else(|| row.pointer("/message/content"));
    let said = secrets::mask(said.and_then(serde_json::Value::as_str).unwrap_or("API error"));
    let said = text::clean(&said, 200);
    let quota = row.get("quotaLimits").filter(|quota| !quota.is_null());
    let resets = quota.and_then(|quota| quota.get("resetsAt")).and_then(serde_json::Value::as_i64);
    let kind = match row.get("error").and_then(serde_json::Value::as_str) {
        Some("rate_limit") if quota.is_some() => StuckKind::UsageLimit,
        Some("authentication_failed" | "oauth_org_not_allowed") => StuckKind::Login,
        _ if said.starts_with("Context limit reached") || said.starts_with("Prompt is too long") => {
            StuckKind::ContextFull
        }
        _ => StuckKind::Error,
    };
    Row::Failed(Failed {
        kind,
        line: said,
        at: timestamp.and_then(Wall::parse_rfc3339),
        until: resets
            .filter(|seconds| (0..100_000_000_000).contains(seconds))
            .map(|seconds| Wall(seconds * 1000)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RESPONSE: &str = r#"{"type":"assistant","uuid":"u","isSidechain":false,"sessionId":"fork","requestSessionId":"payer","timestamp":"2026-11-21T10:16:58.932Z","requestId":"req_0018","message":{"id":"msg_0018","model":"claude-sonnet-5","usage":{"input_tokens":28,"cache_creation_input_tokens":300,"cache_read_input_tokens":18000,"output_tokens":218,"output_tokens_details":{"thinking_tokens":7},"cache_creation":{"ephemeral_1h_input_tokens":200,"ephemeral_5m_input_tokens":100}}}}"#;

    fn record(line: &str) -> Record {
        match parse(line.as_bytes()) {
            Row::Response(record) => record,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_response_names_its_request() {
        assert_eq!(request(RESPONSE.as_bytes()).as_deref(), Some("req_0018"));
        let quoted = serde_json::json!({"type": "user", "text": RESPONSE}).to_string();
        assert_eq!(request(quoted.as_bytes()), None);
    }

    #[test]
    fn a_response_has_its_payer_and_its_five_kinds() {
        let record = record(RESPONSE);
        assert_eq!((record.id.as_str(), record.conversation.as_str()), ("msg_0018", "payer"));
        let expected = Tokens {
            input: 28,
            cache_read: 18000,
            cache_write_5m: 100,
            cache_write_1h: 200,
            output: 218,
            reasoning: 7,
        };
        assert_eq!(record.tokens, expected);
    }

    #[test]
    fn old_rows_wrote_for_five_minutes_and_a_missing_id_falls_back() {
        let old = RESPONSE
            .replace(
                r#","cache_creation":{"ephemeral_1h_input_tokens":200,"ephemeral_5m_input_tokens":100}"#,
                "",
            )
            .replace(r#""id":"msg_0018","#, "");
        let record = record(&old);
        assert_eq!((record.tokens.cache_write_5m, record.tokens.cache_write_1h), (300, 0));
        assert_eq!(record.id, "req_0018");
    }

    #[test]
    fn what_changes_a_price_is_taken_over() {
        let plain = record(RESPONSE);
        assert_eq!((plain.terms, plain.reported), (Terms::default(), None));
        let old = record(&RESPONSE.replace(r#""uuid":"u""#, r#""uuid":"u","costUSD":0.25"#));
        assert_eq!(old.reported, Some(Money(250_000_000_000)));
        let with = |words: &str| {
            record(&RESPONSE.replace(r#""input_tokens":28"#, &format!(r#""input_tokens":28,{words}"#))).terms
        };
        assert_eq!(with(r#""speed":"standard","inference_geo":"global""#), Terms::default());
        let dear = with(r#""speed":"fast","inference_geo":"us""#);
        assert!(dear.fast() && dear.us() && !dear.other());
        assert!(with(r#""inference_geo":"mars""#).other());
    }

    #[test]
    fn a_limit_carries_its_reset_and_an_error_its_kind() {
        let limit = r#"{"type":"assistant","isApiErrorMessage":true,"error":"rate_limit","apiErrorStatus":429,"timestamp":"2026-11-21T10:00:00Z","quotaLimits":{"status":"rejected","resetsAt":1795266000},"message":{"model":"<synthetic>","usage":{"input_tokens":0},"content":[{"type":"text","text":"You've hit your 5-hour limit · resets 1pm (UTC)"}]}}"#;
        let Row::Failed(failed) = parse(limit.as_bytes()) else { panic!() };
        assert_eq!((failed.kind, failed.until), (StuckKind::UsageLimit, Some(Wall(1_795_266_000_000))));
        assert!(failed.line.starts_with("You've hit"));
        let plain = limit.replace(r#""quotaLimits":{"status":"rejected","resetsAt":1795266000},"#, "");
        assert!(matches!(
            parse(plain.as_bytes()),
            Row::Failed(Failed { kind: StuckKind::Error, until: None, .. })
        ));
        let login = plain.replace("rate_limit", "authentication_failed");
        assert!(matches!(parse(login.as_bytes()), Row::Failed(Failed { kind: StuckKind::Login, .. })));
    }

    #[test]
    fn prompts_are_told_from_tool_results_and_notes() {
        let prompt = r#"{"type":"user","message":{"role":"user","content":"hello"}}"#;
        assert_eq!(parse(prompt.as_bytes()), Row::Prompted);
        let result = r#"{"type":"user","message":{"role":"user","content":[{"type":"tool_result"}]}}"#;
        assert_eq!(parse(result.as_bytes()), Row::Other);
        assert_eq!(parse(prompt.replace("{\"type\"", "{\"isMeta\":true,\"type\"").as_bytes()), Row::Other);
    }

    #[test]
    fn synthetic_rows_and_foreign_lines_bill_nothing_and_damage_is_counted() {
        assert_eq!(parse(RESPONSE.replace("claude-sonnet-5", "<synthetic>").as_bytes()), Row::Other);
        assert_eq!(parse(br#"{"type":"mode","mode":"plan"}"#), Row::Other);
        assert_eq!(parse(b"not json at all"), Row::Other);
        assert_eq!(parse(&RESPONSE.as_bytes()[..200]), Row::Other);
        assert_eq!(parse(&RESPONSE.as_bytes()[..RESPONSE.len() - 1]), Row::Unreadable);
        assert_eq!(parse(RESPONSE.replace("218", "-218").as_bytes()), Row::Unreadable);
    }

    proptest! {
        #[test]
        fn any_line_is_an_answer_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn any_damage_is_an_answer_never_a_panic(at in 0..RESPONSE.len(), with in any::<u8>()) {
            let mut line = RESPONSE.as_bytes().to_vec();
            line[at] = with;
            let _ = parse(&line);
        }
    }
}
