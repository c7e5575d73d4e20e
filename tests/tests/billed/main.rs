//! What the real programs used, to the token, against the model's own bill: prompts, tools, sub-agents, side questions,
//! compactions, refusals, conversations resumed and forked, the program killed in the middle of an answer, and the fleet's
//! own programs killed beside it. Asked after every step of the running fleet, and at last of the transcripts alone.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod claude;
mod codex;
mod journey;
mod opencode;
mod pi;
