//! OpenAI Codex: a native binary, or the package's wrapper under node. Its shared daemon is not the agent.

mod control;
pub mod limits;
mod lineage;
mod places;
pub mod rollout;
pub(super) mod said;
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

/// Its shared daemon, by what it was started with.
pub fn is_server(arguments: &[String]) -> bool {
    arguments.iter().any(|argument| argument == "app-server")
}

pub(super) fn recognise(program: &Program<'_>) -> bool {
    if is_server(program.arguments) {
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
