//! YAML with positions: the parser's events as a tree that remembers lines, refuses duplicate keys and bombs.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::Problem;

/// A file larger than this is refused unread.
pub const MAX_BYTES: usize = 4 << 20;
const MAX_DEPTH: usize = 32;
/// What aliases may expand to: a few kilobytes of text can otherwise name billions of nodes.
const MAX_NODES: usize = 200_000;

#[derive(Debug, Clone)]
pub struct Node {
    pub line: usize,
    pub kind: Kind,
}

#[derive(Debug, Clone)]
pub enum Kind {
    /// `plain` is an unquoted scalar, which may stand for null, a boolean or a number.
    Scalar {
        text: String,
        plain: bool,
    },
    Seq(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Debug, Clone)]
pub struct Key {
    pub line: usize,
    pub name: String,
}

impl Node {
    pub fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    pub fn describe(&self) -> &'static str {
        match &self.kind {
            _ if self.is_null() => "nothing",
            Kind::Scalar { .. } => "a single value",
            Kind::Seq(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }

    fn size(&self) -> usize {
        match &self.kind {
            Kind::Scalar { .. } => 1,
            Kind::Seq(items) => 1 + items.iter().map(Node::size).sum::<usize>(),
            Kind::Map(entries) => 1 + entries.iter().map(|(_, value)| 1 + value.size()).sum::<usize>(),
        }
    }
}

/// The one document of a text.
///
/// # Errors
/// The first thing that is not YAML, or too large, with its line.
pub fn parse(text: &str) -> Result<Node, Problem> {
    if text.len() > MAX_BYTES {
        return Err(problem(
            0,
            format!("the file is larger than {} MiB; is it the right one?", MAX_BYTES >> 20),
        ));
    }
    let mut builder = Builder { events: Parser::new_from_str(text), anchors: BTreeMap::new(), nodes: 0 };
    let mut root = None;
    while let Some((event, line)) = builder.next()? {
        match event {
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd | Event::Nothing => {}
            Event::DocumentStart(_) if root.is_some() => {
                return Err(problem(line, "a second document begins here; this file is one".to_owned()));
            }
            Event::DocumentStart(_) => {}
            event => root = Some(builder.node(event, line, 0)?),
        }
    }
    root.ok_or_else(|| problem(0, "the file is empty".to_owned()))
}

fn problem(line: usize, message: String) -> Problem {
    Problem { line, key: String::new(), message }
}

struct Builder<'a> {
    events: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, usize)>, Problem> {
        match self.events.next() {
            None => Ok(None),
            Some(Ok((event, span))) => Ok(Some((event, span.start.line()))),
            Some(Err(error)) => Err(problem(error.marker().line(), format!("not YAML: {}", error.info()))),
        }
    }

    fn expect(&mut self) -> Result<(Event<'a>, usize), Problem> {
        self.next()?.ok_or_else(|| problem(0, "the file ends in the middle of a value".to_owned()))
    }

    fn count(&mut self, nodes: usize, line: usize) -> Result<(), Problem> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(problem(
                line,
                format!("more than {MAX_NODES} values (aliases counted as what they stand for)"),
            ));
        }
        Ok(())
    }

    fn node(&mut self, event: Event<'a>, line: usize, depth: usize) -> Result<Node, Problem> {
        if depth > MAX_DEPTH {
            return Err(problem(line, format!("nested more than {MAX_DEPTH} deep")));
        }
        self.count(1, line)?;
        let (kind, anchor) = match event {
            Event::Scalar(text, style, anchor, _) => {
                (Kind::Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain }, anchor)
            }
            Event::Alias(anchor) => {
                let Some(target) = self.anchors.get(&anchor).cloned() else {
                    return Err(problem(line, "an alias of something that is not defined yet".to_owned()));
                };
                self.count(target.size(), line)?;
                return Ok(Node { line, kind: target.kind });
            }
            Event::SequenceStart(anchor, _) => (self.sequence(depth)?, anchor),
            Event::MappingStart(anchor, _) => (self.mapping(depth)?, anchor),
            _ => return Err(problem(line, "not YAML: a value was expected".to_owned())),
        };
        let node = Node { line, kind };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn sequence(&mut self, depth: usize) -> Result<Kind, Problem> {
        let mut items = Vec::new();
        loop {
            match self.expect()? {
                (Event::SequenceEnd, _) => return Ok(Kind::Seq(items)),
                (event, line) => items.push(self.node(event, line, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Kind, Problem> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        loop {
            let (event, line) = self.expect()?;
            if matches!(event, Event::MappingEnd) {
                return Ok(Kind::Map(entries));
            }
            let Kind::Scalar { text: name, .. } = self.node(event, line, depth + 1)?.kind else {
                return Err(problem(line, "a key must be a single word".to_owned()));
            };
            if let Some((first, _)) = entries.iter().find(|(key, _)| key.name == name) {
                return Err(Problem {
                    line,
                    key: name,
                    message: format!("the same key stands already in line {}; keep one", first.line),
                });
            }
            let (event, value_line) = self.expect()?;
            let value = self.node(event, value_line, depth + 1)?;
            entries.push((Key { line, name }, value));
        }
    }
}
