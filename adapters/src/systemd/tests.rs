//! Against a real user manager with a home of its own, where systemd is installed; and against what is none.
#![expect(clippy::disallowed_methods, reason = "starts the user manager that the tests speak to")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::*;

fn at(runtime: &Path) -> Places {
    Places { session_bus: None, runtime: Some(runtime.to_owned()) }
}

#[tokio::test]
async fn nothing_to_connect_to_is_an_error_with_a_remedy() {
    let error = Systemd::connect_at(Places::default()).await.unwrap_err().to_string();
    assert!(error.contains("export XDG_RUNTIME_DIR=/run/user/"), "{error}");
    let empty = tempfile::tempdir().unwrap();
    let error = Systemd::connect_at(at(empty.path())).await.unwrap_err().to_string();
    assert!(error.contains("/bus: "), "{error}");
    let places = Places { session_bus: Some("unix:path=/nowhere/bus".to_owned()), runtime: None };
    let error = Systemd::connect_at(places).await.unwrap_err().to_string();
    assert!(error.contains("/nowhere/bus"), "{error}");
}

#[tokio::test]
async fn a_manager_without_a_bus_is_told_from_none() {
    let runtime = tempfile::tempdir().unwrap();
    fs::create_dir(runtime.path().join("systemd")).unwrap();
    let _private = UnixListener::bind(runtime.path().join("systemd/private")).unwrap();
    let error = Systemd::connect_at(at(runtime.path())).await.unwrap_err();
    assert!(matches!(error, SystemdError::NoBus { .. }), "{error}");
}

#[tokio::test]
async fn a_bus_that_says_nothing_costs_a_second_at_most() {
    let runtime = tempfile::tempdir().unwrap();
    let _silent = UnixListener::bind(runtime.path().join("bus")).unwrap();
    let began = Instant::now();
    let error = Systemd::connect_at(at(runtime.path())).await.unwrap_err().to_string();
    assert!(error.contains("no answer"), "{error}");
    assert!(began.elapsed() < CONNECT_LIMIT * 2, "{:?}", began.elapsed());
}

#[test]
fn agents_are_told_from_other_units() {
    assert_eq!(agent_of(&agent_unit("coder-0")), Some("coder-0"));
    assert_eq!(agent_of("mosaic-agent@.service"), None);
    assert_eq!(agent_of("mosaic-sidecar@coder0.service"), None);
}

/// One manager; it and its control groups end with the value.
struct Manager {
    child: Child,
    home: tempfile::TempDir,
}

impl Manager {
    fn start() -> Option<Self> {
        let program = ["/lib/systemd/systemd", "/usr/lib/systemd/systemd"]
            .into_iter()
            .find(|path| Path::new(path).is_file());
        let program = program.filter(|_| Path::new("/usr/lib/systemd/user/dbus.socket").is_file());
        // Without the directory a manager refuses, as not booted with systemd.
        let (Some(program), Ok(())) = (program, fs::create_dir_all("/run/systemd/system")) else {
            assert_ne!(
                std::env::var("CI").as_deref(),
                Ok("true"),
                "no systemd user manager with a bus can run here"
            );
            eprintln!("skipped: no systemd user manager with a bus can run here");
            return None;
        };
        let home = tempfile::Builder::new().prefix("mf-").tempdir().unwrap();
        let runtime = home.path().join("run");
        fs::create_dir_all(home.path().join(".config/systemd/user")).unwrap();
        fs::create_dir(&runtime).unwrap();
        fs::set_permissions(&runtime, fs::Permissions::from_mode(0o700)).unwrap();
        let unit = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c 'test %i != broken'\n[Install]\nWantedBy=default.target\n";
        fs::write(home.path().join(".config/systemd/user/mosaic-agent@.service"), unit).unwrap();
        // A manager takes the control group where it starts for its own, so that it must not start in ours.
        let script = r#"group=mf-test-$$; for tree in $(sed -n 's|^[0-9]*:name=systemd:|/sys/fs/cgroup/systemd|p; s|^0::|/sys/fs/cgroup/unified|p; s|^0::|/sys/fs/cgroup|p' /proc/self/cgroup); do mkdir "$tree/$group" && echo $$ >"$tree/$group/cgroup.procs"; done 2>/dev/null; exec "$0" --user"#;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let child = Command::new("/bin/sh")
            .args(["-c", script, program])
            .env_clear()
            .env("PATH", path)
            .env("HOME", home.path())
            .env("XDG_RUNTIME_DIR", &runtime)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Some(Self { child, home })
    }

