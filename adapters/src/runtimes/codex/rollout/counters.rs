//! A thread's cumulative counters turned into what each step spent, with an identity for each step.

use serde::{Deserialize, Serialize};

use crate::runtimes::usage::Fingerprint;

/// Lineages that one file may interleave and that are told apart.
const MAX_HEADS: usize = 4;

/// Input (cache included), cached input, input written to the cache, output (reasoning included), reasoning. Tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Vector(pub(super) [u64; 5]);

impl Vector {
    fn is_zero(self) -> bool {
        self == Self::default()
    }

    /// `None` where a component would fall below zero.
    fn minus(self, other: Self) -> Option<Self> {
        let mut out = self;
        for (value, less) in out.0.iter_mut().zip(other.0) {
            *value = value.checked_sub(less)?;
        }
        Some(out)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counters {
    /// The thread that the lineage began with, as far as the file or the caller tells.
    #[serde(rename = "a")]
    root: String,
    /// The caller told the root.
    #[serde(rename = "k")]
    known: bool,
    /// The totals begin at an ancestor's, none of whose steps are in this file.
    #[serde(rename = "b")]
    inherits: bool,
    /// Totals reached, the latest first.
    #[serde(rename = "h")]
    heads: Vec<Vector>,
    #[serde(rename = "n")]
    steps: u64,
    #[serde(rename = "f")]
    chain: u64,
}

impl Counters {
    pub(super) fn of_lineage(root: String) -> Self {
        Self { root, known: true, ..Self::default() }
    }

    /// Ancestors stand before the first counter, the oldest last.
    pub(super) fn meta(&mut self, root: String, inherits: bool) {
        if self.heads.is_empty() && !self.inherits {
            self.inherits = inherits;
            if !self.known {
                self.root = root;
            }
        }
    }

    /// A new total, and what its `last` step is said to have spent. `None` for a repetition and for a reset without
    /// spending.
    pub(super) fn count(&mut self, total: Vector, last: Vector) -> Option<(String, Vector)> {
        if self.heads.contains(&total) {
            self.heads.sort_by_key(|head| *head != total);
            return None;
        }
        let spent = self.step(total, last);
        if spent.is_zero() {
            return None;
        }
        let before = if self.steps == 0 { Fingerprint::EMPTY } else { Fingerprint(self.chain) };
        let values = [total, last].into_iter().flat_map(|vector| vector.0);
        self.chain = values.fold(before, |chain, value| chain.with(&value.to_le_bytes())).0;
        self.steps += 1;
        Some((self.identity(), spent))
    }

    /// Moves the lineage that this total continues, and answers by how much.
    fn step(&mut self, total: Vector, last: Vector) -> Vector {
        let before = total.minus(last);
        let continued = self.heads.iter().position(|head| before == Some(*head));
        let base = match continued {
            Some(index) => self.heads.remove(index),
            None if self.heads.is_empty() && self.inherits => before.unwrap_or(total),
            None => self.heads.first().copied().unwrap_or_default(),
        };
        let spent = total.minus(base);
        // Continued without a step that fits: steps in between are missing, or the counter began anew.
        if continued.is_none() && spent.is_some() && !self.heads.is_empty() {
            self.heads.remove(0);
        }
        self.heads.insert(0, total);
        self.heads.truncate(MAX_HEADS);
        spent.unwrap_or(last)
    }

    fn identity(&self) -> String {
        format!("codex:{}:{}:{:016x}", self.root, self.steps, self.chain)
    }

    /// The identity of the latest step, if it led to this total.
    pub(super) fn identity_at(&self, total: Vector) -> Option<String> {
        (self.steps > 0 && self.heads.first() == Some(&total)).then(|| self.identity())
    }
}
