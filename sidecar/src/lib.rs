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
pub mod backoff;
pub mod config;
pub mod hook;
mod log;
mod notify;
mod units;
mod uplink;
mod usage;
mod watcher;
