//! Drift: where what runs is not what was configured, each kind with its severity and the command that mends it.

use crate::ids::RuntimeName;
use crate::observation::{RosterEntry, UnitState};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The roster names another runtime than the pane runs.
    Runtime,
    /// The roster names another model than the runtime says it uses.
    Model,
    /// The agent's environment file is not what the roster says.
    Env,
    /// A unit in place is not the one that is shipped.
    Unit,
    /// Active, but not enabled: gone after the next boot.
    Boot,
    /// It was started on another tmux server than the roster names now.
    Socket,
    /// On the socket, not in the roster.
    Unmanaged,
    /// In the roster, no session.
    Missing,
    /// Left down, because it did nothing but end.
    Quarantined,
}

impl Kind {
    pub const ALL: [Self; 9] = [
        Self::Runtime,
        Self::Model,
        Self::Env,
        Self::Unit,
        Self::Boot,
        Self::Socket,
        Self::Unmanaged,
        Self::Missing,
        Self::Quarantined,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Runtime => "runtime",
            Self::Model => "model",
            Self::Env => "env",
            Self::Unit => "unit",
            Self::Boot => "boot",
            Self::Socket => "socket",
            Self::Unmanaged => "unmanaged",
            Self::Missing => "missing",
            Self::Quarantined => "quarantined",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The flag that `fleet ps` shows.
    pub fn flag(self) -> &'static str {
        match self {
            Self::Runtime | Self::Model => "DRIFT",
            Self::Env => "ENV",
            Self::Unit => "UNIT",
            Self::Boot => "BOOT-ENABLE",
            Self::Socket => "SOCKET",
            Self::Unmanaged => "UNMANAGED",
            Self::Missing => "MISSING",
            Self::Quarantined => "QUARANTINE",
        }
    }

    pub fn severity(self) -> Severity {
        match self {
            Self::Unmanaged => Severity::Info,
            Self::Runtime | Self::Model | Self::Env | Self::Unit | Self::Boot => Severity::Warning,
            Self::Missing | Self::Socket | Self::Quarantined => Severity::Critical,
        }
    }

