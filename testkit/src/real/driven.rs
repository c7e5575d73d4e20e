//! A real program in a session that somebody else started, driven as a person does.

use std::time::Duration;

use anyhow::Result;

use super::Kind;
use crate::stub::ModelStub;
use crate::tmux::PrivateTmux;
use crate::wait::wait_until;

/// Generous: the programs are large, and the machine runs other tests.
const PATIENCE: Duration = Duration::from_secs(240);
/// After this a key counts as swallowed.
const PRESSED: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug)]
pub struct Driven<'a> {
    pub tmux: &'a PrivateTmux,
    pub kind: Kind,
    pub session: &'a str,
}

impl Driven<'_> {
    #[must_use]
    pub fn screen(&self) -> String {
        self.tmux.capture(self.session).unwrap_or_else(|error| format!("{error:#}"))
    }

    /// Waits until the screen is as `wanted`.
    ///
    /// # Errors
    /// When it does not come to be; with the screen.
    pub fn wait_for(&self, what: &str, wanted: impl Fn(&str) -> bool) -> Result<()> {
        wait_until(PATIENCE, format!("{}: {what}", self.session), || {
            let screen = self.screen();
            if wanted(&screen) { Ok(()) } else { Err(screen) }
        })
        .map_err(Into::into)
    }

    /// As `fleet launch` starts it, it takes a prompt at once: nothing is asked before.
    ///
    /// # Errors
    /// When something is; with the screen.
    pub fn is_ready(&self) -> Result<()> {
        self.wait_for("a box for prompts, without a question", |screen| is_ready(self.kind, screen))
    }

    /// Pastes a text that was not sent before, and waits until the model was asked with it.
    ///
    /// # Errors
    /// When it is not; with the screen.
    pub fn send(&self, stub: &ModelStub, text: &str) -> Result<()> {
        self.tmux.paste(self.session, text)?;
        self.wait_for("the draft", |screen| screen.contains(text))?;
        wait_until(PATIENCE, format!("{}: a request with {text:?}", self.session), || {
            // Seldom an Enter close to a paste is swallowed; once it was not, the box is empty.
            let _ = self.tmux.send_keys(self.session, &["Enter"]);
            wait_until(PRESSED, "the request", || stub.asked_with(&[text]) > 0).map_err(|_| self.screen())
        })
        .map_err(Into::into)
    }

    /// [`Self::send`], and the answer.
    ///
    /// # Errors
    /// When there is none; with the screen.
    pub fn say(&self, stub: &ModelStub, text: &str) -> Result<()> {
        self.send(stub, text)?;
        self.wait_for("the answer", |screen| screen.contains("STUBOK"))
    }
}

fn is_ready(kind: Kind, screen: &str) -> bool {
    let begins = |mark: &str| screen.lines().any(|line| line.starts_with(mark));
    match kind {
        Kind::Claude => begins("❯") && screen.contains("bypass permissions on"),
        Kind::Codex => begins("› ") && !screen.contains("Trust"),
        Kind::Opencode => screen.contains("Ask anything") || screen.contains("ctrl+p commands"),
        Kind::Pi => begins("──────────") && screen.contains("stub-model"),
    }
}
