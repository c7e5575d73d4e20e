//! Follows a growing file of lines from a remembered position.
//!
//! A position is inode, offset, and a hash of the file's beginning: a file that was truncated, replaced or rewritten
//! is read again from its start (its records count once, by their ids). A line counts when its end is written; a
//! line longer than [`MAX_LINE`] is passed over and counted, without ever being held.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use memchr::{memchr_iter, memrchr};

/// The longest line that is looked at, in bytes.
pub const MAX_LINE: usize = 4 << 20;
const CHUNK: usize = 64 << 10;
/// How much of the beginning identifies a file.
const PREFIX: u64 = 1024;

/// Up to where a file was read. Opaque to everyone else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor {
    pub device: u64,
    pub inode: u64,
    /// Of the first byte not yet read; always the beginning of a line.
    pub offset: u64,
    prefix_length: u64,
    prefix_hash: u32,
}

impl Cursor {
    const VERSION: u8 = 1;
    /// Length of an encoded cursor, in bytes.
    pub const ENCODED: usize = 41;

    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![Self::VERSION];
        for value in [self.device, self.inode, self.offset, self.prefix_length, u64::from(self.prefix_hash)] {
            out.extend_from_slice(&value.to_le_bytes());
        }
        out
    }

    /// `None` for what another version wrote; the file is then read from its start.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let fields: [u8; 40] = rest.try_into().ok()?;
        let field = |index: usize| fields[index * 8..index * 8 + 8].try_into().map(u64::from_le_bytes).ok();
        (*version == Self::VERSION).then_some(())?;
        Some(Self {
            device: field(0)?,
            inode: field(1)?,
            offset: field(2)?,
            prefix_length: field(3)?,
            prefix_hash: u32::try_from(field(4)?).ok()?,
        })
    }
}

/// What one read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// More is there than the budget allowed.
    pub more: bool,
    /// Lines too long to be looked at.
    pub overlong: u64,
    /// The file is another one than the position was in, or was cut: reading began anew.
    pub restarted: bool,
}

/// What a read hands over, in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// What follows is the beginning: forget what was learned from the lines before.
    Restarted,
    Line(&'a [u8]),
}

#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    file: Option<File>,
    cursor: Cursor,
    /// In the middle of a line that is too long: bytes from the line's beginning that were passed over.
    skipping: u64,
}

impl Tail {
    pub fn new(path: PathBuf, cursor: Option<Cursor>) -> Self {
        Self { path, file: None, cursor: cursor.unwrap_or_default(), skipping: 0 }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// As [`Self::read_pieces`], for those to whom each line stands alone.
    pub fn read(&mut self, budget: usize, mut line: impl FnMut(&[u8])) -> io::Result<Progress> {
        self.read_pieces(budget, |piece| match piece {
            Piece::Line(text) => line(text),
            Piece::Restarted => {}
        })
    }

    /// Reads whole lines until about `budget` bytes were taken. A file that is not there yet is no error.
    pub fn read_pieces(&mut self, budget: usize, mut take: impl FnMut(Piece<'_>)) -> io::Result<Progress> {
        let mut progress = Progress::default();
        let Some(mut file) = self.current(&mut progress)? else { return Ok(progress) };
        if progress.restarted {
            take(Piece::Restarted);
        }
        let mut buffer: Vec<u8> = Vec::with_capacity(CHUNK);
        let mut taken = 0;
        let begun = self.cursor.offset;
        let mut reader = At { file: &mut file, offset: self.cursor.offset + self.skipping };
        loop {
            let held = buffer.len();
            let read = (&mut reader).take(CHUNK as u64).read_to_end(&mut buffer)?;
            if read == 0 {
                break;
            }
            taken += read;
            if self.skipping > 0 {
                match buffer.iter().position(|byte| *byte == b'\n') {
                    Some(end) => {
                        self.cursor.offset += self.skipping + end as u64 + 1;
                        self.skipping = 0;
                        progress.overlong += 1;
                        buffer.drain(..=end);
                    }
                    None => {
                        self.skipping += buffer.len() as u64;
                        buffer.clear();
                    }
                }
            }
            let fresh = held.min(buffer.len());
            if let Some(end) = memrchr(b'\n', &buffer[fresh..]).map(|end| fresh + end) {
                let mut start = 0;
                for end in memchr_iter(b'\n', &buffer[..=end]) {
                    if end > start {
                        take(Piece::Line(&buffer[start..end]));
                    }
                    start = end + 1;
                }
                self.cursor.offset += start as u64;
                buffer.drain(..start);
            } else if buffer.len() > MAX_LINE {
                self.skipping = buffer.len() as u64;
                buffer = Vec::with_capacity(CHUNK);
            }
            // What is held of an unfinished line is read again; without a line finished there would be no end to it.
            if taken >= budget && (self.cursor.offset > begun || self.skipping > 0) {
                progress.more = true;
                break;
            }
        }
        self.identify(&file)?;
        self.file = Some(file);
        Ok(progress)
    }

    /// The open file, if it still is the one at the path and holds what was read before; else the path's, from zero.
    fn current(&mut self, progress: &mut Progress) -> io::Result<Option<File>> {
        let metadata = match std::fs::metadata(&self.path) {
            Ok(metadata) if metadata.is_file() => metadata,
            Ok(_) => return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.file = None;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let same = self.cursor.inode == metadata.ino() && self.cursor.device == metadata.dev();
        let file = match self.file.take() {
            Some(file) if same => file,
            _ => File::options()
                .read(true)
                .custom_flags(nix::libc::O_NONBLOCK | nix::libc::O_CLOEXEC)
                .open(&self.path)?,
        };
        let whole = metadata.len() >= self.cursor.offset + self.skipping;
        if !same || !whole || !self.prefix_holds(&file)? {
            progress.restarted = self.cursor.offset > 0;
            self.skipping = 0;
            self.cursor = Cursor { device: metadata.dev(), inode: metadata.ino(), ..Cursor::default() };
        }
        Ok(Some(file))
    }

    fn prefix_holds(&self, file: &File) -> io::Result<bool> {
        Ok(self.cursor.prefix_length == 0
            || hash(file, self.cursor.prefix_length)? == Some(self.cursor.prefix_hash))
    }

    /// Remembers more of the beginning as it is read.
    fn identify(&mut self, file: &File) -> io::Result<()> {
        let length = self.cursor.offset.min(PREFIX);
        if length > self.cursor.prefix_length
            && let Some(hash) = hash(file, length)?
        {
            (self.cursor.prefix_length, self.cursor.prefix_hash) = (length, hash);
        }
        Ok(())
    }
}

fn hash(file: &File, length: u64) -> io::Result<Option<u32>> {
    let mut buffer = [0; PREFIX as usize];
    let Some(prefix) = buffer.get_mut(..usize::try_from(length).unwrap_or(usize::MAX)) else {
        return Ok(None);
    };
    match file.read_exact_at(prefix, 0) {
        Ok(()) => Ok(Some(crc32fast::hash(prefix))),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

struct At<'f> {
    file: &'f mut File,
    offset: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
#[path = "tail_tests.rs"]
mod tests;
