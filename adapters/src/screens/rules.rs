//! Rules over regions, in order: the first that holds decides. What no rule knows is unknown.

use std::sync::atomic::{AtomicU64, Ordering};

use super::grid::{Grid, Row};
use super::known::Known;
use super::layout::{Drawing, Layout, Region, joined};
use super::pattern::Pattern;
use super::reset;
use fleet_domain::observation::{NativeState, StuckKind};
use fleet_domain::{secrets, text};

/// Characters of an evidence line.
const LINE: usize = 200;

/// What a screen shows, in the words of the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shows {
    /// A turn runs.
    Turn,
    /// A turn runs, and its last request failed and is sent again.
    Retrying,
    /// The turn is over, what it started goes on.
    Background,
    /// The turn is over and the box takes a prompt.
    Prompt,
    Stuck(StuckKind),
    /// A shell has the terminal.
    Exited,
}

impl Shows {
    pub const WORKING: [Self; 3] = [Self::Turn, Self::Retrying, Self::Background];

    /// One of working, available, stuck, dead.
    pub fn state(self) -> &'static str {
        match self {
            Self::Turn | Self::Retrying | Self::Background => "working",
            Self::Prompt => "available",
            Self::Stuck(_) => "stuck",
            Self::Exited => "dead",
        }
    }

    pub fn kind(self) -> &'static str {
        match self {
            Self::Turn => "turn",
            Self::Retrying => "retrying",
            Self::Background => "background",
            Self::Prompt => "prompt",
            Self::Stuck(kind) => kind.as_str(),
            Self::Exited => "exited",
        }
    }

    /// Something else stands where a prompt would be written.
    fn takes_the_box(self) -> bool {
        matches!(
            self,
            Self::Exited
                | Self::Stuck(
                    StuckKind::Trust | StuckKind::Dialog | StuckKind::Permission | StuckKind::Question
                )
        )
    }

    /// Whose turn it is; nothing where something is in the way.
    pub fn native(self) -> Option<NativeState> {
        match self {
            Self::Turn => Some(NativeState::Busy),
            Self::Retrying => Some(NativeState::Retrying),
            Self::Background => Some(NativeState::Background),
            Self::Prompt => Some(NativeState::TurnEnded),
            Self::Stuck(_) | Self::Exited => None,
        }
    }

    /// From `state/kind`, as a rule file says it.
    pub fn parse(words: &str) -> Option<Self> {
        let all = Self::WORKING.into_iter().chain([Self::Prompt, Self::Exited]);
        let stuck = StuckKind::ALL.into_iter().map(Self::Stuck);
        all.chain(stuck).find(|shows| {
            words.split_once('/').is_some_and(|(state, kind)| state == shows.state() && kind == shows.kind())
        })
    }
}

/// What must be so with the box for a rule to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Composer {
    Present,
    Absent,
}

/// A pattern that must, or must not, be found in one of some regions.
#[derive(Debug)]
pub(super) struct Condition {
    pub(super) regions: Vec<Region>,
    pub(super) pattern: Pattern,
    pub(super) drawn: Drawn,
}

/// Which rows of a region are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drawn {
    Anyhow,
    /// Those that are not drawn as the user's own words are.
    Apart,
    /// Those that begin in a colour that is not the terminal's own; all of a capture that tells none.
    Coloured,
}

#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) shows: Shows,
    pub(super) composer: Option<Composer>,
    pub(super) all: Vec<Condition>,
    pub(super) none: Vec<Condition>,
    /// Where the screen says what it is about, such as the command that waits for a yes: the first that is found is
    /// the line that people are shown.
    pub(super) tell: Vec<Tell>,
}

/// A row that says what a dialog is about.
#[derive(Debug)]
pub(super) struct Tell {
    pub(super) region: Region,
    pub(super) pattern: Pattern,
    /// Not the row that matches but the one below it.
    pub(super) below: bool,
}

