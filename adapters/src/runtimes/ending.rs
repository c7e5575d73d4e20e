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
    pub model: Option<Answered>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    pub model: String,
    pub at: Option<Wall>,
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

    /// What of it holds for a process that began then and goes on with the conversation. A turn that ran before ended
    /// with the process that ran it, that one's model need not be this one's, and what failed may have been put right;
    /// but a limit is the account's.
    #[must_use]
    pub fn of_process(mut self, began: Option<Wall>) -> Self {
        let before = |at: Option<Wall>| at.zip(began).is_some_and(|(at, began)| at < began);
        self.turn = self.turn.filter(|turn| turn.state == NativeState::TurnEnded || !before(turn.at));
        self.failed = self.failed.filter(|failed| failed.kind == StuckKind::UsageLimit || !before(failed.at));
        self.model = self.model.filter(|answered| !before(answered.at));
        self
    }

    /// The model of the last response.
    #[must_use]
    pub fn model(&self) -> Option<String> {
        self.model.as_ref().map(|answered| answered.model.clone())
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

    #[test]
    fn what_ran_before_the_process_began_does_not_run_in_it() {
        let (before, after) = (Some(Wall(1000)), Some(Wall(3000)));
        let ending = |state, kind, at| Ending {
            turn: Some(TurnMark { state, at }),
            failed: Some(Failed { kind, line: String::new(), at, until: None }),
            model: Some(Answered { model: "m".to_owned(), at }),
        };
        let busy = |at| ending(NativeState::Busy, StuckKind::Error, at);
        for began in [None, Some(Wall(500)), Some(Wall(1000))] {
            assert_eq!(busy(before).of_process(began), busy(before));
        }
        assert_eq!(busy(before).of_process(Some(Wall(2000))), Ending::default());
        assert_eq!(busy(after).of_process(Some(Wall(2000))), busy(after));
        assert_eq!(busy(None).of_process(Some(Wall(2000))), busy(None));
        let over = ending(NativeState::TurnEnded, StuckKind::UsageLimit, before);
        let held = over.clone().of_process(Some(Wall(2000)));
        assert_eq!((held.turn, held.failed, held.model), (over.turn, over.failed, None));
    }
}
