//! Takes a mapping apart key by key and collects every mistake on the way.

use crate::text;

use super::Problem;
use super::node::{Key, Kind, Node};

/// The mistakes found so far.
#[derive(Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub fn add(&mut self, line: usize, key: &str, message: impl Into<String>) {
        self.0.push(Problem { line, key: key.to_owned(), message: message.into() });
    }

    /// The value, if there was no mistake; else all of them in the order of the file.
    ///
    /// # Errors
    /// When there was one, or there is no value.
    pub fn finish<T>(mut self, value: Option<T>) -> Result<T, Vec<Problem>> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => {
                self.0.sort_by_key(|problem| problem.line);
                Err(self.0)
            }
        }
    }
}

/// One mapping, at `path`. Keys are snake_case; the camelCase spelling of the same key is read too.
pub struct Fields<'n> {
    pub path: String,
    pub line: usize,
    entries: Vec<(&'n Key, &'n Node)>,
    known: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// Nothing, where the node is no mapping (which is then told).
    pub fn of(node: &'n Node, path: &str, problems: &mut Problems) -> Option<Self> {
        let Kind::Map(entries) = &node.kind else {
            problems.add(node.line, path, format!("a mapping is wanted here, this is {}", node.describe()));
            return None;
        };
        let entries = entries.iter().map(|(key, value)| (key, value)).collect();
        Some(Self { path: path.to_owned(), line: node.line, entries, known: Vec::new() })
    }

    pub fn at(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Takes a key in either spelling; a key that stands there as nothing counts as absent.
    pub fn take(&mut self, key: &'static str, problems: &mut Problems) -> Option<&'n Node> {
        self.known.push(key);
        let mut found: Option<(&Key, &Node)> = None;
        let mut index = 0;
        while index < self.entries.len() {
            if self.entries[index].0.name != key && self.entries[index].0.name != camel(key) {
                index += 1;
                continue;
            }
            let (name, node) = self.entries.remove(index);
            if let Some((first, _)) = found {
                let message = format!("`{}` in line {} is the same key; keep one", first.name, first.line);
                problems.add(name.line, &self.at(&name.name), message);
            }
            found = Some((name, node));
        }
        found.map(|(_, node)| node).filter(|node| !node.is_null())
    }

    pub fn text(&mut self, key: &'static str, problems: &mut Problems) -> Option<(String, usize)> {
        let node = self.take(key, problems)?;
        self.scalar(node, key, problems).map(|text| (text, node.line))
    }

    pub fn string(&mut self, key: &'static str, problems: &mut Problems) -> Option<String> {
        self.text(key, problems).map(|(text, _)| text)
    }

    pub fn required(&mut self, key: &'static str, problems: &mut Problems) -> Option<(String, usize)> {
        let before = problems.0.len();
        let found = self.text(key, problems).filter(|(text, _)| !text.is_empty());
        if found.is_none() && problems.0.len() == before {
            problems.add(self.line, &self.at(key), "this key is required");
        }
        found
    }

    pub fn boolean(&mut self, key: &'static str, problems: &mut Problems) -> Option<bool> {
        let node = self.take(key, problems)?;
        match &node.kind {
            Kind::Scalar { text, plain: true } if matches!(text.as_str(), "true" | "True" | "TRUE") => {
                Some(true)
            }
            Kind::Scalar { text, plain: true } if matches!(text.as_str(), "false" | "False" | "FALSE") => {
                Some(false)
            }
            Kind::Scalar { text, .. } => {
                let message = format!("`true` or `false` is wanted here, not `{}`", text::clean(text, 40));
                problems.add(node.line, &self.at(key), message);
                None
            }
            _ => {
                problems.add(
                    node.line,
                    &self.at(key),
                    format!("`true` or `false` is wanted here, this is {}", node.describe()),
                );
                None
            }
        }
    }

    pub fn list(&mut self, key: &'static str, problems: &mut Problems) -> Option<&'n [Node]> {
        let node = self.take(key, problems)?;
        match &node.kind {
            Kind::Seq(items) => Some(items),
            _ => {
                problems.add(
                    node.line,
                    &self.at(key),
                    format!("a list is wanted here, this is {}", node.describe()),
                );
                None
            }
        }
    }

    pub fn scalar(&self, node: &Node, key: &str, problems: &mut Problems) -> Option<String> {
        match &node.kind {
            Kind::Scalar { text, .. } if text.contains('\0') => {
                problems.add(node.line, &self.at(key), "a NUL character stands in this value");
                None
            }
            Kind::Scalar { text, .. } => Some(text.clone()),
            _ => {
                problems.add(
                    node.line,
                    &self.at(key),
                    format!("a single value is wanted here, this is {}", node.describe()),
                );
                None
            }
        }
    }

    /// Every remaining entry as it stands, for mappings whose keys are the user's own.
    pub fn rest(&mut self) -> Vec<(&'n Key, &'n Node)> {
        std::mem::take(&mut self.entries)
    }

    /// Tells each key that nobody took, with the nearest known one.
    pub fn close(self, problems: &mut Problems) {
        for (key, _) in &self.entries {
            let shown = text::clean(&key.name, 60);
            let message = match text::nearest(&key.name, self.known.iter().copied()) {
                Some(near) => format!("unknown key; did you mean `{near}`?"),
                None => format!("unknown key; known here are {}", self.known.join(", ")),
            };
            problems.add(key.line, &self.at(&shown), message);
        }
    }
}

fn camel(key: &str) -> String {
    let mut upper = false;
    key.chars().fold(String::with_capacity(key.len()), |mut out, c| {
        match c {
            '_' => upper = true,
            c if upper => {
                out.push(c.to_ascii_uppercase());
                upper = false;
            }
            c => out.push(c),
        }
        out
    })
}
