//! Messages between agents: how one is written so that any pane can tell who wrote it, and how that is read again.
//! Whether one may be typed now is [`gate`]'s, how it goes on from there [`delivery`]'s.

pub mod delivery;
pub mod gate;

use std::fmt;

/// Bytes of a message's text, at most.
pub const MAX_BODY: usize = 1 << 20;
/// Bytes of an end's label, at most.
const MAX_LABEL: usize = 200;
/// Who writes where nobody says so and no agent's pane is the writer's.
pub const OPERATOR: &str = "operator:fleet-cli";

/// What a message wants of its reader; none at all is read as [`Class::Actionable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// For the record, no answer.
    TerminalLog,
    Actionable,
    /// A person wrote it.
    Human,
    Reaction,
}

impl Class {
    pub const ALL: [Self; 4] = [Self::TerminalLog, Self::Actionable, Self::Human, Self::Reaction];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::TerminalLog => "terminal-log",
            Self::Actionable => "actionable",
            Self::Human => "human",
            Self::Reaction => "reaction",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == word)
    }
}

/// Who writes, or who is written to: `host:session`, or any other word without blanks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadLabel {
    #[error("it is empty")]
    Empty,
    #[error("it has a blank or a control character; write it as host:session")]
    Blank,
    #[error("it is longer than {MAX_LABEL} bytes")]
    Long,
    #[error("it ends in `]`, by which a reader knows the end of the line's head")]
    Bracket,
}

impl Label {
    /// # Errors
    /// When a reader could not take it from a message again.
    pub fn parse(word: &str) -> Result<Self, BadLabel> {
        if word.is_empty() {
            return Err(BadLabel::Empty);
        }
        if word.len() > MAX_LABEL {
            return Err(BadLabel::Long);
        }
        if word.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(BadLabel::Blank);
        }
        if word.ends_with(']') {
            return Err(BadLabel::Bracket);
        }
        Ok(Self(word.to_owned()))
    }

    /// A session on a host, by the host's short name. What no label may have in it becomes `_`.
    pub fn of(host: &str, session: &str) -> Self {
        let plain = |c: char| if c.is_whitespace() || c.is_control() || c == ']' { '_' } else { c };
        let mut label: String = format!("{}:{session}", short(host)).chars().map(plain).collect();
        while label.len() > MAX_LABEL {
            label.pop();
        }
        Self(label)
    }

    /// The one who writes from no agent's pane.
    pub fn operator() -> Self {
        Self(OPERATOR.to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A host's name up to its first dot, as addresses have it.
pub fn short(host: &str) -> &str {
    host.split('.').next().unwrap_or(host)
}

/// What somebody wants to say: text in which nothing is a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadBody {
    #[error("the message is empty")]
    Empty,
    #[error("the message has {0} bytes; {MAX_BODY} are the most")]
    Long(usize),
    /// The line is counted from 1.
    #[error(
        "line {line} of the message has the control character U+{code:04X}, which a terminal takes for a key"
    )]
    Key { line: usize, code: u32 },
}

impl Body {
    /// Newlines and tabs are text; line ends are made plain and those at the end are dropped.
    ///
    /// # Errors
    /// When nothing is said, too much is, or something in it would act as a key.
    pub fn parse(text: &str) -> Result<Self, BadBody> {
        let text = text.replace("\r\n", "\n");
        let text = text.trim_end_matches('\n');
        if text.trim().is_empty() {
            return Err(BadBody::Empty);
        }
        if text.len() > MAX_BODY {
            return Err(BadBody::Long(text.len()));
        }
        for (at, line) in text.split('\n').enumerate() {
            if let Some(c) = line.chars().find(|c| c.is_control() && *c != '\t') {
                return Err(BadBody::Key { line: at + 1, code: u32::from(c) });
            }
        }
        Ok(Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One message, as it is written and read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub from: Label,
    pub to: Label,
    pub class: Option<Class>,
    pub body: Body,
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} -> {}", self.from, self.to)?;
        if let Some(class) = self.class {
            write!(f, " class={}", class.as_str())?;
        }
        write!(f, "] {}", self.body.0)
    }
}

impl Message {
    /// Reads what [`fmt::Display`] writes; nothing where it is no message.
    pub fn parse(text: &str) -> Option<Self> {
        let (from, rest) = text.strip_prefix('[')?.split_once(char::is_whitespace)?;
        let rest = rest.strip_prefix("-> ")?;
        let (to, rest) = rest.split_once(' ')?;
        let (to, class, body) = match to.strip_suffix(']') {
            Some(to) => (to, None, rest),
            None => {
                let (class, body) = rest.strip_prefix("class=")?.split_once("] ")?;
                (to, Some(Class::parse(class)?), body)
            }
        };
        let (from, to) = (Label::parse(from).ok()?, Label::parse(to).ok()?);
        Some(Self { from, to, class, body: Body::parse(body).ok()? })
    }

