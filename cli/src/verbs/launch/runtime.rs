//! What each runtime is started with: its model, its bypass, what it is told of itself, and the conversation it goes on
//! with.

use std::path::{Path, PathBuf};

use fleet_domain::{AgentName, text};
use fleet_framework::hooks::Wiring;

use crate::error::{Code, Failure};

/// What only a shell can do, at the beginning of a line that looks like a single command.
const SHELL_WORDS: [&str; 22] = [
    "exec", "cd", ".", "source", "eval", "exit", "export", "readonly", "set", "unset", "trap", "ulimit",
    "umask", "command", "type", "alias", "if", "for", "while", "until", "case", "time",
];
/// One argument holds no more (Linux), and nobody writes so long a first message by hand.
const MAX_FIRST: usize = 96 << 10;

/// How a conversation begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Begin {
    /// A new one; under this name, where the runtime lets it be chosen.
    New(Option<String>),
    /// Where the agent was before.
    Resume(String),
}

/// What was asked for, of whatever runtime.
pub(super) struct Choice<'c> {
    pub(super) model: Option<String>,
    pub(super) yolo: bool,
    pub(super) channels: &'c [String],
    /// claude takes its flag from root only in what is declared to be a sandbox.
    pub(super) sandboxed: bool,
    pub(super) begin: Begin,
    /// The work directory, links resolved.
    pub(super) real: &'c Path,
    pub(super) wiring: Option<&'c Wiring>,
    /// The system prompt, and the file that it will stand in.
    pub(super) prompt: Option<(&'c str, &'c Path)>,
    /// The first message of a new conversation.
    pub(super) kickstart: Option<String>,
    pub(super) skills: Vec<String>,
    /// opencode's own variable is taken: its user's configuration stands in it.
    pub(super) configured: bool,
}

/// A command line, and what it wants in its environment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) argv: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
}

impl Line {
    fn push<const N: usize>(&mut self, words: [&str; N]) {
        self.argv.extend(words.map(str::to_owned));
    }
}

/// The line for the shell. Of a single command it becomes that command: a shell that stays would be taken for one
/// that a runtime left behind.
pub(super) fn command_line(command: &str) -> String {
    let command = command.trim();
    let first = command.split_whitespace().next().unwrap_or_default();
    let single = !command.contains(|c: char| ";&|<>()`{}!#\n".contains(c)) && !first.contains('=');
    if single && !SHELL_WORDS.contains(&first) { format!("exec {command}") } else { command.to_owned() }
}

