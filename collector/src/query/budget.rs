//! Money over the wire: each call is translated, decided by the budget's owner, and answered once what it changed is
//! durable.

use std::time::Duration;

use fleet_domain::budget::decision::{Ask, Authorization, Unknown};
use fleet_domain::budget::schedule::{Schedule, misplaced};
use fleet_domain::budget::standing::Setting;
use fleet_domain::{TenantId, Wall, text};
use fleet_proto::convert::{
    Invalid, ask_from_pb, authorization_from_pb, authorization_to_pb, budget_to_pb, setting_from_pb,
    task_to_pb, verdict_to_pb, window_to_pb,
};
use fleet_proto::limits::MAX_QUERY_BYTES;
use fleet_proto::pb;
use fleet_proto::pb::budget_service_server::{BudgetService, BudgetServiceServer};
use tokio::time::timeout;
use tonic::{Request, Response, Status};

use super::{MAX_QUESTION_BYTES, gone};
use crate::budget::{Files, zone};
use crate::chain::chain;
use crate::hub::{Budget, HubHandle, Kept};
use crate::store::BudgetWrite;
use crate::store::handle::StoreHandle;

/// Nobody waits longer for a disk.
const DURABLE_LIMIT: Duration = Duration::from_secs(10);
/// After a start the ledger is read in well under a second.
const READING_LIMIT: Duration = Duration::from_secs(5);
const READING_PAUSE: Duration = Duration::from_millis(10);
const LOG_ENTRIES: u32 = 1_000;
const MAX_LOG_ENTRIES: u32 = 100_000;
const MAX_TASKS: usize = 100_000;

#[derive(Clone)]
pub struct BudgetRpc {
    pub hub: HubHandle,
    pub store: StoreHandle,
    /// Whose calls they are: the socket lets in its owner only.
    pub tenant: TenantId,
    pub files: Files,
}

impl BudgetRpc {
    pub fn service(self) -> BudgetServiceServer<Self> {
        BudgetServiceServer::new(self)
            .max_decoding_message_size(MAX_QUESTION_BYTES)
            .max_encoding_message_size(MAX_QUERY_BYTES)
    }

    /// Has the owner act, and waits until what it wrote is durable.
    async fn act<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Budget, Wall) -> (Result<T, Unknown>, Vec<BudgetWrite>) + Send + 'static,
    ) -> Result<T, Status> {
        self.ready().await?;
        let (answer, kept) = self.hub.budget(act).await.map_err(gone)?;
        self.durable(kept).await?;
        answer.map_err(|error| unknown(&error))
    }

    async fn ready(&self) -> Result<(), Status> {
        let ready = async {
            loop {
                let (ready, _) =
                    self.hub.budget(|budget, _| (budget.ready(), Vec::new())).await.map_err(gone)?;
                if ready {
                    return Ok(());
                }
                tokio::time::sleep(READING_PAUSE).await;
            }
        };
        let late = |_| Status::unavailable("the ledger is still being read; ask again in a moment");
        timeout(READING_LIMIT, ready).await.map_err(late)?
    }

    async fn durable(&self, kept: Kept) -> Result<(), Status> {
        let why = || match self.store.trouble() {
            Some(why) => format!("nothing can be stored at the moment, so nothing is decided: {why}"),
            None => "the store is behind; ask again in a moment".to_owned(),
        };
        match kept {
            Kept::Nothing => Ok(()),
            Kept::Full => Err(Status::unavailable(why())),
            Kept::Waits(done) => match timeout(DURABLE_LIMIT, done).await {
                Ok(Ok(())) => Ok(()),
                _ => Err(Status::unavailable(why())),
            },
        }
    }

    fn by(&self, told: &str) -> String {
        let told = text::clean(told, 64);
        if told.is_empty() || told == self.tenant.as_str() {
            self.tenant.to_string()
        } else {
            format!("{told} ({})", self.tenant)
        }
    }
}

#[tonic::async_trait]
impl BudgetService for BudgetRpc {
    async fn check_budget(
        &self,
        request: Request<pb::CheckBudgetRequest>,
    ) -> Result<Response<pb::CheckBudgetResponse>, Status> {
        let request = request.into_inner();
        let ask: Ask = ask_from_pb(&request, self.tenant.as_str());
        let paused = self.files.paused();
        let hold = request.hold;
        let verdict = self.act(move |budget, now| budget.check(&ask, hold, paused, now)).await?;
        Ok(Response::new(pb::CheckBudgetResponse { verdict: Some(verdict_to_pb(&verdict)) }))
    }

    async fn get_budget(
        &self,
        request: Request<pb::GetBudgetRequest>,
    ) -> Result<Response<pb::GetBudgetResponse>, Status> {
        let name = request.into_inner().zone;
        let zone = if name.is_empty() { None } else { zone(&name) };
        let paused = self.files.paused();
        let state = move |budget: &mut Budget, now| (budget.state(zone.as_ref(), paused, now), Vec::new());
        let (state, _) = self.hub.budget(state).await.map_err(gone)?;
        Ok(Response::new(budget_to_pb(&state)))
    }

