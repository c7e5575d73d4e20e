//! Text from panes, titles, transcripts and the network is hostile: it is made harmless once, where it enters.

use std::borrow::Cow;

/// Replaces control characters and invisible direction overrides by spaces, folds runs of blanks, and cuts at
/// `max_chars` characters (an ellipsis marks the cut).
pub fn clean(text: &str, max_chars: usize) -> String {
    cleaned(text, max_chars)
}

/// The same; text that is the caller's to give and harmless already is not copied.
pub fn cleaned<'t>(text: impl Into<Cow<'t, str>>, max_chars: usize) -> String {
    let text = text.into();
    if text.len() <= max_chars && is_plain(text.as_bytes()) {
        return text.into_owned();
    }
    fold(&text, max_chars)
}

/// Nearly every name is printable ASCII without blanks to fold: nothing has to be looked at twice.
fn is_plain(text: &[u8]) -> bool {
    let mut blank = true;
    for byte in text {
        match byte {
            b' ' if blank => return false,
            b' ' => blank = true,
            0x21..=0x7e => blank = false,
            _ => return false,
        }
    }
    !blank || text.is_empty()
}

fn fold(text: &str, max_chars: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max_chars * 4));
    let mut count = 0;
    let mut blank = true;
    for c in text.chars() {
        let c = if is_hostile(c) { ' ' } else { c };
        if c == ' ' {
            if blank {
                continue;
            }
            blank = true;
        } else {
            blank = false;
        }
        if count == max_chars {
            out.pop();
            out.push('…');
            return out;
        }
        out.push(c);
        count += 1;
    }
    if out.ends_with(' ') {
        out.pop();
    }
    out
}

/// Control characters (C0, C1, DEL), line separators, and characters that reorder or hide text.
pub fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{00a0}')
        || matches!(c, '\u{e0000}'..='\u{e007f}')
}

/// The candidate nearest to `word` by edit distance, if it is near enough to be meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (edit_distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escape_sequences_lose_their_power() {
        assert_eq!(clean("\u{1b}]0;evil\u{7}\u{1b}[31mred", 80), "]0;evil [31mred");
        assert_eq!(clean("a\u{202e}b\tc\r\nd", 80), "a b c d");
        assert_eq!(clean("abcdef", 4), "abc…");
    }

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        assert_eq!(nearest("runtme", ["runtime", "name"]), Some("runtime"));
        assert_eq!(nearest("colour", ["runtime", "name"]), None);
    }

    proptest! {
        #[test]
        fn cleaned_text_is_harmless_short_and_stable(text in any::<String>(), max in 1usize..64) {
            let once = clean(&text, max);
            prop_assert!(once.chars().count() <= max);
            prop_assert!(!once.chars().any(is_hostile));
            prop_assert_eq!(clean(&once, max), once.clone());
            prop_assert_eq!(fold(&text, max), once);
        }
    }
}
