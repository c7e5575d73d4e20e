//! What a launched runtime is told on its command line alone, so that it can be listened to: Codex its hooks, opencode a
//! port of loopback. Nothing is written, so there is nothing to take back.

use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::files::quoted;
use crate::home::Home;
use crate::hooks::text;

/// Codex' events, as its configuration names them and as its record of trust does. Not among them is the session's start:
/// it comes within the first turn, and would say of it that none runs.
const CODEX_EVENTS: [(&str, &str); 5] = [
    ("UserPromptSubmit", "user_prompt_submit"),
    ("PermissionRequest", "permission_request"),
    ("PostToolUse", "post_tool_use"),
    ("PreCompact", "pre_compact"),
    ("Stop", "stop"),
];
/// Seconds; part of what is trusted.
const TIMEOUT: u32 = 5;
/// Those whose record of trust is known to read so. Another one might ask its user to review our hooks, and wait.
const CODEX_VERSIONS: &str = "0.169.";

/// What is added to a runtime's command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flags {
    pub arguments: Vec<String>,
    /// This variable gets a value that nobody can guess, unless it has one.
    pub secret: Option<&'static str>,
}

/// The flags for this runtime in this version; nothing where it needs none, or they are not known to be right.
pub fn flags(runtime: &str, version: Option<&str>, home: &Home, sidecar: Option<&Path>) -> Option<Flags> {
    match runtime {
        "codex" if version?.starts_with(CODEX_VERSIONS) => {
            let to = home.hooks();
            let words = [sidecar?, Path::new("hook"), Path::new("--to"), &to].map(Path::to_str);
            let words: Option<Vec<&str>> = words.into_iter().collect();
            let command = words?.into_iter().map(quoted).collect::<Vec<_>>().join(" ");
            Some(Flags { arguments: codex(&command), secret: None })
        }
        // Of no use to other users: whoever has not the password is turned away.
        "opencode" => Some(Flags {
            arguments: ["--hostname", "127.0.0.1", "--port", "0"].map(str::to_owned).into(),
            secret: Some("OPENCODE_SERVER_PASSWORD"),
        }),
        _ => None,
    }
}

/// The hooks, and that exactly these are trusted: Codex asks its user to review every other one, the user's own too, as
/// before.
fn codex(command: &str) -> Vec<String> {
    let hook = format!(r#"{{type="command",command={},timeout={TIMEOUT}}}"#, text(command));
    let hooks = CODEX_EVENTS.iter().map(|(name, _)| format!("hooks.{name}=[{{hooks=[{hook}]}}]"));
    let trusted = CODEX_EVENTS.iter().map(|(_, label)| {
        let hash = fingerprint(label, command);
        format!(r#""/<session-flags>/config.toml:{label}:0:0"={{trusted_hash="sha256:{hash}"}}"#)
    });
    let trusted = format!("hooks.state={{{}}}", trusted.collect::<Vec<_>>().join(","));
    hooks.chain([trusted]).flat_map(|value| ["-c".to_owned(), value]).collect()
}

/// What Codex records of a hook that was trusted: a sum over its definition, as JSON with its keys in order.
fn fingerprint(label: &str, command: &str) -> String {
    let command = serde_json::Value::from(command);
    let definition = format!(
        r#"{{"event_name":"{label}","hooks":[{{"async":false,"command":{command},"timeout":{TIMEOUT},"type":"command"}}]}}"#
    );
    Sha256::digest(definition).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> Home {
        Home::from_vars(|name| match name {
            "HOME" => Some("/h".into()),
            "XDG_RUNTIME_DIR" => Some("/r".into()),
            _ => None,
        })
        .unwrap()
    }

    #[test]
    fn codex_is_handed_its_hooks_with_their_trust_where_its_record_is_known() {
        let sidecar = Path::new("/b/it's/fleet-sidecar");
        let arguments =
            |version| flags("codex", version, &home(), Some(sidecar)).map(|flags| flags.arguments);
        let known = arguments(Some("0.169.0")).unwrap();
        assert_eq!(known.len(), 2 * (CODEX_EVENTS.len() + 1));
        let stop = r#"hooks.Stop=[{hooks=[{type="command",command="'/b/it'\\''s/fleet-sidecar' hook --to /r/mosaic/hooks",timeout=5}]}]"#;
        assert!(known.contains(&stop.to_owned()), "{known:#?}");
        assert!(
            known
                .last()
                .unwrap()
                .contains(r#""/<session-flags>/config.toml:stop:0:0"={trusted_hash="sha256:"#)
        );
        assert!(arguments(None).is_none() && arguments(Some("0.170.0")).is_none());
        assert!(flags("codex", Some("0.169.0"), &home(), None).is_none());
    }

    /// As Codex 0.169.0 itself recorded it.
    #[test]
    fn a_fingerprint_is_what_codex_records() {
        assert_eq!(
            fingerprint("stop", r#"/opt/fleet-sidecar hook --to "/run/a b""#),
            "f010578047a58a693b85c4657f134e6422e26587d51dc8b4a6f2ddc54cb8d5d7"
        );
    }

    #[test]
    fn opencode_gets_a_port_of_loopback_and_a_password() {
        let flags = flags("opencode", None, &home(), None).unwrap();
        assert_eq!(flags.arguments.join(" "), "--hostname 127.0.0.1 --port 0");
        assert_eq!(flags.secret, Some("OPENCODE_SERVER_PASSWORD"));
    }
}
