//! One message from its paste to its proof. Whoever delivers says what is seen, and is told what to do next; time
//! comes in as what has passed since the paste.
//!
//! ```text
//!   pasted ──ours in the box, twice──► entered ──proof, or an empty box──► accepted, queued, delivered
//!      │                                 │  └──still ours: Enter again, twice at most──► draft
//!      └──something else, or nothing──► draft         └──nobody can tell──► unknown
//! ```
//! An Enter goes out only where the box was just seen to hold this message alone and nothing is asked. What may have
//! been taken is never typed again.

use std::time::Duration;

use super::gate::{self, Composer, Seen};

/// Between the text's first sight in the box and the Enter: close behind a paste some runtimes swallow it.
const SETTLE: Duration = Duration::from_millis(150);
/// How long a paste may take to be drawn.
const DRAWN: Duration = Duration::from_secs(10);
/// After this an Enter counts as swallowed.
const SWALLOWED: Duration = Duration::from_millis(1500);
const ENTERS: u32 = 3;
/// How long the last Enter is waited for.
const LAST: Duration = Duration::from_secs(5);
/// What a transcript gets after the box is empty.
const WRITTEN: Duration = Duration::from_secs(3);
/// What is left where no box is seen after an Enter.
const LOST: Duration = Duration::from_secs(15);
/// Letters by which an end of a long text is recognised.
const ENOUGH: usize = 24;

const LATE_TURN: &str = "no turn with it began in time";

/// How far a message is known to have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The runtime's own record has the turn.
    Accepted,
    /// The runtime will take it later, and says so.
    Queued,
    /// The screen shows it submitted; the runtime says nothing of it.
    Delivered,
    /// It stands in the box, or stood there last, and no turn came of it.
    Draft,
    /// An Enter was pressed, and nobody can tell what became of it.
    Unknown,
}

impl Fate {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Queued => "queued",
            Self::Delivered => "delivered",
            Self::Draft => "draft",
            Self::Unknown => "unknown",
        }
    }

    /// The agent has it.
    pub fn arrived(self) -> bool {
        matches!(self, Self::Accepted | Self::Queued | Self::Delivered)
    }
}

/// What a runtime's record says of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    Turn,
    Queue,
}

/// Who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    Transcript,
    Screen,
    None,
}

impl Proof {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transcript => "transcript",
            Self::Screen => "screen",
            Self::None => "none",
        }
    }
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    pub fate: Fate,
    pub proof: Proof,
    /// Of a draft, or what nobody can tell: what was seen instead.
    pub why: String,
    /// More was wanted than came in time.
    pub timed_out: bool,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Look,
    /// Press Enter, where the pane still takes keys.
    Enter,
    Done(End),
}

/// What is wanted of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// A turn, nothing less.
    pub verify: bool,
    /// A record of this runtime can be read, so that it is worth waiting for.
    pub recorded: bool,
    /// Since the paste.
    pub limit: Duration,
}

/// A message that was pasted into a box seen to be empty.
#[derive(Debug, Clone)]
pub struct Delivery {
    letters: String,
    wanted: Wanted,
    entered: Option<Entered>,
    /// Since when the box holds it.
    ours: Option<Duration>,
}

#[derive(Debug, Clone, Copy)]
struct Entered {
    times: u32,
    last: Duration,
    /// Since when the box no longer holds it.
    gone: Option<Duration>,
}

/// What the box holds, as far as this message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Nothing,
    Ours,
    Others,
    NoBox,
}

impl Delivery {
    pub fn new(text: &str, wanted: Wanted) -> Self {
        Self { letters: letters(text), wanted, entered: None, ours: None }
    }

    /// How often Enter was pressed.
    pub fn enters(&self) -> u32 {
        self.entered.map_or(0, |entered| entered.times)
    }

    /// What the runtime's record says comes before whatever is drawn.
    pub fn next(&mut self, seen: &Seen, taken: Option<Taken>, at: Duration) -> Step {
        let queue = taken == Some(Taken::Queue);
        if taken == Some(Taken::Turn) {
            return done(Fate::Accepted, Proof::Transcript);
        }
        if queue && !self.wanted.verify {
            return done(Fate::Queued, Proof::Transcript);
        }
        let content = self.content(seen.composer.as_ref());
        match self.entered {
            _ if queue => self.queued(at),
            None => self.before_enter(seen, content, at),
            Some(entered) => self.after_enter(entered, seen, content, at),
        }
    }

    fn queued(&self, at: Duration) -> Step {
        match at >= self.wanted.limit {
            true => late(Fate::Queued, Proof::Transcript, LATE_TURN),
            false => Step::Look,
        }
    }

