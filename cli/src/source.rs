//! Where the agents come from: the collector, or, where none answers, this host looked at directly.

use std::sync::Arc;
use std::time::Duration;

use fleet_domain::Wall;
use fleet_domain::fleet::AgentView;
use fleet_domain::report::{By, Question};
use fleet_framework::Home;

use crate::client::{Address, Client, ClientError, Detail, HostView, Listing};
use crate::error::{Code, Failure};
use crate::render::funds::Funds;
use crate::services::start_collector;
use crate::{clock, direct, rules};

/// How often a collector is asked while it is waited for.
const POLL: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Collector,
    /// Looked at this host alone; tokens and history are unknown.
    Direct {
        why: ClientError,
    },
}

impl Origin {
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Collector => "collector",
            Self::Direct { .. } => "direct",
        }
    }

    pub fn is_direct(&self) -> bool {
        matches!(self, Self::Direct { .. })
    }

    /// Said on stderr where nobody answered.
    pub fn notice(&self) -> Option<String> {
        match self {
            Self::Collector => None,
            Self::Direct { why: why @ ClientError::Absent(_) } => Some(format!(
                "{why}: joined directly, without tokens and history\n  start one: {}",
                start_collector()
            )),
            Self::Direct { why } => Some(format!(
                "{why}: joined directly, without tokens and history\n  look at it: fleet doctor"
            )),
        }
    }
}

/// Every agent at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub agents: Vec<AgentView>,
    pub hosts: Vec<HostNote>,
    /// How many hosts were heard from; where it is none, an empty list says nothing.
    pub heard: usize,
    pub origin: Origin,
    pub at: Wall,
    /// See [`funds`].
    pub funds: Arc<Funds>,
}

/// Something about a host that a reader of its agents should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostNote {
    pub host: String,
    pub text: String,
}