    /// As it goes into a prompt box: at some last words an Enter picks a completion or goes on in a new line, and after
    /// a blank it does not.
    pub fn typed(&self) -> String {
        let mut text = self.to_string();
        let last = text.rsplit(char::is_whitespace).next().unwrap_or_default();
        if last.ends_with('\\') || last.starts_with(['@', '/', '#', '$', ':']) {
            text.push(' ');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(from: &str, to: &str, class: Option<Class>, body: &str) -> Message {
        Message {
            from: Label::parse(from).unwrap(),
            to: Label::parse(to).unwrap(),
            class,
            body: Body::parse(body).unwrap(),
        }
    }

    #[test]
    fn without_a_class_a_message_is_the_classic_form() {
        let plain = message("box:lead", "box:coder0", None, "is it ready?");
        assert_eq!(plain.to_string(), "[box:lead -> box:coder0] is it ready?");
        let classed = Message { class: Some(Class::TerminalLog), ..plain };
        assert_eq!(classed.to_string(), "[box:lead -> box:coder0 class=terminal-log] is it ready?");
    }

    #[test]
    fn what_is_no_message_is_read_as_none() {
        for text in [
            "",
            "hello",
            "[a -> b]",
            "[a -> b]x",
            "[a->b] x",
            "[ -> b] x",
            "[a -> ] x",
            "[a -> b class=loud] x",
            "[a -> b class=human]x",
            "[a b -> c] x",
            " [a -> b] x",
            "[a -> b]  ",
        ] {
            assert_eq!(Message::parse(text), None, "{text}");
        }
        let odd = Message::parse("[a]x -> b]c] class=human] x").unwrap();
        assert_eq!((odd.from.as_str(), odd.to.as_str(), odd.class), ("a]x", "b]c", None));
    }

    #[test]
    fn what_would_act_as_a_key_is_refused_with_its_place() {
        assert_eq!(Body::parse("a\tb\r\nc\n\n").unwrap().as_str(), "a\tb\nc");
        assert_eq!(Body::parse("a\nb\u{1b}[201~"), Err(BadBody::Key { line: 2, code: 0x1b }));
        for key in ["\r", "\u{3}", "\u{7f}", "\u{9b}A", "\0"] {
            assert!(matches!(Body::parse(&format!("a{key}b")), Err(BadBody::Key { line: 1, .. })), "{key:?}");
        }
        assert_eq!(Body::parse(" \n\t\n"), Err(BadBody::Empty));
        assert_eq!(Body::parse(&"x".repeat(MAX_BODY + 1)), Err(BadBody::Long(MAX_BODY + 1)));
    }

    #[test]
    fn an_address_has_a_hosts_short_name_and_no_blanks() {
        assert_eq!(Label::of("box.example.org", "my session").as_str(), "box:my_session");
        assert_eq!(Label::parse("a b"), Err(BadLabel::Blank));
        assert_eq!(Label::parse(""), Err(BadLabel::Empty));
        assert_eq!(Label::parse("a]"), Err(BadLabel::Bracket));
    }

    #[test]
    fn an_enter_finds_no_completion_to_pick() {
        let typed = |body: &str| message("a", "b", None, body).typed();
        assert_eq!(typed("look at @src/ma"), "[a -> b] look at @src/ma ");
        assert_eq!(typed("a line ends in \\"), "[a -> b] a line ends in \\ ");
        assert_eq!(typed("plain"), "[a -> b] plain");
    }

    fn label() -> impl Strategy<Value = Label> {
        "[^\\s\\p{Cc}]{0,20}[^\\s\\p{Cc}\\]]".prop_map(|word| Label::parse(&word).unwrap())
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_the_same(
            from in label(),
            to in label(),
            class in proptest::option::of(proptest::sample::select(Class::ALL.to_vec())),
            body in "(\\PC|\n|\t){0,80}[a-z]",
        ) {
            let written = Message { from, to, class, body: Body::parse(&body).unwrap() };
            prop_assert_eq!(Message::parse(&written.to_string()), Some(written));
        }

        #[test]
        fn any_text_is_read_or_not_and_never_panics(text in "(\\[|\\]| |->|class=|human|\\PC|\n){0,40}") {
            let _ = Message::parse(&text);
            let _ = Body::parse(&text);
        }
    }
}
