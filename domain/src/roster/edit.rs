//! Changing a roster's text as its owner would: an agent added or taken out, every other line and comment as it was.
//!
//! The text is cut by the positions of the parser's events, then read anew: what does not come out as the same roster
//! with just this agent more or less is refused, so that a way of writing that is not foreseen here costs a message
//! and never a roster.

use std::fmt::Write as _;
use std::ops::Range;

use saphyr_parser::{Event, Parser};

use super::{Roster, RosterError};

/// One key of a new agent, as it is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Such as `runtime`.
    pub key: &'static str,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Text(String),
    Flag(bool),
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// As it stands, before any change.
    #[error(transparent)]
    Roster(#[from] RosterError),
    #[error("`{0}` is in the roster already; names are unique")]
    Present(String),
    #[error("there is no `{0}` in the roster")]
    Absent(String),
    /// With the agent, the roster would not be one.
    #[error("the agent cannot be added so:\n{0}")]
    Refused(RosterError),
    #[error("the roster is written in a way that cannot be changed safely here; change it by hand")]
    Unsafe,
}

/// The roster with one agent more, at the end of its list. `entries` begin with `name`.
///
/// # Errors
/// When the roster is not right, has such an agent, or would not be right with it.
pub fn add(text: &str, entries: &[Entry]) -> Result<String, EditError> {
    let before = Roster::parse(text)?;
    let name = entries.iter().find_map(|entry| match (entry.key, &entry.value) {
        ("name", Value::Text(name)) => Some(name.clone()),
        _ => None,
    });
    let name = name.unwrap_or_default();
    if before.agent(&name).is_some() {
        return Err(EditError::Present(name));
    }
    let after = Shape::of(text).ok_or(EditError::Unsafe)?.with(text, entries);
    let mut roster = Roster::parse(&after).map_err(EditError::Refused)?;
    let added = roster.agents.pop().is_some_and(|agent| agent.name.as_str() == name);
    if added && roster == before { Ok(after) } else { Err(EditError::Unsafe) }
}

/// The roster with one agent less. The comments directly above it and behind its lines are its own and go with it.
///
/// # Errors
/// When the roster is not right, or has no such agent.
pub fn remove(text: &str, name: &str) -> Result<String, EditError> {
    let mut before = Roster::parse(text)?;
    let Some(at) = before.agents.iter().position(|agent| agent.name.as_str() == name) else {
        return Err(EditError::Absent(name.to_owned()));
    };
    let after = Shape::of(text).and_then(|shape| shape.without(text, at)).ok_or(EditError::Unsafe)?;
    before.agents.remove(at);
    if Roster::parse(&after).is_ok_and(|roster| roster == before) {
        Ok(after)
    } else {
        Err(EditError::Unsafe)
    }
}

/// Where the list of agents stands in the text, in bytes.
struct Shape {
    /// The whole document is in braces, as JSON is.
    braces: bool,
    list: List,
}

enum List {
    /// No such key; where the document's own mapping ends.
    None { end: usize },
    /// The key is there, without a value: where its line ends.
    Null { line_end: usize },
    /// In brackets.
    Flow { whole: Range<usize>, items: Vec<Range<usize>> },
    /// With dashes: whole lines, and how far the dashes are indented.
    Block { indent: usize, items: Vec<Range<usize>> },
}

impl Shape {
    fn of(text: &str) -> Option<Self> {
        let mut bytes: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        bytes.push(text.len());
        let found = Scan::run(text, &bytes)?;
        let braces = text[found.root.start..].starts_with('{');
        let list = match found.list {
            None => List::None { end: found.root.end },
            Some(list) if text[list.start..].starts_with('[') => {
                List::Flow { whole: list, items: found.items }
            }
            Some(list) if found.items.is_empty() => List::Null { line_end: line_end(text, list.start) },
            Some(_) => {
                let lines = |item: &Range<usize>| Some(dash(text, item.start)?..whole_lines(text, item));
                let items = found.items.iter().map(lines).collect::<Option<Vec<_>>>()?;
                let first = &text[items.first()?.clone()];
                List::Block { indent: first.len() - first.trim_start_matches(' ').len(), items }
            }
        };
        Some(Self { braces, list })
    }

