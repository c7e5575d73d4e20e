//! What every store must do, whichever database is below: run with a function that opens the same place again and
//! again, as restarts do.

use std::collections::BTreeMap;
use std::time::Duration;

use fleet_domain::fleet::{Happening, MassDeath, MassEnd, Restored, Transition};
use fleet_domain::ids::{RuntimeName, SessionId};
use fleet_domain::limits::{Reading, Source as LimitSource, WindowName};
use fleet_domain::observation::Source;
use fleet_domain::price::{Costs, Layer, Money, Table, parse};
use fleet_domain::readiness::{EvidenceSignal, State, StuckKind};
use fleet_domain::report::{By, Question};
use fleet_domain::time::Mono;
use fleet_domain::usage::{BUCKET_MS, Record, Terms, Tokens};
use fleet_domain::{AccountName, AgentKey, HostId, SocketName, TenantId, Wall};
use fleet_proto::convert::UsageBatch;

use super::{
    Bill, KEEP_TRANSITIONS, KEEP_WINDOWS, Numbered, Past, Place, SourceKey, Store, UsageWrite, Whose,
    WindowWrite, Write,
};

/// A day at which tests happen; a multiple of a bucket.
pub(crate) const T: i64 = 1_800_000 * BUCKET_MS;

pub(crate) fn conformance<S: Store>(fresh: impl Fn() -> Box<dyn Fn() -> S>) {
    records_and_cursor_become_durable_together(&*fresh());
    the_first_reader_owns_a_record(&*fresh());
    tenants_do_not_meet(&*fresh());
    usage_is_summed_by_what_is_asked_for(&*fresh());
    what_a_price_depends_on_is_kept(&*fresh());
    only_the_last_day_is_recent(&*fresh());
    transitions_keep_order_standing_and_counts(&*fresh());
    transitions_are_found_by_agent_time_and_number(&*fresh());
    deaths_of_many_stand_among_the_transitions(&*fresh());
    windows_survive_and_the_newest_replaces(&*fresh());
    what_was_spent_is_a_counter_that_no_later_price_moves(&*fresh());
    pruning_keeps_what_is_needed(&*fresh());
    extremes_are_kept_or_cut_never_refused(&*fresh());
}

pub(crate) fn key(session: &str) -> AgentKey {
    AgentKey::new(TenantId::new("me"), HostId::new("box"), SocketName::new("mosaic-fleet"), session)
}

pub(crate) fn record(id: &str, output: u64, at: i64) -> Record {
    Record {
        id: id.to_owned(),
        conversation: SessionId::new("c"),
        model: "m".to_owned(),
        at: Wall(at),
        tokens: Tokens { input: 3, output, ..Tokens::default() },
        sidechain: false,
        terms: Terms::default(),
        reported: None,
    }
}

pub(crate) fn usage(session: &str, source: &str, cursor: u8, records: Vec<Record>) -> UsageWrite {
    UsageWrite {
        tenant: TenantId::new("me"),
        host: HostId::new("box"),
        received: Wall(T),
        batch: UsageBatch {
            source: source.to_owned(),
            socket: SocketName::new("mosaic-fleet"),
            session: session.to_owned(),
            runtime: RuntimeName::new("claude").to_string(),
            account: "a".to_owned(),
            cursor: vec![cursor],
            records,
            unreadable: 0,
            requests: Vec::new(),
        },
    }
}

fn source(name: &str) -> SourceKey {
    SourceKey { tenant: TenantId::new("me"), host: HostId::new("box"), source: name.to_owned() }
}

pub(crate) fn restored<S: Store>(store: &mut S) -> BTreeMap<String, Restored> {
    let loaded = store.load(Wall(T)).unwrap();
    loaded.agents.into_iter().map(|restored| (restored.key.session.clone(), restored)).collect()
}

