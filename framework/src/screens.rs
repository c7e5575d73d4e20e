//! The rules by which screens are read: those that are shipped, and where a user's own lie.

use std::io;
use std::path::{Path, PathBuf};

/// Runtime, and its rules.
pub const SHIPPED: [(&str, &str); 5] = [
    ("claude", include_str!("../screens/claude.yaml")),
    ("codex", include_str!("../screens/codex.yaml")),
    ("opencode", include_str!("../screens/opencode.yaml")),
    ("pi", include_str!("../screens/pi.yaml")),
    ("gemini", include_str!("../screens/gemini.yaml")),
];

/// A larger file is no rule file.
const MAX_BYTES: u64 = 1 << 20;

/// The user's own files in this directory, in the order of their names; none where there is no such directory.
///
/// # Errors
/// The file that cannot be read, with the reason.
pub fn own(directory: &Path) -> Result<Vec<(PathBuf, String)>, (PathBuf, io::Error)> {
    let told = |error| (directory.to_owned(), error);
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(told(error)),
    };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml"))
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| read(&path).map(|text| (path.clone(), text)).map_err(|error| (path, error)))
        .collect()
}

fn read(path: &Path) -> io::Result<String> {
    let length = std::fs::metadata(path)?.len();
    if length > MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "larger than 1 MiB; is it a rule file?"));
    }
    std::fs::read_to_string(path)
}
