//! Whether a runtime's own record has a prompt: the proof that a message was taken. Lines of a transcript that were
//! written after the witness came are read, and a prompt is told by its words.

use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fleet_domain::message::delivery::Taken;
use fleet_domain::{RuntimeName, Wall};
use serde_json::Value;

use super::usage::{Machine, Tracer};
use super::{claude, codex, pi};
use crate::procfs::Stat;

/// Bytes that one look reads.
const AT_ONCE: u64 = 16 << 20;
/// Between two searches for a transcript that was not there: each looks at every process.
const SEARCH: Duration = Duration::from_millis(300);

/// A line that says what somebody prompted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) taken: Taken,
    pub(super) text: String,
}

/// Looks for one prompt in the record of one process.
#[derive(Debug)]
pub struct Witness {
    runtime: RuntimeName,
    process: Stat,
    words: Vec<String>,
    since: Wall,
    transcript: Option<PathBuf>,
    /// What of it was read; whole lines only.
    read: u64,
    searched: Option<Instant>,
    said: Option<Taken>,
}

impl Witness {
    /// Begins where the transcript ends now; `text` is what will be said after `since`.
    pub fn new(runtime: RuntimeName, process: Stat, text: &str, since: Wall) -> Self {
        let words = text.split_whitespace().map(str::to_owned).collect();
        let mut witness =
            Self { runtime, process, words, since, transcript: None, read: 0, searched: None, said: None };
        witness.transcript = witness.search();
        witness.read = witness.transcript.as_deref().map_or(0, length);
        witness
    }

    /// Whether this runtime keeps a record that can be asked.
    pub fn can_tell(&self) -> bool {
        reader(self.runtime.as_str()).is_some()
    }

    /// What the record says of the prompt so far.
    pub fn look(&mut self) -> Option<Taken> {
        if self.said != Some(Taken::Turn) {
            self.follow();
        }
        self.said
    }

    fn follow(&mut self) {
        let Some(reader) = reader(self.runtime.as_str()) else { return };
        let due = self.searched.is_none_or(|at| at.elapsed() >= SEARCH);
        if due && self.transcript.as_ref().is_none_or(|path| !path.exists()) {
            self.transcript = self.search();
            self.read = 0;
        }
        let Some(bytes) = self.transcript.as_deref().and_then(|path| lines_from(path, self.read)) else {
            return;
        };
        self.read += bytes.len() as u64;
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let Ok(value) = serde_json::from_slice::<Value>(line) else { continue };
            let at = value["timestamp"].as_str().and_then(Wall::parse_rfc3339);
            let said = reader(&value).filter(|said| said.text.split_whitespace().eq(&self.words));
            if at.is_some_and(|at| at >= self.since)
                && let Some(said) = said
            {
                self.said = Some(said.taken);
            }
        }
    }

    fn search(&mut self) -> Option<PathBuf> {
        self.searched = Some(Instant::now());
        let reading = super::native(&self.runtime, &self.process);
        if let Some(path) = reading.as_ref().and_then(|reading| reading.transcript.clone()) {
            return Some(path);
        }
        let mut tracer = Tracer::default();
        let traces: Vec<_> =
            tracer.look(&self.runtime, &self.process, reading.as_ref(), &mut Machine::default()).collect();
        super::conversation(&self.runtime, &traces)
    }
}

fn reader(runtime: &str) -> Option<fn(&Value) -> Option<Said>> {
    match runtime {
        claude::NAME => Some(claude::said::said),
        codex::NAME => Some(codex::said::said),
        pi::NAME => Some(pi::said::said),
        _ => None,
    }
}

/// The text of a message's content, in either of the shapes that all of them use.
pub(super) fn text(content: &Value) -> Option<String> {
    match content {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => {
            let texts: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
            (!texts.is_empty()).then(|| texts.join("\n"))
        }
        _ => None,
    }
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

fn lines_from(path: &Path, start: u64) -> Option<Vec<u8>> {
    let wanted = length(path).checked_sub(start).filter(|more| *more > 0)?.min(AT_ONCE);
    let mut bytes = vec![0; usize::try_from(wanted).ok()?];
    let read = std::fs::File::open(path).ok()?.read_at(&mut bytes, start).ok()?;
    let end = bytes[..read].iter().rposition(|byte| *byte == b'\n')? + 1;
    bytes.truncate(end);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn witness(path: &Path, text: &str) -> Witness {
        Witness {
            runtime: RuntimeName::new("claude"),
            process: crate::procfs::stat(std::process::id()).unwrap(),
            words: text.split_whitespace().map(str::to_owned).collect(),
            since: Wall::parse_rfc3339("2026-11-22T04:00:00Z").unwrap(),
            transcript: Some(path.to_owned()),
            read: length(path),
            searched: Some(Instant::now()),
            said: None,
        }
    }

    fn line(at: &str, kind: &str, text: &str) -> String {
        let value = match kind {
            "user" => {
                serde_json::json!({"type": "user", "timestamp": at, "message": {"role": "user", "content": text}})
            }
            _ => {
                serde_json::json!({"type": "queue-operation", "operation": "enqueue", "timestamp": at, "content": text})
            }
        };
        format!("{value}\n")
    }

    #[test]
    fn only_what_was_said_since_and_in_these_words_is_proof() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let add = |text: &str| file.as_file().write_all(text.as_bytes()).unwrap();
        add(&line("2026-11-22T04:00:01Z", "user", "[a -> b] x y"));
        let mut witness = witness(file.path(), "[a -> b] x\ny");
        assert_eq!(witness.look(), None, "what stood there before is not asked");
        add(&line("2026-11-22T03:59:59Z", "user", "[a -> b] x y"));
        add(&line("2026-11-22T04:00:02Z", "user", "[a -> b] x y z"));
        add("{torn\n");
        assert_eq!(witness.look(), None);
        add(&line("2026-11-22T04:00:03Z", "queue", "[a -> b] x y"));
        assert_eq!(witness.look(), Some(Taken::Queue));
        let turn = line("2026-11-22T04:00:04Z", "user", "[a -> b] x\ty");
        add(&turn[..20]);
        assert_eq!(witness.look(), Some(Taken::Queue));
        add(&turn[20..]);
        assert_eq!(witness.look(), Some(Taken::Turn));
    }
}
