//! What the tests and the demonstration of `./run` stand on: real parts on private sockets, and stand-ins that
//! look like the real thing from outside.
//!
//! | module | what it gives |
//! |---|---|
//! | [`agent`] | handle on a scripted agent (the program `scripted-agent`): steps in, exact token totals out |
//! | [`budget`] | a fleet that spends, in virtual time, against the real gate |
//! | [`claude`] | the real Claude Code, provisioned, pre-answered and started in a private tmux |
//! | [`home`] | a throw-away home with every directory that the fleet looks for |
//! | [`real`] | the real Codex, opencode and pi, as [`claude`], and what drives any of them in a pane |
//! | [`reporters`] | simulated sidecars: many agents over few streams, for load |
//! | [`scripted`] | the program `scripted-agent` itself, and the tokens that it bills |
//! | [`skip`] | "skipped, because …" that is a failure on CI |
//! | [`stub`] | the loopback model API |
//! | [`systemd`] | a real systemd user manager of one's own |
//! | [`tmux`] | a real tmux server of one's own |
//! | [`wait`] | the only place that waits: polls an observable condition until a deadline |
//!
//! Nothing here is for production: an error is text for the person who reads the failed test.

pub mod agent;
pub mod bins;
pub mod budget;
pub mod claude;
pub mod fleet;
pub mod home;
mod npm;
mod process;
pub mod real;
pub mod reporters;
pub mod scripted;
pub mod skip;
pub mod stub;
pub mod systemd;
pub mod tmux;
pub mod wait;
