//! The collector, and what it hears from this host.

use fleet_adapters::identity;
use fleet_domain::budget::gate::State;
use fleet_domain::limits::Standing;

use super::Check;
use crate::client::{Address, Client, ClientError, CollectorStatus, Detail, HostView, Listing};
use crate::render::words::{age, plural, unknown_kinds};
use crate::services::{start_collector, start_sidecar};
use crate::source;

pub(super) async fn checks(at: &Address) -> Vec<Check> {
    match ask(at).await {
        Ok((status, listing, limits, budget)) => {
            let mut checks = of_status(at, &status);
            checks.push(sidecar(&listing));
            checks.push(of_limits(&limits));
            checks.extend(budget.as_ref().map(of_budget));
            checks
        }
        Err(why @ ClientError::Absent(_)) => {
            let says = format!("{why}; fleet ps works without, but has neither tokens nor history");
            vec![Check::warn("collector", says).remedy(start_collector())]
        }
        Err(why) => {
            vec![
                Check::fail("collector", why.to_string())
                    .remedy("systemctl --user restart mosaic-collector.service"),
            ]
        }
    }
}

type Answers = (CollectorStatus, Listing, Vec<Standing>, Option<State>);

async fn ask(at: &Address) -> Result<Answers, ClientError> {
    let mut client = Client::connect(at).await?;
    // A collector of before budgets has none to tell.
    let budget = client.money().state("").await.ok();
    let listing = client.list(source::today(), Detail::Full).await?;
    Ok((client.status().await?, listing, client.limits().await?, budget))
}

fn of_status(at: &Address, status: &CollectorStatus) -> Vec<Check> {
    let own = env!("CARGO_PKG_VERSION");
    let http =
        status.http.as_deref().map_or(String::new(), |http| format!(", metrics on http://{http}/metrics"));
    let says = format!(
        "{} at {at}: {}, {}, store {}{http}",
        status.version,
        plural(status.streams as usize, "stream"),
        plural(status.agents as usize, "agent"),
        status.store
    );
    let mut checks = vec![Check::ok("collector", says)];
    if status.version != own {
        let says = format!("it is version {}, this is fleet {own}", status.version);
        checks
            .push(Check::warn("collector", says).remedy("systemctl --user restart mosaic-collector.service"));
    }
    if let Some(error) = &status.store_error {
        let says = format!("its store takes nothing in: {error}");
        checks.push(Check::fail("store", says).remedy("make room or mend the disk; it recovers by itself"));
    }
    if status.usage_unreadable > 0 {
        let lines = plural(usize::try_from(status.usage_unreadable).unwrap_or(usize::MAX), "line");
        let says = format!(
            "{lines} of usage could not be read since its start: a runtime writes what this version does not know"
        );
        checks.push(
            Check::warn("usage", says)
                .remedy("compare with fleet usage --check; a later fleet may know them"),
        );
    }
    let unknown = status.usage_unknown.iter();
    if let Some(says) =
        unknown_kinds(unknown.map(|(runtime, kind, rows)| (runtime.as_str(), kind.as_str(), *rows)))
    {
        checks.push(
            Check::warn("usage kinds", says)
                .remedy("compare with fleet usage --check; a later fleet may know them"),
        );
    }
    checks
}

/// What is known of the accounts' windows; that nothing is, is no fault: API keys have none.
fn of_limits(limits: &[Standing]) -> Check {
    const NAME: &str = "limits";
    let mut accounts: Vec<&str> = limits.iter().map(|standing| standing.reading.account.as_str()).collect();
    accounts.dedup();
    let Some(newest) = limits.iter().map(|standing| standing.age).min() else {
        return Check::info(NAME, "no runtime told of an account's windows; fleet limits says who can");
    };
    let unknown = limits.iter().filter(|standing| standing.used_ratio().is_none()).count();
    let past =
        if unknown > 0 { format!(", {unknown} not seen since they began anew") } else { String::new() };
    let windows = plural(limits.len(), "window");
    let says = format!("{windows} of {}{past}; the newest was seen {} ago", accounts.join(", "), age(newest));
    Check::ok(NAME, says)
}

