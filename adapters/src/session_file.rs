//! Which conversation an agent is in, remembered in `fleet/run/<agent>.session`: written by whoever serves it, read at
//! its next launch, so that it goes on where it was.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::replace::replace;

/// A larger one is none of ours.
const MAX_BYTES: u64 = 64 << 10;
const MAX_ID: usize = 128;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub runtime: String,
    /// The runtime's own name of the conversation.
    pub id: String,
    /// The agent's work directory, links resolved: runtimes find a conversation only there.
    pub directory: PathBuf,
    /// Where the conversation lies; without this file there is nothing to go on with.
    pub transcript: PathBuf,
}

impl Session {
    /// True where this runtime could go on with it in this directory now.
    pub fn fits(&self, runtime: &str, directory: &Path) -> bool {
        let holds = std::fs::metadata(&self.transcript).is_ok_and(|data| data.is_file() && data.len() > 0);
        self.runtime == runtime && self.directory == directory && holds
    }
}

/// Nothing where none is remembered, or what is there cannot be one.
pub fn read(path: &Path) -> Option<Session> {
    use io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    let session: Session = serde_json::from_slice(&bytes).ok()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    // It becomes an argument: never a flag, never a path.
    let usable = !session.id.is_empty()
        && session.id.len() <= MAX_ID
        && !session.id.starts_with('-')
        && session.id.chars().all(plain);
    usable.then_some(session)
}

/// Whole or not at all.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, session: &Session) -> io::Result<()> {
    let mut text = serde_json::to_string(session).map_err(io::Error::other)?;
    text.push('\n');
    replace(path, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_fits_where_it_was_and_as_long_as_it_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let (path, transcript) = (dir.path().join("a.session"), dir.path().join("t.jsonl"));
        let session = Session {
            runtime: "claude".to_owned(),
            id: "45b1-x".to_owned(),
            directory: "/w".into(),
            transcript: transcript.clone(),
        };
        write(&path, &session).unwrap();
        assert_eq!(read(&path), Some(session.clone()));
        assert!(!session.fits("claude", Path::new("/w")), "there is no transcript");
        std::fs::write(&transcript, "").unwrap();
        assert!(!session.fits("claude", Path::new("/w")), "nothing was said in it");
        std::fs::write(&transcript, "{}").unwrap();
        assert!(session.fits("claude", Path::new("/w")));
        assert!(!session.fits("pi", Path::new("/w")) && !session.fits("claude", Path::new("/v")));
    }

    #[test]
    fn what_could_be_a_flag_or_a_path_is_no_conversation() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.session");
        for id in ["", "-x", "--yolo", "a/b", "a b", "..", &"x".repeat(200)] {
            let text = format!(r#"{{"runtime":"pi","id":"{id}","directory":"/w","transcript":"/t"}}"#);
            std::fs::write(&path, text).unwrap();
            assert_eq!(read(&path), None, "{id:?}");
        }
        for text in ["", "{", "[]", "\u{0}"] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read(&path), None);
        }
    }
}
