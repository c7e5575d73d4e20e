//! The flags by which a launched runtime can be listened to, added to a command that is decided.

use std::path::{Path, PathBuf};

use fleet_adapters::runtimes::codex;
use fleet_framework::Home;
use fleet_framework::flags::{Flags, flags};

/// Gives a variable a value that nobody can guess, in the pane itself: it stands in no other program's arguments.
const SECRET: &str = r#"set -eu; name=$1; shift; eval "value=\${$name:-}"; [ -n "$value" ] || value=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n'); export "$name=$value"; exec "$@""#;

/// Adds what this program takes, found in this search path; nothing to a command that is not a runtime's own.
pub(super) fn add(
    command: &mut Vec<String>,
    program: Option<&str>,
    path: &str,
    home: &Home,
    sidecar: Option<&Path>,
) {
    let Some(program) = program else { return };
    if program == codex::NAME && codex::uses_daemon(command) {
        // Its daemon tells more, and every setting on the command line makes it do without.
        return;
    }
    let place = || found(program, path);
    let version = (program == codex::NAME).then(place).flatten().and_then(|place| codex::installed(&place));
    if let Some(flags) = flags(program, version.as_deref(), home, sidecar) {
        extend(command, program, flags);
    }
}

fn extend(command: &mut Vec<String>, program: &str, flags: Flags) {
    command.extend(flags.arguments);
    let at = command.iter().position(|word| word == program);
    if let (Some(variable), Some(at)) = (flags.secret, at) {
        let shell = ["sh", "-c", SECRET, "sh", variable].map(str::to_owned);
        command.splice(at..at, shell);
    }
}

/// The first of this name in a search path.
fn found(program: &str, path: &str) -> Option<PathBuf> {
    std::env::split_paths(path).map(|directory| directory.join(program)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn the_secret_is_made_in_the_pane_and_is_the_programs_alone() {
        let flags = || Flags { arguments: words("--port 0"), secret: Some("FLEET_TEST_SECRET") };
        let mut command = words("env -u X printenv");
        extend(&mut command, "printenv", flags());
        assert_eq!(command[..5], ["env", "-u", "X", "sh", "-c"].map(str::to_owned));
        assert_eq!(command[6..], words("sh FLEET_TEST_SECRET printenv --port 0"));
        let told = |given: Option<&str>| {
            let mut command = vec!["printenv".to_owned(), "FLEET_TEST_SECRET".to_owned()];
            extend(&mut command, "printenv", Flags { arguments: Vec::new(), ..flags() });
            #[expect(clippy::disallowed_methods, reason = "runs what the pane would")]
            let mut shell = Command::new(&command[0]);
            shell.args(&command[1..]).env_remove("FLEET_TEST_SECRET");
            shell.envs(given.map(|given| ("FLEET_TEST_SECRET", given)));
            String::from_utf8(shell.output().unwrap().stdout).unwrap()
        };
        assert_eq!((told(None).trim_end().len(), told(Some("mine")).as_str()), (48, "mine\n"));
        assert_ne!(told(None), told(None));
    }

    #[test]
    fn a_command_of_the_users_own_is_not_added_to() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::from_vars(|_| Some(dir.path().to_owned())).unwrap();
        let mut command = words("sh -c opencode");
        add(&mut command, None, "/bin", &home, None);
        assert_eq!(command, words("sh -c opencode"));
        // One of no known version is left as it is, and one that has its daemon.
        let package = dir.path().join("0.169.0");
        std::fs::create_dir_all(&package).unwrap();
        std::fs::write(package.join("codex"), "").unwrap();
        let added = |line: &str, path: &str| {
            let mut command = words(line);
            add(&mut command, Some("codex"), path, &home, Some(Path::new("/b/fleet-sidecar")));
            command.len() - words(line).len()
        };
        let package = package.to_str().unwrap();
        assert_eq!(added("codex -c a=1", "/nowhere"), 0);
        assert_eq!(added("codex -m x", package), 0);
        assert!(added("codex -c a=1", package) > 0);
    }
}
