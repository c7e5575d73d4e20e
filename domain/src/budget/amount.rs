//! Amounts that a budget is written in: tokens, dollars, a share of a limit, and spans of time.

use std::fmt;
use std::time::Duration;

use crate::price::Money;
use crate::time::humanize;

/// More tokens than any account has in a month; above it a figure is a slip of the pen.
const MAX_TOKENS: u64 = 1_000_000_000_000_000;
/// In US dollars.
const MAX_DOLLARS: f64 = 1_000_000.0;
/// The longest span, in days.
const MAX_DAYS: u64 = 366;

/// So much of something that can be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    Tokens(u64),
    Dollars(Money),
}

/// What was used, in both counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Used {
    pub tokens: u64,
    pub dollars: Money,
}

impl Used {
    pub fn add(&mut self, other: Self) {
        self.tokens = self.tokens.saturating_add(other.tokens);
        self.dollars = self.dollars.plus(other.dollars);
    }

    pub fn subtract(&mut self, other: Self) {
        self.tokens = self.tokens.saturating_sub(other.tokens);
        self.dollars = Money(self.dollars.0.saturating_sub(other.dollars.0));
    }

    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

impl Amount {
    /// The same amount's size, whatever its unit: whole tokens, or pico-dollars.
    pub fn size(self) -> u64 {
        match self {
            Self::Tokens(tokens) => tokens,
            Self::Dollars(money) => money.0,
        }
    }

    /// What counts against an amount of this unit.
    pub fn of(self, used: Used) -> u64 {
        match self {
            Self::Tokens(_) => used.tokens,
            Self::Dollars(_) => used.dollars.0,
        }
    }

    /// The same unit, another size.
    pub fn with(self, size: u64) -> Self {
        match self {
            Self::Tokens(_) => Self::Tokens(size),
            Self::Dollars(_) => Self::Dollars(Money(size)),
        }
    }

    pub const fn unit(self) -> &'static str {
        match self {
            Self::Tokens(_) => "tokens",
            Self::Dollars(_) => "usd",
        }
    }

    /// `$50`, `$0.75`, `200M`, `1.5k`, `120000`.
    ///
    /// # Errors
    /// What is wanted instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.trim().strip_prefix('$') {
            Some(dollars) => parse_dollars(dollars).map(Self::Dollars),
            None => parse_tokens(text).map(Self::Tokens),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tokens(tokens) => write!(f, "{tokens} tokens"),
            Self::Dollars(money) => money.fmt(f),
        }
    }
}

fn parse_dollars(text: &str) -> Result<Money, String> {
    let wanted = || "an amount above zero is wanted here, such as `$50` or `$0.75`".to_owned();
    let plain = text.chars().all(|c| c.is_ascii_digit() || c == '.' || c == '_');
    let usd: f64 = text.replace('_', "").parse().ok().filter(|_| plain).ok_or_else(wanted)?;
    if usd > MAX_DOLLARS {
        return Err(format!("more than ${MAX_DOLLARS} is nobody's budget; is it a slip of the pen?"));
    }
    Money::from_usd(usd).filter(|money| money.0 > 0).ok_or_else(wanted)
}

