//! What was used: the ledger's pages added up.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use fleet_domain::AgentKey;
use fleet_domain::price::Table;
use fleet_domain::report::{By, Question, Report};
use fleet_proto::limits::MAX_SUMS;
use tonic::Status;

use crate::chain::chain;
use crate::prices::table;
use crate::store::Place;
use crate::store::handle::StoreHandle;

/// Rows that one turn of the store sums; some milliseconds.
const PAGE: u32 = 10_000;

/// What a response cost is asked of the table anew each time: a corrected price holds for the past too.
pub(super) async fn sum(
    store: &StoreHandle,
    question: &Question,
    table: Arc<Table>,
) -> Result<Report, Status> {
    let mut report = Report::default();
    let (mut after, mut rolls) = (Place::default(), None);
    loop {
        let page = store.summed(question.clone(), table.clone(), after, PAGE).await;
        let page = page.map_err(|error| Status::unavailable(chain(&error)))?;
        if *rolls.get_or_insert(page.rolls) != page.rolls {
            // Old rows moved from where they were to be read to where they were not, or the other way: from the start.
            (report, after, rolls) = (Report::default(), Place::default(), None);
            continue;
        }
        for (group, sum) in page.report.0 {
            report.add(group, &sum);
        }
        if report.0.len() > MAX_SUMS {
            return Err(Status::resource_exhausted(format!(
                "the answer would have more than {MAX_SUMS} sums; ask for less: a later start, or fewer dimensions"
            )));
        }
        match page.next {
            Some(next) => after = next,
            None => return Ok(report),
        }
    }
}

/// The ledger does not know of classes, which are the roster's: it is asked for agents instead.
pub(super) fn with_agents(question: &Question) -> Question {
    let mut asked = question.clone();
    if asked.by.remove(&By::Class) {
        asked.by.insert(By::Agent);
    }
    asked
}

/// As it was asked for, with each agent's class; empty for those that no roster has.
pub(super) fn classed(report: Report, question: &Question, classes: &BTreeMap<AgentKey, String>) -> Report {
    if !question.by.contains(&By::Class) {
        return report;
    }
    let mut told = Report::default();
    for (mut group, sum) in report.0 {
        group.class = group.agent.as_ref().and_then(|agent| classes.get(agent)).cloned();
        group.agent = group.agent.filter(|_| question.by.contains(&By::Agent));
        told.add(group, &sum);
    }
    told
}

/// The prices in force at this moment.
pub(super) async fn prices(own: Option<PathBuf>) -> Arc<Table> {
    let read = tokio::task::spawn_blocking(move || table(own)).await;
    Arc::new(read.unwrap_or_default())
}