    async fn connect(&self) -> Systemd {
        let runtime = self.home.path().join("run");
        let began = Instant::now();
        loop {
            match Systemd::connect_at(at(&runtime)).await {
                Ok(systemd) => return systemd,
                Err(error) => assert!(began.elapsed() < Duration::from_secs(30), "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let pid = self.child.id();
        let _ = nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(pid.cast_signed()),
            nix::sys::signal::Signal::SIGTERM,
        );
        let _ = self.child.wait();
        let clean = format!(
            "find /sys/fs/cgroup -depth -type d -path '*/mf-test-{pid}*' -delete 2>/dev/null; chmod -R u+rwX \"$0\""
        );
        let _ = Command::new("/bin/sh").args(["-c", &clean]).arg(self.home.path()).status();
    }
}

fn states(units: &[UnitState]) -> Vec<(&str, &str, &str)> {
    units.iter().map(|unit| (unit.agent.as_str(), unit.active.as_str(), unit.enabled.as_str())).collect()
}

#[tokio::test]
async fn units_are_enabled_started_and_told_in_its_own_words() {
    let Some(manager) = Manager::start() else { return };
    let systemd = manager.connect().await;
    let roster = ["a", "broken", "idle"];
    assert_eq!(
        states(&systemd.agents(&roster).await.unwrap()),
        roster.map(|name| (name, "inactive", "disabled"))
    );

    systemd.enable(&[agent_unit("a"), agent_unit("broken")]).await.unwrap();
    systemd.start(&agent_unit("a")).await.unwrap();
    systemd.start(&agent_unit("a")).await.unwrap();
    let error = systemd.start(&agent_unit("broken")).await.unwrap_err();
    assert!(
        matches!(&error, SystemdError::Job { verb: Verb::Start, result, .. } if result == "failed"),
        "{error}"
    );
    let now = systemd.agents(&roster).await.unwrap();
    assert_eq!(
        states(&now),
        [("a", "active", "enabled"), ("broken", "failed", "enabled"), ("idle", "inactive", "disabled")]
    );

    let unit = systemd.unit_properties(&agent_unit("a")).await.unwrap();
    assert_eq!(
        (unit.active.as_str(), unit.sub.as_str(), unit.file.as_str()),
        ("active", "exited", "enabled")
    );
    assert_eq!((unit.main_pid, unit.result.as_str()), (None, "success"));
    systemd.restart(&agent_unit("a")).await.unwrap();
    systemd.stop(&agent_unit("a")).await.unwrap();
    systemd.disable(&[agent_unit("a")]).await.unwrap();
    assert_eq!(states(&systemd.agents(&["a"]).await.unwrap())[0], ("a", "inactive", "disabled"));

    assert!(matches!(systemd.start("mosaic-none.service").await, Err(SystemdError::NoUnit { .. })));
    assert!(matches!(systemd.enable(&["mosaic-none.service"]).await, Err(SystemdError::NoUnit { .. })));
    assert_eq!(systemd.file_state("mosaic-none.service").await.unwrap(), "not-found");
    systemd.stop("mosaic-none.service").await.unwrap();
}

#[tokio::test]
async fn changes_of_our_units_are_told_and_others_are_not() {
    let Some(manager) = Manager::start() else { return };
    let (watcher, actor) = (manager.connect().await, manager.connect().await);
    fs::write(
        manager.home.path().join(".config/systemd/user/other.service"),
        "[Service]\nExecStart=/bin/true\n",
    )
    .unwrap();
    actor.daemon_reload().await.unwrap();
    let mut changes = watcher.changes().await.unwrap();
    actor.start("other.service").await.unwrap();
    assert!(
        timeout(Duration::from_millis(300), changes.recv()).await.is_err(),
        "another unit's change was told"
    );

    actor.start(&agent_unit("a")).await.unwrap();
    told(&mut changes).await;
    actor.enable(&[agent_unit("a")]).await.unwrap();
    told(&mut changes).await;

    drop(manager);
    let end = async { while changes.recv().await.is_some() {} };
    timeout(Duration::from_secs(20), end).await.expect("the end of the connection");
}

async fn told(changes: &mut Changes) {
    assert_eq!(timeout(Duration::from_secs(20), changes.recv()).await.expect("a change"), Some(()));
    // What belongs to the same change may still be on its way.
    while timeout(Duration::from_millis(200), changes.recv()).await.is_ok() {}
}