fn what_was_spent_is_a_counter_that_no_later_price_moves<S: Store>(open: &dyn Fn() -> S) {
    let table = |usd: u32| {
        let text = format!("version: 1\nmodels:\n  - {{model: m, input: 0, output: {usd}}}\n");
        Table(vec![Layer { origin: "x".to_owned(), book: parse(&text).unwrap() }])
    };
    let mut store = open();
    store.price_by(table(1));
    let unknown = Record { model: "x".to_owned(), ..record("r2", 5, T) };
    let records = vec![record("r1", 1_000_000, T), unknown];
    let booked = store.commit(&[Write::Usage(usage("a", "t", 1, records))]).unwrap();
    let usd = |usd: i128, unpriced| Bill { pico_usd: usd * 1_000_000_000_000, unpriced };
    assert_eq!(booked[0][0].spent, [("m".to_owned(), usd(1, 0))]);
    store.price_by(table(3));
    store.commit(&[Write::Usage(usage("a", "t", 2, vec![record("r3", 2_000_000, T)]))]).unwrap();
    drop(store);
    let kept = open().load(Wall(T)).unwrap().spent;
    let kept: BTreeMap<String, Bill> = kept.into_iter().map(|(_, model, spent)| (model, spent)).collect();
    assert_eq!(kept, [("m".to_owned(), usd(7, 0)), ("x".to_owned(), usd(0, 1))].into());
}

fn windows_survive_and_the_newest_replaces<S: Store>(open: &dyn Fn() -> S) {
    let reading = |used, source, at| Reading {
        account: AccountName::new("max-1"),
        provider: "anthropic".to_owned(),
        window: WindowName::parse("7d-opus").unwrap(),
        length: Some(Duration::from_secs(7 * 86_400)),
        used_ratio: used,
        resets_at: Some(Wall(T + 5)),
        observed_at: Wall(at),
        source,
    };
    let write = |reading| Write::Window(WindowWrite { tenant: TenantId::new("me"), reading });
    let mut store = open();
    let told = [
        reading(0.25, LimitSource::Statusline, T),
        reading(0.5, LimitSource::User, T),
        reading(0.75, LimitSource::Rollout, T + 1),
    ];
    store.commit(&told.clone().map(write)).unwrap();
    drop(store);
    let mut store = open();
    let kept = |store: &mut S| {
        store.load(Wall(T)).unwrap().windows.into_iter().map(|write| write.reading).collect::<Vec<_>>()
    };
    assert_eq!(kept(&mut store), [told[2].clone(), told[1].clone()]);
    store.prune(Wall(T).plus(KEEP_WINDOWS)).unwrap();
    assert_eq!(kept(&mut store).len(), 2);
    store.prune(Wall(T + 1).plus(KEEP_WINDOWS)).unwrap();
    assert_eq!(kept(&mut store), [told[2].clone()]);
}

fn records_and_cursor_become_durable_together<S: Store>(open: &dyn Fn() -> S) {
    let mut store = open();
    assert_eq!(store.cursor(&source("t")).unwrap(), None);
    let writes = [
        Write::Usage(usage("a", "t", 1, vec![record("r1", 5, T), record("r2", 7, T)])),
        Write::Usage(usage("a", "t", 2, vec![record("r1", 9, T)])),
        Write::Usage(usage("b", "u", 8, vec![])),
    ];
    let booked = store.commit(&writes).unwrap();
    let outputs: Vec<Vec<u64>> =
        booked.iter().map(|of| of.iter().map(|booked| booked.change.plus.tokens.output).collect()).collect();
    assert_eq!(outputs, [vec![5, 7], vec![9], vec![]]);
    assert_eq!(booked[1][0].change.minus.as_ref().unwrap().tokens.output, 5);
    drop(store);
    let mut store = open();
    assert_eq!(store.cursor(&source("t")).unwrap(), Some(vec![2]));
    assert_eq!(store.cursor(&source("u")).unwrap(), Some(vec![8]));
    let known = restored(&mut store);
    assert_eq!(known["a"].by_model["m"], Tokens { input: 6, output: 16, ..Tokens::default() });
    assert!(known["b"].by_model.is_empty());
    let again = store.commit(&writes).unwrap();
    assert!(again.iter().all(Vec::is_empty), "what is known changes nothing");
    assert_eq!(restored(&mut store)["a"].by_model["m"].output, 16);
}

