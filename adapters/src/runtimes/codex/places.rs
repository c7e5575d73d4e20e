//! Where a Codex process writes its rollouts.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use fleet_domain::time::Wall;
use serde::Deserialize;

use super::NAME;
use crate::procfs::{self, Stat};
use crate::runtimes::usage::{Candidate, Memory};

/// A rollout's first line is looked at up to here; it may hold the whole of the instructions.
const MAX_HEAD: u64 = 256 << 10;

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

/// The rollouts that it holds open; where its daemon holds them, those of the daemon's that began in its directory.
pub(in crate::runtimes) fn candidates(process: &Stat, memory: &mut Memory) -> Vec<Candidate> {
    let tree = procfs::tree(process.pid);
    let own: Vec<PathBuf> = tree.iter().flat_map(|stat| rollouts(stat.pid)).collect();
    if !own.is_empty() || !memory.search_due() {
        return own.into_iter().filter(|path| memory.is_new(path)).filter_map(certain).collect();
    }
    let Some(directory) = procfs::directory(process.pid) else { return Vec::new() };
    let daemons = procfs::all().into_iter().filter(|pid| is_daemon(*pid));
    let open: Vec<PathBuf> = daemons.flat_map(rollouts).collect();
    open.iter().filter_map(|path| in_directory(path, &directory)).collect()
}

fn certain(path: PathBuf) -> Option<Candidate> {
    Some(Candidate { source: super::whole(&path)?, certain: true, began: None })
}

/// A sub-agent's: whose turn it is there says nothing of the agent.
pub(in crate::runtimes) fn is_subagent(path: &Path) -> bool {
    head(path).is_some_and(|meta| meta.source.get("subagent").is_some())
}

fn in_directory(path: &Path, directory: &Path) -> Option<Candidate> {
    let meta = head(path)?;
    (meta.cwd.as_deref() == Some(directory)).then_some(())?;
    let began = meta.timestamp.as_deref().and_then(Wall::parse_rfc3339).and_then(system_time);
    Some(Candidate { source: super::whole(path)?, certain: false, began })
}

fn head(path: &Path) -> Option<Meta> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MAX_HEAD).read_to_end(&mut bytes).ok()?;
    let line = bytes.split(|byte| *byte == b'\n').next()?;
    serde_json::from_slice::<Head>(line).ok().map(|head| head.payload)
}

fn system_time(at: Wall) -> Option<SystemTime> {
    let since = std::time::Duration::from_millis(u64::try_from(at.0).ok()?);
    SystemTime::UNIX_EPOCH.checked_add(since)
}

fn is_daemon(pid: u32) -> bool {
    let Some(stat) = procfs::stat(pid) else { return false };
    stat.comm.starts_with(NAME) && procfs::arguments(pid).iter().any(|argument| argument == "app-server")
}

fn rollouts(pid: u32) -> Vec<PathBuf> {
    let is_rollout = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("rollout-") && name.ends_with(".jsonl")
    };
    procfs::open_files(pid).into_iter().filter(is_rollout).collect()
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
        let found = in_directory(&path, Path::new("/home/dev/work")).unwrap();
        assert_eq!(found.began, system_time(Wall(1_795_255_502_138)));
        assert!(in_directory(&path, Path::new("/home/dev")).is_none());
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
