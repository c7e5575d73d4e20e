//! The budget as readers see it: windows with their pace, ceilings with their room.

use std::collections::BTreeSet;

use fleet_domain::budget::config::{Account, Ceiling, Kind, Scope};
use fleet_domain::budget::gate::{AccountView, Outlook, Overview, Room, State};
use fleet_domain::budget::learn::{Forecast, Typical};
use fleet_domain::budget::pace::{Exhaustion, Pace};
use fleet_domain::budget::schedule::{Period, Stretch};
use fleet_domain::budget::standing::Standing;
use fleet_domain::time::Wall;

use super::budget::{
    amount_from_pb, amount_to_pb, authorization_from_pb, authorization_to_pb, provenance, used_from_pb,
    used_to_pb, word,
};
use super::scalar::{duration, ms, name};
use super::{Invalid, bounded};
use crate::limits::{MAX_ENTRIES, MAX_LINE};
use crate::pb;

pub fn budget_to_pb(state: &State) -> pb::GetBudgetResponse {
    let overview = &state.overview;
    let typical = state.typical.iter().map(|(class, model, typical)| pb::BudgetTypical {
        class: class.clone(),
        model: model.clone(),
        median: typical.median,
        p90: typical.p90,
        tasks: u32::try_from(typical.tasks).unwrap_or(u32::MAX),
    });
    pb::GetBudgetResponse {
        at_unix_ms: overview.at.0,
        configured: overview.configured,
        enforce: overview.enforce,
        accounts: overview.accounts.iter().map(account_to_pb).collect(),
        windows: overview.windows.iter().map(window_to_pb).collect(),
        ceilings: overview.rooms.iter().map(room_to_pb).collect(),
        authorizations: state.authorizations.iter().map(authorization_to_pb).collect(),
        typical: typical.collect(),
        file: state.file.clone(),
        file_error: state.file_error.clone(),
        paused: state.paused,
        reading: state.reading,
    }
}

pub fn budget_from_pb(answer: &pb::GetBudgetResponse) -> Result<State, Invalid> {
    bounded("budget.accounts", answer.accounts.len(), MAX_ENTRIES)?;
    bounded("budget.windows", answer.windows.len(), MAX_ENTRIES)?;
    bounded("budget.ceilings", answer.ceilings.len(), MAX_ENTRIES)?;
    bounded("budget.typical", answer.typical.len(), MAX_ENTRIES)?;
    let typical = |typical: &pb::BudgetTypical| {
        let tasks = usize::try_from(typical.tasks).unwrap_or(usize::MAX);
        (
            name(&typical.class),
            name(&typical.model),
            Typical { median: typical.median, p90: typical.p90, tasks },
        )
    };
    Ok(State {
        overview: Overview {
            at: Wall(answer.at_unix_ms),
            configured: answer.configured,
            enforce: answer.enforce,
            accounts: answer.accounts.iter().map(account_from_pb).collect::<Result<_, _>>()?,
            windows: answer.windows.iter().map(window_from_pb).collect::<Result<_, _>>()?,
            rooms: answer.ceilings.iter().map(room_from_pb).collect::<Result<_, _>>()?,
        },
        authorizations: answer.authorizations.iter().map(authorization_from_pb).collect::<Result<_, _>>()?,
        typical: answer.typical.iter().map(typical).collect(),
        file: name(&answer.file),
        file_error: lines(&answer.file_error),
        paused: answer.paused,
        reading: answer.reading,
    })
}

fn account_to_pb(view: &AccountView) -> pb::BudgetAccount {
    let account = &view.account;
    pb::BudgetAccount {
        name: account.name.clone(),
        provider: account.provider.clone(),
        kind: account.kind.as_str().to_owned(),
        running: view.running,
        concurrency: account.concurrency.unwrap_or(0),
        stuck_until_unix_ms: view.stuck_until.map(|at| at.0),
        forecast: view.forecast.as_ref().map(|forecast| pb::BudgetForecast {
            typical_day: forecast.typical_day,
            month: forecast.month,
            days_known: u32::try_from(forecast.days_known).unwrap_or(u32::MAX),
        }),
        agents: view.agents.iter().cloned().collect(),
    }
}

fn account_from_pb(told: &pb::BudgetAccount) -> Result<AccountView, Invalid> {
    bounded("budget.accounts.agents", told.agents.len(), MAX_ENTRIES)?;
    Ok(AccountView {
        account: Account {
            name: name(&told.name),
            provider: name(&told.provider),
            kind: Kind::parse(&told.kind).unwrap_or(Kind::Subscription),
            agents: BTreeSet::new(),
            classes: BTreeSet::new(),
            models: Vec::new(),
            concurrency: Some(told.concurrency).filter(|count| *count > 0),
            windows: Vec::new(),
        },
        stuck_until: told.stuck_until_unix_ms.map(Wall),
        running: told.running,
        agents: told.agents.iter().map(name).collect(),
        forecast: told.forecast.map(|forecast| Forecast {
            typical_day: forecast.typical_day,
            month: forecast.month,
            days_known: usize::try_from(forecast.days_known).unwrap_or(usize::MAX),
        }),
    })
}

/// Cleaned line by line, a screen of them at most.
fn lines(text: &str) -> String {
    let lines: Vec<String> =
        text.lines().take(40).map(|line| fleet_domain::text::clean(line, MAX_LINE)).collect();
    lines.join("\n")
}

