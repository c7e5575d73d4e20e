use super::*;

const ROSTER: &str = "
version: 1
agents:
  - {name: lead, runtime: claude}
  - {name: far, runtime: pi, host: elsewhere.example.org}
";

fn planned(statuses: &[(&str, Status)]) -> Vec<PlannedFile> {
    let one = |(unit, status): &(&str, Status)| PlannedFile {
        path: Path::new("/u").join(unit),
        content: "a\nnew\n".to_owned(),
        status: *status,
        previous: Some("a\nold\n".to_owned()),
    };
    statuses.iter().map(one).collect()
}

const ALL: [&str; 5] = [
    units::HOLDER,
    units::COLLECTOR,
    units::HOST_SIDECAR,
    "mosaic-agent@.service",
    "mosaic-sidecar@.service",
];

#[test]
fn agents_of_this_host_get_their_units_and_others_are_named() {
    let plan = planned(&ALL.map(|unit| (unit, Status::New)));
    let wanted = wanted(&plan, Some(&Roster::parse(ROSTER).unwrap()), &HostId::new("here"), true);
    assert_eq!(wanted.units()[3..], ["mosaic-agent@lead.service", "mosaic-sidecar@lead.service"]);
    assert_eq!(wanted.elsewhere, ["far"]);
    assert!(summary(&plan, &wanted).contains("skip     far: its host is another one\n"));
}

#[test]
fn what_is_masked_is_left_alone() {
    let plan = planned(&ALL.map(|unit| {
        (unit, if unit.contains('@') || unit == units::COLLECTOR { Status::Masked } else { Status::Same })
    }));
    let wanted = wanted(&plan, Some(&Roster::parse(ROSTER).unwrap()), &HostId::new("here"), true);
    assert_eq!(wanted.units(), [units::HOLDER, units::HOST_SIDECAR]);
}

#[test]
fn what_changes_is_shown_line_by_line() {
    let plan = planned(&[(units::COLLECTOR, Status::Changed)]);
    let wanted = wanted(&plan, None, &HostId::new("here"), true);
    assert_eq!(wanted.changed, [units::COLLECTOR]);
    assert_eq!(
        summary(&plan, &wanted),
        "changed  /u/mosaic-collector.service\n    a\n  - old\n  + new\nenable   mosaic-collector.service\n"
    );
}

#[test]
fn missing_programs_are_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("fleet"), "").unwrap();
    let error = programs(Some(dir.path())).unwrap_err();
    assert!(error.message.ends_with("has no fleet-collector, fleet-sidecar"), "{error}");
}
