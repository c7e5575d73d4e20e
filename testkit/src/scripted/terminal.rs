//! The terminal: raw, on the alternate screen, repainted by the lines that changed. Without a terminal nothing is
//! drawn; errors of a vanished one are nobody's business, the signal that follows is.

use std::io::{IsTerminal as _, Write as _};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

pub(crate) struct Terminal {
    live: bool,
    before: Option<Termios>,
    shown: Vec<String>,
}

/// Asks the terminal where the cursor is: it answers when it has drawn everything before the question.
const ASK_CURSOR: &str = "\x1b[6n";
const ENTER: &str = "\x1b[?2004h\x1b]0;✳ Claude Code\x07\x1b[?1049h\x1b[2J\x1b[H\x1b[?25l";
const LEAVE: &str = "\x1b[?2004l\x1b[?1049l\x1b[?25h\x1b]0;\x07";

impl Terminal {
    pub(crate) fn open() -> Self {
        let live = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
        let mut terminal = Self { live, before: None, shown: Vec::new() };
        if live {
            terminal.before = raw_mode();
            write(ENTER);
        }
        terminal
    }

    pub(crate) fn is_live(&self) -> bool {
        self.live
    }

    /// Columns and rows.
    pub(crate) fn size(&self) -> (usize, usize) {
        match tcgetwinsize(std::io::stdout()) {
            Ok(size) if self.live && size.ws_col > 0 && size.ws_row > 0 => {
                (usize::from(size.ws_col), usize::from(size.ws_row))
            }
            _ => (120, 40),
        }
    }

    pub(crate) fn forget(&mut self) {
        self.shown.clear();
    }

    pub(crate) fn draw(&mut self, lines: Vec<String>) {
        if !self.live {
            return;
        }
        let mut out = String::new();
        for (row, line) in lines.iter().enumerate() {
            if self.shown.get(row) != Some(line) {
                // Cleared first: after a full line the cursor still stands on its last character.
                out.push_str(&format!("\x1b[{};1H\x1b[2K{line}\x1b[0m", row + 1));
            }
        }
        if !out.is_empty() {
            write(&out);
        }
        self.shown = lines;
    }

    pub(crate) fn ask_cursor(&self) {
        write(ASK_CURSOR);
    }

    /// Gives the terminal back as it was; a killed agent leaves its painting behind.
    pub(crate) fn close(&mut self, farewell: &str) {
        if !self.live {
            return;
        }
        write(LEAVE);
        if let Some(before) = &self.before {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, before);
        }
        write(farewell);
        self.live = false;
    }
}

fn raw_mode() -> Option<Termios> {
    let before = tcgetattr(std::io::stdin()).ok()?;
    let mut raw = before.clone();
    raw.make_raw();
    tcsetattr(std::io::stdin(), OptionalActions::Now, &raw).ok()?;
    Some(before)
}

fn write(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
