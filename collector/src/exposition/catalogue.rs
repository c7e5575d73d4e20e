//! Every metric there is, with its labels: the exporter writes from these definitions and `fleet-collector metrics
//! --json` prints them, so that a dashboard can be checked against what is really exported.

use std::collections::BTreeMap;

use fleet_domain::budget::decision::{Decision, Reason};
use fleet_domain::drift;
use fleet_domain::readiness::{State, StuckKind};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;
use serde::Serialize;

use crate::meters::Dropped;

/// The five disjoint kinds of tokens.
pub(super) const TOKEN_KINDS: [&str; 5] =
    ["input", "cache_read", "cache_write_5m", "cache_write_1h", "output"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Gauge,
    Counter,
    Histogram,
}

pub(super) struct Metric {
    /// Without the suffixes that unit and kind bring.
    stem: &'static str,
    pub(super) kind: Kind,
    unit: Option<&'static str>,
    pub(super) help: &'static str,
    pub(super) labels: &'static [&'static str],
}

impl Metric {
    pub(super) fn name(&self) -> String {
        let unit = if self.in_seconds() { "_seconds" } else { "" };
        let kind = if self.kind == Kind::Counter { "_total" } else { "" };
        format!("{}{unit}{kind}", self.stem)
    }

    pub(super) fn stem(&self) -> &'static str {
        self.stem
    }

    /// The only unit that names carry as a suffix of its own.
    pub(super) fn encoded_unit(&self) -> Option<&'static Unit> {
        self.in_seconds().then_some(&Unit::Seconds)
    }

    pub(super) fn metric_type(&self) -> MetricType {
        match self.kind {
            Kind::Gauge => MetricType::Gauge,
            Kind::Counter => MetricType::Counter,
            Kind::Histogram => MetricType::Histogram,
        }
    }

    fn kind_word(&self) -> &'static str {
        match self.kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
            Kind::Histogram => "histogram",
        }
    }

    fn in_seconds(&self) -> bool {
        self.unit == Some("seconds")
    }

    /// The closed lists among its labels' values.
    fn values(&self) -> BTreeMap<&'static str, Vec<&'static str>> {
        let states = || State::ALL.map(State::as_str).to_vec();
        let of = |label: &str| match (self.stem, label) {
            ("fleet_agent_info", "managed") => Some(vec!["true", "false"]),
            ("fleet_agent_stuck", "kind") => Some(StuckKind::ALL.map(StuckKind::as_str).to_vec()),
            ("fleet_agent_drift", "kind") => Some(drift::Kind::ALL.map(drift::Kind::as_str).to_vec()),
            ("fleet_collector_telemetry_responses", "result") => Some(vec!["taken", "unusable"]),
            (_, "provenance") => Some(vec!["provider", "user", "estimated"]),
            ("fleet_tokens", "kind") => Some(TOKEN_KINDS.to_vec()),
            ("fleet_collector_dropped", "reason") => Some(Dropped::ALL.map(Dropped::as_str).to_vec()),
            ("fleet_budget_decision", "decision") => Some(Decision::ALL.map(Decision::as_str).to_vec()),
            ("fleet_budget_decision", "reason") => Some(Reason::ALL.map(Reason::as_str).to_vec()),
            (_, "state" | "from" | "to") => Some(states()),
            _ => None,
        };
        self.labels.iter().filter_map(|label| Some((*label, of(label)?))).collect()
    }
}

macro_rules! metrics {
    ($($id:ident: $kind:ident $stem:literal $unit:expr, [$($label:literal),*], $help:literal;)*) => {
        $(pub(super) const $id: Metric = Metric {
            stem: $stem, kind: Kind::$kind, unit: $unit, help: $help, labels: &[$($label),*],
        };)*
        pub(super) const ALL: &[&Metric] = &[$(&$id),*];
    };
}

const NONE: Option<&str> = None;
const SECONDS: Option<&str> = Some("seconds");

