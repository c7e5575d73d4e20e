//! The collector: takes the streams of a host, keeps the register, answers queries, exports metrics.
//!
//! ```text
//!  sidecar ──Report──► ingest ─┬─ observations ─► hub ─► query ─► CLI, web      hub: the one owner of the register
//!                              └─ usage ─► store ─┘  └─► exposition ─► Prometheus
//! ```
//!
//! What things mean is decided in `fleet_domain`; here events are carried to it and its effects performed.

pub mod app;
pub mod budget;
pub mod chain;
pub mod cli;
pub mod clock;
pub mod config;
pub mod endpoint;
pub mod exposition;
pub mod http;
pub mod hub;
pub mod ingest;
pub mod lock;
pub mod meters;
pub mod notify;
pub mod otlp;
pub mod peer;
pub mod prices;
pub mod query;
pub mod store;

#[cfg(test)]
mod e2e;
#[cfg(test)]
mod fixture;
