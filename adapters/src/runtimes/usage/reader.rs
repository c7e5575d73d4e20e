//! A transcript's lines, whichever runtime wrote them.

use fleet_domain::usage::Record;

use super::{Beside, Line};
use crate::runtimes::{claude, codex, gemini, pi};

/// What has to be known of the lines before to understand the next one; nothing of it outlives a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reader {
    Claude,
    Codex(codex::rollout::Reader),
    Pi(pi::session::Reader),
    Gemini(gemini::chat::Reader),
}

impl Reader {
    /// `None` where this runtime keeps no files of lines.
    pub fn new(runtime: &str) -> Option<Self> {
        Some(match runtime {
            claude::NAME => Self::Claude,
            codex::NAME => Self::Codex(codex::rollout::Reader::new()),
            pi::NAME => Self::Pi(pi::session::Reader::new()),
            gemini::NAME => Self::Gemini(gemini::chat::Reader::new()),
            _ => return None,
        })
    }

    pub fn line(&mut self, line: &[u8], emit: &mut dyn FnMut(Record)) -> Line {
        match self {
            Self::Claude => claude::billed::line(line, emit),
            Self::Codex(reader) => reader.line(line, emit),
            Self::Pi(reader) => reader.line(line, emit),
            Self::Gemini(reader) => reader.line(line, emit),
        }
    }

    /// What a line tells beside usage.
    pub fn beside(&self, line: &[u8], take: &mut dyn FnMut(Beside)) {
        match self {
            Self::Claude => {
                claude::limits::row(line).into_iter().map(Beside::Sighting).for_each(&mut *take);
                claude::transcript::request(line).map(Beside::Request).into_iter().for_each(take);
            }
            Self::Codex(_) => codex::limits::row(line).into_iter().map(Beside::Sighting).for_each(take),
            Self::Pi(_) | Self::Gemini(_) => {}
        }
    }

    /// What [`Self::resume`] needs, less than a kilobyte. `None` where it would not fit: the file is then read again
    /// from its start.
    pub fn state(&self) -> Option<Vec<u8>> {
        match self {
            Self::Claude => Some(Vec::new()),
            Self::Codex(reader) => reader.state(),
            Self::Pi(reader) => reader.state(),
            Self::Gemini(reader) => reader.state(),
        }
    }

    /// The reader as it was when it gave this state; `None` for what another version gave.
    pub fn resume(&self, state: &[u8]) -> Option<Self> {
        match self {
            Self::Claude => Some(Self::Claude),
            Self::Codex(_) => codex::rollout::Reader::resume(state).map(Self::Codex),
            Self::Pi(_) => pi::session::Reader::resume(state).map(Self::Pi),
            Self::Gemini(_) => gemini::chat::Reader::resume(state).map(Self::Gemini),
        }
    }
}
