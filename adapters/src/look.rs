//! One session looked at once: tmux's row, the kernel's view of its processes, and the runtime's own words joined
//! into an observation. Decides nothing.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use fleet_domain::heartbeat;
use fleet_domain::observation::{Beat, Evidence, Native, NativeState, Observation, Pane, Process, Source};
use fleet_domain::roster::is_shell;
use fleet_domain::{RuntimeName, SocketName, Wall};

use crate::heartbeat_file;
use crate::procfs::{self, Stat};
use crate::runtimes::ending::{self, Ending, Failed};
use crate::runtimes::{self, NativeReading};
use crate::screens::{Shows, Sight};
use crate::tmux::PaneRow;

/// What a look found in a pane's processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub process: Process,
    pub runtime: Option<RuntimeName>,
    /// The runtime's process.
    pub stat: Option<Stat>,
    /// The terminal's foreground group when we looked; while it and the runtime stay, nothing has changed.
    pub foreground: Option<u32>,
}

/// Walks the pane's process tree.
pub fn processes(pane_pid: u32) -> Found {
    let tree = procfs::tree(pane_pid);
    let foreground = tree.first().and_then(|stat| stat.foreground);
    if let Some((runtime, stat)) = runtimes::find(&tree) {
        let process = Process::Running { pid: stat.pid, name: stat.comm.clone(), stopped: stat.stopped() };
        return Found { process, runtime: Some(runtime), stat: Some(stat.clone()), foreground };
    }
    let leader = tree
        .iter()
        .find(|stat| Some(stat.pid) == foreground)
        .or_else(|| tree.iter().find(|stat| Some(stat.group) == foreground))
        .or(tree.first());
    let process = match leader {
        None => Process::Exited,
        Some(stat) if stat.ended() => Process::Exited,
        Some(stat) if is_shell(&stat.comm) => Process::Shell { name: stat.comm.clone() },
        Some(stat) => Process::Running { pid: stat.pid, name: stat.comm.clone(), stopped: stat.stopped() },
    };
    Found { process, runtime: None, stat: None, foreground }
}

/// Of a session's panes the one that runs a runtime, else the active one, else the first.
pub fn choose(rows: &[PaneRow]) -> Option<(&PaneRow, Found)> {
    let mut first = None;
    for row in rows.iter().filter(|row| row.active).chain(rows.iter().filter(|row| !row.active)) {
        let found = if row.dead { dead() } else { processes(row.pid) };
        if found.runtime.is_some() {
            return Some((row, found));
        }
        first.get_or_insert((row, found));
    }
    first
}

fn dead() -> Found {
    Found { process: Process::Exited, runtime: None, stat: None, foreground: None }
}

