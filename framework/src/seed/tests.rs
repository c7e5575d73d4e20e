use std::os::unix::fs::PermissionsExt as _;

use super::*;

struct World {
    _dir: tempfile::TempDir,
    home: Home,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::from_vars(|name| (name == "HOME").then(|| dir.path().to_owned())).unwrap();
        Self { home, _dir: dir }
    }

    /// Seeded, then set back by a version: two files of it differ, and the user has files everywhere.
    fn older() -> Self {
        let world = Self::new();
        apply(&world.plan(), &world.home).unwrap();
        for (path, text) in OLD.into_iter().chain(USERS) {
            world.write(path, text);
        }
        world.write("fleet/.framework-version", &format!("{}\n", version() - 1));
        world
    }

    fn plan(&self) -> Plan {
        plan_with(&self.home, Path::new("/opt/fleet/bin"), |name| {
            (name == "HOME").then(|| self._dir.path().to_owned())
        })
        .unwrap()
    }

    fn path(&self, path: &str) -> PathBuf {
        self.home.root.join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn is_old(&self) -> bool {
        OLD.iter().all(|(path, text)| self.read(path) == *text)
            && seeded(&self.home) == Seeded::Version(version() - 1)
    }

    fn is_new(&self) -> bool {
        sources()
            .iter()
            .filter(|(path, _)| path.starts_with("fleet/") || path.starts_with("skills/"))
            .all(|(path, text)| self.read(path) == *text)
            && seeded(&self.home) == Seeded::Version(version())
    }

    fn users_files_are_untouched(&self) -> bool {
        USERS.iter().all(|(path, text)| self.read(path) == *text)
    }
}

const OLD: [(&str, &str); 2] =
    [("fleet/examples/coding.yaml", "mine: true\n"), ("systemd/user/mosaic-collector.service", "[Unit]\n")];
const USERS: [(&str, &str); 8] = [
    ("fleet/roster.yaml", "version: 1\nagents: []\n"),
    ("fleet/other.yaml", "x: 1\n"),
    ("fleet/agents/lead.env", "A=1\n"),
    ("fleet/run/lead.hb", "ts=1\n"),
    ("fleet/examples/own.yaml", "y: 2\n"),
    ("fleet/roles/code.local.md", "local\n"),
    ("SOUL.md", "soul\n"),
    (".framework-version", "7\n"),
];

#[test]
fn a_new_home_gets_everything_and_only_once() {
    let world = World::new();
    let plan = world.plan();
    assert!(plan.is_due() && plan.files.len() == sources().len(), "{plan}");
    assert!(plan.to_string().contains("new      "), "{plan}");
    let done = apply(&plan, &world.home).unwrap();
    assert_eq!(done, Done { written: sources().len(), backup: None });
    assert!(world.is_new() && !world.path("fleet/.seeding").exists());
    assert!(world.read("systemd/user/mosaic-agent@.service").contains("/opt/fleet/bin/fleet\" launch %i"));
    let mode = |path: &str| fs::metadata(world.path(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("hooks/claude.json"), mode("fleet/roster.schema.json")), (0o600, 0o644));
    let again = world.plan();
    assert!(!again.is_due() && again.files.is_empty());
    assert!(again.verdict().contains("already"), "{}", again.verdict());
    assert_eq!(apply(&again, &world.home).unwrap(), Done::default());
}

#[test]
fn an_older_home_is_refreshed_and_what_is_the_users_stays() {
    let world = World::older();
    let plan = world.plan();
    assert_eq!(plan.files.len(), OLD.len(), "{plan}");
    assert!(plan.to_string().contains("  - mine: true\n  + # yaml-language-server"), "{plan}");
    let done = apply(&plan, &world.home).unwrap();
    assert!(world.is_new() && world.users_files_are_untouched());
    let backup = done.backup.unwrap();
    assert_eq!(fs::read_to_string(backup.join("fleet/examples/coding.yaml")).unwrap(), "mine: true\n");
}

#[test]
fn equal_newer_and_unreadable_versions_change_nothing_and_say_so() {
    for (text, says) in [
        (version().to_string(), "already"),
        ((version() + 1).to_string(), "newer than"),
        ("three".to_owned(), "holds no number"),
        (String::new(), "holds no number"),
    ] {
        let world = World::older();
        world.write("fleet/.framework-version", &text);
        let plan = world.plan();
        assert!(plan.verdict().contains(says), "{}", plan.verdict());
        assert_eq!(apply(&plan, &world.home).unwrap(), Done::default());
        assert_eq!(world.read(OLD[0].0), OLD[0].1);
        assert_eq!(world.read("fleet/.framework-version"), text);
    }
    let world = World::new();
    fs::create_dir_all(world.home.framework_version()).unwrap();
    assert!(matches!(seeded(&world.home), Seeded::Unreadable(_)) && !world.plan().is_due());
}