fn the_first_reader_owns_a_record<S: Store>(open: &dyn Fn() -> S) {
    let mut store = open();
    store.commit(&[Write::Usage(usage("first", "t", 1, vec![record("r", 5, T)]))]).unwrap();
    drop(store);
    let mut store = open();
    let booked = store.commit(&[Write::Usage(usage("second", "u", 1, vec![record("r", 50, T)]))]).unwrap();
    assert_eq!(booked[0][0].owner, key("first"));
    let known = restored(&mut store);
    assert_eq!(known["first"].by_model["m"].output, 50);
    assert!(known["second"].by_model.is_empty());
}

fn usage_is_summed_by_what_is_asked_for<S: Store>(open: &dyn Fn() -> S) {
    let mut store = open();
    let day = 86_400_000;
    store
        .commit(&[
            Write::Usage(usage("a", "t", 1, vec![record("r1", 5, T), record("r2", 7, T + day)])),
            Write::Usage(usage("b", "u", 1, vec![record("r3", 9, T + day), record("r1", 6, T)])),
        ])
        .unwrap();
    let sums = |store: &mut S, question: &Question, limit: u32| {
        let (mut after, mut told) = (Place::default(), BTreeMap::new());
        loop {
            let page = store.summed(question, &Table::default(), &after, limit).unwrap();
            for (group, sum) in page.report.0 {
                let name = (group.agent.map(|agent| agent.session), group.day);
                let known: &mut (u64, u64) = told.entry(name).or_default();
                *known = (known.0 + sum.responses, known.1 + sum.tokens.output);
            }
            match page.next {
                Some(next) => after = next,
                None => return told.into_iter().collect::<Vec<_>>(),
            }
        }
    };
    let days = vec![Wall(T), Wall(T + day)];
    let by_both = Question { by: [By::Agent, By::Day].into_iter().collect(), days, ..Question::default() };
    let name = |name: &str| Some(name.to_owned());
    let expected = [
        ((name("a"), Some(Wall(T))), (1, 6)),
        ((name("a"), Some(Wall(T + day))), (1, 7)),
        ((name("b"), Some(Wall(T + day))), (1, 9)),
    ];
    for limit in [1, 2, 100] {
        assert_eq!(sums(&mut store, &by_both, limit), expected);
    }
    let late = Question { since: Wall(T + 1), ..Question::default() };
    assert_eq!(sums(&mut store, &late, 2), [((None, None), (2, 16))]);
}

/// Tokens alone do not make a price: the terms, the request's size and time do, and the runtime's own word before them.
fn what_a_price_depends_on_is_kept<S: Store>(open: &dyn Fn() -> S) {
    let mut store = open();
    let fast = Record { terms: Terms::of(Some("fast"), None), ..record("fast", 1, T) };
    let told = Record { reported: Some(Money(77)), ..record("told", 1, T) };
    let odd = Record { terms: Terms::of(Some("odd"), None), ..record("odd", 1, T) };
    let large = record("large", 10, T);
    let large = Record { tokens: Tokens { cache_read: 100, ..large.tokens }, ..large };
    let late = record("late", 1, T + 86_400_000);
    store.commit(&[Write::Usage(usage("a", "t", 1, vec![fast, told, odd, large, late]))]).unwrap();
    let from = Wall(T + 1).to_rfc3339();
    let book = format!(
        "version: 1
models:
  - model: m
    fast: 2
    prices:
      - {{input: 1, output: 10, tiers: [{{above: 100, input: 2, output: 20, cache_read: 1}}]}}
      - {{from: '{from}', input: 5, output: 5}}"
    );
    let book = parse(&book).unwrap();
    let table = Table(vec![Layer { origin: "test".to_owned(), book }]);
    let costs = |store: &mut S, table: &Table| {
        let summed = store.summed(&Question::default(), table, &Place::default(), 100).unwrap();
        summed.report.total().costs
    };
    let priced = (2 * (3 + 10) + (3 * 2 + 100 + 10 * 20) + (3 + 1) * 5) * 1_000_000;
    let expected =
        Costs { reported: Money(77), by_report: 1, priced: Money(priced), by_price: 3, unpriced: 1 };
    assert_eq!(costs(&mut store, &table), expected);
    let mut store = open_again(store, open);
    assert_eq!(costs(&mut store, &table), expected);
    let none = costs(&mut store, &Table::default());
    assert_eq!((none.known(), none.unpriced), (Some(Money(77)), 4));
}

