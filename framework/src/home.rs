//! Where everything lives: `$MOSAIC_HOME`, the runtime directory with its sockets, the state directory.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fleet_domain::{heartbeat, progress};

/// Where the collector serves `/metrics` unless told otherwise.
pub const DEFAULT_HTTP: &str = "127.0.0.1:9464";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// `$MOSAIC_HOME`, default `~/.config/mosaic`.
    pub root: PathBuf,
    /// `$XDG_RUNTIME_DIR/mosaic`; where that is unset, `<state>/run`. Mode 0700.
    pub runtime: PathBuf,
    /// `$XDG_STATE_HOME/mosaic`, default `~/.local/state/mosaic`.
    pub state: PathBuf,
    /// systemd's user units, `$XDG_CONFIG_HOME/systemd/user`, default `~/.config/systemd/user`.
    pub units: PathBuf,
}

#[derive(Debug, thiserror::Error)]
#[error("neither MOSAIC_HOME nor HOME is set, so there is no place for the fleet; set HOME")]
pub struct NoHome;

/// One of our own environment; an empty one is as good as none.
pub(crate) fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

impl Home {
    pub fn from_env() -> Result<Self, NoHome> {
        Self::from_vars(variable)
    }

    /// The same from any source of variables.
    pub fn from_vars(var: impl Fn(&str) -> Option<PathBuf>) -> Result<Self, NoHome> {
        let home = var("HOME");
        let under_home = |path: &str| home.as_ref().map(|home| home.join(path));
        let config = var("XDG_CONFIG_HOME").or_else(|| under_home(".config"));
        let root = var("MOSAIC_HOME").or_else(|| under_home(".config/mosaic")).ok_or(NoHome)?;
        let state = var("XDG_STATE_HOME")
            .or_else(|| under_home(".local/state"))
            .map_or_else(|| root.join("state"), |dir| dir.join("mosaic"));
        let runtime = var("XDG_RUNTIME_DIR").map_or_else(|| state.join("run"), |dir| dir.join("mosaic"));
        let units = config.map_or_else(|| root.join("systemd/user"), |dir| dir.join("systemd/user"));
        Ok(Self { root, runtime, state, units })
    }

    pub fn roster(&self) -> PathBuf {
        self.root.join("fleet/roster.yaml")
    }

    /// The presets, as they are shipped.
    pub fn examples(&self) -> PathBuf {
        self.root.join("fleet/examples")
    }

    /// The version of the framework that was seeded here.
    pub fn framework_version(&self) -> PathBuf {
        self.root.join("fleet/.framework-version")
    }

    /// Where sidecars hear the runtimes' hooks.
    pub fn hooks(&self) -> PathBuf {
        self.runtime.join("hooks")
    }

    /// The user's own rules for reading screens.
    pub fn screens(&self) -> PathBuf {
        self.root.join("fleet/screens")
    }

    /// The user's own prices, asked before those that are shipped.
    pub fn prices(&self) -> PathBuf {
        self.root.join("fleet/prices.yaml")
    }

    /// The user's accounts, windows and ceilings.
    pub fn budget(&self) -> PathBuf {
        self.root.join("fleet/budget.yaml")
    }

    /// While it exists no work is admitted.
    pub fn pause(&self) -> PathBuf {
        self.root.join("fleet/run/PAUSED")
    }

    pub fn heartbeats(&self) -> PathBuf {
        self.root.join("fleet/run")
    }

    pub fn heartbeat(&self, agent: &str) -> PathBuf {
        self.heartbeats().join(format!("{agent}.hb"))
    }

    /// Stands while the agent is down on purpose, where no systemd remembers that.
    pub fn stopped(&self, agent: &str) -> PathBuf {
        self.heartbeats().join(format!("{agent}.stopped"))
    }

    /// Stands while the agent is left down because it did nothing but end; why is in it.
    pub fn quarantined(&self, agent: &str) -> PathBuf {
        self.heartbeats().join(format!("{agent}.quarantined"))
    }

    /// Which conversation the agent is in.
    pub fn session(&self, agent: &str) -> PathBuf {
        self.heartbeats().join(format!("{agent}.session"))
    }

    /// The system prompt that the agent was launched with.
    pub fn prompt(&self, agent: &str) -> PathBuf {
        self.heartbeats().join(format!("{agent}.prompt.md"))
    }

    pub fn agent_env(&self, agent: &str) -> PathBuf {
        self.root.join("fleet/agents").join(format!("{agent}.env"))
    }

    pub fn collector_socket(&self) -> PathBuf {
        self.runtime.join("collector.sock")
    }

    pub fn store(&self) -> PathBuf {
        self.state.join("register.sqlite3")
    }
}

