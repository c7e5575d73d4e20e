//! What the end of a transcript says: whose turn it is, whether the last one failed, which model answered.

use std::os::unix::fs::FileExt;
use std::path::Path;

use fleet_domain::Wall;
use fleet_domain::observation::{NativeState, StuckKind};

use super::{claude, codex, pi};

/// The first look takes the last 64 KiB; where these say nothing, the last megabyte.
const WINDOWS: [u64; 2] = [64 << 10, 1 << 20];

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ending {
    /// Whose turn it is; nothing where this runtime's transcripts do not tell.
    pub turn: Option<TurnMark>,
    /// The conversation stands at this failure.
    pub failed: Option<Failed>,
    /// Model of the last response.
    pub model: Option<String>,
}

/// A line that begins or ends a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TurnMark {
    pub state: NativeState,
    pub at: Option<Wall>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    pub kind: StuckKind,
    pub line: String,
    pub at: Option<Wall>,
    /// When a limit resets.
    pub until: Option<Wall>,
}

impl Ending {
    fn is_telling(&self) -> bool {
        self.turn.is_some() || self.failed.is_some() || self.model.is_some()
    }
}

/// Reads the end of a transcript of this runtime; nothing is known of others.
///
/// # Errors
/// When the file cannot be read.
pub fn ending(runtime: &str, path: &Path) -> std::io::Result<Ending> {
    let fold: fn(&mut Ending, &[u8]) = match runtime {
        claude::NAME => claude::fold,
        codex::NAME => codex::fold,
        pi::NAME => pi::fold,
        _ => return Ok(Ending::default()),
    };
    let mut ending = Ending::default();
    for window in WINDOWS {
        let (found, whole) = within(path, window, fold)?;
        ending = found;
        if whole || ending.is_telling() {
            break;
        }
    }
    Ok(ending)
}

fn within(path: &Path, window: u64, fold: fn(&mut Ending, &[u8])) -> std::io::Result<(Ending, bool)> {
    let file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    let start = length.saturating_sub(window);
    let mut bytes = vec![0; usize::try_from(length - start).unwrap_or(0)];
    let read = file.read_at(&mut bytes, start)?;
    bytes.truncate(read);
    // The last line may be torn, and the first one is where the window cut it.
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let mut lines = bytes[..end].split(|byte| *byte == b'\n');
    if start > 0 {
        lines.next();
    }
    let mut ending = Ending::default();
    lines.for_each(|line| fold(&mut ending, line));
    Ok((ending, start == 0))
}

/// The lines of a whole text, for tests of the runtimes' folds.
#[cfg(test)]
pub(super) fn of_lines(fold: fn(&mut Ending, &[u8]), text: &str) -> Ending {
    let mut ending = Ending::default();
    text.lines().for_each(|line| fold(&mut ending, line.as_bytes()));
    ending
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_last_line_is_left_for_later_and_a_long_file_is_read_at_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.jsonl");
        let prompt = r#"{"type":"message","timestamp":"2026-11-21T10:00:00Z","message":{"role":"user"}}"#;
        let answer = r#"{"type":"message","timestamp":"2026-11-21T10:00:05Z","message":{"role":"assistant","model":"m","stopReason":"stop"}}"#;
        std::fs::write(&path, format!("{}\n{prompt}\n{}", "x".repeat(100 << 10), &answer[..40])).unwrap();
        let state = |ending: Ending| ending.turn.map(|turn| turn.state);
        assert_eq!(state(ending("pi", &path).unwrap()), Some(NativeState::Busy));
        std::fs::write(&path, format!("{prompt}\n{answer}\n")).unwrap();
        assert_eq!(state(ending("pi", &path).unwrap()), Some(NativeState::TurnEnded));
        assert_eq!(ending("other", &path).unwrap(), Ending::default());
        assert!(ending("pi", &dir.path().join("none")).is_err());
    }
}