metrics! {
    AGENT_INFO: Gauge "fleet_agent_info" NONE, ["tenant", "host", "agent", "class", "runtime", "managed"],
        "Always 1. One series for each agent of the roster and each unmanaged session that was seen to run one.";
    AGENT_STATE: Gauge "fleet_agent_state" NONE, ["tenant", "host", "agent", "class", "runtime", "state"],
        "Readiness, one-hot: 1 for the state that the agent is in, 0 for the five others.";
    AGENT_STUCK: Gauge "fleet_agent_stuck" NONE, ["tenant", "host", "agent", "class", "runtime", "kind"],
        "1 while the agent is stuck on this kind of trouble; no series otherwise.";
    AGENT_SINCE: Gauge "fleet_agent_state_since_timestamp" SECONDS, ["tenant", "host", "agent", "class", "runtime"],
        "Unix time at which the agent entered its state.";
    AGENT_HEARTBEAT: Gauge "fleet_agent_heartbeat_timestamp" SECONDS, ["tenant", "host", "agent", "class", "runtime"],
        "Unix time of the runtime's last confirmed answer; no series where no heartbeat is known.";
    AGENT_IDLE: Gauge "fleet_agent_idle" SECONDS, ["tenant", "host", "agent", "class", "runtime"],
        "Time since the agent's pane last moved; no series where unknown.";
    AGENT_DRIFT: Gauge "fleet_agent_drift" NONE, ["tenant", "host", "agent", "class", "runtime", "kind"],
        "1 while what runs differs from the roster in this way; no series otherwise.";
    AGENT_TRANSITIONS: Counter "fleet_agent_transitions" Some("transitions"),
        ["tenant", "host", "agent", "class", "runtime", "from", "to"],
        "Changes of state.";
    TOKENS: Counter "fleet_tokens" Some("tokens"),
        ["tenant", "host", "agent", "class", "runtime", "model", "account", "kind"],
        "Tokens used, in five disjoint kinds.";
    REASONING: Counter "fleet_reasoning_tokens" Some("tokens"),
        ["tenant", "host", "agent", "class", "runtime", "model", "account"],
        "Reasoning tokens used; they are part of the output tokens.";
    COST: Counter "fleet_cost_usd" Some("usd"),
        ["tenant", "host", "agent", "class", "runtime", "model", "account"],
        "What the tokens used cost by the API, at the prices of when they were booked; notional where an account is a subscription.";
    UNPRICED: Counter "fleet_unpriced_responses" Some("responses"),
        ["tenant", "host", "agent", "class", "runtime", "model", "account"],
        "Responses that fleet_cost_usd_total leaves out, as nobody here knows their price.";
    WINDOW_USED: Gauge "fleet_window_used_ratio" NONE, ["tenant", "account", "provider", "window", "provenance"],
        "Share of the account's limit that is used in the present window, as it was last seen; no series where unknown.";
    WINDOW_RESET: Gauge "fleet_window_reset_timestamp" SECONDS, ["tenant", "account", "provider", "window"],
        "Unix time at which the account's present window ends; no series where unknown.";
    WINDOW_SEEN: Gauge "fleet_window_observed_timestamp" SECONDS, ["tenant", "account", "provider", "window"],
        "Unix time at which the account's window was last seen.";
    PACE: Gauge "fleet_pace_ratio" NONE, ["tenant", "account", "provider", "window"],
        "What the window is spent at by what an even spread over its rest would be: above 1 it will not last. No series where unknown.";
    BUDGET_USED: Gauge "fleet_budget_used_ratio" NONE, ["tenant", "account", "provider", "window", "provenance"],
        "Share of the window's limit that is used: by its provider, its owner and our ledger together. No series where unknown.";
    BUDGET_EVEN: Gauge "fleet_budget_even_ratio" NONE, ["tenant", "account", "provider", "window"],
        "Where an even spread of the window would stand now.";
    BUDGET_HELD: Gauge "fleet_budget_held_ratio" NONE, ["tenant", "account", "provider", "window"],
        "Share of the window's limit that is held for admitted tasks and not spent yet.";
    BUDGET_LEFT: Gauge "fleet_budget_left_today_ratio" NONE, ["tenant", "account", "provider", "window"],
        "What is left of today's part of the window, as a share of its limit; below 0 is overspent.";
    BUDGET_ALLOWANCE: Gauge "fleet_budget_allowance_ratio" NONE, ["tenant", "account", "provider", "window"],
        "Today's part of the window, as a share of its limit.";
    BUDGET_RESET: Gauge "fleet_budget_reset_timestamp" SECONDS, ["tenant", "account", "provider", "window"],
        "Unix time at which the window ends, by whoever knows best.";
    BUDGET_EXHAUSTION: Gauge "fleet_budget_exhaustion_timestamp" SECONDS, ["tenant", "account", "provider", "window"],
        "Unix time at which the window is used up at the present rate; no series while nothing is used.";
    BUDGET_STALE: Gauge "fleet_budget_stale" NONE, ["tenant", "account", "provider", "window"],
        "1 where the provider's figure is old and the account was used since, else 0.";
    BUDGET_TASKS: Gauge "fleet_budget_tasks" Some("tasks"), ["tenant", "account", "provider"],
        "Tasks that the account has a place for now, started or not.";
    BUDGET_AUTHORIZED: Gauge "fleet_budget_authorized_tokens" Some("tokens"), ["tenant", "account", "provider"],
        "What is left of authorizations to go faster than evenly.";
    BUDGET_STUCK: Gauge "fleet_budget_stuck_until_timestamp" SECONDS, ["tenant", "account", "provider"],
        "Unix time until which the provider lets nothing of the account through; no series otherwise.";
    CEILING_USED: Gauge "fleet_budget_ceiling_used_ratio" NONE, ["tenant", "scope", "name", "per", "unit"],
        "Share of the hard ceiling, or of the soft one where there is no other, that is used in the present period.";
    CEILING_SOFT: Gauge "fleet_budget_ceiling_soft_ratio" NONE, ["tenant", "scope", "name", "per", "unit"],
        "Where the soft ceiling stands, as a share of the same; no series where there is none.";
    BUDGET_DECISION: Counter "fleet_budget_decision" Some("decisions"), ["decision", "reason"],
        "Answers to whether a task may start, where a place was asked for.";
    BUDGET_FILE: Gauge "fleet_budget_file_error" NONE, [],
        "1 while the budget's file has mistakes and the last good one stays in force, else 0.";
    HOST_UP: Gauge "fleet_host_up" NONE, ["tenant", "host"],
        "1 while the host-wide sidecar's stream is connected, else 0.";
    HOST_SKEW: Gauge "fleet_host_clock_skew" SECONDS, ["tenant", "host"],
        "The sidecar's wall clock minus the collector's.";
    MASS_DEATH: Counter "fleet_mass_deaths" Some("events"), ["tenant", "host"],
        "How often many agents of the host ended at the same moment.";
    SIDECAR_INFO: Gauge "fleet_sidecar_info" NONE, ["tenant", "host", "agent", "version"],
        "Always 1. One series for each connected sidecar; agent is empty for the host-wide one.";
    SIDECAR_DROPPED: Counter "fleet_sidecar_dropped" Some("records"), ["tenant", "host", "reason"],
        "What the host's sidecars dropped, by reason.";
    BUILD_INFO: Gauge "fleet_collector_build_info" NONE, ["version"],
        "Always 1. The version of the running collector.";
    START: Gauge "fleet_collector_start_timestamp" SECONDS, [],
        "Unix time at which the collector started.";
    STREAMS: Gauge "fleet_collector_streams" Some("streams"), [],
        "Report streams that are open now.";
    OBSERVATIONS: Counter "fleet_collector_observations" Some("observations"), [],
        "Observations taken in.";
    USAGE_RECORDS: Counter "fleet_collector_usage_records" Some("records"), [],
        "Usage records taken in.";
    USAGE_UNREADABLE: Counter "fleet_collector_usage_unreadable" Some("lines"), [],
        "Lines of usage sources that sidecars could not read.";
    TELEMETRY: Counter "fleet_collector_telemetry_responses" Some("responses"), ["result"],
        "Responses that OpenTelemetry logs told of: taken in (counted where no transcript holds them), or unusable.";
    DROPPED: Counter "fleet_collector_dropped" Some("records"), ["reason"],
        "What the collector dropped, by reason.";
    STORE_ERRORS: Counter "fleet_collector_store_errors" Some("errors"), [],
        "Operations of the store that failed.";
    STORE_COMMIT: Histogram "fleet_collector_store_commit" SECONDS, [],
        "How long a transaction of the store took to commit.";
    SCRAPE: Gauge "fleet_collector_scrape_duration" SECONDS, [],
        "How long the previous scrape took to render.";
}

#[derive(Serialize)]
struct Entry {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    unit: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    values: BTreeMap<&'static str, Vec<&'static str>>,
}

fn entries() -> impl Iterator<Item = Entry> {
    ALL.iter().map(|metric| Entry {
        name: metric.name(),
        kind: metric.kind_word(),
        unit: metric.unit.unwrap_or("none"),
        help: metric.help,
        labels: metric.labels,
        values: metric.values(),
    })
}

/// The catalogue as a JSON array.
pub fn json() -> serde_json::Result<String> {
    serde_json::to_string_pretty(&entries().collect::<Vec<_>>())
}

/// The catalogue for people, a metric a line.
pub fn text() -> String {
    let line = |entry: Entry| {
        let labels =
            if entry.labels.is_empty() { String::new() } else { format!("{{{}}}", entry.labels.join(",")) };
        format!("{}{labels} ({}): {}\n", entry.name, entry.kind, entry.help)
    };
    entries().map(line).collect()
}
