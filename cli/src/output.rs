//! The one place that writes to stdout and stderr: data on the first, messages on the second.
//!
//! A reader that closes the pipe ends the command quietly ([`Code::Closed`]).

use std::io::{self, IsTerminal, Write};

use crate::error::{Code, Failure, Outcome};

/// What the terminal can do, decided once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    /// stdout is a terminal: tables are fitted to it, and it may be redrawn.
    pub terminal: bool,
    pub colour: bool,
    /// The terminal understands cursor movement.
    pub cursor: bool,
}

impl Screen {
    /// From stdout and `NO_COLOR`, `CLICOLOR_FORCE`, `TERM`.
    pub fn detect() -> Self {
        let stdout = io::stdout();
        let terminal = stdout.is_terminal();
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let colour = anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never;
        Self { terminal, colour, cursor: terminal && !dumb }
    }

    /// Columns and rows: `COLUMNS` where it is set, else what the terminal says, else 80 × 24.
    pub fn size(&self) -> (usize, usize) {
        let told = terminal_size::terminal_size()
            .map(|(width, height)| (usize::from(width.0), usize::from(height.0)));
        let (width, height) = told.filter(|(width, height)| *width > 0 && *height > 0).unwrap_or((80, 24));
        let asked = std::env::var("COLUMNS")
            .ok()
            .and_then(|columns| columns.parse().ok())
            .filter(|columns| *columns > 0);
        (asked.unwrap_or(width), height)
    }
}

/// Writes data to stdout, whole and at once.
pub fn data(text: &str) -> Outcome {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| failed(&error))
}

pub type Stdout = io::BufWriter<io::StdoutLock<'static>>;

/// Writes data to stdout piece by piece: what is large need not be held whole.
pub fn stream(write: impl FnOnce(&mut Stdout) -> io::Result<()>) -> Outcome {
    const PIECE: usize = 64 << 10;
    let mut stdout = io::BufWriter::with_capacity(PIECE, io::stdout().lock());
    write(&mut stdout).and_then(|()| stdout.flush()).map_err(|error| failed(&error))
}

/// One value as a line of JSON, or pretty-printed.
pub fn json<T: serde::Serialize>(value: &T, pretty: bool) -> Outcome {
    stream(|out| write_json(out, value, pretty))
}

pub fn write_json<T: serde::Serialize>(out: &mut impl Write, value: &T, pretty: bool) -> io::Result<()> {
    if pretty {
        serde_json::to_writer_pretty(&mut *out, value)?;
    } else {
        serde_json::to_writer(&mut *out, value)?;
    }
    out.write_all(b"\n")
}

/// One message for people, on stderr. That nobody reads it is no error.
pub fn note(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = writeln!(stderr, "{text}");
}

fn failed(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::silent(Code::Closed),
        _ => Failure::new(Code::Failure, format!("stdout: {error}")),
    }
}

/// What ended the command, and what to do next.
pub fn error(failure: &Failure) {
    let stderr = io::stderr();
    let colour = anstream::AutoStream::choice(&stderr) != anstream::ColorChoice::Never;
    let mut text = String::new();
    crate::render::grid::paint(&mut text, "error:", anstyle::AnsiColor::Red.on_default().bold(), colour);
    note(&format!("{text} {failure}"));
}
