//! What is rendered is what systemd understands: every unit through `systemd-analyze verify`, for a home and a program
//! directory with blanks and percent signs too.
#![expect(clippy::disallowed_methods, reason = "systemd-analyze reads the units as systemd would")]
#![expect(clippy::unwrap_used, reason = "a test's helper")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use fleet_framework::Home;
use fleet_framework::units::{self, PROGRAMS};

fn verified(root: &Path, bin: &Path) -> Option<String> {
    fs::create_dir_all(bin).unwrap();
    for program in PROGRAMS {
        fs::write(bin.join(program), "#!/bin/sh\n").unwrap();
        fs::set_permissions(bin.join(program), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let vars = |name: &str| match name {
        "HOME" => Some(root.to_owned()),
        "MOSAIC_HOME" => Some(root.join("my mosaic 100%")),
        _ => None::<PathBuf>,
    };
    let home = Home::from_vars(vars).unwrap();
    let plan = units::plan_with(&home, bin, vars).unwrap();
    units::write(&plan).unwrap();
    let run = Command::new("systemd-analyze")
        .args(["--user", "--man=no", "verify"])
        .args(plan.iter().map(|file| &file.path))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", root)
        .env("XDG_RUNTIME_DIR", root)
        .output();
    let output = match run {
        Ok(output) => output,
        Err(error) => {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "systemd-analyze: {error}");
            eprintln!("skipped: systemd-analyze: {error}");
            return None;
        }
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // What it says of the machine's own units is not ours to answer for.
    let said = String::from_utf8_lossy(&output.stderr)
        .lines()
        .filter(|line| line.contains("mosaic"))
        .collect::<Vec<_>>()
        .join("\n");
    Some(said)
}

#[test]
fn systemd_has_nothing_to_say_about_our_units() {
    let root = tempfile::tempdir().unwrap();
    for bin in ["bin", "programs of mine, 100%"] {
        let Some(said) = verified(root.path(), &root.path().join(bin)) else { return };
        assert_eq!(said, "");
    }
}
