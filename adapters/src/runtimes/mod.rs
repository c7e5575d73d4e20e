//! The runtimes, one module each: how its process is recognised, what it says of itself, how its transcript reads.
//!
//! To add one: a module here with its `recognise`, an entry in [`KNOWN`], and what of [`native`] it can answer.

pub mod ask;
pub mod claude;
pub mod codex;
pub mod ending;
pub mod gemini;
pub mod live;
pub mod opencode;
pub mod pi;
pub mod said;
pub mod usage;

use fleet_domain::observation::{Evidence, Native};
use fleet_domain::{RuntimeName, SessionId};

use crate::procfs::{self, Stat};

struct Known {
    name: &'static str,
    recognise: fn(&Program<'_>) -> bool,
}

const KNOWN: [Known; 4] = [
    Known { name: claude::NAME, recognise: claude::recognise },
    Known { name: codex::NAME, recognise: codex::recognise },
    Known { name: opencode::NAME, recognise: opencode::recognise },
    Known { name: pi::NAME, recognise: pi::recognise },
];

/// A process as far as recognition goes.
struct Program<'a> {
    comm: &'a str,
    arguments: &'a [String],
}

impl Program<'_> {
    /// The file name of argument zero.
    fn name(&self) -> &str {
        self.arguments.first().map_or(self.comm, |argument| base(argument))
    }

    /// The script that an interpreter runs, if it is one.
    fn script(&self) -> Option<&str> {
        if !matches!(self.comm, "node" | "bun" | "deno" | "MainThread")
            && !matches!(self.name(), "node" | "bun" | "deno")
        {
            return None;
        }
        self.arguments.iter().skip(1).find(|argument| !argument.starts_with('-')).map(String::as_str)
    }
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The runtime's process among those of a pane: the first of the tree that one of the runtimes recognises.
pub fn find(tree: &[Stat]) -> Option<(RuntimeName, &Stat)> {
    tree.iter().filter(|stat| !stat.ended()).find_map(|stat| {
        let arguments = procfs::arguments(stat.pid);
        recognise(&stat.comm, &arguments).map(|name| (RuntimeName::new(name), stat))
    })
}

pub fn recognise(comm: &str, arguments: &[String]) -> Option<&'static str> {
    let program = Program { comm, arguments };
    KNOWN.iter().find(|known| (known.recognise)(&program)).map(|known| known.name)
}

/// What a runtime says of itself right now, without being asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NativeReading {
    pub native: Option<Native>,
    pub evidence: Vec<Evidence>,
    pub conversation: Option<SessionId>,
    /// Where its transcript of this conversation is, or will be.
    pub transcript: Option<std::path::PathBuf>,
}

/// `None` where this runtime keeps no state that can be read from outside, or it cannot be trusted now.
pub fn native(runtime: &RuntimeName, process: &Stat) -> Option<NativeReading> {
    match runtime.as_str() {
        claude::NAME => claude::native(process),
        _ => None,
    }
}

/// Of what a process writes, the file whose end tells whose turn it is: that of the conversation that it began last.
pub fn conversation(runtime: &RuntimeName, traces: &[&usage::Trace]) -> Option<std::path::PathBuf> {
    let own = traces.iter().filter(|trace| trace.attribution == usage::Attribution::Own);
    let mut paths: Vec<&std::path::PathBuf> = own.map(|trace| &trace.source.path).collect();
    // The names of both begin with the time.
    paths.sort();
    match runtime.as_str() {
        codex::NAME => paths.into_iter().rev().find(|path| !codex::is_subagent(path)).cloned(),
        pi::NAME => paths.pop().cloned(),
        _ => None,
    }
}

/// The conversation that a process is in, with where it lies: by the runtime's own name, as far as that is certain.
pub fn session(
    runtime: &RuntimeName,
    reading: Option<&NativeReading>,
    traces: &[&usage::Trace],
) -> Option<(String, std::path::PathBuf)> {
    match runtime.as_str() {
        claude::NAME => {
            let reading = reading?;
            Some((reading.conversation.clone()?.into_string(), reading.transcript.clone()?))
        }
        codex::NAME | pi::NAME => {
            let path = conversation(runtime, traces)?;
            // Both names end in a UUID: `…-<uuid>`, `…_<uuid>`.
            let stem = path.file_stem()?.to_str()?;
            let id = stem.get(stem.len().checked_sub(UUID)?..)?.to_owned();
            Some((id, path))
        }
        opencode::NAME => {
            let own = traces.iter().filter(|trace| trace.attribution == usage::Attribution::Own);
            let roots = own.filter_map(|trace| Some((trace.source.root()?, &trace.source.path)));
            // Names of newer ones come first.
            roots.min().map(|(id, path)| (id.to_owned(), path.clone()))
        }
        _ => None,
    }
}

