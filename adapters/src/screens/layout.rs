//! Where things stand on a screen: the box that takes the next prompt, what is drawn above and below it, and the
//! blocks of the conversation. How each runtime draws its box is data ([`Shape`]).

use std::cell::OnceCell;
use std::ops::Range;

use super::grid::{Grid, Row};
use super::known::Known;
use super::pattern::Pattern;
use super::rules::Drawn;

/// How a runtime draws the box that takes the next prompt.
#[derive(Debug)]
pub(super) enum Shape {
    /// Between two edges; its first row matches `first`, where there is such a mark.
    Ruled { edge: Pattern, first: Option<Pattern> },
    /// Begins at a mark and ends at a blank row; nothing of the conversation stands below it.
    Marked { first: Pattern, not: Option<Pattern> },
    /// Behind a bar at the left, closed by a foot.
    Barred { bar: String, foot: Pattern },
}

/// How the blocks of a conversation are told apart.
#[derive(Debug)]
pub(super) enum Block {
    /// By the look of their first row.
    Begins(Pattern),
    /// By blank rows.
    Paragraphs,
}

impl Block {
    pub(super) fn begins(&self, grid: &Grid, at: usize) -> bool {
        let text = |at: usize| grid.rows.get(at).map_or("", |row| row.text.as_str());
        match self {
            Self::Begins(first) => grid.rows.get(at).is_some_and(|row| first.is_in(row)),
            Self::Paragraphs => !text(at).is_empty() && (at == 0 || text(at - 1).is_empty()),
        }
    }
}

/// What a runtime's screens have in common.
#[derive(Debug)]
pub(super) struct Drawing {
    pub(super) shape: Shape,
    /// What begins a block of the conversation.
    pub(super) block: Block,
    /// A row that begins what the user said.
    pub(super) prompt: Option<Pattern>,
    /// A block that only closes a turn: it is passed over where the turn's outcome is asked for.
    pub(super) closing: Option<Pattern>,
    /// Suggestions that are no draft, for captures without attributes.
    pub(super) ghosts: Vec<Pattern>,
    /// What stands in the box for a long text that was pasted.
    pub(super) pasted: Vec<Pattern>,
    /// A row that says that a prompt waits for the turn's end.
    pub(super) queued: Vec<Pattern>,
}

impl Drawing {
    pub(super) fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        let (first, second) = match &self.shape {
            Shape::Ruled { edge, first } => (Some(edge), first.as_ref()),
            Shape::Marked { first, not } => (Some(first), not.as_ref()),
            Shape::Barred { foot, .. } => (Some(foot), None),
        };
        let block = match &self.block {
            Block::Begins(first) => Some(first),
            Block::Paragraphs => None,
        };
        let all = [first, second, block, self.prompt.as_ref(), self.closing.as_ref()];
        let lists = self.ghosts.iter().chain(&self.pasted).chain(&self.queued);
        all.into_iter().flatten().chain(lists)
    }
}

/// What part of a screen a condition looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Region {
    /// The terminal's title.
    Title,
    /// All rows: for what no conversation can print.
    Screen,
    /// What stands in the box.
    Composer,
    /// Below the box.
    Footer,
    /// Above the box, from the user's last prompt on.
    Turn,
    /// Above the box, the last block.
    Last,
    /// The last block that is not a closing one.
    Outcome,
    /// The last rows of a screen without a box: what stands instead of it.
    Dialog,
    /// The last rows with text of the whole screen.
    End,
}

impl Region {
    pub const ALL: [Self; 9] = [
        Self::Title,
        Self::Screen,
        Self::Composer,
        Self::Footer,
        Self::Turn,
        Self::Last,
        Self::Outcome,
        Self::Dialog,
        Self::End,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Title => "title",
            Self::Screen => "screen",
            Self::Composer => "composer",
            Self::Footer => "footer",
            Self::Turn => "turn",
            Self::Last => "last",
            Self::Outcome => "outcome",
            Self::Dialog => "dialog",
            Self::End => "end",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|region| region.as_str() == word)
    }
}

/// Columns up to which a terminal wraps the runtimes' own sentences.
const NARROW: usize = 72;
/// Rows of a dialog, at most: a long list with a preview is as high as a terminal.
const DIALOG_ROWS: usize = 45;
/// Rows of the end: key hints wrap on a narrow terminal.
const END_ROWS: usize = 4;
/// Rows below a marked box, at most.
const FOOTER_ROWS: usize = 8;

/// A screen taken apart.
#[derive(Debug)]
pub(super) struct Layout<'g> {
    grid: &'g Grid,
    title: Row,
    composer: Option<Composer>,
    turn: Range<usize>,
    last: Range<usize>,
    outcome: Range<usize>,
    /// Of each region the rows that a narrow terminal may have wrapped, joined; made when first asked for.
    joined: [OnceCell<Vec<Row>>; Region::ALL.len()],
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Composer {
    /// The rows with its text.
    inside: Range<usize>,
    /// The first row that belongs to it, its edge included, and the first that does not any more.
    outside: Range<usize>,
    draft: bool,
}