/// The rules for one runtime's screens.
#[derive(Debug)]
pub struct Rules {
    pub runtime: String,
    pub versions: Versions,
    pub(super) drawing: Drawing,
    pub(super) rules: Vec<Rule>,
    /// For whoever asks them over and over.
    pub(super) stay_compiled: bool,
    /// Tells these rules from all others of this process.
    id: u64,
}

/// Versions that a file is for: from the first on, below the second.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Versions {
    pub from: Option<Vec<u64>>,
    pub below: Option<Vec<u64>>,
}

impl Versions {
    /// True where the version lies within; an unknown one lies in every range without an upper end.
    pub fn contain(&self, version: Option<&[u64]>) -> bool {
        match version {
            None => self.below.is_none(),
            Some(version) => {
                self.from.as_ref().is_none_or(|from| from.as_slice() <= version)
                    && self.below.as_ref().is_none_or(|below| version < below.as_slice())
            }
        }
    }
}

/// One piece of evidence: the rule, where it looked, the line that it found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    pub rule: String,
    pub region: Region,
    pub line: String,
}

/// What the rules make of a screen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sight {
    /// Nothing where no rule holds: unknown.
    pub shows: Option<Shows>,
    pub evidence: Vec<Sighting>,
    /// A human's unsent text stands in the box; nothing where there is no box.
    pub draft: Option<bool>,
    /// A limit's reset, as the screen words it.
    pub reset: Option<reset::Said>,
}

impl Sight {
    /// True where both say the same of the agent, however the spinner stands: a request that is sent again comes and goes
    /// within a turn.
    pub fn agrees(&self, other: &Self) -> bool {
        let same_turn = |shows: Option<Shows>| match shows {
            Some(Shows::Retrying) => Some(Shows::Turn),
            other => other,
        };
        same_turn(self.shows) == same_turn(other.shows)
    }

    /// The line that shows it; empty where only the box does.
    pub fn line(&self) -> &str {
        self.evidence.first().map_or("", |seen| seen.line.as_str())
    }
}

impl Rules {
    pub(super) fn new(runtime: String, versions: Versions, drawing: Drawing, rules: Vec<Rule>) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        // A row keeps what each pattern said of it by the pattern's number.
        let all = drawing.patterns().chain(rules.iter().flat_map(Rule::patterns));
        all.enumerate().for_each(|(number, pattern)| pattern.set_number(number));
        let id = COUNT.fetch_add(1, Ordering::Relaxed);
        Self { runtime, versions, drawing, rules, stay_compiled: false, id }
    }

    /// What this screen shows. `title` is the terminal's, empty where it is not known.
    pub fn judge(&self, grid: &Grid, title: &str) -> Sight {
        self.judge_again(grid, title, &mut Known::default())
    }

    /// As [`Self::judge`], of a screen most of whose rows were judged before: what they answered is in `known`, and is
    /// put there for the next time.
    pub fn judge_again(&self, grid: &Grid, title: &str, known: &mut Known) -> Sight {
        known.of(self.id);
        let layout = Layout::of(grid, title, &self.drawing, known);
        if !self.stay_compiled {
            self.drawing.patterns().for_each(Pattern::relax);
        }
        let sight = self.decide(&layout, known);
        known.keep(layout.asked());
        sight
    }

    fn decide(&self, layout: &Layout<'_>, known: &Known) -> Sight {
        let draft = layout.draft();
        for rule in &self.rules {
            let holds = rule.holds(layout, known);
            if !self.stay_compiled {
                rule.patterns().for_each(Pattern::relax);
            }
            if let Some(evidence) = holds {
                let limit = rule.shows == Shows::Stuck(StuckKind::UsageLimit);
                let reset = limit.then(|| reset_in(layout, known)).flatten();
                let draft = draft.filter(|_| !rule.shows.takes_the_box());
                return Sight { shows: Some(rule.shows), evidence, draft, reset };
            }
        }
        Sight { draft, ..Sight::default() }
    }
}

