//! Which transcripts a living process writes.
//!
//! What it holds open is its own. What merely lies where it would write is its own only if no other process of the
//! runtime works in the same directory and could write there too; else it is nobody's in particular. A decision stands
//! for as long as the process lives, so that a neighbour who comes later takes nothing away.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use fleet_domain::RuntimeName;

use super::Source;
use crate::procfs::{self, Stat};
use crate::runtimes::{self, NativeReading, codex};

/// How often places are searched that tell by nothing cheaper whether something is new.
const SEARCH_EVERY: Duration = Duration::from_secs(10);
/// And how seldom, where search after search found nothing at all.
const SEARCH_SELDOM: Duration = Duration::from_secs(60);
/// How long a neighbour's transcript is taken for its: it may end, and another go on with what it wrote.
const FOREIGN_FOR: Duration = Duration::from_secs(60);

/// Whose a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribution {
    /// The process's own.
    Own,
    /// Of one of several processes, and nothing tells which.
    Shared,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    pub source: Source,
    pub attribution: Attribution,
}

/// What makes a source a process's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::runtimes) enum Evidence {
    /// The process holds it open, or says so itself.
    Held,
    /// It lies where the process writes.
    Placed,
    /// The same, and whoever wrote it should be holding it open, and nobody does.
    Left,
}

/// A source that may be a process's.
pub(in crate::runtimes) struct Candidate {
    pub(in crate::runtimes) source: Source,
    pub(in crate::runtimes) evidence: Evidence,
    /// When what it holds began.
    pub(in crate::runtimes) began: Option<SystemTime>,
}

/// What a search may remember of the one before.
#[derive(Debug, Default)]
pub struct Memory {
    searched: Option<Instant>,
    pause: Duration,
    stamps: BTreeMap<PathBuf, (SystemTime, u64)>,
    told: BTreeSet<PathBuf>,
}

impl Memory {
    /// True when a costly search is due.
    pub(in crate::runtimes) fn search_due(&mut self) -> bool {
        let due = self.searched.is_none_or(|at| at.elapsed() >= self.pause);
        if due {
            self.searched = Some(Instant::now());
            self.pause = (self.pause * 2).clamp(SEARCH_EVERY, SEARCH_SELDOM);
        }
        due
    }

    /// True when this was not asked before.
    pub(in crate::runtimes) fn is_new(&mut self, path: &Path) -> bool {
        self.told.insert(path.to_owned())
    }

    /// True where a file is not as it was when this was asked last.
    pub(in crate::runtimes) fn changed(&mut self, path: &Path) -> bool {
        let Ok(metadata) = std::fs::metadata(path) else { return false };
        let Ok(modified) = metadata.modified() else { return true };
        let stamp = (modified, metadata.len());
        self.stamps.insert(path.to_owned(), stamp) != Some(stamp)
    }
}

/// What searches for several processes share: looked at once for all that come within a moment.
#[derive(Debug, Default)]
pub struct Machine {
    pub(in crate::runtimes) rollouts: codex::Rollouts,
}

/// Follows one process; begun anew with every process.
#[derive(Debug, Default)]
pub struct Tracer {
    found: BTreeMap<String, Trace>,
    /// Others', and when that was found out.
    foreign: BTreeMap<String, Instant>,
    memory: Memory,
}

impl Tracer {
    /// All that is known to be written, with what came to it since the last look.
    pub fn look(
        &mut self,
        runtime: &RuntimeName,
        process: &Stat,
        reading: Option<&NativeReading>,
        machine: &mut Machine,
    ) -> impl Iterator<Item = &Trace> {
        let mut scene = None;
        if !self.found.is_empty() {
            // It may turn to another conversation at any moment.
            self.hurry();
        }
        self.foreign.retain(|_, since| since.elapsed() < FOREIGN_FOR);
        for candidate in runtimes::candidates(runtime, process, reading, (&mut self.memory, machine)) {
            let id = candidate.source.id.clone();
            if self.found.contains_key(&id) || self.foreign.contains_key(&id) {
                continue;
            }
            let mut judged =
                || scene.get_or_insert_with(|| Scene::of(runtime, process)).judge(candidate.began);
            let attribution = match candidate.evidence {
                Evidence::Held => Some(Attribution::Own),
                Evidence::Placed => judged(),
                Evidence::Left => judged().map(|_| Attribution::Shared),
            };
            match attribution {
                Some(attribution) => {
                    self.found.insert(id, Trace { source: candidate.source, attribution });
                }
                None => {
                    self.foreign.insert(id, Instant::now());
                }
            }
        }
        self.found.values()
    }

    /// Something happens: the next costly search is not put off any further.
    pub fn hurry(&mut self) {
        self.memory.pause = self.memory.pause.min(SEARCH_EVERY);
    }

    pub fn known(&self) -> impl Iterator<Item = &Trace> {
        self.found.values()
    }

    /// Where changes concern this process.
    pub fn directories(&self) -> Vec<PathBuf> {
        let parents = self.found.values().filter_map(|trace| trace.source.path.parent());
        let mut directories: Vec<PathBuf> = parents.map(Path::to_owned).collect();
        directories.dedup();
        directories
    }
}

