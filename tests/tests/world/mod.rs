//! A home with a roster, a user manager of its own and a tmux directory of its own.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]

use anyhow::{Context as _, Result, ensure};
use fleet_testkit::fleet::{PATIENCE, Said, agent, fleet, write_roster};
use fleet_testkit::home::TestHome;
use fleet_testkit::skip::require_or_skip;
use fleet_testkit::systemd::UserManager;
use fleet_testkit::wait::wait_until;

pub const HOLDER: &str = "mosaic-tmux-holder.service";
pub const COLLECTOR: &str = "mosaic-collector.service";
pub const HOST_SIDECAR: &str = "mosaic-sidecar.service";

pub struct World {
    pub home: TestHome,
    pub manager: Option<UserManager>,
    /// As after `tmux -L`; empty is the default server.
    pub socket: &'static str,
}

impl World {
    /// `None` after the skip was reported.
    pub fn new(roster: &str, socket: &'static str) -> Result<Option<Self>> {
        let home = TestHome::new()?;
        write_roster(&home, roster)?;
        Self::around(home, socket)
    }

    /// The same in a home that is made already.
    pub fn around(home: TestHome, socket: &'static str) -> Result<Option<Self>> {
        if require_or_skip("systemd user manager", UserManager::available()).is_none() {
            return Ok(None);
        }
        // As a user would who has the port in use already; several tests run at a time.
        let drop_in = home.home().join(".config/systemd/user/mosaic-collector.service.d");
        std::fs::create_dir_all(&drop_in)?;
        std::fs::write(
            drop_in.join("port.conf"),
            "[Service]\nEnvironment=FLEET_COLLECTOR_HTTP=127.0.0.1:0\n",
        )?;
        let drop_in = home.home().join(".config/systemd/user/mosaic-sidecar.service.d");
        std::fs::create_dir_all(&drop_in)?;
        std::fs::write(drop_in.join("pause.conf"), "[Service]\nEnvironment=MOSAIC_RECOVERY_PAUSE=0.2\n")?;
        let manager = UserManager::start(&home)?;
        let world = Self { home, manager: Some(manager), socket };
        world.wait_for_boot()?;
        let bus = world.home.runtime_dir().join("bus");
        let bus =
            if bus.exists() { Ok(()) } else { Err("no D-Bus for users; apt-get install dbus-user-session") };
        Ok(require_or_skip("the user's bus", bus).map(|()| world))
    }

    /// Its first socket is there long before its units are.
    pub fn wait_for_boot(&self) -> Result<()> {
        self.wait_for(&["default.target"], "active static")
    }

    pub fn systemctl(&self, args: &[&str]) -> Result<String> {
        self.manager.as_ref().context("no manager")?.systemctl(args)
    }

    pub fn property(&self, unit: &str, name: &str) -> Result<String> {
        self.manager.as_ref().context("no manager")?.property(unit, name)
    }

    pub fn install(&self, more: &[&str]) -> Result<Said> {
        fleet(&self.home, &[&["install", "--units"], more].concat())
    }

    /// One line a unit: name, active, enabled.
    pub fn states(&self, units: &[&str]) -> Result<Vec<String>> {
        let state = |unit: &&str| {
            let (active, file) = (self.property(unit, "ActiveState")?, self.property(unit, "UnitFileState")?);
            Ok(format!("{unit} {active} {file}"))
        };
        units.iter().map(state).collect()
    }

    pub fn wait_for(&self, units: &[&str], state: &str) -> Result<()> {
        let wanted: Vec<String> = units.iter().map(|unit| format!("{unit} {state}")).collect();
        wait_until(PATIENCE, state, || {
            let now = self.states(units)?;
            ensure!(now == wanted, "{now:?}");
            Ok(())
        })
        .map_err(Into::into)
    }

    /// Waits until the collector says so of the agent's unit.
    pub fn told_of(&self, name: &str, active: &str) -> Result<()> {
        wait_until(PATIENCE, "the collector's word", || {
            let agent = agent(&self.home, name)?;
            ensure!(agent["systemdActive"] == active && agent["systemdEnabled"] == "enabled", "{agent}");
            Ok(())
        })
        .map_err(Into::into)
    }

    pub fn tmux(&self, args: &[&str]) -> Result<String> {
        let mut command = self.home.command("tmux");
        if !self.socket.is_empty() {
            command.args(["-L", self.socket]);
        }
        let out = command.args(args).output().context("run tmux")?;
        ensure!(out.status.success(), "tmux {args:?}: {}", String::from_utf8_lossy(&out.stderr));
        Ok(String::from_utf8(out.stdout)?.trim_end().to_owned())
    }

    /// `session pane-pid`, sorted; the server's own PID first.
    pub fn sessions(&self) -> Result<Vec<String>> {
        let mut rows: Vec<String> = self
            .tmux(&["list-panes", "-a", "-F", "#{session_name} #{pane_pid}"])?
            .lines()
            .map(str::to_owned)
            .collect();
        rows.sort();
        rows.insert(0, format!("server {}", self.tmux(&["display-message", "-p", "#{pid}"])?));
        Ok(rows)
    }

    pub fn run(&self, args: &[&str]) -> Result<Said> {
        fleet(&self.home, args)
    }

    /// The same, which must end well.
    pub fn well(&self, args: &[&str]) -> Result<Said> {
        let said = self.run(args)?;
        let log = self.manager.as_ref().map(UserManager::log).unwrap_or_default();
        ensure!(
            said.code == 0,
            "fleet {args:?}: exit {}\n{}\n{}\n{log}",
            said.code,
            said.stdout,
            said.stderr
        );
        Ok(said)
    }

    pub fn file(&self, below: &str) -> std::path::PathBuf {
        self.home.mosaic_home().join(below)
    }

    pub fn read(&self, below: &str) -> Result<String> {
        std::fs::read_to_string(self.file(below)).with_context(|| below.to_owned())
    }

    pub fn names(&self) -> Result<Vec<String>> {
        let rows = self.sessions()?;
        Ok(rows.iter().skip(1).filter_map(|row| Some(row.split(' ').next()?.to_owned())).collect())
    }

    pub fn pid_of(&self, session: &str) -> Result<u32> {
        let rows = self.sessions()?;
        let row =
            rows.iter().find(|row| row.split(' ').next() == Some(session)).context("no such session")?;
        row.split(' ').nth(1).and_then(|pid| pid.parse().ok()).context("no pid")
    }

    /// The kinds of drift that the collector tells of one agent.
    pub fn drift(&self, name: &str) -> Result<Vec<String>> {
        let drift = agent(&self.home, name)?;
        let kinds = drift["drift"].as_array().context("no drift")?;
        Ok(kinds.iter().filter_map(|one| Some(one["kind"].as_str()?.to_owned())).collect())
    }

    pub fn without<'r>(rows: &'r [String], session: &str) -> Vec<&'r str> {
        rows.iter().map(String::as_str).filter(|row| row.split(' ').next() != Some(session)).collect()
    }
}
