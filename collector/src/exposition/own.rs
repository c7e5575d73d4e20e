//! Hosts, sidecars, and the collector's own health.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};

use super::catalogue;
use super::{Family, Value, seconds};
use crate::hub::Snapshot;
use crate::meters::{Dropped, Meters};

pub(super) fn encode(
    encoder: &mut DescriptorEncoder<'_>,
    snapshot: &Snapshot,
    meters: &Meters,
) -> fmt::Result {
    hosts(encoder, snapshot)?;
    sidecars(encoder, snapshot)?;
    let mut one = |metric, values: &[&str], value| Family::begin(encoder, metric)?.write(values, value);
    one(&catalogue::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], Value::Whole(1))?;
    one(&catalogue::START, &[], seconds(meters.started.0))?;
    one(&catalogue::STREAMS, &[], Value::Whole(snapshot.streams as u64))?;
    one(&catalogue::OBSERVATIONS, &[], Value::Whole(meters.observations.get()))?;
    one(&catalogue::USAGE_RECORDS, &[], Value::Whole(meters.usage_records.get()))?;
    one(&catalogue::USAGE_UNREADABLE, &[], Value::Whole(meters.usage_unreadable.get()))?;
    dropped(encoder, snapshot, meters)?;
    let mut one = |metric, value| Family::begin(encoder, metric)?.write(&[], value);
    one(&catalogue::STORE_ERRORS, Value::Whole(meters.store_errors.get()))?;
    meters.commits.encode(Family::begin(encoder, &catalogue::STORE_COMMIT)?.encoder)?;
    let mut one = |metric, value| Family::begin(encoder, metric)?.write(&[], value);
    one(&catalogue::SCRAPE, Value::Real(meters.last_scrape().as_secs_f64()))
}

fn hosts(encoder: &mut DescriptorEncoder<'_>, snapshot: &Snapshot) -> fmt::Result {
    let mut family = Family::begin(encoder, &catalogue::HOST_UP)?;
    for host in &snapshot.hosts {
        family.write(&[host.tenant.as_str(), host.host.as_str()], Value::Whole(u64::from(host.up)))?;
    }
    let mut family = Family::begin(encoder, &catalogue::HOST_SKEW)?;
    for host in &snapshot.hosts {
        if let Some(skew) = host.skew_ms {
            family.write(&[host.tenant.as_str(), host.host.as_str()], seconds(skew))?;
        }
    }
    Ok(())
}

fn sidecars(encoder: &mut DescriptorEncoder<'_>, snapshot: &Snapshot) -> fmt::Result {
    let mut family = Family::begin(encoder, &catalogue::SIDECAR_INFO)?;
    for sidecar in &snapshot.sidecars {
        let labels = [sidecar.tenant.as_str(), sidecar.host.as_str(), &sidecar.agent, &sidecar.version];
        family.write(&labels, Value::Whole(1))?;
    }
    let mut family = Family::begin(encoder, &catalogue::SIDECAR_DROPPED)?;
    for drops in &snapshot.drops {
        let labels = [drops.tenant.as_str(), drops.host.as_str(), drops.reason.as_str()];
        family.write(&labels, Value::Whole(drops.count))?;
    }
    Ok(())
}

fn dropped(encoder: &mut DescriptorEncoder<'_>, snapshot: &Snapshot, meters: &Meters) -> fmt::Result {
    let mut family = Family::begin(encoder, &catalogue::DROPPED)?;
    for (reason, count) in meters.dropped() {
        let count = if reason == Dropped::Session { snapshot.refused } else { count };
        family.write(&[reason.as_str()], Value::Whole(count))?;
    }
    Ok(())
}
