//! A transcript's lines, whichever runtime wrote them.

use fleet_domain::reconcile::Told;
use fleet_domain::usage::Record;

use super::{Beside, Line, kinds};
use crate::runtimes::{claude, codex, gemini, pi};

/// What has to be known of the lines before to understand the next one; nothing of it outlives a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reader {
    Claude(claude::marks::Bounds),
    Codex(codex::rollout::Reader),
    Pi(pi::session::Reader),
    Gemini(gemini::chat::Reader),
}

impl Reader {
    /// `None` where this runtime keeps no files of lines.
    pub fn new(runtime: &str) -> Option<Self> {
        Some(match runtime {
            claude::NAME => Self::Claude(claude::marks::Bounds::default()),
            codex::NAME => Self::Codex(codex::rollout::Reader::new()),
            pi::NAME => Self::Pi(pi::session::Reader::new()),
            gemini::NAME => Self::Gemini(gemini::chat::Reader::new()),
            _ => return None,
        })
    }

    pub fn line(&mut self, line: &[u8], emit: &mut dyn FnMut(Record)) -> Line {
        match self {
            Self::Claude(_) => claude::billed::line(line, emit),
            Self::Codex(reader) => reader.line(line, emit),
            Self::Pi(reader) => reader.line(line, emit),
            Self::Gemini(reader) => reader.line(line, emit),
        }
    }

    /// What a line tells beside usage.
    pub fn beside(&mut self, line: &[u8], take: &mut dyn FnMut(Beside)) {
        match self {
            Self::Claude(bounds) => {
                claude::limits::row(line).into_iter().map(Beside::Sighting).for_each(&mut *take);
                claude::transcript::request(line).map(Beside::Request).into_iter().for_each(&mut *take);
                bounds.line(line).map(Beside::Told).into_iter().for_each(&mut *take);
            }
            Self::Codex(_) => {
                codex::limits::row(line).into_iter().map(Beside::Sighting).for_each(&mut *take);
                codex::rollout::told(line).map(told).map(Beside::Told).into_iter().for_each(&mut *take);
            }
            Self::Pi(_) | Self::Gemini(_) => {}
        }
        self.unknown(line).map(Beside::Unknown).into_iter().for_each(take);
    }

    /// The kind of a row that speaks of tokens and is not known here.
    pub(super) fn unknown(&self, line: &[u8]) -> Option<String> {
        kinds::unknown(self.runtime(), line)
    }

    fn runtime(&self) -> &'static str {
        match self {
            Self::Claude(_) => claude::NAME,
            Self::Codex(_) => codex::NAME,
            Self::Pi(_) => pi::NAME,
            Self::Gemini(_) => gemini::NAME,
        }
    }

    /// What [`Self::resume`] needs, less than a kilobyte. `None` where it would not fit: the file is then read again
    /// from its start.
    pub fn state(&self) -> Option<Vec<u8>> {
        match self {
            Self::Claude(bounds) => bounds.state(),
            Self::Codex(reader) => reader.state(),
            Self::Pi(reader) => reader.state(),
            Self::Gemini(reader) => reader.state(),
        }
    }

    /// The reader as it was when it gave this state; `None` for what another version gave.
    pub fn resume(&self, state: &[u8]) -> Option<Self> {
        match self {
            Self::Claude(_) => Some(Self::Claude(claude::marks::Bounds::resume(state))),
            Self::Codex(_) => codex::rollout::Reader::resume(state).map(Self::Codex),
            Self::Pi(_) => pi::session::Reader::resume(state).map(Self::Pi),
            Self::Gemini(_) => gemini::chat::Reader::resume(state).map(Self::Gemini),
        }
    }
}

/// Codex tells each response what the thread used before it: at the first, what it began with.
fn told(sum: codex::rollout::Told) -> Told {
    Told { conversation: sum.thread, sum: sum.after, inherited: sum.before, ..Told::default() }
}
