//! `/metrics`: written at each scrape from a snapshot of the register, so that a series of an agent that left cannot
//! exist. The [`catalogue`] says which metrics there are, [`negotiate`] which format a scraper reads.

pub mod catalogue;
pub mod negotiate;

mod agents;
mod budget;
mod own;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabel, EncodeLabelSet, LabelSetEncoder, MetricEncoder, NoLabelSet,
};
use prometheus_client::registry::Registry;

use crate::hub::Snapshot;
use crate::meters::Meters;
use catalogue::{Kind, Metric};
use negotiate::{Classic, Format};

/// What an agent takes on the page; a guess that saves growing it.
const AGENT_BYTES: usize = 3_600;

/// The page of this moment.
pub fn render(snapshot: Snapshot, meters: &Arc<Meters>, format: Format) -> Result<String, fmt::Error> {
    let begun = Instant::now();
    let expected = (snapshot.agents.len() + 4) * AGENT_BYTES;
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Exposition { snapshot, meters: meters.clone() }));
    let page = match format {
        Format::OpenMetrics => {
            let mut page = String::with_capacity(expected);
            encode(&mut page, &registry)?;
            page
        }
        Format::Classic => {
            let mut classic = Classic::with_capacity(expected);
            encode(&mut classic, &registry)?;
            classic.page
        }
    };
    meters.scraped(begun.elapsed());
    Ok(page)
}

#[derive(Debug)]
struct Exposition {
    snapshot: Snapshot,
    meters: Arc<Meters>,
}

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        agents::encode(&mut encoder, &self.snapshot)?;
        own::encode(&mut encoder, &self.snapshot, &self.meters)
    }
}

/// One metric with its series.
struct Family<'e> {
    metric: &'static Metric,
    encoder: MetricEncoder<'e>,
}

impl<'e> Family<'e> {
    fn begin(encoder: &'e mut DescriptorEncoder<'_>, metric: &'static Metric) -> Result<Self, fmt::Error> {
        let unit = metric.encoded_unit();
        let encoder = encoder.encode_descriptor(metric.stem(), metric.help, unit, metric.metric_type())?;
        Ok(Self { metric, encoder })
    }

    /// One series; `values` belong to the metric's labels, in their order.
    fn write(&mut self, values: &[&str], value: Value) -> fmt::Result {
        debug_assert_eq!(values.len(), self.metric.labels.len(), "{}", self.metric.name());
        if values.is_empty() {
            return number(&mut self.encoder, self.metric.kind, value);
        }
        let labels = Labels { names: self.metric.labels, values };
        number(&mut self.encoder.encode_family(&labels)?, self.metric.kind, value)
    }
}

#[derive(Clone, Copy)]
enum Value {
    Whole(u64),
    Real(f64),
}

fn number(encoder: &mut MetricEncoder<'_>, kind: Kind, value: Value) -> fmt::Result {
    match (kind, value) {
        (Kind::Counter, Value::Whole(count)) => encoder.encode_counter::<NoLabelSet, u64, u64>(&count, None),
        (Kind::Counter, Value::Real(count)) => encoder.encode_counter::<NoLabelSet, f64, f64>(&count, None),
        (_, Value::Whole(count)) => encoder.encode_gauge(&count),
        (_, Value::Real(value)) => encoder.encode_gauge(&value),
    }
}

struct Labels<'a> {
    names: &'static [&'static str],
    values: &'a [&'a str],
}

impl EncodeLabelSet for Labels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        for (name, value) in self.names.iter().zip(self.values) {
            (*name, *value).encode(encoder.encode_label())?;
        }
        Ok(())
    }
}

/// Milliseconds as Prometheus counts.
fn seconds(millis: i64) -> Value {
    Value::Real(millis as f64 / 1000.0)
}

#[cfg(test)]
mod tests;
