//! What is kept of the budget, as rows and as lines of its log.

use fleet_domain::Wall;
use fleet_domain::budget::decision::{Ask, Task, Verdict};
use fleet_domain::budget::gate::Kept;
use fleet_domain::budget::schedule::Schedule;
use fleet_domain::budget::standing::Setting;
use fleet_proto::convert::{authorization_from_pb, setting_from_pb, task_from_pb, task_to_pb};
use fleet_proto::pb;
use fleet_proto::prost::Message;

use crate::budget::zone;
use crate::store::{BudgetRow, BudgetWrite, LogEntry, RowKind};

pub(super) fn take_row(row: &BudgetRow, kept: &mut Kept) -> Option<()> {
    let body = row.body.as_slice();
    match row.kind {
        RowKind::Task => kept.tasks.push(task_from_pb(&pb::BudgetTask::decode(body).ok()?).ok()?),
        RowKind::Setting => {
            let told = pb::BudgetSetting::decode(body).ok()?;
            kept.settings.push(setting_from_pb(&told, &|name| zone(name)).ok()?);
        }
        RowKind::Authorization => {
            kept.authorizations
                .push(authorization_from_pb(&pb::BudgetAuthorization::decode(body).ok()?).ok()?);
        }
        RowKind::Capacity => {
            let told = pb::BudgetWindow::decode(body).ok()?;
            kept.capacities.push((told.account, told.window, told.capacity_tokens?));
        }
        // The budget's file is not the gate's to keep.
        RowKind::File => {}
    }
    Some(())
}

pub(super) fn capacity_to_pb((account, window): &(String, String), tokens: f64) -> pb::BudgetWindow {
    pb::BudgetWindow {
        account: account.clone(),
        window: window.clone(),
        capacity_tokens: Some(tokens),
        ..Default::default()
    }
}

pub(super) fn join(account: &str, window: &str) -> String {
    format!("{account} {window}")
}

pub(super) fn put(kind: RowKind, key: String, at: Wall, message: &impl Message) -> BudgetWrite {
    BudgetWrite::Put(BudgetRow { kind, key, at, body: message.encode_to_vec() })
}

pub(super) fn put_task(task: &Task, now: Wall) -> BudgetWrite {
    put(RowKind::Task, task.name.clone(), now, &task_to_pb(task))
}

pub(super) fn log(at: Wall, who: &str, what: &str, subject: &str, detail: &str) -> BudgetWrite {
    let [who, what, subject, detail] = [who, what, subject, detail].map(str::to_owned);
    BudgetWrite::Log(LogEntry { at, who, what, decision: false, subject, detail })
}

pub(super) fn decided(ask: &Ask, verdict: &Verdict, now: Wall) -> LogEntry {
    let figures = verdict.figures.iter().map(|figure| format!("; {figure}")).collect::<String>();
    let account = verdict.account.as_deref().unwrap_or("-");
    let advice = verdict.advice.map(|reason| format!(" (advice: {})", reason.as_str())).unwrap_or_default();
    let until = verdict.until.map(|at| format!(" until {at}")).unwrap_or_default();
    LogEntry {
        at: now,
        who: if ask.agent.is_empty() { ask.class.clone() } else { ask.agent.clone() },
        what: verdict.decision.as_str().to_owned(),
        decision: true,
        subject: verdict.task.clone().unwrap_or_default(),
        detail: format!(
            "{}{until}{advice}: {} on {account}, {} tokens ({}){figures}",
            verdict.reason.as_str(),
            if verdict.model.is_empty() { "-" } else { &verdict.model },
            verdict.estimate.reserved,
            verdict.estimate.basis.as_str(),
        ),
    }
}

pub(super) fn describe(setting: &Setting) -> String {
    let limit = setting.limit.map(|limit| format!("limit {limit}"));
    let used = setting.used.map(|(used, at)| format!("used {:.1} % at {at}", used * 100.0));
    let resets = setting.schedule.as_ref().map(|schedule| match schedule {
        Schedule::Rolling(length) => {
            format!("rolling, {} s", length.as_secs())
        }
        Schedule::Once { at, .. } => format!("resets once at {at}"),
        Schedule::Fixed { anchor, every, .. } => {
            format!("resets at {anchor} and every {every}")
        }
    });
    [limit, used, resets].into_iter().flatten().collect::<Vec<_>>().join(", ")
}
