//! Names as types, so that a session's name is never taken for an agent's, nor a host for a tenant.

use std::borrow::Cow;
use std::fmt;

use crate::text;

/// The longest agent name, in bytes (all of them ASCII).
pub const MAX_AGENT_NAME: usize = 64;
const MAX_LABEL: usize = 128;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} is not an agent name: {why}; use 1 to 64 letters, digits, `_` or `-`, beginning with a letter or digit"
)]
pub struct BadAgentName {
    pub name: String,
    pub why: &'static str,
}

/// `[A-Za-z0-9][A-Za-z0-9_-]{0,63}`: at once a tmux session name, a systemd instance and a file name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentName(String);

impl AgentName {
    pub fn parse(name: &str) -> Result<Self, BadAgentName> {
        let bad = |why| Err(BadAgentName { name: text::clean(name, 80), why });
        let Some(first) = name.chars().next() else {
            return bad("it is empty");
        };
        if name.len() > MAX_AGENT_NAME {
            return bad("it is longer than 64 characters");
        }
        if !first.is_ascii_alphanumeric() {
            return bad("it does not begin with a letter or digit");
        }
        if let Some(c) = name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))) {
            return bad(match c {
                '.' | ':' => "tmux would rewrite `.` and `:`",
                '/' => "it contains `/`",
                c if c.is_whitespace() => "it contains a blank",
                _ => "it contains another character",
            });
        }
        Ok(Self(name.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

macro_rules! label {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(String);

        impl $name {
            /// Makes hostile text harmless and cuts it to 128 characters.
            pub fn new<'t>(text: impl Into<Cow<'t, str>>) -> Self {
                Self(text::cleaned(text, MAX_LABEL))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }

            pub fn is_empty(&self) -> bool {
                self.0.is_empty()
            }

            pub fn into_string(self) -> String {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }
    };
}

label!(
    /// A Linux user with its own socket, units and home.
    TenantId
);
label!(
    /// A machine by its short host name.
    HostId
);
label!(
    /// A runtime by name: `claude`, `codex`, `pi`, `opencode`, or one that the roster gives a command for.
    RuntimeName
);
label!(
    /// A runtime's own identity of a conversation.
    SessionId
);
label!(
    /// Who pays: a subscription or an API key, by the name that the roster gives it, else by its provider's.
    AccountName
);

/// A tmux server: its `-L` name, or an absolute path (`-S`), or the user's default one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SocketName(String);

impl SocketName {
    /// The literal default server: no `-L` anywhere.
    pub const fn default_server() -> Self {
        Self(String::new())
    }

    /// An absent or empty name is the default server.
    pub fn new<'t>(name: impl Into<Cow<'t, str>>) -> Self {
        Self(text::cleaned(name, 1024))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_default(&self) -> bool {
        self.0.is_empty()
    }

    pub fn into_string(self) -> String {
        self.0
    }

    /// For people: `default` for the default server.
    pub fn shown(&self) -> &str {
        if self.0.is_empty() { "default" } else { &self.0 }
    }
}

impl fmt::Debug for SocketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// What makes an agent the same agent: tenant, host, socket and session.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentKey {
    pub tenant: TenantId,
    pub host: HostId,
    pub socket: SocketName,
    /// The tmux session's name; of a managed agent, the agent's name. Hostile until cleaned: see [`text::clean`].
    pub session: String,
}

impl AgentKey {
    pub fn new<'t>(
        tenant: TenantId,
        host: HostId,
        socket: SocketName,
        session: impl Into<Cow<'t, str>>,
    ) -> Self {
        Self { tenant, host, socket, session: text::cleaned(session, MAX_LABEL) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_that_tmux_systemd_or_a_path_would_misread_are_refused() {
        for bad in ["", ".", "..", "a/b", "a b", "-a", "_a", "a.b", "a:b", "a\n", "é", &"a".repeat(65)] {
            let error = AgentName::parse(bad).unwrap_err();
            assert!(error.to_string().contains("agent name"), "{bad:?}");
        }
        for good in ["a", "coder0", "final-reviewer", "A_1", &"a".repeat(64)] {
            assert_eq!(AgentName::parse(good).unwrap().as_str(), good);
        }
    }

    proptest! {
        #[test]
        fn parsing_a_name_never_panics_and_keeps_it(name in any::<String>()) {
            if let Ok(parsed) = AgentName::parse(&name) {
                prop_assert_eq!(parsed.as_str(), name);
            }
        }
    }
}
