//! OpenAI Codex: a native binary, or the package's wrapper under node. Its shared daemon is not the agent.

mod control;
pub mod limits;
mod lineage;
mod places;
pub mod rollout;
mod threads;
mod turn;
mod version;

pub use control::uses_daemon;
pub(super) use control::{control_socket, follow, writes_itself};
pub(super) use places::{Rollouts, candidates, is_subagent};
pub(super) use turn::fold;
pub use version::installed;

use super::usage::{Reader, Source};
use super::{Program, base};

pub const NAME: &str = "codex";

pub(super) fn recognise(program: &Program<'_>) -> bool {
    if program.arguments.iter().any(|argument| argument == "app-server") {
        return false;
    }
    match program.script() {
        Some(script) => matches!(base(script), "codex" | "codex.js"),
        None => program.name() == NAME,
    }
}

/// A rollout with the thread that its lineage began with, as far as the files beside it tell.
pub(super) fn whole(path: &std::path::Path) -> Option<Source> {
    match lineage::root(path) {
        Some(root) => Source::with(Reader::Codex(rollout::Reader::of_lineage(&root)), path),
        None => Source::lines(NAME, path),
    }
}
