//! pi: runs under node and overwrites its arguments with its own name.

use super::{Program, base};

pub(super) const NAME: &str = "pi";

pub(super) fn recognise(program: &Program<'_>) -> bool {
    match program.script() {
        Some(script) => base(script) == NAME || script.contains("/pi-coding-agent/"),
        None => program.name() == NAME && program.comm != "sh",
    }
}
