//! The edge to the machine, one module per source: values come out, decisions are taken elsewhere.
//!
//! [`look`] joins the sources of one session, [`host`] those of a whole host.

pub mod files;
pub mod heartbeat_file;
pub mod hooks;
pub mod host;
pub mod identity;
pub mod look;
pub mod memory;
pub mod pidfd;
pub mod post;
pub mod procfs;
pub mod replace;
pub mod roster_file;
pub mod runtimes;
pub mod screens;
pub mod session_file;
pub mod sighted;
#[cfg(feature = "systemd")]
pub mod systemd;
pub mod tail;
pub mod tmux;
