//! opencode: one binary, started directly or through its package's wrapper.

pub mod message;
mod places;
pub mod store;

pub(super) use places::candidates;

use super::{Program, base};

pub const NAME: &str = "opencode";

pub(super) fn recognise(program: &Program<'_>) -> bool {
    program.name() == NAME || program.script().is_some_and(|script| base(script) == NAME)
}

/// Its footer; not while a permission or a question has the keys.
pub(super) fn recognises(screen: &str) -> bool {
    let last = super::last_lines(screen, 8);
    let dialog = last.iter().any(|line| line.contains("enter confirm") || line.contains("enter submit"));
    !dialog && last.iter().any(|line| line.contains("ctrl+p commands") || line.contains("esc interrupt"))
}
