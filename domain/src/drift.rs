//! Drift: where what runs is not what was configured, each kind with its severity and the command that mends it.

use crate::ids::RuntimeName;
use crate::observation::{RosterEntry, UnitState};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The roster names another runtime than the pane runs.
    Runtime,
    /// Active, but not enabled: gone after the next boot.
    Boot,
    /// On the socket, not in the roster.
    Unmanaged,
    /// In the roster, no session.
    Missing,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Runtime, Self::Boot, Self::Unmanaged, Self::Missing];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Runtime => "runtime",
            Self::Boot => "boot",
            Self::Unmanaged => "unmanaged",
            Self::Missing => "missing",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The flag that `fleet ps` shows.
    pub fn flag(self) -> &'static str {
        match self {
            Self::Runtime => "DRIFT",
            Self::Boot => "BOOT-ENABLE",
            Self::Unmanaged => "UNMANAGED",
            Self::Missing => "MISSING",
        }
    }

    pub fn severity(self) -> Severity {
        match self {
            Self::Unmanaged => Severity::Info,
            Self::Runtime | Self::Boot => Severity::Warning,
            Self::Missing => Severity::Critical,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Info,
    Warning,
    Critical,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        [Self::Info, Self::Warning, Self::Critical].into_iter().find(|severity| severity.as_str() == word)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    pub kind: Kind,
    pub detail: String,
    /// The command, or the one thing to do, that mends it.
    pub remedy: String,
}

/// What is known of one session when drift is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub name: &'a str,
    pub roster: Option<&'a RosterEntry>,
    /// The host's roster was read, so that not being in it means something.
    pub roster_known: bool,
    pub unit: Option<&'a UnitState>,
    /// `None`: nobody can tell.
    pub session_exists: Option<bool>,
    pub runtime_seen: Option<&'a RuntimeName>,
}

pub fn find(facts: &Facts<'_>) -> Vec<Drift> {
    let name = facts.name;
    let mut found = Vec::new();
    let mut add = |kind, detail: String, remedy: String| found.push(Drift { kind, detail, remedy });
    match facts.roster {
        Some(entry) => {
            if let Some(seen) = facts.runtime_seen
                && *seen != entry.runtime
                && !entry.runs_a_shell
            {
                add(
                    Kind::Runtime,
                    format!("the roster says {}, the pane runs {seen}", entry.runtime),
                    format!("systemctl --user restart mosaic-agent@{name}.service"),
                );
            }
            if facts.session_exists == Some(false) {
                add(
                    Kind::Missing,
                    "in the roster, but it has no session".to_owned(),
                    format!("systemctl --user start mosaic-agent@{name}.service"),
                );
            }
        }
        None if facts.roster_known && facts.session_exists == Some(true) => add(
            Kind::Unmanaged,
            "on the socket, but not in the roster".to_owned(),
            format!("add `{name}` to fleet/roster.yaml, or end the session"),
        ),
        None => {}
    }
    if let Some(unit) = facts.unit
        && unit.active == "active"
        && !matches!(unit.enabled.as_str(), "enabled" | "enabled-runtime" | "static" | "unknown" | "")
    {
        add(
            Kind::Boot,
            format!("active but {}: it will not come back after a boot", unit.enabled),
            format!("systemctl --user enable mosaic-agent@{name}.service"),
        );
    }
    found.sort_by_key(|drift| std::cmp::Reverse(drift.kind.severity()));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{AgentName, SocketName};

    fn entry() -> RosterEntry {
        RosterEntry {
            name: AgentName::parse("coder0").unwrap(),
            runtime: RuntimeName::new("pi"),
            class: "worker".to_owned(),
            alias: None,
            model_hint: None,
            socket: SocketName::new("mosaic-fleet"),
            account: None,
            runs_a_shell: false,
        }
    }

    fn kinds(facts: &Facts<'_>) -> Vec<Kind> {
        find(facts).iter().map(|drift| drift.kind).collect()
    }

    #[test]
    fn each_kind_has_its_cause() {
        let entry = entry();
        let claude = RuntimeName::new("claude");
        let unit = UnitState {
            agent: "coder0".to_owned(),
            active: "active".to_owned(),
            enabled: "disabled".to_owned(),
        };
        let base = Facts {
            name: "coder0",
            roster: Some(&entry),
            roster_known: true,
            unit: None,
            session_exists: Some(true),
            runtime_seen: None,
        };
        assert_eq!(kinds(&base), []);
        assert_eq!(kinds(&Facts { runtime_seen: Some(&claude), ..base }), [Kind::Runtime]);
        assert_eq!(kinds(&Facts { session_exists: Some(false), ..base }), [Kind::Missing]);
        assert_eq!(kinds(&Facts { unit: Some(&unit), ..base }), [Kind::Boot]);
        assert_eq!(kinds(&Facts { roster: None, ..base }), [Kind::Unmanaged]);
    }

    #[test]
    fn what_nobody_can_tell_is_no_drift() {
        let entry = entry();
        let base = Facts {
            name: "x",
            roster: Some(&entry),
            roster_known: true,
            unit: None,
            session_exists: None,
            runtime_seen: None,
        };
        assert_eq!(kinds(&base), []);
        assert_eq!(
            kinds(&Facts { roster: None, roster_known: false, session_exists: Some(true), ..base }),
            []
        );
    }
}
