//! Asking runtimes for their accounts' windows, where the user switched it on: at most one question an account in a quarter
//! of an hour, whichever of this home's sidecars asks, and whenever it was started.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use fleet_adapters::runtimes::ask;
use fleet_domain::AccountName;
use fleet_domain::limits::Sighting;
use nix::fcntl::{Flock, FlockArg};
use tokio::sync::mpsc;

/// Providers count such questions too.
const EVERY: Duration = Duration::from_secs(15 * 60);

/// An account's answer.
pub(crate) struct Answered {
    pub(crate) account: AccountName,
    pub(crate) provider: &'static str,
    pub(crate) sightings: Vec<Sighting>,
}

pub(crate) struct Asker {
    directory: PathBuf,
    asked: BTreeMap<AccountName, Instant>,
    answers: (mpsc::Sender<Answered>, mpsc::Receiver<Answered>),
}

impl Asker {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory, asked: BTreeMap::new(), answers: mpsc::channel(16) }
    }

    pub(crate) async fn next(&mut self) -> Answered {
        match self.answers.1.recv().await {
            Some(answered) => answered,
            None => std::future::pending().await,
        }
    }

    /// Asks on behalf of this agent's account, where it is due.
    pub(crate) fn ask(&mut self, account: &AccountName, provider: &'static str, runtime: &str, pid: u32) {
        let due = self.asked.get(account).is_none_or(|at| at.elapsed() >= EVERY);
        if !due || !ask::answers(runtime) {
            return;
        }
        self.asked.insert(account.clone(), Instant::now());
        let Some(turn) = Turn::take(&self.directory, account) else { return };
        let (out, account, runtime) = (self.answers.0.clone(), account.clone(), runtime.to_owned());
        let directory = self.directory.clone();
        tokio::spawn(async move {
            let told = ask::ask(&runtime, pid, &directory).await;
            drop(turn);
            match told {
                Some(sightings) => drop(out.send(Answered { account, provider, sightings }).await),
                None => tracing::info!("{account}: {runtime} gave no answer about its limits"),
            }
        });
    }
}

/// The right to ask: a file whose time is the last question's, locked while one is under way.
struct Turn {
    _lock: Flock<File>,
}

impl Turn {
    fn take(directory: &Path, account: &AccountName) -> Option<Self> {
        let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' };
        let name: String = account.as_str().chars().map(plain).collect();
        let path = directory.join(format!("limits-{name}.asked"));
        let fresh = !path.exists();
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path).ok()?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).ok()?;
        let asked = lock.metadata().and_then(|metadata| metadata.modified()).ok()?;
        if !fresh && asked.elapsed().is_ok_and(|since| since < EVERY) {
            return None;
        }
        lock.set_modified(SystemTime::now()).ok()?;
        Some(Self { _lock: lock })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_several_asks_and_again_after_a_quarter_of_an_hour() {
        let dir = tempfile::tempdir().unwrap();
        let account = AccountName::new("max/1");
        let first = Turn::take(dir.path(), &account);
        assert!(first.is_some());
        assert!(Turn::take(dir.path(), &account).is_none(), "while one asks");
        drop(first);
        assert!(Turn::take(dir.path(), &account).is_none(), "and after it");
        let file = File::options().write(true).open(dir.path().join("limits-max_1.asked")).unwrap();
        file.set_modified(SystemTime::now() - EVERY).unwrap();
        assert!(Turn::take(dir.path(), &account).is_some());
        assert!(Turn::take(dir.path(), &AccountName::new("other")).is_some());
    }
}
