//! The program `scripted-agent`: looks from outside like Claude Code 2.1.330, and does what a script or a control
//! socket says. For the demonstration fleet and for tests where the real one is not to be had; run it through a
//! symlink named `claude`, so that `/proc/PID/comm` says so.
//!
//! It writes below `$CLAUDE_CONFIG_DIR` (or `$HOME/.claude`) what the real one writes, `sessions/<pid>.json` and the
//! transcripts, and draws the screen; it touches nothing else. Known differences: the state file has no `tmux` key
//! (the real one asks the tmux server) and is replaced whole where the real one rewrites it (`--in-place` does so
//! too), rows that only fill the transcript are left out (`--noise BYTES` stands for them), and rows are on disk at
//! once while the real one flushes them up to 0.1 s after the state file changed.
//!
//! ```text
//!   control socket ─┐            ┌─► state file
//!   keyboard ───────┼─► engine ──┼─► transcript
//!   signals ────────┘   (steps)  └─► terminal
//! ```
//! Usage: `claude [--script FILE] [--control SOCKET] [--speed X] [--model M] [--session-id UUID]
//! [--permission-mode MODE] [--in-place] [--noise BYTES] [--reply TIME] [PROMPT]`; the steps are listed in
//! `step.rs`; every other flag is taken and ignored.

mod args;
mod control;
mod engine;
pub(crate) mod identity;
mod json;
mod keys;
mod rows;
mod screen;
mod state_file;
mod step;
mod steps;
mod terminal;
mod tokens;
mod transcript;
mod typing;

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::mpsc::channel;

use anyhow::Result;

pub use tokens::{Billed, Tokens};

/// What the scripted agent says it is.
pub const VERSION: &str = "2.1.330";
const PEER_FEATURES: [&str; 3] = ["notify_idle", "reply_across_default_dirs", "artifact_yield"];

/// The whole program; `words` are its arguments without its name.
pub fn main(words: impl IntoIterator<Item = String>) -> ExitCode {
    match run(words) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "scripted-agent: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(words: impl IntoIterator<Item = String>) -> Result<u8> {
    let args = args::Args::parse(words)?;
    if args.version {
        writeln!(std::io::stdout(), "{VERSION} (Claude Code)")?;
        return Ok(0);
    }
    let (sender, events) = channel();
    control::signals(sender.clone())?;
    let identity = identity::Identity::of_this_process(args.session.clone())?;
    let path = args.control.clone();
    let mut engine = engine::Engine::new(args, identity)?;
    if let Some(path) = path {
        control::socket(&path, sender.clone())?;
    }
    control::keyboard(sender);
    engine.run(&events)
}
