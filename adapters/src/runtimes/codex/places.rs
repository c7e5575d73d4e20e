//! Where a Codex process writes its rollouts.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use fleet_domain::time::Wall;
use serde::Deserialize;

use super::NAME;
use crate::procfs::{self, Stat};
use crate::runtimes::usage::{Candidate, Evidence, Memory};

/// A rollout's first line is looked at up to here; it may hold the whole of the instructions.
const MAX_HEAD: u64 = 256 << 10;
/// How long a look at all of a machine's processes serves: for the agents of one round. What is created meanwhile seems to
/// be nobody's.
const MOMENT: Duration = Duration::from_millis(50);
/// Directories of days that are searched; one day's night may lie in two of them.
const DAYS: usize = 3;

#[derive(Deserialize)]
struct Head {
    payload: Meta,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(default)]
    cwd: Option<PathBuf>,
    #[serde(default)]
    timestamp: Option<String>,
    /// A word, or an object that names a sub-agent's parent.
    #[serde(default)]
    source: serde_json::Value,
}

/// The rollouts that this machine's Codex processes hold open.
#[derive(Debug, Default)]
pub(in crate::runtimes) struct Rollouts {
    looked: Option<Instant>,
    by_daemons: BTreeSet<PathBuf>,
    by_others: BTreeSet<PathBuf>,
}

impl Rollouts {
    fn look(&mut self) -> &Self {
        if self.looked.is_none_or(|at| at.elapsed() >= MOMENT) {
            let (daemons, others): (Vec<u32>, Vec<u32>) =
                procfs::all().into_iter().filter(|pid| is_codex(*pid)).partition(|pid| is_daemon(*pid));
            self.by_daemons = daemons.into_iter().flat_map(rollouts).collect();
            self.by_others = others.into_iter().flat_map(rollouts).collect();
            self.looked = Some(Instant::now());
        }
        self
    }
}

/// The rollouts that it holds open. Where it holds none, those that a daemon holds or that were lately written, as far as
/// they began in its directory.
pub(in crate::runtimes) fn candidates(
    process: &Stat,
    memory: &mut Memory,
    machine: &mut Rollouts,
) -> Vec<Candidate> {
    let tree = procfs::tree(process.pid);
    let own: Vec<PathBuf> = tree.iter().flat_map(|stat| rollouts(stat.pid)).collect();
    if !own.is_empty() || !memory.search_due() {
        return own.into_iter().filter(|path| memory.is_new(path)).filter_map(certain).collect();
    }
    let Some(directory) = procfs::directory(process.pid) else { return Vec::new() };
    let Rollouts { by_daemons: shared, by_others: taken, .. } = machine.look();
    let started = procfs::started(process).unwrap_or(SystemTime::UNIX_EPOCH);
    let written =
        home(process.pid).map(|home| written_since(&home.join("sessions"), started)).unwrap_or_default();
    // Nobody holds these any more: one that ended in the meantime may have written them.
    let left = written.iter().filter(|path| !shared.contains(*path) && !taken.contains(*path));
    let shared = shared.iter().filter_map(|path| in_directory(path, &directory, Evidence::Placed));
    shared.chain(left.filter_map(|path| in_directory(path, &directory, Evidence::Left))).collect()
}

/// `$CODEX_HOME`, default `~/.codex`, as the process itself sees it.
pub(super) fn home(pid: u32) -> Option<PathBuf> {
    let [codex, home] = procfs::environment(pid, &["CODEX_HOME", "HOME"]).try_into().ok()?;
    codex.or_else(|| home.map(|home| home.join(".codex")))
}

/// Rollouts of the latest days, by year, month and day.
fn written_since(sessions: &Path, started: SystemTime) -> Vec<PathBuf> {
    let mut days = vec![sessions.to_owned()];
    for _ in ["year", "month", "day"] {
        let mut below: Vec<PathBuf> = days.iter().flat_map(|place| entries(place)).collect();
        below.sort();
        days = below.split_off(below.len().saturating_sub(DAYS));
    }
    let written = |path: &PathBuf| {
        let modified = std::fs::metadata(path).and_then(|metadata| metadata.modified());
        modified.is_ok_and(|modified| modified >= started)
    };
    days.iter().flat_map(|day| entries(day)).filter(|path| is_rollout(path)).filter(written).collect()
}

