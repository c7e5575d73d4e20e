use proptest::prelude::*;

use super::*;
use crate::ids::SessionId;

const FILE: &str = "
version: 1
models:
  - model: old
    aliases: [older, 'maker/old*']
    fast: 2
    us: 1.1
    prices:
      - {input: 3, output: 15, cache_read: 0.3, cache_write_5m: 3.75, cache_write_1h: 6}
      - from: 2026-03-01
        input: 2
        output: 10
        cache_read: 0.2
        tiers: [{above: 200_000, input: 4, output: 15, cache_read: 0.4}]
  - {model: plain, input: 0.000001, output: 0}
";

fn table(text: &str) -> Table {
    Table(vec![Layer { origin: "test".to_owned(), book: parse(text).unwrap() }])
}

fn at(text: &str) -> Wall {
    Wall::parse_rfc3339(text).unwrap()
}

const BEFORE: &str = "2026-02-28T23:59:59Z";
const AFTER: &str = "2026-03-01T00:00:00Z";

fn price(model: &str, when: &str, tokens: Tokens, terms: Terms) -> Option<u64> {
    table(FILE).price(model, at(when), &tokens, terms).map(|money| money.0)
}

fn million(input: u64) -> Tokens {
    Tokens { input: input * 1_000_000, ..Tokens::default() }
}

#[test]
fn an_old_response_keeps_its_price() {
    let one = Tokens { input: 1, output: 1, ..Tokens::default() };
    assert_eq!(price("old", BEFORE, one, Terms::default()), Some(18_000_000));
    assert_eq!(price("old", AFTER, one, Terms::default()), Some(12_000_000));
}

#[test]
fn a_whole_request_costs_what_its_whole_input_selects() {
    let under = Tokens { input: 100_000, cache_read: 100_000, output: 1_000, ..Tokens::default() };
    let over = Tokens { input: 100_001, ..under };
    let dollars = |tokens| price("old", AFTER, tokens, Terms::default()).unwrap();
    assert_eq!(dollars(under), 100_000 * 2_000_000 + 100_000 * 200_000 + 1_000 * 10_000_000);
    assert_eq!(dollars(over), 100_001 * 4_000_000 + 100_000 * 400_000 + 1_000 * 15_000_000);
}

#[test]
fn a_kind_without_a_price_makes_the_response_unknown_not_free() {
    let written = Tokens { cache_write_1h: 1, ..million(1) };
    assert_eq!(price("old", AFTER, written, Terms::default()), None);
    assert!(price("old", BEFORE, written, Terms::default()).is_some());
    assert_eq!(price("nobody", AFTER, million(1), Terms::default()), None);
    let dated = "version: 1\nmodels: [{model: m, prices: [{from: 2026-03-01, input: 1, output: 1}]}]";
    assert_eq!(table(dated).price("m", at(BEFORE), &million(1), Terms::default()), None);
}

#[test]
fn speed_and_place_multiply_and_terms_that_nobody_knows_have_no_price() {
    let terms = |speed, geo| Terms::of(Some(speed), Some(geo));
    let dollars = |terms| price("old", AFTER, Tokens { input: 1, ..Tokens::default() }, terms);
    assert_eq!(dollars(terms("standard", "global")), Some(2_000_000));
    assert_eq!(dollars(terms("fast", "")), Some(4_000_000));
    assert_eq!(dollars(terms("fast", "us")), Some(4_400_000));
    assert_eq!(dollars(terms("warp", "")), None);
    assert_eq!(price("plain", AFTER, million(1), terms("fast", "")), None);
}

#[test]
fn a_model_is_found_by_alias_date_and_beginning() {
    for name in ["old", "older", "old-20250929", "older-2025-09-29", "maker/old", "maker/old@1"] {
        assert!(price(name, AFTER, million(1), Terms::default()).is_some(), "{name}");
    }
    for name in ["old-2025092", "old-turbo", "oldest", "maker/", "-20250929", ""] {
        assert_eq!(price(name, AFTER, million(1), Terms::default()), None, "{name}");
    }
}

