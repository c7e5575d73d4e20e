//! What tells of agents beside their processes: the rules for screens, and the sockets that hooks call.

use std::os::unix::net::UnixDatagram;

use fleet_adapters::screens::RuleBook;
use fleet_framework::home::shown;
use fleet_framework::{Home, screens};

use super::Check;
use crate::render::words::plural;

pub(super) fn checks(home: &Home) -> Vec<Check> {
    let mut checks = rules(home);
    checks.push(hooks(home));
    checks
}

fn rules(home: &Home) -> Vec<Check> {
    const NAME: &str = "screen rules";
    let own = match screens::own(&home.screens()) {
        Ok(own) => own,
        Err((path, error)) => {
            return vec![
                Check::fail(NAME, format!("{}: {error}", shown(&path)))
                    .remedy(format!("ls -l {}", path.display())),
            ];
        }
    };
    let names: Vec<String> = own.iter().map(|(path, _)| shown(path)).collect();
    let (_, bad) =
        RuleBook::read(names.iter().zip(&own).map(|(name, (_, text))| (name.as_str(), text.as_str())));
    if bad.is_empty() {
        let says = match own.len() {
            0 => format!("those that are shipped; your own would be in {}", shown(&home.screens())),
            count => format!("{} of your own in {}", plural(count, "file"), shown(&home.screens())),
        };
        return vec![Check::ok(NAME, says)];
    }
    let mut checks: Vec<Check> = bad.iter().map(|bad| Check::warn(NAME, bad.to_string())).collect();
    if let Some(last) = checks.pop() {
        checks.push(last.remedy("mend the file, which is left out until then; docs/state.md has the keys"));
    }
    checks
}

/// A socket that nobody listens on refuses the connection.
fn hooks(home: &Home) -> Check {
    const NAME: &str = "hooks";
    let socket = home.hooks().join("host.sock");
    let heard = UnixDatagram::unbound().and_then(|own| own.connect(&socket)).is_ok();
    match heard {
        true => Check::ok(NAME, format!("heard on {}; fleet launch wires claude and pi", shown(&socket))),
        false => {
            Check::info(NAME, format!("nobody hears them on {}: no host-wide sidecar runs", shown(&socket)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::doctor::Level;

    #[test]
    fn a_mistake_in_a_users_rules_is_told_with_its_line_and_the_hooks_are_tried() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::from_vars(|name| (name == "HOME").then(|| dir.path().to_owned())).unwrap();
        assert_eq!(rules(&home)[0].level, Level::Ok);
        assert_eq!(hooks(&home).level, Level::Info);
        std::fs::create_dir_all(home.screens()).unwrap();
        std::fs::write(home.screens().join("mine.yaml"), "kind: x\n").unwrap();
        let told = rules(&home);
        assert!(
            told.iter().all(|check| check.level == Level::Warn && check.says.contains("mine.yaml")),
            "{told:?}"
        );
        assert!(told.iter().any(|check| check.says.contains("line 1")), "{told:?}");
        assert!(told.last().unwrap().remedy.is_some());
        std::fs::create_dir_all(home.hooks()).unwrap();
        let _listening = UnixDatagram::bind(home.hooks().join("host.sock")).unwrap();
        assert_eq!(hooks(&home).level, Level::Ok);
    }
}
