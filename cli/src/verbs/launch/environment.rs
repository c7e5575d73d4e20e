//! The variables of an agent: which are its own, which it must not inherit, and where its programs are found.

use std::path::{Path, PathBuf};

use fleet_domain::AgentName;

/// Where a runtime's installer puts it and a service's PATH does not look; relative to the home.
const USER_BINS: [&str; 13] = [
    ".local/bin",
    "bin",
    ".claude/local",
    ".npm-global/bin",
    ".bun/bin",
    ".opencode/bin",
    ".cargo/bin",
    ".volta/bin",
    ".local/share/pnpm",
    ".yarn/bin",
    ".asdf/shims",
    ".local/share/mise/shims",
    ".nix-profile/bin",
];
/// With these set, a runtime would take itself for a part of the session that started the fleet.
const NESTED: [&str; 10] = [
    "CLAUDECODE",
    "CLAUDE_CODE_CHILD_SESSION",
    "CLAUDE_CODE_ENTRYPOINT",
    "CLAUDE_CODE_SSE_PORT",
    "CLAUDE_CODE_MESSAGING_SOCKET",
    "CLAUDE_CODE_MESSAGING_TOKEN",
    "CODEX_SANDBOX",
    "CODEX_SANDBOX_NETWORK_DISABLED",
    "CODEX_THREAD_ID",
    "OPENCODE",
];
/// Where runtimes and the fleet keep their files: the agent looks where its launcher does, whatever the tmux server was
/// started with.
const PLACES: [&str; 5] =
    ["CLAUDE_CONFIG_DIR", "CODEX_HOME", "PI_CODING_AGENT_DIR", "MOSAIC_HOME", "FLEET_COLLECTOR"];
/// What the launcher itself is told of one agent.
const LAUNCHERS: [&str; 9] = [
    "MOSAIC_AGENT_RUNTIME",
    "MOSAIC_AGENT_MODEL",
    "MOSAIC_AGENT_WORKDIR",
    "MOSAIC_AGENT_YOLO",
    "MOSAIC_AGENT_COMMAND",
    "MOSAIC_AGENT_PROMPT_FILE",
    "MOSAIC_TMUX_SOCKET",
    "MOSAIC_PI_SKILL_MODE",
    "MOSAIC_PI_FORCE_SKILLS",
];
/// Bounds claude's context to 200k tokens.
const CLAUDE_CONTEXT: [(&str, &str); 2] =
    [("CLAUDE_CODE_DISABLE_1M_CONTEXT", "1"), ("CLAUDE_CODE_AUTO_COMPACT_WINDOW", "200000")];
/// What begins so is of the agent in whose pane it stands.
const OF_ONE_AGENT: [&str; 6] = ["MOSAIC_AGENT_", "MOSAIC_TMUX_", "MOSAIC_PI_", "CLAUDE", "CODEX", "PI_"];

/// Variables by name; an empty one is not the same as none.
pub(super) type Variables<'v> = &'v dyn Fn(&str) -> Option<String>;

/// The same, made for one agent.
pub(super) type Own<'v> = Box<dyn Fn(&str) -> Option<String> + 'v>;

/// The agent's variables: those of this process, unless they are another agent's (as in that one's pane), and those of its
/// environment file. For the fleet's own the process comes first, so that one can be tried by hand; for all others the file.
pub(super) fn own<'v>(name: &AgentName, var: Variables<'v>, file: &'v [(String, String)]) -> Own<'v> {
    let of = var("MOSAIC_AGENT_NAME").filter(|of| !of.is_empty());
    let others = of.is_some_and(|of| of != name.as_str());
    Box::new(move |key| {
        let foreign = others && OF_ONE_AGENT.iter().any(|prefix| key.starts_with(prefix));
        let process = if foreign { None } else { var(key) };
        let filed = || file.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.clone());
        if key.starts_with("MOSAIC_") { process.or_else(filed) } else { filed().or(process) }
    })
}

/// What the pane must not inherit from the tmux server, which another agent may have started.
pub(super) fn unset(set: &[(String, String)], file: &[(String, String)]) -> Vec<String> {
    let known = |name: &str| set.iter().chain(file).any(|(known, _)| known == name);
    let all = NESTED.iter().chain(&PLACES).chain(&LAUNCHERS);
    all.filter(|name| !known(name)).map(|name| (*name).to_owned()).collect()
}

/// The places that are set.
pub(super) fn places(own: Variables<'_>) -> impl Iterator<Item = (String, String)> {
    PLACES
        .iter()
        .filter_map(move |name| Some(((*name).to_owned(), own(name).filter(|value| !value.is_empty())?)))
}

