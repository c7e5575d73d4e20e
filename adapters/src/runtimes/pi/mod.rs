//! pi: runs under node and overwrites its arguments with its own name.

mod places;
pub mod session;

pub(super) use places::candidates;

use super::{Program, base};

pub const NAME: &str = "pi";

pub(super) fn recognise(program: &Program<'_>) -> bool {
    match program.script() {
        Some(script) => base(script) == NAME || script.contains("/pi-coding-agent/"),
        None => program.name() == NAME && program.comm != "sh",
    }
}

/// The box is drawn as two rules with the footer below them.
pub(super) fn recognises(screen: &str) -> bool {
    super::last_lines(screen, 16).iter().filter(|line| line.starts_with("────")).count() >= 2
}
