//! Who could write to a pane: owner and mode of the tmux sockets and of the directories that guard them.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use fleet_adapters::host::own_sockets;
use fleet_adapters::tmux::{Server, default_socket_dir};
use fleet_domain::SocketName;
use nix::unistd::getuid;

use super::Check;
use super::places::Roster;

const NAME: &str = "tmux socket";

pub(super) fn checks(roster: &Roster) -> Vec<Check> {
    let mut sockets = roster.sockets();
    sockets.extend(own_sockets(true));
    sockets.sort();
    sockets.dedup();
    let found: Vec<Check> = sockets.into_iter().filter_map(|socket| check(&socket)).collect();
    if found.is_empty() {
        return vec![Check::info(
            NAME,
            format!("no tmux server of yours has a socket in {}", default_socket_dir().display()),
        )];
    }
    let (fine, bad): (Vec<Check>, Vec<Check>) =
        found.into_iter().partition(|check| check.level == super::Level::Ok);
    if bad.is_empty() {
        return vec![Check::ok(
            NAME,
            format!(
                "{}: only you can write to their panes",
                crate::render::words::plural(fine.len(), "socket")
            ),
        )];
    }
    bad
}

/// `None` where there is no such socket.
fn check(socket: &SocketName) -> Option<Check> {
    let path = Server::new(socket.clone()).path();
    let found = std::fs::metadata(&path).ok()?;
    let shown = path.display();
    if found.uid() != getuid().as_raw() {
        let says = format!("{shown} belongs to uid {}, who can write to its panes", found.uid());
        return Some(
            Check::fail(NAME, says)
                .remedy("name a socket of your own in fleet/roster.yaml: tmux.socket_name"),
        );
    }
    let open = found.permissions().mode() & 0o022;
    let guarded = path.parent().is_some_and(guards);
    if open != 0 && !guarded {
        let who = if open & 0o002 != 0 { "everybody".to_owned() } else { format!("group {}", found.gid()) };
        let says = format!(
            "{shown} has mode {:04o}: {who} can write to its panes",
            found.permissions().mode() & 0o777
        );
        return Some(Check::fail(NAME, says).remedy(format!("chmod go-rwx {shown}")));
    }
    Some(Check::ok(NAME, shown.to_string()))
}

/// Nobody else gets past this directory.
fn guards(dir: &Path) -> bool {
    std::fs::metadata(dir)
        .is_ok_and(|dir| dir.uid() == getuid().as_raw() && dir.permissions().mode() & 0o011 == 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::verbs::doctor::Level;

    #[test]
    fn a_socket_that_others_can_write_to_is_a_failure_unless_its_directory_guards_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let _listener = UnixListener::bind(&path).unwrap();
        let set = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap()
        };
        let level = || check(&SocketName::new(path.to_str().unwrap())).map(|check| check.level);
        set(&path, 0o770);
        set(dir.path(), 0o700);
        assert_eq!(level(), Some(Level::Ok));
        set(dir.path(), 0o755);
        assert_eq!(level(), Some(Level::Fail));
        set(&path, 0o700);
        assert_eq!(level(), Some(Level::Ok));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(level(), None);
    }
}