#[test]
fn the_first_layer_that_knows_decides() {
    let own = "version: 1\nmodels: [{model: old, prices: [{from: 2026-06-01, input: 9, output: 9}]}]";
    let mut layers = table(own).0;
    layers.extend(table(FILE).0);
    let table = Table(layers);
    let dollars = |when| table.price("old", at(when), &million(1), Terms::default()).map(Money::usd);
    assert_eq!(dollars("2026-06-01T00:00:00Z"), Some(9.0));
    assert_eq!(dollars("2026-05-31T00:00:00Z"), Some(4.0));
}

#[test]
fn the_runtimes_own_figure_comes_first() {
    let record = Record {
        id: "r".to_owned(),
        conversation: SessionId::new("c"),
        model: "plain".to_owned(),
        at: at(AFTER),
        tokens: million(1),
        sidechain: false,
        terms: Terms::default(),
        reported: Some(Money(7)),
    };
    assert_eq!(cost(&record, &table(FILE)), Cost::Reported(Money(7)));
    let silent = Record { reported: None, ..record };
    assert_eq!(cost(&silent, &table(FILE)), Cost::Priced(Money(1_000_000)));
    assert_eq!(cost(&silent, &Table::default()), Cost::Unknown);
}

#[test]
fn every_mistake_is_told_with_its_line_and_key() {
    let text = "version: 2
models:
  - {model: a, input: free, output: 1}
  - {model: a, input: 1, output: 1, cash_read: 1}
  - model: b
    fast: 0
    prices:
      - {from: yesterday, input: 1}
      - {from: 2026-02-01, input: 1, output: 1, tiers: [{above: x, input: 1, output: 1}]}
      - {from: 2026-01-01, input: 1, output: 1}
  - {model: c, input: 1, output: 1}
  - {model: c, input: 1, output: 1, aliases: ['*', 'x**']}
";
    let told: Vec<String> = parse(text).unwrap_err().iter().map(ToString::to_string).collect();
    told_in_order(&told);
}

fn told_in_order(told: &[String]) {
    let starts = [
        "line 1: version: this program reads",
        "line 3: models[0].input: dollars a million",
        "line 4: models[1].cash_read: unknown key; did you mean `cache_read`?",
        "line 6: models[2].fast: a multiplier",
        "line 8: models[2].prices[0].from: a date",
        "line 8: models[2].prices[0].output: this key is required",
        "line 9: models[2].prices[1].tiers[0].above: a number",
        "line 10: models[2].prices[2]: times must ascend",
        "line 12: models[4].aliases: a model's name",
        "line 12: models[4].aliases: a model's name",
        "line 12: models[4]: `c` is priced already, in line 11",
    ];
    assert_eq!(told.len(), starts.len(), "{told:#?}");
    for (told, start) in told.iter().zip(starts) {
        assert!(told.starts_with(start), "{told}\n{start}");
    }
}

proptest! {
    #[test]
    fn no_usage_is_too_large_and_sums_of_parts_are_the_whole(
        counts in proptest::array::uniform5(any::<u64>()), small in proptest::array::uniform5(0u64..50_000),
    ) {
        let tokens = |[input, output, cache_read, cache_write_5m, cache_write_1h]: [u64; 5]| Tokens {
            input, output, cache_read, cache_write_5m, cache_write_1h, reasoning: 0,
        };
        let _ = price("old", BEFORE, tokens(counts), Terms::of(Some("fast"), Some("us")));
        let dollars = |counts| price("old", BEFORE, tokens(counts), Terms::default()).unwrap();
        let parts = (0..5).map(|kind| {
            let mut one = [0; 5];
            one[kind] = small[kind];
            dollars(one)
        });
        prop_assert_eq!(parts.sum::<u64>(), dollars(small));
    }

    #[test]
    fn any_file_is_an_answer_never_a_panic(text in "[-a-z0-9:{}\\[\\], \n]{0,200}", at in 0..FILE.len(), with in "[ -~]") {
        let _ = parse(&text);
        let mut damaged = FILE.to_owned();
        if FILE.is_char_boundary(at) && FILE.is_char_boundary(at + 1) {
            damaged.replace_range(at..=at, &with);
        }
        let _ = parse(&damaged);
    }
}
