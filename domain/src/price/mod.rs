//! What responses cost: the runtime's own figure, else tokens by a price table, else unknown, which is never zero.
//!
//! A table is data: dated prices by model, so that an old response keeps its price. A whole request is priced at the tier
//! that its total input (cache included) selects. Speed and place of inference multiply.

mod money;
mod read;

use std::collections::BTreeMap;

use crate::time::Wall;
use crate::usage::{Record, Terms, Tokens};

pub use money::{Factor, Money, Rate};
pub use read::parse;

/// What one kind of token costs; `None` is unknown, and so is then what a response with such tokens costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    pub input: Rate,
    /// Reasoning included.
    pub output: Rate,
    pub cache_read: Option<Rate>,
    pub cache_write_5m: Option<Rate>,
    pub cache_write_1h: Option<Rate>,
}

/// Prices of one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    /// `None` is since ever.
    pub from: Option<Wall>,
    pub base: Rates,
    /// Ascending: a request whose whole input is above so many tokens costs this, all of it.
    pub tiers: Vec<(u64, Rates)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    pub name: String,
    /// Other names; one that ends in `*` is all names that begin so.
    pub aliases: Vec<String>,
    /// Ascending; never empty.
    pub periods: Vec<Period>,
    /// For the fast mode, and for inference in the United States; `None` is unknown.
    pub fast: Option<Factor>,
    pub us: Option<Factor>,
}

/// One file's prices.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Book {
    pub models: Vec<Model>,
    names: BTreeMap<String, usize>,
    /// The longest first.
    prefixes: Vec<(String, usize)>,
}

/// A book, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    pub origin: String,
    pub book: Book,
}

/// The books in force; the first that knows a model at a time decides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table(pub Vec<Layer>);

/// What a response costs, and who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// The runtime's own figure.
    Reported(Money),
    /// Tokens by the table.
    Priced(Money),
    Unknown,
}

/// Costs added up; what could not be priced is counted, not taken for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Costs {
    pub reported: Money,
    pub priced: Money,
    /// Responses behind either sum, and those that are in none.
    pub by_report: u64,
    pub by_price: u64,
    pub unpriced: u64,
}

impl Costs {
    pub fn of(cost: Cost) -> Self {
        match cost {
            Cost::Reported(reported) => Self { reported, by_report: 1, ..Self::default() },
            Cost::Priced(priced) => Self { priced, by_price: 1, ..Self::default() },
            Cost::Unknown => Self { unpriced: 1, ..Self::default() },
        }
    }

    pub fn add(&mut self, other: &Self) {
        self.reported = self.reported.plus(other.reported);
        self.priced = self.priced.plus(other.priced);
        self.by_report = self.by_report.saturating_add(other.by_report);
        self.by_price = self.by_price.saturating_add(other.by_price);
        self.unpriced = self.unpriced.saturating_add(other.unpriced);
    }

    /// Never below nothing.
    pub fn subtract(&mut self, other: &Self) {
        self.reported = Money(self.reported.0.saturating_sub(other.reported.0));
        self.priced = Money(self.priced.0.saturating_sub(other.priced.0));
        self.by_report = self.by_report.saturating_sub(other.by_report);
        self.by_price = self.by_price.saturating_sub(other.by_price);
        self.unpriced = self.unpriced.saturating_sub(other.unpriced);
    }

    /// The part that is known; `None` where no response's cost is.
    pub fn known(&self) -> Option<Money> {
        (self.by_report > 0 || self.by_price > 0).then(|| self.reported.plus(self.priced))
    }
}

impl Book {
    /// Names are unique, which [`parse`] sees to.
    fn new(models: Vec<Model>) -> Self {
        let mut book = Self { models, ..Self::default() };
        for (place, model) in book.models.iter().enumerate() {
            for name in std::iter::once(&model.name).chain(&model.aliases) {
                match name.strip_suffix('*') {
                    Some(prefix) => book.prefixes.push((prefix.to_owned(), place)),
                    None => drop(book.names.insert(name.clone(), place)),
                }
            }
        }
        book.prefixes.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        book
    }