fn of_budget(state: &State) -> Check {
    const NAME: &str = "budget";
    if !state.file_error.is_empty() {
        let in_force =
            if state.overview.configured { "the last good one is in force" } else { "none is in force" };
        let says = format!("{}; {in_force}", state.file_error.replace('\n', "; "));
        return Check::warn(NAME, says).remedy("mend the file; it is read again within a second or two");
    }
    if !state.overview.configured {
        return Check::info(NAME, "no budget file: everything may start; docs/budget.md has an example");
    }
    let unknown = state.overview.windows.iter().filter(|window| window.standing.used.is_none()).count();
    let past =
        if unknown > 0 { format!(", {} of unknown use", plural(unknown, "window")) } else { String::new() };
    let says = format!(
        "{}: {}, {}{past}; pace is {}",
        state.file,
        plural(state.overview.accounts.len(), "account"),
        plural(state.overview.rooms.len(), "ceiling"),
        if state.overview.enforce { "enforced" } else { "advised" }
    );
    if state.paused {
        return Check::warn(NAME, format!("{says}; nothing is admitted while fleet/run/PAUSED exists"));
    }
    Check::ok(NAME, says)
}

fn sidecar(listing: &Listing) -> Check {
    let (tenant, host) = (identity::tenant(), identity::host());
    match listing.hosts.iter().find(|view| view.tenant == tenant && view.host == host) {
        Some(HostView { up: true, .. }) => {
            Check::ok("sidecar", format!("the host-wide sidecar of {host} reports"))
        }
        Some(HostView { stopped: true, .. }) => {
            Check::warn("sidecar", format!("the host-wide sidecar of {host} was stopped"))
                .remedy(start_sidecar())
        }
        Some(_) => Check::fail("sidecar", format!("the host-wide sidecar of {host} vanished"))
            .remedy("systemctl --user restart mosaic-sidecar.service"),
        None => Check::warn("sidecar", format!("no host-wide sidecar ever reported {host}"))
            .remedy(start_sidecar()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::doctor::Level;

    fn host(up: bool, stopped: bool) -> Listing {
        let host = HostView {
            tenant: identity::tenant(),
            host: identity::host(),
            up,
            stopped,
            listed: true,
            roster_path: String::new(),
            roster_error: None,
            systemd_unavailable: None,
        };
        Listing { hosts: vec![host], ..Listing::default() }
    }

    #[test]
    fn a_silent_sidecar_is_told_from_a_stopped_and_from_a_missing_one() {
        assert_eq!(sidecar(&host(true, false)).level, Level::Ok);
        assert_eq!(sidecar(&host(false, true)).level, Level::Warn);
        assert_eq!(sidecar(&host(false, false)).level, Level::Fail);
        assert_eq!(sidecar(&Listing::default()).level, Level::Warn);
    }

    #[test]
    fn a_budget_with_a_mistake_is_told_with_what_is_in_force() {
        let mut gate = fleet_domain::budget::gate::Gate::default();
        let now = fleet_domain::Wall(0);
        gate.configure(Some(fleet_domain::budget::config::Config::default()), now);
        let mut state = State {
            overview: gate.overview(&jiff::tz::TimeZone::UTC, now),
            authorizations: Vec::new(),
            typical: Vec::new(),
            file: "~/budget.yaml".to_owned(),
            file_error: "~/budget.yaml: line 3: zone: no\n~/budget.yaml: line 9: no".to_owned(),
            paused: false,
            reading: false,
        };
        let told = of_budget(&state);
        assert!(
            told.level == Level::Warn && told.says.ends_with("line 9: no; the last good one is in force"),
            "{told:?}"
        );
        state.file_error.clear();
        assert_eq!(of_budget(&state).says, "~/budget.yaml: 0 accounts, 0 ceilings; pace is advised");
        state.overview.configured = false;
        assert_eq!(of_budget(&state).level, Level::Info);
    }

    #[test]
    fn a_store_that_takes_nothing_in_is_a_failure() {
        let status = CollectorStatus {
            version: "0.0.1".to_owned(),
            started: fleet_domain::Wall(0),
            streams: 1,
            agents: 2,
            http: None,
            store: "sqlite".to_owned(),
            store_error: Some("disk full".to_owned()),
            usage_unreadable: 3,
            usage_unknown: vec![("claude".to_owned(), "oracle".to_owned(), 2)],
        };
        let at = Address { socket: "/c.sock".into() };
        let checks = of_status(&at, &status);
        let levels: Vec<Level> = checks.iter().map(|check| check.level).collect();
        assert_eq!(levels, [Level::Ok, Level::Warn, Level::Fail, Level::Warn, Level::Warn]);
        assert!(checks[4].says.contains("2 of claude `oracle`"), "{}", checks[4].says);
    }
}
