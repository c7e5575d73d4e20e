//! The rows by which a turn ends on an error: nothing billed, the reason as data.

use super::{Block, Origin, Place, Response, cache_creation, content, web_requests};
use crate::scripted::json::{Object, array};
use crate::scripted::step::ApiError;
use crate::scripted::tokens::Tokens;

impl Origin<'_> {
    /// A final error of the API; `resets_at` (epoch seconds) makes it the plan's usage limit.
    pub(in crate::scripted) fn error(
        &self,
        place: &Place,
        ids: &Response,
        error: &ApiError<'_>,
        resets_at: Option<i64>,
    ) -> Object {
        let row = Self::head(place)
            .text("type", "assistant")
            .text("uuid", &place.uuid)
            .text("timestamp", &place.timestamp)
            .raw("message", synthetic(&ids.message, error.text))
            .text("requestId", &ids.request);
        let row = match resets_at {
            Some(at) => limit(row, at),
            None => row,
        };
        let row = row
            .text("error", error.error)
            .raw("isApiErrorMessage", true)
            .raw("apiErrorStatus", error.status)
            .text("apiErrorType", error.kind)
            .raw("perTurnEffort", "null")
            .raw("failedResponseHadNoToolCall", true)
            .text("madeBy", "model")
            .text("session_id", &self.identity.session);
        self.tail(row)
    }
}

fn limit(row: Object, resets_at: i64) -> Object {
    let info = Object::new().text("status", "rejected").raw("resetsAt", resets_at);
    let kind = |object: Object| object.text("rateLimitType", "five_hour").raw("isUsingOverage", false);
    let quota = kind(info.clone().raw("unifiedRateLimitFallbackAvailable", false));
    row.text("apiError", "usage_limit_reached")
        .raw("apiErrorParams", Object::new().raw("rate_limit_info", kind(info)))
        .raw("quotaLimits", quota)
}

/// The message that the client makes up for an error: no tokens, and a model that is none.
fn synthetic(id: &str, text: &str) -> Object {
    let usage = Object::new()
        .raw("output_tokens_details", "null")
        .raw("input_tokens", 0)
        .raw("output_tokens", 0)
        .raw("cache_creation_input_tokens", 0)
        .raw("cache_read_input_tokens", 0)
        .raw("server_tool_use", web_requests())
        .raw("service_tier", "null")
        .raw("cache_creation", cache_creation(Tokens::default()))
        .raw("inference_geo", "null")
        .raw("iterations", "null")
        .raw("speed", "null")
        .raw("fallback_credit", "null");
    Object::new()
        .raw("diagnostics", "null")
        .text("id", id)
        .raw("container", "null")
        .text("model", "<synthetic>")
        .text("role", "assistant")
        .raw("stop_details", "null")
        .text("stop_reason", "stop_sequence")
        .text("stop_sequence", "")
        .text("type", "message")
        .raw("usage", usage)
        .raw("content", array([content(&Block::Text(text.to_owned()))]))
        .raw("context_management", "null")
}