    /// By its name, by its name without the date of its release, by the longest beginning.
    pub fn model(&self, name: &str) -> Option<&Model> {
        let known = |name: &str| self.names.get(name).copied();
        let begins =
            || self.prefixes.iter().find(|(prefix, _)| name.starts_with(prefix)).map(|(_, place)| *place);
        let place = known(name).or_else(|| known(undated(name)?)).or_else(begins)?;
        self.models.get(place)
    }
}

/// The name before `-20251001` or `-2025-10-01`; `None` where no date ends it.
fn undated(name: &str) -> Option<&str> {
    let ends = |shape: &str| {
        let (head, tail) = name.split_at_checked(name.len().checked_sub(shape.len())?)?;
        let fits =
            |(shape, byte): (u8, u8)| if shape == b'0' { byte.is_ascii_digit() } else { byte == shape };
        (!head.is_empty() && shape.bytes().zip(tail.bytes()).all(fits)).then_some(head)
    };
    ends("-00000000").or_else(|| ends("-0000-00-00"))
}

impl Model {
    /// The prices of that time; `None` before the first.
    pub fn at(&self, at: Wall) -> Option<&Period> {
        self.periods.iter().rev().find(|period| period.from.is_none_or(|from| from <= at))
    }

    fn factor(&self, terms: Terms) -> Option<(Factor, Factor)> {
        if terms.other() {
            return None;
        }
        let speed = if terms.fast() { self.fast? } else { Factor::ONE };
        let place = if terms.us() { self.us? } else { Factor::ONE };
        Some((speed, place))
    }
}

impl Period {
    fn rates(&self, tokens: &Tokens) -> &Rates {
        let whole = tokens.total().saturating_sub(tokens.output);
        self.tiers.iter().rev().find(|(above, _)| whole > *above).map_or(&self.base, |(_, rates)| rates)
    }
}

impl Rates {
    /// In pico-dollars; `None` where a kind that was used has no known price.
    fn sum(&self, tokens: &Tokens) -> Option<u128> {
        let kinds = [
            (tokens.input, Some(self.input)),
            (tokens.output, Some(self.output)),
            (tokens.cache_read, self.cache_read),
            (tokens.cache_write_5m, self.cache_write_5m),
            (tokens.cache_write_1h, self.cache_write_1h),
        ];
        kinds.into_iter().filter(|(count, _)| *count > 0).try_fold(0u128, |sum, (count, rate)| {
            Some(sum.saturating_add(u128::from(count).saturating_mul(u128::from(rate?.0))))
        })
    }
}

impl Table {
    /// What so many tokens of a model cost at that time, on these terms; `None` where that is not known.
    pub fn price(&self, model: &str, at: Wall, tokens: &Tokens, terms: Terms) -> Option<Money> {
        let named = self.0.iter().filter_map(|layer| layer.book.model(model));
        let (model, period) = named.filter_map(|model| Some((model, model.at(at)?))).next()?;
        let (speed, place) = model.factor(terms)?;
        let sum = period.rates(tokens).sum(tokens)?;
        let scaled = sum.saturating_mul(u128::from(speed.0)).saturating_mul(u128::from(place.0));
        Some(Money(u64::try_from(scaled.saturating_add(500_000) / 1_000_000).unwrap_or(u64::MAX)))
    }
}

/// The runtime's figure where it gives one, else the table's.
pub fn cost(record: &Record, table: &Table) -> Cost {
    match record.reported {
        Some(reported) => Cost::Reported(reported),
        None => table
            .price(&record.model, record.at, &record.tokens, record.terms)
            .map_or(Cost::Unknown, Cost::Priced),
    }
}

#[cfg(test)]
mod tests;
