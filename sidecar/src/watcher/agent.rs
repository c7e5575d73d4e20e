//! One session followed: what was last seen of it, and what of it to look at next.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use fleet_adapters::heartbeat_file::Writer;
use fleet_adapters::hooks::Call;
use fleet_adapters::host::wall_now;
use fleet_adapters::runtimes::ending::{self, Ending};
use fleet_adapters::runtimes::usage::Tracer;
use fleet_adapters::runtimes::{self, NativeReading, live};
use fleet_adapters::screens::Rules;
use fleet_adapters::session_file::Session;
use fleet_adapters::tmux::PaneRow;
use fleet_adapters::{look, procfs};
use fleet_domain::limits::{account_of, provider_of};
use fleet_domain::observation::{Native, NativeState, Pane, Process, RosterEntry, Source};
use fleet_domain::{AccountName, Wall};
use look::Found;
use tokio::task::AbortHandle;

use super::Id;
use super::hooks::Told;
use super::screen::{Busy, Watch};
use super::servers::Served;
use super::stand::Stand;

/// Readings that fail in a row before what was read before is given up: a file may be caught half-written.
const MISSES: u8 = 3;

/// What drew within this time is at work, or about to be; the kernel keeps a terminal's time to eight seconds.
const LATELY: Duration = Duration::from_secs(20);

/// A turn of which nothing came for so long may be one whose requests fail.
const SILENT: Duration = Duration::from_secs(20);

pub(super) struct Watched {
    pub(super) id: Id,
    pub(super) roster: Option<RosterEntry>,
    pub(super) row: PaneRow,
    pub(super) pane: Pane,
    pub(super) found: Found,
    pub(super) reading: Option<NativeReading>,
    misses: u8,
    /// The runtime's configuration directory, once looked up.
    pub(super) config: Option<PathBuf>,
    /// When the runtime last answered, and by what.
    pub(super) confirmed: Option<(Instant, Source)>,
    pub(super) screen: Watch,
    pub(super) told: Option<Told>,
    pub(super) served: Served,
    pub(super) stand: Stand,
    pub(super) ending: Ending,
    /// The model that its usage was last told of.
    pub(super) used: Option<String>,
    /// When the turn began that the runtime itself last told of.
    pub(super) began: Option<Wall>,
    pub(super) ended_at: Option<(SystemTime, u64)>,
    pub(super) tracer: Tracer,
    /// When a listing last had its files and its server looked for, and how often in a row the former were because it began
    /// to move.
    pub(super) followed: Option<Instant>,
    pub(super) seeks: u8,
    /// The file whose end tells whose turn it is, where the runtime does not name it, and of how many it was chosen.
    pub(super) conversation: (Option<PathBuf>, usize),
    /// Something moved in the pane.
    pub(super) moved: Option<SystemTime>,
    pub(super) beat_at: Instant,
    pub(super) writer: Option<Writer>,
    /// What is remembered of the conversation.
    pub(super) session: Option<Session>,
    pub(super) guards: Vec<(u32, AbortHandle)>,
    pub(super) interval: Duration,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.guards.iter().for_each(|(_, guard)| guard.abort());
    }
}

impl Watched {
    pub(super) fn new(
        id: Id,
        roster: Option<RosterEntry>,
        row: PaneRow,
        found: Found,
        interval: Duration,
    ) -> Self {
        let mut watched = Self {
            id,
            roster,
            pane: look::pane(&row),
            row,
            found,
            reading: None,
            misses: 0,
            config: None,
            confirmed: None,
            screen: Watch::default(),
            told: None,
            served: Served::default(),
            stand: Stand::default(),
            ending: Ending::default(),
            used: None,
            began: None,
            ended_at: None,
            tracer: Tracer::default(),
            followed: None,
            seeks: 0,
            conversation: (None, 0),
            moved: None,
            beat_at: Instant::now(),
            writer: None,
            session: None,
            guards: Vec::new(),
            interval,
        };
        watched.look_at_activity();
        watched.read_native();
        watched
    }

