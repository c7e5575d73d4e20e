//! A captured screen as rows of text, with what of it was drawn faintly. Captures are hostile: of the escape
//! sequences only the colour ones are read, everything else is dropped.

use super::known::Answers;

/// Rows beyond this are cut off at the top: no terminal is as high.
const MAX_ROWS: usize = 2_000;
/// Characters beyond this are cut off a row.
const MAX_COLUMNS: usize = 2_000;

/// What a pane shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grid {
    pub rows: Vec<Row>,
    /// The capture told attributes, so that a suggestion can be told from a draft.
    pub attributed: bool,
}

/// One line, without trailing blanks; typographic quotes and odd blanks are folded to plain ones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Row {
    pub text: String,
    /// For each character of `text`, how it was drawn.
    ink: Vec<Ink>,
    /// The row begins on a background of its own, as some runtimes draw what the user said.
    pub shaded: bool,
    /// The colour of its first character that is no blank.
    pub hue: Hue,
    pub(super) answers: Answers,
}

/// A colour of text, as far as two can be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hue(u32);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ink {
    Plain,
    Faint,
    /// Drawn in reverse, as the cursor is.
    Cursor,
}

impl Row {
    /// A row of which only the text is known.
    pub(super) fn plain(text: String) -> Self {
        Self { text, ..Self::default() }
    }

    pub fn is_blank(&self) -> bool {
        self.text.is_empty()
    }

    /// Begins in a colour that is not the terminal's own for text.
    pub fn is_coloured(&self) -> bool {
        self.hue != Hue::default()
    }

    /// The text that was not drawn faintly.
    pub fn bold_text(&self) -> String {
        self.text.chars().zip(&self.ink).filter(|(_, ink)| **ink != Ink::Faint).map(|(c, _)| c).collect()
    }
}

impl Grid {
    /// Reads a capture, with or without attributes.
    pub fn parse(capture: &str) -> Self {
        let mut pen = Pen::default();
        let skip = capture.lines().count().saturating_sub(MAX_ROWS);
        let rows: Vec<Row> = capture.lines().skip(skip).map(|line| row(line, &mut pen)).collect();
        Self { rows, attributed: pen.used }
    }
}

#[derive(Debug, Default)]
struct Pen {
    dim: bool,
    grey: bool,
    reverse: bool,
    background: bool,
    hue: Hue,
    used: bool,
}

impl Pen {
    fn ink(&self) -> Ink {
        match self {
            Self { dim: true, .. } | Self { grey: true, .. } => Ink::Faint,
            Self { reverse: true, .. } => Ink::Cursor,
            _ => Ink::Plain,
        }
    }

    /// Applies one `SGR` sequence, such as `0;2;38;5;246`.
    fn apply(&mut self, parameters: &str) {
        self.used = true;
        let mut codes = parameters.split([';', ':']).map(|code| code.parse::<u16>().unwrap_or(0));
        while let Some(code) = codes.next() {
            match code {
                0 => *self = Self { used: true, ..Self::default() },
                2 => self.dim = true,
                7 => self.reverse = true,
                22 => self.dim = false,
                27 => self.reverse = false,
                30..=37 | 39 | 90..=97 => {
                    (self.grey, self.hue) = (code == 90, if code == 39 { Hue(0) } else { Hue(code.into()) });
                }
                38 => (self.grey, self.hue) = colour(&mut codes),
                40..=47 | 100..=107 => self.background = true,
                48 => {
                    let _ = colour(&mut codes);
                    self.background = true;
                }
                49 => self.background = false,
                _ => {}
            }
        }
    }
}