impl<'g> Layout<'g> {
    pub(super) fn of(grid: &'g Grid, title: &str, drawing: &Drawing, known: &Known) -> Self {
        let title = Grid::parse(title).rows.into_iter().next().unwrap_or_default();
        grid.rows.iter().chain([&title]).for_each(|row| known.recall(row));
        let composer = find(grid, drawing);
        let above = 0..composer.as_ref().map_or(0, |composer| composer.outside.start);
        let prompted = |at: usize| drawing.prompt.as_ref().is_some_and(|prompt| prompt.is_in(&grid.rows[at]));
        let turn = from_last(above, prompted);
        let last = from_last(turn.clone(), |at| drawing.block.begins(grid, at));
        let outcome = outcome(grid, &turn, &last, drawing);
        Self { grid, title, composer, turn, last, outcome, joined: Default::default() }
    }

    pub(super) fn has_composer(&self) -> bool {
        self.composer.is_some()
    }

    /// Sentences of the runtime's own are wrapped here.
    pub(super) fn is_narrow(&self) -> bool {
        self.grid.rows.iter().all(|row| row.text.chars().count() <= NARROW)
    }

    /// The rows with the box's text.
    pub(super) fn inside(&self) -> Option<Range<usize>> {
        self.composer.as_ref().map(|composer| composer.inside.clone())
    }

    /// Unsent text of a human in the box; nothing where there is no box.
    pub(super) fn draft(&self) -> Option<bool> {
        self.composer.as_ref().map(|composer| composer.draft)
    }

    pub(super) fn is_drawn(&self, row: &Row, drawn: Drawn) -> bool {
        match drawn {
            Drawn::Anyhow => true,
            Drawn::Apart => self.is_apart(row),
            Drawn::Coloured => row.is_coloured() || !self.grid.rows.iter().any(Row::is_coloured),
        }
    }

    /// True of a row that is not drawn as what the user says is: in another colour than the box. Where the capture tells
    /// no colours, one that is not the first in its turn to begin so.
    fn is_apart(&self, row: &Row) -> bool {
        let Some(composer) = &self.composer else { return true };
        if self.grid.attributed {
            return self.grid.rows.get(composer.outside.start).is_none_or(|edge| edge.hue != row.hue);
        }
        let begins = row.text.trim_start().chars().next();
        let before = self.grid.rows.get(self.turn.start..self.outcome.start).unwrap_or_default();
        before.iter().any(|row| begins.is_some_and(|mark| row.text.trim_start().starts_with(mark)))
    }

    /// The rows of a region that have text.
    pub(super) fn rows(&self, region: Region) -> Vec<&Row> {
        let rows = &self.grid.rows;
        let range = |range: Range<usize>| {
            rows.get(range).unwrap_or_default().iter().filter(|row| !row.is_blank()).collect::<Vec<_>>()
        };
        match (region, &self.composer) {
            (Region::Title, _) => vec![&self.title],
            (Region::Screen, _) => range(0..rows.len()),
            (Region::End, _) => cut(range(0..rows.len()), END_ROWS),
            (Region::Dialog, None) => cut(range(0..rows.len()), DIALOG_ROWS),
            (Region::Composer, Some(composer)) => range(composer.inside.clone()),
            (Region::Footer, Some(composer)) => range(composer.outside.end..rows.len()),
            (Region::Turn, Some(_)) => range(self.turn.clone()),
            (Region::Last, Some(_)) => range(self.last.clone()),
            (Region::Outcome, Some(_)) => range(self.outcome.clone()),
            _ => Vec::new(),
        }
    }

    /// The rows of a region as a wide terminal may have shown them: sentences over two and three rows are one.
    pub(super) fn joined(&self, region: Region, known: &Known) -> &[Row] {
        self.joined[region as usize].get_or_init(|| {
            let rows = joined(&self.rows(region));
            rows.iter().for_each(|row| known.recall(row));
            rows
        })
    }

    /// Every row that patterns were asked of.
    pub(super) fn asked(&self) -> impl Iterator<Item = &Row> {
        let joined = self.joined.iter().filter_map(OnceCell::get).flatten();
        self.grid.rows.iter().chain([&self.title]).chain(joined)
    }
}

/// Each row with the two that follow, as one line, frames left out.
pub(super) fn joined(rows: &[&Row]) -> Vec<Row> {
    let bare = |row: &&Row| {
        row.text.trim_matches(|c: char| c == ' ' || ('\u{2500}'..='\u{259f}').contains(&c)).to_owned()
    };
    (0..rows.len().saturating_sub(1))
        .map(|at| {
            let first = rows[at].text.trim_end().to_owned();
            let rest: Vec<String> = rows[at + 1..rows.len().min(at + 3)].iter().map(bare).collect();
            Row::plain(format!("{first} {}", rest.join(" ")))
        })
        .collect()
}