fn tenants_do_not_meet<S: Store>(open: &dyn Fn() -> S) {
    let mut store = open();
    let mine = usage("a", "t", 1, vec![record("r", 5, T)]);
    let theirs = UsageWrite { tenant: TenantId::new("they"), ..usage("a", "t", 2, vec![record("r", 6, T)]) };
    let booked = store.commit(&[Write::Usage(mine), Write::Usage(theirs.clone())]).unwrap();
    assert_eq!(booked[1][0].owner, theirs.reader());
    assert_eq!(store.cursor(&source("t")).unwrap(), Some(vec![1]));
    assert_eq!(store.cursor(&theirs.source()).unwrap(), Some(vec![2]));
}

fn only_the_last_day_is_recent<S: Store>(open: &dyn Fn() -> S) {
    let mut store = open();
    let day = 24 * 3600 * 1000;
    let at = [T - 2 * day, T - 2, T - 1, T];
    let records = (0..).zip(at).map(|(n, at)| record(&format!("r{n}"), 10, at)).collect();
    store.commit(&[Write::Usage(usage("a", "t", 1, records))]).unwrap();
    // It moves to another quarter of an hour, as an earlier copy turns up.
    store.commit(&[Write::Usage(usage("a", "u", 1, vec![record("r3", 10, T - BUCKET_MS)]))]).unwrap();
    let known = &restored(&mut open_again(store, open))["a"];
    assert_eq!(known.by_model["m"].output, 40);
    let recent: Vec<(i64, u64)> = known.recent.iter().map(|(at, tokens)| (at.0 - T, tokens.output)).collect();
    let nonzero: Vec<(i64, u64)> = recent.into_iter().filter(|(_, output)| *output > 0).collect();
    assert_eq!(nonzero, [(-BUCKET_MS, 30)]);
}

fn open_again<S: Store>(store: S, open: &dyn Fn() -> S) -> S {
    drop(store);
    open()
}

pub(crate) fn transition(seq: u64, session: &str, from: Option<State>, to: State, at: i64) -> Write {
    let kind = (to == State::Stuck).then_some(StuckKind::Permission);
    let evidence = kind.map(|kind| EvidenceSignal {
        kind,
        line: "Allow? 1. Yes".to_owned(),
        source: Source::Screen,
        since: Some(Mono(5)),
        confirmed: Mono(6),
        until: None,
    });
    let reason = format!("because {seq}");
    Write::Happened(Numbered {
        seq,
        what: Happening::Transition(Transition {
            key: key(session),
            at: Wall(at),
            since: Wall(at - 1),
            from,
            to,
            kind,
            reason,
            evidence: evidence.into_iter().collect(),
        }),
    })
}

