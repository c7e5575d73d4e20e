//! What stands in the box that takes the next prompt, for whoever put something there.

use std::ops::Range;

use super::grid::{Grid, Row};
use super::known::Known;
use super::layout::{Drawing, Layout, Shape};
use super::pattern::Pattern;
use super::rules::Rules;

/// The unsent text of a box.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Written {
    /// Its rows, each without the box's own marks; empty where the box is.
    pub text: String,
    /// What follows behind a blank row of a box without a lower edge: more of the text, or what stands below the box.
    pub rest: Vec<String>,
    /// The box takes a command or a note instead of a prompt, and says so by this mark.
    pub mode: Option<char>,
    /// The text is the runtime's stand-in for one that was pasted, and nothing else.
    pub pasted: bool,
    /// Somewhere else it says that a prompt waits.
    pub queued: bool,
}

impl Rules {
    /// What the box of this screen holds; nothing where no box is drawn.
    pub fn written(&self, grid: &Grid, title: &str) -> Option<Written> {
        let drawing = &self.drawing;
        let written = read(grid, title, drawing);
        if !self.stay_compiled {
            drawing.patterns().for_each(Pattern::relax);
        }
        written
    }
}

fn read(grid: &Grid, title: &str, drawing: &Drawing) -> Option<Written> {
    let layout = Layout::of(grid, title, drawing, &Known::default());
    let mut inside = match &drawing.shape {
        // A long draft is higher than what stands below an empty box, and has blank rows of its own.
        Shape::Marked { .. } => marked(grid, drawing)?..grid.rows.len(),
        Shape::Ruled { .. } | Shape::Barred { .. } => layout.inside()?,
    };
    if matches!(drawing.shape, Shape::Barred { .. }) {
        // The last row names agent and model.
        inside.end = inside.end.saturating_sub(1).max(inside.start);
    }
    let outside = |at: &usize| !inside.contains(at) || matches!(drawing.shape, Shape::Marked { .. });
    let queued = (0..grid.rows.len())
        .filter(outside)
        .any(|at| drawing.queued.iter().any(|queued| queued.is_match(&grid.rows[at].text)));
    let mode =
        grid.rows[inside.start].text.trim_start().chars().next().filter(|mark| matches!(mark, '!' | '#'));
    if layout.draft() == Some(false) {
        return Some(Written { mode, queued, ..Written::default() });
    }
    let mut parts = parts(grid, inside, &drawing.shape).into_iter();
    let text = parts.next().unwrap_or_default();
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let pasted = drawing.pasted.iter().any(|pasted| pasted.is_match(&line));
    Some(Written { text, rest: parts.collect(), mode, pasted, queued })
}

/// The row of a marked box's first line: the last that carries the mark, with nothing of a conversation below it.
fn marked(grid: &Grid, drawing: &Drawing) -> Option<usize> {
    let Shape::Marked { first, not } = &drawing.shape else { return None };
    let holds = |at: &usize| first.is_match(&grid.rows[*at].text) || drawing.block.begins(grid, *at);
    let top = (0..grid.rows.len()).rev().find(holds)?;
    let text = &grid.rows[top].text;
    (first.is_match(text) && not.as_ref().is_none_or(|not| !not.is_match(text))).then_some(top)
}

/// The rows as their writer wrote them; those of a box without a lower edge cut at its blank rows.
fn parts(grid: &Grid, inside: Range<usize>, shape: &Shape) -> Vec<String> {
    let mut parts = vec![String::new()];
    for row in grid.rows.get(inside).unwrap_or_default() {
        if row.is_blank() && matches!(shape, Shape::Marked { .. }) {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push_str(bare(row, grid.attributed).trim());
            part.push('\n');
        }
    }
    parts.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

fn bare(row: &Row, attributed: bool) -> String {
    let shown = if attributed { row.bold_text() } else { row.text.clone() };
    let mark = |c: char| c == ' ' || matches!(c, '❯' | '›' | '┃' | '│');
    shown.trim_start_matches(mark).to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn written(rules: &str, screen: &str) -> Option<Written> {
        let text = format!(
            "apiVersion: mosaic.fleet/v1\nkind: ScreenRules\nruntime: x\ndrawing:\n{rules}rules:\n  - {{rule: prompt, shows: available/prompt, composer: present}}\n"
        );
        parse(&text).unwrap().written(&Grid::parse(screen), "")
    }

    const RULED: &str = "  composer: {shape: ruled, edge: '^─{3}', first: '^[❯!#]( |$)'}\n  block: '^\\S'\n  pasted: ['^\\[Pasted \\d+\\]$']\n  queued: ['^ +Queued']\n";
    const MARKED: &str =
        "  composer: {shape: marked, first: '^[›!]( |$)', not: '^› ?\\d+\\. '}\n  block: '^[•›]( |$)'\n";

    #[test]
    fn a_boxs_text_is_read_without_its_marks() {
        let seen = written(RULED, "────\n❯ [a -> b] one\n  two\n────\n  hints").unwrap();
        assert_eq!((seen.text.as_str(), seen.mode, seen.pasted), ("[a -> b] one\ntwo", None, false));
        assert_eq!(written(RULED, "────\n❯\n────").unwrap(), Written::default());
        assert_eq!(written(RULED, "nothing here"), None);
    }

    #[test]
    fn a_stand_in_a_mode_and_a_queue_are_told() {
        let seen = written(RULED, "x\n  Queued\n────\n❯ [Pasted 12]\n────").unwrap();
        assert!(seen.pasted && seen.queued);
        assert!(!written(RULED, "────\n❯ mine [Pasted 12]\n────").unwrap().pasted);
        assert_eq!(written(RULED, "────\n!\n────").unwrap().mode, Some('!'));
    }

    #[test]
    fn a_box_without_a_lower_edge_may_go_on_behind_a_blank_row() {
        let long: String = (0..20).map(|at| format!("\n\n  line {at}")).collect();
        let seen = written(MARKED, &format!("• said\n\n› first{long}\n\n  footer")).unwrap();
        assert_eq!((seen.text.as_str(), seen.rest.len()), ("first", 21));
        assert_eq!(written(MARKED, "• said\n\n› 1. Yes\n  2. No"), None);
        assert_eq!(written(MARKED, "› asked\n\n• said"), None);
    }
}
