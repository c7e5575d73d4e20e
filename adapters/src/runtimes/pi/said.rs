//! What somebody prompted, by a line of a session.

use fleet_domain::message::delivery::Taken;
use serde_json::Value;

use crate::runtimes::said::{Said, text};

pub(in crate::runtimes) fn said(line: &Value) -> Option<Said> {
    let message = &line["message"];
    let prompt = line["type"] == "message" && message["role"] == "user";
    prompt.then(|| text(&message["content"])).flatten().map(|text| Said { taken: Taken::Turn, text })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_users_message_is_a_prompt() {
        let line = |role: &str| json!({"type": "message", "message": {"role": role, "content": [{"type": "text", "text": "hi"}]}});
        assert_eq!(said(&line("user")), Some(Said { taken: Taken::Turn, text: "hi".to_owned() }));
        assert_eq!(said(&line("assistant")), None);
    }
}
