//! What a pane's screen says. The rules are data, one file a runtime and version range: shipped ones, and the user's
//! own, which come first.
//!
//! [`grid`] reads a capture, [`layout`] finds the prompt box and the blocks around it, [`rules`] asks each rule in
//! turn. A screen alone proves nothing about life: a killed program's stays painted.

mod grid;
mod known;
mod layout;
mod pattern;
mod read;
pub mod reset;
mod rules;
mod written;

pub use grid::{Grid, Row};
pub use known::Known;
pub use layout::Region;
pub use read::{parse, version};
pub use rules::{Rules, Shows, Sight, Sighting, Versions};
pub use written::Written;

use std::path::PathBuf;

use fleet_domain::yaml::Problem;

/// A mistake in a rule file: that file is left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {problem}")]
pub struct BadRules {
    pub file: String,
    pub problem: Problem,
}

/// The rules of all runtimes, the user's before the shipped.
#[derive(Debug, Default)]
pub struct RuleBook(Vec<Rules>);

impl RuleBook {
    /// Reads files by name and text, in the order in which they are asked. One with mistakes is left out, and told.
    pub fn read<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> (Self, Vec<BadRules>) {
        let (mut book, mut bad) = (Self::default(), Vec::new());
        for (name, text) in files {
            match parse(text) {
                Ok(rules) => book.0.push(rules),
                Err(problems) => bad
                    .extend(problems.into_iter().map(|problem| BadRules { file: name.to_owned(), problem })),
            }
        }
        (book, bad)
    }

    /// The same of a user's own files, and then those that are shipped.
    pub fn with_own(
        own: &[(PathBuf, String)],
        shipped: impl IntoIterator<Item = (&'static str, &'static str)>,
    ) -> (Self, Vec<BadRules>) {
        let names: Vec<String> = own.iter().map(|(path, _)| path.display().to_string()).collect();
        let own = names.iter().zip(own).map(|(name, (_, text))| (name.as_str(), text.as_str()));
        Self::read(own.chain(shipped.into_iter().map(|(name, text): (&str, &str)| (name, text))))
    }

    /// Only those for one runtime, to hold no more than is needed.
    #[must_use]
    pub fn only(mut self, runtime: &str) -> Self {
        self.0.retain(|rules| rules.runtime == runtime);
        self.0.shrink_to_fit();
        self
    }

    /// For whoever asks the rules over and over.
    #[must_use]
    pub fn stay_compiled(mut self) -> Self {
        self.0.iter_mut().for_each(|rules| rules.stay_compiled = true);
        self
    }

    /// The first file for this runtime whose range has the version; the first for the runtime where none has.
    pub fn rules(&self, runtime: &str, version: Option<&str>) -> Option<&Rules> {
        let numbers = version.and_then(read::version);
        let mut of_runtime = self.0.iter().filter(|rules| rules.runtime == runtime);
        let first = of_runtime.clone().next();
        of_runtime.find(|rules| rules.versions.contain(numbers.as_deref())).or(first)
    }

    pub fn runtimes(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|rules| rules.runtime.as_str())
    }
}

#[cfg(test)]
mod tests;