fn entries(place: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(place).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

fn is_rollout(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with("rollout-") && name.ends_with(".jsonl")
}

fn certain(path: PathBuf) -> Option<Candidate> {
    Some(Candidate { source: super::whole(&path)?, evidence: Evidence::Held, began: None })
}

/// A sub-agent's: whose turn it is there says nothing of the agent.
pub(in crate::runtimes) fn is_subagent(path: &Path) -> bool {
    head(path).is_some_and(|meta| meta.source.get("subagent").is_some())
}

fn in_directory(path: &Path, directory: &Path, evidence: Evidence) -> Option<Candidate> {
    let meta = head(path)?;
    (meta.cwd.as_deref() == Some(directory)).then_some(())?;
    let began = meta.timestamp.as_deref().and_then(Wall::parse_rfc3339).and_then(system_time);
    Some(Candidate { source: super::whole(path)?, evidence, began })
}

fn head(path: &Path) -> Option<Meta> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MAX_HEAD).read_to_end(&mut bytes).ok()?;
    let line = bytes.split(|byte| *byte == b'\n').next()?;
    serde_json::from_slice::<Head>(line).ok().map(|head| head.payload)
}

fn system_time(at: Wall) -> Option<SystemTime> {
    let since = Duration::from_millis(u64::try_from(at.0).ok()?);
    SystemTime::UNIX_EPOCH.checked_add(since)
}

fn is_codex(pid: u32) -> bool {
    procfs::stat(pid).is_some_and(|stat| stat.comm.starts_with(NAME))
}

fn is_daemon(pid: u32) -> bool {
    procfs::arguments(pid).iter().any(|argument| argument == "app-server")
}

pub(super) fn rollouts(pid: u32) -> Vec<PathBuf> {
    procfs::open_files(pid).into_iter().filter(|path| is_rollout(path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollout_says_where_it_began() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rollout-x.jsonl");
        let line = r#"{"timestamp":"2026-11-21T10:05:02.138Z","type":"session_meta","payload":{"id":"t","timestamp":"2026-11-21T10:05:02.138Z","cwd":"/home/dev/work"}}"#;
        std::fs::write(&path, format!("{line}\n{{}}\n")).unwrap();
        let found = in_directory(&path, Path::new("/home/dev/work"), Evidence::Placed).unwrap();
        assert_eq!(found.began, system_time(Wall(1_795_255_502_138)));
        assert!(in_directory(&path, Path::new("/home/dev"), Evidence::Placed).is_none());
    }

    #[test]
    fn only_the_latest_days_rollouts_are_looked_at_and_of_them_what_was_written_since() {
        let dir = tempfile::tempdir().unwrap();
        for day in ["2025/12/31", "2026/06/01", "2026/06/02", "2026/06/03"] {
            let place = dir.path().join(day);
            std::fs::create_dir_all(&place).unwrap();
            std::fs::write(place.join("rollout-x.jsonl"), "{}").unwrap();
            std::fs::write(place.join("other.jsonl"), "{}").unwrap();
        }
        let found = written_since(dir.path(), SystemTime::UNIX_EPOCH);
        assert_eq!(found.len(), 3);
        assert!(!found.iter().any(|path| path.starts_with(dir.path().join("2025"))));
        assert!(written_since(dir.path(), SystemTime::now() + Duration::from_secs(60)).is_empty());
    }

    #[test]
    fn what_a_process_holds_open_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rollout-2026-11-21T10-05-02-x.jsonl");
        let file = File::create(&path).unwrap();
        assert_eq!(rollouts(std::process::id()), [path.canonicalize().unwrap()]);
        drop(file);
    }
}
