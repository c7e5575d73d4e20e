//! Windows of accounts, hosts, sidecars, and the collector's own health.

use std::fmt;

use fleet_domain::TenantId;
use fleet_domain::limits::Standing;
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
    windows(encoder, snapshot)?;
    super::budget::encode(encoder, snapshot)?;
    hosts(encoder, snapshot)?;
    sidecars(encoder, snapshot)?;
    let mut one = |metric, values: &[&str], value| Family::begin(encoder, metric)?.write(values, value);
    one(&catalogue::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], Value::Whole(1))?;
    one(&catalogue::START, &[], seconds(meters.started.0))?;
    one(&catalogue::STREAMS, &[], Value::Whole(snapshot.streams as u64))?;
    one(&catalogue::OBSERVATIONS, &[], Value::Whole(meters.observations.get()))?;
    one(&catalogue::USAGE_RECORDS, &[], Value::Whole(meters.usage_records.get()))?;
    one(&catalogue::USAGE_UNREADABLE, &[], Value::Whole(meters.usage_unreadable.get()))?;
    let mut family = Family::begin(encoder, &catalogue::TELEMETRY)?;
    family.write(&["taken"], Value::Whole(meters.telemetry_responses.get()))?;
    family.write(&["unusable"], Value::Whole(meters.telemetry_unusable.get()))?;
    dropped(encoder, snapshot, meters)?;
    let mut one = |metric, value| Family::begin(encoder, metric)?.write(&[], value);
    one(&catalogue::STORE_ERRORS, Value::Whole(meters.store_errors.get()))?;
    meters.commits.encode(Family::begin(encoder, &catalogue::STORE_COMMIT)?.encoder)?;
    let mut one = |metric, value| Family::begin(encoder, metric)?.write(&[], value);
    one(&catalogue::SCRAPE, Value::Real(meters.last_scrape().as_secs_f64()))
}

fn windows(encoder: &mut DescriptorEncoder<'_>, snapshot: &Snapshot) -> fmt::Result {
    let labels = |(tenant, standing): &'_ (TenantId, Standing)| {
        let reading = &standing.reading;
        [
            tenant.to_string(),
            reading.account.to_string(),
            reading.provider.clone(),
            reading.window.to_string(),
        ]
    };
    let mut family = Family::begin(encoder, &catalogue::WINDOW_USED)?;
    for window in &snapshot.limits {
        if let Some(used) = window.1.used_ratio() {
            let [tenant, account, provider, name] = &labels(window);
            let values = [tenant.as_str(), account, provider, name, window.1.provenance.as_str()];
            family.write(&values, Value::Real(used))?;
        }
    }
    let mut family = Family::begin(encoder, &catalogue::WINDOW_RESET)?;
    for window in &snapshot.limits {
        if let Some(at) = window.1.resets_at() {
            family.write(&labels(window).each_ref().map(String::as_str), seconds(at.0))?;
        }
    }
    let mut family = Family::begin(encoder, &catalogue::WINDOW_SEEN)?;
    for window in &snapshot.limits {
        let at = window.1.reading.observed_at;
        family.write(&labels(window).each_ref().map(String::as_str), seconds(at.0))?;
    }
    Ok(())
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
    let mut family = Family::begin(encoder, &catalogue::MASS_DEATH)?;
    for host in &snapshot.hosts {
        family.write(&[host.tenant.as_str(), host.host.as_str()], Value::Whole(host.mass_deaths))?;
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