fn transitions_keep_order_standing_and_counts<S: Store>(open: &dyn Fn() -> S) {
    let mut store = open();
    assert_eq!(store.load(Wall(T)).unwrap().last_seq, 0);
    let (working, available) = (State::Working, State::Available);
    let writes = [
        transition(1, "a", None, working, T),
        transition(2, "b", None, available, T + 1),
        transition(3, "a", Some(working), available, T + 2),
        transition(4, "a", Some(available), working, T + 3),
        transition(5, "a", Some(working), available, T + 4),
        transition(6, "a", Some(available), State::Stuck, T + 5),
    ];
    store.commit(&writes[..3]).unwrap();
    store.commit(&writes[3..]).unwrap();
    let mut store = open_again(store, open);
    assert_eq!(store.load(Wall(T)).unwrap().last_seq, 6);
    let known = restored(&mut store);
    assert_eq!(known["a"].standing, Some((State::Stuck, Some(StuckKind::Permission), Wall(T + 4))));
    assert_eq!(known["b"].standing, Some((available, None, Wall(T))));
    let counts: Vec<u64> = known["a"].transitions.values().copied().collect();
    assert_eq!(known["a"].transitions[&(working, available)], 2);
    assert_eq!(counts.iter().sum::<u64>(), 4);
    assert!(known["b"].transitions.is_empty());
}

fn numbers(found: &[Numbered]) -> Vec<u64> {
    found.iter().map(|numbered| numbered.seq).collect()
}

fn deaths_of_many_stand_among_the_transitions<S: Store>(open: &dyn Fn() -> S) {
    let death = |seq, at, agents: &[&str], apart: Option<u64>| {
        let end = MassEnd {
            agents: agents.iter().map(|&name| name.to_owned()).collect(),
            apart: apart.map(Duration::from_millis),
        };
        let AgentKey { tenant, host, .. } = key("a");
        let what = Happening::MassDeath(MassDeath { tenant, host, at: Wall(at), end });
        Numbered { seq, what }
    };
    let (first, second) = (death(3, T + 3, &["a", "b", "c"], Some(1000)), death(5, T + 5, &["b", "d"], None));
    let mut store = open();
    let one = |seq, name| transition(seq, name, Some(State::Working), State::Dead, T + seq as i64);
    let writes = [
        one(1, "a"),
        one(2, "b"),
        Write::Happened(first.clone()),
        one(4, "e"),
        Write::Happened(second.clone()),
    ];
    store.commit(&writes).unwrap();
    drop(store);
    let mut store = open();
    assert_eq!(store.load(Wall(T + 9)).unwrap().last_seq, 5, "numbers are not given twice");
    let all = Past { since: Wall(0), up_to: u64::MAX, whose: None };
    let found = store.transitions(&all, 0, 10).unwrap();
    assert_eq!(numbers(&found), [1, 2, 3, 4, 5]);
    assert_eq!((&found[2], &found[4]), (&first, &second));
    assert_eq!(numbers(&store.transitions(&all, 1, 2).unwrap()), [2, 3]);
    let of = |whose| Past { whose: Some(whose), ..all.clone() };
    assert_eq!(numbers(&store.transitions(&of(Whose::Agent(key("a"))), 0, 10).unwrap()), [1, 3]);
    assert_eq!(numbers(&store.transitions(&of(Whose::Session("d".to_owned())), 0, 10).unwrap()), [5]);
    store.prune(Wall(T + 4).plus(KEEP_TRANSITIONS)).unwrap();
    assert!(!numbers(&store.transitions(&all, 0, 10).unwrap()).contains(&3));
}

