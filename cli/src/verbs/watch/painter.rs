//! Redraws a block of lines in place: only the lines that differ are written, and nothing where none does.

/// Applied as one by terminals that know it, ignored by others.
const BEGIN: &str = "\u{1b}[?2026h";
const END: &str = "\u{1b}[?2026l";
const HIDE_CURSOR: &str = "\u{1b}[?25l";
const SHOW_CURSOR: &str = "\u{1b}[?25h";
const CLEAR_SCREEN: &str = "\u{1b}[H\u{1b}[2J";
const CLEAR_LINE: &str = "\u{1b}[K";
const CLEAR_BELOW: &str = "\u{1b}[J";

#[derive(Debug, Default)]
pub struct Painter {
    shown: Option<(Vec<String>, (usize, usize))>,
}

impl Painter {
    /// What to write so that these lines are shown; `None` where they already are. The cursor rests at the end of the
    /// last line.
    pub fn frame(&mut self, lines: Vec<String>, size: (usize, usize)) -> Option<String> {
        let mut out = BEGIN.to_owned();
        match &self.shown {
            Some((shown, old)) if *old == size => {
                if *shown == lines {
                    return None;
                }
                out.push('\r');
                if shown.len() > 1 {
                    out.push_str(&format!("\u{1b}[{}A", shown.len() - 1));
                }
                rewrite(&mut out, &lines, shown);
            }
            // A terminal that changed its size has moved our lines, nobody knows where.
            Some(_) => {
                out.push_str(CLEAR_SCREEN);
                rewrite(&mut out, &lines, &[]);
            }
            None => {
                out.push_str(HIDE_CURSOR);
                rewrite(&mut out, &lines, &[]);
            }
        }
        out.push_str(END);
        self.shown = Some((lines, size));
        Some(out)
    }

    /// Puts the cursor back, below what is shown.
    pub fn end(&mut self) -> Option<String> {
        self.shown.take().map(|_| format!("{SHOW_CURSOR}\n"))
    }
}

fn rewrite(out: &mut String, lines: &[String], shown: &[String]) {
    for (place, line) in lines.iter().enumerate() {
        if place > 0 {
            out.push_str("\r\n");
        }
        if shown.get(place) != Some(line) {
            out.push_str(line);
            out.push_str(CLEAR_LINE);
        }
    }
    if lines.len() < shown.len() {
        // From the line below the last one on, without touching it.
        out.push_str("\r\n");
        out.push_str(CLEAR_BELOW);
        out.push_str("\u{1b}[1A");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn what_is_shown_already_is_not_written_again() {
        let mut painter = Painter::default();
        assert!(painter.frame(lines("a b"), (80, 24)).is_some());
        assert_eq!(painter.frame(lines("a b"), (80, 24)), None);
        let out = painter.frame(lines("a c"), (80, 24)).unwrap();
        assert_eq!(out, format!("{BEGIN}\r\u{1b}[1A\r\nc{CLEAR_LINE}{END}"));
    }

    #[test]
    fn a_shorter_block_clears_what_it_leaves() {
        let mut painter = Painter::default();
        painter.frame(lines("a b c"), (80, 24));
        assert_eq!(
            painter.frame(lines("a"), (80, 24)).unwrap(),
            format!("{BEGIN}\r\u{1b}[2A\r\n{CLEAR_BELOW}\u{1b}[1A{END}")
        );
    }

    #[test]
    fn the_cursor_comes_back_once() {
        let mut painter = Painter::default();
        assert_eq!(painter.end(), None);
        painter.frame(lines("a"), (80, 24));
        assert!(painter.end().unwrap().starts_with(SHOW_CURSOR));
        assert_eq!(painter.end(), None);
    }
}
