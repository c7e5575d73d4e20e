//! How what happened is told: as lines, with the changes of those who ended together below their common end, and as JSON.

use fleet_domain::fleet::MassDeath;
use fleet_domain::readiness::State;
use fleet_domain::time::humanize;
use serde::Serialize;

use crate::client::{EventView, Happened};
use crate::render::Scene;
use crate::render::columns::style_of;
use crate::render::grid::paint;
use crate::render::words::{plural, safe};

/// The changes of those who ended together are told this long before their common end, at most.
const BEFORE_MS: i64 = 30_000;
/// So many names fit a line.
const NAMES: usize = 8;

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) event: Happened,
    /// It belongs to the line above.
    pub(super) of_many: bool,
}

/// Holds back what may belong to the end of many, which is told after the change of each.
#[derive(Debug, Default)]
pub(super) struct Group {
    held: Vec<EventView>,
}

impl Group {
    /// What can be told by now.
    pub(super) fn take(&mut self, event: Happened) -> Vec<Line> {
        match event {
            Happened::MassDeath(death) => self.gather(death),
            Happened::Moved(event) => {
                let is_over = self.held.first().is_some_and(|first| event.at.0 - first.at.0 > BEFORE_MS);
                let mut told = if is_over { self.end() } else { Vec::new() };
                if event.to == State::Dead || !self.held.is_empty() {
                    self.held.push(event);
                } else {
                    told.push(Line { event: Happened::Moved(event), of_many: false });
                }
                told
            }
        }
    }

    /// What is still held back.
    pub(super) fn end(&mut self) -> Vec<Line> {
        let alone = |event| Line { event: Happened::Moved(event), of_many: false };
        self.held.drain(..).map(alone).collect()
    }

    fn gather(&mut self, death: MassDeath) -> Vec<Line> {
        let belongs = |event: &EventView| {
            event.to == State::Dead
                && event.key.tenant == death.tenant
                && event.key.host == death.host
                && death.end.agents.contains(&event.key.session)
        };
        let (members, others): (Vec<_>, Vec<_>) = self.held.drain(..).partition(belongs);
        let line = |of_many| move |event| Line { event: Happened::Moved(event), of_many };
        let mut told: Vec<Line> = others.into_iter().map(line(false)).collect();
        told.push(Line { event: Happened::MassDeath(death), of_many: false });
        told.extend(members.into_iter().map(line(true)));
        told
    }
}

/// `10:41:39  coder0  working → stuck/permission  waits for permission: Do you want …`
pub(super) fn line(line: &Line, scene: &Scene) -> String {
    match &line.event {
        Happened::Moved(event) => moved(event, line.of_many, scene),
        Happened::MassDeath(death) => mass_death(death, scene),
    }
}

fn moved(event: &EventView, of_many: bool, scene: &Scene) -> String {
    let session = format!("{}{}", if of_many { "  " } else { "" }, safe(&event.key.session));
    let mut out = format!("{}  {session:<16}  ", scene.time(event.at));
    let from = event.from.map_or("(new)", |state| state.as_str());
    let to = match event.kind {
        Some(kind) => format!("{}/{}", event.to.as_str(), kind.as_str()),
        None => event.to.as_str().to_owned(),
    };
    out.push_str(&format!("{from:>9} → "));
    paint(&mut out, &format!("{to:<18}"), style_of(event.to), scene.colour);
    out.push_str(&format!("  {}", safe(&event.reason)));
    if let Some(evidence) = &event.evidence {
        out.push_str(&format!(": {}", safe(evidence)));
    }
    out
}

/// `10:41:38  vm1  5 agents → dead at once  a, b, c, d, e; they are started again one after the other, 1s apart`
fn mass_death(death: &MassDeath, scene: &Scene) -> String {
    let agents = &death.end.agents;
    let mut out = format!("{}  {:<16}  ", scene.time(death.at), safe(death.host.as_str()));
    out.push_str(&format!("{:>9} → ", plural(agents.len(), "agent")));
    paint(&mut out, &format!("{:<18}", "dead at once"), style_of(State::Dead), scene.colour);
    let names: Vec<_> = agents.iter().take(NAMES).map(|name| safe(name)).collect();
    out.push_str(&format!("  {}", names.join(", ")));
    if agents.len() > NAMES {
        out.push_str(&format!(" and {} more", agents.len() - NAMES));
    }
    out.push_str(&match death.end.apart {
        Some(apart) => format!("; they are started again one after the other, {} apart", humanize(apart)),
        None => "; nobody starts them again".to_owned(),
    });
    out
}

