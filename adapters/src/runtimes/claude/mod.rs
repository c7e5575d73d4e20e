//! Claude Code: its process, its per-process state file, its transcript.

pub mod billed;
pub mod limits;
pub mod marks;
pub(super) mod said;
pub mod settings;
pub mod state_file;
pub mod transcript;
pub mod trust;

use std::path::{Path, PathBuf};

use fleet_domain::SessionId;
use fleet_domain::observation::{Evidence, Source};

use super::ending::{Answered, Ending};
use super::usage::{self, Candidate};
use super::{NativeReading, Program, base};
use crate::procfs::{self, Stat};

pub const NAME: &str = "claude";

pub(super) fn recognise(program: &Program<'_>) -> bool {
    match program.script() {
        Some(script) => base(script) == NAME || script.contains("/claude-code/"),
        None => program.name() == NAME || program.comm == NAME,
    }
}

/// `$CLAUDE_CONFIG_DIR`, default `~/.claude`, as the process itself sees it.
pub fn config_dir(pid: u32) -> Option<PathBuf> {
    let found = procfs::environment(pid, &["CLAUDE_CONFIG_DIR", "HOME"]);
    let [config, home] = found.try_into().ok()?;
    config.or_else(|| home.map(|home| home.join(".claude")))
}

pub fn state_path(config: &Path, pid: u32) -> PathBuf {
    config.join("sessions").join(format!("{pid}.json"))
}

/// The transcript's place: every character of the directory that is no letter or digit becomes a dash.
pub fn transcript_path(config: &Path, directory: &str, session: &str) -> Option<PathBuf> {
    if session.is_empty() || !session.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
        return None;
    }
    let munged: String = directory.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    // Longer names end in a hash of the runtime's own: found by the session's name then.
    if munged.len() > 200 {
        return find_by_session(&config.join("projects"), session);
    }
    Some(config.join("projects").join(munged).join(format!("{session}.jsonl")))
}

fn find_by_session(projects: &Path, session: &str) -> Option<PathBuf> {
    let name = format!("{session}.jsonl");
    std::fs::read_dir(projects)
        .ok()?
        .filter_map(Result::ok)
        .map(|entry| entry.path().join(&name))
        .find(|path| path.exists())
}

/// Where sub-agents of a conversation keep their transcripts.
pub fn subagents_dir(transcript: &Path) -> PathBuf {
    transcript.with_extension("").join("subagents")
}

/// The conversation's transcript, its sub-agents' and its workflows'.
pub(super) fn candidates(reading: &NativeReading) -> Vec<Candidate> {
    let Some(own) = &reading.transcript else { return Vec::new() };
    let subagents = subagents_dir(own);
    let mut paths = vec![own.clone()];
    paths.extend(transcripts_in(&subagents));
    let workflows = std::fs::read_dir(subagents.join("workflows")).into_iter().flatten();
    paths.extend(workflows.filter_map(Result::ok).flat_map(|entry| transcripts_in(&entry.path())));
    let sources = paths.iter().filter_map(|path| usage::Source::lines(NAME, path));
    sources.map(|source| Candidate { source, evidence: usage::Evidence::Held, began: None }).collect()
}

fn transcripts_in(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    let files = entries.map(|entry| entry.path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl")).collect()
}

/// Its state file tells whose turn it is; the transcript, whether the last one failed.
pub(super) fn fold(ending: &mut Ending, line: &[u8]) {
    match transcript::parse(line) {
        transcript::Row::Response(record) if !record.sidechain => {
            let model = Answered { model: record.model, at: Some(record.at) };
            *ending = Ending { model: Some(model), ..Ending::default() };
        }
        transcript::Row::Prompted => ending.failed = None,
        transcript::Row::Failed(failed) => ending.failed = Some(failed),
        transcript::Row::Response(_) | transcript::Row::Other | transcript::Row::Unreadable => {}
    }
}

pub(super) fn native(process: &Stat) -> Option<NativeReading> {
    let config = config_dir(process.pid)?;
    native_at(&config, process, std::time::SystemTime::now())
}

/// The same with the configuration directory given. Trusted only while pid and start time match.
pub fn native_at(config: &Path, process: &Stat, now: std::time::SystemTime) -> Option<NativeReading> {
    let state = state_file::read(&state_path(config, process.pid))?;
    if state.pid != process.pid || state.started.is_some_and(|started| started != process.start) {
        return None;
    }
    let since = state.changed.map(|changed| now.duration_since(changed).unwrap_or_default());
    let evidence = state.waiting.map(|(kind, line)| Evidence {
        kind,
        line,
        source: Source::StateFile,
        since,
        confirmed: std::time::Duration::ZERO,
        until: None,
    });
    Some(NativeReading {
        native: state.status.map(|status| fleet_domain::observation::Native {
            state: status,
            since,
            source: Source::StateFile,
            confirmed: std::time::Duration::ZERO,
            line: String::new(),
        }),
        evidence: evidence.into_iter().collect(),
        transcript: transcript_path(config, &state.directory, &state.session),
        conversation: Some(SessionId::new(&state.session)).filter(|id| !id.is_empty()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transcript_lies_where_the_runtime_puts_it_and_never_elsewhere() {
        let config = Path::new("/c");
        let path = transcript_path(config, "/home/dev/my.app", "45b1-x").unwrap();
        assert_eq!(path, Path::new("/c/projects/-home-dev-my-app/45b1-x.jsonl"));
        assert_eq!(subagents_dir(&path), Path::new("/c/projects/-home-dev-my-app/45b1-x/subagents"));
        assert_eq!(transcript_path(config, "/x", "../../etc/passwd"), None);
    }
}
