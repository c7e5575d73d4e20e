//! What a response bills, in the five kinds that Claude Code writes, and the sum of many.

use std::fmt;
use std::ops::{Add, AddAssign};
use std::str::FromStr;

/// Tokens of one response or of many. `input` is without everything that went through the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    pub input: u64,
    pub output: u64,
    pub cache_read: u64,
    pub cache_write_5m: u64,
    pub cache_write_1h: u64,
}

impl Tokens {
    #[must_use]
    pub fn total(&self) -> u64 {
        self.input + self.output + self.cache_read + self.cache_write()
    }

    #[must_use]
    pub fn cache_write(&self) -> u64 {
        self.cache_write_5m + self.cache_write_1h
    }
}

impl Add for Tokens {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            input: self.input + other.input,
            output: self.output + other.output,
            cache_read: self.cache_read + other.cache_read,
            cache_write_5m: self.cache_write_5m + other.cache_write_5m,
            cache_write_1h: self.cache_write_1h + other.cache_write_1h,
        }
    }
}

impl AddAssign for Tokens {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl fmt::Display for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { input, output, cache_read, cache_write_5m, cache_write_1h } = self;
        write!(f, "{input},{output},{cache_read},{cache_write_5m},{cache_write_1h}")
    }
}

/// `IN,OUT,READ,W5,W1`; what is left out at the end is 0.
impl FromStr for Tokens {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut fields = [0; 5];
        if text.split(',').count() > fields.len() {
            return Err(format!("tokens {text:?}: expected at most IN,OUT,READ,W5,W1"));
        }
        for (field, part) in fields.iter_mut().zip(text.split(',')) {
            *field = part.trim().parse().map_err(|_| format!("tokens {text:?}: {part:?} is no number"))?;
        }
        let [input, output, cache_read, cache_write_5m, cache_write_1h] = fields;
        Ok(Self { input, output, cache_read, cache_write_5m, cache_write_1h })
    }
}

/// Everything that an agent has billed since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Billed {
    pub responses: u64,
    pub tokens: Tokens,
}

impl Billed {
    pub(crate) fn add(&mut self, tokens: Tokens) {
        self.responses += 1;
        self.tokens += tokens;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let tokens: Tokens = "1,2,3,4,5".parse().unwrap();
        assert_eq!(tokens.to_string(), "1,2,3,4,5");
        assert_eq!(tokens.total(), 15);
        assert_eq!("7,8".parse::<Tokens>().unwrap(), Tokens { input: 7, output: 8, ..Tokens::default() });
        assert!("1,x".parse::<Tokens>().is_err());
        assert!("1,2,3,4,5,6".parse::<Tokens>().is_err());
    }
}
