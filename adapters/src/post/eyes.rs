//! A pane as the rules of messages want it: who lives there, what is asked, what stands in the box.

use std::time::{Duration, SystemTime};

use fleet_domain::RuntimeName;
use fleet_domain::message::gate::{Composer, Hold, Life, Refusal, Seen, Trouble};
use fleet_domain::observation::{Evidence, NativeState, Process};

use crate::host::wall_now;
use crate::look;
use crate::procfs::{self, Stat};
use crate::runtimes::{self, ending};
use crate::screens::{Grid, RuleBook, Rules, Shows, Sight, Written};
use crate::tmux::{Front, PaneRow, Server, TmuxError};

/// The pane of a session that runs an agent.
pub(super) struct Spot<'b> {
    pub(super) pane: String,
    pub(super) server_pid: u32,
    pub(super) runtime: RuntimeName,
    pub(super) stat: Stat,
    rules: &'b Rules,
}

impl<'b> Spot<'b> {
    /// Finds it among the session's panes; the inner error is why nothing can be sent there.
    pub(super) async fn find(
        server: &Server,
        session: &str,
        book: &'b RuleBook,
    ) -> Result<Result<Self, Refusal>, TmuxError> {
        let rows = match server.panes().await {
            Ok((rows, _)) => rows,
            Err(error @ TmuxError::NoServer { .. }) => return Ok(Err(Refusal::Dead(error.to_string()))),
            Err(error) => return Err(error),
        };
        let rows: Vec<PaneRow> = rows.into_iter().filter(|row| row.session == session).collect();
        Ok(Self::of(&rows, book))
    }

    fn of(rows: &[PaneRow], book: &'b RuleBook) -> Result<Self, Refusal> {
        let dead = |why: &str| Refusal::Dead(why.to_owned());
        let (row, found) = look::choose(rows).ok_or_else(|| dead("it has no session on its socket"))?;
        let (Some(runtime), Some(stat)) = (found.runtime, found.stat) else {
            return Err(match found.process {
                Process::Shell { name } => dead(&format!("only a shell is left in its pane ({name})")),
                Process::Running { name, .. } => Refusal::Stranger(name),
                Process::Exited | Process::Unknown => dead("its process ended"),
            });
        };
        let rules =
            book.rules(runtime.as_str(), None).ok_or_else(|| Refusal::Stranger(runtime.to_string()))?;
        Ok(Self { pane: row.pane.clone(), server_pid: row.server_pid, runtime, stat, rules })
    }

    pub(super) fn number(&self) -> &str {
        self.pane.trim_start_matches('%')
    }

    /// Everything that tells, before anything is typed; a screen that is not understood is no free box.
    pub(super) async fn first_look(&self, server: &Server) -> Result<Seen, TmuxError> {
        let (mut seen, shows) = self.see(server).await?;
        seen.troubles.extend(self.failed());
        if shows.is_none() {
            seen.composer = None;
        }
        Ok(seen)
    }

    pub(super) async fn look(&self, server: &Server) -> Result<Seen, TmuxError> {
        self.see(server).await.map(|(seen, _)| seen)
    }

    async fn see(&self, server: &Server) -> Result<(Seen, Option<Shows>), TmuxError> {
        let Some(front) = server.front(&self.pane).await? else {
            return Ok((gone("its pane is gone"), None));
        };
        let grid = Grid::parse(&front.capture);
        let sight = self.rules.judge(&grid, &front.title);
        let written = self.rules.written(&grid, &front.title);
        let mut seen = Seen {
            life: self.life(&front, sight.shows),
            hold: hold(&front),
            troubles: trouble(&sight).into_iter().collect(),
            waits: false,
            queued: written.as_ref().is_some_and(|written| written.queued),
            composer: written.map(composer),
        };
        if let Some(reading) = runtimes::native(&self.runtime, &self.stat) {
            seen.waits = reading.native.is_some_and(|native| native.state == NativeState::Waiting);
            seen.troubles.extend(reading.evidence.into_iter().filter_map(standing));
        }
        Ok((seen, sight.shows))
    }

    fn life(&self, front: &Front, shows: Option<Shows>) -> Life {
        let dead = |why: &str| Life::Dead { why: why.to_owned() };
        let now = procfs::stat(self.stat.pid).filter(|now| now.start == self.stat.start && !now.ended());
        match now {
            _ if front.dead => dead("its pane is dead"),
            None => dead("its process ended"),
            Some(_) if shows == Some(Shows::Exited) => dead("a shell has its terminal"),
            Some(now) if now.stopped() => Life::Stopped,
            Some(_) => Life::Runs,
        }
    }

    /// What the end of its transcript says went wrong.
    fn failed(&self) -> Vec<Trouble> {
        let reading = runtimes::native(&self.runtime, &self.stat);
        let transcript = reading.as_ref().and_then(|reading| reading.transcript.as_deref());
        let ending = transcript.and_then(|path| ending::ending(self.runtime.as_str(), path).ok());
        let ending = ending.unwrap_or_default();
        let told = look::evidence(reading.as_ref(), &ending, None, Duration::ZERO, SystemTime::now());
        told.into_iter().filter_map(standing).collect()
    }
}

fn gone(why: &str) -> Seen {
    Seen {
        life: Life::Dead { why: why.to_owned() },
        hold: None,
        troubles: Vec::new(),
        waits: false,
        composer: None,
        queued: false,
    }
}

fn hold(front: &Front) -> Option<Hold> {
    match front {
        Front { in_mode: true, .. } => Some(Hold::CopyMode),
        Front { synchronized: true, .. } => Some(Hold::Synchronized),
        Front { input_off: true, .. } => Some(Hold::InputOff),
        _ => None,
    }
}

fn trouble(sight: &Sight) -> Option<Trouble> {
    match sight.shows {
        Some(Shows::Stuck(kind)) => Some(Trouble { kind, line: sight.line().to_owned() }),
        _ => None,
    }
}

/// A limit that was reset is over.
fn standing(evidence: Evidence) -> Option<Trouble> {
    let over = evidence.until.is_some_and(|until| until <= wall_now());
    (!over).then_some(Trouble { kind: evidence.kind, line: evidence.line })
}

fn composer(written: Written) -> Composer {
    match written {
        Written { mode: Some(mark), .. } => Composer::Mode(mark),
        Written { pasted: true, .. } => Composer::Pasted,
        Written { text, rest, .. } if text.is_empty() && rest.is_empty() => Composer::Empty,
        Written { text, rest, .. } => Composer::Holds { text, rest },
    }
}
