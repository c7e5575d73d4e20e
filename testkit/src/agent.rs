//! The handle on a scripted agent: sends it steps over its control socket and knows what it has billed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::bins::bin;
use crate::home::TestHome;
use crate::process;
use crate::scripted::identity::project_dir;
use crate::scripted::{Billed, Tokens};
use crate::tmux::PrivateTmux;
use crate::wait::wait_until;

const START: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_secs(600);

/// How a scripted agent is started; the default waits for steps.
#[derive(Clone, Debug, Default)]
pub struct ScriptedOptions {
    /// The program, where [`crate::bins::bin`] does not find it: in the package's own tests,
    /// `env!("CARGO_BIN_EXE_scripted-agent")`.
    pub program: Option<PathBuf>,
    /// Text of a script that runs from the start.
    pub script: Option<String>,
    /// More arguments, such as `--model claude-opus-5-5`, `--speed 10`, `--in-place`, `--session-id UUID`.
    pub args: Vec<String>,
    /// More environment.
    pub env: Vec<(String, String)>,
}

/// A running scripted agent. Dropping the handle leaves it running; its tmux server or its own death ends it.
#[derive(Debug)]
pub struct ScriptedAgent {
    stream: BufReader<UnixStream>,
    pid: u32,
    session: String,
    config: PathBuf,
    billed: Billed,
}

impl ScriptedAgent {
    /// Starts one in a new tmux session of this name, as a program named `claude`, in the work directory of the
    /// same name, and waits until it takes steps.
    ///
    /// # Errors
    /// When it does not start.
    pub fn launch(
        tmux: &PrivateTmux,
        home: &TestHome,
        session: &str,
        options: &ScriptedOptions,
    ) -> Result<Self> {
        let program = match &options.program {
            Some(program) => program.clone(),
            None => bin("scripted-agent")?,
        };
        let link = link_as(home, "claude", &program)?;
        let control = control_socket(home, session);
        let mut argv =
            vec![link.display().to_string(), "--control".to_owned(), control.display().to_string()];
        if let Some(script) = &options.script {
            let file = home.root().join(format!("{session}.script"));
            std::fs::write(&file, script).context("write the script")?;
            argv.extend(["--script".to_owned(), file.display().to_string()]);
        }
        argv.extend_from_slice(&options.args);
        let mut env = home.env();
        env.extend_from_slice(&options.env);
        let config = env.iter().rev().find(|(key, _)| key == "CLAUDE_CONFIG_DIR");
        let config = config.map_or_else(|| home.claude_config(), |(_, dir)| PathBuf::from(dir));
        tmux.new_session(session, &home.work(session)?, &env, &argv)?;
        Self::connect(&control, &config)
    }

    /// To an agent that someone else has started, with `--control`; `config` is its `$CLAUDE_CONFIG_DIR` or
    /// `$HOME/.claude`.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn connect(control: &Path, config: &Path) -> Result<Self> {
        let what = format!("the control socket {}", control.display());
        let stream = wait_until(START, what, || UnixStream::connect(control))?;
        stream.set_read_timeout(Some(STEP))?;
        let mut agent = Self {
            stream: BufReader::new(stream),
            pid: 0,
            session: String::new(),
            config: config.to_owned(),
            billed: Billed::default(),
        };
        agent.step("status")?;
        Ok(agent)
    }

    /// One step (the grammar is that of script files). Comes back when its effects are on disk and on the screen,
    /// a step with a duration when that is over; after `crash` and `exit`, when the process is gone.
    ///
    /// # Errors
    /// What the agent said, or that it is gone.
    pub fn step(&mut self, step: &str) -> Result<Billed> {
        ensure!(!step.contains('\n'), "a step is one line");
        writeln!(self.stream.get_mut(), "{step}").with_context(|| format!("send {step:?}"))?;
        let mut line = String::new();
        let read = self.stream.read_line(&mut line);
        let leaves = matches!(step.split_whitespace().next(), Some("crash" | "exit"));
        if leaves && matches!(read, Ok(0) | Err(_)) {
            wait_until(START, "the agent's end", || !self.is_alive())?;
            return Ok(self.billed);
        }
        ensure!(
            read.with_context(|| format!("the answer to {step:?}"))? > 0,
            "the agent is gone at {step:?}"
        );
        self.answer(step, line.trim_end())?;
        Ok(self.billed)
    }

    fn answer(&mut self, step: &str, line: &str) -> Result<()> {
        let Some(fields) = line.strip_prefix("ok ") else { bail!("{step:?}: {line}") };
        let field = |name: &str| {
            let found =
                fields.split(' ').filter_map(|field| field.split_once('=')).find(|(key, _)| *key == name);
            found.map(|(_, value)| value).with_context(|| format!("{name} is missing in {line:?}"))
        };
        self.pid = field("pid")?.parse()?;
        field("session")?.clone_into(&mut self.session);
        let tokens = field("tokens")?.parse().map_err(anyhow::Error::msg)?;
        self.billed = Billed { responses: field("responses")?.parse()?, tokens };
        Ok(())
    }

    /// Everything that this process has billed, up to the last step that was answered; `step("status")` asks anew.
    #[must_use]
    pub fn billed(&self) -> Billed {
        self.billed
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    #[must_use]
    pub fn session_id(&self) -> &str {
        &self.session
    }

    #[must_use]
    pub fn is_alive(&self) -> bool {
        process::alive(self.pid)
    }

    /// SIGKILL, and gone when this returns.
    ///
    /// # Errors
    /// When it survives.
    pub fn kill(&self) -> Result<()> {
        process::signal(self.pid, Signal::SIGKILL);
        Ok(wait_until(START, "the killed agent's end", || !self.is_alive())?)
    }

    /// `sessions/<pid>.json`
    #[must_use]
    pub fn state_path(&self) -> PathBuf {
        self.config.join("sessions").join(format!("{}.json", self.pid))
    }

    /// # Errors
    /// When it is not there or torn.
    pub fn state(&self) -> Result<Value> {
        read_state(&self.state_path())
    }

    /// The transcript of a work directory's agent; not there before the first prompt.
    #[must_use]
    pub fn transcript_path(&self, cwd: &Path) -> PathBuf {
        project_dir(&self.config, &cwd.to_string_lossy()).join(format!("{}.jsonl", self.session))
    }
}

