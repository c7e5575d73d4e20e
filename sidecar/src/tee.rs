//! `fleet-sidecar tee`: stands in a pipe behind a headless Claude Code (`--output-format stream-json`). All of it passes as
//! it came; what it tells of the account's windows is handed on beside.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::path::PathBuf;

use fleet_adapters::hooks::ancestors;
use fleet_adapters::host::wall_now;
use fleet_adapters::runtimes::claude::limits;
use fleet_adapters::sighted::Sighted;

use crate::client::send;

/// A longer line passes, and is not looked at.
const MAX_LINE: u64 = 256 << 10;

#[derive(Debug, clap::Args)]
pub struct Options {
    /// Directory of the sidecars' sockets instead of the one in the runtime directory.
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

/// # Errors
/// When reading or writing fails; a reader that went away is none.
pub fn run(options: &Options) -> std::io::Result<()> {
    let mut input = BufReader::with_capacity(64 << 10, std::io::stdin().lock());
    let mut output = std::io::stdout().lock();
    let (mut line, mut begins) = (Vec::new(), true);
    loop {
        line.clear();
        if (&mut input).take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        match output.write_all(&line).and_then(|()| output.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
        let ends = line.ends_with(b"\n");
        if begins && ends {
            tell(&line, options);
        }
        begins = ends;
    }
}

fn tell(line: &[u8], options: &Options) {
    let mut sightings = limits::event(line, wall_now());
    if sightings.is_empty() {
        return;
    }
    sightings.truncate(16);
    // Every event is one of its own: its time tells it from the one before.
    let stamp = u64::try_from(wall_now().0).unwrap_or(0);
    let sighted = Sighted { session: String::new(), stamp, pids: ancestors(), sightings };
    if let Some(bytes) = sighted.encode() {
        send(&bytes, options.to.as_deref());
    }
}
