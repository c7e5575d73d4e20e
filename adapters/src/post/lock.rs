//! One sender at a time: a lock for each pane, in the user's runtime directory. The kernel lets go of it when its holder
//! ends; its file stays, so that two senders never lock two files of one name.

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct LockError {
    path: PathBuf,
    source: std::io::Error,
}

/// Held until dropped.
#[derive(Debug)]
pub(super) struct PaneLock {
    _held: Flock<File>,
}

impl PaneLock {
    /// Nothing where somebody else held it for all of `limit`.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub(super) async fn take(
        directory: &Path,
        name: &str,
        limit: Duration,
    ) -> Result<Option<Self>, LockError> {
        let path = directory.join(format!("{name}.lock"));
        let failed = |source| LockError { path: path.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path).map_err(failed)?;
        let began = Instant::now();
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(held) => return Ok(Some(Self { _held: held })),
                Err((same, Errno::EWOULDBLOCK | Errno::EINTR)) => file = same,
                Err((_, errno)) => return Err(failed(errno.into())),
            }
            if began.elapsed() >= limit {
                return Ok(None);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_waits_and_gets_it_when_the_first_is_done() {
        let dir = tempfile::tempdir().unwrap();
        let locks = dir.path().join("send");
        let first = PaneLock::take(&locks, "7-1", Duration::ZERO).await.unwrap();
        assert!(first.is_some());
        assert!(PaneLock::take(&locks, "7-1", Duration::ZERO).await.unwrap().is_none());
        assert!(PaneLock::take(&locks, "7-2", Duration::ZERO).await.unwrap().is_some());
        let second = PaneLock::take(&locks, "7-1", Duration::from_secs(60));
        let (second, ()) = tokio::join!(second, async { drop(first) });
        assert!(second.unwrap().is_some());
    }
}
