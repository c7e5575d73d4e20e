//! Wire ↔ domain. Reading is total: what does not fit is an [`Invalid`] that names the field, text is cleaned, lists
//! are bounded. Writing cannot fail.

mod agent;
mod budget;
mod budget_state;
mod limits;
mod listing;
mod observation;
mod report;
mod row;
mod scalar;
mod usage;
mod usage_report;

pub use agent::{agent_from_pb, agent_into_pb, agent_to_pb, happening_to_pb, transition_to_pb};
pub use budget::{
    ask_from_pb, ask_to_pb, authorization_from_pb, authorization_to_pb, setting_from_pb, setting_to_pb,
    task_from_pb, task_to_pb, verdict_from_pb, verdict_to_pb,
};
pub use budget_state::{budget_from_pb, budget_to_pb, window_from_pb, window_to_pb};
pub use limits::{readings_from_pb, readings_to_pb, standings_from_pb, standings_to_pb};
pub use listing::Listed;
pub use observation::{observation_from_pb, observation_to_pb, planes_from_pb, planes_to_pb};
pub use report::{
    Answer, Hello, Origin, Report, answer_from_pb, answer_to_pb, mass_end_from_pb, mass_end_to_pb,
    report_from_pb, report_to_pb,
};
pub use row::{Written, listing_bytes};
pub use scalar::{
    key_from_pb, key_to_pb, kind_from_pb, kind_to_pb, state_from_pb, state_to_pb, vantage_from_pb,
};
pub use usage::{UsageBatch, batch_from_pb, batch_to_pb, told_from_pb, told_to_pb};
pub use usage_report::{question_from_pb, question_to_pb, sums_from_pb, sums_to_pb};

/// A message that does not say what it must, or says too much.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{field} holds {count}, more than the {limit} allowed")]
    TooMany { field: &'static str, count: usize, limit: usize },
    #[error("{field} is not valid: {why}")]
    Bad { field: &'static str, why: String },
}

pub(crate) fn bounded(field: &'static str, count: usize, limit: usize) -> Result<(), Invalid> {
    if count > limit { Err(Invalid::TooMany { field, count, limit }) } else { Ok(()) }
}

#[cfg(test)]
mod budget_tests;
#[cfg(test)]
mod tests;
