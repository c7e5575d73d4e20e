use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn home(root: &Path) -> Home {
    Home::from_vars(|name| (name == "HOME").then(|| root.to_owned())).unwrap()
}

fn planned(root: &Path, bin: &str) -> Result<Vec<PlannedFile>, UnitsError> {
    plan_with(&home(root), Path::new(bin), |name| (name == "HOME").then(|| root.to_owned()))
}

fn unit<'p>(plan: &'p [PlannedFile], name: &str) -> &'p PlannedFile {
    plan.iter().find(|file| file.unit() == name).unwrap()
}

#[test]
fn the_usual_home_is_named_so_that_it_can_move() {
    let plan = planned(Path::new("/h"), "/opt/fleet/bin").unwrap();
    assert!(plan.iter().all(|file| !file.content.contains("/h/") && !file.content.contains("MOSAIC_HOME=")));
    let agent = unit(&plan, "mosaic-agent@.service");
    assert!(
        agent.content.contains("EnvironmentFile=-%h/.config/mosaic/fleet/agents/%i.env\n"),
        "{}",
        agent.content
    );
    assert!(agent.content.contains("ExecStart=\"/opt/fleet/bin/fleet\" launch %i\n"), "{}", agent.content);
    assert_eq!(agent.path, Path::new("/h/.config/systemd/user/mosaic-agent@.service"));
}

#[test]
fn no_placeholder_survives() {
    for file in planned(Path::new("/h"), "/b").unwrap() {
        for placeholder in ["@BIN@", "@MOSAIC_HOME@", "@STATE@", "@ENVIRONMENT@"] {
            assert!(!file.content.contains(placeholder), "{placeholder} in {}", file.unit());
        }
    }
}

#[test]
fn another_home_reaches_the_services() {
    let vars = |name: &str| match name {
        "HOME" => Some(PathBuf::from("/h")),
        "MOSAIC_HOME" => Some(PathBuf::from("/m 1")),
        "XDG_STATE_HOME" => Some(PathBuf::from("/s")),
        "TMUX_TMPDIR" => Some(PathBuf::from("/t")),
        _ => None,
    };
    let home = Home::from_vars(vars).unwrap();
    let plan = plan_with(&home, Path::new("/b"), vars).unwrap();
    for file in &plan {
        let said = "Environment=\"MOSAIC_HOME=/m 1\"\nEnvironment=\"XDG_STATE_HOME=/s\"\nEnvironment=\"TMUX_TMPDIR=/t\"\n";
        assert!(file.content.contains(said), "{}", file.content);
    }
    assert!(unit(&plan, HOST_SIDECAR).content.contains("ReadWritePaths=\"-/m 1/fleet/run\"\n"));
    assert!(unit(&plan, COLLECTOR).content.contains("ReadWritePaths=\"-/s/mosaic\"\n"));
}

#[test]
fn odd_directories_are_escaped_and_hopeless_ones_refused() {
    let plan = planned(Path::new("/h"), "/a b/100%").unwrap();
    assert!(unit(&plan, HOLDER).content.contains("ExecStart=\"/a b/100%%/fleet\" holder start\n"));
    for bad in ["bin", "/a\"b", "/a\nb", "/a$b", "/a\\b", "/it's"] {
        let error = planned(Path::new("/h"), bad).unwrap_err();
        assert!(matches!(error, UnitsError::BadPath { .. }), "{bad}: {error}");
    }
}

#[test]
fn what_is_written_is_the_same_the_next_time() {
    let root = tempfile::tempdir().unwrap();
    let plan = planned(root.path(), "/b").unwrap();
    assert!(plan.iter().all(|file| file.status == Status::New));
    write(&plan).unwrap();
    let again = planned(root.path(), "/b").unwrap();
    assert!(again.iter().all(|file| file.status == Status::Same));
    write(&again).unwrap();
    assert_eq!(fs::read_dir(home(root.path()).units).unwrap().count(), SHIPPED.len());
}

#[test]
fn what_is_replaced_is_kept_once_and_the_users_files_stay() {
    let root = tempfile::tempdir().unwrap();
    let units = home(root.path()).units;
    fs::create_dir_all(units.join("mosaic-agent@.service.d")).unwrap();
    let (mine, drop_in) = (units.join("mine.service"), units.join("mosaic-agent@.service.d/o.conf"));
    let old = units.join(HOLDER);
    for path in [&mine, &drop_in, &old] {
        fs::write(path, "the user's").unwrap();
    }
    for bin in ["/one", "/two"] {
        write(&planned(root.path(), bin).unwrap()).unwrap();
    }
    for path in [&mine, &drop_in, &units.join(format!("{HOLDER}.bak"))] {
        assert_eq!(fs::read_to_string(path).unwrap(), "the user's");
    }
    assert!(fs::read_to_string(old).unwrap().contains("/two/fleet"));
}

#[test]
fn a_masked_unit_stays_masked() {
    let root = tempfile::tempdir().unwrap();
    let units = home(root.path()).units;
    fs::create_dir_all(&units).unwrap();
    std::os::unix::fs::symlink("/dev/null", units.join(COLLECTOR)).unwrap();
    let plan = planned(root.path(), "/b").unwrap();
    assert_eq!(unit(&plan, COLLECTOR).status, Status::Masked);
    write(&plan).unwrap();
    assert_eq!(fs::read_link(units.join(COLLECTOR)).unwrap(), Path::new("/dev/null"));
}

#[test]
fn services_find_the_directories_they_may_write_to() {
    let root = tempfile::tempdir().unwrap();
    let home = home(root.path());
    prepare(&home).unwrap();
    prepare(&home).unwrap();
    let mode = fs::metadata(&home.state).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    assert!(home.heartbeats().is_dir());
}
