//! The transcript on disk and the count of what it billed. Each batch of rows is one append; the file appears
//! with the first prompt.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::identity::{Identity, now_ms, random_hex, stamp, uuid};
use super::json::{Object, array, quoted};
use super::rows::{self, Block, Origin, Place, Response};
use super::step::ApiError;
use super::tokens::{Billed, Tokens};

pub(crate) struct Transcript {
    identity: Rc<Identity>,
    model: String,
    permission_mode: String,
    noise: usize,
    prompts: usize,
    prompt_id: String,
    last_prompt: String,
    tools_used: Vec<String>,
    chain: Chain,
    billed: Billed,
}

/// A tool call that awaits its result.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    id: String,
    row: String,
}

#[derive(Default)]
struct Chain {
    last: Option<String>,
    rows: usize,
}

impl Chain {
    fn next(&mut self) -> Result<Place> {
        let uuid = uuid()?;
        let parent = self.last.replace(uuid.clone());
        self.rows += 1;
        Ok(Place { parent, uuid, timestamp: stamp() })
    }
}

impl Transcript {
    pub(crate) fn new(identity: Rc<Identity>, model: &str, permission_mode: &str, noise: usize) -> Self {
        Self {
            identity,
            model: model.to_owned(),
            permission_mode: permission_mode.to_owned(),
            noise,
            prompts: 0,
            prompt_id: String::new(),
            last_prompt: String::new(),
            tools_used: Vec::new(),
            chain: Chain::default(),
            billed: Billed::default(),
        }
    }

    pub(crate) fn billed(&self) -> Billed {
        self.billed
    }

    pub(crate) fn prompt(&mut self, text: &str) -> Result<()> {
        let first = self.prompts == 0;
        let mut batch = if first { self.mode_rows() } else { Vec::new() };
        self.prompts += 1;
        self.prompt_id = uuid()?;
        text.clone_into(&mut self.last_prompt);
        let place = self.chain.next()?;
        batch.push(rows::file_history(&place.uuid, &place.timestamp));
        batch.push(self.origin().prompt(&place, text));
        if first {
            let place = self.chain.next()?;
            batch.push(self.origin().environment(&place));
        }
        if self.noise > 0 {
            batch.push(rows::noise(&self.identity.session, &stamp(), self.noise));
        }
        self.append(&batch)
    }

    /// One response: its blocks as rows, all with the same id and the same whole usage. Gives the tool calls in it.
    pub(crate) fn respond(&mut self, tokens: Tokens, blocks: &[Block]) -> Result<Vec<Call>> {
        let uses_tools = blocks.iter().any(|block| matches!(block, Block::Tool { .. }));
        let response = new_response(tokens, if uses_tools { "tool_use" } else { "end_turn" }, None)?;
        let mut batch = Vec::new();
        let mut calls = Vec::new();
        for (index, block) in blocks.iter().enumerate() {
            let place = self.chain.next()?;
            if let Block::Tool { id, name, .. } = block {
                calls.push(Call { id: id.clone(), row: place.uuid.clone() });
                if !self.tools_used.contains(name) {
                    self.tools_used.push(name.clone());
                }
            }
            batch.push(self.origin().block(&place, &response, index, block));
        }
        if uses_tools {
            let tools = array(self.tools_used.iter().map(|name| quoted(name)));
            batch.insert(0, rows::bare(&self.identity.session, "tools-used", "tools", tools));
        }
        self.append(&batch)?;
        self.billed.add(tokens);
        Ok(calls)
    }

    pub(crate) fn tool_results(&mut self, calls: &[Call], output: &str) -> Result<()> {
        let mut batch = Vec::new();
        for call in calls {
            let place = self.chain.next()?;
            batch.push(self.origin().tool_result(&place, &call.id, &call.row, output));
        }
        self.append(&batch)
    }

    /// The user said no: the turn is over without a `turn_duration`.
    pub(crate) fn tools_refused(&mut self, calls: &[Call]) -> Result<()> {
        let mut batch = Vec::new();
        for call in calls {
            let place = self.chain.next()?;
            batch.push(self.origin().tool_refused(&place, &call.id, &call.row));
        }
        let place = self.chain.next()?;
        batch.push(self.origin().interruption(&place, "[Request interrupted by user for tool use]", None));
        batch.extend(self.tail_rows());
        self.append(&batch)
    }

    /// Esc while a response streams. The row has the usage of the stream's beginning, so one token of output.
    pub(crate) fn aborted(&mut self, tokens: Tokens, text: &str) -> Result<()> {
        let tokens = Tokens { output: 1, ..tokens };
        let response = new_response(tokens, "", None)?;
        let place = self.chain.next()?;
        let mut batch = vec![self.origin().aborted(&place, &response, text)];
        let place = self.chain.next()?;
        let interruption =
            self.origin().interruption(&place, "[Request interrupted by user]", Some(&response.message));
        batch.push(interruption);
        self.append(&batch)?;
        self.billed.add(tokens);
        Ok(())
    }

    pub(crate) fn end(&mut self, lasted: Duration) -> Result<()> {
        let place = self.chain.next()?;
        let mut batch = vec![self.origin().turn_duration(&place, lasted.as_millis(), self.chain.rows)];
        batch.extend(self.tail_rows());
        self.append(&batch)
    }

