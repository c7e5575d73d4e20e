//! Whether a budget's text is all of what its writer meant.
//!
//! A file that is cut off where a line ends is often still YAML, with fewer ceilings. Three things tell: a last line that
//! has no end, YAML's own mark for the end of a document (`...`) that stood there before, and a text that is the beginning
//! of the one in force.

use crate::yaml::Problem;

/// YAML's mark for the end of a document: a text that ends with it is whole.
const END: &str = "...";

/// `before` is the text in force, where there is one.
///
/// # Errors
/// Why it is taken for cut off, and how to say that it is not.
pub fn whole(text: &str, before: Option<&str>) -> Result<(), Problem> {
    let last = text.lines().count();
    let cut = |line, message: String| Err(Problem { line, key: String::new(), message });
    if is_ended(text) {
        return Ok(());
    }
    if !text.ends_with('\n') {
        return cut(
            last,
            "the last line has no end; was the file written whole? End it with a line break".to_owned(),
        );
    }
    let Some(before) = before else { return Ok(()) };
    if is_ended(before) {
        let message = "the budget in force ends with a line `...` and this file does not; was it written whole? End it with `...` too";
        return cut(last, message.to_owned());
    }
    let (kept, known) = (text.trim_end(), before.trim_end());
    if kept.len() < known.len() && known.starts_with(kept) {
        return cut(
            last,
            format!(
                "this is the beginning of the budget in force, which has {} more lines; was the file written whole? \
                 If they are to go, end the file with a line `...`",
                known[kept.len()..].lines().filter(|line| !line.trim().is_empty()).count()
            ),
        );
    }
    Ok(())
}

fn is_ended(text: &str) -> bool {
    let last = text.lines().rev().map(str::trim_end).find(|line| !line.is_empty() && !line.starts_with('#'));
    last == Some(END)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BUDGET: &str = "version: 1\nceilings:\n  - {agent: a, hard: 5M}\n  - {agent: b, hard: 50M}\n";

    fn why(text: &str, before: Option<&str>) -> String {
        whole(text, before).map_err(|problem| problem.to_string()).unwrap_err()
    }

    #[test]
    fn a_line_without_an_end_and_a_beginning_of_what_was_are_cut_off() {
        assert!(whole(BUDGET, None).is_ok() && whole(BUDGET, Some(BUDGET)).is_ok());
        assert!(why("version: 1\nestimate: 5", None).starts_with("line 2: the last line has no end"));
        let shorter = "version: 1\nceilings:\n  - {agent: a, hard: 5M}\n";
        let told = why(shorter, Some(BUDGET));
        assert!(told.starts_with("line 3: this is the beginning") && told.contains("1 more lines"), "{told}");
        assert!(whole(&format!("{shorter}...\n"), Some(BUDGET)).is_ok(), "it says that this is all");
        assert!(whole(&format!("{BUDGET}\n# more\n"), Some(BUDGET)).is_ok());
        assert!(whole("version: 1\n", Some("version: 1\n\n\n")).is_ok(), "only blank lines are gone");
    }

    #[test]
    fn who_ends_with_a_mark_is_expected_to() {
        let marked = format!("{BUDGET}...\n# end\n");
        assert!(whole(&marked, None).is_ok() && whole("version: 1\n...", Some(&marked)).is_ok());
        assert!(
            why("version: 1\nenforce: true\n", Some(&marked)).starts_with("line 2: the budget in force ends")
        );
    }

    proptest! {
        /// Wherever it is cut: of a marked text nothing passes, and of an unmarked one nothing that says less than what is in force.
        #[test]
        fn no_part_of_a_text_passes_for_all_of_it(cut in 0usize..BUDGET.len(), marked in any::<bool>()) {
            let text = if marked { format!("{BUDGET}...\n") } else { BUDGET.to_owned() };
            prop_assert!(whole(&text[..cut], Some(&text)).is_err() || text[..cut].trim_end() == text.trim_end());
        }

        #[test]
        fn any_text_is_answered(text in "(?s).{0,80}", before in proptest::option::of("(?s).{0,80}")) {
            let _ = whole(&text, before.as_deref());
        }
    }
}