#[test]
fn an_end_at_any_moment_leaves_the_old_or_what_the_next_command_finishes() {
    let mut steps = Vec::new();
    stage::carry_out(&World::older().plan(), &World::older().home, &mut |step| {
        steps.push(step);
        true
    })
    .unwrap();
    let committed = steps.iter().position(|step| *step == Step::Committed).unwrap();
    assert!(steps.len() > committed + OLD.len(), "{steps:?}");
    for (end, last) in steps.iter().enumerate() {
        let world = World::older();
        let mut left = end;
        stage::carry_out(&world.plan(), &world.home, &mut |_| {
            let go_on = left > 0;
            left = left.saturating_sub(1);
            go_on
        })
        .unwrap();
        if end < committed {
            assert!(world.is_old(), "cut off after {:?}", last);
            finish(&world.home).unwrap();
            assert!(world.is_old());
            apply(&world.plan(), &world.home).unwrap();
        } else {
            assert!(world.plan().unfinished || world.is_new(), "cut off after {:?}", last);
            finish(&world.home).unwrap();
        }
        assert!(world.is_new(), "cut off after {:?}", last);
        assert!(world.users_files_are_untouched() && !world.path("fleet/.seeding").exists());
        let kept = world.path(&format!("fleet/backup/v{}", version() - 1)).join(OLD[0].0);
        assert_eq!(fs::read_to_string(kept).unwrap(), OLD[0].1);
    }
}

#[test]
fn what_an_end_by_force_left_begun_is_removed_by_the_next() {
    let world = World::older();
    let plan = world.plan();
    let begun = plan.backup().join("roles/.mosaic-x7.new");
    fs::create_dir_all(begun.parent().unwrap()).unwrap();
    fs::write(&begun, "half").unwrap();
    let users = plan.backup().join(".mosaic-notes");
    fs::write(&users, "mine").unwrap();
    apply(&plan, &world.home).unwrap();
    assert!(!begun.exists() && users.exists());
}

#[test]
fn what_was_kept_once_is_not_kept_over() {
    let world = World::older();
    let plan = world.plan();
    let kept = plan.backup().join(OLD[0].0);
    fs::create_dir_all(kept.parent().unwrap()).unwrap();
    fs::write(&kept, "the first\n").unwrap();
    apply(&plan, &world.home).unwrap();
    assert_eq!(fs::read_to_string(kept).unwrap(), "the first\n");
}

#[test]
fn a_directory_in_the_place_of_a_file_is_named_before_anything_is_written() {
    let world = World::new();
    fs::create_dir_all(world.path("fleet/examples/general.yaml")).unwrap();
    let error = plan_with(&world.home, Path::new("/b"), |_| None).unwrap_err();
    assert!(error.to_string().contains("general.yaml: a file of the framework belongs here"), "{error}");
}

#[test]
fn a_plan_that_another_command_was_faster_with_does_nothing() {
    let world = World::older();
    let (first, second) = (world.plan(), world.plan());
    assert!(apply(&first, &world.home).unwrap().written > 0);
    assert_eq!(apply(&second, &world.home).unwrap(), Done::default());
}

#[test]
fn a_commit_that_leads_out_of_the_home_is_refused() {
    let world = World::new();
    world.write("fleet/.seeding/commit", "../../x\n");
    world.write("fleet/.seeding/0000", "bad\n");
    assert!(finish(&world.home).unwrap_err().to_string().contains("outside of the home"));
}

#[test]
fn two_at_once_end_in_one_whole_framework() {
    let world = World::older();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| apply(&world.plan(), &world.home).unwrap());
        }
    });
    assert!(world.is_new() && world.users_files_are_untouched());
}

#[test]
fn of_a_backup_that_was_not_made_no_directory_is_left() {
    let world = World::older();
    let backup = world.plan().backup();
    fs::create_dir_all(backup.join("fleet/roles")).unwrap();
    world.write("fleet/backup/v1/fleet/mine", "kept\n");
    stage::remove_empty(&backup);
    assert!(!backup.exists());
    stage::remove_empty(&world.path("fleet/backup/v1"));
    assert_eq!(world.read("fleet/backup/v1/fleet/mine"), "kept\n");
}
