//! Amounts of money and prices of tokens, exact: whole pico-dollars (10⁻¹² $), so that a millionth of a dollar a million
//! tokens is still a whole number a token.

use std::fmt;

/// US dollars in pico-dollars; at most some 18 million dollars, beyond which sums stay where they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Money(pub u64);

const DOLLAR: u64 = 1_000_000_000_000;
/// A price above it is a slip of the pen: dollars a million tokens.
const MAX_PRICE: u64 = 1_000_000;

impl Money {
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// A runtime's own figure, which it writes as a binary fraction; `None` for what is no amount, or nine million dollars.
    pub fn from_usd(usd: f64) -> Option<Self> {
        let pico = (usd * DOLLAR as f64).round();
        (usd.is_finite() && usd >= 0.0 && pico < i64::MAX as f64).then_some(Self(pico as u64))
    }

    /// For JSON and the wire; exact up to a thousand dollars, and to 53 bits above.
    pub fn usd(self) -> f64 {
        self.0 as f64 / DOLLAR as f64
    }
}

/// `$0.00`, `$0.0042`, `$12.35`: to the cent, or with four decimals below ten cents.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, digits) = if self.0 != 0 && self.0 < DOLLAR / 10 { (10_000, 4) } else { (100, 2) };
        let rounded = (u128::from(self.0) * unit + u128::from(DOLLAR) / 2) / u128::from(DOLLAR);
        if rounded == 0 && self.0 != 0 {
            return f.write_str("<$0.0001");
        }
        write!(f, "${}.{:0digits$}", rounded / unit, rounded % unit)
    }
}

/// What one token costs, in pico-dollars; written as dollars a million tokens, with up to six decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(pub u64);

impl Rate {
    /// # Errors
    /// What is wanted instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        decimal(text, 6).filter(|rate| *rate <= MAX_PRICE * 1_000_000).map(Self).ok_or_else(|| {
            "dollars a million tokens are wanted here, such as `2.50`, with at most six decimals".to_owned()
        })
    }
}

/// Dollars a million tokens, without needless zeros.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// A multiplier in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Factor(pub u64);

impl Factor {
    pub const ONE: Self = Self(1_000);

    /// # Errors
    /// What is wanted instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        decimal(text, 3).filter(|factor| (1..=100_000).contains(factor)).map(Self).ok_or_else(|| {
            "a multiplier up to 100 is wanted here, such as `1.1`, with at most three decimals".to_owned()
        })
    }
}

impl fmt::Display for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:03}", self.0 / 1_000, self.0 % 1_000);
        write!(f, "{}×", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// Digits with at most `places` decimals, as a whole number of the last of them.
fn decimal(text: &str, places: usize) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || part.len() > places || !digits(whole) || !digits(part) {
        return None;
    }
    format!("{whole}{part:0<places$}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn prices_are_read_as_they_are_written() {
        let told = ["2", "0.025", "18.75", "0.000001"].map(|text| Rate::parse(text).unwrap());
        assert_eq!(told.map(|rate| rate.0), [2_000_000, 25_000, 18_750_000, 1]);
        assert_eq!(told.map(|rate| rate.to_string()), ["2", "0.025", "18.75", "0.000001"]);
        for bad in ["", ".", "-1", "1e3", "0.0000001", "1,5", "99999999", "$2", " 2"] {
            assert!(Rate::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Factor::parse("1.1").unwrap().to_string(), "1.1×");
        assert!(Factor::parse("0").is_err() && Factor::parse("101").is_err());
    }

    #[test]
    fn amounts_are_told_to_the_cent_and_small_ones_closer() {
        let told =
            [0, 1, 4_200_000_000, 99_960_000_000, 12_345_000_000_000].map(|pico| Money(pico).to_string());
        assert_eq!(told, ["$0.00", "<$0.0001", "$0.0042", "$0.1000", "$12.35"]);
    }

    proptest! {
        #[test]
        fn an_amount_survives_the_way_through_a_fraction(pico in 0u64..1 << 50) {
            prop_assert_eq!(Money::from_usd(Money(pico).usd()), Some(Money(pico)));
        }
    }
}