/// Characters of one.
const UUID: usize = 36;

/// Where a process's usage lies, as far as this runtime's places tell.
fn candidates(
    runtime: &RuntimeName,
    process: &Stat,
    reading: Option<&NativeReading>,
    (memory, machine): (&mut usage::Memory, &mut usage::Machine),
) -> Vec<usage::Candidate> {
    match runtime.as_str() {
        claude::NAME => reading.map(claude::candidates).unwrap_or_default(),
        codex::NAME => codex::candidates(process, memory, &mut machine.rollouts),
        opencode::NAME => opencode::candidates(process, memory),
        pi::NAME => pi::candidates(process, memory),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(comm: &str, arguments: &[&str]) -> Option<&'static str> {
        recognise(comm, &arguments.iter().map(|argument| (*argument).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn runtimes_are_recognised_however_they_were_started() {
        assert_eq!(seen("claude", &["claude", "--model", "x"]), Some("claude"));
        assert_eq!(seen("2.1.197", &["/home/u/.local/bin/claude"]), Some("claude"));
        assert_eq!(
            seen("node", &["node", "/usr/lib/node_modules/@anthropic-ai/claude-code/cli.js"]),
            Some("claude")
        );
        assert_eq!(seen("node", &["node", "/usr/local/bin/codex"]), Some("codex"));
        assert_eq!(seen("codex", &["/x/vendor/codex", "--no-daemon"]), Some("codex"));
        assert_eq!(
            seen("MainThread", &["node", "--no-warnings", "/x/@openai/codex/bin/codex.js"]),
            Some("codex")
        );
        assert_eq!(seen("opencode", &["opencode", "--port", "1"]), Some("opencode"));
        assert_eq!(seen("pi", &["pi"]), Some("pi"));
        assert_eq!(seen("node", &["node", "/x/@mariozechner/pi-coding-agent/dist/cli.js"]), Some("pi"));
    }

    fn own(source: usage::Source) -> usage::Trace {
        usage::Trace { source, attribution: usage::Attribution::Own }
    }

    #[test]
    fn a_conversation_is_known_by_the_name_that_its_runtime_takes() {
        let session = |runtime: &str, traces: &[&usage::Trace]| {
            session(&RuntimeName::new(runtime), None, traces).map(|(id, _)| id)
        };
        let uuid = "019a1b2c-0000-7000-8000-00000000000a";
        let path = format!("/s/--w--/2026-11-21T10-00-00-000Z_{uuid}.jsonl");
        let pi = own(usage::Source::lines("pi", std::path::Path::new(&path)).unwrap());
        assert_eq!(session("pi", &[&pi]).as_deref(), Some(uuid));
        let shared = usage::Trace { attribution: usage::Attribution::Shared, ..pi.clone() };
        assert_eq!(session("pi", &[&shared]), None);
        let part = |root: &str| opencode::store::Part { root: Some(root.to_owned()) };
        let opencode =
            |root| own(usage::Source::opencode(std::path::Path::new("/o.db"), part(root)).unwrap());
        assert_eq!(session("opencode", &[&opencode("ses_2"), &opencode("ses_1")]).as_deref(), Some("ses_1"));
        assert_eq!(session("claude", &[&pi]), None);
    }

    #[test]
    fn what_merely_mentions_a_runtime_is_not_one() {
        assert_eq!(seen("vim", &["vim", "claude.md"]), None);
        assert_eq!(seen("bash", &["bash", "-c", "claude"]), None);
        assert_eq!(seen("node", &["node", "server.js", "codex"]), None);
        assert_eq!(seen("tail", &["tail", "-f", "/home/u/.claude/x"]), None);
        assert_eq!(seen("codex", &["codex", "app-server", "daemon"]), None);
    }
}
