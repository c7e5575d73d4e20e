//! One real session in a pane: started past its first-run dialogs, prompted the way a person pastes, observed by
//! its own files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;
use serde_json::{Map, Value, json};

use super::RealClaude;
use crate::agent::{read_rows, read_state};
use crate::home::TestHome;
use crate::process;
use crate::scripted::identity::project_dir;
use crate::stub::ModelStub;
use crate::tmux::PrivateTmux;
use crate::wait::wait_until;

/// A key that no server knows.
pub const API_KEY: &str = "sk-ant-api03-dummy-0000000000000000000000-stub0001";
/// Generous: the program has 360 MB to read, and the machine runs other tests.
const PATIENCE: Duration = Duration::from_secs(60);
/// After this a key counts as swallowed.
const PRESSED: Duration = Duration::from_secs(3);
const PRESSES: usize = 3;

/// How a session is started; the default asks for permission, by an API key.
#[derive(Clone, Debug, Default)]
pub struct ClaudeOptions {
    /// `default`, `auto`, `acceptEdits`, `plan`; `default` when empty, in which the stub's `TOOL` asks.
    pub permission_mode: String,
    /// Looks like a subscription instead of an API key: then the stub's `LIMIT` is the plan's usage limit.
    pub subscription: bool,
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
}

#[derive(Debug)]
pub struct ClaudeSession<'a> {
    tmux: &'a PrivateTmux,
    session: String,
    pid: u32,
    config: PathBuf,
    cwd: PathBuf,
}

impl RealClaude {
    /// Starts it in a new tmux session of this name, in the work directory of the same name; idle when this
    /// returns.
    ///
    /// # Errors
    /// When it does not become idle; with the screen.
    pub fn launch<'a>(
        &self,
        tmux: &'a PrivateTmux,
        home: &TestHome,
        session: &str,
        stub: &ModelStub,
    ) -> Result<ClaudeSession<'a>> {
        self.launch_with(tmux, home, session, stub, &ClaudeOptions::default())
    }

    /// As [`Self::launch`].
    ///
    /// # Errors
    /// When it does not become idle; with the screen.
    pub fn launch_with<'a>(
        &self,
        tmux: &'a PrivateTmux,
        home: &TestHome,
        session: &str,
        stub: &ModelStub,
        options: &ClaudeOptions,
    ) -> Result<ClaudeSession<'a>> {
        let cwd = home.work(session)?;
        answer_first_run(&home.home(), &cwd, FirstRun::default())?;
        let mode = if options.permission_mode.is_empty() { "default" } else { &options.permission_mode };
        let mut argv =
            vec![self.program().display().to_string(), "--permission-mode".to_owned(), mode.to_owned()];
        argv.extend_from_slice(&options.args);
        let mut env = home.env();
        env.extend(environment(&stub.base_url(), options.subscription));
        env.extend_from_slice(&options.env);
        let pane = tmux.new_session(session, &cwd, &env, &argv)?;
        let config = home.claude_config();
        let claude = ClaudeSession { tmux, session: session.to_owned(), pid: pane.pid, config, cwd };
        claude.wait_for("idle")?;
        claude.wait_for_screen("an empty composer", |screen| composer(screen).is_some())?;
        Ok(claude)
    }
}

/// Which dialogs of a first start are answered beforehand; unattended mode always is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FirstRun {
    pub(crate) trusted: bool,
    pub(crate) key_approved: bool,
}

impl Default for FirstRun {
    fn default() -> Self {
        Self { trusted: true, key_approved: true }
    }
}

/// Onboarding is done; the rest is as asked for, in the files of this user.
pub(crate) fn answer_first_run(user_home: &Path, cwd: &Path, answers: FirstRun) -> Result<()> {
    let path = user_home.join(".claude.json");
    let known = std::fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str(&text).ok());
    let mut state: Map<String, Value> = known.unwrap_or_default();
    let tail = &API_KEY[API_KEY.len() - 20..];
    state.insert("hasCompletedOnboarding".to_owned(), json!(true));
    state.insert("theme".to_owned(), json!("dark"));
    let approved = if answers.key_approved { json!([tail]) } else { json!([]) };
    state.insert("customApiKeyResponses".to_owned(), json!({"approved": approved, "rejected": []}));
    let projects = state.entry("projects").or_insert_with(|| json!({}));
    projects[cwd.to_string_lossy().as_ref()] = json!({"hasTrustDialogAccepted": answers.trusted});
    write_json(&path, &Value::Object(state))?;
    let config = user_home.join(".claude");
    let settings = config.join("settings.json");
    if settings.exists() {
        return Ok(());
    }
    std::fs::create_dir_all(config).context("make the configuration directory")?;
    write_json(&settings, &json!({"skipDangerousModePermissionPrompt": true}))
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    std::fs::write(path, value.to_string()).with_context(|| format!("write {}", path.display()))
}