fn transitions_are_found_by_agent_time_and_number<S: Store>(open: &dyn Fn() -> S) {
    let mut store = open();
    let names = ["a", "b", "a", "b", "a"];
    let writes: Vec<Write> = (1..)
        .zip(names)
        .map(|(seq, name)| transition(seq, name, Some(State::Working), State::Stuck, T + seq as i64))
        .collect();
    store.commit(&writes).unwrap();
    let all = Past { since: Wall(0), up_to: u64::MAX, whose: None };
    let found = store.transitions(&all, 0, 10).unwrap();
    assert_eq!(numbers(&found), [1, 2, 3, 4, 5]);
    let Happening::Transition(told) = &found[0].what else { panic!("{found:?}") };
    assert_eq!(
        (told.since, told.reason.as_str(), told.evidence[0].line.as_str()),
        (Wall(T), "because 1", "Allow? 1. Yes")
    );
    assert_eq!(numbers(&store.transitions(&all, 2, 2).unwrap()), [3, 4]);
    let late = Past { since: Wall(T + 4), ..all.clone() };
    assert_eq!(numbers(&store.transitions(&late, 0, 10).unwrap()), [4, 5]);
    assert!(store.transitions(&Past { since: Wall(T + 9), ..all.clone() }, 0, 10).unwrap().is_empty());
    let until = Past { up_to: 3, ..all.clone() };
    assert_eq!(numbers(&store.transitions(&until, 0, 10).unwrap()), [1, 2, 3]);
    let own = Past { whose: Some(Whose::Agent(key("b"))), ..all.clone() };
    assert_eq!(numbers(&store.transitions(&own, 0, 10).unwrap()), [2, 4]);
    let named = Past { whose: Some(Whose::Session("a".to_owned())), ..all.clone() };
    assert_eq!(numbers(&store.transitions(&named, 0, 10).unwrap()), [1, 3, 5]);
    let nobody = Past { whose: Some(Whose::Session("nobody".to_owned())), ..all.clone() };
    assert!(store.transitions(&nobody, 0, 10).unwrap().is_empty());
    assert_eq!(store.skip_to_latest(&all, 2).unwrap(), 3);
    assert_eq!(store.skip_to_latest(&named, 1).unwrap(), 3);
    assert_eq!(store.skip_to_latest(&all, 9).unwrap(), 0);
}

fn pruning_keeps_what_is_needed<S: Store>(open: &dyn Fn() -> S) {
    let mut store = open();
    let writes = [
        transition(1, "a", None, State::Working, T),
        transition(2, "a", Some(State::Working), State::Available, T + 1),
        transition(3, "b", None, State::Working, T + 2),
        Write::Usage(usage("a", "t", 1, vec![record("r", 5, T)])),
    ];
    store.commit(&writes).unwrap();
    let later = Wall(T + 10).plus(KEEP_TRANSITIONS);
    assert!(store.prune(later).unwrap() >= 2);
    let mut store = open_again(store, open);
    let all = Past { since: Wall(0), up_to: u64::MAX, whose: None };
    assert_eq!(numbers(&store.transitions(&all, 0, 10).unwrap()), [2, 3]);
    let known = store.load(later).unwrap().agents;
    let a = known.iter().find(|restored| restored.key == key("a")).unwrap();
    assert_eq!(a.standing.unwrap().0, State::Available);
    assert_eq!(a.transitions[&(State::Working, State::Available)], 1, "counters never go back");
    assert_eq!((a.by_model["m"].output, a.recent.len()), (5, 0));
    assert_eq!(store.cursor(&source("t")).unwrap(), Some(vec![1]));
}

fn extremes_are_kept_or_cut_never_refused<S: Store>(open: &dyn Fn() -> S) {
    let mut store = open();
    let huge = |id: &str, at| Record {
        tokens: Tokens { input: u64::MAX, output: u64::MAX, ..Tokens::default() },
        model: "мo\u{0}del".to_owned(),
        ..record(id, 0, at)
    };
    let records = vec![huge("x", i64::MIN), huge("y", i64::MAX), huge("z", T), huge("z'", T)];
    store.commit(&[Write::Usage(usage("a", "t", 1, records))]).unwrap();
    store.commit(&[transition(u64::MAX, "a", None, State::Dead, i64::MAX)]).unwrap();
    let known = restored(&mut open_again(store, open));
    assert_eq!(known["a"].by_model.values().next().unwrap().output, i64::MAX as u64);
}
