//! The Unix socket: private, one collector at a time, replaced when its owner is gone, removed at a clean end.

use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, umask};

use crate::lock::{LockError, PidLock};

/// What the kernel takes, without the end mark.
pub const MAX_SOCKET_PATH: usize = 107;

#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    #[error(
        "a collector already serves {path}{}; stop that one (`systemctl --user stop mosaic-collector.service`), or give this one another --socket",
        .pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
    )]
    Running { path: PathBuf, pid: Option<i32> },
    #[error("{path} exists and is no socket; move it away, or give another --socket")]
    NotASocket { path: PathBuf },
    #[error("cannot {what} {path}")]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

/// Bound; the socket goes when this is dropped.
#[derive(Debug)]
pub struct Endpoint {
    path: PathBuf,
    _lock: PidLock,
}

impl Endpoint {
    pub fn bind(path: &Path) -> Result<(Self, UnixListener), EndpointError> {
        let io = |what, path: &Path| {
            let path = path.to_owned();
            move |source| EndpointError::Io { what, path, source }
        };
        if let Some(dir) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io("make", dir))?;
        }
        let mut beside = path.as_os_str().to_owned();
        beside.push(".lock");
        let lock = PidLock::take(Path::new(&beside)).map_err(|error| match error {
            LockError::Held(pid) => EndpointError::Running { path: path.to_owned(), pid },
            LockError::Open { path, source } => io("lock", &path)(source),
        })?;
        remove_stale(path)?;
        // Private from its first moment: a mode set after binding would leave a gap.
        let before = umask(Mode::from_bits_truncate(0o177));
        let bound = UnixListener::bind(path);
        umask(before);
        let listener = bound.map_err(io("listen on", path))?;
        let endpoint = Self { path: path.to_owned(), _lock: lock };
        std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(io("make private", path))?;
        listener.set_nonblocking(true).map_err(io("listen on", path))?;
        Ok((endpoint, listener))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The lock is ours, so whoever bound it is gone.
fn remove_stale(path: &Path) -> Result<(), EndpointError> {
    match path.symlink_metadata() {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path).map_err(|source| {
            EndpointError::Io { what: "remove the stale socket", path: path.to_owned(), source }
        }),
        Ok(_) => Err(EndpointError::NotASocket { path: path.to_owned() }),
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_collector_is_not_replaced_and_a_stale_socket_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mosaic/collector.sock");
        let (live, _listener) = Endpoint::bind(&path).unwrap();
        let mode = |path: &Path| path.symlink_metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        let error = Endpoint::bind(&path).unwrap_err().to_string();
        assert!(error.contains(&format!("(pid {})", std::process::id())), "{error}");
        assert!(path.exists());
        drop(live);
        assert!(!path.exists());
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a killed collector leaves its socket");
        Endpoint::bind(&path).unwrap();
    }

    #[test]
    fn a_file_of_the_user_is_never_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes.txt");
        std::fs::write(&path, "mine").unwrap();
        assert!(matches!(Endpoint::bind(&path), Err(EndpointError::NotASocket { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    }
}
