//! Files that are put on a user's machine, and words that a shell will read.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// For the owner alone; what is there already keeps its mode.
///
/// # Errors
/// When it cannot be made.
pub fn make_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Puts a file there whole or not at all, its directory included.
///
/// # Errors
/// When it cannot be written; what was there is there still.
pub fn put(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    fresh(path, content, mode)?.persist(path).map_err(|error| error.error)?;
    settled(path)
}

/// The same where nothing is there yet.
///
/// # Errors
/// `AlreadyExists` where something is; it stays.
pub fn put_new(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    fresh(path, content, mode)?.persist_noclobber(path).map_err(|error| error.error)?;
    settled(path)
}

/// Beside its place, and on the disk.
fn fresh(path: &Path, content: &[u8], mode: u32) -> io::Result<tempfile::NamedTempFile> {
    let dir = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    make_dir(dir)?;
    let mut file = tempfile::Builder::new().prefix(".mosaic-").suffix(".new").tempfile_in(dir)?;
    file.write_all(content)?;
    file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn settled(path: &Path) -> io::Result<()> {
    fs::File::open(path.parent().ok_or(io::ErrorKind::InvalidInput)?)?.sync_all()
}

/// `path` with `suffix` after its name.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// A word as a shell would read it.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
