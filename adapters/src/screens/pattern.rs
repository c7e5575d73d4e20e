//! A regular expression that is compiled when it is asked and need not stay so: compiled, the rules of one runtime take
//! twenty times the memory that they take as text, and a sidecar asks them seldom.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use regex_lite::Regex;

use super::grid::Row;

#[derive(Debug)]
pub(super) struct Pattern {
    text: Box<str>,
    /// Among the patterns of its file; what a row answered is kept under it.
    number: AtomicUsize,
    compiled: Mutex<Option<Regex>>,
}

impl Pattern {
    /// # Errors
    /// What is no regular expression, in words.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        Regex::new(text).map_err(|error| error.to_string())?;
        Ok(Self { text: text.into(), number: AtomicUsize::new(usize::MAX), compiled: Mutex::new(None) })
    }

    /// As [`Self::is_match`], but a row that was asked before is not asked again.
    pub(super) fn is_in(&self, row: &Row) -> bool {
        row.answers.get(self.number.load(Ordering::Relaxed), || self.is_match(&row.text))
    }

    pub(super) fn is_match(&self, line: &str) -> bool {
        self.with(|regex| regex.is_match(line)).unwrap_or(false)
    }

    /// The first group of the first match, the whole match where there is no group.
    pub(super) fn find<'l>(&self, line: &'l str) -> Option<&'l str> {
        let range = self.with(|regex| {
            let found = regex.captures(line)?;
            found.get(1).or_else(|| found.get(0)).map(|group| group.range())
        });
        line.get(range??)
    }

    fn with<T>(&self, ask: impl FnOnce(&Regex) -> T) -> Option<T> {
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if compiled.is_none() {
            // It compiled when it was read.
            *compiled = Regex::new(&self.text).ok();
        }
        compiled.as_ref().map(ask)
    }

    pub(super) fn set_number(&self, number: usize) {
        self.number.store(number, Ordering::Relaxed);
    }

    /// Lets the compiled form go.
    pub(super) fn relax(&self) {
        *self.compiled.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_answers_the_same_whether_it_stayed_compiled_or_not() {
        let pattern = Pattern::new(r"^\$ (.+)$").unwrap();
        for _ in 0..2 {
            assert!(pattern.is_match("$ make"));
            assert_eq!(pattern.find("$ make all"), Some("make all"));
            assert_eq!(pattern.find("make"), None);
            pattern.relax();
        }
        assert_eq!(Pattern::new("m.").unwrap().find("make"), Some("ma"));
        assert!(Pattern::new("(").is_err());
    }
}
