//! The flags by which a launched runtime can be listened to, added to a launch that is decided.

use std::path::{Path, PathBuf};

use fleet_adapters::runtimes::codex;
use fleet_framework::Home;
use fleet_framework::flags::flags;

use super::plan::Launch;

/// Adds what this program takes; nothing to a command that is not a runtime's own. Gives the variable that wants a value
/// which nobody can guess, where it has none: without one there is nothing to listen to.
pub(super) fn add(
    launch: &mut Launch,
    home: &Home,
    sidecar: Option<&Path>,
    unguessable: Option<String>,
) -> Option<(String, String)> {
    let program = launch.program.clone()?;
    if program == codex::NAME && codex::uses_daemon(&launch.command) {
        // Its daemon tells more, and every setting on the command line makes it do without.
        return None;
    }
    let place = || found(&program, launch.path());
    let version = (program == codex::NAME).then(place).flatten().and_then(|place| codex::installed(&place));
    let flags = flags(&program, version.as_deref(), home, sidecar)?;
    let has = |variable: &&str| {
        launch.environment.iter().any(|(name, _)| name == variable)
            || launch.environment_file.1.iter().any(|name| name == variable)
    };
    let secret = match flags.secret.filter(|variable| !has(variable)) {
        Some(variable) => Some((variable.to_owned(), unguessable?)),
        None => None,
    };
    launch.command.extend(flags.arguments);
    secret
}

/// The first of this name in a search path.
fn found(program: &str, path: &str) -> Option<PathBuf> {
    std::env::split_paths(path).map(|directory| directory.join(program)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use fleet_domain::{AgentName, SocketName};

    use super::*;

    fn launch(program: Option<&str>, line: &str, path: &str) -> Launch {
        Launch {
            name: AgentName::parse("a").unwrap(),
            socket: SocketName::new("x"),
            directory: PathBuf::new(),
            unset: Vec::new(),
            environment: vec![("PATH".to_owned(), path.to_owned())],
            environment_file: (PathBuf::new(), Vec::new()),
            command: line.split(' ').map(str::to_owned).collect(),
            program: program.map(str::to_owned),
            wiring: None,
            prompt: None,
            trust: None,
            session: None,
            warnings: Vec::new(),
        }
    }

    #[test]
    fn opencode_gets_a_port_and_a_secret_unless_it_has_one_and_a_command_of_ones_own_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::from_vars(|_| Some(dir.path().to_owned())).unwrap();
        let mut opencode = launch(Some("opencode"), "opencode --auto", "/bin");
        let id = || Some("x".to_owned());
        assert_eq!(add(&mut opencode, &home, None, None), None);
        assert_eq!(opencode.command.join(" "), "opencode --auto");
        let secret = ("OPENCODE_SERVER_PASSWORD".to_owned(), "x".to_owned());
        assert_eq!(add(&mut opencode, &home, None, id()), Some(secret));
        assert_eq!(opencode.command.join(" "), "opencode --auto --hostname 127.0.0.1 --port 0");
        let mut with = launch(Some("opencode"), "opencode", "/bin");
        with.environment_file.1.push("OPENCODE_SERVER_PASSWORD".to_owned());
        assert_eq!(add(&mut with, &home, None, None), None);
        assert!(with.command.ends_with(&["0".to_owned()]));
        let mut own = launch(None, "sh -c opencode", "/bin");
        assert_eq!(add(&mut own, &home, None, id()), None);
        assert_eq!(own.command.join(" "), "sh -c opencode");
    }

    #[test]
    fn codex_gets_hooks_where_its_version_is_known_and_its_daemon_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::from_vars(|_| Some(dir.path().to_owned())).unwrap();
        let package = dir.path().join("0.169.0");
        std::fs::create_dir_all(&package).unwrap();
        std::fs::write(package.join("codex"), "").unwrap();
        let added = |line: &str, path: &str| {
            let mut launch = launch(Some("codex"), line, path);
            let before = launch.command.len();
            add(&mut launch, &home, Some(Path::new("/b/fleet-sidecar")), None);
            launch.command.len() - before
        };
        let package = package.to_str().unwrap();
        assert_eq!((added("codex -c a=1", "/nowhere"), added("codex -m x", package)), (0, 0));
        assert!(added("codex -c a=1", package) > 0);
    }
}
