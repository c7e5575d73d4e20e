//! What systemd is asked for, in order: read anew, enable, linger, start. One unit that fails does not stop the others.

use std::sync::Arc;

use fleet_adapters::systemd::{self, Systemd, SystemdError};
use fleet_domain::roster::Agent;
use fleet_framework::units::{self, COLLECTOR, HOLDER, HOST_SIDECAR, agent_unit, sidecar_unit};

use crate::error::{Code, Failure, Outcome};
use crate::lifecycle::Site;
use crate::lifecycle::keeper::{Act, Keeper, each};
use crate::output;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Holder, collector and host-wide sidecar, but for what is masked or not asked for.
    pub(super) services: Vec<String>,
    pub(super) agents: Vec<String>,
    /// Each agent gets one of its own.
    pub(super) sidecars: bool,
    pub(super) start_agents: bool,
    /// Agents of the roster that belong to other hosts.
    pub(super) elsewhere: Vec<String>,
    /// Unit files that were replaced.
    pub(super) changed: Vec<String>,
}

impl Wanted {
    /// Every unit that is to be enabled.
    pub(super) fn units(&self) -> Vec<String> {
        let sidecars = self.agents.iter().filter(|_| self.sidecars).map(|agent| sidecar_unit(agent));
        let agents = self.agents.iter().map(|agent| agent_unit(agent));
        self.services.iter().cloned().chain(agents).chain(sidecars).collect()
    }

    fn changed(&self, unit: &str) -> bool {
        self.changed.iter().any(|changed| changed == unit)
    }
}

pub(super) async fn carry_out(systemd: &Systemd, wanted: &Wanted, site: Option<Arc<Site>>) -> Outcome {
    systemd.daemon_reload().await.map_err(failed)?;
    systemd.enable(&wanted.units()).await.map_err(|error| match error {
        SystemdError::NoUnit { .. } => {
            let message = "systemd does not find the units that were just written";
            Failure::new(Code::Failure, message)
                .next("its XDG_CONFIG_HOME is another one than yours; use the same")
        }
        error => failed(error),
    })?;
    linger().await;
    let mut problems = Vec::new();
    for unit in &wanted.services {
        // Restarting these loses nothing; the holder would take every agent with it.
        let restart = wanted.changed(unit) && unit != HOLDER;
        let done = if restart { systemd.restart(unit).await } else { systemd.start(unit).await };
        note(&mut problems, done);
    }
    if let Some(site) = site.filter(|_| wanted.start_agents) {
        start_agents(systemd, wanted, &site, &mut problems).await;
    }
    for unit in [HOLDER, "mosaic-agent@.service"].into_iter().filter(|unit| wanted.changed(unit)) {
        output::note(&format!("{unit} changed: what runs goes on as it is until it is restarted"));
    }
    if problems.is_empty() {
        output::note(&done(wanted));
        return Ok(());
    }
    Err(Failure::new(Code::Failure, problems.join("\n"))
        .next("the units are written and enabled; once this is put right: fleet install"))
}

/// Those that run go on; a sidecar of an older unit is started anew.
async fn start_agents(systemd: &Systemd, wanted: &Wanted, site: &Arc<Site>, problems: &mut Vec<String>) {
    let is_wanted = |agent: &&Agent| wanted.agents.iter().any(|name| *name == agent.name.as_str());
    let agents: Vec<&Agent> = site.agents().filter(is_wanted).collect();
    let done = each(site, &Keeper::Systemd(systemd.clone()), Act::Start, &agents).await;
    problems.extend(done.failed.into_iter().map(|(name, error)| format!("{name}: {error}")));
    let anew = wanted.sidecars && wanted.changed("mosaic-sidecar@.service");
    for name in done.well.iter().filter(|_| anew) {
        note(problems, systemd.restart(&sidecar_unit(name)).await);
    }
}

fn note(problems: &mut Vec<String>, done: Result<(), SystemdError>) {
    problems.extend(done.err().map(|error| error.to_string()));
}

fn done(wanted: &Wanted) -> String {
    let count = wanted.agents.len();
    let agents = match (count, wanted.start_agents) {
        (0, _) => "no agents".to_owned(),
        (1, true) => "1 agent".to_owned(),
        (_, true) => format!("{count} agents"),
        (_, false) => format!("{count} agents enabled but not started"),
    };
    let running = wanted.services.iter().map(|unit| match unit.as_str() {
        units::HOLDER => "holder",
        COLLECTOR => "collector",
        HOST_SIDECAR => "host-wide sidecar",
        other => other,
    });
    format!("running: {}; {agents}. See them: fleet ps", running.collect::<Vec<_>>().join(", "))
}

/// Never a reason to stop: the units run now in any case.
async fn linger() {
    let lingers = match systemd::linger() {
        Ok(true) => return,
        Ok(false) => systemd::enable_linger().await,
        Err(error) => Err(error),
    };
    if let Err(error) = lingers {
        output::note(&format!("warning: the fleet will not start at boot nor outlive your logout: {error}"));
    }
}

fn failed(error: SystemdError) -> Failure {
    Failure::of(Code::Failure, &error)
}