fn cut(mut rows: Vec<&Row>, count: usize) -> Vec<&Row> {
    rows.split_off(rows.len().saturating_sub(count))
}

/// From the last row that begins something to the end; the whole range where none does.
fn from_last(range: Range<usize>, begins: impl Fn(usize) -> bool) -> Range<usize> {
    let start = range.clone().rev().find(|at| begins(*at));
    start.unwrap_or(range.start)..range.end
}

fn outcome(grid: &Grid, turn: &Range<usize>, last: &Range<usize>, drawing: &Drawing) -> Range<usize> {
    let closes = |range: &Range<usize>| {
        let first = grid.rows.get(range.start);
        drawing.closing.as_ref().zip(first).is_some_and(|(closing, first)| closing.is_in(first))
    };
    let mut block = last.clone();
    while closes(&block) && block.start > turn.start {
        block = from_last(turn.start..block.start, |at| drawing.block.begins(grid, at));
    }
    block
}

fn find(grid: &Grid, drawing: &Drawing) -> Option<Composer> {
    let (inside, outside) = match &drawing.shape {
        Shape::Ruled { edge, first } => ruled(grid, edge, first.as_ref()),
        Shape::Marked { first, not } => marked(grid, first, not.as_ref(), &drawing.block),
        Shape::Barred { bar, foot } => barred(grid, bar, foot),
    }?;
    let draft = has_draft(grid, inside.clone(), drawing);
    Some(Composer { inside, outside, draft })
}

type Found = Option<(Range<usize>, Range<usize>)>;

fn ruled(grid: &Grid, edge: &Pattern, first: Option<&Pattern>) -> Found {
    let edges: Vec<usize> = (0..grid.rows.len()).filter(|at| edge.is_in(&grid.rows[*at])).collect();
    // From the bottom: the first pair of edges whose first row carries the mark. A draft may hold lines that look like
    // an edge.
    let last = *edges.last()?;
    // Edges with nothing between them are what a resize left behind.
    let bottom = (0..=last).rev().zip(edges.iter().rev()).take_while(|(at, edge)| at == *edge).last()?.0;
    let marked =
        |top: usize| first.is_none_or(|first| grid.rows.get(top + 1).is_some_and(|row| first.is_in(row)));
    let top = edges.iter().rev().copied().find(|top| *top < bottom && marked(*top))?;
    // Behind a mark, further rows are indented: others are a conversation below a box that was left painted.
    let indented = |row: &Row| row.is_blank() || row.text.starts_with(' ');
    if first.is_some() && !grid.rows[(top + 2).min(bottom)..bottom].iter().all(indented) {
        return None;
    }
    Some((top + 1..bottom, top..last + 1))
}

fn marked(grid: &Grid, first: &Pattern, not: Option<&Pattern>, block: &Block) -> Found {
    let top =
        (0..grid.rows.len()).rev().find(|at| first.is_in(&grid.rows[*at]) || block.begins(grid, *at))?;
    let row = &grid.rows[top];
    if !first.is_in(row) || not.is_some_and(|not| not.is_in(row)) {
        return None;
    }
    let end = (top..grid.rows.len()).find(|at| grid.rows[*at].is_blank()).unwrap_or(grid.rows.len());
    let below = grid.rows[end..].iter().filter(|row| !row.is_blank()).count();
    (below <= FOOTER_ROWS).then_some((top..end, top..end))
}

fn barred(grid: &Grid, bar: &str, foot: &Pattern) -> Found {
    let end = (0..grid.rows.len()).rev().find(|at| foot.is_in(&grid.rows[*at]))?;
    let column = grid.rows[end].text.chars().take_while(|c| *c == ' ').count();
    let behind_bar = |row: &Row| {
        let rest: String = row.text.chars().skip(column).collect();
        row.text.chars().take(column).all(|c| c == ' ') && rest.starts_with(bar)
    };
    let above = grid.rows[..end].iter().rev().take_while(|row| behind_bar(row)).count();
    (above > 0).then_some((end - above..end, end - above..end + 1))
}

fn has_draft(grid: &Grid, inside: Range<usize>, drawing: &Drawing) -> bool {
    let rows = grid.rows.get(inside).unwrap_or_default();
    // A barred box ends in the line that names agent and model.
    let rows = match &drawing.shape {
        Shape::Barred { .. } => rows.split_last().map_or(rows, |(_, text)| text),
        _ => rows,
    };
    rows.iter().any(|row| {
        let shown = if grid.attributed { row.bold_text() } else { row.text.clone() };
        let text = shown.trim_start_matches(|c: char| !c.is_alphanumeric() && !c.is_ascii_punctuation());
        let text = text.strip_prefix(['>', '!']).unwrap_or(text).trim();
        !text.is_empty() && !drawing.ghosts.iter().any(|ghost| ghost.is_match(text))
    })
}