/// From the collector, once a host-wide sidecar has reported every session that there was; not before `limit` has
/// passed is it given up.
pub async fn gather_listed(at: &Address, detail: Detail, limit: Duration) -> Result<Snapshot, Failure> {
    let poll = async {
        loop {
            if let Ok(mut client) = Client::connect(at).await
                && let Ok(listing) = client.list(today(), detail).await
                && listing.hosts.iter().any(|host| host.listed)
            {
                return from_listing(listing);
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(limit, poll).await.map_err(|_| {
        Failure::new(Code::TimedOut, format!("no sidecar has reported to {at} in {}s", limit.as_secs()))
            .next("see what is missing: fleet doctor")
    })
}

/// From the collector where one answers, else directly. Only a missing home can fail.
pub async fn gather(at: &Address) -> Result<Snapshot, Failure> {
    gather_in(at, Detail::Full).await
}

/// The same, with so much of each agent at least.
pub async fn gather_in(at: &Address, detail: Detail) -> Result<Snapshot, Failure> {
    match ask(at, detail).await {
        Ok(snapshot) => Ok(snapshot),
        Err(why) => directly(why).await,
    }
}

pub async fn directly(why: ClientError) -> Result<Snapshot, Failure> {
    let home = Home::from_env().map_err(|error| Failure::of(Code::Failure, &error))?;
    let direct::Found { agents, host, mut notes } = direct::look(&home, &rules::book()?).await;
    notes.extend(notes_of(&host, &agents));
    Ok(Snapshot {
        agents,
        hosts: notes,
        heard: 1,
        origin: Origin::Direct { why },
        at: clock::now().wall,
        funds: Arc::default(),
    })
}

async fn ask(at: &Address, detail: Detail) -> Result<Snapshot, ClientError> {
    let mut client = Client::connect(at).await?;
    let listing = client.list(today(), detail).await?;
    Ok(from_listing(listing))
}

/// What the collector's budget says of accounts, and its ledger of today; nothing where it says nothing.
pub async fn funds(at: &Address) -> Arc<Funds> {
    let Ok(mut client) = Client::connect(at).await else { return Arc::default() };
    let today = Question { since: today(), by: [By::Agent].into(), ..Question::default() };
    let today = client.usage(&today).await.unwrap_or_default();
    let state = client.money().state(clock::zone().iana_name().unwrap_or_default()).await;
    Arc::new(state.map(|state| Funds::of(&state)).unwrap_or_default().with_today(today))
}

/// When the reader's day began.
pub fn today() -> Wall {
    clock::day_start(clock::now().wall, &clock::zone())
}

pub fn from_listing(listing: Listing) -> Snapshot {
    let mut hosts: Vec<HostNote> =
        listing.hosts.iter().flat_map(|host| notes_of(host, &listing.agents)).collect();
    if listing.unreadable > 0 {
        let text = format!(
            "{} agents come from a later version and are not shown; update fleet",
            listing.unreadable
        );
        hosts.push(HostNote { host: "collector".to_owned(), text });
    }
    Snapshot {
        agents: listing.agents,
        hosts,
        heard: listing.hosts.len(),
        origin: Origin::Collector,
        at: clock::now().wall,
        funds: Arc::default(),
    }
}

/// Short lines on what is not in order; `agents` are of all hosts.
pub fn notes_of(host: &HostView, agents: &[AgentView]) -> Vec<HostNote> {
    let mut texts = Vec::new();
    if !host.up {
        texts.push(if host.stopped {
            "its host-wide sidecar was stopped; what is shown is its last report (systemctl --user start mosaic-sidecar.service)".to_owned()
        } else {
            "its host-wide sidecar vanished; what is shown is its last report (systemctl --user status mosaic-sidecar.service)".to_owned()
        });
    }
    if let Some(error) = &host.roster_error {
        let lines = error.lines().filter(|line| !line.trim().is_empty());
        texts.extend(lines.map(|line| {
            if line.contains(&host.roster_path) {
                line.to_owned()
            } else {
                format!("{}: {line}", host.roster_path)
            }
        }));
    }
    // Without agents of a roster nobody misses it; the whole story is doctor's.
    let missed = agents.iter().any(|agent| agent.managed && agent.key.host == host.host);
    if let Some(why) = host.systemd_unavailable.as_deref().filter(|_| missed) {
        let short = why.split(" (").next().unwrap_or(why);
        texts.push(format!("systemd is not known: {short}"));
    }
    texts.into_iter().map(|text| HostNote { host: host.host.to_string(), text }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleet_domain::ids::{HostId, TenantId};

    use crate::render::samples;

    fn host() -> HostView {
        HostView {
            tenant: TenantId::new("me"),
            host: HostId::new("box"),
            up: true,
            stopped: false,
            roster_path: "/m/roster.yaml".to_owned(),
            roster_error: None,
            systemd_unavailable: None,
            listed: true,
        }
    }

    fn texts(host: &HostView) -> Vec<String> {
        notes_of(host, &samples::fleet()).into_iter().map(|note| note.text).collect()
    }

    #[test]
    fn a_host_in_order_has_nothing_to_say() {
        assert_eq!(texts(&host()), [""; 0]);
    }

    #[test]
    fn each_mistake_of_a_roster_is_a_line_with_its_file() {
        let error = "/m/roster.yaml: line 2: a\n/m/roster.yaml: line 3: b".to_owned();
        assert_eq!(texts(&HostView { roster_error: Some(error), ..host() }).len(), 2);
        let bare = HostView { roster_error: Some("line 2: a".to_owned()), ..host() };
        assert_eq!(texts(&bare), ["/m/roster.yaml: line 2: a"]);
    }

    #[test]
    fn a_missing_systemd_is_said_shortly_and_only_where_it_is_missed() {
        let why = Some("no manager answers (tried: everything)".to_owned());
        let host = HostView { systemd_unavailable: why, ..host() };
        assert_eq!(texts(&host), ["systemd is not known: no manager answers"]);
        assert_eq!(notes_of(&host, &[]), []);
    }

    #[test]
    fn a_vanished_sidecar_is_told_from_a_stopped_one() {
        assert!(texts(&HostView { up: false, ..host() })[0].contains("vanished"));
        assert!(texts(&HostView { up: false, stopped: true, ..host() })[0].contains("was stopped"));
    }
}