impl Choice<'_> {
    pub(super) fn line(
        self,
        name: &AgentName,
        runtime: &str,
        warnings: &mut Vec<String>,
    ) -> Result<Line, Failure> {
        if !self.channels.is_empty() && runtime != "claude" {
            warnings.push(format!("{runtime} has no channels: those of the roster are not passed on"));
        }
        let first = self.kickstart.as_ref().map_or(0, String::len);
        if first > MAX_FIRST {
            let message =
                format!("{name}: its kickstart has {first} bytes, {MAX_FIRST} at most can be passed");
            return Err(Failure::new(Code::Failure, message)
                .next("put the text into a file, and tell the agent to read it"));
        }
        match runtime {
            "claude" => Ok(self.claude(warnings)),
            "codex" => Ok(self.codex()),
            "opencode" => Ok(self.opencode()),
            "pi" => Ok(self.pi()),
            other => {
                let message =
                    format!("{name}: `{}` is not a runtime that is built in", text::clean(other, 40));
                Err(Failure::new(Code::LaunchUsage, message)
                    .next("claude, codex, pi and opencode are; another one needs a command"))
            }
        }
    }

    /// Only a new conversation has a first message.
    fn first(&self) -> Option<&str> {
        self.kickstart.as_deref().filter(|_| matches!(self.begin, Begin::New(_)))
    }

    fn wire(&self, line: &mut Line) {
        if let Some(wiring) = self.wiring {
            line.push([wiring.flag, &wiring.path.display().to_string()]);
        }
    }

    fn claude(&self, warnings: &mut Vec<String>) -> Line {
        let mut line = Line::default();
        line.push(["claude"]);
        if let Some(model) = &self.model {
            line.push(["--model", model]);
        }
        if self.yolo && !self.sandboxed {
            warnings.push("claude refuses to run unattended as root: launched with its prompts; set IS_SANDBOX=1 in the agent's .env where this is a sandbox".to_owned());
        } else if self.yolo {
            line.push(["--dangerously-skip-permissions"]);
        }
        // It takes every word up to the next flag.
        if !self.channels.is_empty() {
            line.push(["--channels"]);
            line.argv.extend_from_slice(self.channels);
        }
        match &self.begin {
            Begin::New(Some(id)) => line.push(["--session-id", id]),
            Begin::New(None) => {}
            Begin::Resume(id) => line.push(["--resume", id]),
        }
        self.wire(&mut line);
        if let Some((_, file)) = self.prompt {
            line.push(["--append-system-prompt-file", &file.display().to_string()]);
        }
        if let Some(first) = self.first() {
            line.push(["--", first]);
        }
        line
    }

    fn codex(&self) -> Line {
        let mut line = Line::default();
        line.push(["codex"]);
        if let Begin::Resume(id) = &self.begin {
            line.push(["resume", id]);
        }
        if let Some(model) = &self.model {
            line.push(["-m", model]);
        }
        if self.yolo {
            line.push(["--dangerously-bypass-approvals-and-sandbox"]);
        }
        // For this start only: its configuration is its user's.
        let trusted =
            format!("projects={{{}={{trust_level=\"trusted\"}}}}", toml(&self.real.to_string_lossy()));
        line.push(["-c", &trusted]);
        if let Some((prompt, _)) = self.prompt {
            line.push(["-c", &format!("developer_instructions={}", toml(prompt))]);
        }
        if let Some(first) = self.first() {
            line.push(["--", first]);
        }
        line
    }

    fn opencode(&self) -> Line {
        let mut line = Line::default();
        line.push(["opencode"]);
        if let Some(model) = &self.model {
            line.push(["-m", model]);
        }
        if self.yolo {
            line.push(["--auto"]);
        }
        if let Begin::Resume(id) = &self.begin {
            line.push(["--session", id]);
        }
        let mut first = self.first().map(str::to_owned);
        match self.prompt {
            Some((_, file)) if !self.configured => {
                let content = serde_json::json!({"instructions": [file]});
                line.environment.push(("OPENCODE_CONFIG_CONTENT".to_owned(), content.to_string()));
            }
            // Then it is told in its first message.
            Some((prompt, _)) if matches!(self.begin, Begin::New(_)) => {
                first = Some(
                    [Some(prompt), first.as_deref()].into_iter().flatten().collect::<Vec<_>>().join("\n\n"),
                );
            }
            _ => {}
        }
        if let Some(first) = first {
            line.push(["--prompt", &first]);
        }
        line
    }

    fn pi(&self) -> Line {
        let mut line = Line::default();
        line.push(["pi"]);
        if let Some(model) = &self.model {
            line.push(["--model", model]);
        }
        if let Begin::Resume(id) = &self.begin {
            line.push(["--session", id]);
        }
        self.wire(&mut line);
        line.argv.extend_from_slice(&self.skills);
        if let Some((_, file)) = self.prompt {
            line.push(["--append-system-prompt", &file.display().to_string()]);
        }
        if let Some(first) = self.first() {
            // It would take the one for a flag, the other for a file.
            let first = if first.starts_with(['-', '@']) { format!(" {first}") } else { first.to_owned() };
            line.push([&first]);
        }
        line
    }
}

