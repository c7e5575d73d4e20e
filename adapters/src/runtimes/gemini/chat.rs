//! A recorded Gemini chat, pure. A message is appended again, whole, whenever it grew: its id is its identity. What was
//! rewound was paid for all the same.

use std::borrow::Cow;

use fleet_domain::SessionId;
use fleet_domain::text;
use fleet_domain::time::Wall;
use fleet_domain::usage::{Record, Terms, Tokens};
use memchr::memmem;
use serde::{Deserialize, Serialize};

use crate::runtimes::usage::Line;

/// Reads one chat, line after line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reader {
    #[serde(rename = "s")]
    session: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    #[serde(borrow, default)]
    session_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    timestamp: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    model: Option<Cow<'a, str>>,
    #[serde(default)]
    tokens: Option<Counts>,
    /// The older form: one document with all messages.
    #[serde(borrow, default)]
    messages: Vec<Row<'a>>,
}

/// `input` includes what came from the cache; thoughts and tool prompts stand beside the rest.
#[derive(Deserialize, Clone, Copy)]
struct Counts {
    #[serde(default)]
    input: Option<u64>,
    #[serde(default)]
    output: Option<u64>,
    #[serde(default)]
    cached: Option<u64>,
    #[serde(default)]
    thoughts: Option<u64>,
    #[serde(default)]
    tool: Option<u64>,
}

impl Counts {
    fn tokens(self) -> Tokens {
        let cached = self.cached.unwrap_or(0);
        let thoughts = self.thoughts.unwrap_or(0);
        let fresh = self.input.unwrap_or(0).saturating_sub(cached);
        Tokens {
            input: fresh.saturating_add(self.tool.unwrap_or(0)),
            cache_read: cached,
            cache_write_5m: 0,
            cache_write_1h: 0,
            output: self.output.unwrap_or(0).saturating_add(thoughts),
            reasoning: thoughts,
        }
    }
}

impl Reader {
    pub fn new() -> Self {
        Self::default()
    }

    /// What must be remembered beside the position.
    pub fn state(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(self).ok()
    }

    pub fn resume(state: &[u8]) -> Option<Self> {
        serde_json::from_slice(state).ok()
    }

    /// One line of a chat, or the whole of an older chat's one document.
    pub fn line(&mut self, line: &[u8], emit: &mut dyn FnMut(Record)) -> Line {
        const WORDS: [&[u8]; 2] = [b"\"tokens\"", b"\"sessionId\""];
        if !WORDS.iter().any(|word| memmem::find(line, word).is_some()) {
            return Line::Understood;
        }
        let Ok(row) = serde_json::from_slice::<Row<'_>>(line) else { return Line::Unreadable };
        if let Some(session) = &row.session_id {
            self.session = text::clean(session, 128);
        }
        let all = row.messages.iter().chain(std::iter::once(&row));
        all.map(|row| self.message(row, emit)).fold(Line::Understood, |sum, line| match line {
            Line::Unreadable => line,
            Line::Understood => sum,
        })
    }

    fn message(&self, row: &Row<'_>, emit: &mut dyn FnMut(Record)) -> Line {
        let Some(tokens) = row.tokens.map(Counts::tokens).filter(|tokens| !tokens.is_zero()) else {
            return Line::Understood;
        };
        if row.kind.as_deref() != Some("gemini") {
            return Line::Understood;
        }
        let id = row.id.as_deref().filter(|id| !id.is_empty());
        let (Some(id), Some(at)) = (id, row.timestamp.as_deref().and_then(Wall::parse_rfc3339)) else {
            return Line::Unreadable;
        };
        emit(Record {
            id: format!("gemini:{}", text::clean(id, 128)),
            conversation: SessionId::new(&self.session),
            model: text::clean(row.model.as_deref().unwrap_or_default(), 100),
            at,
            tokens,
            sidechain: false,
            terms: Terms::default(),
            reported: None,
        });
        Line::Understood
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ANSWER: &str = r#"{"id":"a1","timestamp":"2026-08-21T10:00:01.000Z","type":"gemini","content":"x","model":"gemini-3-pro","tokens":{"input":1000,"output":50,"cached":800,"thoughts":20,"tool":5,"total":1075}}"#;

    fn read(text: &str) -> (Vec<Record>, u64) {
        let (mut reader, mut records, mut bad) = (Reader::new(), Vec::new(), 0);
        for line in text.lines() {
            bad += u64::from(
                reader.line(line.as_bytes(), &mut |record| records.push(record)) == Line::Unreadable,
            );
        }
        (records, bad)
    }

    #[test]
    fn cache_is_taken_out_of_the_input_and_thoughts_are_added_to_the_output() {
        let head = r#"{"sessionId":"s1","projectHash":"h","startTime":"2026-08-21T10:00:00.000Z"}"#;
        let (records, bad) = read(&format!("{head}\n{ANSWER}\n{ANSWER}\n{{\"$rewindTo\":\"a1\"}}\n"));
        assert_eq!((records.len(), bad), (2, 0));
        assert_eq!(records[0], records[1]);
        let expected = Tokens { input: 205, cache_read: 800, output: 70, reasoning: 20, ..Tokens::default() };
        assert_eq!((records[0].tokens, records[0].id.as_str()), (expected, "gemini:a1"));
        assert_eq!(records[0].conversation.as_str(), "s1");
    }

    #[test]
    fn the_older_form_is_one_document() {
        let (records, bad) =
            read(&format!(r#"{{"sessionId":"s1","messages":[{ANSWER},{{"type":"user"}}]}}"#));
        assert_eq!((records.len(), bad), (1, 0));
    }

    proptest! {
        #[test]
        fn any_damage_is_an_answer_never_a_panic(at in 0..ANSWER.len(), with in any::<u8>()) {
            let mut line = ANSWER.as_bytes().to_vec();
            line[at] = with;
            let _ = Reader::new().line(&line, &mut |_| {});
        }

        #[test]
        fn any_line_is_an_answer_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Reader::new().line(&bytes, &mut |_| {});
        }
    }
}
