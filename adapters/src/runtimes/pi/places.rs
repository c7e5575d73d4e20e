//! Where a pi process writes its sessions. It opens a file only to append, so only its place and its beginning tell.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use fleet_domain::time::Wall;
use serde::Deserialize;

use super::NAME;
use crate::procfs::{self, Stat};
use crate::runtimes::usage::{Candidate, Evidence, Memory, Source};

const MAX_HEAD: u64 = 16 << 10;
const MAX_SETTINGS: u64 = 1 << 20;

#[derive(Deserialize)]
struct Head {
    cwd: PathBuf,
    timestamp: String,
}

/// Sessions of its directory that were written to since it began.
pub(in crate::runtimes) fn candidates(process: &Stat, memory: &mut Memory) -> Vec<Candidate> {
    let Some((directory, places)) = procfs::directory(process.pid).zip(sessions(process)) else {
        return Vec::new();
    };
    if !memory.changed(&places) && !memory.search_due() {
        return Vec::new();
    }
    let started = procfs::started(process).unwrap_or(SystemTime::UNIX_EPOCH);
    below(&places, &directory, started)
}

fn below(places: &Path, directory: &Path, started: SystemTime) -> Vec<Candidate> {
    let Ok(entries) = std::fs::read_dir(places) else { return Vec::new() };
    let written = entries.filter_map(Result::ok).filter(|entry| {
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        modified.is_ok_and(|modified| modified >= started)
    });
    let files = written.map(|entry| entry.path());
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .filter_map(|path| candidate(&path, directory))
        .collect()
}

fn candidate(path: &Path, directory: &Path) -> Option<Candidate> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MAX_HEAD).read_to_end(&mut bytes).ok()?;
    let head: Head = serde_json::from_slice(bytes.split(|byte| *byte == b'\n').next()?).ok()?;
    let since = u64::try_from(Wall::parse_rfc3339(&head.timestamp)?.0).ok()?;
    let began = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(since));
    (head.cwd == directory).then_some(Candidate {
        source: Source::lines(NAME, path)?,
        evidence: Evidence::Placed,
        began,
    })
}

/// As the process's own arguments and environment say.
fn sessions(process: &Stat) -> Option<PathBuf> {
    let arguments = procfs::arguments(process.pid);
    let directory = procfs::directory(process.pid)?;
    let names = ["PI_CODING_AGENT_SESSION_DIR", "PI_CODING_AGENT_DIR", "HOME"];
    let [flat, agent, home] = procfs::environment(process.pid, &names).try_into().ok()?;
    let chosen = argument(&arguments, "--session-dir").map(PathBuf::from).or(flat);
    match chosen {
        Some(chosen) => Some(directory.join(chosen)),
        None => {
            let agent = agent.or_else(|| Some(home.as_ref()?.join(".pi/agent")))?;
            let set = [directory.join(".pi/settings.json"), agent.join("settings.json")];
            match set.iter().find_map(|file| session_dir(file)) {
                Some(set) => Some(directory.join(expanded(set, home.as_deref()))),
                None => Some(agent.join("sessions").join(munged(&directory)?)),
            }
        }
    }
}

/// The setting `sessionDir`: the project's before the user's.
fn session_dir(settings: &Path) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct Settings {
        #[serde(rename = "sessionDir")]
        session_dir: PathBuf,
    }
    let mut text = Vec::new();
    File::open(settings).ok()?.take(MAX_SETTINGS).read_to_end(&mut text).ok()?;
    let set: Settings = serde_json::from_slice(&text).ok()?;
    Some(set.session_dir).filter(|set| !set.as_os_str().is_empty())
}

fn expanded(path: PathBuf, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path,
    }
}

fn argument<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    let at = arguments.iter().position(|argument| argument == name)?;
    arguments.get(at + 1).map(String::as_str)
}

fn munged(directory: &Path) -> Option<String> {
    let text = directory.to_str()?;
    Some(format!("--{}--", text.trim_start_matches('/').replace(['/', '\\', ':'], "-")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_lie_where_the_runtime_puts_them() {
        assert_eq!(munged(Path::new("/home/dev/work")).unwrap(), "--home-dev-work--");
        let arguments: Vec<String> = ["pi", "--session-dir", "/s"].map(str::to_owned).into();
        assert_eq!(argument(&arguments, "--session-dir"), Some("/s"));
        let dir = tempfile::tempdir().unwrap();
        let settings = dir.path().join("settings.json");
        assert_eq!(session_dir(&settings), None);
        std::fs::write(&settings, r#"{"theme":"dark","sessionDir":"~/elsewhere"}"#).unwrap();
        let set = session_dir(&settings).map(|set| expanded(set, Some(Path::new("/h"))));
        assert_eq!(set, Some(PathBuf::from("/h/elsewhere")));
    }

    #[test]
    fn only_what_was_written_since_and_began_in_the_directory_counts() {
        let dir = tempfile::tempdir().unwrap();
        let head =
            r#"{"type":"session","version":3,"id":"s","timestamp":"2026-11-21T10:13:51.185Z","cwd":"/w"}"#;
        std::fs::write(dir.path().join("a.jsonl"), format!("{head}\n")).unwrap();
        std::fs::write(dir.path().join("b.jsonl"), format!("{}\n", head.replace("/w", "/x"))).unwrap();
        std::fs::write(dir.path().join("c.txt"), head).unwrap();
        let found = below(dir.path(), Path::new("/w"), SystemTime::UNIX_EPOCH);
        assert_eq!(found.len(), 1);
        assert!(found[0].source.id.ends_with("a.jsonl"));
        assert!(below(dir.path(), Path::new("/w"), SystemTime::now() + Duration::from_secs(60)).is_empty());
    }
}
