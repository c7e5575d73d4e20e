//! The files of one agent in the home: its environment, and what its sidecar leaves there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::files::put;
use crate::home::{Home, shown};

/// It may hold tokens.
const ENV_MODE: u32 = 0o600;
/// A file larger than this is not an environment.
const MAX_ENV: u64 = 1 << 20;

#[derive(Debug, thiserror::Error)]
#[error("{path}: cannot {what}: {source}", path = shown(path))]
pub struct AgentFileError {
    what: &'static str,
    path: PathBuf,
    source: io::Error,
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> AgentFileError {
    move |source| AgentFileError { what, path: path.to_owned(), source }
}

/// The agent's environment file as text; `None` where there is none.
///
/// # Errors
/// When it cannot be read, is not UTF-8, or larger than a mebibyte.
pub fn read_env(home: &Home, agent: &str) -> Result<Option<String>, AgentFileError> {
    let path = home.agent_env(agent);
    let read = || -> io::Result<Option<String>> {
        match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
            Ok(data) if data.len() > MAX_ENV => return Err(io::ErrorKind::FileTooLarge.into()),
            Ok(_) => {}
        }
        fs::read_to_string(&path).map(Some)
    };
    read().map_err(failed("read it", &path))
}

/// Puts the agent's environment file there, whole or not at all, for its owner alone. A link stays a link: what it
/// leads to is replaced.
///
/// # Errors
/// When it cannot be written.
pub fn write_env(home: &Home, agent: &str, text: &str) -> Result<(), AgentFileError> {
    let path = home.agent_env(agent);
    let target = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
    put(&target, text.as_bytes(), ENV_MODE).map_err(failed("write it", &path))
}

/// Puts the roster there, whole or not at all, with the mode that it had. A link stays a link.
///
/// # Errors
/// When it cannot be written.
pub fn write_roster(home: &Home, text: &str) -> Result<(), AgentFileError> {
    use std::os::unix::fs::PermissionsExt as _;
    let path = home.roster();
    let target = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
    let mode = fs::metadata(&target).map_or(0o644, |data| data.permissions().mode() & 0o777);
    put(&target, text.as_bytes(), mode).map_err(failed("write it", &path))
}

/// Notes that the agent is left down, and why, until somebody starts it.
///
/// # Errors
/// When it cannot be written.
pub fn quarantine(home: &Home, agent: &str, reason: &str) -> Result<(), AgentFileError> {
    let path = home.quarantined(agent);
    put(&path, format!("{reason}\n").as_bytes(), ENV_MODE).map_err(failed("write it", &path))
}

/// Why the agent is left down; `None` where it is not.
pub fn why_quarantined(home: &Home, agent: &str) -> Option<String> {
    let text = fs::read_to_string(home.quarantined(agent)).ok()?;
    Some(fleet_domain::text::clean(text.trim(), 300))
}

/// Ends a quarantine; that there was none is fine.
///
/// # Errors
/// When its file cannot be taken away.
pub fn release(home: &Home, agent: &str) -> Result<(), AgentFileError> {
    let path = home.quarantined(agent);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove it", &path)(error)),
        _ => Ok(()),
    }
}

/// The files that belong to the agent alone, whether they are there or not. Another agent of its name begins anew.
pub fn own(home: &Home, agent: &str) -> [PathBuf; 6] {
    [
        home.agent_env(agent),
        home.heartbeat(agent),
        home.session(agent),
        home.prompt(agent),
        home.stopped(agent),
        home.quarantined(agent),
    ]
}

/// Takes away what belongs to the agent alone: environment, heartbeat and what else its name is the stem of in
/// `fleet/run`. Returns what was there.
///
/// # Errors
/// When something that is there cannot be taken away.
pub fn forget(home: &Home, agent: &str) -> Result<Vec<PathBuf>, AgentFileError> {
    let mut gone = Vec::new();
    for path in own(home, agent) {
        match fs::remove_file(&path) {
            Ok(()) => gone.push(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("remove it", &path)(error)),
        }
    }
    Ok(gone)
}

/// One command at a time changes the roster and the agents' files; held until it is dropped.
#[derive(Debug)]
pub struct Changing {
    _lock: fs::File,
}

/// Waits until no other command changes the fleet's files.
///
/// # Errors
/// When the lock's file cannot be made or locked.
pub fn changing(home: &Home) -> Result<Changing, AgentFileError> {
    let path = home.heartbeats().join(".changing");
    let lock = || -> io::Result<fs::File> {
        crate::files::make_dir(&home.heartbeats())?;
        let file = fs::File::options().create(true).truncate(false).write(true).open(&path)?;
        file.lock()?;
        Ok(file)
    };
    Ok(Changing { _lock: lock().map_err(failed("lock it", &path))? })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn home(dir: &Path) -> Home {
        Home::from_vars(|name| (name == "HOME").then(|| dir.to_owned())).unwrap()
    }

    #[test]
    fn an_environment_is_for_its_owner_alone_and_a_link_stays_one() {
        let dir = tempfile::tempdir().unwrap();
        let home = home(dir.path());
        assert_eq!(read_env(&home, "a").unwrap(), None);
        write_env(&home, "a", "X=1\n").unwrap();
        assert_eq!(read_env(&home, "a").unwrap().as_deref(), Some("X=1\n"));
        let mode = fs::metadata(home.agent_env("a")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let secret = dir.path().join("elsewhere.env");
        fs::rename(home.agent_env("a"), &secret).unwrap();
        symlink(&secret, home.agent_env("a")).unwrap();
        write_env(&home, "a", "X=2\n").unwrap();
        assert!(fs::symlink_metadata(home.agent_env("a")).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(secret).unwrap(), "X=2\n");
    }

    #[test]
    fn what_an_agent_leaves_goes_and_its_neighbours_stays() {
        let dir = tempfile::tempdir().unwrap();
        let home = home(dir.path());
        write_env(&home, "a", "").unwrap();
        write_env(&home, "a0", "").unwrap();
        // Another one of its name is not to go on with its conversation.
        put(&home.session("a"), b"{}", ENV_MODE).unwrap();
        put(&home.prompt("a"), b"", ENV_MODE).unwrap();
        assert_eq!(forget(&home, "a").unwrap(), [home.agent_env("a"), home.session("a"), home.prompt("a")]);
        assert!(forget(&home, "a").unwrap().is_empty());
        assert!(home.agent_env("a0").is_file());
    }

    #[test]
    fn what_cannot_be_written_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let home = home(dir.path());
        fs::create_dir_all(home.root.join("fleet")).unwrap();
        fs::write(home.root.join("fleet/agents"), "a file where a directory belongs").unwrap();
        let error = write_env(&home, "a", "").unwrap_err().to_string();
        assert!(error.contains("fleet/agents/a.env: cannot write it"), "{error}");
    }
}
