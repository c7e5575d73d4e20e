//! A runtime asked for its account's windows, without a turn: a process of its own is started beside the agent's, with that
//! one's program and configuration, asked one question and ended. It uses its own login; no credential is seen here.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use fleet_domain::limits::Sighting;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use super::{claude, codex};
use crate::host::wall_now;
use crate::procfs;

/// Start and answer of a slow machine.
const LIMIT: Duration = Duration::from_secs(60);
/// An answer is shorter.
const MAX_ANSWER: u64 = 1 << 20;
/// What the asked program gets of the agent's environment: where its configuration is, and whom it asks.
const ENVIRONMENT: [&str; 9] = [
    "HOME",
    "PATH",
    "CLAUDE_CONFIG_DIR",
    "CODEX_HOME",
    "ANTHROPIC_BASE_URL",
    "HTTPS_PROXY",
    "NO_PROXY",
    "NODE_EXTRA_CA_CERTS",
    "LANG",
];

/// How one is asked, and what an answer looks like.
struct Question {
    arguments: &'static [&'static str],
    lines: &'static [&'static str],
    answer: fn(&[u8], fleet_domain::Wall) -> Option<Vec<Sighting>>,
}

const CLAUDE: Question = Question {
    arguments: &[
        "-p",
        "--input-format",
        "stream-json",
        "--output-format",
        "stream-json",
        "--verbose",
        "--no-session-persistence",
        "--settings",
        r#"{"disableAllHooks":true}"#,
    ],
    lines: &[
        r#"{"type":"control_request","request_id":"limits","request":{"subtype":"get_usage","skip_behaviors":true}}"#,
    ],
    answer: claude::limits::usage,
};
const CODEX: Question = Question {
    arguments: &["app-server"],
    lines: &[
        r#"{"id":1,"method":"initialize","params":{"clientInfo":{"name":"mosaic-fleet","version":"1"}}}"#,
        r#"{"method":"initialized"}"#,
        r#"{"id":2,"method":"account/rateLimits/read"}"#,
    ],
    answer: codex::limits::app_server,
};

/// True for runtimes that can be asked.
pub fn answers(runtime: &str) -> bool {
    question(runtime).is_some()
}

fn question(runtime: &str) -> Option<&'static Question> {
    match runtime {
        claude::NAME => Some(&CLAUDE),
        codex::NAME => Some(&CODEX),
        _ => None,
    }
}

/// Asks a program like the one that this process runs, in `directory`. `None` where it gives no answer; empty where the
/// account has no windows.
pub async fn ask(runtime: &str, pid: u32, directory: &Path) -> Option<Vec<Sighting>> {
    let question = question(runtime)?;
    let (program, script) = program(pid)?;
    let values = procfs::environment(pid, &ENVIRONMENT);
    let environment: Vec<(&str, PathBuf)> =
        ENVIRONMENT.into_iter().zip(values).filter_map(|(name, value)| Some((name, value?))).collect();
    #[expect(clippy::disallowed_methods, reason = "a runtime's own program, asked for its limits")]
    let mut command = Command::new(program);
    command.args(script).args(question.arguments).env_clear().envs(environment).current_dir(directory);
    timeout(LIMIT, answer(command, question)).await.ok().flatten()
}

async fn answer(mut command: Command, question: &Question) -> Option<Vec<Sighting>> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().ok()?;
    let (mut input, output) = (child.stdin.take()?, child.stdout.take()?);
    for line in question.lines {
        input.write_all(format!("{line}\n").as_bytes()).await.ok()?;
    }
    input.flush().await.ok()?;
    let mut lines = BufReader::new(output.take(MAX_ANSWER)).split(b'\n');
    let mut told = None;
    while let Some(line) = lines.next_segment().await.ok()? {
        told = (question.answer)(&line, wall_now());
        if told.is_some() {
            break;
        }
    }
    drop(input);
    let _ = child.kill().await;
    told
}

/// The program itself, and the script where an interpreter runs one.
fn program(pid: u32) -> Option<(PathBuf, Option<String>)> {
    let program = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let interprets =
        program.file_name().is_some_and(|name| matches!(name.to_str(), Some("node" | "bun" | "deno")));
    let script = || procfs::arguments(pid).into_iter().skip(1).find(|argument| !argument.starts_with('-'));
    match interprets {
        true => Some((program, Some(script()?))),
        false => Some((program, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stand-in that reads what it is asked, says something else first, and then stays.
    fn stand_in(answer: &str) -> Command {
        #[expect(clippy::disallowed_methods, reason = "a stand-in for a runtime")]
        let mut command = Command::new("sh");
        command.args([
            "-c",
            &format!("read question; echo '{{\"type\":\"system\"}}'; echo '{answer}'; sleep 600"),
        ]);
        command
    }

    #[tokio::test]
    async fn an_answer_is_taken_and_the_program_ended() {
        let usage = r#"{"type":"control_response","response":{"response":{"rate_limits":{"five_hour":{"utilization":23,"resets_at":null}}}}}"#;
        let told = answer(stand_in(usage), &CLAUDE).await.unwrap();
        assert_eq!((told[0].window.as_str(), told[0].used_ratio), ("5h", 0.23));
        let limits =
            r#"{"id":2,"result":{"rateLimits":{"primary":{"usedPercent":5,"windowDurationMins":300}}}}"#;
        assert_eq!(answer(stand_in(limits), &CODEX).await.unwrap()[0].used_ratio, 0.05);
        let key = r#"{"type":"control_response","response":{"response":{"rate_limits_available":false,"rate_limits":null}}}"#;
        assert_eq!(answer(stand_in(key), &CLAUDE).await, Some(Vec::new()));
    }

    #[tokio::test]
    async fn one_that_ends_without_a_word_told_nothing() {
        #[expect(clippy::disallowed_methods, reason = "a stand-in for a runtime")]
        let silent = Command::new("true");
        assert_eq!(answer(silent, &CLAUDE).await, None);
    }
}
