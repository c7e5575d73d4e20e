//! Where an opencode process keeps its conversations: one database for all of a user's, told apart by directory.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::store::{Part, roots};
use crate::procfs::{self, Stat};
use crate::runtimes::usage::{Candidate, Evidence, Memory, Source};

/// Conversations in its directory that moved since it began.
pub(in crate::runtimes) fn candidates(process: &Stat, memory: &mut Memory) -> Vec<Candidate> {
    let Some((directory, data)) = procfs::directory(process.pid).zip(data_dir(process.pid)) else {
        return Vec::new();
    };
    let Some(directory) = directory.to_str().map(str::to_owned) else { return Vec::new() };
    let started = procfs::started(process).unwrap_or(SystemTime::UNIX_EPOCH);
    let since = started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let since = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    databases(&data)
        .iter()
        .filter(|path| stirred(path, memory))
        .flat_map(|path| moved(path, &directory, since))
        .collect()
}

fn moved(path: &Path, directory: &str, since: i64) -> Vec<Candidate> {
    let roots = match roots(path, directory, since) {
        Ok(roots) => roots,
        Err(error) => {
            tracing::debug!("{} cannot be read: {error}", path.display());
            return Vec::new();
        }
    };
    let candidate = |root: super::store::Root| {
        let began = u64::try_from(root.created).ok().map(Duration::from_millis);
        Some(Candidate {
            source: Source::opencode(path, Part { root: Some(root.id) })?,
            evidence: Evidence::Placed,
            began: began.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since)),
        })
    };
    roots.into_iter().filter_map(candidate).collect()
}

/// New rows stand in the write-ahead log first.
fn stirred(path: &Path, memory: &mut Memory) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let log = memory.changed(Path::new(&log));
    memory.changed(path) || log
}

/// One for each channel of releases.
fn databases(data: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(data) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.starts_with("opencode") && name.ends_with(".db")
        })
        .collect()
}

/// `$XDG_DATA_HOME/opencode`, default `~/.local/share/opencode`, as the process itself sees it.
fn data_dir(pid: u32) -> Option<PathBuf> {
    let [data, home] = procfs::environment(pid, &["XDG_DATA_HOME", "HOME"]).try_into().ok()?;
    let data = data.or_else(|| home.map(|home| home.join(".local/share")))?;
    Some(data.join("opencode"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_looked_into_again_only_when_it_moved() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["opencode.db", "opencode-beta.db", "opencode.db-wal", "other.db"] {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        let mut found = databases(dir.path());
        found.sort();
        assert_eq!(found, [dir.path().join("opencode-beta.db"), dir.path().join("opencode.db")]);
        let mut memory = Memory::default();
        assert!(stirred(&found[1], &mut memory) && !stirred(&found[1], &mut memory));
        std::fs::write(dir.path().join("opencode.db-wal"), "xy").unwrap();
        assert!(stirred(&found[1], &mut memory));
    }
}