/// Tokens, with `k`, `M` or `G` behind a number that may have decimals; above zero.
///
/// # Errors
/// What is wanted instead.
pub fn parse_tokens(text: &str) -> Result<u64, String> {
    let wanted = || "tokens above zero are wanted here, such as `120k`, `1.5M` or `200000`".to_owned();
    let text = text.trim().trim_end_matches("tokens").trim_end();
    let (number, unit) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1_000u64),
        Some((at, 'm' | 'M')) => (&text[..at], 1_000_000),
        Some((at, 'g' | 'G')) => (&text[..at], 1_000_000_000),
        _ => (text, 1),
    };
    let number = number.trim_end().replace('_', "");
    let (whole, decimals) = number.split_once('.').unwrap_or((&number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(decimals) || decimals.len() > 9 {
        return Err(wanted());
    }
    let (whole, part): (u64, u64) =
        (whole.parse().map_err(|_| wanted())?, decimals.parse().unwrap_or_default());
    let part = part.saturating_mul(unit) / 10u64.pow(u32::try_from(decimals.len()).unwrap_or(0));
    let tokens = whole.saturating_mul(unit).saturating_add(part);
    match tokens {
        0 => Err(wanted()),
        MAX_TOKENS.. => Err(format!("{tokens} tokens are nobody's budget; is it a slip of the pen?")),
        _ => Ok(tokens),
    }
}

/// `42%`, as a share of one; zero to a hundred.
///
/// # Errors
/// What is wanted instead.
pub fn parse_share(text: &str) -> Result<f64, String> {
    let wanted = || "a percentage from 0 to 100 is wanted here, such as `42%`".to_owned();
    let number = text.trim().strip_suffix('%').ok_or_else(wanted)?.trim_end();
    let plain = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || c == '.');
    let share: f64 = number.parse().ok().filter(|_| plain).ok_or_else(wanted)?;
    if share <= 100.0 { Ok(share / 100.0) } else { Err(wanted()) }
}

/// `30s`, `10m`, `5h`, `7d`, `2w`: above zero, a year at most.
///
/// # Errors
/// What is wanted instead.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    let wanted = || "a span of time is wanted here, such as `10m`, `5h`, `7d` or `2w`".to_owned();
    let text = text.trim();
    let (at, unit) = text.char_indices().last().ok_or_else(wanted)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return Err(wanted()),
    };
    let number = &text[..at];
    let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let count: u64 = number.parse().ok().filter(|_| plain).ok_or_else(wanted)?;
    match count.checked_mul(seconds) {
        Some(0) => Err(wanted()),
        Some(seconds) if seconds <= MAX_DAYS * 86_400 => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("a span of {MAX_DAYS} days at most is wanted here")),
    }
}

/// `5h`, `7d`: a window's name where it has none of its own.
pub fn span_name(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        _ if seconds > 0 && seconds.is_multiple_of(86_400) => format!("{}d", seconds / 86_400),
        _ if seconds > 0 && seconds.is_multiple_of(3_600) => format!("{}h", seconds / 3_600),
        _ => humanize(span).replace(' ', ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_people_write_them() {
        for (text, amount) in [
            ("120k", Amount::Tokens(120_000)),
            ("1.5M", Amount::Tokens(1_500_000)),
            ("200_000 tokens", Amount::Tokens(200_000)),
            ("3G", Amount::Tokens(3_000_000_000)),
            ("$50", Amount::Dollars(Money(50_000_000_000_000))),
            ("$0.75", Amount::Dollars(Money(750_000_000_000))),
        ] {
            assert_eq!(Amount::parse(text).unwrap(), amount, "{text}");
        }
        assert_eq!(parse_share("42%").unwrap(), 0.42);
        assert_eq!(parse_span("7d").unwrap(), Duration::from_secs(604_800));
        assert_eq!(
            (span_name(parse_span("7d").unwrap()), span_name(parse_span("5h").unwrap())),
            ("7d".into(), "5h".into())
        );
    }

    #[test]
    fn negative_and_absurd_amounts_are_refused() {
        for text in [
            "-5", "-5k", "0", "$0", "$-3", "$1e9", "1e9", "", "k", "$", "9999999G", "$2000000", "nan",
            "$inf", "1.2.3", "ü",
        ] {
            assert!(Amount::parse(text).is_err(), "{text}");
        }
        for text in ["101%", "-1%", "42", "%", "NaN%", "inf%"] {
            assert!(parse_share(text).is_err(), "{text}");
        }
        for text in ["0h", "-1h", "400d", "7", "h", "1.5h", "99999999999999999999w", "é"] {
            assert!(parse_span(text).is_err(), "{text}");
        }
    }
}
