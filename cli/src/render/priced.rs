//! The price table in force, as a table and as JSON.

use fleet_domain::price::{Factor, Model, Period, Rate, Rates, Table};
use fleet_domain::time::Wall;
use serde::Serialize;

use super::grid::{Align, Cell, Fit, Grid, Head};
use super::item::API_VERSION;
use super::words::{NONE, safe};

/// One price: of a model, from a time on, above a size of the request.
struct Entry<'a> {
    origin: &'a str,
    model: &'a Model,
    from: Option<Wall>,
    above: u64,
    rates: &'a Rates,
}

/// Those that can be asked for; what an earlier layer hides for all times is left out.
fn entries(table: &Table) -> Vec<Entry<'_>> {
    let mut entries = Vec::new();
    for (depth, layer) in table.0.iter().enumerate() {
        for model in &layer.book.models {
            let hides = |model: &Model| model.periods.first().is_some_and(|period| period.from.is_none());
            let hidden =
                table.0[..depth].iter().any(|above| above.book.model(&model.name).is_some_and(hides));
            for period in model.periods.iter().filter(|_| !hidden) {
                let tiers = period.tiers.iter().map(|(above, rates)| (*above, rates));
                for (above, rates) in std::iter::once((0, &period.base)).chain(tiers) {
                    entries.push(Entry { origin: &layer.origin, model, from: from(period), above, rates });
                }
            }
        }
    }
    entries.sort_by(|a, b| (&a.model.name, a.from, a.above).cmp(&(&b.model.name, b.from, b.above)));
    entries
}

const fn from(period: &Period) -> Option<Wall> {
    period.from
}

pub fn table(table: &Table, width: Option<usize>, colour: bool) -> String {
    let head = |(title, align, fit): (&str, Align, Fit)| Head { title: title.to_owned(), align, fit };
    let heads = [
        ("MODEL", Align::Left, Fit::Shrinks { least: 12 }),
        ("FROM", Align::Left, Fit::Fixed),
        ("ABOVE", Align::Right, Fit::Leaves(4)),
        ("INPUT", Align::Right, Fit::Fixed),
        ("OUTPUT", Align::Right, Fit::Fixed),
        ("CACHE READ", Align::Right, Fit::Leaves(1)),
        ("WRITE 5M", Align::Right, Fit::Leaves(2)),
        ("WRITE 1H", Align::Right, Fit::Leaves(2)),
        ("FAST", Align::Right, Fit::Leaves(3)),
        ("US", Align::Right, Fit::Leaves(3)),
        ("SOURCE", Align::Left, Fit::Shrinks { least: 8 }),
    ];
    let entries = entries(table);
    let mut grid = Grid::new(heads.map(head).into(), entries.len());
    for entry in &entries {
        grid.push(cells(entry).map(Cell::plain));
    }
    match width {
        None => grid.plain(true, colour),
        Some(width) => grid.fitted(width, true, colour).lines.join("\n") + "\n",
    }
}

fn cells(entry: &Entry<'_>) -> [String; 11] {
    let Rates { input, output, cache_read, cache_write_5m, cache_write_1h } = entry.rates;
    let rate = |rate: &Option<Rate>| rate.map_or_else(|| NONE.to_owned(), |rate| rate.to_string());
    let factor = |factor: Option<Factor>| factor.map_or_else(|| NONE.to_owned(), |factor| factor.to_string());
    [
        safe(&entry.model.name).into_owned(),
        entry.from.map_or_else(|| NONE.to_owned(), date),
        if entry.above == 0 { NONE.to_owned() } else { entry.above.to_string() },
        input.to_string(),
        output.to_string(),
        rate(cache_read),
        rate(cache_write_5m),
        rate(cache_write_1h),
        factor(entry.model.fast),
        factor(entry.model.us),
        safe(&fleet_framework::home::shown(entry.origin.as_ref())).into_owned(),
    ]
}

/// The date alone where the time is midnight in UTC.
fn date(from: Wall) -> String {
    let text = from.to_rfc3339();
    text.strip_suffix("T00:00:00Z").map(str::to_owned).unwrap_or(text)
}

/// The JSON is a contract: keys may be added.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PriceTable {
    api_version: &'static str,
    kind: &'static str,
    /// US dollars a million tokens.
    unit: &'static str,
    prices: Vec<Price>,
}

/// Null is not known; prices are decimal texts, exact.
#[derive(Debug, Serialize)]
struct Price {
    model: String,
    aliases: Vec<String>,
    /// Since then; null since ever.
    from: Option<String>,
    /// For requests whose whole input is above so many tokens.
    above: u64,
    input: String,
    output: String,
    cache_read: Option<String>,
    cache_write_5m: Option<String>,
    cache_write_1h: Option<String>,
    /// Multipliers.
    fast: Option<f64>,
    us: Option<f64>,
    source: String,
}

pub fn json(table: &Table) -> PriceTable {
    let text = |rate: &Option<Rate>| rate.map(|rate| rate.to_string());
    let factor = |factor: Option<Factor>| factor.map(|factor| factor.0 as f64 / 1_000.0);
    let price = |entry: Entry<'_>| Price {
        model: safe(&entry.model.name).into_owned(),
        aliases: entry.model.aliases.iter().map(|alias| safe(alias).into_owned()).collect(),
        from: entry.from.map(Wall::to_rfc3339),
        above: entry.above,
        input: entry.rates.input.to_string(),
        output: entry.rates.output.to_string(),
        cache_read: text(&entry.rates.cache_read),
        cache_write_5m: text(&entry.rates.cache_write_5m),
        cache_write_1h: text(&entry.rates.cache_write_1h),
        fast: factor(entry.model.fast),
        us: factor(entry.model.us),
        source: safe(entry.origin).into_owned(),
    };
    let prices = entries(table).into_iter().map(price).collect();
    PriceTable { api_version: API_VERSION, kind: "PriceTable", unit: "USD per million tokens", prices }
}

#[cfg(test)]
mod tests {
    use fleet_domain::price::{Layer, parse};

    use super::*;

    #[test]
    fn prices_are_told_with_their_source_and_what_is_hidden_is_not() {
        let own = "version: 1
models:
  - {model: claude-opus-5, input: 1, output: 2.5, fast: 2, us: 1.1}
  - model: claude-sonnet-5
    prices:
      - {from: 2026-06-01, input: 3, output: 15, tiers: [{above: 200000, input: 6, output: 22.5}]}";
        let mut layers = fleet_framework::prices::shipped().0;
        layers.insert(0, Layer { origin: "/m/fleet/prices.yaml".to_owned(), book: parse(own).unwrap() });
        let layers = Table(layers);
        insta::assert_snapshot!("prices_table", table(&layers, None, false));
        let first = &json(&layers).prices[0];
        insta::assert_snapshot!("prices_json", serde_json::to_string_pretty(first).unwrap());
    }
}