/// Claude Code's configuration directory.
pub(super) fn config_dir(own: Variables<'_>) -> Option<PathBuf> {
    let set = |name: &str| own(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("CLAUDE_CONFIG_DIR").or_else(|| Some(set("HOME")?.join(".claude")))
}

pub(super) fn claude_environment(own: Variables<'_>) -> Vec<(String, String)> {
    let mut environment: Vec<(String, String)> = CLAUDE_CONTEXT
        .into_iter()
        .map(|(name, value)| (name.to_owned(), own(name).unwrap_or_else(|| value.to_owned())))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    environment.extend(
        own("IS_SANDBOX").filter(|value| !value.is_empty()).map(|value| ("IS_SANDBOX".to_owned(), value)),
    );
    environment
}

/// The PATH, and behind it what it lacks: the user's usual places, and where the fleet's own programs are. Where only one
/// of those has `program`, that one comes first: what the program needs (its own Node, say) lies beside it.
pub(super) fn search_path(
    own: Variables<'_>,
    bin: Option<&Path>,
    program: Option<&str>,
    exists: impl Fn(&Path) -> bool,
) -> String {
    let path = own("PATH")
        .filter(|path| !path.is_empty())
        .unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".to_owned());
    let home = own("HOME").filter(|home| !home.is_empty());
    let usual = home.iter().flat_map(|home| USER_BINS.iter().map(move |bin| Path::new(home).join(bin)));
    let managed = home.iter().flat_map(|home| node_versions(&Path::new(home).join(".nvm/versions/node")));
    let known: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let bin = bin.map(Path::to_owned);
    let more: Vec<PathBuf> =
        usual.chain(managed).chain(bin).filter(|dir| !known.contains(dir) && exists(dir)).collect();
    let has = |dir: &&PathBuf| program.is_some_and(|program| exists(&dir.join(program)));
    let first = if known.iter().any(|dir| has(&dir)) { None } else { more.iter().find(has) };
    let text = |dir: &PathBuf| dir.to_string_lossy().into_owned();
    let last = more.iter().filter(|dir| Some(*dir) != first).map(text);
    first.map(text).into_iter().chain([path]).chain(last).collect::<Vec<_>>().join(":")
}

/// The program directories of a Node version manager, the newest first: programs that npm installed lie there.
fn node_versions(versions: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(versions).into_iter().flatten().flatten();
    let number = |name: &str| -> Vec<u32> {
        name.trim_start_matches('v').split('.').map(|part| part.parse().unwrap_or(0)).collect()
    };
    let mut found: Vec<(Vec<u32>, PathBuf)> = entries
        .map(|entry| (number(&entry.file_name().to_string_lossy()), entry.path().join("bin")))
        .collect();
    found.sort();
    found.into_iter().rev().map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_own_program_directories_come_last_and_once() {
        let vars = |name: &str| match name {
            "PATH" => Some("/usr/bin:/h/bin".to_owned()),
            "HOME" => Some("/h".to_owned()),
            _ => None,
        };
        let exists =
            |dir: &Path| [Path::new("/h/.local/bin"), Path::new("/h/bin"), Path::new("/f")].contains(&dir);
        let path = |bin: Option<&str>| search_path(&vars, bin.map(Path::new), None, exists);
        assert_eq!(path(None), "/usr/bin:/h/bin:/h/.local/bin");
        assert_eq!(path(Some("/f")), "/usr/bin:/h/bin:/h/.local/bin:/f");
        assert_eq!(path(Some("/h/bin")), "/usr/bin:/h/bin:/h/.local/bin");
    }

    #[test]
    fn a_program_that_only_a_version_manager_has_is_found_beside_its_own_node() {
        let home = tempfile::tempdir().unwrap();
        let bin = |version: &str| home.path().join(".nvm/versions/node").join(version).join("bin");
        for version in ["v9.9.0", "v22.1.0", "v18.0.0"] {
            std::fs::create_dir_all(bin(version)).unwrap();
        }
        std::fs::write(bin("v18.0.0").join("codex"), "").unwrap();
        std::fs::write(bin("v22.1.0").join("codex"), "").unwrap();
        std::fs::write(bin("v22.1.0").join("ls"), "").unwrap();
        let vars = |name: &str| match name {
            "PATH" => Some("/bin".to_owned()),
            "HOME" => Some(home.path().display().to_string()),
            _ => None,
        };
        let path = |program| search_path(&vars, None, Some(program), Path::exists);
        let [v9, v22, v18] =
            ["v9.9.0", "v22.1.0", "v18.0.0"].map(|version| bin(version).display().to_string());
        assert_eq!(path("codex"), format!("{v22}:/bin:{v18}:{v9}"));
        assert_eq!(path("ls"), format!("/bin:{v22}:{v18}:{v9}"), "what the PATH has is not taken elsewhere");
        assert_eq!(path("nothing"), format!("/bin:{v22}:{v18}:{v9}"));
    }

    #[test]
    fn what_would_nest_is_not_inherited_unless_it_is_told() {
        let told = [("CODEX_HOME".to_owned(), "/c".to_owned())];
        let unset = unset(&told, &[("OPENCODE".to_owned(), "1".to_owned())]);
        assert!(unset.contains(&"CLAUDECODE".to_owned()) && unset.contains(&"CLAUDE_CONFIG_DIR".to_owned()));
        assert!(!unset.contains(&"CODEX_HOME".to_owned()) && !unset.contains(&"OPENCODE".to_owned()));
    }
}
