//! The agents' metrics. A plain shell that nobody manages is no agent and has no series.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use fleet_domain::RuntimeName;
use fleet_domain::fleet::AgentView;
use fleet_domain::readiness::State;
use fleet_domain::usage::Tokens;
use prometheus_client::encoding::DescriptorEncoder;

use super::catalogue::{self, Metric, TOKEN_KINDS};
use super::{Family, Value, seconds};
use crate::hub::Snapshot;
use crate::store::Bill;

/// Models of one agent that are told apart; transcripts are files that anyone can write.
const MAX_MODELS: usize = 32;
const OTHER_MODELS: &str = "other";

struct Agent<'s> {
    view: &'s AgentView,
    /// tenant, host, agent, class, runtime
    labels: [&'s str; 5],
}

impl<'s> Agent<'s> {
    fn of(view: &'s AgentView) -> Self {
        let labels = [
            view.key.tenant.as_str(),
            view.key.host.as_str(),
            view.name.as_str(),
            view.class.as_deref().unwrap_or_default(),
            view.runtime.as_ref().map(RuntimeName::as_str).unwrap_or_default(),
        ];
        Self { view, labels }
    }

    fn write(&self, family: &mut Family<'_>, more: &[&str], value: Value) -> fmt::Result {
        let mut values = Vec::with_capacity(self.labels.len() + more.len());
        values.extend_from_slice(&self.labels);
        values.extend_from_slice(more);
        family.write(&values, value)
    }
}

pub(super) fn encode(encoder: &mut DescriptorEncoder<'_>, snapshot: &Snapshot) -> fmt::Result {
    let agents = agents(snapshot);
    let mut each = |metric: &'static Metric, write: &dyn Fn(&Agent<'_>, &mut Family<'_>) -> fmt::Result| {
        let mut family = Family::begin(encoder, metric)?;
        agents.iter().try_for_each(|agent| write(agent, &mut family))
    };
    each(&catalogue::AGENT_INFO, &|agent, family| {
        let managed = if agent.view.managed { "true" } else { "false" };
        agent.write(family, &[managed], Value::Whole(1))
    })?;
    each(&catalogue::AGENT_STATE, &|agent, family| {
        State::ALL.into_iter().try_for_each(|state| {
            agent.write(family, &[state.as_str()], Value::Whole(u64::from(state == agent.view.state)))
        })
    })?;
    each(&catalogue::AGENT_STUCK, &|agent, family| {
        let kind = agent.view.kind.filter(|_| agent.view.state == State::Stuck);
        kind.map_or(Ok(()), |kind| agent.write(family, &[kind.as_str()], Value::Whole(1)))
    })?;
    each(&catalogue::AGENT_SINCE, &|agent, family| agent.write(family, &[], seconds(agent.view.since.0)))?;
    each(&catalogue::AGENT_HEARTBEAT, &|agent, family| {
        agent.view.heartbeat.ts.map_or(Ok(()), |ts| agent.write(family, &[], seconds(ts.0)))
    })?;
    each(&catalogue::AGENT_IDLE, &|agent, family| {
        agent.view.idle.map_or(Ok(()), |idle| agent.write(family, &[], Value::Real(idle.as_secs_f64())))
    })?;
    each(&catalogue::AGENT_DRIFT, &|agent, family| {
        let kinds: BTreeSet<_> = agent.view.drift.iter().map(|drift| drift.kind).collect();
        kinds.into_iter().try_for_each(|kind| agent.write(family, &[kind.as_str()], Value::Whole(1)))
    })?;
    each(&catalogue::AGENT_TRANSITIONS, &|agent, family| {
        agent.view.transitions.iter().try_for_each(|((from, to), count)| {
            agent.write(family, &[from.as_str(), to.as_str()], Value::Whole(*count))
        })
    })?;
    each(&catalogue::TOKENS, &|agent, family| {
        let account = agent.view.account.as_deref().unwrap_or_default();
        by_model(agent.view).iter().try_for_each(|(model, tokens)| {
            let counts = [
                tokens.input,
                tokens.cache_read,
                tokens.cache_write_5m,
                tokens.cache_write_1h,
                tokens.output,
            ];
            TOKEN_KINDS.iter().zip(counts).try_for_each(|(kind, count)| {
                agent.write(family, &[model, account, kind], Value::Whole(count))
            })
        })
    })?;
    each(&catalogue::REASONING, &|agent, family| {
        let account = agent.view.account.as_deref().unwrap_or_default();
        by_model(agent.view).iter().try_for_each(|(model, tokens)| {
            agent.write(family, &[model, account], Value::Whole(tokens.reasoning))
        })
    })?;
    each(&catalogue::COST, &|agent, family| {
        let account = agent.view.account.as_deref().unwrap_or_default();
        spent(snapshot, agent.view).iter().try_for_each(|(model, spent)| {
            agent.write(family, &[model, account], Value::Real(spent.pico_usd.max(0) as f64 / 1e12))
        })
    })?;
    each(&catalogue::UNPRICED, &|agent, family| {
        let account = agent.view.account.as_deref().unwrap_or_default();
        spent(snapshot, agent.view).iter().filter(|(_, spent)| spent.unpriced > 0).try_for_each(
            |(model, spent)| {
                agent.write(family, &[model, account], Value::Whole(spent.unpriced.unsigned_abs()))
            },
        )
    })
}

/// As [`by_model`].
fn spent<'s>(snapshot: &'s Snapshot, view: &AgentView) -> BTreeMap<&'s str, Bill> {
    let mut models: BTreeMap<&str, Bill> = BTreeMap::new();
    for (model, spent) in snapshot.spent.get(&view.key).into_iter().flatten() {
        let room = models.len() < MAX_MODELS;
        models.entry(if room { model } else { OTHER_MODELS }).or_default().add(spent);
    }
    models
}

/// Two sessions may come to one shown name (`a` on the socket `b`, and one that is called `a@b`): the first in the list
/// has the series, because one that stands twice would cost the scraper the whole page.
fn agents(snapshot: &Snapshot) -> Vec<Agent<'_>> {
    let mut seen = BTreeSet::new();
    snapshot
        .agents
        .iter()
        .filter(|view| view.managed || view.runtime.is_some())
        .map(Agent::of)
        .filter(|agent| seen.insert([agent.labels[0], agent.labels[1], agent.labels[2]]))
        .collect()
}

fn by_model(view: &AgentView) -> BTreeMap<&str, Tokens> {
    let mut models: BTreeMap<&str, Tokens> = BTreeMap::new();
    for (model, tokens) in &view.by_model {
        let room = models.len() < MAX_MODELS;
        models.entry(if room { model } else { OTHER_MODELS }).or_default().add(tokens);
    }
    models
}
