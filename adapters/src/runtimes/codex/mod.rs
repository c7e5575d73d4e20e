//! OpenAI Codex: a native binary, or the package's wrapper under node. Its shared daemon is not the agent.

mod places;
pub mod rollout;

pub(super) use places::candidates;

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

/// Its prompt box, or a running turn; a list to choose from has numbers behind the same glyph.
pub(super) fn recognises(screen: &str) -> bool {
    let last = super::last_lines(screen, 10);
    let prompt = |line: &&str| {
        line.strip_prefix('›')
            .is_some_and(|rest| !rest.trim_start().starts_with(|c: char| c.is_ascii_digit()))
    };
    let dialog = last.iter().any(|line| {
        let line = line.to_ascii_lowercase();
        line.contains("enter to confirm")
            || line.contains("enter to continue")
            || line.contains("enter continue")
    });
    !dialog && last.iter().any(|line| prompt(line) || line.contains("esc to interrupt"))
}
