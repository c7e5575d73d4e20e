//! What can end a command, with its exit code and what to do next. The codes are API.

use std::fmt;
use std::process::ExitCode;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The reader of our output went away: nothing is left to say, and nothing went wrong.
    Closed = 0,
    Failure = 1,
    Usage = 2,
    /// What was asked is not so.
    NotSo = 3,
    /// No such agent, host or account.
    NoSuch = 4,
    Refused = 5,
    /// The collector is unreachable where one is needed.
    Unreachable = 6,
    /// `fleet launch` alone: a name is missing (sysexits).
    LaunchUsage = 64,
    /// `fleet launch` alone: no tmux (sysexits).
    LaunchUnavailable = 69,
    TimedOut = 124,
    Interrupted = 130,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        ExitCode::from(code as u8)
    }
}

/// One expected error: what went wrong and where, and what to do next.
#[derive(Debug)]
pub struct Failure {
    pub code: Code,
    pub message: String,
    pub next: Option<String>,
}

pub type Outcome = Result<(), Failure>;

impl Failure {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), next: None }
    }

    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// Ends the command without a word.
    pub fn silent(code: Code) -> Self {
        Self::new(code, "")
    }

    /// An error with its causes in one line.
    pub fn of(code: Code, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let said = cause.to_string();
            // Some errors say their cause themselves.
            if !message.ends_with(&said) {
                message.push_str(&format!(": {said}"));
            }
            source = cause.source();
        }
        Self::new(code, message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        if let Some(next) = &self.next {
            write!(f, "\n  {next}")?;
        }
        Ok(())
    }
}