    /// Gone, and told so: nothing is left to follow.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.pane, Pane::Gone)
    }

    pub(super) fn is_alive(&self) -> bool {
        matches!(self.pane, Pane::Alive { .. })
    }

    /// The processes whose end matters.
    pub(super) fn vital(&self) -> Vec<u32> {
        if !self.is_alive() {
            return Vec::new();
        }
        let runtime = self.found.stat.as_ref().map(|stat| stat.pid);
        let mut pids: Vec<u32> = std::iter::once(self.row.pid).chain(runtime).collect();
        pids.dedup();
        pids
    }

    /// The account that it spends from, and whose limits that account has.
    pub(super) fn pays(&self) -> Option<(AccountName, &'static str)> {
        let runtime = self.found.runtime.as_ref()?;
        let rostered = self.roster.as_ref().and_then(|entry| entry.account.as_deref());
        let account = account_of(rostered, runtime.as_str(), None)?;
        Some((account, provider_of(runtime.as_str(), None).unwrap_or_default()))
    }

    /// A fresh row from tmux; true when something changed.
    pub(super) fn listed(&mut self, row: PaneRow, found: Found, asked: Instant) -> bool {
        let pane = look::pane(&row);
        let changed = pane != self.pane || found != self.found;
        if found.stat.as_ref().map(|stat| stat.pid) != self.found.stat.as_ref().map(|stat| stat.pid) {
            self.forget_runtime();
        }
        (self.row, self.pane, self.found) = (row, pane, found);
        self.screen.still(self.row.activity, asked);
        self.confirm_by_screen();
        let moved = self.look_at_activity();
        changed || moved
    }

    /// A cheap look by /proc; true when something changed.
    pub(super) fn sample(&mut self) -> bool {
        if !self.is_alive() || matches!(self.found.process, Process::Exited) {
            return false;
        }
        let Some(pane) = procfs::stat(self.row.pid) else { return false };
        let runtime = self.found.stat.as_ref().map(|stat| (stat.pid, stat.start, stat.stopped()));
        let unchanged = pane.foreground == self.found.foreground
            && match runtime {
                Some((pid, start, stopped)) => {
                    let now = if pid == pane.pid { Some(pane) } else { procfs::stat(pid) };
                    now.is_some_and(|now| now.start == start && now.stopped() == stopped && !now.ended())
                }
                // A shell in front stays a shell until the foreground changes; other programs may turn into a runtime.
                None => matches!(self.found.process, Process::Shell { .. }),
            };
        let mut changed = false;
        if !unchanged {
            changed = self.walk();
        }
        let unread = self.reading.is_none() && self.found.stat.is_some();
        if unread || self.misses > 0 {
            changed |= self.read_native();
        }
        changed | self.look_at_activity()
    }

    /// Looks at the pane's processes anew; true when they changed.
    pub(super) fn walk(&mut self) -> bool {
        let found = look::processes(self.row.pid);
        if found == self.found {
            return false;
        }
        if found.stat.as_ref().map(|stat| (stat.pid, stat.start))
            != self.found.stat.as_ref().map(|stat| (stat.pid, stat.start))
        {
            self.forget_runtime();
        }
        self.found = found;
        self.read_native();
        true
    }

    fn forget_runtime(&mut self) {
        self.reading = None;
        self.config = None;
        self.confirmed = None;
        self.screen.forget();
        self.told = None;
        self.served = Served::default();
        self.stand = Stand::default();
        self.ending = Ending::default();
        (self.began, self.used) = (None, None);
        self.ended_at = None;
        self.tracer = Tracer::default();
        (self.followed, self.seeks) = (None, 0);
        self.conversation = (None, 0);
        self.misses = 0;
    }

    /// A process of this session ended, `pid`; true when it mattered.
    pub(super) fn ended(&mut self, pid: u32) -> bool {
        self.guards.retain(|(guarded, _)| *guarded != pid);
        let runtime = self.found.stat.as_ref().is_some_and(|stat| stat.pid == pid);
        if pid != self.row.pid && !runtime {
            return false;
        }
        self.found = Found { process: Process::Exited, runtime: None, stat: None, foreground: None };
        self.forget_runtime();
        if pid != self.row.pid {
            self.walk();
        }
        true
    }

    /// What the runtime says of itself; true when that changed.
    pub(super) fn read_native(&mut self) -> bool {
        let (Some(runtime), Some(stat)) = (&self.found.runtime, &self.found.stat) else { return false };
        let reading = runtimes::native(runtime, stat);
        let Some(reading) = reading else {
            self.misses = self.misses.saturating_add(1).min(MISSES);
            if self.misses < MISSES || self.reading.is_none() {
                return false;
            }
            self.reading = None;
            return true;
        };
        self.misses = 0;
        if reading.native.is_some() && !stat.stopped() {
            self.confirmed = Some((Instant::now(), Source::StateFile));
        }
        self.note_turn(reading.native.as_ref());
        let changed = self.reading.as_ref().is_none_or(|before| !same(before, &reading));
        self.reading = Some(reading);
        self.read_ending() | changed
    }

    /// When the runtime says that a turn runs, what failed before is over, though its transcript has no line of it yet.
    fn note_turn(&mut self, told: Option<&Native>) {
        let runs = |told: &&Native| matches!(told.state, NativeState::Busy | NativeState::Retrying);
        let Some(turn) = told.filter(runs) else { return };
        // Of a turn that somebody found running, nobody knows when it began: not later than it was found.
        let began = turn.since.map(|since| wall_now().minus(since)).or(self.began);
        self.began = Some(began.unwrap_or_else(wall_now));
    }

    /// What the end of the transcript says, if it grew; true when that changed.
    pub(super) fn read_ending(&mut self) -> bool {
        self.choose_conversation();
        let Some(path) = self.told_by().map(Path::to_owned) else { return false };
        let Some(runtime) = &self.found.runtime else { return false };
        let Ok(metadata) = std::fs::metadata(&path) else { return false };
        let stamp = metadata.modified().ok().map(|modified| (modified, metadata.len()));
        if stamp == self.ended_at {
            return false;
        }
        self.ended_at = stamp;
        let began = self.found.stat.as_ref().and_then(procfs::began);
        let ending = ending::ending(runtime.as_str(), &path).unwrap_or_default().of_process(began);
        if ending.turn.is_some() && self.runs() && self.reading.is_none() {
            self.confirmed = Some((Instant::now(), Source::Transcript));
        }
        let changed = ending != self.ending;
        self.ending = ending;
        changed
    }

    fn choose_conversation(&mut self) {
        let Some(runtime) = &self.found.runtime else { return };
        let traces: Vec<_> = self.tracer.known().collect();
        if traces.len() != self.conversation.1 {
            self.conversation = (runtimes::conversation(runtime, &traces), traces.len());
            self.ended_at = None;
        }
    }

    /// The transcript whose end is read.
    fn told_by(&self) -> Option<&Path> {
        self.transcript().or(self.conversation.0.as_deref())
    }

    /// A look at the screen can tell something.
    pub(super) fn wants_look(&self) -> bool {
        // Where only a hook tells, a lost one is found by the screen.
        let busy = self.native().filter(|native| native.state.runs()).map(|native| {
            let since = native.since.unwrap_or_default();
            let written = self.ended_at.and_then(|(at, _)| at.elapsed().ok()).unwrap_or(since);
            if since.min(written) >= SILENT { Busy::Silent } else { Busy::Moving }
        });
        self.is_alive() && self.runs() && self.screen.wants_look(busy, self.row.activity)
    }

    /// Looks for the server that its runtime may have; true when one was found.
    pub(super) fn find_server(&mut self) -> bool {
        let process = self.found.runtime.as_ref().zip(self.found.stat.as_ref());
        process.is_some_and(|(runtime, stat)| self.served.find(runtime, stat))
    }

    /// A server told something; true when that says something new of this agent.
    pub(super) fn heard(&mut self, told: &live::Told) -> bool {
        let Some((runtime, stat)) = self.found.runtime.as_ref().zip(self.found.stat.as_ref()) else {
            return false;
        };
        let changed = self.served.take(told, runtime, stat);
        let standing = self.served.native(Instant::now(), wall_now());
        self.note_turn(standing.as_ref());
        if told.conversations.is_some() && told.endpoint.is_the_process() && self.runs() {
            self.confirmed = Some((Instant::now(), Source::Api));
        }
        changed
    }

    /// A hook of its runtime called at that moment.
    pub(super) fn hooked(&mut self, call: Call, now: Instant) {
        if self.reading.is_none() {
            self.confirmed = Some((now, Source::Hook));
        }
        self.told = Some(Told::new(call, now));
    }

    /// It runs, and says of itself what it does.
    pub(super) fn tells_itself(&self) -> bool {
        self.is_alive() && self.runs() && self.native().is_some()
    }

    /// It draws, and nothing but its screen would tell that it asks something.
    pub(super) fn shows_alone(&self) -> bool {
        let drew = || self.moved.and_then(|moved| moved.elapsed().ok()).is_some_and(|ago| ago < LATELY);
        self.is_alive() && self.runs() && self.told.is_none() && self.native().is_none() && drew()
    }

    /// Its files move while its screen shows something in the way: it may have been answered.
    pub(super) fn may_be_answered(&self) -> bool {
        self.screen.shows_a_block()
    }

    pub(super) fn wants_second_look(&self) -> bool {
        self.screen.wants_second_look()
    }

    pub(super) fn has_no_rules(&mut self) {
        self.screen.has_no_rules();
    }

    /// Takes in what the pane showed then; true when that became another.
    pub(super) fn saw(&mut self, rules: &Rules, capture: &str, then: Instant) -> bool {
        let wall = wall_now().minus(then.elapsed());
        let changed = self.screen.saw(rules, (&self.row.title, capture), then, wall);
        self.confirm_by_screen();
        changed
    }

    /// A runtime that gives no answer of its own answers by drawing what it draws.
    fn confirm_by_screen(&mut self) {
        let later = |at: Instant| self.confirmed.is_none_or(|(before, _)| before < at);
        if let (true, None, Some(at)) = (self.runs(), &self.reading, self.screen.recognised())
            && later(at)
        {
            self.confirmed = Some((at, Source::Screen));
        }
    }

    /// A runtime is there and not stopped.
    pub(super) fn runs(&self) -> bool {
        self.found.stat.as_ref().is_some_and(|stat| !stat.stopped())
    }

    fn look_at_activity(&mut self) -> bool {
        let now = SystemTime::now();
        let Some(moved) = look::idle(&self.row, now).and_then(|idle| now.checked_sub(idle)) else {
            return false;
        };
        // The kernel keeps a terminal's time to eight seconds, so a busy pane is told anew about as often.
        let later = self
            .moved
            .is_none_or(|before| moved.duration_since(before).is_ok_and(|by| by > Duration::from_secs(4)));
        if later {
            self.moved = Some(moved);
        }
        later
    }

    /// What the runtime says of itself.
    pub(super) fn native(&self) -> Option<Native> {
        let own = self.reading.as_ref().and_then(|reading| reading.native.clone());
        own.or_else(|| self.served.native(Instant::now(), wall_now()))
    }
}

/// Ages grow by themselves: they are no change.
fn same(a: &NativeReading, b: &NativeReading) -> bool {
    let native = |reading: &NativeReading| reading.native.as_ref().map(|native| native.state);
    let evidence = |reading: &NativeReading| -> Vec<_> {
        reading.evidence.iter().map(|evidence| (evidence.kind, evidence.line.clone())).collect()
    };
    native(a) == native(b) && evidence(a) == evidence(b) && a.conversation == b.conversation
}
