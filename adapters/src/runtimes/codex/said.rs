//! What somebody prompted, by a line of a rollout. One that steers a running turn stands there only once it was taken up.

use fleet_domain::message::delivery::Taken;
use serde_json::Value;

use crate::runtimes::said::{Said, text};

pub(in crate::runtimes) fn said(line: &Value) -> Option<Said> {
    let payload = &line["payload"];
    let content = match (line["type"].as_str()?, payload["type"].as_str()?) {
        ("event_msg", "user_message") => &payload["message"],
        ("response_item", "message") if payload["role"] == "user" => &payload["content"],
        _ => return None,
    };
    Some(Said { taken: Taken::Turn, text: text(content)? })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_lines_of_a_prompt_tell_it() {
        let event = json!({"type": "event_msg", "payload": {"type": "user_message", "message": "hi"}});
        let item = |role: &str| {
            let content = json!([{"type": "input_text", "text": "hi"}]);
            json!({"type": "response_item", "payload": {"type": "message", "role": role, "content": content}})
        };
        let hi = Some(Said { taken: Taken::Turn, text: "hi".to_owned() });
        assert_eq!((said(&event), said(&item("user")), said(&item("assistant"))), (hi.clone(), hi, None));
    }
}
