//! From a class to the page that describes its role.

/// Classes whose page has another name.
const ALIASES: [(&str, &str); 8] = [
    ("orchestrator", "planner"),
    ("implementer", "code"),
    ("coder", "code"),
    ("reviewer", "review"),
    ("final_reviewer", "review"),
    ("security_reviewer", "security-review"),
    ("researcher", "research"),
    ("analyst", "research"),
];

/// The pages to look for, best first: the class's own name, then its alias. None where the class could not be the name
/// of a file.
pub fn pages(class: &str) -> Vec<&str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if class.is_empty() || class.starts_with('-') || !class.chars().all(fits) {
        return Vec::new();
    }
    let alias = ALIASES.iter().find(|(name, _)| *name == class).map(|(_, page)| *page);
    std::iter::once(class).chain(alias).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_finds_its_page_by_name_then_by_alias() {
        assert_eq!(pages("orchestrator"), ["orchestrator", "planner"]);
        assert_eq!(pages("final_reviewer"), ["final_reviewer", "review"]);
        assert_eq!(pages("security_reviewer"), ["security_reviewer", "security-review"]);
        assert_eq!(pages("analyst"), ["analyst", "research"]);
        assert_eq!(pages("merge-gate"), ["merge-gate"]);
        assert_eq!(pages("worker"), ["worker"]);
    }

    #[test]
    fn a_class_never_leads_out_of_the_library() {
        for class in ["", "../x", "a/b", "-x", ".", "a b", "ä"] {
            assert!(pages(class).is_empty(), "{class:?}");
        }
    }
}