/// Takes an indexed or direct colour; true where it is one that programs use for what is not meant to be read first.
fn colour(codes: &mut impl Iterator<Item = u16>) -> (bool, Hue) {
    const INDEXED: u32 = 1 << 24;
    const DIRECT: u32 = 1 << 25;
    match codes.next() {
        Some(5) => {
            let index = codes.next().unwrap_or(0);
            (matches!(index, 8 | 240..=245), Hue(INDEXED | u32::from(index)))
        }
        Some(2) => {
            let [Some(r), Some(g), Some(b)] = [codes.next(), codes.next(), codes.next()] else {
                return (false, Hue::default());
            };
            let grey = r.abs_diff(g) < 24 && g.abs_diff(b) < 24 && (70..150).contains(&g);
            let [r, g, b] = [r, g, b].map(|part| u32::from(part & 0xff));
            (grey, Hue(DIRECT | r << 16 | g << 8 | b))
        }
        _ => (false, Hue::default()),
    }
}

fn row(line: &str, pen: &mut Pen) -> Row {
    let mut row = Row::default();
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            escape(&mut chars, pen);
            continue;
        }
        let Some(c) = fold(c) else { continue };
        if row.ink.len() == MAX_COLUMNS {
            break;
        }
        if row.ink.is_empty() {
            row.shaded = pen.background;
        }
        if c != ' ' && row.text.trim_start().is_empty() {
            row.hue = pen.hue;
        }
        row.text.push(c);
        row.ink.push(pen.ink());
    }
    // The cursor stands on a suggestion's first letter: that letter belongs to what follows.
    for at in 1..row.ink.len() {
        if row.ink[at - 1] == Ink::Cursor && row.ink[at] == Ink::Faint {
            row.ink[at - 1] = Ink::Faint;
        }
    }
    row.text.truncate(row.text.trim_end().len());
    row
}

/// Reads one escape sequence behind its `ESC`.
fn escape(chars: &mut std::str::Chars<'_>, pen: &mut Pen) {
    match chars.next() {
        Some('[') => {
            let mut parameters = String::new();
            for c in chars.by_ref() {
                match c {
                    '0'..='?' | ' '..='/' => parameters.push(c),
                    'm' => return pen.apply(&parameters),
                    _ => return,
                }
            }
        }
        // Titles, links and device strings end at BEL or `ESC \`.
        Some(']' | 'P' | '_' | '^' | 'X') => {
            while let Some(c) = chars.next() {
                if c == '\u{7}' || (c == '\u{1b}' && chars.next().is_some()) {
                    return;
                }
            }
        }
        Some('(' | ')' | '*' | '+' | '#') => {
            chars.next();
        }
        _ => {}
    }
}

/// The character as rules see it; nothing for what shows nothing.
fn fold(c: char) -> Option<char> {
    match c {
        '\u{2018}' | '\u{2019}' => Some('\''),
        '\u{201c}' | '\u{201d}' => Some('"'),
        '\u{a0}' | '\u{202f}' | '\t' => Some(' '),
        '\u{200b}'..='\u{200f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{2060}' => None,
        c if c.is_control() => None,
        c => Some(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn attributes_tell_a_suggestion_from_a_draft() {
        let grid = Grid::parse(
            "\u{1b}[38;5;246m❯\u{a0}\u{1b}[7m\u{1b}[39mP\u{1b}[0;2mress\u{1b}[0m \u{1b}[2mup\n\u{1b}[0m❯ mine",
        );
        assert!(grid.attributed);
        assert_eq!(grid.rows[0].text, "❯ Press up");
        assert_eq!(grid.rows[0].bold_text().trim_end(), "❯");
        assert_eq!(grid.rows[1].bold_text(), "❯ mine");
    }

    #[test]
    fn what_shows_nothing_is_dropped_and_quotes_are_plain() {
        let grid = Grid::parse("\u{1b}]0;title\u{7}You\u{2019}ve\u{1b}[2J\u{1b}(B hit\u{8} it   ");
        assert_eq!(grid.rows[0].text, "You've hit it");
        assert!(!grid.attributed);
    }

    proptest! {
        #[test]
        fn any_capture_is_read_and_shows_no_control_character(capture in "(\u{1b}|\\[|[0-9;m]|\\PC|\n|\t|.){0,400}") {
            for row in Grid::parse(&capture).rows {
                prop_assert!(!row.text.chars().any(char::is_control));
                let _ = row.bold_text();
            }
        }
    }
}
