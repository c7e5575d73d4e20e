//! Rows and columns of text: plain for a pipe, fitted to a width for a terminal. One line a row, always.

use std::borrow::Cow;

use anstyle::Style;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

const GAP: usize = 2;
/// The column that takes the rest keeps this much before others shrink.
const COMFORT: usize = 40;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell<'t> {
    text: Cow<'t, str>,
    style: Style,
    /// See [`width_of`]; wider than any terminal where it does not fit.
    width: u16,
}

impl<'t> Cell<'t> {
    pub fn plain(text: impl Into<Cow<'t, str>>) -> Self {
        Self::styled(text, Style::new())
    }

    pub fn styled(text: impl Into<Cow<'t, str>>, style: Style) -> Self {
        let text = text.into();
        let width = u16::try_from(width_of(&text)).unwrap_or(u16::MAX);
        Self { text, style, width }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    fn width(&self) -> usize {
        if self.width == u16::MAX { width_of(&self.text) } else { usize::from(self.width) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// What a column does when there is not enough room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    Fixed,
    Shrinks {
        least: usize,
    },
    /// Takes the room that is left.
    Rest {
        least: usize,
    },
    /// Is left out; the highest number goes first.
    Leaves(u8),
}

#[derive(Debug, Clone)]
pub struct Head {
    pub title: String,
    pub align: Align,
    pub fit: Fit,
}

#[derive(Debug, Clone)]
pub struct Grid<'t> {
    heads: Vec<Head>,
    /// Row after row.
    cells: Vec<Cell<'t>>,
    hidden: Vec<usize>,
}

/// Lines for a terminal, and which columns found no room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fitted {
    pub lines: Vec<String>,
    pub left_out: Vec<String>,
}

impl<'t> Grid<'t> {
    pub fn new(heads: Vec<Head>, rows: usize) -> Self {
        let cells = Vec::with_capacity(heads.len() * rows);
        Self { heads, cells, hidden: Vec::new() }
    }

    /// A row has a cell for each head.
    pub fn push(&mut self, row: impl IntoIterator<Item = Cell<'t>>) {
        self.cells.extend(row);
    }

    pub fn rows(&self) -> impl Iterator<Item = &[Cell<'t>]> {
        self.cells.chunks(self.heads.len().max(1))
    }

    pub fn hide(&mut self, column: usize) {
        self.hidden.push(column);
    }

    fn columns(&self) -> Vec<usize> {
        (0..self.heads.len()).filter(|column| !self.hidden.contains(column)).collect()
    }

    /// Everything, as wide as it is.
    pub fn plain(&self, headers: bool, colour: bool) -> String {
        let (shown, widths) = (self.columns(), self.natural(headers));
        let line: usize = widths.iter().sum::<usize>() + gaps(shown.len());
        let mut out = String::with_capacity(line * (self.cells.len() / self.heads.len().max(1) + 1));
        if headers {
            self.line(&mut out, &self.titles(), &shown, &widths, colour);
            out.push('\n');
        }
        for row in self.rows() {
            self.line(&mut out, row, &shown, &widths, colour);
            out.push('\n');
        }
        out
    }

    /// No line is wider than `width`.
    pub fn fitted(&self, width: usize, headers: bool, colour: bool) -> Fitted {
        let mut widths = self.natural(headers);
        let mut shown = self.columns();
        while self.least(&shown, &widths) > width {
            let leaves = |column: usize| match self.heads[column].fit {
                Fit::Leaves(rank) => Some((rank, column)),
                _ => None,
            };
            let Some((_, leaver)) = shown.iter().copied().filter_map(leaves).max() else { break };
            shown.retain(|column| *column != leaver);
        }
        self.squeeze(&shown, &mut widths, width);
        let left_out = self.heads.iter().enumerate().filter(|(column, _)| !shown.contains(column));
        let left_out = left_out.filter(|(column, _)| !self.hidden.contains(column));
        let left_out = left_out.map(|(_, head)| head.title.clone()).collect();
        Fitted { lines: self.lines(&shown, &widths, headers, colour), left_out }
    }

    fn natural(&self, headers: bool) -> Vec<usize> {
        let mut widths: Vec<usize> =
            self.heads.iter().map(|head| if headers { width_of(&head.title) } else { 0 }).collect();
        for row in self.rows() {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        widths
    }

    /// The width that these columns need when each has given way as far as it does.
    fn least(&self, shown: &[usize], widths: &[usize]) -> usize {
        let needs = shown.iter().map(|column| match self.heads[*column].fit {
            Fit::Shrinks { least } | Fit::Rest { least } => widths[*column].min(least),
            Fit::Fixed | Fit::Leaves(_) => widths[*column],
        });
        needs.sum::<usize>() + gaps(shown.len())
    }

    /// Takes what is too much from the column that takes the rest while it has plenty, then from those that shrink
    /// (the last first), then from the former again, and at the very end from all.
    fn squeeze(&self, shown: &[usize], widths: &mut [usize], width: usize) {
        let total: usize = shown.iter().map(|column| widths[*column]).sum::<usize>() + gaps(shown.len());
        let mut excess = total.saturating_sub(width);
        let rest = |fit| match fit {
            Fit::Rest { least } => Some(least),
            _ => None,
        };
        let comfortable = |fit| rest(fit).map(|least| least.max(COMFORT));
        let shrinks = |fit| match fit {
            Fit::Shrinks { least } => Some(least),
            _ => None,
        };
        let steps: [&dyn Fn(Fit) -> Option<usize>; 4] = [&comfortable, &shrinks, &rest, &|_| Some(1)];
        for least_of in steps {
            for column in shown.iter().rev() {
                let Some(least) = least_of(self.heads[*column].fit) else { continue };
                let given = excess.min(widths[*column].saturating_sub(least));
                widths[*column] -= given;
                excess -= given;
            }
        }
    }

    fn lines(&self, shown: &[usize], widths: &[usize], headers: bool, colour: bool) -> Vec<String> {
        let titles = self.titles();
        let head = headers.then_some(titles.as_slice());
        let line = |row: &[Cell<'_>]| {
            let mut line = String::new();
            self.line(&mut line, row, shown, widths, colour);
            line
        };
        head.into_iter().chain(self.rows()).map(line).collect()
    }

    fn titles(&self) -> Vec<Cell<'_>> {
        let style = Style::new().dimmed();
        self.heads.iter().map(|head| Cell::styled(head.title.as_str(), style)).collect()
    }

