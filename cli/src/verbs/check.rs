//! `fleet usage --check`: what we count against what the runtimes say of themselves.

use std::path::PathBuf;

use fleet_adapters::runtimes::usage::check;

use super::usage::tell_unknown;
use crate::error::Outcome;
use crate::output::{self, Screen};
use crate::render::checked;
use crate::render::words::{plural, safe};

/// Reads `paths`, or where the runtimes keep their transcripts.
pub fn run(mut paths: Vec<PathBuf>, runtime: Option<&str>, json: bool) -> Outcome {
    if paths.is_empty() {
        paths = places();
    }
    let checked = check::check(&paths, runtime);
    for (path, error) in &checked.failed {
        output::note(&format!("{}: {error}", safe(&path.display().to_string())));
    }
    if checked.unreadable > 0 {
        let lines = plural(usize::try_from(checked.unreadable).unwrap_or(usize::MAX), "line");
        output::note(&format!("{lines} could not be read and counted as nothing"));
    }
    tell_unknown(&checked.unknown);
    if json {
        return output::json(&checked::json(&checked), true);
    }
    let screen = Screen::detect();
    let width = screen.terminal.then(|| screen.size().0);
    output::data(&checked::table(&checked, width, screen.colour))
}

/// Those places that are there.
fn places() -> Vec<PathBuf> {
    let var = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = var("HOME");
    let or = |name: &str, default: &str| var(name).or_else(|| Some(home.as_ref()?.join(default)));
    [
        or("CLAUDE_CONFIG_DIR", ".claude").map(|root| root.join("projects")),
        or("CODEX_HOME", ".codex").map(|root| root.join("sessions")),
        or("CODEX_HOME", ".codex").map(|root| root.join("archived_sessions")),
        or("XDG_DATA_HOME", ".local/share").map(|root| root.join("opencode")),
    ]
    .into_iter()
    .flatten()
    .filter(|place| place.exists())
    .collect()
}
