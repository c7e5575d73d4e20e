//! What somebody prompted, by a line of a transcript: at once where the turn begins, and before that where it waits for
//! the end of another.

use fleet_domain::message::delivery::Taken;
use serde_json::Value;

use crate::runtimes::said::{Said, text};

pub(in crate::runtimes) fn said(line: &Value) -> Option<Said> {
    let (taken, content) = match line["type"].as_str()? {
        "user" if line["isSidechain"] != true => (Taken::Turn, &line["message"]["content"]),
        "queue-operation" if line["operation"] == "enqueue" => (Taken::Queue, &line["content"]),
        // A prompt that was taken up in the middle of a turn.
        "attachment" if line["attachment"]["type"] == "queued_command" => {
            (Taken::Turn, &line["attachment"]["prompt"])
        }
        _ => return None,
    };
    Some(Said { taken, text: unwrapped(text(content)?) })
}

/// What was pasted stands between tags of Claude's own, where it was long.
fn unwrapped(text: String) -> String {
    const TAGS: [&str; 2] = ["<pasted_content id=\"", "</pasted_content id=\""];
    if !text.contains(TAGS[1]) {
        return text;
    }
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(at) = TAGS.iter().filter_map(|tag| rest.find(tag)).min() {
        let Some(end) = rest[at..].find('>') else { break };
        out.push_str(&rest[..at]);
        rest = &rest[at + end + 1..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_tags_around_a_long_paste_are_not_its_words() {
        let pasted = "<pasted_content id=\"ec2b\">\n[a -> b] x\ny\n</pasted_content id=\"ec2b\">";
        assert_eq!(unwrapped(pasted.to_owned()).trim(), "[a -> b] x\ny");
        let mine = "[a -> b] a <pasted_content id=\"1\"> of mine";
        assert_eq!(unwrapped(mine.to_owned()), mine);
        assert_eq!(unwrapped("</pasted_content id=\"".to_owned()), "</pasted_content id=\"");
    }

    #[test]
    fn a_prompt_is_a_turn_and_one_that_waits_is_queued() {
        let told = |line: Value| said(&line).map(|said| (said.taken, said.text));
        let prompt =
            json!({"type": "user", "message": {"role": "user", "content": [{"type": "text", "text": "hi"}]}});
        assert_eq!(told(prompt), Some((Taken::Turn, "hi".to_owned())));
        let queued = json!({"type": "queue-operation", "operation": "enqueue", "content": "hi"});
        assert_eq!(told(queued), Some((Taken::Queue, "hi".to_owned())));
        let taken_up =
            json!({"type": "attachment", "attachment": {"type": "queued_command", "prompt": "hi"}});
        assert_eq!(told(taken_up), Some((Taken::Turn, "hi".to_owned())));
        for other in [
            json!({"type": "queue-operation", "operation": "remove", "content": "hi"}),
            json!({"type": "user", "isSidechain": true, "message": {"content": "hi"}}),
            json!({"type": "user", "message": {"content": [{"type": "tool_result"}]}}),
            json!({"type": "assistant", "message": {"content": "hi"}}),
            json!([]),
        ] {
            assert_eq!(told(other.clone()), None, "{other}");
        }
    }
}
