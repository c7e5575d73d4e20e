use fleet_domain::limits::{Provenance, Reading, Source, WindowName};
use fleet_domain::{AccountName, Wall};
use fleet_proto::convert::standings_from_pb;

use super::*;

fn reading(used: f64, source: Source) -> Reading {
    let now = clock::system()().wall.0;
    Reading {
        account: AccountName::new("max-1"),
        provider: "anthropic".to_owned(),
        window: WindowName::parse("5h").unwrap(),
        length: Some(Duration::from_secs(5 * 3600)),
        used_ratio: used,
        resets_at: Some(Wall(now + 3_600_000)),
        observed_at: Wall(now),
        source,
    }
}

async fn told(collector: &Collector) -> Vec<(f64, Provenance)> {
    let answer = collector.reader().await.list_limits(pb::ListLimitsRequest {}).await.unwrap().into_inner();
    let standings = standings_from_pb(&answer).unwrap();
    standings.iter().map(|standing| (standing.reading.used_ratio, standing.provenance)).collect()
}

#[tokio::test]
async fn what_a_sidecar_saw_of_a_window_is_told_and_survives() {
    let dir = tempfile::tempdir().unwrap();
    let collector = start(dir.path());
    let sidecar = collector.sidecar().await;
    // Nobody may speak as the user on this stream.
    sidecar.say(Report::Limits(vec![reading(0.9, Source::User)])).await;
    sidecar.say(Report::Limits(vec![reading(0.25, Source::Statusline)])).await;
    let seen = async {
        while told(&collector).await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    soon(seen).await;
    assert_eq!(told(&collector).await, [(0.25, Provenance::Provider)]);
    let tenant = own_tenant();
    let series = format!(
        "fleet_window_used_ratio{{tenant=\"{tenant}\",account=\"max-1\",provider=\"anthropic\",window=\"5h\",provenance=\"provider\"}}"
    );
    assert!((collector.metric(&series).await - 0.25).abs() < f64::EPSILON);
    collector.stop().await;
    let collector = start(dir.path());
    assert_eq!(told(&collector).await, [(0.25, Provenance::Provider)]);
    collector.stop().await;
}
