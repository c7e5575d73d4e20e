//! How a launched runtime is told to call `fleet-sidecar hook`, and Claude Code `fleet-sidecar statusline`: by a file of
//! its own that is passed on its command line. The user's configuration is not touched, so there is nothing to take back. They are written with the rest of the
//! framework, and again at each launch where the programs were moved.

use std::io;
use std::path::{Path, PathBuf};

use crate::files::{put, quoted};
use crate::home::Home;

/// The events that say whose turn it is, or that somebody is asked.
const CLAUDE_EVENTS: [&str; 10] = [
    "SessionStart",
    "UserPromptSubmit",
    "PermissionRequest",
    "PostToolUse",
    "PreCompact",
    "Notification",
    "Stop",
    "StopFailure",
    "Elicitation",
    "SessionEnd",
];
const PI: &str = include_str!("../hooks/pi.ts");

/// A file, and the flag by which the runtime takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wiring {
    pub flag: &'static str,
    pub path: PathBuf,
    pub content: String,
}

/// What is shipped of it, before it is filled in.
pub(crate) fn sources() -> [(&'static str, String); 2] {
    [
        (
            "hooks/claude.json",
            claude(&["@COMMAND@".to_owned()], &["@STATUSLINE@".to_owned()], Manner::default()),
        ),
        ("hooks/pi.ts", PI.to_owned()),
    ]
}

/// How the user's own statusline is shown, which the fleet's takes over: it runs the user's command itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Manner {
    /// In characters.
    pub padding: Option<u64>,
    /// In seconds.
    pub refresh: Option<u64>,
}

/// The wiring of this runtime; nothing where it is told by [`crate::flags`] alone.
pub fn wiring(runtime: &str, home: &Home, sidecar: &Path, manner: Manner) -> Option<Wiring> {
    let command = |verb: &str| -> Option<Vec<String>> {
        let words = [sidecar, Path::new(verb), Path::new("--to"), &home.hooks()];
        words.iter().map(|word| word.to_str().map(str::to_owned)).collect()
    };
    let (flag, name, content) = match runtime {
        // What is installed beforehand is for those who have no statusline, or a plain one.
        "claude" if manner != Manner::default() => {
            ("--settings", "claude.own.json", claude(&command("hook")?, &command("statusline")?, manner))
        }
        "claude" => ("--settings", "claude.json", claude(&command("hook")?, &command("statusline")?, manner)),
        "pi" => ("-e", "pi.ts", PI.replace("@COMMAND@", &list(&command("hook")?))),
        _ => return None,
    };
    Some(Wiring { flag, path: home.root.join("hooks").join(name), content })
}

fn claude(hook: &[String], statusline: &[String], manner: Manner) -> String {
    let line =
        |command: &[String]| text(&command.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "));
    let entry = format!(r#"[{{"hooks": [{{"type": "command", "command": {}, "timeout": 5}}]}}]"#, line(hook));
    let number = |name: &str, value: Option<u64>| {
        value.map_or_else(String::new, |value| format!(r#", "{name}": {value}"#))
    };
    let more = number("padding", manner.padding) + &number("refreshInterval", manner.refresh);
    let statusline = format!(r#"{{"type": "command", "command": {}{more}}}"#, line(statusline));
    let events: Vec<String> =
        CLAUDE_EVENTS.iter().map(|event| format!("    {}: {entry}", text(event))).collect();
    // The warning before unattended work is shown only where that was asked for: by the roster, so it is answered.
    format!(
        "{{\n  \"skipDangerousModePermissionPrompt\": true,\n  \"statusLine\": {statusline},\n  \"hooks\": {{\n{}\n  }}\n}}\n",
        events.join(",\n")
    )
}

fn list(words: &[String]) -> String {
    format!("[{}]", words.iter().map(|word| text(word)).collect::<Vec<_>>().join(", "))
}

/// A string of JSON, which is one of TypeScript and TOML too.
pub(crate) fn text(word: &str) -> String {
    let escaped: String = word
        .chars()
        .map(|c| match c {
            '"' => "\\\"".to_owned(),
            '\\' => "\\\\".to_owned(),
            c if c.is_control() => format!("\\u{:04x}", u32::from(c)),
            c => c.to_string(),
        })
        .collect();
    format!("\"{escaped}\"")
}

impl Wiring {
    /// Puts the file there, whole or not at all; one that is the same stays.
    ///
    /// # Errors
    /// When the directory or the file cannot be written.
    pub fn write(&self) -> io::Result<()> {
        if std::fs::read_to_string(&self.path).is_ok_and(|there| there == self.content) {
            return Ok(());
        }
        put(&self.path, self.content.as_bytes(), 0o600)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn home(root: &Path) -> Home {
        Home::from_vars(|name| match name {
            "HOME" => Some(root.to_owned()),
            "XDG_RUNTIME_DIR" => Some(root.join("run dir")),
            _ => None,
        })
        .unwrap()
    }

    #[test]
    fn a_command_with_odd_characters_reaches_the_runtime_whole() {
        let root = Path::new("/h \"x\"");
        let manner = Manner { padding: Some(0), refresh: None };
        let claude = wiring("claude", &home(root), Path::new("/opt/it's/fleet-sidecar"), manner).unwrap();
        assert_eq!(
            (claude.flag, claude.path == root.join(".config/mosaic/hooks/claude.own.json")),
            ("--settings", true)
        );
        assert!(
            claude.content.contains(
                r#""command": "'/opt/it'\\''s/fleet-sidecar' hook --to '/h \"x\"/run dir/mosaic/hooks'""#
            ),
            "{}",
            claude.content
        );
        let settings: serde_json::Value = serde_json::from_str(&claude.content).unwrap();
        assert_eq!(
            settings["statusLine"]["command"],
            r#"'/opt/it'\''s/fleet-sidecar' statusline --to '/h "x"/run dir/mosaic/hooks'"#
        );
        assert_eq!(settings["statusLine"]["padding"], 0);
        let pi = wiring("pi", &home(root), Path::new("/b/fleet-sidecar"), Manner::default()).unwrap();
        assert!(
            pi.content
                .contains(r#"= ["/b/fleet-sidecar", "hook", "--to", "/h \"x\"/run dir/mosaic/hooks"];"#)
        );
        assert!(wiring("codex", &home(root), Path::new("/b"), Manner::default()).is_none());
    }

    #[test]
    fn a_file_is_written_once_and_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let wiring =
            wiring("pi", &home(dir.path()), Path::new("/b/fleet-sidecar"), Manner::default()).unwrap();
        wiring.write().unwrap();
        let written = std::fs::metadata(&wiring.path).unwrap();
        assert_eq!(written.permissions().mode() & 0o777, 0o600);
        wiring.write().unwrap();
        assert_eq!(std::fs::metadata(&wiring.path).unwrap().modified().unwrap(), written.modified().unwrap());
    }
}
