//! The rows of a transcript as 2.1.330 writes them: keys, their order and their types; texts are our own.
//! Pure: who, when and in which order is the business of `transcript.rs`.

mod errors;
mod loose;

use super::VERSION;
use super::identity::Identity;
use super::json::{Object, array};
use super::tokens::Tokens;

pub(super) use loose::{bare, cost_state, file_history, last_prompt, noise, queue, subagent_meta};

/// What every row of one turn shares.
pub(in crate::scripted) struct Origin<'a> {
    pub(in crate::scripted) identity: &'a Identity,
    pub(in crate::scripted) model: &'a str,
    pub(in crate::scripted) permission_mode: &'a str,
    pub(in crate::scripted) prompt_id: &'a str,
    /// Number of this prompt in the session, from 1.
    pub(in crate::scripted) prompt: usize,
}

/// The place of one row: its own id, its predecessor's, its time.
pub(in crate::scripted) struct Place {
    pub(in crate::scripted) parent: Option<String>,
    pub(in crate::scripted) uuid: String,
    pub(in crate::scripted) timestamp: String,
}

/// One response of the model, of which each content block is a row.
pub(in crate::scripted) struct Response {
    pub(in crate::scripted) message: String,
    pub(in crate::scripted) request: String,
    pub(in crate::scripted) request_ref: String,
    pub(in crate::scripted) stop_reason: &'static str,
    pub(in crate::scripted) tokens: Tokens,
    pub(in crate::scripted) agent: Option<String>,
}

pub(in crate::scripted) enum Block {
    Thinking(String),
    Text(String),
    Tool { id: String, name: String, input: Object },
}

