//! What a line of a Claude Code transcript bills: the response itself, and beside it the advisor's, whom the turn asked
//! and whose tokens the response's own totals leave out.

use std::borrow::Cow;

use fleet_domain::text;
use fleet_domain::usage::Record;
use memchr::memmem;
use serde::Deserialize;

use super::transcript::{Row, Usage, parse};
use crate::runtimes::usage::Line;

#[derive(Deserialize)]
struct Advised<'a> {
    #[serde(borrow)]
    message: Message<'a>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    usage: Iterations<'a>,
}

#[derive(Deserialize)]
struct Iterations<'a> {
    #[serde(borrow, default)]
    iterations: Option<Vec<Iteration<'a>>>,
}

#[derive(Deserialize)]
struct Iteration<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow, flatten)]
    usage: Usage<'a>,
}

/// All that one line bills. Needs no memory of the lines before it.
pub fn line(line: &[u8], emit: &mut dyn FnMut(Record)) -> Line {
    // Most bytes of a transcript are what tools answered: a row that tells no usage is only looked at for being whole.
    if memmem::find(line, b"\"usage\"").is_none() {
        return if is_whole(line) { Line::Understood } else { Line::Unreadable };
    }
    match parse(line) {
        Row::Response(record) => {
            let advised = advisors(line, &record, emit);
            emit(record);
            advised
        }
        Row::Unreadable => Line::Unreadable,
        Row::Failed(_) | Row::Prompted | Row::Other => Line::Understood,
    }
}

/// It begins and ends as a row does: one that was cut in the middle, or is something else, does not.
fn is_whole(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    line.is_empty() || (line.starts_with(b"{") && line.ends_with(b"}"))
}

fn advisors(line: &[u8], response: &Record, emit: &mut dyn FnMut(Record)) -> Line {
    if memmem::find(line, b"\"advisor_message\"").is_none() {
        return Line::Understood;
    }
    let Ok(row) = serde_json::from_slice::<Advised<'_>>(line) else { return Line::Unreadable };
    let iterations = row.message.usage.iterations.unwrap_or_default();
    let asked = iterations.iter().filter(|iteration| iteration.kind.as_deref() == Some("advisor_message"));
    for (index, iteration) in asked.enumerate() {
        emit(Record {
            id: format!("{}#advisor{index}", text::clean(&response.id, 240)),
            model: text::clean(iteration.model.as_deref().unwrap_or_default(), 100),
            tokens: iteration.usage.tokens(),
            terms: iteration.usage.terms(),
            // The response's own figure; whether it holds the advisor's nobody says.
            reported: None,
            ..response.clone()
        });
    }
    Line::Understood
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleet_domain::usage::Tokens;

    const ADVISED: &str = r#"{"type":"assistant","sessionId":"s","timestamp":"2026-11-21T10:16:58.932Z","advisorModel":"claude-opus-5","message":{"id":"msg_1","model":"claude-sonnet-5","usage":{"input_tokens":2,"output_tokens":491,"cache_read_input_tokens":226584,"cache_creation_input_tokens":7853,"iterations":[{"type":"message","input_tokens":1,"output_tokens":45},{"type":"advisor_message","model":"claude-opus-5","input_tokens":159419,"output_tokens":7805,"cache_read_input_tokens":0,"cache_creation_input_tokens":0},{"type":"message","input_tokens":1,"output_tokens":446}]}}}"#;

    #[test]
    fn an_advisor_bills_under_its_own_model_beside_the_response() {
        let mut records = Vec::new();
        assert_eq!(line(ADVISED.as_bytes(), &mut |record| records.push(record)), Line::Understood);
        let [advisor, response] = &records[..] else { panic!("{records:?}") };
        assert_eq!((advisor.id.as_str(), advisor.model.as_str()), ("msg_1#advisor0", "claude-opus-5"));
        assert_eq!(advisor.tokens, Tokens { input: 159_419, output: 7805, ..Tokens::default() });
        assert_eq!((response.id.as_str(), response.tokens.output), ("msg_1", 491));
    }

    #[test]
    fn a_row_without_usage_bills_nothing_and_one_that_was_cut_is_told() {
        let read = |row: &str| line(row.as_bytes(), &mut |record| panic!("{record:?}"));
        let row = r#"{"type":"user","message":{"content":"it said \"usage\": 5 }"}}"#;
        assert_eq!(read(row), Line::Understood);
        assert_eq!(read(&format!(" {row}\r")), Line::Understood);
        assert_eq!(read(""), Line::Understood);
        for cut in [&row[..40], &row[1..], "not a row"] {
            assert_eq!(read(cut), Line::Unreadable, "{cut}");
        }
    }

    #[test]
    fn an_answer_that_mentions_advisors_has_none() {
        let plain =
            ADVISED.replace(r#""type":"advisor_message""#, r#""type":"message","note":"advisor_message""#);
        let mut records = 0;
        line(plain.as_bytes(), &mut |_| records += 1);
        assert_eq!(records, 1);
    }
}