    pub(crate) fn error(
        &mut self,
        error: &ApiError<'_>,
        resets_at: Option<i64>,
        notice: Option<&str>,
    ) -> Result<()> {
        let mut ids = new_response(Tokens::default(), "", None)?;
        ids.message = uuid()?;
        let place = self.chain.next()?;
        let mut batch = vec![self.origin().error(&place, &ids, error, resets_at)];
        if let Some(text) = notice {
            let place = self.chain.next()?;
            batch.push(self.origin().notice(&place, text));
        }
        self.append(&batch)
    }

    /// One sub-agent with one response, in its own file.
    pub(crate) fn subagent(&mut self, tokens: Tokens, answer: &str) -> Result<()> {
        let dir = self.identity.subagents_dir();
        make_dir(&dir)?;
        let agent = format!("a{}", random_hex(8)?);
        let meta = dir.join(format!("agent-{agent}.meta.json"));
        let tool = format!("toolu_scripted_{}", random_hex(8)?);
        let describe = |finished| rows::subagent_meta(&tool, &self.model, finished).to_string();
        std::fs::write(&meta, describe(false)).context("write the sub-agent's meta file")?;
        let mut chain = Chain::default();
        let response = new_response(tokens, "end_turn", Some(agent.clone()))?;
        let place = chain.next()?;
        let prompt =
            self.origin().subagent_prompt(&place, &agent, "Look into the part that the main agent left open");
        let place = chain.next()?;
        let block = self.origin().block(&place, &response, 0, &Block::Text(answer.to_owned()));
        append(&dir.join(format!("agent-{agent}.jsonl")), &[prompt, block])?;
        self.billed.add(tokens);
        std::fs::write(&meta, describe(true)).context("write the sub-agent's meta file")
    }

    pub(crate) fn queued(&self, text: &str) -> Result<()> {
        self.append(&[rows::queue(&self.identity.session, "enqueue", &stamp(), Some(text))])
    }

    pub(crate) fn dequeued(&self) -> Result<()> {
        self.append(&[rows::queue(&self.identity.session, "dequeue", &stamp(), None)])
    }

    /// What a clean end adds; nothing where there was no prompt.
    pub(crate) fn close(&self) -> Result<()> {
        let Some(leaf) = &self.chain.last else { return Ok(()) };
        let lived = now_ms() - self.identity.started_ms;
        let tokens = self.billed.tokens;
        let cost =
            || rows::cost_state(&self.identity, &self.model, tokens, dollars(&self.model, tokens), lived);
        self.append(&[cost(), rows::last_prompt(&self.identity.session, &self.last_prompt, leaf), cost()])
    }

    fn origin(&self) -> Origin<'_> {
        Origin {
            identity: &self.identity,
            model: &self.model,
            permission_mode: &self.permission_mode,
            prompt_id: &self.prompt_id,
            prompt: self.prompts,
        }
    }

    fn mode_rows(&self) -> Vec<Object> {
        let session = &self.identity.session;
        vec![
            rows::bare(session, "mode", "mode", quoted("normal")),
            rows::bare(session, "permission-mode", "permissionMode", quoted(&self.permission_mode)),
            rows::bare(session, "atis-latch", "atis", quoted("")),
        ]
    }

    fn tail_rows(&self) -> Vec<Object> {
        let leaf = self.chain.last.as_deref().unwrap_or_default();
        let mut rows = vec![rows::last_prompt(&self.identity.session, &self.last_prompt, leaf)];
        rows.extend(self.mode_rows());
        rows
    }

    fn append(&self, batch: &[Object]) -> Result<()> {
        make_dir(&self.identity.project_dir())?;
        append(&self.identity.transcript(), batch)
    }
}

pub(crate) fn tool(name: &str, input: Object) -> Result<Block> {
    Ok(Block::Tool { id: format!("toolu_scripted_{}", random_hex(8)?), name: name.to_owned(), input })
}

fn new_response(tokens: Tokens, stop_reason: &'static str, agent: Option<String>) -> Result<Response> {
    Ok(Response {
        message: format!("msg_scripted_{}", random_hex(10)?),
        request: format!("req_scripted_{}", random_hex(8)?),
        request_ref: uuid()?,
        stop_reason,
        tokens,
        agent,
    })
}

fn make_dir(dir: &PathBuf) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o755).create(dir);
    made.with_context(|| format!("make {}", dir.display()))
}

fn append(path: &Path, batch: &[Object]) -> Result<()> {
    let text: String = batch.iter().map(|row| format!("{row}\n")).collect();
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("append to {}", path.display()))
}

/// List price in dollars, for the `cost-state` row only; `None` for a model that is not listed.
fn dollars(model: &str, tokens: Tokens) -> Option<f64> {
    let (input, output) = match model {
        "claude-sonnet-5" => (2.0, 10.0),
        "claude-opus-5-5" => (4.0, 20.0),
        "claude-opus-5" => (5.0, 25.0),
        "claude-haiku-4-5" => (1.0, 5.0),
        _ => return None,
    };
    let weighted = [
        (tokens.input, input),
        (tokens.output, output),
        (tokens.cache_read, input * 0.1),
        (tokens.cache_write_5m, input * 1.25),
        (tokens.cache_write_1h, input * 2.0),
    ];
    #[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
    let sum: f64 = weighted.iter().map(|&(count, price)| count as f64 * price).sum();
    Some(sum / 1e6)
}
