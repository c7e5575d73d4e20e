//! Which agent a person means: its shown name, or as much of its beginning as no other shares.

use crate::text;

/// So many candidates are named at most.
const MAX_CANDIDATES: usize = 12;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unresolved {
    /// Nothing begins so; perhaps this was meant.
    Unknown { nearest: Option<String> },
    /// Several do; the first of them, and how many there are.
    Ambiguous { candidates: Vec<String>, count: usize },
}

/// The one candidate with this name, else the one whose name begins so.
pub fn resolve<'a, T>(word: &str, candidates: &'a [(T, String)]) -> Result<&'a T, Unresolved> {
    let exact: Vec<&(T, String)> = candidates.iter().filter(|(_, name)| name == word).collect();
    let found = if exact.is_empty() && !word.is_empty() {
        candidates.iter().filter(|(_, name)| name.starts_with(word)).collect()
    } else {
        exact
    };
    match found.as_slice() {
        [(one, _)] => Ok(one),
        [] => {
            let nearest = text::nearest(word, candidates.iter().map(|(_, name)| name.as_str()));
            Err(Unresolved::Unknown { nearest: nearest.map(str::to_owned) })
        }
        several => {
            let candidates = several.iter().take(MAX_CANDIDATES).map(|(_, name)| name.clone()).collect();
            Err(Unresolved::Ambiguous { candidates, count: several.len() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_name_wins_a_prefix_must_be_alone_and_a_slip_is_recognised() {
        let names = ["coder", "coder0", "lead", "reviewer"].map(|name| (name, name.to_owned()));
        assert_eq!(resolve("coder", &names), Ok(&"coder"));
        assert_eq!(resolve("le", &names), Ok(&"lead"));
        let ambiguous = vec!["coder".to_owned(), "coder0".to_owned()];
        assert_eq!(resolve("cod", &names), Err(Unresolved::Ambiguous { candidates: ambiguous, count: 2 }));
        assert_eq!(
            resolve("reviwer", &names),
            Err(Unresolved::Unknown { nearest: Some("reviewer".to_owned()) })
        );
        assert_eq!(resolve("", &names), Err(Unresolved::Unknown { nearest: None }));
    }
}
