//! What was used: the ledger's pages added up.

use fleet_domain::report::{Question, Report};
use fleet_proto::limits::MAX_SUMS;
use tonic::Status;

use crate::chain::chain;
use crate::store::Place;
use crate::store::handle::StoreHandle;

/// Rows that one turn of the store sums; some milliseconds.
const PAGE: u32 = 10_000;

pub(super) async fn sum(store: &StoreHandle, question: &Question) -> Result<Report, Status> {
    let mut report = Report::default();
    let mut after = Place::default();
    loop {
        let page = store.summed(question.clone(), after, PAGE).await;
        let page = page.map_err(|error| Status::unavailable(chain(&error)))?;
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
