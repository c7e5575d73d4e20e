//! Where events come from: the control socket, the keyboard, signals. Each source is a thread that only
//! translates; the engine owns everything else.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use anyhow::{Context as _, Result};
use nix::sys::signal::{SigSet, Signal};

pub(crate) enum Event {
    /// A line of the control socket, and where its answer goes.
    Line(String, Sender<String>),
    Keys(Vec<u8>),
    Signal(Signal),
}

const SIGNALS: [Signal; 4] = [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT, Signal::SIGWINCH];

/// Before any other thread: signals are blocked in all of them and taken by one.
pub(crate) fn signals(events: Sender<Event>) -> Result<()> {
    let set = SigSet::from_iter(SIGNALS);
    set.thread_block().context("block signals")?;
    thread::spawn(move || {
        while let Ok(signal) = set.wait() {
            if events.send(Event::Signal(signal)).is_err() {
                return;
            }
        }
    });
    Ok(())
}

pub(crate) fn keyboard(events: Sender<Event>) {
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = std::io::stdin().read(&mut buffer) {
            if events.send(Event::Keys(buffer[..read].to_vec())).is_err() {
                return;
            }
        }
    });
}

pub(crate) fn socket(path: &Path, events: Sender<Event>) -> Result<()> {
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path).with_context(|| format!("listen on {}", path.display()))?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let events = events.clone();
            thread::spawn(move || converse(stream, &events));
        }
    });
    Ok(())
}

/// One line in, one line out; ends with the connection or the engine.
fn converse(stream: UnixStream, events: &Sender<Event>) -> Option<()> {
    let mut writer = stream.try_clone().ok()?;
    for line in BufReader::new(stream).lines() {
        let (answer, answers) = channel();
        events.send(Event::Line(line.ok()?, answer)).ok()?;
        writeln!(writer, "{}", answers.recv().ok()?).ok()?;
    }
    Some(())
}