    fn before_enter(&mut self, seen: &Seen, content: Content, at: Duration) -> Step {
        if let Err(refusal) = gate::free(seen) {
            return ended(Fate::Draft, Proof::Screen, format!("after the paste {refusal}"), false);
        }
        if content == Content::Ours {
            let since = *self.ours.get_or_insert(at);
            if at.saturating_sub(since) < SETTLE {
                return Step::Look;
            }
            self.entered = Some(Entered { times: 1, last: at, gone: None });
            return Step::Enter;
        }
        self.ours = None;
        if at < DRAWN.min(self.wanted.limit) {
            return Step::Look;
        }
        let why = match content {
            Content::Others => "its box holds something else beside it",
            _ => "its box never showed it",
        };
        ended(Fate::Draft, Proof::Screen, why.to_owned(), false)
    }

    fn after_enter(&mut self, mut entered: Entered, seen: &Seen, content: Content, at: Duration) -> Step {
        let since = at.saturating_sub(entered.last);
        let over = at >= self.wanted.limit;
        let in_the_way = gate::free(seen).err();
        if content == Content::Ours && in_the_way.is_none() {
            self.entered = Some(Entered { gone: None, ..entered });
            // It was taken, and stands there until the program has started.
            return match (seen.queued, over) {
                (true, false) => Step::Look,
                (true, true) if self.wanted.verify => late(Fate::Queued, Proof::Screen, LATE_TURN),
                (true, true) => done(Fate::Queued, Proof::Screen),
                (false, _) => self.again(entered, since, over, at),
            };
        }
        let gone = *entered.gone.get_or_insert(at);
        self.entered = Some(entered);
        // What is drawn late may still be what stood there before the Enter.
        if in_the_way.is_some() || content == Content::NoBox {
            let what =
                in_the_way.map_or("no box was seen any more".to_owned(), |refusal| refusal.to_string());
            return match over || at.saturating_sub(gone) >= LOST {
                true => ended(Fate::Unknown, Proof::None, format!("after the Enter {what}"), false),
                false => Step::Look,
            };
        }
        if self.wanted.verify {
            // Where no record can be read, waiting shows no more.
            return match over || !self.wanted.recorded && at.saturating_sub(gone) >= SETTLE {
                true => late(Fate::Delivered, Proof::Screen, "no record of its runtime has it"),
                false => Step::Look,
            };
        }
        let patience = if self.wanted.recorded { WRITTEN } else { SETTLE };
        if at.saturating_sub(gone) < patience && !over {
            return Step::Look;
        }
        done(if seen.queued { Fate::Queued } else { Fate::Delivered }, Proof::Screen)
    }

    /// The box still holds it, and nothing covers it.
    fn again(&mut self, entered: Entered, since: Duration, over: bool, at: Duration) -> Step {
        if since < SWALLOWED && !over {
            return Step::Look;
        }
        if entered.times < ENTERS && !over {
            self.entered = Some(Entered { times: entered.times + 1, last: at, gone: None });
            return Step::Enter;
        }
        if since < LAST && !over {
            return Step::Look;
        }
        let why = format!("it stands in the box after {} times Enter", entered.times);
        ended(Fate::Draft, Proof::Screen, why, false)
    }

    fn content(&self, composer: Option<&Composer>) -> Content {
        match composer {
            None => Content::NoBox,
            Some(Composer::Empty) => Content::Nothing,
            Some(Composer::Pasted) => Content::Ours,
            Some(Composer::Mode(_)) => Content::Others,
            Some(Composer::Holds { text, rest }) => {
                if self.is_ours(text, rest) {
                    Content::Ours
                } else {
                    Content::Others
                }
            }
        }
    }

    /// All of it, or the end of it where the box is too small for more.
    fn is_ours(&self, text: &str, rest: &[String]) -> bool {
        let mut shown = letters(text);
        if shown.chars().count() >= ENOUGH && self.letters.ends_with(&shown) {
            return true;
        }
        for part in rest {
            if shown == self.letters {
                return true;
            }
            shown.push_str(&letters(part));
        }
        shown == self.letters
    }
}

/// What of a text is the same however it is wrapped, framed and folded.
fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

fn done(fate: Fate, proof: Proof) -> Step {
    ended(fate, proof, String::new(), false)
}

fn late(fate: Fate, proof: Proof, why: &str) -> Step {
    ended(fate, proof, why.to_owned(), true)
}

fn ended(fate: Fate, proof: Proof, why: String, timed_out: bool) -> Step {
    Step::Done(End { fate, proof, why, timed_out })
}

#[cfg(test)]
mod tests;
