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

const BEGUN: (&str, &str) = (".mosaic-", ".new");

/// Removes what was begun below that directory and is in no place, as an end by force leaves it. Nobody else may be
/// writing there.
pub fn remove_begun(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let is_begun = name.to_str().is_some_and(|name| name.starts_with(BEGUN.0) && name.ends_with(BEGUN.1));
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => remove_begun(&path),
            // One that stays is in nobody's way.
            Ok(kind) if kind.is_file() && is_begun => drop(fs::remove_file(&path)),
            _ => {}
        }
    }
}

/// Beside its place, and on the disk.
fn fresh(path: &Path, content: &[u8], mode: u32) -> io::Result<tempfile::NamedTempFile> {
    let dir = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    make_dir(dir)?;
    let mut file =
        tempfile::Builder::new().prefix(BEGUN.0).suffix(BEGUN.1).tempfile_in(dir).map_err(plain)?;
    file.as_file_mut().write_all(content)?;
    file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Without the temporary file's name, which tells nobody anything.
fn plain(error: io::Error) -> io::Error {
    match error.to_string().split_once(" at path ") {
        Some((said, _)) => io::Error::new(error.kind(), said.to_owned()),
        None => error,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_no_file_that_nobody_knows() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("place");
        fs::write(&place, "").unwrap();
        let inner = tempfile::Builder::new().tempfile_in(place.join("in")).unwrap_err();
        assert!(inner.to_string().contains(" at path "), "{inner}");
        let told = plain(inner);
        assert_eq!(told.to_string(), "Not a directory (os error 20)");
        assert_eq!(told.kind(), io::ErrorKind::NotADirectory);
    }
}
