//! opencode: one binary, started directly or through its package's wrapper.

use super::{Program, base};

pub(super) const NAME: &str = "opencode";

pub(super) fn recognise(program: &Program<'_>) -> bool {
    program.name() == NAME || program.script().is_some_and(|script| base(script) == NAME)
}
