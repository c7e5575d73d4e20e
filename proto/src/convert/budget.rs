//! Money: questions to the gate, its answers, tasks, what owners say.

use fleet_domain::budget::amount::{Amount, Used};
use fleet_domain::budget::decision::{
    Ask, Authorization, Basis, Decision, Estimate, Figure, Reason, Stage, Task, Urgency, Verdict,
};
use fleet_domain::budget::read::Zones;
use fleet_domain::budget::schedule::{Every, Schedule};
use fleet_domain::budget::standing::Setting;
use fleet_domain::limits::Provenance;
use fleet_domain::price::Money;
use fleet_domain::time::Wall;

use super::scalar::{duration, ms, name, some};
use super::{Invalid, bounded};
use crate::pb;

/// Figures in an answer.
const MAX_FIGURES: usize = 64;

/// A place is held only where `hold` says so. Whose it is, the caller's connection says.
pub fn ask_to_pb(ask: &Ask, hold: bool) -> pb::CheckBudgetRequest {
    pb::CheckBudgetRequest {
        class: ask.class.clone(),
        agent: ask.agent.clone(),
        model: ask.model.clone(),
        account: ask.account.clone().unwrap_or_default(),
        estimate_tokens: ask.estimate,
        urgent: ask.urgency == Urgency::High,
        mission: ask.mission.clone(),
        task: ask.task.clone(),
        hold,
    }
}

pub fn ask_from_pb(ask: &pb::CheckBudgetRequest, tenant: &str) -> Ask {
    Ask {
        tenant: tenant.to_owned(),
        agent: name(&ask.agent),
        class: name(&ask.class),
        model: name(&ask.model),
        account: some(&ask.account),
        // As with usage: more than 2⁵³ tokens is nobody's.
        estimate: ask.estimate_tokens.map(|tokens| tokens.min(1 << 53)),
        urgency: if ask.urgent { Urgency::High } else { Urgency::Normal },
        mission: name(&ask.mission),
        task: name(&ask.task),
    }
}

pub fn verdict_to_pb(verdict: &Verdict) -> pb::BudgetVerdict {
    pb::BudgetVerdict {
        decision: match verdict.decision {
            Decision::Admit => pb::BudgetDecision::Admit,
            Decision::Downgrade => pb::BudgetDecision::Downgrade,
            Decision::Reroute => pb::BudgetDecision::Reroute,
            Decision::Queue => pb::BudgetDecision::Queue,
            Decision::Refuse => pb::BudgetDecision::Refuse,
        } as i32,
        reason: verdict.reason.as_str().to_owned(),
        model: verdict.model.clone(),
        account: verdict.account.clone().unwrap_or_default(),
        estimate: Some(estimate_to_pb(&verdict.estimate)),
        until_unix_ms: verdict.until.map(|at| at.0),
        figures: verdict.figures.iter().map(figure_to_pb).collect(),
        advice: verdict.advice.map(Reason::as_str).unwrap_or_default().to_owned(),
        task: verdict.task.clone().unwrap_or_default(),
        expires_unix_ms: verdict.expires.map(|at| at.0),
    }
}

pub fn verdict_from_pb(verdict: &pb::BudgetVerdict) -> Result<Verdict, Invalid> {
    bounded("budget.figures", verdict.figures.len(), MAX_FIGURES)?;
    let decision = match pb::BudgetDecision::try_from(verdict.decision) {
        Ok(pb::BudgetDecision::Admit) => Decision::Admit,
        Ok(pb::BudgetDecision::Downgrade) => Decision::Downgrade,
        Ok(pb::BudgetDecision::Reroute) => Decision::Reroute,
        Ok(pb::BudgetDecision::Queue) => Decision::Queue,
        Ok(pb::BudgetDecision::Refuse) => Decision::Refuse,
        Ok(pb::BudgetDecision::Unspecified) | Err(_) => return Err(Invalid::Missing("budget.decision")),
    };
    Ok(Verdict {
        decision,
        reason: Reason::parse(&verdict.reason).ok_or_else(|| word("budget.reason", &verdict.reason))?,
        model: name(&verdict.model),
        account: some(&verdict.account),
        estimate: estimate_from_pb(verdict.estimate.as_ref())?,
        until: verdict.until_unix_ms.map(Wall),
        figures: verdict.figures.iter().map(figure_from_pb).collect(),
        advice: Reason::parse(&verdict.advice),
        task: some(&verdict.task),
        expires: verdict.expires_unix_ms.map(Wall),
    })
}

