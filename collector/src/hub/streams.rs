//! Who reports at this moment, and what sidecars said of themselves.

use std::collections::{BTreeMap, BTreeSet};

use fleet_domain::fleet::ReporterId;
use fleet_domain::observation::Vantage;
use fleet_domain::{AgentKey, HostId, TenantId, Wall};
use fleet_proto::convert::Hello;

/// Different reasons of one host that are told apart; the rest is `other`. A label is not for sidecars to grow.
const MAX_REASONS: usize = 16;
/// Hosts whose clock and drops are remembered after they left.
const MAX_HOSTS: usize = 10_000;

type OnHost = (TenantId, HostId);

#[derive(Debug, Default)]
pub(super) struct Streams {
    open: BTreeMap<ReporterId, Hello>,
    skew: BTreeMap<OnHost, i64>,
    drops: BTreeMap<OnHost, BTreeMap<String, u64>>,
}

/// A connected sidecar.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SidecarInfo {
    pub tenant: TenantId,
    pub host: HostId,
    /// The shown name; empty of a host-wide sidecar.
    pub agent: String,
    pub version: String,
}

/// What a host's sidecars let go of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SidecarDrops {
    pub tenant: TenantId,
    pub host: HostId,
    pub reason: String,
    pub count: u64,
}

impl Streams {
    pub(super) fn connected(&mut self, reporter: ReporterId, hello: Hello, received: Wall) {
        let host = (hello.tenant.clone(), hello.host.clone());
        if self.skew.len() < MAX_HOSTS || self.skew.contains_key(&host) {
            self.skew.insert(host, hello.wall.0.saturating_sub(received.0));
        }
        self.open.insert(reporter, hello);
    }

    pub(super) fn disconnected(&mut self, reporter: ReporterId) {
        self.open.remove(&reporter);
    }

    pub(super) fn dropped(&mut self, reporter: ReporterId, reason: String, count: u64) {
        let Some(hello) = self.open.get(&reporter) else { return };
        let host = (hello.tenant.clone(), hello.host.clone());
        if self.drops.len() >= MAX_HOSTS && !self.drops.contains_key(&host) {
            return;
        }
        let reasons = self.drops.entry(host).or_default();
        let told_apart = reasons.len() < MAX_REASONS || reasons.contains_key(&reason);
        let reason = if told_apart && !reason.is_empty() { reason } else { "other".to_owned() };
        let sum = reasons.entry(reason).or_default();
        *sum = sum.saturating_add(count);
    }

    pub(super) fn count(&self) -> usize {
        self.open.len()
    }

    pub(super) fn hosts(&self) -> impl Iterator<Item = (&TenantId, &HostId)> {
        self.skew.keys().map(|(tenant, host)| (tenant, host))
    }

    pub(super) fn skew(&self, tenant: &TenantId, host: &HostId) -> Option<i64> {
        self.skew.get(&(tenant.clone(), host.clone())).copied()
    }

    /// Each once, however many streams it has while one takes over from another.
    pub(super) fn sidecars(&self, name: impl Fn(&AgentKey) -> String) -> Vec<SidecarInfo> {
        let infos: BTreeSet<SidecarInfo> = self
            .open
            .values()
            .map(|hello| SidecarInfo {
                tenant: hello.tenant.clone(),
                host: hello.host.clone(),
                agent: match hello.vantage {
                    Vantage::Host => String::new(),
                    Vantage::Agent => name(&AgentKey::new(
                        hello.tenant.clone(),
                        hello.host.clone(),
                        hello.socket.clone(),
                        &hello.session,
                    )),
                },
                version: hello.version.clone(),
            })
            .collect();
        infos.into_iter().collect()
    }

    pub(super) fn drops(&self) -> Vec<SidecarDrops> {
        let each = self.drops.iter().flat_map(|((tenant, host), reasons)| {
            reasons.iter().map(move |(reason, count)| SidecarDrops {
                tenant: tenant.clone(),
                host: host.clone(),
                reason: reason.clone(),
                count: *count,
            })
        });
        each.collect()
    }
}
