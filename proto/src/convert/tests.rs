use fleet_domain::observation::Observation;
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::pb;

proptest! {
    /// Any bytes that decode at all are an answer, and what was accepted survives a second crossing unchanged.
    #[test]
    fn hostile_reports_are_refused_or_harmless(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(message) = pb::Observation::decode(bytes.as_slice())
            && let Ok(seen) = observation_from_pb(&message)
        {
            let again: Observation = observation_from_pb(&observation_to_pb(&seen)).unwrap();
            prop_assert_eq!(again, seen);
        }
        if let Ok(message) = pb::HostPlanes::decode(bytes.as_slice()) && let Ok(planes) = planes_from_pb(&message) {
            prop_assert_eq!(planes_from_pb(&planes_to_pb(&planes)).unwrap(), planes);
        }
        if let Ok(message) = pb::UsageBatch::decode(bytes.as_slice()) && let Ok(batch) = batch_from_pb(&message) {
            prop_assert_eq!(batch_from_pb(&batch_to_pb(&batch)).unwrap(), batch);
        }
        if let Ok(message) = pb::ReportRequest::decode(bytes.as_slice()) && let Ok((_, report)) = report_from_pb(&message)
            && !matches!(report, Report::NativeEvent | Report::Receipt)
        {
            prop_assert_eq!(report_from_pb(&report_to_pb(&report)).unwrap(), (None, report));
        }
        if let Ok(message) = pb::ReportResponse::decode(bytes.as_slice()) {
            let _ = answer_from_pb(&message);
        }
        if let Ok(message) = pb::Agent::decode(bytes.as_slice()) {
            let _ = agent_from_pb(message);
        }
    }
}

#[test]
fn what_is_missing_or_too_much_is_named() {
    let empty = pb::Observation { session: "a".to_owned(), ..Default::default() };
    assert_eq!(observation_from_pb(&empty).unwrap_err().to_string(), "pane is missing");
    let batch = pb::UsageBatch {
        source: "s".to_owned(),
        session: "a".to_owned(),
        records: vec![pb::UsageRecord::default(); crate::limits::MAX_RECORDS + 1],
        ..Default::default()
    };
    assert!(batch_from_pb(&batch).unwrap_err().to_string().contains("more than the 512 allowed"));
    let entry = pb::RosterEntry { name: "../x".to_owned(), ..Default::default() };
    let roster = pb::RosterPlane { agents: vec![entry], ..Default::default() };
    let planes = pb::HostPlanes { roster: Some(roster), ..Default::default() };
    assert!(planes_from_pb(&planes).unwrap_err().to_string().contains("not an agent name"));
}

#[test]
fn a_hello_says_who_it_is() {
    let hello = |hello: pb::Hello| {
        let message = Some(pb::report_request::Message::Hello(hello));
        report_from_pb(&pb::ReportRequest { origin: None, message })
    };
    let host =
        pb::Hello { tenant_id: "me".to_owned(), host: "box".to_owned(), vantage: 1, ..Default::default() };
    assert!(matches!(hello(host.clone()), Ok((None, Report::Hello(_)))));
    assert_eq!(hello(pb::Hello { vantage: 2, ..host.clone() }), Err(Invalid::Missing("hello.session")));
    assert_eq!(
        hello(pb::Hello { tenant_id: String::new(), ..host }),
        Err(Invalid::Missing("hello.tenant_id"))
    );
    let answer = Answer::Cursor { source: "s".to_owned(), cursor: vec![1] };
    assert_eq!(answer_from_pb(&answer_to_pb(&answer)), Ok(Some(answer)));
}

#[test]
fn every_name_crosses_the_wire_both_ways() {
    for state in fleet_domain::readiness::State::ALL {
        assert_eq!(state_from_pb(state_to_pb(state) as i32), Some(state));
    }
    for kind in fleet_domain::readiness::StuckKind::ALL {
        assert_eq!(kind_from_pb(kind_to_pb(Some(kind)) as i32), Some(kind));
    }
    assert_eq!(state_from_pb(99), None);
}
