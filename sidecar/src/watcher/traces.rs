//! Which files one session writes, and where.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fleet_adapters::procfs;
use fleet_adapters::runtimes::claude;
use fleet_adapters::runtimes::usage::{Machine, Trace};
use fleet_domain::Wall;

use super::agent::Watched;

/// As [`Watched::moved`] is kept, to a few seconds.
const MOVES: Duration = Duration::from_secs(6);
/// How many times in a row, a second apart, what it writes is sought once it moves.
const SEEKS: u8 = 10;
/// How often it is sought when listings come closer than this.
const FOLLOW: Duration = Duration::from_secs(4);

impl Watched {
    pub(super) fn transcript(&self) -> Option<&Path> {
        self.reading.as_ref()?.transcript.as_deref()
    }

    /// What its process writes its usage to.
    pub(super) fn traces(&mut self, machine: &mut Machine) -> impl Iterator<Item = &Trace> {
        let process = self.found.runtime.as_ref().zip(self.found.stat.as_ref());
        let (tracer, reading) = (&mut self.tracer, self.reading.as_ref());
        process.map(move |(runtime, stat)| tracer.look(runtime, stat, reading, machine)).into_iter().flatten()
    }

    /// It began to move, and nothing that it writes is known: its first answer is worth a look before the next listing.
    /// Asked once a second.
    pub(super) fn seek_again(&mut self) -> bool {
        let moves = self.moved.and_then(|moved| moved.elapsed().ok()).is_some_and(|idle| idle < MOVES);
        if !moves || !self.runs() || self.tracer.known().next().is_some() {
            self.seeks = 0;
            return false;
        }
        self.seeks = self.seeks.saturating_add(1);
        let again = self.seeks <= SEEKS;
        if again {
            // The first answer is written some seconds after the first move.
            self.tracer.hurry();
        }
        again
    }

    /// True when it is time to look anew, with a listing, for what it writes and who serves it: listings may come every
    /// second.
    pub(super) fn follow_is_due(&mut self) -> bool {
        let due = self.followed.is_none_or(|at| at.elapsed() >= FOLLOW);
        if due {
            self.followed = Some(Instant::now());
        }
        due
    }

    /// A response of that model was counted as its own; true where nothing else tells its model. What was counted late of
    /// a process before it says nothing of it.
    pub(super) fn answered(&mut self, at: Wall, model: String) -> bool {
        let began = self.found.stat.as_ref().and_then(procfs::began);
        if began.is_none_or(|began| at < began) || self.used.as_ref() == Some(&model) {
            return false;
        }
        self.used = Some(model);
        self.ending.model().is_none()
    }

    /// Those of the transcripts that lie in one of these directories.
    pub(super) fn transcripts_below(&self, directories: &[PathBuf]) -> Vec<PathBuf> {
        let paths = self.tracer.known().map(|trace| &trace.source.path);
        paths
            .filter(|path| directories.iter().any(|directory| path.parent() == Some(directory)))
            .cloned()
            .collect()
    }

    /// The directories whose changes concern this session; some appear only when the runtime first writes there.
    pub(super) fn directories(&mut self) -> Vec<PathBuf> {
        let mut directories = Vec::new();
        if self.found.runtime.as_ref().is_some_and(|runtime| runtime.as_str() == claude::NAME)
            && let Some(stat) = &self.found.stat
        {
            self.config = self.config.take().or_else(|| claude::config_dir(stat.pid));
            directories.extend(self.config.as_ref().map(|config| config.join("sessions")));
        }
        if let Some(own) = self.transcript() {
            directories.extend(own.parent().map(Path::to_owned));
            directories.push(claude::subagents_dir(own));
        }
        directories.extend(self.tracer.directories());
        directories
    }

    /// True where this file is one that this session's state is read from.
    pub(super) fn reads(&self, path: &Path) -> bool {
        let state = self
            .found
            .stat
            .as_ref()
            .is_some_and(|stat| path.file_name() == Some(format!("{}.json", stat.pid).as_ref()));
        state
            || self.conversation.0.as_deref() == Some(path)
            || self
                .transcript()
                .is_some_and(|own| path == own || path.parent() == Some(&claude::subagents_dir(own)))
    }
}