/// A string of TOML.
fn toml(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// Where the runtime records that a folder is trusted, if it does so in a file.
pub(super) fn trust_file(runtime: &str, var: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    if runtime != "claude" {
        return None;
    }
    let set = |name: &str| var(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    Some(fleet_adapters::runtimes::claude::trust::file(set("CLAUDE_CONFIG_DIR").as_deref(), &set("HOME")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(begin: Begin) -> Choice<'static> {
        Choice {
            model: None,
            yolo: false,
            channels: &[],
            sandboxed: true,
            begin,
            real: Path::new("/w \"x\""),
            wiring: None,
            prompt: Some(("# Role\nsay \"x\"\n", Path::new("/r/a.prompt.md"))),
            kickstart: Some("begin".to_owned()),
            skills: Vec::new(),
            configured: false,
        }
    }

    fn words(runtime: &str, choice: Choice<'_>) -> Vec<String> {
        let name = AgentName::parse("a").unwrap();
        choice.line(&name, runtime, &mut Vec::new()).unwrap().argv
    }

    #[test]
    fn each_runtime_is_told_of_itself_in_its_own_way() {
        let new = || choice(Begin::New(Some("id".to_owned())));
        assert_eq!(
            words("claude", new())[1..],
            ["--session-id", "id", "--append-system-prompt-file", "/r/a.prompt.md", "--", "begin"]
        );
        assert_eq!(words("pi", new())[1..], ["--append-system-prompt", "/r/a.prompt.md", "begin"]);
        assert_eq!(
            words("codex", new())[1..],
            [
                "-c",
                r#"projects={"/w \"x\""={trust_level="trusted"}}"#,
                "-c",
                r##"developer_instructions="# Role\nsay \"x\"\n""##,
                "--",
                "begin"
            ]
        );
        let line = new().line(&AgentName::parse("a").unwrap(), "opencode", &mut Vec::new()).unwrap();
        assert_eq!(line.argv, ["opencode", "--prompt", "begin"]);
        assert_eq!(line.environment[0].1, r#"{"instructions":["/r/a.prompt.md"]}"#);
        let taken = Choice { configured: true, ..new() };
        assert_eq!(words("opencode", taken)[2], "# Role\nsay \"x\"\n\n\nbegin");
    }

    #[test]
    fn a_conversation_that_goes_on_has_no_first_message() {
        let resume = || choice(Begin::Resume("45b1".to_owned()));
        let prompt = "/r/a.prompt.md";
        assert_eq!(
            words("claude", resume())[1..],
            ["--resume", "45b1", "--append-system-prompt-file", prompt]
        );
        assert_eq!(words("pi", resume())[1..], ["--session", "45b1", "--append-system-prompt", prompt]);
        assert_eq!(words("codex", resume())[..3], ["codex", "resume", "45b1"]);
        assert!(!words("codex", resume()).contains(&"begin".to_owned()));
        assert_eq!(words("opencode", resume())[1..], ["--session", "45b1"]);
        let taken = Choice { configured: true, ..resume() };
        assert_eq!(words("opencode", taken)[1..], ["--session", "45b1"]);
    }

    #[test]
    fn channels_are_claudes_and_others_say_so() {
        let channels = ["plugin:a@b".to_owned(), "plugin:c@d".to_owned()];
        let with =
            || Choice { channels: &channels, prompt: None, kickstart: None, ..choice(Begin::New(None)) };
        assert_eq!(words("claude", with())[1..], ["--channels", "plugin:a@b", "plugin:c@d"]);
        let mut warnings = Vec::new();
        with().line(&AgentName::parse("a").unwrap(), "codex", &mut warnings).unwrap();
        assert!(warnings[0].contains("no channels"), "{warnings:?}");
    }

    #[test]
    fn what_pi_would_take_for_a_flag_or_a_file_is_a_message() {
        let with = |first: &str| Choice { kickstart: Some(first.to_owned()), ..choice(Begin::New(None)) };
        assert_eq!(words("pi", with("--help")).pop().unwrap(), " --help");
        assert_eq!(words("pi", with("@x")).pop().unwrap(), " @x");
        let long = with(&"x".repeat(MAX_FIRST + 1));
        assert!(long.line(&AgentName::parse("a").unwrap(), "pi", &mut Vec::new()).is_err());
    }

    #[test]
    fn a_single_command_replaces_its_shell_and_a_line_of_shell_stays_one() {
        assert_eq!(command_line(" sleep $N 'a b' "), "exec sleep $N 'a b'");
        for line in [
            "exec x",
            "cd /x",
            "A=1 x",
            "cd /x && y",
            "x | y",
            "x; y",
            "x > y",
            "if true\nthen x\nfi",
            "(x)",
            "x `y`",
        ] {
            assert_eq!(command_line(line), line);
        }
    }
}