impl Rule {
    fn holds(&self, layout: &Layout<'_>, known: &Known) -> Option<Vec<Sighting>> {
        let composer = match self.composer {
            None => true,
            Some(Composer::Present) => layout.has_composer(),
            Some(Composer::Absent) => !layout.has_composer(),
        };
        if !composer || self.none.iter().any(|condition| condition.find(layout, known).is_some()) {
            return None;
        }
        let sighting = |(region, line)| Sighting { rule: self.name.clone(), region, line };
        let found: Option<Vec<Sighting>> =
            self.all.iter().map(|condition| condition.find(layout, known).map(sighting)).collect();
        let told = self.tell.iter().find_map(|tell| tell.find(layout)).map(sighting);
        let mut evidence: Vec<Sighting> = told.into_iter().chain(found?).collect();
        if evidence.is_empty() && self.composer == Some(Composer::Present) {
            // That the box is there is all that it asks; what somebody typed into it is nobody else's.
            evidence.push(sighting((Region::Composer, String::new())));
        }
        Some(evidence)
    }
}

impl Rule {
    fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        let conditions = self.all.iter().chain(&self.none).map(|condition| &condition.pattern);
        conditions.chain(self.tell.iter().map(|tell| &tell.pattern))
    }
}

impl Condition {
    /// The first place where it is found: a row, else words that a narrow terminal wrapped onto several.
    fn find(&self, layout: &Layout<'_>, known: &Known) -> Option<(Region, String)> {
        self.regions.iter().find_map(|region| {
            let mut rows = layout.rows(*region);
            rows.retain(|row| layout.is_drawn(row, self.drawn));
            let wrapped = || match self.drawn {
                Drawn::Anyhow => self.first_of(layout.joined(*region, known)),
                Drawn::Apart | Drawn::Coloured => self.first_of(&joined(&rows)),
            };
            let line = self.first_of(rows.iter().copied());
            let line = line.or_else(|| layout.is_narrow().then(wrapped).flatten())?;
            Some((*region, line))
        })
    }

    fn first_of<'r>(&self, rows: impl IntoIterator<Item = &'r Row>) -> Option<String> {
        rows.into_iter().find(|row| self.pattern.is_in(row)).map(|row| shown(&row.text))
    }
}

impl Tell {
    /// What is told; of a pattern with a group, the group.
    fn find(&self, layout: &Layout<'_>) -> Option<(Region, String)> {
        let rows = layout.rows(self.region);
        let matches = |row: &&Row| self.pattern.is_in(row);
        // What stands below a heading, stands below the first; of what matches itself, the last is what is asked now.
        let at = if self.below { rows.iter().position(matches) } else { rows.iter().rposition(matches) }?;
        let row = rows.get(if self.below { at + 1 } else { at })?;
        let part = if self.below { None } else { self.pattern.find(&row.text) };
        let part = part.unwrap_or(&row.text);
        Some((self.region, shown(part)))
    }
}

/// A row as people are shown it: its frame and its glyph left out, secrets masked.
fn shown(row: &str) -> String {
    let frame = |c: char| c == ' ' || ('\u{2500}'..='\u{259f}').contains(&c);
    let glyph = |c: char| frame(c) || matches!(c, '●' | '■' | '•' | '◦' | '⎿' | '⬝' | '⚠' | '△' | '❯' | '›');
    let bare = row.trim_start_matches(glyph).trim_end_matches(frame);
    text::clean(&secrets::mask(bare), LINE)
}

fn reset_in(layout: &Layout<'_>, known: &Known) -> Option<reset::Said> {
    let regions = [Region::Outcome, Region::Last, Region::Footer, Region::Dialog, Region::Turn];
    regions.iter().find_map(|region| {
        let rows = layout.rows(*region);
        let lines = rows.iter().rev().map(|row| row.text.clone());
        let joined = layout.joined(*region, known).iter().map(|row| row.text.clone());
        lines.chain(joined).find_map(|line| reset::find(&line))
    })
}