impl Origin<'_> {
    fn tail(&self, row: Object) -> Object {
        row.text("userType", "external")
            .text("entrypoint", "cli")
            .text("cwd", &self.identity.cwd)
            .text("sessionId", &self.identity.session)
            .text("version", VERSION)
            .text("gitBranch", "HEAD")
    }

    fn head(place: &Place) -> Object {
        Object::new().maybe("parentUuid", place.parent.as_deref()).raw("isSidechain", false)
    }

    pub(in crate::scripted) fn prompt(&self, place: &Place, text: &str) -> Object {
        let position = Object::new().raw("promptIndex", self.prompt).raw("turnIndex", self.prompt);
        let row = Self::head(place)
            .text("promptId", self.prompt_id)
            .text("type", "user")
            .raw("message", Object::new().text("role", "user").text("content", text))
            .text("uuid", &place.uuid)
            .text("timestamp", &place.timestamp)
            .text("permissionMode", self.permission_mode)
            .raw("origin", Object::new().text("kind", "human"))
            .text("promptSource", "typed")
            .text("turnOrigin", "human")
            .raw("turnPosition", position);
        self.tail(row)
    }

    pub(in crate::scripted) fn environment(&self, place: &Place) -> Object {
        let cwd = &self.identity.cwd;
        let snapshot = Object::new()
            .text("workingDirectory", cwd)
            .raw("isWorktree", false)
            .raw("isGitRepo", false)
            .raw("additionalWorkingDirectories", "[]")
            .text("platform", "linux")
            .text("shell", "sh")
            .text("osVersion", "Linux");
        let rendered = Object::new().text("content", &format!("Primary working directory: {cwd}"));
        let row = Self::head(place)
            .raw("attachment", Object::new().text("type", "environment").raw("snapshot", snapshot))
            .text("type", "attachment")
            .text("uuid", &place.uuid)
            .text("timestamp", &place.timestamp)
            .raw("rendered", array([rendered]))
            .text("renderedRole", "system");
        self.tail(row)
    }

    /// `index`: which block of the response this row is.
    pub(in crate::scripted) fn block(
        &self,
        place: &Place,
        response: &Response,
        index: usize,
        block: &Block,
    ) -> Object {
        let message = Object::new()
            .text("id", &response.message)
            .text("type", "message")
            .text("role", "assistant")
            .text("model", self.model)
            .raw("content", array([content(block)]))
            .text("stop_reason", response.stop_reason)
            .raw("stop_sequence", "null")
            .raw("usage", usage(response.tokens))
            .raw("stop_details", "null");
        let side = response.agent.as_deref();
        let row =
            Object::new().maybe("parentUuid", place.parent.as_deref()).raw("isSidechain", side.is_some());
        let row = match side {
            Some(agent) => row.text("agentId", agent),
            None => row,
        };
        let row = row.raw("message", message).with(|row| match block {
            Block::Thinking(_) => row.raw("thinkingDurationMs", 1200).text("thinkingDisplay", "updates"),
            Block::Tool { .. } => row.raw("toolInputStreamMs", 4),
            Block::Text(_) => row,
        });
        let row = row
            .raw("apiBlockIndex", index)
            .text("requestId", &response.request)
            .text("requestRef", &response.request_ref)
            .text("requestedModel", self.model)
            .text("promptCacheRequested", "5m")
            .with(|row| if side.is_some() { row.text("attributionAgent", "general-purpose") } else { row })
            .text("type", "assistant")
            .text("uuid", &place.uuid)
            .text("timestamp", &place.timestamp)
            .text("effort", "high")
            .raw("perTurnEffort", "null")
            .text("madeBy", "model");
        self.tail(if side.is_some() { row } else { row.text("session_id", &self.identity.session) })
    }

    /// The response that was streaming when the user pressed Esc: what arrived, with the usage of its beginning.
    pub(in crate::scripted) fn aborted(&self, place: &Place, response: &Response, text: &str) -> Object {
        let Tokens { input, output, cache_read, cache_write_5m, cache_write_1h } = response.tokens;
        let creation = Object::new()
            .raw("ephemeral_5m_input_tokens", cache_write_5m)
            .raw("ephemeral_1h_input_tokens", cache_write_1h);
        let usage = Object::new()
            .raw("input_tokens", input)
            .raw("cache_creation_input_tokens", cache_write_5m + cache_write_1h)
            .raw("cache_read_input_tokens", cache_read)
            .raw("cache_creation", creation)
            .raw("output_tokens", output)
            .text("service_tier", "standard");
        let message = Object::new()
            .text("id", &response.message)
            .text("type", "message")
            .text("role", "assistant")
            .text("model", self.model)
            .raw("content", array([content(&Block::Text(text.to_owned()))]))
            .raw("stop_reason", "null")
            .raw("stop_sequence", "null")
            .raw("usage", usage);
        let row = Self::head(place)
            .raw("message", message)
            .raw("apiBlockIndex", 0)
            .text("requestId", &response.request)
            .text("requestRef", &response.request_ref)
            .text("requestedModel", self.model)
            .text("promptCacheRequested", "5m")
            .text("type", "assistant")
            .text("uuid", &place.uuid)
            .text("timestamp", &place.timestamp)
            .raw("isAbortedMidStream", true)
            .text("effort", "high")
            .raw("perTurnEffort", "null")
            .text("madeBy", "model")
            .text("session_id", &self.identity.session);
        self.tail(row)
    }

    pub(in crate::scripted) fn interruption(
        &self,
        place: &Place,
        text: &str,
        aborted: Option<&str>,
    ) -> Object {
        let content = Object::new().text("type", "text").text("text", text);
        let row = self.answer(place, &content);
        let row = match aborted {
            Some(message) => row.text("interruptedMessageId", message),
            None => row,
        };
        self.tail(row.text("session_id", &self.identity.session))
    }

    pub(in crate::scripted) fn tool_result(
        &self,
        place: &Place,
        tool: &str,
        source: &str,
        output: &str,
    ) -> Object {
        let content = Object::new()
            .text("tool_use_id", tool)
            .text("type", "tool_result")
            .text("content", output)
            .raw("is_error", false);
        let result = Object::new()
            .text("stdout", output)
            .text("stderr", "")
            .raw("interrupted", false)
            .raw("isImage", false)
            .raw("noOutputExpected", false);
        let decision = Object::new()
            .text("decision", "accept")
            .text("source", "user_temporary")
            .text("grantScope", "once")
            .text("reasonCode", "unknown");
        let row = self
            .answer(place, &content)
            .raw("toolUseResult", result)
            .raw("sandboxed", false)
            .text("sourceToolAssistantUUID", source)
            .raw("permissionDecision", decision)
            .text("session_id", &self.identity.session);
        self.tail(row)
    }

    pub(in crate::scripted) fn tool_refused(&self, place: &Place, tool: &str, source: &str) -> Object {
        let content = Object::new()
            .text("type", "tool_result")
            .text("content", "The user doesn't want to proceed with this tool use.")
            .raw("is_error", true)
            .text("tool_use_id", tool);
        let row = self
            .answer(place, &content)
            .text("toolUseResult", "User rejected tool use")
            .text("toolDenialKind", "user-rejected")
            .raw("toolDenialBeforeRun", true)
            .text("sourceToolAssistantUUID", source)
            .text("session_id", &self.identity.session);
        self.tail(row)
    }

    fn answer(&self, place: &Place, content: &Object) -> Object {
        Self::head(place)
            .text("promptId", self.prompt_id)
            .text("type", "user")
            .raw("message", Object::new().text("role", "user").raw("content", array([content])))
            .text("uuid", &place.uuid)
            .text("timestamp", &place.timestamp)
    }

    pub(in crate::scripted) fn turn_duration(&self, place: &Place, ms: u128, rows: usize) -> Object {
        let row = Self::head(place)
            .text("type", "system")
            .text("subtype", "turn_duration")
            .raw("durationMs", ms)
            .raw("messageCount", rows)
            .text("timestamp", &place.timestamp)
            .text("uuid", &place.uuid)
            .raw("isMeta", false);
        self.tail(row)
    }

    pub(in crate::scripted) fn notice(&self, place: &Place, text: &str) -> Object {
        let row = Self::head(place)
            .text("type", "system")
            .text("subtype", "informational")
            .text("content", text)
            .raw("isMeta", false)
            .text("timestamp", &place.timestamp)
            .text("uuid", &place.uuid)
            .text("level", "notice");
        self.tail(row)
    }

    pub(in crate::scripted) fn subagent_prompt(&self, place: &Place, agent: &str, text: &str) -> Object {
        let row = Object::new()
            .maybe("parentUuid", place.parent.as_deref())
            .raw("isSidechain", true)
            .text("promptId", self.prompt_id)
            .text("agentId", agent)
            .text("type", "user")
            .raw("message", Object::new().text("role", "user").text("content", text))
            .text("uuid", &place.uuid)
            .text("timestamp", &place.timestamp);
        self.tail(row)
    }
}

