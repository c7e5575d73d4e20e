//! What tells of agents beside their processes: the rules for screens, and the sockets that hooks call.

use std::os::unix::net::UnixDatagram;

use fleet_adapters::screens::RuleBook;
use fleet_framework::home::shown;
use fleet_framework::prices::{self, PricesError};
use fleet_framework::{Home, screens};

use super::Check;
use crate::render::words::plural;

pub(super) fn checks(home: &Home) -> Vec<Check> {
    let mut checks = rules(home);
    checks.push(hooks(home));
    checks.push(prices(home));
    checks
}

/// With a mistake in the user's own file nothing is priced, which sums alone do not show.
fn prices(home: &Home) -> Check {
    const NAME: &str = "prices";
    let own = home.prices();
    if let Err(error) = prices::table(&own) {
        let why = match &error {
            PricesError::Wrong { problems, .. } => {
                let first = problems.first().map(ToString::to_string).unwrap_or_default();
                format!("{} has {}: {first}", shown(&own), plural(problems.len(), "mistake"))
            }
            PricesError::Io { .. } => error.to_string(),
        };
        return Check::warn(NAME, format!("no cost is told: {why}"))
            .remedy(format!("mend it: fleet prices --check {}", shown(&own)));
    }
    match own.exists() {
        true => Check::ok(NAME, format!("{}, then those that are shipped", shown(&own))),
        false => Check::ok(NAME, format!("those that are shipped; your own would be {}", shown(&own))),
    }
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

    #[test]
    fn a_mistake_in_a_users_prices_is_told_with_the_command_that_shows_all() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::from_vars(|name| (name == "HOME").then(|| dir.path().to_owned())).unwrap();
        assert_eq!(prices(&home).level, Level::Ok);
        std::fs::create_dir_all(home.prices().parent().unwrap()).unwrap();
        std::fs::write(home.prices(), "version: 1\ngarbage: 1\nmodels: []\n").unwrap();
        let told = prices(&home);
        assert_eq!(told.level, Level::Warn);
        assert!(told.says.contains("has 1 mistake: line 2: garbage"), "{}", told.says);
        assert!(told.remedy.unwrap().contains("fleet prices --check"));
        std::fs::write(home.prices(), "version: 1\nmodels: [{model: x, input: 1, output: 2}]\n").unwrap();
        assert_eq!(prices(&home).level, Level::Ok);
    }
}
