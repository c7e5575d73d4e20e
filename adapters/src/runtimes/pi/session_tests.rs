use proptest::prelude::*;

use super::*;

const ANSWER: &str = r#"{"type":"message","id":"34314caf","parentId":"6e2ba6df","timestamp":"2026-11-21T10:13:51.323Z","message":{"role":"assistant","content":[{"type":"text","text":"x"}],"provider":"p","model":"fake-claude","usage":{"input":20,"output":210,"cacheRead":10000,"cacheWrite":300,"cacheWrite1h":100,"reasoning":7,"totalTokens":10530,"cost":{"total":0.007335}},"stopReason":"stop","responseId":"msg_0010"}}"#;

fn read(lines: &[&str]) -> (Vec<Record>, u64) {
    let (mut reader, mut records, mut bad) = (Reader::new(), Vec::new(), 0);
    for line in lines {
        bad +=
            u64::from(reader.line(line.as_bytes(), &mut |record| records.push(record)) == Line::Unreadable);
    }
    (records, bad)
}

#[test]
fn an_answer_has_its_kinds_and_the_same_identity_in_a_fork() {
    let parent =
        r#"{"type":"session","version":3,"id":"s1","timestamp":"2026-11-21T10:13:51.185Z","cwd":"/w"}"#;
    let (records, bad) = read(&[parent, ANSWER, &parent.replace("s1", "s2"), ANSWER]);
    assert_eq!(bad, 0);
    assert_eq!((records[0].conversation.as_str(), records[1].conversation.as_str()), ("s1", "s2"));
    assert_eq!(records[0].id, records[1].id);
    let expected = Tokens {
        input: 20,
        cache_read: 10_000,
        cache_write_5m: 200,
        cache_write_1h: 100,
        output: 210,
        reasoning: 7,
    };
    assert_eq!((records[0].tokens, records[0].model.as_str()), (expected, "fake-claude"));
}

#[test]
fn usage_counts_wherever_it_stands() {
    let usage = r#""timestamp":"2026-11-21T10:14:00.000Z","usage":{"input":1,"output":2,"cacheRead":0,"cacheWrite":0}"#;
    let (records, bad) = read(&[
        r#"{"type":"model_change","id":"m","timestamp":"2026-11-21T10:13:51.201Z","provider":"p","modelId":"pi-model"}"#,
        &format!(r#"{{"type":"compaction","id":"c",{usage}}}"#),
        &format!(r#"{{"type":"branch_summary","id":"b",{usage}}}"#),
        &format!(r#"{{"type":"usage","kind":"cache_warm","id":"u","model":"warm",{usage}}}"#),
        r#"{"type":"message","id":"t","timestamp":"2026-11-21T10:14:01.000Z","message":{"role":"toolResult","usage":{"input":5,"output":6}}}"#,
        r#"{"type":"message","id":"e","timestamp":"2026-11-21T10:14:01.000Z","message":{"role":"assistant","stopReason":"error","usage":{"input":0,"output":0}}}"#,
        &format!(r#"{{"type":"usage",{usage}}}"#),
    ]);
    assert_eq!(bad, 0);
    let told: Vec<(&str, u64)> =
        records.iter().map(|record| (record.model.as_str(), record.tokens.output)).collect();
    assert_eq!(told, [("pi-model", 2), ("pi-model", 2), ("warm", 2), ("pi-model", 6), ("pi-model", 2)]);
    let ids: std::collections::BTreeSet<&str> = records.iter().map(|record| record.id.as_str()).collect();
    assert_eq!(ids.len(), 5);
}

#[test]
fn damage_is_counted() {
    assert_eq!(read(&[&ANSWER.replace("210", "-210"), &ANSWER[..ANSWER.len() - 1]]).1, 2);
    assert_eq!(read(&["not json", r#"{"type":"message","message":{"content":"\"usage\""}}"#]).1, 0);
}

proptest! {
    #[test]
    fn any_line_is_an_answer_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Reader::new().line(&bytes, &mut |_| {});
    }

    #[test]
    fn any_damage_is_an_answer_never_a_panic(at in 0..ANSWER.len(), with in any::<u8>()) {
        let mut line = ANSWER.as_bytes().to_vec();
        line[at] = with;
        let _ = Reader::new().line(&line, &mut |_| {});
    }
}
