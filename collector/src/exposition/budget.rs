//! The budget's metrics. Series are bounded: accounts and windows by the budget, names of a ceiling for each by a number.

use std::collections::BTreeMap;
use std::fmt;

use fleet_domain::budget::amount::Amount;
use fleet_domain::budget::gate::{AccountView, Outlook, Room, State};
use prometheus_client::encoding::DescriptorEncoder;

use super::catalogue::{self, Metric};
use super::{Family, Value, seconds};
use crate::hub::{Decisions, Snapshot};

/// Names of ceilings for each that are told apart, those nearest to their ceiling first.
const MAX_ROOMS: usize = 500;

type Of<'s, T> = &'s dyn Fn(&T) -> Option<Value>;

pub(super) fn encode(encoder: &mut DescriptorEncoder<'_>, snapshot: &Snapshot) -> fmt::Result {
    let none = Decisions::new();
    let (state, decisions) = match &snapshot.budget {
        Some((state, decisions)) => (Some(state), decisions),
        None => (None, &none),
    };
    let tenant = snapshot.tenant.as_str();
    windows(encoder, tenant, state)?;
    accounts(encoder, tenant, state)?;
    ceilings(encoder, tenant, state)?;
    let mut family = Family::begin(encoder, &catalogue::BUDGET_DECISION)?;
    for ((decision, reason), count) in decisions {
        family.write(&[decision.as_str(), reason.as_str()], Value::Whole(*count))?;
    }
    let wrong = state.is_some_and(|state| !state.file_error.is_empty());
    Family::begin(encoder, &catalogue::BUDGET_FILE)?.write(&[], Value::Whole(u64::from(wrong)))
}

fn windows(encoder: &mut DescriptorEncoder<'_>, tenant: &str, state: Option<&State>) -> fmt::Result {
    let providers: BTreeMap<&str, &str> = state
        .iter()
        .flat_map(|state| &state.overview.accounts)
        .map(|view| (view.account.name.as_str(), view.account.provider.as_str()))
        .collect();
    let windows: Vec<&Outlook> = state.iter().flat_map(|state| &state.overview.windows).collect();
    let mut each = |metric: &'static Metric, of: Of<'_, Outlook>| {
        let mut family = Family::begin(encoder, metric)?;
        for window in &windows {
            let Some(value) = of(window) else { continue };
            let provider = providers.get(window.account.as_str()).copied().unwrap_or_default();
            let mut labels = vec![tenant, &window.account, provider, &window.window];
            if metric.labels.len() > labels.len() {
                labels.push(window.standing.used_by.as_str());
            }
            family.write(&labels, value)?;
        }
        Ok(())
    };
    let pace = |of: fn(&fleet_domain::budget::pace::Pace) -> f64| {
        move |window: &Outlook| Some(Value::Real(of(window.pace.as_ref()?)))
    };
    each(&catalogue::PACE, &pace(|pace| pace.ratio))?;
    each(&catalogue::BUDGET_USED, &|window| window.standing.used.map(Value::Real))?;
    each(&catalogue::BUDGET_EVEN, &pace(|pace| pace.even))?;
    each(&catalogue::BUDGET_HELD, &|window| window.standing.used.map(|_| Value::Real(window.held_share)))?;
    each(&catalogue::BUDGET_LEFT, &pace(|pace| pace.left_today))?;
    each(&catalogue::BUDGET_ALLOWANCE, &pace(|pace| pace.allowance))?;
    each(&catalogue::BUDGET_RESET, &|window| window.standing.stretch.map(|stretch| seconds(stretch.ends.0)))?;
    each(&catalogue::BUDGET_EXHAUSTION, &|window| Some(seconds(window.pace?.exhaustion?.at.0)))?;
    each(&catalogue::BUDGET_STALE, &|window| Some(Value::Whole(u64::from(window.standing.stale))))
}

fn accounts(encoder: &mut DescriptorEncoder<'_>, tenant: &str, state: Option<&State>) -> fmt::Result {
    let accounts: Vec<&AccountView> = state.iter().flat_map(|state| &state.overview.accounts).collect();
    let labels = |view: &AccountView| -> [String; 3] {
        [tenant.to_owned(), view.account.name.clone(), view.account.provider.clone()]
    };
    let mut family = Family::begin(encoder, &catalogue::BUDGET_TASKS)?;
    for view in &accounts {
        family.write(&labels(view).each_ref().map(String::as_str), Value::Whole(view.running.into()))?;
    }
    let mut family = Family::begin(encoder, &catalogue::BUDGET_AUTHORIZED)?;
    for view in &accounts {
        let of = state
            .iter()
            .flat_map(|state| &state.authorizations)
            .filter(|one| one.account == view.account.name);
        let left = of.map(|one| one.tokens.saturating_sub(one.drawn)).fold(0, u64::saturating_add);
        family.write(&labels(view).each_ref().map(String::as_str), Value::Whole(left))?;
    }
    let mut family = Family::begin(encoder, &catalogue::BUDGET_STUCK)?;
    for view in &accounts {
        if let Some(until) = view.stuck_until {
            family.write(&labels(view).each_ref().map(String::as_str), seconds(until.0))?;
        }
    }
    Ok(())
}

fn ceilings(encoder: &mut DescriptorEncoder<'_>, tenant: &str, state: Option<&State>) -> fmt::Result {
    let mut rooms: Vec<(&Room, f64)> = state
        .iter()
        .flat_map(|state| &state.overview.rooms)
        .filter_map(|room| Some((room, room.share()?)))
        .collect();
    rooms.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    rooms.truncate(MAX_ROOMS);
    let labels = |room: &Room| {
        let unit = room.ceiling.hard.or(room.ceiling.soft).map_or("tasks", Amount::unit);
        [
            tenant.to_owned(),
            room.ceiling.scope.as_str().to_owned(),
            room.name.clone(),
            room.ceiling.per.as_str().to_owned(),
            unit.to_owned(),
        ]
    };
    let mut family = Family::begin(encoder, &catalogue::CEILING_USED)?;
    for (room, share) in &rooms {
        family.write(&labels(room).each_ref().map(String::as_str), Value::Real(*share))?;
    }
    let mut family = Family::begin(encoder, &catalogue::CEILING_SOFT)?;
    for (room, _) in &rooms {
        if let (Some(soft), Some(of)) = (room.ceiling.soft, room.ceiling.hard.or(room.ceiling.soft)) {
            let share = soft.size() as f64 / of.size() as f64;
            family.write(&labels(room).each_ref().map(String::as_str), Value::Real(share))?;
        }
    }
    Ok(())
}