    fn line(&self, out: &mut String, row: &[Cell<'_>], shown: &[usize], widths: &[usize], colour: bool) {
        for (place, column) in shown.iter().enumerate() {
            let (Some(cell), width) = (row.get(*column), widths[*column]) else { continue };
            let natural = cell.width();
            let (text, used) =
                if natural <= width { (Cow::Borrowed(cell.text()), natural) } else { cut(&cell.text, width) };
            let blanks = width.saturating_sub(used);
            let right = self.heads[*column].align == Align::Right;
            if right {
                pad(out, blanks);
            }
            paint(out, &text, cell.style, colour);
            if !right && place + 1 < shown.len() {
                pad(out, blanks);
            }
            if place + 1 < shown.len() {
                pad(out, GAP);
            }
        }
    }
}

fn gaps(columns: usize) -> usize {
    columns.saturating_sub(1) * GAP
}

fn pad(line: &mut String, mut blanks: usize) {
    const BLANKS: &str = "                                ";
    while blanks > 0 {
        let some = blanks.min(BLANKS.len());
        line.push_str(&BLANKS[..some]);
        blanks -= some;
    }
}

/// Text in a style, where colour is wanted.
pub fn paint(out: &mut String, text: &str, style: Style, colour: bool) {
    if colour && style != Style::new() && !text.is_empty() {
        out.push_str(&format!("{style}{text}{style:#}"));
    } else {
        out.push_str(text);
    }
}

/// Columns on the screen.
pub fn width_of(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { UnicodeWidthStr::width(text) }
}

/// At most `width` columns of the text, an ellipsis marking the cut, and how many it takes.
pub fn cut(text: &str, width: usize) -> (Cow<'_, str>, usize) {
    let natural = width_of(text);
    if natural <= width {
        return (text.into(), natural);
    }
    let mut used = 0;
    let mut out = String::new();
    for c in text.chars() {
        // It asks for the wide form of the character before it.
        let wide = if c == '\u{fe0f}' { 1 } else { c.width().unwrap_or(0) };
        if used + wide + 1 > width {
            break;
        }
        used += wide;
        out.push(c);
    }
    if used < width {
        out.push('…');
        used += 1;
    }
    (out.into(), used)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grid<'t>(rows: &[[&'t str; 3]]) -> Grid<'t> {
        let head = |title: &str, align, fit| Head { title: title.to_owned(), align, fit };
        let heads = vec![
            head("NAME", Align::Left, Fit::Shrinks { least: 4 }),
            head("AGE", Align::Right, Fit::Leaves(1)),
            head("WHY", Align::Left, Fit::Rest { least: 6 }),
        ];
        let mut grid = Grid::new(heads, rows.len());
        for row in rows {
            grid.push(row.map(Cell::plain));
        }
        grid
    }

    #[test]
    fn a_pipe_gets_everything_and_no_trailing_blanks() {
        let plain = grid(&[["a", "1s", "short"], ["longer", "10s", "a very long reason"]]).plain(true, false);
        assert_eq!(plain, "NAME    AGE  WHY\na        1s  short\nlonger  10s  a very long reason\n");
    }

    #[test]
    fn a_terminal_gets_what_fits_and_is_told_what_does_not() {
        let grid = grid(&[["longname", "10s", "a very long reason"]]);
        let fitted = grid.fitted(24, true, false);
        assert_eq!(fitted.lines[1], "lon…  10s  a very long …");
        let narrow = grid.fitted(14, true, false);
        assert_eq!((narrow.lines[1].as_str(), narrow.left_out), ("lon…  a very …", vec!["AGE".to_owned()]));
    }

    #[test]
    fn wide_characters_count_for_two() {
        assert_eq!(cut("日本語", 5), ("日本…".into(), 5));
        assert_eq!(cut("日本語", 4), ("日…".into(), 3));
        assert_eq!(cut("abc", 0), ("".into(), 0));
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_terminal(
            rows in proptest::collection::vec(["\\PC{0,20}", "\\PC{0,8}", "\\PC{0,40}"], 0..8), width in 1usize..80,
        ) {
            let rows: Vec<[&str; 3]> = rows.iter().map(|row| [&*row[0], &*row[1], &*row[2]]).collect();
            for line in grid(&rows).fitted(width.max(8), true, false).lines {
                prop_assert!(width_of(&line) <= width.max(8), "{line:?}");
            }
        }
    }
}
