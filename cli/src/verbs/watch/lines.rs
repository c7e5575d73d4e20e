//! Changes as lines, for a pipe: an item of JSON each, or the row of the table.

use std::collections::BTreeSet;

use fleet_domain::AgentKey;
use fleet_domain::fleet::AgentView;
use serde::Serialize;
use tokio::sync::mpsc::Receiver;

use super::board::{Board, Change};
use super::feed::Fed;
use crate::clock;
use crate::error::Outcome;
use crate::output::{self, Screen};
use crate::render::Scene;
use crate::render::item::AgentItem;
use crate::render::table::{self, Plan};
use crate::render::words::safe;
use crate::verbs::ps::{Format, Request, note_line};

/// An agent that is on no list any more.
#[derive(Debug, Serialize)]
struct Removed<'a> {
    name: &'a str,
    tenant_id: &'a str,
    host: &'a str,
    socket: &'a str,
    session: &'a str,
    removed: bool,
}

pub async fn run(mut from: Receiver<Fed>, request: &Request, screen: Screen) -> Outcome {
    let mut log = Log {
        board: Board::default(),
        request,
        screen,
        headers: request.plan.headers,
        said: BTreeSet::new(),
    };
    while let Some(fed) = from.recv().await {
        if let Fed::Failed(failure) = fed {
            return Err(failure);
        }
        log.take(fed)?;
    }
    Ok(())
}

struct Log<'r> {
    board: Board,
    request: &'r Request,
    screen: Screen,
    /// The header is still to come.
    headers: bool,
    /// Notes are said once.
    said: BTreeSet<String>,
}

impl Log<'_> {
    fn take(&mut self, fed: Fed) -> Outcome {
        let now = clock::now();
        let changes = self.board.take(fed, now.mono);
        self.say();
        if changes.is_empty() {
            return Ok(());
        }
        let scene = Scene {
            now: now.wall,
            zone: clock::zone(),
            direct: self.board.direct,
            colour: self.screen.colour,
            funds: self.board.funds.clone(),
        };
        let agents = self.board.agents(now.mono);
        let text = self.lines(&changes, &agents, &scene);
        output::data(&text)
    }

    fn say(&mut self) {
        let notes = self.board.hosts.iter().map(note_line).chain(self.board.notice.clone());
        let new: Vec<String> = notes.filter(|note| !self.said.contains(note)).collect();
        for note in new {
            output::note(&note);
            self.said.insert(note);
        }
        if self.board.notice.is_none() {
            self.said.retain(|note| self.board.hosts.iter().map(note_line).any(|host| host == *note));
        }
    }

    fn lines(&mut self, changes: &[Change], agents: &[AgentView], scene: &Scene) -> String {
        let changed: BTreeSet<&AgentKey> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Changed(key) => Some(key),
                Change::Removed(_) => None,
            })
            .collect();
        let shown = self.request.select(agents, scene);
        let mut out = String::new();
        if self.request.tabular() {
            self.rows(&shown, &changed, scene, &mut out);
        } else {
            for agent in shown.iter().filter(|agent| changed.contains(&agent.key)) {
                self.item(agent, scene, &mut out);
            }
        }
        for change in changes {
            if let Change::Removed(key) = change {
                self.removed(key, &mut out);
            }
        }
        out
    }

    /// Laid out with all rows, so that columns stay in their places, and only the changed ones printed.
    fn rows(&mut self, shown: &[&AgentView], changed: &BTreeSet<&AgentKey>, scene: &Scene, out: &mut String) {
        let plan = Plan { headers: true, ..self.request.plan.clone() };
        let text = table::plain(shown, &plan, scene);
        let mut lines = text.lines();
        let header = lines.next();
        if std::mem::take(&mut self.headers) {
            out.extend(header.into_iter().flat_map(|line| [line, "\n"]));
        }
        for (line, _) in lines.zip(shown).filter(|(_, agent)| changed.contains(&agent.key)) {
            out.push_str(line);
            out.push('\n');
        }
    }

    fn item(&self, agent: &AgentView, scene: &Scene, out: &mut String) {
        if self.request.format == Format::Name {
            out.push_str(&safe(&agent.name));
        } else {
            out.push_str(&serde_json::to_string(&AgentItem::of(agent, scene)).unwrap_or_default());
        }
        out.push('\n');
    }

    fn removed(&self, key: &AgentKey, out: &mut String) {
        let session = safe(&key.session);
        match self.request.format {
            Format::Name => return,
            Format::Table | Format::Wide => out.push_str(&format!("{session}  gone")),
            Format::Json | Format::Jsonl | Format::Yaml => {
                let (tenant_id, host) = (key.tenant.as_str(), key.host.as_str());
                let gone = Removed {
                    name: &session,
                    tenant_id,
                    host,
                    socket: key.socket.shown(),
                    session: &session,
                    removed: true,
                };
                out.push_str(&serde_json::to_string(&gone).unwrap_or_default());
            }
        }
        out.push('\n');
    }
}
