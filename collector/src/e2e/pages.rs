use fleet_domain::observation::NativeState;

use super::*;
use crate::fixture::seen;
use crate::store::sqlite::Sqlite;

#[tokio::test]
async fn ready_means_restored() {
    let dir = tempfile::tempdir().unwrap();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let collector = start_with(dir.path(), move |path| {
        let _ = held.recv();
        Ok(Box::new(Sqlite::open(path)?))
    });
    let host = "Host: 127.0.0.1:9464\r\n";
    assert!(collector.page("/-/healthy", host).await.starts_with("HTTP/1.1 200"));
    assert!(collector.page("/-/ready", host).await.starts_with("HTTP/1.1 503"));
    assert!(collector.page("/metrics", host).await.starts_with("HTTP/1.1 503"));
    release.send(()).unwrap();
    collector.sidecar().await;
    assert!(collector.page("/-/ready", host).await.starts_with("HTTP/1.1 200"));
    collector.stop().await;
}

#[tokio::test]
async fn the_page_comes_in_the_format_asked_for_by_a_loopback_name_only() {
    let dir = tempfile::tempdir().unwrap();
    let collector = start(dir.path());
    let sidecar = collector.sidecar().await;
    let mut watched = collector.watch().await;
    sidecar.see(seen("a", NativeState::Busy)).await;
    watched.until("a", is(pb::State::Working)).await;
    let classic = collector.page("/metrics", "Host: localhost\r\n").await;
    assert!(classic.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{classic}");
    assert!(classic.contains("agent=\"a\"") && !classic.contains("# EOF"));
    let accept = "Host: [::1]:1\r\nAccept: application/openmetrics-text; version=1.0.0\r\n";
    let open = collector.page("/metrics", accept).await;
    assert!(
        open.contains("content-type: application/openmetrics-text; version=1.0.0")
            && open.contains("# EOF\n")
    );
    for host in ["Host: evil.example:9464\r\n", ""] {
        let refused = collector.page("/metrics", host).await;
        assert!(!refused.starts_with("HTTP/1.1 200") && !refused.contains("fleet_"), "{refused}");
    }
    assert!(collector.page("/nothing", "Host: localhost\r\n").await.starts_with("HTTP/1.1 404"));
    collector.stop().await;
}
