//! The sidecar: writes native heartbeats, watches panes, reads token usage, streams both to a collector.
//!
//! ```text
//! tmux list (5 s) ─┐                        ┌─► heartbeat file
//! pidfd ───────────┤                        │
//! /proc (1 s) ─────┼──► watcher (one owner) ┼─► uplink ──► collector
//! inotify ─────────┤         ▲              │      │
//! systemd signals ─┤         └── cursors ◄──┴──────┘
//! hooks ───────────┘
//! ```
//!
//! One thread. It never waits for tmux, for the collector or for a disk with anything else waiting behind it, and it
//! never touches what it watches.

pub mod app;
mod asker;
pub mod backoff;
mod client;
pub mod config;
pub mod hook;
mod limits;
mod log;
mod notify;
pub mod statusline;
pub mod tee;
mod units;
mod uplink;
mod usage;
mod watcher;