    /// The command that mends it.
    pub fn remedy(self, agent: &str) -> String {
        match self {
            Self::Runtime | Self::Model | Self::Env | Self::Socket => format!("fleet restart {agent}"),
            Self::Unit => "fleet update".to_owned(),
            Self::Boot => format!("systemctl --user enable mosaic-agent@{agent}.service"),
            Self::Unmanaged => format!("fleet add {agent} --runtime RUNTIME, or end the session"),
            Self::Missing | Self::Quarantined => format!("fleet start {agent}"),
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

/// What a look at an agent's files on its host found to be otherwise than it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deviation {
    pub kind: Kind,
    pub detail: String,
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
    /// As the runtime spells it.
    pub model_seen: Option<&'a str>,
}

/// Every kind that holds, what needs a person first.
pub fn find(facts: &Facts<'_>) -> Vec<Drift> {
    let mut found = Vec::new();
    let mut add = |kind: Kind, detail: String| {
        found.push(Drift { kind, detail, remedy: kind.remedy(facts.name) });
    };
    if let Some(entry) = facts.roster {
        for deviation in &entry.deviations {
            add(deviation.kind, deviation.detail.clone());
        }
        if let Some(seen) = facts.runtime_seen
            && *seen != entry.runtime
            && !entry.runs_a_shell
        {
            add(Kind::Runtime, format!("the roster says {}, the pane runs {seen}", entry.runtime));
        } else if let (Some(hint), Some(seen)) = (&entry.model_hint, facts.model_seen)
            && !is_model(hint, seen)
        {
            add(Kind::Model, format!("the roster says {hint}, the runtime uses {seen}"));
        }
        if facts.session_exists == Some(false) {
            add(Kind::Missing, "in the roster, but it has no session".to_owned());
        }
    } else if facts.roster_known && facts.session_exists == Some(true) {
        add(Kind::Unmanaged, "on the socket, but not in the roster".to_owned());
    }
    if let Some(unit) = facts.unit
        && unit.active == "active"
        && !matches!(unit.enabled.as_str(), "enabled" | "enabled-runtime" | "static" | "unknown" | "")
    {
        add(Kind::Boot, format!("active but {}: it will not come back after a boot", unit.enabled));
    }
    found.sort_by_key(|drift| std::cmp::Reverse(drift.kind.severity()));
    found
}

/// Whether a runtime that says `seen` uses what was asked for as `hint`: an alias (`opus`), a provider before it, an
/// effort or a variant behind it all mean the same model.
fn is_model(hint: &str, seen: &str) -> bool {
    let core = |name: &str| -> String {
        let name = name.rsplit('/').next().unwrap_or_default();
        let name = name.split([':', '[', '@']).next().unwrap_or_default();
        name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
    };
    let (hint, seen_core) = (core(hint), core(seen));
    match hint.as_str() {
        // Whatever the runtime chooses is right.
        "" | "default" | "auto" | "best" | "inherit" => true,
        "opusplan" => seen_core.contains("opus") || seen_core.contains("sonnet"),
        // A message of the client's own names no model.
        _ if seen_core.is_empty() || seen.starts_with('<') => true,
        hint => seen_core.contains(hint) || hint.contains(&seen_core),
    }
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
            deviations: Vec::new(),
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
            model_seen: None,
        };
        assert_eq!(kinds(&base), []);
        assert_eq!(kinds(&Facts { runtime_seen: Some(&claude), ..base }), [Kind::Runtime]);
        assert_eq!(kinds(&Facts { session_exists: Some(false), ..base }), [Kind::Missing]);
        assert_eq!(kinds(&Facts { unit: Some(&unit), ..base }), [Kind::Boot]);
        assert_eq!(kinds(&Facts { roster: None, ..base }), [Kind::Unmanaged]);
    }

    #[test]
    fn what_the_host_found_is_told_with_what_mends_it() {
        let mut entry = entry();
        for kind in [Kind::Env, Kind::Quarantined] {
            entry.deviations.push(Deviation { kind, detail: "why".to_owned() });
        }
        let found = find(&Facts {
            name: "coder0",
            roster: Some(&entry),
            roster_known: true,
            unit: None,
            session_exists: Some(true),
            runtime_seen: None,
            model_seen: None,
        });
        let said: Vec<(&str, &str)> =
            found.iter().map(|drift| (drift.kind.flag(), drift.remedy.as_str())).collect();
        assert_eq!(said, [("QUARANTINE", "fleet start coder0"), ("ENV", "fleet restart coder0")]);
    }

    #[test]
    fn a_model_is_the_same_however_it_is_spelled() {
        for (hint, seen) in [
            ("opus", "claude-opus-4-8"),
            ("openai-codex/gpt-5.5:high", "gpt-5.5"),
            ("gpt-5.5", "openai/gpt-5.5-2026-08-01"),
            ("opusplan", "claude-sonnet-5"),
            ("sonnet[1m]", "claude-sonnet-5"),
            ("default", "anything"),
            ("opus", "<synthetic>"),
        ] {
            assert!(is_model(hint, seen), "{hint} {seen}");
        }
        for (hint, seen) in
            [("opus", "claude-haiku-5"), ("gpt-5.5", "gpt-5.4"), ("openai/gpt-5.5:high", "gpt-5")]
        {
            let expected = seen == "gpt-5";
            assert_eq!(is_model(hint, seen), expected, "{hint} {seen}");
        }
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
            model_seen: None,
        };
        assert_eq!(kinds(&base), []);
        assert_eq!(
            kinds(&Facts { roster: None, roster_known: false, session_exists: Some(true), ..base }),
            []
        );
    }
}
