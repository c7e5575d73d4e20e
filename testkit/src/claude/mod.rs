//! The real Claude Code, pinned: fetched once by npm into a cache folder, started offline against the loopback
//! model API.

mod provision;
mod session;

use std::path::PathBuf;

use crate::skip::require_or_skip;

pub use session::{API_KEY, ClaudeOptions, ClaudeSession};
pub(crate) use session::{FirstRun, answer_first_run, environment};

/// The version that the tests know.
pub const VERSION: &str = "2.1.330";

/// The program, ready to be started.
#[derive(Clone, Debug)]
pub struct RealClaude {
    program: PathBuf,
}

impl RealClaude {
    /// In `$FLEET_TEST_CACHE/claude-2.1.330` (default `~/.cache/mosaic-fleet-tests/claude-2.1.330`), installed there
    /// when it is missing. Asked once per process; several processes wait for each other.
    ///
    /// # Errors
    /// Why it cannot be had: another machine than x86-64 Linux, no npm, no registry.
    pub fn provision() -> Result<Self, String> {
        provision::program().map(|program| Self { program })
    }

    /// [`Self::provision`], or `None` with the skip reported.
    #[must_use]
    pub fn require_or_skip() -> Option<Self> {
        require_or_skip("the real Claude Code", Self::provision())
    }

    #[must_use]
    pub fn program(&self) -> &std::path::Path {
        &self.program
    }
}
