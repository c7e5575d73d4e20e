//! opencode: one binary, started directly or through its package's wrapper.

pub mod message;
mod places;
mod server;
mod sessions;
pub mod store;

pub(super) use places::candidates;
pub use server::Server;
pub(super) use server::{follow, server};

use super::{Program, base};

pub const NAME: &str = "opencode";

pub(super) fn recognise(program: &Program<'_>) -> bool {
    program.name() == NAME || program.script().is_some_and(|script| base(script) == NAME)
}
