//! The roster as a file, and what the register needs of it.

use std::io;
use std::path::{Path, PathBuf};

use fleet_domain::HostId;
use fleet_domain::observation::{RosterEntry, RosterPlane};
use fleet_domain::roster::{MAX_ROSTER_BYTES, Roster, RosterError};

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("{path} cannot be read: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path} is not UTF-8 text")]
    NotText { path: PathBuf },
    /// One line a mistake, each with the file's name.
    #[error("{}", lines(.path, .source))]
    Mistakes { path: PathBuf, source: RosterError },
}

fn lines(path: &Path, mistakes: &RosterError) -> String {
    mistakes.0.iter().map(|problem| format!("{}: {problem}", path.display())).collect::<Vec<_>>().join("\n")
}

/// `Ok(None)` where there is no roster.
pub fn read(path: &Path) -> Result<Option<Roster>, ReadError> {
    use io::Read;
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(MAX_ROSTER_BYTES as u64 + 1).read_to_end(&mut bytes));
    match read {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(ReadError::Io { path: path.to_owned(), source }),
    }
    let text = String::from_utf8(bytes).map_err(|_| ReadError::NotText { path: path.to_owned() })?;
    Roster::parse(&text).map(Some).map_err(|source| ReadError::Mistakes { path: path.to_owned(), source })
}

/// The agents that should run on `host`; those of other hosts are peers to talk to, not to look for here.
pub fn plane(path: &Path, roster: &Roster, host: &HostId) -> RosterPlane {
    RosterPlane {
        path: path.display().to_string(),
        error: None,
        agents: roster
            .agents
            .iter()
            .filter(|agent| agent.is_on(host))
            .map(|agent| RosterEntry {
                name: agent.name.clone(),
                runtime: agent.runtime.clone(),
                class: agent.class.clone(),
                alias: agent.alias.clone(),
                model_hint: agent.model_hint.clone(),
                socket: roster.socket_of(agent),
                account: agent.account.clone(),
                runs_a_shell: agent.runs_a_shell(),
                deviations: Vec::new(),
            })
            .collect(),
    }
}
