//! `fleet-sidecar statusline`: Claude Code's statusline command in a session that the fleet launched. It hands on what the
//! payload tells of the account's windows and becomes the user's own command, with the same standard input: what that
//! prints is what the user sees.

use std::fs::File;
use std::io::{Seek, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use fleet_adapters::hooks::ancestors;
use fleet_adapters::host::wall_now;
use fleet_adapters::runtimes::claude::{limits, settings};
use fleet_adapters::sighted::Sighted;
use rustix::fs::MemfdFlags;

use crate::client::{send, standard_input};

/// More than any payload; what is longer is cut for the user's command too.
const MAX_PAYLOAD: usize = 4 << 20;
/// Set for the user's command: one that calls this again ends here.
const INSIDE: &str = "FLEET_STATUSLINE";

#[derive(Debug, clap::Args)]
pub struct Options {
    /// Directory of the sidecars' sockets instead of the one in the runtime directory.
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

pub fn run(options: &Options) {
    let payload = standard_input(MAX_PAYLOAD);
    let told = limits::statusline(&payload, wall_now());
    if let Some(told) = told.as_ref().filter(|told| !told.sightings.is_empty()) {
        let sighted = Sighted {
            session: told.session.clone(),
            stamp: told.stamp,
            pids: ancestors(),
            sightings: told.sightings.clone(),
        };
        if let Some(bytes) = sighted.encode() {
            send(&bytes, options.to.as_deref());
        }
    }
    if std::env::var_os(INSIDE).is_none() {
        own(&payload, told.and_then(|told| told.project));
    }
}

/// Does not come back where the user has a statusline.
fn own(payload: &[u8], project: Option<PathBuf>) {
    let config = std::env::var_os("CLAUDE_CONFIG_DIR").filter(|config| !config.is_empty()).map(PathBuf::from);
    let config = config.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".claude")));
    let Some(own) = settings::statusline(config.as_deref(), project.as_deref()) else { return };
    let Some(input) = held(payload) else { return };
    #[expect(
        clippy::disallowed_methods,
        reason = "the user's own statusline, which the runtime would have run"
    )]
    let mut shell = Command::new("/bin/sh");
    // Instead of this process, so that what the runtime does to its statusline it does to the user's.
    let _ = shell.arg("-c").arg(own.command).env(INSIDE, "1").stdin(Stdio::from(input)).exec();
}

/// The payload as something to be read from its beginning.
fn held(payload: &[u8]) -> Option<File> {
    let mut file = File::from(rustix::fs::memfd_create("statusline", MemfdFlags::CLOEXEC).ok()?);
    file.write_all(payload).ok()?;
    file.rewind().ok()?;
    Some(file)
}