/// The state file of a process of Claude Code, scripted or real.
///
/// # Errors
/// When it is not there or torn.
pub fn read_state(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("parse {text:?}"))
}

/// All whole lines of a file: the last one may be in the midst of being written.
///
/// # Errors
/// When it is not there, or a whole line is no UTF-8.
pub fn whole_lines(path: &Path) -> Result<Vec<String>> {
    let mut bytes = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
    bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
    let text = String::from_utf8(bytes).with_context(|| format!("read {}", path.display()))?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// All whole rows of a JSONL file.
///
/// # Errors
/// When it is not there, or a row is no JSON.
pub fn read_rows(path: &Path) -> Result<Vec<Value>> {
    let row = |row: &String| serde_json::from_str(row).with_context(|| format!("parse {row:?}"));
    whole_lines(path)?.iter().map(row).collect()
}

/// What is billed in all transcripts below a configuration directory, counted the slow and simple way: each
/// message once, whatever file it is in. Independent of the agent's own count and of the code under test.
///
/// # Errors
/// When a file cannot be read.
pub fn count_on_disk(config: &Path) -> Result<Billed> {
    let mut messages = std::collections::BTreeMap::new();
    for file in jsonl_below(&config.join("projects"))? {
        for row in read_rows(&file)? {
            let message = &row["message"];
            let billed = row["type"] == "assistant" && message["model"] != "<synthetic>";
            if let (true, Some(id)) = (billed, message["id"].as_str()) {
                messages.insert(id.to_owned(), tokens_of(&message["usage"])?);
            }
        }
    }
    let mut sum = Billed::default();
    messages.values().for_each(|tokens| sum.add(*tokens));
    Ok(sum)
}

fn tokens_of(usage: &Value) -> Result<Tokens> {
    let number = |value: &Value| value.as_u64().with_context(|| format!("no number in {usage}"));
    Ok(Tokens {
        input: number(&usage["input_tokens"])?,
        output: number(&usage["output_tokens"])?,
        cache_read: number(&usage["cache_read_input_tokens"])?,
        cache_write_5m: number(&usage["cache_creation"]["ephemeral_5m_input_tokens"])?,
        cache_write_1h: number(&usage["cache_creation"]["ephemeral_1h_input_tokens"])?,
    })
}

fn jsonl_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).with_context(|| format!("list {}", dir.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "jsonl") {
                files.push(path);
            }
        }
    }
    Ok(files)
}

/// The control socket that [`ScriptedAgent::launch`] gives an agent.
#[must_use]
pub fn control_socket(home: &TestHome, session: &str) -> PathBuf {
    home.root().join(format!("{session}.ctl"))
}

/// A symbolic link named `claude` to `program`, so that `/proc/PID/comm` says `claude`. Its directory is not in
/// the search path of [`TestHome::env`].
///
/// # Errors
/// When the link cannot be made.
pub fn link_as(home: &TestHome, name: &str, program: &Path) -> Result<PathBuf> {
    let dir = home.root().join("scripted");
    std::fs::create_dir_all(&dir).context("make the link's directory")?;
    let link = dir.join(name);
    match symlink(program, &link) {
        Ok(()) => Ok(link),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(link),
        Err(error) => Err(error).context("link the scripted agent"),
    }
}
