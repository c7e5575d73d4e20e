//! Secrets that stand in text from panes and transcripts are masked before the text goes anywhere.
//!
//! What has the shape of a credential, and what a name such as `password` or `token` is given, becomes `[masked]`. That
//! is a net, no proof: what looks like a word stays.

const MASK: &str = "[masked]";

/// How well-known credentials begin; what follows must be long enough to be one.
const PREFIXES: [&str; 28] = [
    "sk-",
    "sk_",
    "rk_",
    "pk_live_",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "xoxa-",
    "xapp-",
    "AKIA",
    "ASIA",
    "AIza",
    "ya29.",
    "eyJ",
    "hf_",
    "npm_",
    "pypi-",
    "dop_v1_",
    "SG.",
    "gsk_",
    "xai-",
    "whsec_",
];
const MIN_CREDENTIAL: usize = 16;

/// Names whose value is secret, in lower case, without `_` and `-`.
const NAMES: [&str; 12] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "secretkey",
    "privatekey",
    "authorization",
    "credential",
    "credentials",
];

/// The same text with its secrets masked.
pub fn mask(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    // What the last word makes of the next one.
    let mut expects = Expects::Nothing;
    while !rest.is_empty() {
        let gap = rest.find(is_word).unwrap_or(rest.len());
        let (between, tail) = rest.split_at(gap);
        expects = expects.after(between);
        out.push_str(between);
        let end = tail.find(|c| !is_word(c)).unwrap_or(tail.len());
        let (word, tail) = tail.split_at(end);
        if word.is_empty() {
            break;
        }
        let secret = expects.takes(word) || is_credential(word);
        out.push_str(if secret { MASK } else { word });
        expects = Expects::behind(word, expects);
        rest = tail;
    }
    out
}

/// Characters that credentials are made of.
fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '+' | '~' | '%')
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Expects {
    Nothing,
    /// The name of a secret stands there: its value follows `=` or `:`.
    Sign,
    Value,
    /// `Bearer` or `Basic`: the next word is the value.
    Scheme,
}

impl Expects {
    fn behind(word: &str, before: Self) -> Self {
        let plain: String =
            word.chars().filter(|c| c.is_ascii_alphanumeric()).collect::<String>().to_ascii_lowercase();
        match plain.as_str() {
            "bearer" | "basic" if before == Self::Value || before == Self::Nothing => Self::Scheme,
            _ if NAMES.iter().any(|name| plain.ends_with(name)) => Self::Sign,
            _ => Self::Nothing,
        }
    }

    fn after(self, between: &str) -> Self {
        let quiet = between.chars().all(|c| matches!(c, ' ' | '"' | '\'' | '=' | ':' | '>'));
        match self {
            Self::Sign if quiet && between.contains(['=', ':']) => Self::Value,
            // `--password hunter2`
            Self::Scheme if quiet => Self::Scheme,
            Self::Value if quiet => Self::Value,
            _ => Self::Nothing,
        }
    }

    fn takes(self, word: &str) -> bool {
        match self {
            Self::Value => !matches!(
                word.to_ascii_lowercase().as_str(),
                "bearer" | "basic" | "none" | "null" | "true" | "false"
            ),
            Self::Scheme => word.len() >= 8,
            Self::Nothing | Self::Sign => false,
        }
    }
}

fn is_credential(word: &str) -> bool {
    let long = word.len() >= MIN_CREDENTIAL;
    let digits = word.chars().filter(char::is_ascii_digit).count();
    // `sk-` is also how `sk-learn-based-model` begins: a credential has figures in it.
    let prefixed = long && digits >= 2 && PREFIXES.iter().any(|prefix| word.starts_with(prefix));
    prefixed || is_access_key(word) || is_random(word)
}

/// The id of an AWS key: `AKIA` or `ASIA` and sixteen capitals and figures, of which there may be none.
fn is_access_key(word: &str) -> bool {
    word.len() == 20
        && (word.starts_with("AKIA") || word.starts_with("ASIA"))
        && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
}

/// Forty or more characters without a path's or a word's structure: capitals, small letters and figures mixed.
fn is_random(word: &str) -> bool {
    let count = |test: fn(&char) -> bool| word.chars().filter(test).count();
    word.len() >= 40
        && !word.contains('.')
        && count(char::is_ascii_uppercase) >= 5
        && count(char::is_ascii_lowercase) >= 5
        && count(char::is_ascii_digit) >= 3
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn credentials_and_values_of_secret_names_are_masked() {
        for (text, masked) in [
            ("export ANTHROPIC_API_KEY=sk-ant-api03-abc123def456ghi789", "export ANTHROPIC_API_KEY=[masked]"),
            ("curl -H 'Authorization: Bearer abcdefgh1234'", "curl -H 'Authorization: Bearer [masked]'"),
            ("mysql --password=hunter2 db", "mysql --password=[masked] db"),
            ("{\"api_key\": \"x9\"}", "{\"api_key\": \"[masked]\"}"),
            (
                "git clone https://ghp_0123456789abcdefABCD@github.com/a/b",
                "git clone https://[masked]@github.com/a/b",
            ),
            ("aws AKIAIOSFODNN7EXAMPLE1 x", "aws [masked] x"),
            ("aws AKIAIOSFODNN7EXAMPLE x", "aws [masked] x"),
            ("key Zm9vYmFyQmF6MTIzNDU2Nzg5MGFiY2RlZkdISUpLTE1OT1A", "key [masked]"),
        ] {
            assert_eq!(mask(text), masked);
        }
    }

    #[test]
    fn ordinary_text_stays() {
        for text in [
            "Do you want to make this edit to sk-learn-based-model.py?",
            "● API Error: 400 stub: bad request",
            "the token count is 1200, a password is asked for",
            "commit 9f695ee24b5b0c7a0d1e2f3a4b5c6d7e8f901234",
            "~/src/some/very/long/path/With/Capitals/and/Figures/12345/x.rs",
            "max_tokens: 200000 and secret: none",
        ] {
            assert_eq!(mask(text), text);
        }
    }

    proptest! {
        #[test]
        fn masking_is_stable_and_never_panics(text in "\\PC{0,80}") {
            let once = mask(&text);
            prop_assert_eq!(mask(&once), once);
        }
    }
}
