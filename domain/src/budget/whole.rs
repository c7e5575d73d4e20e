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
    // Nothing would be another, whether or not more was to come.
    if before.is_some_and(|before| before.trim_end() == text.trim_end()) {
        return Ok(());
    }
    if !text.ends_with('\n') {
        let message = "the last line has no end; was the file written whole? End it with a line break, or with a line `...`";
        return cut(last, message.to_owned());
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

    use super::super::config::Config;
    use super::super::read::parse;

    const BUDGET: &str = "version: 1\nceilings:\n  - {agent: a, hard: 5M}\n  - {agent: b, hard: 50M}\n";

    /// In this order each may stand below those before it.
    const LINES: [&str; 6] = [
        "enforce: true",
        "estimate: 5000",
        "ceilings:\n  - {class: x, per: day, hard: 5M}",
        "  - {class: y, per: day, hard: 50M, soft: 20M}",
        "  - class: z\n    hard: 12M",
        "...",
    ];

    fn budget(lines: &[usize]) -> String {
        let lines: std::collections::BTreeSet<_> = lines.iter().collect();
        let mut text = "version: 1\n".to_owned();
        for (place, line) in LINES.iter().enumerate().filter(|(place, _)| lines.contains(place)) {
            if (3..5).contains(&place) && !text.contains("ceilings:") {
                text.push_str("ceilings:\n");
            }
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    fn read(text: &str) -> Option<Config> {
        parse(text, &jiff::tz::TimeZone::UTC, &|_| None, crate::time::Wall(0)).ok()
    }

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
        assert!(whole(BUDGET.trim_end(), Some(BUDGET)).is_ok(), "nothing changes");
        assert!(whole(BUDGET.replace("5M", "6M").trim_end(), Some(BUDGET)).is_err(), "more may be to come");
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

        /// Where a line is cut, what is taken changes nothing, or is all of it.
        #[test]
        fn what_is_cut_within_a_line_never_means_something_new(
            written in proptest::collection::vec(0usize..LINES.len(), 0..8),
            before in proptest::collection::vec(0usize..LINES.len(), 0..8), same in any::<bool>(), cut in any::<prop::sample::Index>(),
        ) {
            let text = budget(&written);
            let before = if same { text.clone() } else { budget(&before) };
            let part = &text[..cut.index(text.len())];
            if !part.ends_with('\n') && whole(part, Some(&before)).is_ok() {
                let meant = read(part);
                prop_assert!(meant.is_some() && (meant == read(&before) || meant == read(&text)), "{part}");
            }
        }

        #[test]
        fn any_text_is_answered(text in "(?s).{0,80}", before in proptest::option::of("(?s).{0,80}")) {
            let _ = whole(&text, before.as_deref());
        }
    }
}
