//! The file of heartbeat protocol v1: read by anyone, replaced atomically by one locked writer.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use fleet_domain::heartbeat::{Heartbeat, HeartbeatError};
use nix::fcntl::{Flock, FlockArg};

const MAX_BYTES: u64 = 64 << 10;

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("{path} cannot be read")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path}: {source}")]
    Malformed { path: PathBuf, source: HeartbeatError },
}

/// `Ok(None)` where there is no file.
pub fn read(path: &Path) -> Result<Option<Heartbeat>, ReadError> {
    let io_error = |source| ReadError::Io { path: path.to_owned(), source };
    let file = match OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK | nix::libc::O_CLOEXEC)
        .open(path)
    {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error(error)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(io_error)?;
    let text = String::from_utf8_lossy(&bytes);
    Heartbeat::parse(&text).map(Some).map_err(|source| ReadError::Malformed { path: path.to_owned(), source })
}

/// The one writer of one agent's heartbeat; the lock goes with it.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    temporary: PathBuf,
    _lock: Flock<File>,
}

impl Writer {
    /// `Ok(None)` where another sidecar writes this agent's heartbeat already.
    pub fn claim(path: &Path) -> io::Result<Option<Self>> {
        let directory = path.parent().ok_or_else(|| io::Error::other("a heartbeat has a directory"))?;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let lock = sibling(path, "lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(lock)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => {
                Ok(Some(Self { path: path.to_owned(), temporary: sibling(path, "tmp"), _lock: lock }))
            }
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, errno)) => Err(errno.into()),
        }
    }

    /// Replaces the file as a whole: a reader sees the old or the new one.
    ///
    /// No fsync: a heartbeat that a power cut takes away was not going to be fresh after it.
    pub fn write(&self, beat: &Heartbeat) -> io::Result<()> {
        let mut file =
            OpenOptions::new().create(true).truncate(true).write(true).mode(0o644).open(&self.temporary)?;
        file.write_all(beat.render().as_bytes())?;
        fs::rename(&self.temporary, &self.path)
    }
}

fn sibling(path: &Path, extension: &str) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".");
    name.push(extension);
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleet_domain::Wall;

    fn beat(ts: i64) -> Heartbeat {
        Heartbeat { ts: Wall(ts), pid: Some(7), status: None, model: None, interval: None, source: None }
    }

    #[test]
    fn one_writer_many_readers() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/coder0.hb");
        assert_eq!(read(&path).unwrap(), None);
        let writer = Writer::claim(&path).unwrap().unwrap();
        assert!(Writer::claim(&path).unwrap().is_none(), "a second writer must be refused");
        writer.write(&beat(1)).unwrap();
        writer.write(&beat(2)).unwrap();
        assert_eq!(read(&path).unwrap(), Some(beat(2)));
        drop(writer);
        assert!(Writer::claim(&path).unwrap().is_some());
    }

    #[test]
    fn a_file_that_is_no_heartbeat_says_where() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.hb");
        fs::write(&path, b"\xff\xfe\x00ts=never\n").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("x.hb"));
        assert!(matches!(read(dir.path()), Err(ReadError::Io { .. })));
    }
}
