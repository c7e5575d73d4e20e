//! pi: runs under node and overwrites its arguments with its own name.

mod places;
pub(super) mod said;
pub mod session;
mod turn;

pub(super) use places::candidates;
pub(super) use turn::fold;

use super::{Program, base};

pub const NAME: &str = "pi";

pub(super) fn recognise(program: &Program<'_>) -> bool {
    match program.script() {
        Some(script) => base(script) == NAME || script.contains("/pi-coding-agent/"),
        None => program.name() == NAME && program.comm != "sh",
    }
}
