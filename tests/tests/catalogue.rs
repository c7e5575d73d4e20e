//! The metrics that dashboards and rules may name are the ones that the collector says it exports.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that runs the collector")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use fleet_testkit::bins::bin;
use serde_json::Value;

fn by_name(catalogue: &Value) -> BTreeMap<String, (Value, Vec<String>)> {
    let metrics = catalogue.get("metrics").unwrap_or(catalogue).as_array().unwrap();
    let labels = |metric: &Value| {
        let mut labels: Vec<String> =
            metric["labels"].as_array().unwrap().iter().map(|l| l.as_str().unwrap().to_owned()).collect();
        labels.sort();
        labels
    };
    metrics.iter().map(|m| (m["name"].as_str().unwrap().to_owned(), (m["type"].clone(), labels(m)))).collect()
}

#[test]
fn the_dashboards_catalogue_is_the_exporters() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("dashboards/metrics.json");
    let kept: Value = serde_json::from_str(&std::fs::read_to_string(kept).unwrap()).unwrap();
    let said = Command::new(bin("fleet-collector").unwrap()).args(["metrics", "--json"]).output().unwrap();
    let said: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(by_name(&kept), by_name(&said));
}
