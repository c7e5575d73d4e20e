//! YAML (and so JSON) as people write it: a tree that remembers lines, and reading it key by key with every mistake told.

mod fields;
mod node;

use std::fmt;

pub use fields::{Fields, Problems};
pub use node::{Key, Kind, MAX_BYTES, Node, parse};

/// One mistake, where it is and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// From 1; 0 where the document as a whole is meant.
    pub line: usize,
    /// Dotted path of the key, such as `agents[2].runtime`; empty at the top.
    pub key: String,
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}