pub(crate) fn environment(base_url: &str, subscription: bool) -> Vec<(String, String)> {
    let credential = if subscription {
        ("CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-oat01-dummy-0000000000000000000".to_owned())
    } else {
        ("ANTHROPIC_API_KEY", API_KEY.to_owned())
    };
    let on = "1".to_owned();
    [
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", on.clone()),
        ("DISABLE_AUTOUPDATER", on.clone()),
        ("DISABLE_TELEMETRY", on.clone()),
        ("DISABLE_ERROR_REPORTING", on.clone()),
        // As root it refuses the unattended mode outside of a sandbox; elsewhere this does nothing.
        ("IS_SANDBOX", on),
        ("ANTHROPIC_BASE_URL", base_url.to_owned()),
        credential,
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

impl ClaudeSession<'_> {
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    #[must_use]
    pub fn cwd(&self) -> &Path {
        &self.cwd
    }

    #[must_use]
    pub fn is_alive(&self) -> bool {
        process::alive(self.pid)
    }

    /// `sessions/<pid>.json`
    #[must_use]
    pub fn state_path(&self) -> PathBuf {
        self.config.join("sessions").join(format!("{}.json", self.pid))
    }

    /// # Errors
    /// When it is not there yet, or torn: it is rewritten in place.
    pub fn state(&self) -> Result<Value> {
        read_state(&self.state_path())
    }

    /// Waits for `idle`, `busy`, `waiting` or `shell`; the whole state.
    ///
    /// # Errors
    /// After a minute; with the last state and the screen.
    pub fn wait_for(&self, status: &str) -> Result<Value> {
        let state = wait_until(PATIENCE, format!("status {status}"), || match self.state() {
            Ok(state) if state["status"] == status => Ok(state),
            Ok(state) => Err(format!("status {}", state["status"])),
            Err(error) => Err(format!("{error:#}")),
        });
        state.with_context(|| self.screen().unwrap_or_default())
    }

    /// The transcript of the present session; not there before the first prompt.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn transcript_path(&self) -> Result<PathBuf> {
        let state = self.state()?;
        let session = state["sessionId"].as_str().context("the state has no sessionId")?;
        Ok(project_dir(&self.config, &self.cwd.to_string_lossy()).join(format!("{session}.jsonl")))
    }

    /// # Errors
    /// When there is no transcript yet.
    pub fn rows(&self) -> Result<Vec<Value>> {
        read_rows(&self.transcript_path()?)
    }

    /// Waits for the first row that `wanted` takes. Rows reach the file up to a tenth of a second after the state
    /// says that the turn is over.
    ///
    /// # Errors
    /// After a minute.
    pub fn wait_for_row(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let row = wait_until(PATIENCE, format!("the row {what}"), || match self.rows() {
            Ok(rows) => rows.iter().find(|row| wanted(row)).cloned().ok_or(format!("{} rows", rows.len())),
            Err(error) => Err(format!("{error:#}")),
        });
        row.with_context(|| self.screen().unwrap_or_default())
    }

    /// Answers the dialog that is open with a key, such as `1` or `Escape`. The state says `waiting` before the
    /// dialog is drawn, and keys that come too early are lost: the key is pressed again until the state moves on.
    ///
    /// # Errors
    /// When no dialog shows, or it stays.
    pub fn answer(&self, key: &str) -> Result<()> {
        self.wait_for("waiting")?;
        self.wait_for_screen("a dialog", |screen| screen.contains("Esc to cancel"))?;
        self.press(key, PRESSED, "an answered dialog", || {
            self.state().is_ok_and(|state| state["status"] != "waiting")
        })
    }

    /// Waits until the turn that began with this prompt is over: idle, and its last row on disk. A turn that ends
    /// on an error has a row for the error instead of a `turn_duration`.
    ///
    /// # Errors
    /// After a minute.
    pub fn wait_for_turn(&self, prompt: &str) -> Result<()> {
        wait_until(PATIENCE, format!("the end of the turn {prompt:?}"), || {
            let rows = self.rows().map_err(|error| format!("{error:#}"))?;
            let begin =
                rows.iter().rposition(|row| row["message"]["content"] == prompt).ok_or("no such prompt")?;
            let ended = |row: &Value| row["subtype"] == "turn_duration" || row["isApiErrorMessage"] == true;
            if rows[begin..].iter().any(ended) { Ok(()) } else { Err(format!("{} rows", rows.len())) }
        })
        .with_context(|| self.screen().unwrap_or_default())?;
        self.wait_for("idle").map(drop)
    }

    fn wait_for_end(&self) -> Result<()> {
        Ok(wait_until(PATIENCE, "the end of the session", || !self.is_alive())?)
    }

    /// SIGTERM, which is a clean end; gone when this returns.
    ///
    /// # Errors
    /// When it does not end.
    pub fn terminate(&self) -> Result<()> {
        process::signal(self.pid, Signal::SIGTERM);
        self.wait_for_end()
    }

    /// SIGKILL, and gone when this returns.
    ///
    /// # Errors
    /// When it survives.
    pub fn kill(&self) -> Result<()> {
        process::signal(self.pid, Signal::SIGKILL);
        self.wait_for_end()
    }

    /// Interrupts an answer that streams: its row is on disk when this returns.
    ///
    /// # Errors
    /// When it goes on; with the screen.
    pub fn interrupt_stream(&self) -> Result<()> {
        let before = aborted(&self.rows()?);
        // Its row may be late, and a second Escape is another command: it is given time.
        self.press("Escape", 2 * PRESSED, "the row of an answer that broke off", || {
            self.rows().is_ok_and(|rows| aborted(&rows) > before)
        })
    }

    /// # Errors
    /// What tmux said.
    pub fn screen(&self) -> Result<String> {
        self.tmux.capture(&self.session)
    }

    /// # Errors
    /// What tmux said.
    pub fn send_keys(&self, keys: &[&str]) -> Result<()> {
        self.tmux.send_keys(&self.session, keys)
    }

    /// Pastes the text in brackets, waits until it stands in the composer, and presses Enter until it does not.
    ///
    /// # Errors
    /// When the composer does not show the text, or keeps it.
    pub fn send_prompt(&self, text: &str) -> Result<()> {
        let needle: String = text.lines().next().unwrap_or_default().chars().take(24).collect();
        let is_draft = |screen: &str| {
            composer(screen)
                .is_some_and(|draft| draft.starts_with(&needle) || draft.starts_with("[Pasted text"))
        };
        self.tmux.paste(&self.session, text)?;
        self.wait_for_screen("the draft", is_draft)?;
        // Seldom an Enter close to a paste is swallowed: the draft is still exactly ours then.
        self.press("Enter", PRESSED, "an accepted prompt", || {
            self.screen().is_ok_and(|screen| !is_draft(&screen))
        })
    }

    /// Presses a key, again where it was swallowed for so long, until it is `done`.
    fn press(&self, key: &str, swallowed: Duration, what: &str, done: impl Fn() -> bool) -> Result<()> {
        for _ in 0..PRESSES {
            self.send_keys(&[key])?;
            if wait_until(swallowed, what, &done).is_ok() {
                return Ok(());
            }
        }
        bail!("{key} does not lead to {what}: {}", self.screen()?)
    }

    fn wait_for_screen(&self, what: &str, wanted: impl Fn(&str) -> bool) -> Result<()> {
        wait_until(PATIENCE, what, || {
            let screen = self.screen().unwrap_or_else(|error| format!("{error:#}"));
            if wanted(&screen) { Ok(()) } else { Err(screen) }
        })
        .map_err(Into::into)
    }
}

fn aborted(rows: &[Value]) -> usize {
    rows.iter().filter(|row| row["isAbortedMidStream"] == true).count()
}

/// What stands in the composer, between its two rules; `None` where there is no composer.
fn composer(screen: &str) -> Option<&str> {
    let lines: Vec<&str> = screen.lines().collect();
    let is_rule = |line: &str| line.starts_with("────") && line.trim_end().chars().all(|c| c == '─');
    let last = lines.iter().rposition(|line| is_rule(line))?;
    let first = lines[..last].iter().rposition(|line| is_rule(line))?;
    let draft = lines.get(first + 1).filter(|_| first + 1 < last)?.strip_prefix('❯')?;
    Some(draft.trim_matches(|c: char| c.is_whitespace() || c == '\u{a0}'))
}

#[cfg(test)]
mod tests {
    use super::composer;

    #[test]
    fn the_composer_is_what_stands_between_the_last_rules() {
        let rule = "─".repeat(40);
        let screen = format!("❯ old\n\n{rule}\n❯\u{a0}draft text\n{rule}\n  ? for shortcuts");
        assert_eq!(composer(&screen), Some("draft text"));
        assert_eq!(composer(&format!("{rule}\n ☐ Question\n{rule}\n 4. Chat")), None);
    }
}
