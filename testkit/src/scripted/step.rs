//! The steps that drive a scripted agent: the grammar of script files and of the control socket.
//!
//! | step | effect |
//! |---|---|
//! | `prompt TEXT` | a turn begins: user row, busy |
//! | `work [5s] [tokens=IN,OUT,READ,W5,W1] [blocks=N]` | one response, billed when the time is over |
//! | `end` | the turn is over: idle |
//! | `permission "Tool: input" [for 20s] [tokens=…]` | a response with a tool call that asks; `for`: allowed after that |
//! | `question TEXT [for 20s] [tokens=…]` | a response that asks the user; `for`: answered after that |
//! | `allow`, `deny` | answers what is asked; a denied tool ends the turn |
//! | `interrupt` | Esc: the turn ends with an aborted response |
//! | `limit 30m` | a turn ends on the usage limit, which resets after that time |
//! | `error KIND` | a turn ends on an API error, such as `server_error` |
//! | `background [10s]` | the turn ends with a shell still running; with a time: until then |
//! | `subagent [tokens=…]` | a sub-agent's one response in its own file |
//! | `idle 30s` | nothing |
//! | `crash`, `exit CODE`, `loop` | SIGKILL to itself, a clean end, from the top |
//!
//! A step with a time lasts that long, divided by `--speed`. On the control socket steps wait for each other, but
//! `interrupt` and `status` (nothing, but answered like a step) do not. Empty lines and lines that begin with `#` are skipped.

use std::str::FromStr;
use std::time::Duration;

use super::tokens::Tokens;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    Prompt(String),
    Work(Work),
    End,
    Permission { tool: String, input: String, lasts: Option<Duration>, tokens: Option<Tokens> },
    Question { text: String, lasts: Option<Duration>, tokens: Option<Tokens> },
    Allow,
    Deny,
    Interrupt,
    Limit(Duration),
    Error(ApiError<'static>),
    Background(Option<Duration>),
    Subagent(Option<Tokens>),
    Idle(Duration),
    Crash,
    Exit(u8),
    Loop,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Work {
    pub(crate) lasts: Duration,
    pub(crate) tokens: Option<Tokens>,
    /// 1: text; 2: text and a tool call; more: thinking, text and tool calls.
    pub(crate) blocks: usize,
}

/// `error` and `apiErrorStatus` of the row, and what the screen says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ApiError<'a> {
    pub(crate) error: &'static str,
    pub(crate) status: u16,
    pub(crate) kind: &'static str,
    pub(crate) text: &'a str,
    /// What the empty composer proposes.
    pub(crate) ghost: &'static str,
}

const API_ERRORS: [ApiError<'static>; 5] = [
    ApiError {
        error: "server_error",
        status: 529,
        kind: "overloaded_error",
        text: "API Error: 529 Overloaded. This is a server-side issue, usually temporary — try again in a moment.",
        ghost: "Resend your message to try again",
    },
    ApiError {
        error: "rate_limit",
        status: 429,
        kind: "rate_limit_error",
        text: "API Error: Request rejected (429) · Number of request tokens has exceeded your per-minute rate limit",
        ghost: "Resend your message to try again",
    },
    ApiError {
        error: "authentication_failed",
        status: 401,
        kind: "authentication_error",
        text: "Not logged in · Please run /login",
        ghost: "Once fixed, resend your message",
    },
    ApiError {
        error: "invalid_request",
        status: 400,
        kind: "invalid_request_error",
        text: "API Error: 400 the request was not understood",
        ghost: "Once fixed, resend your message",
    },
    ApiError {
        error: "unknown",
        status: 500,
        kind: "api_error",
        text: "API Error: 500 Internal server error",
        ghost: "Resend your message to try again",
    },
];

impl FromStr for Step {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let line = line.trim();
        let (verb, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        let step = match verb {
            "prompt" => return some_text(rest).map(Self::Prompt),
            "work" => return Options::read(rest)?.work(),
            "permission" => {
                let (text, options) = text_and_options(rest)?;
                let (tool, input) = text.split_once(": ").unwrap_or(("Bash", &text));
                let (tool, input) = (tool.to_owned(), input.to_owned());
                return Ok(Self::Permission { tool, input, lasts: options.lasts, tokens: options.tokens });
            }
            "question" => {
                let (text, options) = text_and_options(rest)?;
                return Ok(Self::Question { text, lasts: options.lasts, tokens: options.tokens });
            }
            "subagent" => return Ok(Self::Subagent(Options::read(rest)?.tokens)),
            "background" => return Ok(Self::Background(Options::read(rest)?.lasts)),
            "limit" => return duration(rest).map(Self::Limit),
            "idle" => return duration(if rest.is_empty() { "0s" } else { rest }).map(Self::Idle),
            "error" => {
                let known = API_ERRORS.iter().find(|known| known.error == rest);
                let names = || API_ERRORS.map(|known| known.error).join(", ");
                return known
                    .copied()
                    .map(Self::Error)
                    .ok_or_else(|| format!("error {rest:?}: one of {}", names()));
            }
            "exit" => {
                let code = if rest.is_empty() { "0" } else { rest };
                return code.parse().map(Self::Exit).map_err(|_| format!("exit {rest:?}: expected 0 to 255"));
            }
            "end" => Self::End,
            "allow" => Self::Allow,
            "deny" => Self::Deny,
            "interrupt" => Self::Interrupt,
            "crash" => Self::Crash,
            "loop" => Self::Loop,
            other => return Err(format!("unknown step {other:?}")),
        };
        if rest.is_empty() { Ok(step) } else { Err(format!("{verb} takes nothing, got {rest:?}")) }
    }
}

