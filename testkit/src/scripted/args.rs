//! The command line: the scripted agent's own flags among those of the real program, which are taken and ignored.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use super::screen::Mode;
use super::step::{self, Step};

#[derive(Debug, PartialEq)]
pub(crate) struct Args {
    pub(crate) script: Vec<Step>,
    pub(crate) control: Option<PathBuf>,
    pub(crate) speed: f64,
    pub(crate) model: String,
    pub(crate) session: Option<String>,
    pub(crate) mode: Mode,
    pub(crate) in_place: bool,
    /// Bytes of irrelevant rows with each prompt.
    pub(crate) noise: usize,
    /// How long an answer to a typed prompt takes.
    pub(crate) reply: std::time::Duration,
    /// The first prompt, as the real program takes it.
    pub(crate) prompt: Option<String>,
    pub(crate) version: bool,
}

/// Flags of the real program without a value; of any other the next word is the value.
const SWITCHES: [&str; 12] = [
    "--dangerously-skip-permissions",
    "--allow-dangerously-skip-permissions",
    "--continue",
    "-c",
    "--fork-session",
    "--verbose",
    "--debug",
    "--ide",
    "--bare",
    "--strict-mcp-config",
    "--no-session-persistence",
    "--disable-slash-commands",
];

impl Args {
    pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut args = Self {
            script: Vec::new(),
            control: None,
            speed: 1.0,
            model: "claude-sonnet-5".to_owned(),
            session: None,
            mode: Mode::Manual,
            in_place: false,
            noise: 0,
            reply: std::time::Duration::from_secs(2),
            prompt: None,
            version: false,
        };
        let mut words = words.into_iter().peekable();
        while let Some(word) = words.next() {
            if !word.starts_with('-') {
                args.prompt = Some(word);
                continue;
            }
            let (flag, mut inline) = match word.split_once('=') {
                Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
                None => (word, None),
            };
            if args.switch(&flag) {
                continue;
            }
            let value = inline.take().or_else(|| words.next_if(|next| !next.starts_with('-')));
            args.option(&flag, value)?;
        }
        Ok(args)
    }

    fn switch(&mut self, flag: &str) -> bool {
        match flag {
            "--in-place" => self.in_place = true,
            "--version" | "-v" => self.version = true,
            "--dangerously-skip-permissions" => self.mode = Mode::Bypass,
            other => return SWITCHES.contains(&other),
        }
        true
    }

    fn option(&mut self, flag: &str, value: Option<String>) -> Result<()> {
        let known =
            ["--script", "--control", "--speed", "--model", "--session-id", "--resume", "--noise", "--reply"];
        if !known.contains(&flag) && flag != "--permission-mode" {
            return Ok(());
        }
        let value = value.with_context(|| format!("{flag} needs a value"))?;
        match flag {
            "--script" => self.script = read_script(&value)?,
            "--control" => self.control = Some(PathBuf::from(value)),
            "--speed" => self.speed = speed(&value)?,
            "--model" => self.model = full_name(&value),
            "--session-id" | "--resume" => self.session = Some(value),
            "--noise" => self.noise = value.parse().with_context(|| format!("--noise {value}"))?,
            "--reply" => self.reply = step::duration(&value).map_err(anyhow::Error::msg)?,
            _ => self.mode = mode(&value),
        }
        Ok(())
    }
}

fn read_script(path: &str) -> Result<Vec<Step>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read the script {path}"))?;
    step::script(&text).map_err(|error| anyhow::anyhow!("{path}: {error}"))
}

fn speed(value: &str) -> Result<f64> {
    match value.parse() {
        Ok(speed) if (0.01..=10_000.0).contains(&speed) => Ok(speed),
        _ => bail!("--speed {value}: expected 0.01 to 10000"),
    }
}

/// The real program takes short names too.
fn full_name(model: &str) -> String {
    match model {
        "sonnet" => "claude-sonnet-5",
        "opus" => "claude-opus-5-5",
        "haiku" => "claude-haiku-4-5",
        other => other,
    }
    .to_owned()
}

fn mode(value: &str) -> Mode {
    match value {
        "bypassPermissions" => Mode::Bypass,
        "auto" => Mode::Auto,
        _ => Mode::Manual,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Args {
        Args::parse(line.split(' ').map(str::to_owned)).unwrap()
    }

    #[test]
    fn flags_of_the_real_program_are_taken_and_ignored() {
        let args =
            parse("--dangerously-skip-permissions --settings {} --speed 4 --add-dir /x --model=opus hello");
        assert_eq!(args.mode, Mode::Bypass);
        assert_eq!(args.model, "claude-opus-5-5");
        assert_eq!(args.prompt.as_deref(), Some("hello"));
        assert!((args.speed - 4.0).abs() < f64::EPSILON);
        assert_eq!(parse("--continue hello").prompt.as_deref(), Some("hello"));
    }

    #[test]
    fn own_flags_are_checked() {
        for line in ["--speed 0", "--script", "--noise many", "--script /does/not/exist"] {
            assert!(Args::parse(line.split(' ').map(str::to_owned)).is_err(), "{line}");
        }
    }
}
