//! The rules for the screens of one runtime: read when the first agent of it is looked at, so that a sidecar holds no
//! more than it needs.

use fleet_adapters::screens::RuleBook;
use fleet_domain::RuntimeName;
use fleet_framework::screens;

use crate::config::Config;

pub(super) fn of(config: &Config, runtime: &RuntimeName) -> RuleBook {
    let own = screens::own(&config.home.screens()).unwrap_or_else(|(path, error)| {
        tracing::warn!("{}: {error}; the shipped rules are used", path.display());
        Vec::new()
    });
    let shipped = screens::SHIPPED.into_iter().filter(|(name, _)| *name == runtime.as_str());
    let (book, bad) = RuleBook::with_own(&own, shipped);
    bad.iter().for_each(|bad| tracing::warn!("{bad}"));
    book.only(runtime.as_str())
}
