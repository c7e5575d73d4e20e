//! Two texts line by line, as people read what will change.

use crate::text;

/// Lines that stay, around those that do not.
const CONTEXT: usize = 2;
/// Beyond this many pairs of lines the search would take long: then all goes and all comes.
const MAX_PAIRS: usize = 4_000_000;
const MAX_CHARS: usize = 160;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line<'t> {
    Stays(&'t str),
    Goes(&'t str),
    Comes(&'t str),
}

/// `- ` before what goes, `+ ` before what comes, two blanks before what stands around it, `…` for what is left out; each
/// line harmless to a terminal and indented by two. Empty where nothing changes.
pub fn lines(old: &str, new: &str) -> String {
    let all = compare(&old.lines().collect::<Vec<_>>(), &new.lines().collect::<Vec<_>>());
    let changes = |line: &Line<'_>| !matches!(line, Line::Stays(_));
    let mut out = String::new();
    let mut left_out = false;
    for (at, line) in all.iter().enumerate() {
        let near = all[at.saturating_sub(CONTEXT)..(at + CONTEXT + 1).min(all.len())].iter().any(changes);
        let (sign, text) = match line {
            Line::Stays(_) if !near => {
                left_out = true;
                continue;
            }
            Line::Stays(text) => (' ', text),
            Line::Goes(text) => ('-', text),
            Line::Comes(text) => ('+', text),
        };
        if std::mem::take(&mut left_out) {
            out.push_str("  …\n");
        }
        out.push_str(format!("  {sign} {}", harmless(text)).trim_end());
        out.push('\n');
    }
    if out.is_empty() || !left_out { out } else { out + "  …\n" }
}

/// As [`text::clean`], but with the blanks that indent.
fn harmless(line: &str) -> String {
    let blanks = line.len() - line.trim_start_matches(' ').len();
    format!("{}{}", " ".repeat(blanks.min(MAX_CHARS)), text::clean(line, MAX_CHARS))
}

/// The longest common run of lines stays.
fn compare<'t>(old: &[&'t str], new: &[&'t str]) -> Vec<Line<'t>> {
    let width = new.len() + 1;
    if (old.len() + 1).saturating_mul(width) > MAX_PAIRS {
        return old
            .iter()
            .map(|line| Line::Goes(line))
            .chain(new.iter().map(|line| Line::Comes(line)))
            .collect();
    }
    let mut common = vec![0u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i * width + j] = if old[i] == new[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            lines.push(Line::Stays(old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len()
            || (i < old.len() && common[(i + 1) * width + j] >= common[i * width + j + 1])
        {
            lines.push(Line::Goes(old[i]));
            i += 1;
        } else {
            lines.push(Line::Comes(new[j]));
            j += 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_changes_is_shown_with_what_stands_around_it() {
        let old = "a\nb\nc\n  d\ne\nf\ng\nh\n";
        let new = "a\nb\nc\n  D\ne\nf\ng\nh\ni\n";
        assert_eq!(
            lines(old, new),
            "  …\n    b\n    c\n  -   d\n  +   D\n    e\n    f\n    g\n    h\n  + i\n"
        );
        assert_eq!(lines(old, old), "");
        assert_eq!(lines("", "x\u{1b}[31m\n"), "  + x [31m\n");
    }

    #[test]
    fn long_texts_are_answered_at_once() {
        let old = "x\n".repeat(5_000);
        let shown = lines(&old, &"y\n".repeat(5_000));
        assert_eq!(shown.lines().count(), 10_000);
    }

    proptest! {
        #[test]
        fn what_goes_and_what_comes_make_the_new_of_the_old(
            old in proptest::collection::vec("[abc]", 0..12),
            new in proptest::collection::vec("[abc]", 0..12),
        ) {
            let old: Vec<&str> = old.iter().map(String::as_str).collect();
            let new: Vec<&str> = new.iter().map(String::as_str).collect();
            let all = compare(&old, &new);
            let keep = |wanted: fn(&Line<'_>) -> bool| -> Vec<&str> {
                all.iter().filter(|line| wanted(line)).map(|line| match line {
                    Line::Stays(text) | Line::Goes(text) | Line::Comes(text) => *text,
                }).collect()
            };
            prop_assert_eq!(keep(|line| !matches!(line, Line::Comes(_))), old);
            prop_assert_eq!(keep(|line| !matches!(line, Line::Goes(_))), new);
        }
    }
}