pub fn window_to_pb(outlook: &Outlook) -> pb::BudgetWindow {
    let standing = &outlook.standing;
    pb::BudgetWindow {
        account: outlook.account.clone(),
        window: outlook.window.clone(),
        length_ms: ms(outlook.length),
        begins_unix_ms: standing.stretch.map(|stretch| stretch.begins.0),
        resets_unix_ms: standing.stretch.map(|stretch| stretch.ends.0),
        resets_by: standing.resets_by.as_str().to_owned(),
        limit: standing.limit.map(amount_to_pb),
        limit_by: standing.limit_by.as_str().to_owned(),
        used: standing.used,
        used_by: standing.used_by.as_str().to_owned(),
        ours: Some(used_to_pb(standing.ours)),
        at_unix_ms: standing.at.map(|at| at.0),
        stale: standing.stale,
        held: Some(used_to_pb(outlook.held)),
        held_share: outlook.held_share,
        capacity_tokens: outlook.capacity,
        pace: outlook.pace.as_ref().map(pace_to_pb),
        since: Some(used_to_pb(standing.since)),
    }
}

pub fn window_from_pb(window: &pb::BudgetWindow) -> Result<Outlook, Invalid> {
    let ends = window.begins_unix_ms.zip(window.resets_unix_ms);
    let standing = Standing {
        stretch: ends.map(|(begins, ends)| Stretch { begins: Wall(begins), ends: Wall(ends) }),
        resets_by: provenance(&window.resets_by),
        limit: window.limit.as_ref().map(amount_from_pb).transpose()?,
        limit_by: provenance(&window.limit_by),
        used: window.used.filter(|used| used.is_finite()),
        used_by: provenance(&window.used_by),
        ours: used_from_pb(window.ours.as_ref()),
        at: window.at_unix_ms.map(Wall),
        stale: window.stale,
        since: used_from_pb(window.since.as_ref()),
    };
    Ok(Outlook {
        account: name(&window.account),
        window: name(&window.window),
        length: duration(window.length_ms),
        standing,
        held: used_from_pb(window.held.as_ref()),
        held_share: window.held_share,
        capacity: window.capacity_tokens,
        pace: window.pace.as_ref().map(pace_from_pb),
    })
}

fn pace_to_pb(pace: &Pace) -> pb::BudgetPace {
    let exhaustion = pace.exhaustion;
    pb::BudgetPace {
        remaining: pace.remaining,
        even: pace.even,
        target: pace.target,
        actual: pace.actual,
        ratio: pace.ratio,
        allowance: pace.allowance,
        left_today: pace.left_today,
        exhausted_unix_ms: exhaustion.map(|told| told.at.0),
        earliest_unix_ms: exhaustion.map_or(0, |told| told.earliest.0),
        latest_unix_ms: exhaustion.and_then(|told| told.latest).map(|at| at.0),
        before_reset: exhaustion.is_some_and(|told| told.before_reset),
    }
}

fn pace_from_pb(pace: &pb::BudgetPace) -> Pace {
    Pace {
        remaining: pace.remaining,
        even: pace.even,
        target: pace.target,
        actual: pace.actual,
        ratio: pace.ratio,
        allowance: pace.allowance,
        left_today: pace.left_today,
        exhaustion: pace.exhausted_unix_ms.map(|at| Exhaustion {
            at: Wall(at),
            earliest: Wall(pace.earliest_unix_ms),
            latest: pace.latest_unix_ms.map(Wall),
            before_reset: pace.before_reset,
        }),
    }
}

fn room_to_pb(room: &Room) -> pb::BudgetCeiling {
    pb::BudgetCeiling {
        scope: room.ceiling.scope.as_str().to_owned(),
        name: room.name.clone(),
        per: room.ceiling.per.as_str().to_owned(),
        soft: room.ceiling.soft.map(amount_to_pb),
        hard: room.ceiling.hard.map(amount_to_pb),
        concurrency: room.ceiling.concurrency.unwrap_or(0),
        begins_unix_ms: room.period.begins.0,
        ends_unix_ms: room.period.ends.0,
        used: Some(used_to_pb(room.used)),
        held: Some(used_to_pb(room.held)),
        tasks: room.tasks,
    }
}

fn room_from_pb(room: &pb::BudgetCeiling) -> Result<Room, Invalid> {
    let scope = Scope::ALL.into_iter().find(|scope| scope.as_str() == room.scope);
    Ok(Room {
        ceiling: Ceiling {
            scope: scope.ok_or_else(|| word("ceiling.scope", &room.scope))?,
            name: name(&room.name),
            per: Period::parse(&room.per).ok_or_else(|| word("ceiling.per", &room.per))?,
            soft: room.soft.as_ref().map(amount_from_pb).transpose()?,
            hard: room.hard.as_ref().map(amount_from_pb).transpose()?,
            concurrency: Some(room.concurrency).filter(|count| *count > 0),
        },
        name: name(&room.name),
        period: Stretch { begins: Wall(room.begins_unix_ms), ends: Wall(room.ends_unix_ms) },
        used: used_from_pb(room.used.as_ref()),
        held: used_from_pb(room.held.as_ref()),
        tasks: room.tasks,
    })
}
