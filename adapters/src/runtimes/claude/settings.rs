//! The user's own statusline command, as Claude Code's settings files give it. The fleet's takes its place for a session
//! that it launched, and runs it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Settings are short; a file that is not is no settings file.
const MAX_SETTINGS: u64 = 1 << 20;

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Statusline {
    /// For a shell.
    pub command: String,
    /// Blanks at its left, and how often it is asked anew, in seconds, where the user says so.
    pub padding: Option<u64>,
    pub refresh: Option<u64>,
}

/// The one that would be in force without the fleet's: the project's local settings before its shared ones before the
/// user's.
pub fn statusline(config: Option<&Path>, project: Option<&Path>) -> Option<Statusline> {
    let of_project = |name: &str| Some(project?.join(".claude").join(name));
    let files: [Option<PathBuf>; 3] = [
        of_project("settings.local.json"),
        of_project("settings.json"),
        config.map(|config| config.join("settings.json")),
    ];
    files.iter().flatten().find_map(|file| read(file))
}

fn read(file: &Path) -> Option<Statusline> {
    fs::metadata(file).ok().filter(|metadata| metadata.is_file() && metadata.len() <= MAX_SETTINGS)?;
    let settings: Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    let statusline = settings.get("statusLine")?;
    let command = statusline.get("command")?.as_str().filter(|command| !command.trim().is_empty())?;
    let number = |name: &str| statusline.get(name).and_then(Value::as_u64);
    Some(Statusline {
        command: command.to_owned(),
        padding: number("padding"),
        refresh: number("refreshInterval"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_settings_that_have_one_are_in_force() {
        let dir = tempfile::tempdir().unwrap();
        let (config, project) = (dir.path().join("config"), dir.path().join("project"));
        fs::create_dir_all(&config).unwrap();
        fs::create_dir_all(project.join(".claude")).unwrap();
        let in_force = || statusline(Some(&config), Some(&project)).map(|own| own.command);
        assert_eq!(in_force(), None);
        fs::write(config.join("settings.json"), r#"{"statusLine":{"command":"user","refreshInterval":5}}"#)
            .unwrap();
        assert_eq!(in_force().as_deref(), Some("user"));
        assert_eq!(statusline(Some(&config), None).unwrap().refresh, Some(5));
        fs::write(project.join(".claude/settings.json"), r#"{"statusLine":{"command":"project"}}"#).unwrap();
        fs::write(project.join(".claude/settings.local.json"), "no json").unwrap();
        assert_eq!(in_force().as_deref(), Some("project"));
    }
}
