//! Money: will the budget last, and may this task start now?
//!
//! ```text
//! budget.yaml ─► config ─┐
//! provider, user ─► facts ├─► standing (used, resets, provenance) ─► pace (pure: even spread over what is left)
//! ledger ─► spend ───────┘        └─► gate: admit | downgrade | reroute | queue | refuse, with reservations
//! ```
//! All of it takes `now`, and nothing of it reads a clock.

pub mod amount;
pub mod config;
pub mod decision;
pub mod gate;
pub mod learn;
pub mod pace;
pub mod read;
pub mod schedule;
pub mod spend;
pub mod standing;
pub mod whole;
