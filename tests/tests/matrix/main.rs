//! The real programs in every state that a loopback model can bring about, as the sidecar reads them live: each lane
//! drives one session through several states, the lanes of a runtime run side by side.
//!
//! Of each state is asked: the verdict with its kind, on what line it rests, whether the screen alone tells the same,
//! and at a lane's end that nobody was called stuck who was not.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod claude;
mod codex;
mod lane;
mod opencode;
mod pi;
mod shared;
mod world;
