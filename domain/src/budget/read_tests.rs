use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::price::Money;

const NOON: &str = "2026-11-21T12:00:00Z";

const WHOLE: &str = "version: 1
zone: Berlin
enforce: true
hold: 5m
estimate: 80k
accounts:
  - name: max-1
    provider: anthropic
    kind: subscription
    classes: [implementer]
    concurrency: 4
    windows:
      - {name: 5h, rolling: true}
      - {name: 7d, every: 7d, reset_at: 2026-11-24T09:00, limit: 500M}
  - name: api-1
    provider: openai
    kind: api
    agents: [coder0]
    models: [codex]
ceilings:
  - {account: api-1, per: month, hard: $500, soft: 80%}
  - {agent: '*', per: day, hard: 20M}
  - {class: implementer, concurrency: 8}
ladder:
  steps: [downgrade, queue]
  models: [anthropic/opus, anthropic/haiku, openai/codex]
";

fn zones(name: &str) -> Option<TimeZone> {
    match name {
        "Berlin" => TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").ok(),
        "UTC" => Some(TimeZone::UTC),
        _ => None,
    }
}

fn read(text: &str) -> Result<Config, Vec<Problem>> {
    parse(text, &TimeZone::UTC, &zones, Wall::parse_rfc3339(NOON).unwrap())
}

fn mistakes(text: &str) -> Vec<String> {
    read(text).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn a_budget_is_read_as_it_stands() {
    let config = read(WHOLE).unwrap();
    assert!(config.enforce);
    assert_eq!((config.hold, config.estimate), (Duration::from_secs(300), 80_000));
    let [max, api] = config.accounts.as_slice() else { panic!("{config:?}") };
    assert_eq!((max.kind, max.concurrency, api.kind), (Kind::Subscription, Some(4), Kind::Api));
    assert_eq!(max.windows[0].schedule, Some(Schedule::Rolling(Duration::from_secs(18_000))));
    let weekly = &max.windows[1];
    assert_eq!(weekly.limit, Some(Amount::Tokens(500_000_000)));
    let window = weekly.schedule.as_ref().unwrap().around(Wall::parse_rfc3339(NOON).unwrap(), None);
    assert_eq!(window.ends.to_rfc3339(), "2026-11-24T08:00:00Z");
    assert_eq!(config.ceilings[0].soft, Some(Amount::Dollars(Money(400_000_000_000_000))));
    assert_eq!(config.ceilings[1].title(), "agent * per day");
    assert_eq!(config.ladder.rungs.len(), 3);
    assert!(!config.ladder.has(Step::Refuse));
    assert_eq!(config.account_of("coder0", "implementer", None).unwrap().name, "api-1");
    assert_eq!(config.account_of("other", "implementer", None).unwrap().name, "max-1");
    assert!(config.account_of("other", "reviewer", None).is_none());
    assert_eq!(read("version: 1").unwrap(), Config::default());
}

#[test]
fn every_mistake_is_told_with_its_line_and_key() {
    let told = mistakes(
        "version: 2
enforce: maybe
hold: -5m
accounts:
  - name: a
    provider: x
    kind: gift
    windows:
      - {name: 5h, limit: -3M}
      - {name: five, length: 5h}
      - {name: 7d, reset_at: 2026-11-20T09:00}
      - {name: 5h, length: 1h}
      - {name: odd}
      - {every: 1d}
      - {name: roll, length: 2h, rolling: true, every: 2h}
  - name: a
    provider: y
    concurency: 3
ceilings:
  - {account: aa, hard: $0}
  - {hard: 1M}
  - {agent: c, hard: 1M, soft: $1}
  - {agent: d, per: year, hard: 99999999G}
  - {tenant: t}
ladder: {steps: [queue, downgrade, pray], models: [openai/codex, opus, opus]}
",
    );
    let text = told.join("\n");
    for part in [
        "line 1: version: this program reads version 1",
        "line 2: enforce: `true` or `false` is wanted here",
        "line 3: hold: a span of time is wanted here",
        "line 7: accounts[0].kind: `subscription` or `api`",
        "line 9: accounts[0].windows[0].limit: tokens above zero are wanted here",
        "line 10: accounts[0].windows[1]: it overlaps window `5h` in line 9",
        "line 11: accounts[0].windows[2].reset_at: this reset is in the past",
        "line 12: accounts[0].windows[3]: window `5h` stands already in line 9",
        "line 13: accounts[0].windows[4]: how long is it?",
        "line 14: accounts[0].windows[5]: `every` wants a `reset_at`",
        "line 15: accounts[0].windows[6]: a rolling window begins with its first use",
        "line 16: accounts[1].name: account `a` stands already in line 5",
        "line 18: accounts[1].concurency: unknown key; did you mean `concurrency`?",
        "line 20: ceilings[0].account: no account of this file has account `aa`; did you mean `a`?",
        "line 20: ceilings[0].hard: an amount above zero",
        "line 21: ceilings[1]: over what? exactly one of tenant, provider",
        "line 22: ceilings[2].soft: `soft` is of another unit",
        "line 23: ceilings[3].per: `day`, `week` or `month`",
        "line 23: ceilings[3].hard: ",
        "line 24: ceilings[4]: at least one of",
        "line 25: ladder.steps: the order is downgrade, queue, refuse",
        "line 25: ladder.steps: `downgrade`, `queue` or `refuse` is wanted here, not `pray`",
        "line 25: ladder.models: no account of this file has provider `openai`",
        "line 25: ladder.models: `opus` stands here twice",
    ] {
        assert!(text.contains(part), "{part}\nis not in\n{text}");
    }
}

#[test]
fn an_unknown_zone_is_told() {
    assert_eq!(mistakes("version: 1\nzone: Mars/Base").len(), 1);
}

proptest! {
    #[test]
    fn a_file_cut_anywhere_is_answered(cut in 0usize..900) {
        let cut = (0..=cut.min(WHOLE.len())).rev().find(|at| WHOLE.is_char_boundary(*at)).unwrap_or(0);
        if let Ok(config) = read(&WHOLE[..cut]) {
            prop_assert!(config.accounts.len() <= 2 && config.ceilings.len() <= 3);
        }
    }

    #[test]
    fn any_text_is_answered(text in "(?s).{0,200}") {
        let _ = read(&text);
    }
}
