//! Rows that stand outside the chain of parents.

use crate::scripted::VERSION;
use crate::scripted::identity::Identity;
use crate::scripted::json::{Object, array, quoted};
use crate::scripted::tokens::Tokens;

/// The cumulative truth that a clean end leaves behind.
pub(in crate::scripted) fn cost_state(
    identity: &Identity,
    model: &str,
    tokens: Tokens,
    cost: Option<f64>,
    ms: i64,
) -> Object {
    let usd = cost.unwrap_or(0.0);
    let usage = Object::new()
        .raw("inputTokens", tokens.input)
        .raw("outputTokens", tokens.output)
        .raw("thinkingTokens", 0)
        .raw("cacheReadInputTokens", tokens.cache_read)
        .raw("cacheCreationInputTokens", tokens.cache_write())
        .raw("cacheCreationEphemeral5mInputTokens", tokens.cache_write_5m)
        .raw("cacheCreationEphemeral1hInputTokens", tokens.cache_write_1h)
        .raw("webSearchRequests", 0)
        .raw("costUSD", usd);
    Object::new()
        .text("type", "cost-state")
        .text("sessionId", &identity.session)
        .raw("totalCostUSD", usd)
        .raw("totalAPIDuration", 0)
        .raw("totalAPIDurationWithoutRetries", 0)
        .raw("totalToolDuration", 0)
        .raw("totalLinesAdded", 0)
        .raw("totalLinesRemoved", 0)
        .raw("totalDuration", ms)
        .raw("startTime", identity.started_ms)
        .raw("modelUsage", Object::new().raw(model, usage))
        .raw("hasUnknownModelCost", cost.is_none())
}

pub(in crate::scripted) fn subagent_meta(tool: &str, model: &str, finished: bool) -> Object {
    let row = Object::new()
        .text("agentType", "general-purpose")
        .raw("isBuiltIn", true)
        .raw("launchedWithDefaults", true)
        .text("description", "Scripted sub-agent")
        .text("toolUseId", tool)
        .raw("spawnDepth", 1)
        .text("requestShape", "background")
        .raw("requestNonInteractive", true)
        .text("model", model)
        .text("pickedEffortModel", model);
    if finished { row.raw("finished", true) } else { row }
}

pub(in crate::scripted) fn file_history(message: &str, timestamp: &str) -> Object {
    let snapshot =
        Object::new().text("messageId", message).raw("trackedFileBackups", "{}").text("timestamp", timestamp);
    Object::new()
        .text("type", "file-history-snapshot")
        .text("messageId", message)
        .raw("snapshot", snapshot)
        .raw("isSnapshotUpdate", false)
}

/// The rows without a place in the chain that carry one value each.
pub(in crate::scripted) fn bare(
    session: &str,
    kind: &str,
    key: &str,
    value: impl std::fmt::Display,
) -> Object {
    Object::new().text("type", kind).raw(key, value).text("sessionId", session)
}

pub(in crate::scripted) fn last_prompt(session: &str, text: &str, leaf: &str) -> Object {
    let row = Object::new().text("type", "last-prompt").text("lastPrompt", text).text("leafUuid", leaf);
    row.text("sessionId", session)
}

pub(in crate::scripted) fn queue(
    session: &str,
    operation: &str,
    timestamp: &str,
    content: Option<&str>,
) -> Object {
    let row = Object::new()
        .text("type", "queue-operation")
        .text("operation", operation)
        .text("timestamp", timestamp)
        .text("sessionId", session);
    match content {
        Some(content) => row.text("content", content),
        None => row,
    }
}

/// The noise of which most of a real transcript consists.
pub(in crate::scripted) fn noise(session: &str, timestamp: &str, bytes: usize) -> Object {
    let shape = Object::new().raw("system", array([quoted(&"x".repeat(bytes))]));
    Object::new()
        .text("type", "api-request-shape")
        .text("sessionId", session)
        .text("timestamp", timestamp)
        .text("version", VERSION)
        .raw("shape", shape)
}
