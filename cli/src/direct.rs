//! Direct mode: this host surveyed once, and the same rules as the collector's applied to what was seen.

use fleet_adapters::host::{Survey, SurveyOptions, own_sockets, survey};
use fleet_adapters::identity;
use fleet_adapters::screens::RuleBook;
use fleet_domain::Now;
use fleet_domain::fleet::{AgentView, Event, Fleet, Link, ReporterId};
use fleet_domain::ids::{HostId, TenantId};
use fleet_domain::observation::{SocketState, Vantage};
use fleet_domain::readiness::Thresholds;
use fleet_framework::Home;
use fleet_framework::home::{heartbeat_interval, idle_threshold};

use crate::client::HostView;
use crate::clock;
use crate::render::UNTOLD;
use crate::source::HostNote;

pub struct Found {
    pub agents: Vec<AgentView>,
    pub host: HostView,
    /// Settings that were not understood, tmux servers that do not answer.
    pub notes: Vec<HostNote>,
}

pub async fn look(home: &Home, book: &RuleBook) -> Found {
    let (interval, bad_interval) = heartbeat_interval();
    let defaults = Thresholds::default();
    let (activity, bad_threshold) = idle_threshold(defaults.activity);
    let options = SurveyOptions {
        roster: home.roster(),
        heartbeats: home.heartbeats(),
        extra_sockets: own_sockets(false),
        interval,
    };
    let seen = survey(&options, book).await;
    let (tenant, host) = (identity::tenant(), identity::host());
    let note = |text: String| HostNote { host: host.to_string(), text };
    let mut notes: Vec<HostNote> = [bad_interval, bad_threshold].into_iter().flatten().map(note).collect();
    notes.extend(silent_servers(&seen).into_iter().map(note));
    let planes = &seen.planes;
    let view = HostView {
        tenant: tenant.clone(),
        host: host.clone(),
        up: true,
        stopped: false,
        roster_path: planes.roster.path.clone(),
        roster_error: planes.roster.error.clone(),
        systemd_unavailable: planes.systemd.unavailable.clone(),
        listed: true,
    };
    let thresholds = Thresholds { activity, ..defaults };
    Found { agents: judge(seen, tenant, host, thresholds, clock::now()), host: view, notes }
}

/// The rules on what was seen at one moment. Observations come before planes: a session's first verdict, and with it
/// the time since when it holds, is then one on what was seen of it.
fn judge(seen: Survey, tenant: TenantId, host: HostId, thresholds: Thresholds, now: Now) -> Vec<AgentView> {
    const OURSELVES: ReporterId = ReporterId(0);
    let mut fleet = Fleet::new(thresholds);
    fleet.apply(Event::Connected { reporter: OURSELVES, tenant, host, vantage: Vantage::Host }, now);
    for observation in seen.observations {
        fleet.apply(Event::Observed { reporter: OURSELVES, observation }, now);
    }
    fleet.apply(Event::Planes { reporter: OURSELVES, planes: seen.planes }, now);
    let detailed =
        fleet.list(now, now.wall).into_iter().filter_map(|row| fleet.view(&row.key, now, now.wall));
    // A look that is already over is nobody watching, and a state first seen in it has no beginning that we know.
    let as_looked_at = |agent: AgentView| AgentView {
        link: Link::None,
        since: if agent.since < now.wall { agent.since } else { UNTOLD },
        ..agent
    };
    detailed.map(as_looked_at).collect()
}

fn silent_servers(seen: &Survey) -> Vec<String> {
    seen.planes
        .sockets
        .iter()
        .filter_map(|plane| match &plane.state {
            SocketState::Unreachable { why } => Some(why.clone()),
            SocketState::Up | SocketState::Down => None,
        })
        .collect()
}