/// What happened as JSON.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Item {
    Transition(Moved),
    MassDeath(Ended),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Moved {
    at: String,
    #[serde(rename = "tenant_id")]
    tenant_id: String,
    host: String,
    socket: String,
    session: String,
    /// Null when the agent was seen for the first time.
    from: Option<&'static str>,
    to: &'static str,
    kind: Option<&'static str>,
    reason: String,
    evidence: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Ended {
    at: String,
    #[serde(rename = "tenant_id")]
    tenant_id: String,
    host: String,
    agents: Vec<String>,
    /// They are started again one after the other, so far apart; null where nobody starts them.
    restart_apart_seconds: Option<f64>,
}

pub(super) fn item(event: &Happened) -> Item {
    match event {
        Happened::Moved(event) => Item::Transition(Moved {
            at: event.at.to_rfc3339(),
            tenant_id: safe(event.key.tenant.as_str()).into_owned(),
            host: safe(event.key.host.as_str()).into_owned(),
            socket: safe(event.key.socket.shown()).into_owned(),
            session: safe(&event.key.session).into_owned(),
            from: event.from.map(|state| state.as_str()),
            to: event.to.as_str(),
            kind: event.kind.map(|kind| kind.as_str()),
            reason: safe(&event.reason).into_owned(),
            evidence: event.evidence.as_deref().map(|line| safe(line).into_owned()),
        }),
        Happened::MassDeath(death) => Item::MassDeath(Ended {
            at: death.at.to_rfc3339(),
            tenant_id: safe(death.tenant.as_str()).into_owned(),
            host: safe(death.host.as_str()).into_owned(),
            agents: death.end.agents.iter().map(|name| safe(name).into_owned()).collect(),
            restart_apart_seconds: death.end.apart.map(|apart| apart.as_secs_f64()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use fleet_domain::Wall;
    use fleet_domain::fleet::MassEnd;
    use fleet_domain::readiness::StuckKind;

    use super::*;
    use crate::render::samples;

    fn event() -> EventView {
        EventView {
            key: samples::agent("coder0", State::Stuck, 1).key,
            at: samples::now(),
            from: Some(State::Working),
            to: State::Stuck,
            kind: Some(StuckKind::Permission),
            reason: "waits for permission".to_owned(),
            evidence: Some("Do you want to make this edit?".to_owned()),
        }
    }

    fn died(name: &str, before_ms: i64) -> EventView {
        EventView {
            key: samples::agent(name, State::Dead, 1).key,
            at: Wall(samples::now().0 - before_ms),
            to: State::Dead,
            kind: None,
            reason: "the pane is gone".to_owned(),
            evidence: None,
            ..event()
        }
    }

    fn death(agents: &[&str], apart: Option<u64>) -> MassDeath {
        let key = event().key;
        let end = MassEnd {
            agents: agents.iter().map(|&name| name.to_owned()).collect(),
            apart: apart.map(Duration::from_secs),
        };
        MassDeath { tenant: key.tenant, host: key.host, at: samples::now(), end }
    }

    fn alone(event: EventView) -> String {
        line(&Line { event: Happened::Moved(event), of_many: false }, &samples::scene())
    }

    #[test]
    fn an_event_is_one_line() {
        insta::assert_snapshot!(alone(event()));
        let first =
            EventView { from: None, kind: None, to: State::Working, evidence: None, at: Wall(0), ..event() };
        insta::assert_snapshot!(alone(first));
    }

    #[test]
    fn an_event_as_json() {
        insta::assert_snapshot!(serde_json::to_string(&item(&Happened::Moved(event()))).unwrap());
        let death = Happened::MassDeath(death(&["a", "b", "c"], Some(1)));
        insta::assert_snapshot!(serde_json::to_string(&item(&death)).unwrap());
    }

    #[test]
    fn those_who_ended_together_stand_below_their_common_end() {
        let mut group = Group::default();
        let mut told = Vec::new();
        let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
        let back = |name: &str, before| EventView { to: State::Available, ..died(name, before) };
        for event in [died("early", 90_000), back("early", 40_000), died("a", 1_200), back("other", 1_100)] {
            told.extend(group.take(Happened::Moved(event)));
        }
        for name in &names[1..] {
            told.extend(group.take(Happened::Moved(died(name, 1_000))));
        }
        told.extend(group.take(Happened::MassDeath(death(&names, Some(1)))));
        told.extend(group.take(Happened::Moved(died("late", -500))));
        told.extend(group.take(Happened::MassDeath(death(&["x", "y", "z"], None))));
        told.extend(group.end());
        assert_eq!(group.end(), []);
        let text: Vec<String> = told.iter().map(|told| line(told, &samples::scene())).collect();
        insta::assert_snapshot!(text.join("\n"));
    }
}