    fn with(&self, text: &str, entries: &[Entry]) -> String {
        let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let flow = self.inline(entries);
        match &self.list {
            List::None { end } if self.braces => {
                let filled = text[..*end].trim_end().ends_with('{');
                let comma = if filled { "" } else { "," };
                insert(text, text[..*end].trim_end().len(), &format!("{comma}\"agents\": [{flow}]"))
            }
            List::None { .. } => {
                let break_first = if text.is_empty() || text.ends_with('\n') { "" } else { newline };
                format!("{text}{break_first}agents:{newline}{}", block(entries, 2, newline))
            }
            List::Null { line_end } if self.braces => insert(text, *line_end, &format!("[{flow}]")),
            List::Null { line_end } => {
                let broken = text[..*line_end].ends_with('\n');
                let lines = block(entries, 2, newline);
                insert(text, *line_end, &if broken { lines } else { format!("{newline}{lines}") })
            }
            List::Flow { whole, items } => {
                let Some(last) = items.last() else {
                    return splice(text, whole.clone(), &format!("[{flow}]"));
                };
                insert(text, last.end, &format!(",{}{flow}", gap(text, whole, items)))
            }
            List::Block { indent, items } => {
                let Some(last) = items.last() else { return text.to_owned() };
                let inline = text[last.clone()].trim_start_matches([' ', '-']).starts_with('{');
                let lines = if inline {
                    format!("{}- {flow}{newline}", " ".repeat(*indent))
                } else {
                    block(entries, *indent, newline)
                };
                let broken = text[..last.end].ends_with('\n');
                insert(text, last.end, &if broken { lines } else { format!("{newline}{lines}") })
            }
        }
    }

    fn without(&self, text: &str, at: usize) -> Option<String> {
        match &self.list {
            List::Flow { whole, items } => {
                let item = items.get(at)?;
                let previous = at.checked_sub(1).and_then(|at| items.get(at));
                let bound = previous.map_or(whole.start + 1, |previous| previous.end);
                let next = items.get(at + 1).map_or(whole.end - 1, |next| next.start);
                let comma = comma(text, item.end..next);
                let after = splice(text, flow_lines(text, item, bound, comma), "");
                // The last one leaves the comma that parted it from its neighbour.
                let parting = previous.filter(|_| comma.is_none());
                Some(match parting.and_then(|previous| self::comma(text, previous.end..item.start)) {
                    Some(parting) => splice(&after, parting..parting + 1, ""),
                    None => after,
                })
            }
            List::Block { indent, items } => {
                let item = items.get(at)?;
                let bound = at.checked_sub(1).and_then(|at| items.get(at)).map(|previous| previous.end);
                let own = comments_above(text, item.start, bound.map(|end| (end, *indent)))
                    ..comments_below(text, item.end, *indent);
                let last =
                    if items.len() == 1 { format!("{}[]\n", " ".repeat(indent + 2)) } else { String::new() };
                Some(splice(text, own, &last))
            }
            List::None { .. } | List::Null { .. } => None,
        }
    }

    /// `{name: a, runtime: pi}`, quoted throughout where the document is JSON.
    fn inline(&self, entries: &[Entry]) -> String {
        let json = self.braces;
        let key = |key: &str| if json { format!("\"{key}\"") } else { key.to_owned() };
        let pairs: Vec<String> = entries
            .iter()
            .map(|entry| format!("{}: {}", key(entry.key), entry.value.written(json)))
            .collect();
        format!("{{{}}}", pairs.join(", "))
    }
}

impl Value {
    fn written(&self, quoted: bool) -> String {
        match self {
            Self::Flag(flag) => flag.to_string(),
            Self::Text(text) if !quoted && is_plain(text) => text.clone(),
            Self::Text(text) => quote(text),
        }
    }
}

/// Reads back as the same text without quotes, in a block and between braces alike.
fn is_plain(text: &str) -> bool {
    let safe = |c: char| c.is_ascii_alphanumeric() || "-_./~$@+".contains(c);
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        || text.strip_prefix('~').is_some_and(|rest| rest.starts_with('/'));
    let word = text.to_ascii_lowercase();
    let meant = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"].contains(&word.as_str());
    starts && text.chars().all(safe) && !meant
}

/// As JSON has it, which YAML reads the same.
fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn block(entries: &[Entry], indent: usize, newline: &str) -> String {
    let mut out = String::new();
    for (index, entry) in entries.iter().enumerate() {
        let lead = if index == 0 { "- " } else { "  " };
        let _ =
            write!(out, "{}{lead}{}: {}{newline}", " ".repeat(indent), entry.key, entry.value.written(false));
    }
    out
}

/// What stands between two items of a list in brackets, or before its first.
fn gap<'t>(text: &'t str, whole: &Range<usize>, items: &[Range<usize>]) -> &'t str {
    let blank = match items {
        [.., before, last] => &text[before.end..last.start],
        [only] => &text[whole.start + 1..only.start],
        [] => "",
    };
    let blank = blank.trim_start_matches([' ', ',']);
    if blank.trim().is_empty() && !blank.is_empty() { blank } else { " " }
}

fn insert(text: &str, at: usize, what: &str) -> String {
    splice(text, at..at, what)
}

fn splice(text: &str, range: Range<usize>, what: &str) -> String {
    format!("{}{what}{}", &text[..range.start], &text[range.end..])
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

/// Behind the line's end.
fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |newline| at + newline + 1)
}

