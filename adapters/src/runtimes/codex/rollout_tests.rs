use std::collections::BTreeMap;

use fleet_domain::usage::merge;
use proptest::prelude::*;

use super::*;

const RECORD: &str = r#"{"timestamp":"2026-11-21T10:05:02.871Z","ordinal":12,"type":"token_usage_record","payload":{"thread_id":"t1","response_id":"resp_0003","usage":{"input_tokens":3200,"cached_input_tokens":3000,"cache_write_input_tokens":50,"output_tokens":33,"reasoning_output_tokens":10,"total_tokens":3233},"thread_token_usage":{"input_tokens":5400,"cached_input_tokens":5000,"cache_write_input_tokens":100,"output_tokens":65,"reasoning_output_tokens":20,"total_tokens":5465}}}"#;

fn meta(id: &str, more: &str) -> String {
    format!(
        r#"{{"timestamp":"2026-06-01T10:00:00.000Z","type":"session_meta","payload":{{"id":"{id}"{more},"cwd":"/w"}}}}"#
    )
}

fn forked(id: &str, from: &str) -> String {
    meta(id, &format!(r#","forked_from_id":"{from}""#))
}

/// A counter at `total` after a step of `last`: only input and output are told apart.
fn counter(second: u32, total: (u64, u64), last: (u64, u64)) -> String {
    let usage =
        |(input, output): (u64, u64)| format!(r#"{{"input_tokens":{input},"output_tokens":{output}}}"#);
    format!(
        r#"{{"timestamp":"2026-06-01T10:00:{second:02}.000Z","type":"event_msg","payload":{{"type":"token_count","info":{{"total_token_usage":{},"last_token_usage":{}}}}}}}"#,
        usage(total),
        usage(last)
    )
}

fn sum<'a>(files: impl IntoIterator<Item = &'a [String]>) -> (u64, u64, usize) {
    let mut known: BTreeMap<String, Record> = BTreeMap::new();
    for file in files {
        let mut reader = Reader::new();
        for line in file {
            let read = reader.line(line.as_bytes(), &mut |record| {
                if let Some(change) = merge(known.get(&record.id), &record) {
                    known.insert(record.id, change.plus);
                }
            });
            assert_eq!(read, Line::Understood, "{line}");
        }
    }
    let total = |of: fn(&Tokens) -> u64| known.values().map(|record| of(&record.tokens)).sum();
    (total(|tokens| tokens.input), total(|tokens| tokens.output), known.len())
}

fn steps(upto: u64) -> Vec<String> {
    (1..=upto).map(|n| counter(n as u32, (100 * n, 10 * n), (100, 10))).collect()
}

#[test]
fn a_record_has_its_cache_taken_out_and_its_model_from_the_turn() {
    let mut reader = Reader::new();
    let mut records = Vec::new();
    let turn = r#"{"timestamp":"2026-11-21T10:05:02.471Z","type":"turn_context","payload":{"model":"gpt-5.5","cwd":"/w"}}"#;
    for line in [&meta("t1", ""), turn, RECORD, RECORD] {
        assert_eq!(reader.line(line.as_bytes(), &mut |record| records.push(record)), Line::Understood);
    }
    assert_eq!(records[0], records[1]);
    let expected = Tokens {
        input: 150,
        cache_read: 3000,
        cache_write_5m: 50,
        output: 33,
        reasoning: 10,
        cache_write_1h: 0,
    };
    assert_eq!((records[0].tokens, records[0].model.as_str()), (expected, "gpt-5.5"));
    assert_eq!((records[0].id.as_str(), records[0].conversation.as_str()), ("codex:t1:resp_0003", "t1"));
}

#[test]
fn a_counter_repeated_or_after_a_compaction_spends_nothing() {
    let mut file = vec![meta("p", "")];
    file.extend(steps(3));
    file.push(counter(4, (300, 30), (100, 10)));
    file.push(counter(5, (300, 30), (0, 0)));
    file.push(counter(6, (400, 40), (100, 10)));
    assert_eq!(sum([&file[..]]), (400, 40, 4));
}

#[test]
fn a_reset_counts_from_the_last_step_and_a_full_context_counts_nothing() {
    let file = [
        meta("p", ""),
        counter(1, (1000, 100), (1000, 100)),
        counter(2, (0, 0), (0, 0)),
        counter(3, (50, 5), (50, 5)),
        counter(4, (20, 2), (20, 2)),
    ];
    assert_eq!(sum([&file[..]]), (1070, 107, 3));
}

#[test]
fn steps_that_are_missing_are_in_the_total() {
    let file = [meta("p", ""), counter(1, (100, 10), (100, 10)), counter(2, (400, 40), (100, 10))];
    assert_eq!(sum([&file[..]]), (400, 40, 2));
}

#[test]
fn interleaved_lineages_are_told_apart() {
    let file = [
        meta("p", ""),
        counter(1, (1000, 100), (1000, 100)),
        counter(2, (50, 5), (50, 5)),
        counter(3, (1100, 110), (100, 10)),
        counter(4, (80, 8), (30, 3)),
        counter(5, (1100, 110), (100, 10)),
    ];
    assert_eq!(sum([&file[..]]), (1180, 118, 4));
}

#[test]
fn a_paginated_fork_does_not_pay_for_its_parent() {
    let base = r#","forked_from_id":"p","history_base":{"thread_id":"p","end_ordinal_exclusive":40}"#;
    let fork = [meta("f", base), counter(1, (15_800, 135), (6_200, 36)), counter(2, (16_000, 140), (200, 5))];
    assert_eq!(sum([&fork[..]]), (6_400, 41, 2));
    let twin = [meta("g", base), counter(1, (15_800, 135), (6_200, 36))];
    assert_eq!(sum([&fork[..], &twin[..]]), (12_600, 77, 3));
}

/// The parent, two forks of it, and a fork of the first fork, each with the copied beginning and a step of its own.
fn family() -> [Vec<String>; 4] {
    let own = |n: u64, by: u64| counter(50, (100 * n + by, 10 * n + 1), (by, 1));
    let parent: Vec<String> = [vec![meta("p", "")], steps(5)].concat();
    let first = [vec![forked("a", "p")], parent.clone(), vec![own(5, 7)]].concat();
    let second = [vec![forked("b", "p"), meta("p", "")], steps(3), vec![own(3, 9)]].concat();
    let nested = [vec![forked("c", "a")], first.clone(), vec![counter(55, (600, 60), (93, 9))]].concat();
    [parent, first, second, nested]
}

#[test]
fn copies_count_once_with_and_without_their_parent() {
    let [parent, first, second, nested] = family();
    let all = (500 + 7 + 9 + 93, 50 + 1 + 1 + 9, 8);
    assert_eq!(sum([&parent[..], &first, &second, &nested]), all);
    assert_eq!(sum([&nested[..], &second, &first, &parent]), all);
    assert_eq!(sum([&second[..], &nested]), all);
    assert_eq!(sum([&first[..]]), (507, 51, 6));
}

#[test]
fn threads_that_merely_look_alike_are_two() {
    let one: Vec<String> = [vec![meta("p", "")], steps(3)].concat();
    let other: Vec<String> = [vec![meta("q", "")], steps(3)].concat();
    assert_eq!(sum([&one[..], &other]), (600, 60, 6));
}

#[test]
fn a_lineage_told_from_outside_joins_a_fork_that_names_only_its_parent() {
    let copied: Vec<String> = [vec![forked("c", "a")], steps(2)].concat();
    let mut ids = Vec::new();
    for mut reader in [Reader::of_lineage("p"), Reader::new()] {
        let mut seen = Vec::new();
        for line in &copied {
            reader.line(line.as_bytes(), &mut |record| seen.push(record.id));
        }
        ids.push(seen);
    }
    assert!(ids[0][0].starts_with("codex:p:") && ids[1][0].starts_with("codex:a:"));
}

#[test]
fn a_thread_that_outlived_an_upgrade_counts_both_its_halves_once() {
    let before = [meta("t1", ""), counter(1, (2200, 32), (2200, 32))];
    let record = RECORD.replace("\"cached_input_tokens\":5000,\"cache_write_input_tokens\":100,", "");
    let file: Vec<String> = [&before[..], std::slice::from_ref(&record)].concat();
    assert_eq!(sum([&file[..]]).1, 65);
    // The same with the response's own counter first: the two are one.
    let doubled = record.replace("\"reasoning_output_tokens\":20,", "");
    let file: Vec<String> = [&before[..], &[counter(2, (5400, 65), (3200, 33)), doubled]].concat();
    assert_eq!((sum([&file[..]]).1, sum([&file[..]]).2), (65, 2));
}

#[test]
fn what_should_be_readable_and_is_not_is_counted() {
    let mut reader = Reader::new();
    for line in [RECORD.replace("3200", "-1"), RECORD.replace("\"response_id\":\"resp_0003\",", "")] {
        assert_eq!(reader.line(line.as_bytes(), &mut |_| {}), Line::Unreadable);
    }
    let limits = r#"{"timestamp":"2026-11-21T10:05:36.135Z","type":"event_msg","payload":{"type":"token_count","info":null,"rate_limits":{}}}"#;
    assert_eq!(reader.line(limits.as_bytes(), &mut |_| {}), Line::Understood);
}

proptest! {
    #[test]
    fn any_line_is_an_answer_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Reader::new().line(&bytes, &mut |_| {});
        let _ = Reader::resume(&bytes);
    }

    #[test]
    fn any_damage_is_an_answer_never_a_panic(at in 0..RECORD.len(), with in any::<u8>()) {
        let mut line = RECORD.as_bytes().to_vec();
        line[at] = with;
        let _ = Reader::new().line(&line, &mut |_| {});
    }

    #[test]
    fn any_counters_are_an_answer_never_a_panic(
        totals in proptest::collection::vec((any::<u64>(), any::<u64>(), any::<u64>()), 0..20),
    ) {
        let mut reader = Reader::new();
        for (input, output, last) in totals {
            reader.line(counter(1, (input, output), (last, last)).as_bytes(), &mut |_| {});
            prop_assert!(reader.state().is_some());
        }
    }

    /// A reader put away at any line and taken up again goes on as if nothing had happened.
    #[test]
    fn a_reader_resumes_where_it_was(cuts in proptest::collection::vec(any::<bool>(), 16), which in 0usize..4) {
        let file = &family()[which];
        let (mut whole, mut cut) = (Reader::new(), Reader::new());
        for (line, put_away) in file.iter().zip(cuts.iter().cycle()) {
            let (mut one, mut other) = (Vec::new(), Vec::new());
            whole.line(line.as_bytes(), &mut |record| one.push(record));
            cut.line(line.as_bytes(), &mut |record| other.push(record));
            prop_assert_eq!(one, other);
            if *put_away {
                cut = Reader::resume(&cut.state().unwrap()).unwrap();
            }
        }
    }
}