/// A script: one step a line, the error names the line.
pub(crate) fn script(text: &str) -> Result<Vec<Step>, String> {
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    let steps = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    steps.map(|(number, line)| line.parse().map_err(|error| format!("line {number}: {error}"))).collect()
}

#[derive(Default)]
struct Options {
    lasts: Option<Duration>,
    tokens: Option<Tokens>,
    blocks: Option<usize>,
}

impl Options {
    fn read(text: &str) -> Result<Self, String> {
        let mut options = Self::default();
        for word in text.split_whitespace().filter(|word| *word != "for") {
            options.take(word)?;
        }
        Ok(options)
    }

    fn take(&mut self, word: &str) -> Result<(), String> {
        match word.split_once('=') {
            Some(("tokens", value)) => self.tokens = Some(value.parse()?),
            Some(("blocks", value)) => {
                let blocks = value.parse().ok().filter(|blocks| (1..=20).contains(blocks));
                self.blocks = Some(blocks.ok_or_else(|| format!("blocks={value}: expected 1 to 20"))?);
            }
            Some((name, _)) => return Err(format!("unknown option {name:?}")),
            None => self.lasts = Some(duration(word)?),
        }
        Ok(())
    }

    fn work(self) -> Result<Step, String> {
        let Self { lasts, tokens, blocks } = self;
        Ok(Step::Work(Work { lasts: lasts.unwrap_or_default(), tokens, blocks: blocks.unwrap_or(1) }))
    }
}

/// Text, quoted or not, then `for 20s` and `tokens=…` in any order.
fn text_and_options(rest: &str) -> Result<(String, Options), String> {
    if let Some(quoted) = rest.strip_prefix('"') {
        let (text, options) = quoted.split_once('"').ok_or("a quote is not closed")?;
        return Ok((some_text(text)?, Options::read(options)?));
    }
    let mut words: Vec<&str> = rest.split(' ').collect();
    let mut options = Options::default();
    loop {
        match words[..] {
            [.., "for", time] if duration(time).is_ok() => {
                options.lasts = Some(duration(time)?);
                words.truncate(words.len() - 2);
            }
            [.., last] if last.starts_with("tokens=") => {
                options.take(last)?;
                words.pop();
            }
            _ => return Ok((some_text(&words.join(" "))?, options)),
        }
    }
}

fn some_text(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("a text is missing".to_owned()) } else { Ok(text.to_owned()) }
}

/// `500ms`, `5s`, `1.5m`, `2h`; a bare number is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("{text:?} is no time such as 500ms, 5s, 30m, 2h");
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let number: f64 = text[..split].parse().map_err(|_| bad())?;
    let unit = match &text[split..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(bad()),
    };
    Duration::try_from_secs_f64(number * unit).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn each_step_is_read() {
        let tokens = Some(Tokens { input: 1, output: 2, ..Tokens::default() });
        let permission = |lasts, tokens| Step::Permission {
            tool: "Bash".to_owned(),
            input: "rm x".to_owned(),
            lasts,
            tokens,
        };
        for (line, step) in [
            ("prompt fix the tests for 5s", Step::Prompt("fix the tests for 5s".to_owned())),
            ("work", Step::Work(Work { lasts: Duration::ZERO, tokens: None, blocks: 1 })),
            ("work 5s tokens=1,2 blocks=3", Step::Work(Work { lasts: 5 * SECOND, tokens, blocks: 3 })),
            ("permission \"Bash: rm x\"", permission(None, None)),
            ("permission \"Bash: rm x\" for 20s tokens=1,2", permission(Some(20 * SECOND), tokens)),
            ("permission rm x for 20s", permission(Some(20 * SECOND), None)),
            (
                "question Which one, for now?",
                Step::Question { text: "Which one, for now?".to_owned(), lasts: None, tokens: None },
            ),
            (
                "question Red? for 2s",
                Step::Question { text: "Red?".to_owned(), lasts: Some(2 * SECOND), tokens: None },
            ),
            ("limit 30m", Step::Limit(1800 * SECOND)),
            ("error server_error", Step::Error(API_ERRORS[0])),
            ("background 10s", Step::Background(Some(10 * SECOND))),
            ("subagent tokens=1,2", Step::Subagent(tokens)),
            ("idle 500ms", Step::Idle(SECOND / 2)),
            ("exit 3", Step::Exit(3)),
        ] {
            assert_eq!(line.parse(), Ok(step), "{line}");
        }
    }

    #[test]
    fn a_mistake_names_its_line() {
        for (text, error) in [
            ("# all well\n\nprompt x\nwrok 5s", "line 4: unknown step \"wrok\""),
            ("work 5x", "line 1: \"5x\" is no time"),
            ("permission \"Bash", "line 1: a quote is not closed"),
            ("prompt", "line 1: a text is missing"),
            ("end now", "line 1: end takes nothing"),
            ("error mystery", "line 1: error \"mystery\": one of server_error"),
            ("work blocks=0", "line 1: blocks=0"),
        ] {
            let got = script(text).unwrap_err();
            assert!(got.starts_with(error), "{got}");
        }
    }
}
