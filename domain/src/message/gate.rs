//! Whether keys may go to an agent now. At a prompt a runtime throws pasted text away and takes the Enter for a yes, so
//! what is not plainly a free box is a reason to send nothing.

use crate::observation::StuckKind;

/// What runs in the pane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Life {
    Runs,
    /// No session, no process, or only a shell is left.
    Dead {
        why: String,
    },
    /// Stopped by a signal: it would read the keys some other time.
    Stopped,
    /// Some program whose screens nobody can read.
    Stranger {
        program: String,
    },
}

/// A state of the pane in which tmux sends keys elsewhere, or nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Somebody scrolls or copies.
    CopyMode,
    /// Keys go to all panes of the window.
    Synchronized,
    InputOff,
}

/// The box that takes the next prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Composer {
    Empty,
    /// Unsent text, as far as it is shown.
    Holds {
        text: String,
        /// Paragraphs below it that may be more of it, or stand below the box.
        rest: Vec<String>,
    },
    /// The runtime's own words for a long text that was pasted, and nothing else.
    Pasted,
    /// What is written there is a command, or a note: the mark that says so.
    Mode(char),
}

/// Something that waits for a person, or an ailment, with the line that shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    pub kind: StuckKind,
    pub line: String,
}

impl Trouble {
    /// An Enter would answer it.
    pub fn is_asked(&self) -> bool {
        asks(self.kind)
    }
}

fn asks(kind: StuckKind) -> bool {
    matches!(kind, StuckKind::Trust | StuckKind::Dialog | StuckKind::Permission | StuckKind::Question)
}

/// An agent's pane at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub life: Life,
    pub hold: Option<Hold>,
    /// By any source.
    pub troubles: Vec<Trouble>,
    /// The runtime says that it waits for a person, whatever is drawn.
    pub waits: bool,
    /// Nothing where no box is drawn, or what is drawn is not understood.
    pub composer: Option<Composer>,
    /// The screen says that a message stands in the runtime's queue.
    pub queued: bool,
}

impl Seen {
    /// The first thing that is asked.
    pub fn asked(&self) -> Option<&Trouble> {
        self.troubles.iter().find(|trouble| trouble.is_asked())
    }
}

/// Why nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the fleet is paused")]
    Paused,
    #[error("it does not run: {0}")]
    Dead(String),
    #[error("its process is stopped")]
    Stopped,
    #[error("{0} runs there, whose screen cannot be read: whether its box is free nobody can tell")]
    Stranger(String),
    #[error("it {}{}", .0.kind.phrase(), quoted(&.0.line))]
    Asked(Trouble),
    #[error("it waits for a person")]
    Waits,
    #[error("{}", held(*.0))]
    Held(Hold),
    #[error("its screen shows no free box for a prompt")]
    NoBox,
    #[error("its box is in `{0}` mode: what is written there is no prompt")]
    Mode(char),
    #[error("somebody's unsent text stands in its box")]
    Draft,
    #[error("{}{}", .0.kind.phrase(), quoted(&.0.line))]
    Ailing(Trouble),
    #[error("other messages to it are under way")]
    Locked,
}

fn quoted(line: &str) -> String {
    if line.is_empty() { String::new() } else { format!(": {line}") }
}

fn held(hold: Hold) -> &'static str {
    match hold {
        Hold::CopyMode => "its pane is in copy mode, where somebody reads",
        Hold::Synchronized => "its window sends keys to all of its panes (synchronize-panes)",
        Hold::InputOff => "its pane takes no input",
    }
}

impl Refusal {
    /// One word, for scripts.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Dead(_) => "dead",
            Self::Stopped => "stopped",
            Self::Stranger(_) => "unreadable",
            Self::Asked(trouble) | Self::Ailing(trouble) => trouble.kind.as_str(),
            Self::Waits => "waiting",
            Self::Held(Hold::CopyMode) => "copy_mode",
            Self::Held(Hold::Synchronized) => "synchronized",
            Self::Held(Hold::InputOff) => "input_off",
            Self::NoBox => "no_box",
            Self::Mode(_) => "mode",
            Self::Draft => "draft",
            Self::Locked => "locked",
        }
    }

    /// True of what may be over at the next look: a screen in the middle of being drawn, the last message's text.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::NoBox | Self::Draft)
    }

    /// True where whoever insists may send all the same: the box is free, and no key could answer anything.
    pub fn may_be_forced(&self) -> bool {
        matches!(self, Self::Ailing(_))
    }
}

/// May keys go there? `known` is what somebody who watches for longer says of it; `force` overrides an ailment, never a
/// prompt, a draft or a doubt.
///
/// # Errors
/// The reason why not.
pub fn may_send(seen: &Seen, known: Option<&Trouble>, paused: bool, force: bool) -> Result<(), Refusal> {
    if paused {
        return Err(Refusal::Paused);
    }
    free(seen)?;
    let ailing = known.into_iter().chain(&seen.troubles);
    for trouble in ailing {
        if trouble.is_asked() {
            return Err(Refusal::Asked(trouble.clone()));
        }
        if !force {
            return Err(Refusal::Ailing(trouble.clone()));
        }
    }
    match &seen.composer {
        Some(Composer::Empty) => Ok(()),
        Some(Composer::Holds { .. } | Composer::Pasted) => Err(Refusal::Draft),
        Some(Composer::Mode(mark)) => Err(Refusal::Mode(*mark)),
        None => Err(Refusal::NoBox),
    }
}

