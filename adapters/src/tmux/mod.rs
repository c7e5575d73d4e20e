//! tmux. The only place of the project that runs it, and the only one that builds a target.
//!
//! Targets are exact: `=name` for a session, a pane id for a pane. A server is never started by looking at it, every
//! call has a time limit, and nothing here sizes or attaches to anything. Keys go out in [`typing`] alone.

mod ending;
mod list;
mod server;
mod typing;

pub use list::{PaneRow, parse_panes};
pub use server::{Life, Screens, Server, TmuxError, Version, default_socket_dir};
pub use typing::Front;
