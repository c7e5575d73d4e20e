//! Figures and texts as people read them; the last gate before the screen.

use std::borrow::Cow;
use std::time::Duration;

use fleet_domain::text;
use fleet_domain::time::humanize;

/// What is not known, or does not apply.
pub const NONE: &str = "-";
/// No single text is longer on the screen, in characters.
const MAX_TEXT: usize = 2048;

/// Without control characters and without characters that reorder or hide text.
pub fn safe(text: &str) -> Cow<'_, str> {
    let harmless =
        text.is_ascii() && !text.bytes().any(|byte| byte.is_ascii_control()) && text.len() <= MAX_TEXT;
    if harmless { Cow::Borrowed(text) } else { Cow::Owned(text::clean(text, MAX_TEXT)) }
}

/// The text, or `-` where there is none.
pub fn or_none(text: Option<&str>) -> Cow<'_, str> {
    text.map(safe).filter(|text| !text.is_empty()).unwrap_or(Cow::Borrowed(NONE))
}

/// `42s`, `7m`, `3h5m`, `2d4h`: without blanks, so that a column stays one word.
pub fn age(duration: Duration) -> String {
    let mut text = humanize(duration);
    text.retain(|c| c != ' ');
    text
}

/// `0`, `950`, `12.4k`, `1.2M`, `3.0G`.
pub fn count(tokens: u64) -> String {
    const STEPS: [(u64, &str); 4] =
        [(1_000_000_000_000, "T"), (1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")];
    // The next unit begins where rounding would show a thousand of this one.
    let Some((size, unit)) = STEPS.into_iter().find(|(size, _)| tokens >= size - size / 2_000) else {
        return tokens.to_string();
    };
    let (tokens, size) = (u128::from(tokens), u128::from(size));
    let tenths = (tokens * 10 + size / 2) / size;
    if tenths < 1000 {
        format!("{}.{}{unit}", tenths / 10, tenths % 10)
    } else {
        format!("{}{unit}", (tokens + size / 2) / size)
    }
}

/// `1 agent`, `2 agents`.
pub fn plural(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

/// Rows that may bill and are of a kind that is not known here; nothing where there are none.
pub fn unknown_kinds<'r, 'k>(kinds: impl IntoIterator<Item = (&'r str, &'k str, u64)>) -> Option<String> {
    let told = kinds
        .into_iter()
        .map(|(runtime, kind, rows)| format!("{rows} of {} `{}`", safe(runtime), safe(kind)))
        .collect::<Vec<_>>()
        .join(", ");
    (!told.is_empty()).then(|| format!("rows that speak of tokens and are of a kind unknown here: {told}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tokens_have_one_decimal_and_never_a_thousand_of_a_unit() {
        let shown: Vec<String> =
            [0, 999, 1_000, 12_449, 99_950, 999_499, 999_500, 1_234_567, 3_000_000_000, u64::MAX]
                .map(count)
                .to_vec();
        assert_eq!(shown, ["0", "999", "1.0k", "12.4k", "100k", "999k", "1.0M", "1.2M", "3.0G", "18446744T"]);
    }

    #[test]
    fn an_age_is_one_word() {
        assert_eq!(age(Duration::from_secs(11_100)), "3h5m");
    }

    proptest! {
        #[test]
        fn nothing_hostile_passes(text in any::<String>()) {
            prop_assert!(!safe(&text).chars().any(text::is_hostile));
        }
    }
}