    async fn set_window(
        &self,
        request: Request<pb::SetWindowRequest>,
    ) -> Result<Response<pb::SetWindowResponse>, Status> {
        let request = request.into_inner();
        let told = request.setting.ok_or(Invalid::Missing("setting")).map_err(|error| senseless(&error))?;
        let (account, window, setting) =
            setting_from_pb(&told, &|name| zone(name)).map_err(|error| senseless(&error))?;
        let by = self.by(&request.by);
        let unset = request.unset;
        let act = move |budget: &mut Budget, now: Wall| {
            let wrong = match &setting.schedule {
                Some(Schedule::Once { at, length }) => misplaced(*at, *length, now),
                _ => None,
            };
            if let Some(wrong) = wrong.filter(|_| !unset) {
                let told = format!("this reset is {wrong}; give the next one, or how often it resets");
                return (Err(Unknown::Senseless(told)), Vec::new());
            }
            let used = setting.used.map(|(used, at)| (used, if at.0 == 0 { now } else { at.min(now) }));
            let setting = Setting { used, ..setting };
            budget.set((&account, &window), (!unset).then_some(setting), &by, now)
        };
        let outlook = self.act(act).await?;
        Ok(Response::new(pb::SetWindowResponse { window: outlook.as_ref().map(window_to_pb) }))
    }

    async fn authorize(
        &self,
        request: Request<pb::AuthorizeRequest>,
    ) -> Result<Response<pb::AuthorizeResponse>, Status> {
        let pb::AuthorizeRequest { authorization, revoke } = request.into_inner();
        let told = authorization.ok_or(Invalid::Missing("authorization"));
        let told = told.and_then(|told| authorization_from_pb(&told)).map_err(|error| senseless(&error))?;
        let by = self.by(&told.by);
        let act = move |budget: &mut Budget, now| {
            if revoke {
                return budget.revoke(&told.account, by, now);
            }
            budget.authorize(Authorization { by, at: now, drawn: 0, ..told }, now)
        };
        let authorization = self.act(act).await?;
        let authorization = Some(authorization_to_pb(&authorization));
        Ok(Response::new(pb::AuthorizeResponse { authorization }))
    }

    async fn start_task(
        &self,
        request: Request<pb::StartTaskRequest>,
    ) -> Result<Response<pb::StartTaskResponse>, Status> {
        let pb::StartTaskRequest { task, agent } = request.into_inner();
        let agent = text::clean(&agent, 128);
        let paused = self.files.paused();
        let task = self.act(move |budget, now| budget.start(&task, &agent, paused, now)).await?;
        Ok(Response::new(pb::StartTaskResponse { task: Some(task_to_pb(&task)) }))
    }

    async fn end_task(
        &self,
        request: Request<pb::EndTaskRequest>,
    ) -> Result<Response<pb::EndTaskResponse>, Status> {
        let pb::EndTaskRequest { task, tokens } = request.into_inner();
        let task = self.act(move |budget, now| budget.end(&task, tokens, now)).await?;
        Ok(Response::new(pb::EndTaskResponse { task: Some(task_to_pb(&task)) }))
    }

    async fn list_tasks(
        &self,
        request: Request<pb::ListTasksRequest>,
    ) -> Result<Response<pb::ListTasksResponse>, Status> {
        let pb::ListTasksRequest { task, limit } = request.into_inner();
        let limit =
            usize::try_from(limit).ok().filter(|limit| *limit > 0).unwrap_or(MAX_TASKS).min(MAX_TASKS);
        let name = task.clone();
        let tasks = self.hub.budget(move |budget, _| (budget.tasks(&name, limit), Vec::new())).await;
        let (tasks, _) = tasks.map_err(gone)?;
        if !task.is_empty() && tasks.is_empty() {
            return Err(unknown(&Unknown::Task { name: text::clean(&task, 64) }));
        }
        Ok(Response::new(pb::ListTasksResponse { tasks: tasks.iter().map(task_to_pb).collect() }))
    }

    async fn list_budget_log(
        &self,
        request: Request<pb::ListBudgetLogRequest>,
    ) -> Result<Response<pb::ListBudgetLogResponse>, Status> {
        let pb::ListBudgetLogRequest { since_unix_ms, limit, changes } = request.into_inner();
        let limit = if limit == 0 { LOG_ENTRIES } else { limit.min(MAX_LOG_ENTRIES) };
        let log = self.store.budget_log(Wall(since_unix_ms), changes, limit).await;
        let log = log.map_err(|error| Status::unavailable(chain(&error)))?;
        let entries = log.into_iter().map(|entry| pb::BudgetLogEntry {
            at_unix_ms: entry.at.0,
            who: entry.who,
            what: entry.what,
            subject: entry.subject,
            detail: entry.detail,
        });
        Ok(Response::new(pb::ListBudgetLogResponse { entries: entries.collect() }))
    }
}

fn senseless(error: &Invalid) -> Status {
    Status::invalid_argument(error.to_string())
}

fn unknown(error: &Unknown) -> Status {
    let told = error.to_string();
    match error {
        Unknown::Account { .. } | Unknown::Window { .. } | Unknown::Model { .. } | Unknown::Task { .. } => {
            Status::not_found(told)
        }
        Unknown::Over { .. } | Unknown::Paused { .. } => Status::failed_precondition(told),
        Unknown::Senseless(_) => Status::invalid_argument(told),
        Unknown::TooMany(_) => Status::resource_exhausted(told),
    }
}
