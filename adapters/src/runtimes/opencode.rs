//! opencode: one binary, started directly or through its package's wrapper.

use super::{Program, base};

pub(super) const NAME: &str = "opencode";

pub(super) fn recognise(program: &Program<'_>) -> bool {
    program.name() == NAME || program.script().is_some_and(|script| base(script) == NAME)
}

pub(super) fn recognises(screen: &str) -> bool {
    super::last_lines(screen, 8).iter().any(|line| {
        line.contains("ctrl+p commands") || line.contains("esc interrupt") || line.contains("enter confirm")
    })
}
