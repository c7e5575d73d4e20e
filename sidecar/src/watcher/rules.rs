//! The rules for the screens of one runtime: read when an agent of it is looked at after a while without looks, so that a
//! sidecar holds no more than it needs.

use std::collections::BTreeSet;

use fleet_adapters::screens::RuleBook;
use fleet_domain::RuntimeName;
use fleet_framework::screens;

use crate::config::Config;

/// `told` are the mistakes that were told already.
pub(super) fn of(config: &Config, runtime: &RuntimeName, told: &mut BTreeSet<String>) -> RuleBook {
    let mut tell = |mistake: String| {
        if !told.contains(&mistake) {
            tracing::warn!("{mistake}");
            told.insert(mistake);
        }
    };
    let own = screens::own(&config.home.screens()).unwrap_or_else(|(path, error)| {
        tell(format!("{}: {error}; the shipped rules are used", path.display()));
        Vec::new()
    });
    let shipped = screens::SHIPPED.into_iter().filter(|(name, _)| *name == runtime.as_str());
    let (book, bad) = RuleBook::with_own(&own, shipped);
    bad.iter().for_each(|bad| tell(bad.to_string()));
    book.only(runtime.as_str())
}