/// The beginning of the line with the dash of an item whose content begins at `at`.
fn dash(text: &str, at: usize) -> Option<usize> {
    let found = text[..at].rfind('-')?;
    let blank_or_comment =
        text[found + 1..at].lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
    let start = line_start(text, found);
    (blank_or_comment && text[start..found].trim().is_empty()).then_some(start)
}

/// Where the comments begin that stand directly above the line at `at`, with no line between. `bound` is where the item
/// before ends and how far the dashes are indented: what is indented further is that one's.
fn comments_above(text: &str, at: usize, bound: Option<(usize, usize)>) -> usize {
    let mut start = at;
    while let Some(above) = start.checked_sub(1).map(|newline| line_start(text, newline)) {
        let line = &text[above..start];
        let anothers = bound.is_some_and(|(end, indent)| above < end || indented(line) > indent);
        if !is_comment(line) || anothers {
            break;
        }
        start = above;
    }
    start
}

/// Where the comments end that stand directly below an item and are indented further than its dash.
fn comments_below(text: &str, at: usize, indent: usize) -> usize {
    let mut end = at;
    while text[..end].ends_with('\n') {
        let below = line_end(text, end);
        let line = &text[end..below];
        if !is_comment(line) || indented(line) <= indent {
            break;
        }
        end = below;
    }
    end
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

fn indented(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// What goes with an item in brackets: its comma, the rest of its line where only a comment stands there, and the whole
/// of its lines with the comments above where nothing else stands on them.
fn flow_lines(text: &str, item: &Range<usize>, bound: usize, comma: Option<usize>) -> Range<usize> {
    let first = line_start(text, item.start);
    let alone = first >= bound && text[first..item.start].trim().is_empty();
    let start = if alone { comments_above(text, first, Some((bound, usize::MAX))) } else { item.start };
    let end = comma.map_or(item.end, |comma| comma + 1);
    let line = line_end(text, end);
    let rest = &text[end..line];
    if !rest.trim().is_empty() && !is_comment(rest) {
        return start..end + indented(rest);
    }
    // The line break stays where something else stands before it.
    start..if alone { line } else { end + rest.trim_end_matches(['\n', '\r']).len() }
}

/// The comma between two items, which no comment holds.
fn comma(text: &str, between: Range<usize>) -> Option<usize> {
    let mut commented = false;
    for (at, c) in text[between.clone()].char_indices() {
        match c {
            '\n' => commented = false,
            '#' => commented = true,
            ',' if !commented => return Some(between.start + at),
            _ => {}
        }
    }
    None
}

/// The end of the last line that an item's content reaches into.
fn whole_lines(text: &str, item: &Range<usize>) -> usize {
    let content = item.start + text[item.clone()].trim_end().len();
    line_end(text, content)
}

#[derive(Debug)]
struct Scan {
    root: Range<usize>,
    list: Option<Range<usize>>,
    items: Vec<Range<usize>>,
}

impl Scan {
    /// Walks the events of a text that is known to be YAML. Anchors and aliases have no place of their own here.
    fn run(text: &str, bytes: &[usize]) -> Option<Self> {
        let mut scan = Self { root: 0..text.len(), list: None, items: Vec::new() };
        let (mut depth, mut is_key, mut wanted) = (0_usize, true, false);
        // The end of the last thing that was read: a block's own end is told only where the next thing begins.
        let mut reached = 0;
        for event in Parser::new_from_str(text) {
            let (event, span) = event.ok()?;
            let (start, end) = (*bytes.get(span.start.index())?, *bytes.get(span.end.index())?);
            match event {
                Event::Alias(_) => return None,
                Event::MappingStart(..) | Event::SequenceStart(..) => {
                    match (depth, wanted) {
                        (0, _) => scan.root.start = start,
                        (1, true) => scan.list = Some(start..start),
                        (2, true) => scan.items.push(start..start),
                        _ => {}
                    }
                    depth += 1;
                    reached = reached.max(end);
                }
                Event::MappingEnd | Event::SequenceEnd => {
                    depth = depth.checked_sub(1)?;
                    // Of a block the end is empty and says nothing.
                    reached = if end > start { reached.max(end) } else { reached };
                    match (depth, wanted) {
                        (0, _) => scan.root.end = start,
                        (1, true) => {
                            scan.list = scan.list.map(|list| list.start..reached);
                            wanted = false;
                        }
                        (2, true) => scan.items.last_mut()?.end = reached,
                        _ => {}
                    }
                    is_key = is_key || depth == 1;
                }
                Event::Scalar(word, ..) => {
                    reached = reached.max(end);
                    match (depth, is_key, wanted) {
                        (1, true, _) => {
                            (is_key, wanted) = (false, word == "agents");
                            continue;
                        }
                        (1, false, true) => {
                            scan.list = Some(start..end);
                            (is_key, wanted) = (true, false);
                        }
                        (1, false, false) => is_key = true,
                        (2, _, true) => return None,
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        Some(scan)
    }
}

#[cfg(test)]
#[path = "edit_tests.rs"]
mod tests;