fn figure_to_pb(figure: &Figure) -> pb::BudgetFigure {
    pb::BudgetFigure {
        what: figure.what.clone(),
        unit: figure.unit.to_owned(),
        used: figure.used,
        held: figure.held,
        needed: figure.needed,
        limit: figure.limit,
        provenance: figure.by.as_str().to_owned(),
    }
}

fn figure_from_pb(figure: &pb::BudgetFigure) -> Figure {
    Figure {
        what: name(&figure.what),
        unit: ["share", "tokens", "usd", "tasks"]
            .into_iter()
            .find(|unit| *unit == figure.unit)
            .unwrap_or("units"),
        used: figure.used,
        held: figure.held,
        needed: figure.needed,
        limit: figure.limit,
        by: provenance(&figure.provenance),
    }
}

fn estimate_to_pb(estimate: &Estimate) -> pb::BudgetEstimate {
    pb::BudgetEstimate {
        projected_tokens: estimate.projected,
        reserved_tokens: estimate.reserved,
        basis: estimate.basis.as_str().to_owned(),
    }
}

fn estimate_from_pb(estimate: Option<&pb::BudgetEstimate>) -> Result<Estimate, Invalid> {
    let estimate = estimate.ok_or(Invalid::Missing("budget.estimate"))?;
    Ok(Estimate {
        projected: estimate.projected_tokens,
        reserved: estimate.reserved_tokens,
        basis: Basis::parse(&estimate.basis).ok_or_else(|| word("budget.estimate.basis", &estimate.basis))?,
    })
}

pub fn task_to_pb(task: &Task) -> pb::BudgetTask {
    pb::BudgetTask {
        name: task.name.clone(),
        tenant_id: task.tenant.clone(),
        agent: task.agent.clone(),
        class: task.class.clone(),
        mission: task.mission.clone(),
        model: task.model.clone(),
        account: task.account.clone().unwrap_or_default(),
        stage: task.stage.as_str().to_owned(),
        estimate: Some(estimate_to_pb(&task.estimate)),
        price_pico_usd: task.price,
        actual: Some(used_to_pb(task.actual)),
        admitted_unix_ms: task.admitted.0,
        started_unix_ms: task.started.map(|at| at.0),
        ended_unix_ms: task.ended.map(|at| at.0),
    }
}

pub fn task_from_pb(task: &pb::BudgetTask) -> Result<Task, Invalid> {
    Ok(Task {
        name: some(&task.name).ok_or(Invalid::Missing("task.name"))?,
        tenant: name(&task.tenant_id),
        agent: name(&task.agent),
        class: name(&task.class),
        mission: name(&task.mission),
        model: name(&task.model),
        account: some(&task.account),
        stage: Stage::parse(&task.stage).ok_or_else(|| word("task.stage", &task.stage))?,
        estimate: estimate_from_pb(task.estimate.as_ref())?,
        price: task.price_pico_usd,
        actual: used_from_pb(task.actual.as_ref()),
        admitted: Wall(task.admitted_unix_ms),
        started: task.started_unix_ms.map(Wall),
        ended: task.ended_unix_ms.map(Wall),
    })
}

pub fn authorization_to_pb(authorization: &Authorization) -> pb::BudgetAuthorization {
    pb::BudgetAuthorization {
        account: authorization.account.clone(),
        tokens: authorization.tokens,
        drawn: authorization.drawn,
        until_unix_ms: authorization.until.0,
        by: authorization.by.clone(),
        at_unix_ms: authorization.at.0,
    }
}

pub fn authorization_from_pb(authorization: &pb::BudgetAuthorization) -> Result<Authorization, Invalid> {
    Ok(Authorization {
        account: some(&authorization.account).ok_or(Invalid::Missing("authorization.account"))?,
        tokens: authorization.tokens.min(1 << 53),
        drawn: authorization.drawn,
        until: Wall(authorization.until_unix_ms),
        by: name(&authorization.by),
        at: Wall(authorization.at_unix_ms),
    })
}