fn content(block: &Block) -> Object {
    match block {
        Block::Thinking(text) => {
            Object::new().text("type", "thinking").text("thinking", text).text("signature", "c2NyaXB0ZWQ=")
        }
        Block::Text(text) => Object::new().text("type", "text").text("text", text),
        Block::Tool { id, name, input } => {
            Object::new().text("type", "tool_use").text("id", id).text("name", name).raw("input", input)
        }
    }
}

fn usage(tokens: Tokens) -> Object {
    Object::new()
        .raw("input_tokens", tokens.input)
        .raw("cache_creation_input_tokens", tokens.cache_write())
        .raw("cache_read_input_tokens", tokens.cache_read)
        .raw("output_tokens", tokens.output)
        .raw("output_tokens_details", Object::new().raw("thinking_tokens", 0))
        .raw("server_tool_use", web_requests())
        .text("service_tier", "standard")
        .raw("cache_creation", cache_creation(tokens))
        .text("inference_geo", "")
        .raw("iterations", "[]")
        .text("speed", "standard")
        .raw("fallback_credit", "null")
}

fn web_requests() -> Object {
    Object::new().raw("web_search_requests", 0).raw("web_fetch_requests", 0)
}

fn cache_creation(tokens: Tokens) -> Object {
    Object::new()
        .raw("ephemeral_1h_input_tokens", tokens.cache_write_1h)
        .raw("ephemeral_5m_input_tokens", tokens.cache_write_5m)
}
