//! OpenAI Codex: a native binary, or the package's wrapper under node. Its shared daemon is not the agent.

use super::{Program, base};

pub(super) const NAME: &str = "codex";

pub(super) fn recognise(program: &Program<'_>) -> bool {
    if program.arguments.iter().any(|argument| argument == "app-server") {
        return false;
    }
    match program.script() {
        Some(script) => matches!(base(script), "codex" | "codex.js"),
        None => program.name() == NAME,
    }
}
