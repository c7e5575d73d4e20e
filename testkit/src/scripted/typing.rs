//! What a person or `fleet send` types: a draft, Enter, Esc, an answer to a dialog. A prompt that was typed gets
//! one answer; one that was typed in a turn waits for its end.

use std::time::Instant;

use anyhow::Result;

use super::engine::{Current, Engine, Job, Then};
use super::keys::Key;
use super::screen::Phase;
use super::step::{Step, Work};

impl Engine {
    pub(super) fn key(&mut self, key: Key) -> Result<()> {
        let again = std::mem::take(&mut self.interrupt_asked);
        if matches!(self.view.phase, Phase::Permission { .. } | Phase::Question { .. }) {
            return self.dialog_key(&key);
        }
        match key {
            Key::Text(text) | Key::Paste(text) => self.view.draft.push_str(&text),
            Key::Backspace => drop(self.view.draft.pop()),
            Key::Control('u') => self.view.draft.clear(),
            Key::Enter => return self.submit(),
            Key::Escape if self.turn.is_some() => return self.interrupt(),
            Key::Control('c') if self.turn.is_some() => return self.interrupt(),
            Key::Control('c') if again => self.exit = Some(0),
            Key::Control('c') => {
                self.interrupt_asked = true;
                self.view.draft.clear();
            }
            Key::Escape | Key::Control(_) | Key::Drawn => {}
        }
        Ok(())
    }

    /// Pasted text is thrown away and Enter approves, as in the real one.
    fn dialog_key(&mut self, key: &Key) -> Result<()> {
        match key {
            Key::Enter => self.answered(true),
            Key::Text(text) if text == "1" || text == "2" => self.answered(true),
            Key::Text(text) if text == "3" => self.answered(false),
            Key::Escape => self.answered(false),
            _ => Ok(()),
        }
    }

    fn answered(&mut self, yes: bool) -> Result<()> {
        // The step that would have answered later is over; whoever sent it gets its `ok`.
        let waiting = self.current.take_if(|current| matches!(current.then, Then::Allow));
        let done = if yes { self.allow() } else { self.deny() };
        match waiting.and_then(|current| current.answer) {
            Some(answer) => self.settle(Some(answer), done),
            None => done,
        }
    }

    fn submit(&mut self) -> Result<()> {
        let text = std::mem::take(&mut self.view.draft);
        match text.trim() {
            "" => {}
            "/exit" | "/quit" => self.exit = Some(0),
            text if self.turn.is_some() => {
                self.transcript.queued(text)?;
                self.view.queued.push(text.to_owned());
            }
            text => self.typed(text.to_owned()),
        }
        Ok(())
    }

    /// Runs before whatever else waits; an idle step that is on goes on afterwards.
    pub(super) fn typed(&mut self, text: String) {
        if let Some(Current { until, answer, .. }) =
            self.current.take_if(|current| matches!(current.then, Then::Nothing))
        {
            let left = until.saturating_duration_since(Instant::now()).mul_f64(self.speed);
            self.queue.push_front(Job { step: Step::Idle(left), answer });
        }
        let work = Work { lasts: self.reply, tokens: None, blocks: 1 };
        for step in [Step::End, Step::Work(work), Step::Prompt(text)] {
            self.queue.push_front(Job { step, answer: None });
        }
    }

    pub(super) fn next_queued(&mut self) -> Result<()> {
        if self.view.queued.is_empty() {
            return Ok(());
        }
        self.transcript.dequeued()?;
        let text = self.view.queued.remove(0);
        self.typed(text);
        Ok(())
    }
}
