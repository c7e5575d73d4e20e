//! Changes of files as events: one inotify instance a process, and `None` where the kernel has none left, so that
//! the caller falls back to looking by itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

const BUFFER: usize = 4096;

#[derive(Debug)]
pub struct Files {
    inotify: AsyncFd<Raw>,
    watched: BTreeMap<PathBuf, WatchDescriptor>,
    buffer: Box<[u8; BUFFER]>,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// This file, or something in this directory.
    At(PathBuf),
    /// Events were lost: look at everything.
    Overflow,
}

#[derive(Debug)]
struct Raw(Inotify);

impl std::os::fd::AsFd for Raw {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl std::os::fd::AsRawFd for Raw {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.0.as_raw_fd()
    }
}

impl Files {
    /// `None` where no instance is to be had (`fs.inotify.max_user_instances`).
    pub fn new() -> Option<Self> {
        let inotify = Inotify::init().ok()?;
        #[expect(unsafe_code, reason = "registration is unsafe by its signature")]
        // SAFETY: `Raw` owns the open inotify descriptor, never replaces it, and moves into the AsyncFd.
        let inotify = unsafe { AsyncFd::register_with_interest(Raw(inotify), Interest::READABLE) }.ok()?;
        Some(Self { inotify, watched: BTreeMap::new(), buffer: Box::new([0; BUFFER]) })
    }

    /// Watches a directory or file; true when this began now, so that whoever wants what was written before must look.
    pub fn watch(&mut self, path: &Path) -> bool {
        if self.watched.contains_key(path) {
            return false;
        }
        let mask = WatchMask::MODIFY
            | WatchMask::CREATE
            | WatchMask::MOVED_TO
            | WatchMask::DELETE
            | WatchMask::DELETE_SELF
            | WatchMask::MOVE_SELF;
        match self.inotify.get_ref().0.watches().add(path, mask) {
            Ok(descriptor) => {
                self.watched.insert(path.to_owned(), descriptor);
                true
            }
            Err(_) => false,
        }
    }

    pub fn forget(&mut self, path: &Path) {
        if let Some(descriptor) = self.watched.remove(path) {
            // Gone already is as good as removed.
            let _ = self.inotify.get_ref().0.watches().remove(descriptor);
        }
    }

    /// Waits for changes and tells them all. A watch whose file went away is forgotten, so that it can be set again.
    pub async fn changed(&mut self) -> Vec<Changed> {
        loop {
            let Ok(mut guard) = self.inotify.readable_mut().await else { return vec![Changed::Overflow] };
            let events: Vec<(WatchDescriptor, EventMask, Option<PathBuf>)> =
                match guard.get_inner_mut().0.read_events(&mut self.buffer[..]) {
                    Ok(events) => {
                        events.map(|event| (event.wd, event.mask, event.name.map(PathBuf::from))).collect()
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                        guard.clear_ready();
                        continue;
                    }
                    Err(_) => return vec![Changed::Overflow],
                };
            let mut changed = Vec::new();
            for (descriptor, mask, name) in events {
                if mask.contains(EventMask::Q_OVERFLOW) {
                    changed.push(Changed::Overflow);
                    continue;
                }
                let Some(path) = self
                    .watched
                    .iter()
                    .find(|(_, known)| **known == descriptor)
                    .map(|(path, _)| path.clone())
                else {
                    continue;
                };
                if mask.intersects(EventMask::IGNORED | EventMask::DELETE_SELF | EventMask::MOVE_SELF) {
                    self.watched.remove(&path);
                }
                changed.push(Changed::At(name.map_or(path.clone(), |name| path.join(name))));
            }
            if !changed.is_empty() {
                changed.dedup();
                return changed;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_written_file_is_told_by_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::new().unwrap();
        assert!(files.watch(dir.path()));
        assert!(!files.watch(&dir.path().join("absent")));
        let path = dir.path().join("x.json");
        std::fs::write(&path, "{}").unwrap();
        assert!(files.changed().await.contains(&Changed::At(path)));
    }
}