/// A process as far as it can be confused with another.
#[derive(Debug, Clone, Copy)]
struct Who {
    started: Option<SystemTime>,
    /// It may go on with what somebody else began.
    resumes: bool,
}

impl Who {
    fn of(stat: &Stat, arguments: &[String]) -> Self {
        Self { started: procfs::started(stat), resumes: resumes(arguments) }
    }

    fn was_there(&self, began: Option<SystemTime>) -> bool {
        self.started.zip(began).is_some_and(|(started, began)| started <= began)
    }

    fn came_later(&self, began: Option<SystemTime>) -> bool {
        !self.resumes && self.started.zip(began).is_some_and(|(started, began)| started > began)
    }
}

/// A process and the others of its runtime in its directory.
#[derive(Debug)]
struct Scene {
    own: Who,
    others: Vec<Who>,
}

impl Scene {
    fn of(runtime: &RuntimeName, process: &Stat) -> Self {
        let own = Who::of(process, &procfs::arguments(process.pid));
        Self { own, others: others_beside(runtime, process) }
    }

    /// `None` for what is another's.
    fn judge(&self, began: Option<SystemTime>) -> Option<Attribution> {
        let mine = self.own.was_there(began);
        if self.others.is_empty() || (mine && self.others.iter().all(|other| other.came_later(began))) {
            return Some(Attribution::Own);
        }
        let anothers = !mine && !self.own.resumes && self.others.iter().any(|other| other.was_there(began));
        (!anothers).then_some(Attribution::Shared)
    }
}

/// Whose a conversation is that began then in the directory of this process; `None` for another's.
pub(in crate::runtimes) fn attribution(
    runtime: &RuntimeName,
    process: &Stat,
    began: Option<SystemTime>,
) -> Option<Attribution> {
    Scene::of(runtime, process).judge(began)
}

fn others_beside(runtime: &RuntimeName, process: &Stat) -> Vec<Who> {
    let Some(directory) = procfs::directory(process.pid) else { return Vec::new() };
    let own: Vec<u32> = procfs::tree(process.pid).iter().map(|stat| stat.pid).collect();
    let mut others = Vec::new();
    for pid in procfs::all() {
        if own.contains(&pid) || procfs::directory(pid).as_deref() != Some(&directory) {
            continue;
        }
        let Some(stat) = procfs::stat(pid).filter(|stat| !stat.ended()) else { continue };
        let arguments = procfs::arguments(pid);
        if runtimes::recognise(&stat.comm, &arguments) == Some(runtime.as_str()) {
            others.push(Who::of(&stat, &arguments));
        }
    }
    others
}

/// All four runtimes spell it so.
fn resumes(arguments: &[String]) -> bool {
    const WORDS: [&str; 7] = ["-c", "--continue", "-r", "--resume", "resume", "-s", "--session"];
    arguments.iter().skip(1).any(|argument| {
        let word = argument.split_once('=').map_or(argument.as_str(), |(word, _)| word);
        WORDS.contains(&word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Option<SystemTime> {
        Some(SystemTime::UNIX_EPOCH + Duration::from_secs(second))
    }

    fn who(second: u64) -> Who {
        Who { started: at(second), resumes: false }
    }

    fn judged(began: u64, own: Who, others: &[Who]) -> Option<Attribution> {
        Scene { own, others: others.to_vec() }.judge(at(began))
    }

    #[test]
    fn alone_in_a_directory_everything_that_moves_is_ones_own() {
        assert_eq!(judged(5, who(10), &[]), Some(Attribution::Own));
        assert_eq!(judged(15, who(10), &[]), Some(Attribution::Own));
    }

    #[test]
    fn what_was_begun_before_the_neighbour_came_is_ones_own_and_not_the_neighbours() {
        assert_eq!(judged(15, who(10), &[who(20)]), Some(Attribution::Own));
        assert_eq!(judged(15, who(20), &[who(10)]), None);
    }

    #[test]
    fn what_either_may_have_written_is_nobodys() {
        let resumes = Who { resumes: true, ..who(20) };
        assert_eq!(judged(25, who(10), &[who(20)]), Some(Attribution::Shared));
        assert_eq!(judged(25, who(20), &[who(10)]), Some(Attribution::Shared));
        assert_eq!(judged(5, who(10), &[who(20)]), Some(Attribution::Shared));
        assert_eq!(judged(15, who(10), &[resumes]), Some(Attribution::Shared));
        assert_eq!(judged(15, resumes, &[who(10)]), Some(Attribution::Shared));
        assert_eq!(judged(15, who(10), &[Who { started: None, ..who(20) }]), Some(Attribution::Shared));
    }

    #[test]
    fn going_on_is_recognised_in_each_spelling() {
        let said = |words: &str| resumes(&words.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert!(said("pi -c") && said("codex resume --last") && said("opencode --session=ses_1"));
        assert!(!said("pi --model x") && !said("codex"));
    }
}