/// That a key reaches the box and nothing else; what stands in the box is not asked.
///
/// # Errors
/// What is in the way.
pub(super) fn free(seen: &Seen) -> Result<(), Refusal> {
    match &seen.life {
        Life::Runs => {}
        Life::Dead { why } => return Err(Refusal::Dead(why.clone())),
        Life::Stopped => return Err(Refusal::Stopped),
        Life::Stranger { program } => return Err(Refusal::Stranger(program.clone())),
    }
    if let Some(asked) = seen.asked() {
        return Err(Refusal::Asked(asked.clone()));
    }
    if seen.waits {
        return Err(Refusal::Waits);
    }
    match seen.hold {
        Some(hold) => Err(Refusal::Held(hold)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seen() -> Seen {
        Seen {
            life: Life::Runs,
            hold: None,
            troubles: Vec::new(),
            waits: false,
            composer: Some(Composer::Empty),
            queued: false,
        }
    }

    fn trouble(kind: StuckKind) -> Trouble {
        Trouble { kind, line: "Do you want to proceed?".to_owned() }
    }

    fn holds(text: &str) -> Composer {
        Composer::Holds { text: text.to_owned(), rest: Vec::new() }
    }

    fn refused(seen: &Seen, force: bool) -> &'static str {
        may_send(seen, None, false, force).map_or_else(|refusal| refusal.as_str(), |()| "")
    }

    #[test]
    fn a_free_box_takes_a_message_and_nothing_else_does() {
        assert_eq!(refused(&seen(), false), "");
        let with = |composer| Seen { composer, ..seen() };
        for force in [false, true] {
            assert_eq!(refused(&with(None), force), "no_box");
            assert_eq!(refused(&with(Some(holds("mine"))), force), "draft");
            assert_eq!(refused(&with(Some(Composer::Pasted)), force), "draft");
            assert_eq!(refused(&with(Some(Composer::Mode('!'))), force), "mode");
            assert_eq!(refused(&Seen { life: Life::Stopped, ..seen() }, force), "stopped");
            assert_eq!(refused(&Seen { waits: true, ..seen() }, force), "waiting");
            assert_eq!(refused(&Seen { hold: Some(Hold::CopyMode), ..seen() }, force), "copy_mode");
            assert_eq!(may_send(&seen(), None, true, force), Err(Refusal::Paused));
        }
    }

    #[test]
    fn an_ailment_yields_to_force_and_what_is_asked_never_does() {
        for kind in StuckKind::ALL {
            let stuck = Seen { troubles: vec![trouble(kind)], ..seen() };
            assert_eq!(refused(&stuck, false), kind.as_str());
            assert_eq!(refused(&stuck, true), if asks(kind) { kind.as_str() } else { "" });
            let told = may_send(&seen(), Some(&trouble(kind)), false, true);
            assert_eq!(told.is_ok(), !asks(kind));
            let refusal = may_send(&seen(), Some(&trouble(kind)), false, false).unwrap_err();
            assert_eq!(refusal.may_be_forced(), !asks(kind));
        }
    }

    #[test]
    fn a_refusal_says_what_is_in_the_way() {
        let said = |refusal: Refusal| refusal.to_string();
        let asked = said(Refusal::Asked(trouble(StuckKind::Permission)));
        assert_eq!(asked, "it waits for permission: Do you want to proceed?");
        assert_eq!(said(Refusal::Ailing(trouble(StuckKind::UsageLimit))).lines().count(), 1);
    }

    proptest! {
        /// Whatever else is seen: where something is asked, in copy mode, or without an empty box, nothing is ever sent.
        #[test]
        fn no_key_goes_where_it_could_answer(
            kinds in proptest::collection::vec(proptest::sample::select(StuckKind::ALL.to_vec()), 0..4),
            waits: bool,
            held: bool,
            composer in proptest::option::of(proptest::sample::select(vec![
                Composer::Empty, Composer::Pasted, Composer::Mode('!'), holds("x"),
            ])),
            paused: bool,
            force: bool,
        ) {
            let hold = held.then_some(Hold::CopyMode);
            let troubles: Vec<Trouble> = kinds.into_iter().map(trouble).collect();
            let seen = Seen { life: Life::Runs, hold, troubles, waits, composer, queued: false };
            if may_send(&seen, None, paused, force).is_ok() {
                prop_assert!(!paused && !held && !waits);
                prop_assert!(seen.asked().is_none());
                prop_assert_eq!(&seen.composer, &Some(Composer::Empty));
                prop_assert!(force || seen.troubles.is_empty());
            }
        }
    }
}