/// A window's setting with the names that it is of.
pub fn setting_to_pb(account: &str, window: &str, setting: &Setting) -> pb::BudgetSetting {
    let mut told = pb::BudgetSetting {
        account: account.to_owned(),
        window: window.to_owned(),
        limit: setting.limit.map(amount_to_pb),
        used: setting.used.map(|(used, _)| used),
        used_at_unix_ms: setting.used.map_or(0, |(_, at)| at.0),
        ..Default::default()
    };
    match &setting.schedule {
        None => {}
        Some(Schedule::Rolling(length)) => (told.rolling, told.length_ms) = (true, ms(*length)),
        Some(Schedule::Once { at, length }) => {
            (told.reset_unix_ms, told.length_ms) = (Some(at.0), ms(*length));
        }
        Some(Schedule::Fixed { anchor, every, zone }) => {
            told.reset_unix_ms = Some(anchor.0);
            told.every = every.to_string();
            told.zone = zone.iana_name().unwrap_or_default().to_owned();
        }
    }
    told
}

/// Account, window and what is said of it. A figure or a limit that makes no sense is refused; so is a zone nobody knows.
pub fn setting_from_pb(
    setting: &pb::BudgetSetting,
    zones: Zones<'_>,
) -> Result<(String, String, Setting), Invalid> {
    let account = some(&setting.account).ok_or(Invalid::Missing("setting.account"))?;
    let window = some(&setting.window).ok_or(Invalid::Missing("setting.window"))?;
    let used = setting.used.map(|used| (used, Wall(setting.used_at_unix_ms)));
    if used.is_some_and(|(used, _)| !(0.0..=1.0).contains(&used)) {
        return Err(Invalid::Bad { field: "setting.used", why: "a share from 0 to 1 is wanted".to_owned() });
    }
    let limit = setting.limit.as_ref().map(amount_from_pb).transpose()?;
    if limit.is_some_and(|limit| limit.size() == 0) {
        return Err(Invalid::Bad { field: "setting.limit", why: "a limit above zero is wanted".to_owned() });
    }
    let length = duration(setting.length_ms);
    let schedule = match setting.reset_unix_ms.map(Wall) {
        _ if setting.rolling => Some(Schedule::Rolling(length)),
        Some(at) if setting.every.is_empty() => Some(Schedule::Once { at, length }),
        Some(anchor) => {
            let every =
                Every::parse(&setting.every).map_err(|why| Invalid::Bad { field: "setting.every", why })?;
            let zone = zones(&setting.zone).ok_or_else(|| word("setting.zone", &setting.zone))?;
            Some(Schedule::Fixed { anchor, every, zone })
        }
        None => None,
    };
    if matches!(&schedule, Some(Schedule::Rolling(length) | Schedule::Once { length, .. }) if length.is_zero())
    {
        return Err(Invalid::Missing("setting.length_ms"));
    }
    Ok((account, window, Setting { limit, used, schedule }))
}

pub(super) fn amount_to_pb(amount: Amount) -> pb::BudgetAmount {
    pb::BudgetAmount { size: amount.size(), unit: amount.unit().to_owned() }
}

pub(super) fn amount_from_pb(amount: &pb::BudgetAmount) -> Result<Amount, Invalid> {
    match amount.unit.as_str() {
        "tokens" => Ok(Amount::Tokens(amount.size)),
        "usd" => Ok(Amount::Dollars(Money(amount.size))),
        unit => Err(word("amount.unit", unit)),
    }
}

pub(super) fn used_to_pb(used: Used) -> pb::BudgetUsed {
    pb::BudgetUsed { tokens: used.tokens, pico_usd: used.dollars.0 }
}

pub(super) fn used_from_pb(used: Option<&pb::BudgetUsed>) -> Used {
    used.map_or_else(Used::default, |used| Used { tokens: used.tokens, dollars: Money(used.pico_usd) })
}

pub(super) fn provenance(text: &str) -> Provenance {
    Provenance::parse(text).unwrap_or(Provenance::Unknown)
}

pub(super) fn word(field: &'static str, found: &str) -> Invalid {
    Invalid::Bad { field, why: format!("`{}` is not known to this version", name(found)) }
}