/// How long nothing moved: the later of what tmux and the terminal say. A future time is no idleness.
pub fn idle(row: &PaneRow, now: SystemTime) -> Option<Duration> {
    let by_tmux = row.activity.and_then(|seconds| u64::try_from(seconds).ok()).map(|seconds| {
        now.duration_since(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap_or_default()
    });
    let by_terminal = procfs::terminal_idle(Path::new(&row.tty), now);
    by_tmux.into_iter().chain(by_terminal).min()
}

pub fn pane(row: &PaneRow) -> Pane {
    if row.dead {
        return Pane::Dead { status: row.dead_status, signal: row.dead_signal };
    }
    Pane::Alive { id: row.pane.clone(), pid: row.pid, command: row.command.clone(), title: row.title.clone() }
}

/// The runtime's answer of this moment, where it gives one.
pub fn beat(reading: Option<&NativeReading>, stat: Option<&Stat>, interval: Duration) -> Option<Beat> {
    let native = reading?.native.as_ref()?;
    let stat = stat.filter(|stat| !stat.stopped())?;
    Some(Beat {
        age: Duration::ZERO,
        interval,
        pid: Some(stat.pid),
        status: Some(status(native.state)),
        source: native.source,
        clock_skew: false,
    })
}

pub fn status(state: NativeState) -> heartbeat::Status {
    match state {
        NativeState::Busy | NativeState::Retrying | NativeState::Background => heartbeat::Status::Busy,
        NativeState::TurnEnded | NativeState::Waiting => heartbeat::Status::Ok,
    }
}

/// What a heartbeat file says, on the reader's clock; nothing where there is none or it cannot be read.
pub fn beat_of_file(path: &Path, default_interval: Duration, now: Wall) -> Option<Beat> {
    let beat = heartbeat_file::read(path).ok().flatten()?;
    Some(Beat {
        age: beat.ts.age_at(now),
        interval: beat.interval.unwrap_or(default_interval),
        pid: beat.pid,
        status: beat.status,
        source: beat.source.as_deref().and_then(Source::parse).unwrap_or(Source::HeartbeatFile),
        clock_skew: beat.ts > now.plus(Duration::from_secs(2)),
    })
}

/// The runtime's own evidence, then the transcript's: a failure that nothing followed, unless a turn runs again.
/// `began` is when the last turn began, as far as somebody saw it, and `confirmed` how long ago the runtime last answered.
pub fn evidence(
    reading: Option<&NativeReading>,
    ending: &Ending,
    began: Option<Wall>,
    confirmed: Duration,
    now: SystemTime,
) -> Vec<Evidence> {
    let own = reading.iter().flat_map(|reading| reading.evidence.iter().cloned());
    let mut evidence: Vec<Evidence> = own.map(|evidence| Evidence { confirmed, ..evidence }).collect();
    let native = reading.and_then(|reading| reading.native.as_ref());
    let over = native.is_none_or(|native| native.state == NativeState::TurnEnded);
    // A runtime says that a turn is over before its transcript has a line of that turn.
    let older = |failed: &Failed| failed.at.zip(began).is_some_and(|(at, began)| at < began);
    if let Some(failed) = ending.failed.as_ref().filter(|failed| over && !older(failed)) {
        let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let at = failed.at.and_then(|at| u64::try_from(at.0).ok()).map(Duration::from_millis);
        evidence.push(Evidence {
            kind: failed.kind,
            line: failed.line.clone(),
            source: Source::Transcript,
            since: at.map(|at| since_epoch.saturating_sub(at)),
            confirmed,
            until: failed.until,
        });
    }
    evidence
}

/// What a screen tells, shown so for `since` and last looked at `confirmed` ago: whose turn it is, or what is in the
/// way.
pub fn seen(
    sight: &Sight,
    since: Duration,
    confirmed: Duration,
    now: Wall,
) -> (Option<Native>, Option<Evidence>) {
    let Some(shows) = sight.shows else { return (None, None) };
    let native = shows.native().map(|state| Native {
        state,
        since: Some(since),
        source: Source::Screen,
        confirmed,
        line: sight.line().to_owned(),
    });
    let evidence = match shows {
        Shows::Stuck(kind) => Some(Evidence {
            kind,
            line: sight.line().to_owned(),
            source: Source::Screen,
            since: Some(since),
            confirmed,
            // As it was meant when it was first seen: a time of day comes again tomorrow.
            until: sight.reset.as_ref().and_then(|reset| reset.after(now.minus(since))),
        }),
        _ => None,
    };
    (native, evidence)
}

/// Whose turn it is, as the transcript's end says; it says so for as long as the runtime lives.
pub fn turn(ending: &Ending, now: Wall) -> Option<Native> {
    ending.turn.map(|turn| Native {
        state: turn.state,
        since: turn.at.map(|at| at.age_at(now)),
        source: Source::Transcript,
        confirmed: Duration::ZERO,
        line: String::new(),
    })
}

/// Everything one look gives, with what a follower needs to go on from here.
#[derive(Debug, Clone)]
pub struct Look {
    pub observation: Observation,
    pub found: Found,
    pub transcript: Option<PathBuf>,
}

/// Looks at one session once.
pub fn session(
    socket: &SocketName,
    name: &str,
    rows: &[PaneRow],
    interval: Duration,
    now: SystemTime,
) -> Option<Look> {
    let (row, found) = choose(rows)?;
    let reading = found
        .runtime
        .as_ref()
        .zip(found.stat.as_ref())
        .and_then(|(runtime, stat)| runtimes::native(runtime, stat));
    let transcript = reading.as_ref().and_then(|reading| reading.transcript.clone());
    let ended = transcript.as_deref().zip(found.runtime.as_ref());
    let ending =
        ended.and_then(|(path, runtime)| ending::ending(runtime.as_str(), path).ok()).unwrap_or_default();
    let ending = ending.of_process(found.stat.as_ref().and_then(procfs::began));
    let observation = Observation {
        socket: socket.clone(),
        session: name.to_owned(),
        pane: pane(row),
        process: found.process.clone(),
        runtime: found.runtime.clone(),
        heartbeat: beat(reading.as_ref(), found.stat.as_ref(), interval),
        native: reading.iter().filter_map(|reading| reading.native.clone()).collect(),
        evidence: evidence(reading.as_ref(), &ending, None, Duration::ZERO, now),
        idle: idle(row, now),
        model: ending.model(),
        conversation: reading.as_ref().and_then(|reading| reading.conversation.clone()),
        draft: None,
    };
    Some(Look { observation, found, transcript })
}

impl Look {
    /// The pane whose screen may tell more.
    pub fn pane(&self) -> Option<&str> {
        match &self.observation.pane {
            Pane::Alive { id, .. } => Some(id),
            _ => None,
        }
    }

    /// The terminal's title; empty where there is none.
    pub fn title(&self) -> &str {
        match &self.observation.pane {
            Pane::Alive { title, .. } => title,
            _ => "",
        }
    }

    /// Takes in what the screen shows at the same moment.
    pub fn see(&mut self, sight: &Sight, interval: Duration, now: Wall) {
        let seen = &mut self.observation;
        let (native, evidence) = self::seen(sight, Duration::ZERO, Duration::ZERO, now);
        // One look does not tell since when.
        let native = native.map(|native| Native { since: None, ..native });
        let evidence = evidence.map(|evidence| Evidence { since: None, ..evidence });
        let stat = self.found.stat.as_ref().filter(|stat| !stat.stopped());
        if let (None, Some(stat), Some(_)) = (&seen.heartbeat, stat, sight.shows) {
            seen.heartbeat = Some(Beat {
                age: Duration::ZERO,
                interval,
                pid: Some(stat.pid),
                status: native.as_ref().map(|native| status(native.state)),
                source: Source::Screen,
                clock_skew: false,
            });
        }
        seen.native.extend(native);
        seen.evidence.extend(evidence);
        seen.draft = sight.draft;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_of_an_earlier_turn_is_none_of_this_one() {
        let failed = Failed {
            kind: fleet_domain::observation::StuckKind::Login,
            line: "Not logged in".to_owned(),
            at: Some(Wall(1_000)),
            until: None,
        };
        let ending = Ending { failed: Some(failed), ..Ending::default() };
        let told = |began| evidence(None, &ending, began, Duration::ZERO, SystemTime::now()).len();
        assert_eq!([told(None), told(Some(Wall(900))), told(Some(Wall(1_001)))], [1, 1, 0]);
    }
}