/// The heartbeat interval from `MOSAIC_HEARTBEAT_INTERVAL`; what is not a positive number falls back to the default,
/// and the second value says so.
pub fn heartbeat_interval() -> (Duration, Option<String>) {
    seconds("MOSAIC_HEARTBEAT_INTERVAL", heartbeat::DEFAULT_INTERVAL)
}

/// The activity threshold from `MOSAIC_HEARTBEAT_IDLE_THRESHOLD`, with the same fall-back.
pub fn idle_threshold(default: Duration) -> (Duration, Option<String>) {
    seconds("MOSAIC_HEARTBEAT_IDLE_THRESHOLD", default)
}

/// How long nothing may come of a task, from `MOSAIC_PROGRESS_THRESHOLD`, with the same fall-back.
pub fn progress_threshold() -> (Duration, Option<String>) {
    seconds("MOSAIC_PROGRESS_THRESHOLD", progress::THRESHOLD)
}

/// The pause before an agent that ended is first started again, from `MOSAIC_RECOVERY_PAUSE`, with the same fall-back.
pub fn recovery_pause(default: Duration) -> (Duration, Option<String>) {
    seconds("MOSAIC_RECOVERY_PAUSE", default)
}

fn seconds(name: &str, default: Duration) -> (Duration, Option<String>) {
    let Ok(value) = std::env::var(name) else { return (default, None) };
    match heartbeat::parse_interval(&value) {
        Some(interval) => (interval, None),
        None => {
            let shown = fleet_domain::text::clean(&value, 40);
            (
                default,
                Some(format!(
                    "{name}={shown} is not a positive number of seconds; {} is used",
                    default.as_secs()
                )),
            )
        }
    }
}

/// Expands a leading `~` and `$VAR` or `${VAR}`; an unset variable is left as it stands.
pub fn expand(path: &str, var: impl Fn(&str) -> Option<String>) -> PathBuf {
    let mut out = String::new();
    let mut rest = path;
    if (path == "~" || path.starts_with("~/"))
        && let Some(home) = var("HOME")
    {
        out.push_str(&home);
        rest = &path[1..];
    }
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let (name, length) = match after
            .strip_prefix('{')
            .and_then(|inner| inner.find('}').map(|end| (&inner[..end], end + 2)))
        {
            Some(found) => found,
            None => {
                let end =
                    after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len());
                (&after[..end], end)
            }
        };
        match var(name).filter(|_| !name.is_empty()) {
            Some(value) => out.push_str(&value),
            None => out.push_str(&rest[at..at + 1 + length]),
        }
        rest = &after[length..];
    }
    out.push_str(rest);
    PathBuf::from(out)
}

/// For people: `~/…` where the path is below the home.
pub fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    match std::env::var("HOME") {
        Ok(home) if home.len() > 1 && text.starts_with(&format!("{home}/")) => {
            format!("~{}", &text[home.len()..])
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(vars: &[(&str, &str)]) -> Result<Home, NoHome> {
        Home::from_vars(|name| {
            vars.iter().find(|(key, _)| *key == name).map(|(_, value)| PathBuf::from(value))
        })
    }

    #[test]
    fn defaults_follow_the_home_directory() {
        let home = home(&[("HOME", "/h")]).unwrap();
        assert_eq!(home.roster(), Path::new("/h/.config/mosaic/fleet/roster.yaml"));
        assert_eq!(home.collector_socket(), Path::new("/h/.local/state/mosaic/run/collector.sock"));
        assert_eq!(home.units, Path::new("/h/.config/systemd/user"));
    }

    #[test]
    fn variables_override_and_nothing_at_all_is_an_error() {
        let home =
            home(&[("MOSAIC_HOME", "/m"), ("XDG_RUNTIME_DIR", "/r"), ("XDG_STATE_HOME", "/s")]).unwrap();
        assert_eq!(home.heartbeat("a"), Path::new("/m/fleet/run/a.hb"));
        assert_eq!(home.collector_socket(), Path::new("/r/mosaic/collector.sock"));
        assert_eq!(home.store(), Path::new("/s/mosaic/register.sqlite3"));
        assert!(self::home(&[]).is_err());
    }

    #[test]
    fn tilde_and_variables_expand_and_unset_ones_stay() {
        let var = |name: &str| (name == "HOME").then(|| "/h".to_owned());
        assert_eq!(expand("~/src", var), Path::new("/h/src"));
        assert_eq!(expand("${HOME}/x/$HOME", var), Path::new("/h/x//h"));
        assert_eq!(expand("$NOPE/~/$", var), Path::new("$NOPE/~/$"));
        assert_eq!(expand("~other/x", var), Path::new("~other/x"));
    }
}
