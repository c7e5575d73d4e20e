//! Money: the collector's BudgetService.

use std::time::Duration;

use fleet_domain::budget::decision::{Ask, Authorization, Task, Verdict};
use fleet_domain::budget::gate::{Outlook, State};
use fleet_domain::budget::standing::Setting;
use fleet_domain::text;
use fleet_domain::time::Wall;
use fleet_proto::convert::{
    Invalid, ask_to_pb, authorization_from_pb, authorization_to_pb, budget_from_pb, setting_to_pb,
    task_from_pb, verdict_from_pb, window_from_pb,
};
use fleet_proto::limits::MAX_QUERY_BYTES;
use fleet_proto::pb;
use fleet_proto::pb::budget_service_client::BudgetServiceClient;
use tonic::transport::Channel;
use tonic::{Code as Grpc, Status};

use super::{Address, Client, broken, told};
use crate::error::{Code, Failure};

/// An answer waits for the disk, and after a start for the ledger.
const LIMIT: Duration = Duration::from_secs(20);

pub struct Money {
    at: Address,
    inner: BudgetServiceClient<Channel>,
}

/// A change of the budget, or a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogView {
    pub at: Wall,
    pub who: String,
    pub what: String,
    pub subject: String,
    pub detail: String,
}

impl Client {
    /// The same collector's budget.
    pub fn money(&self) -> Money {
        let inner = BudgetServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_QUERY_BYTES);
        Money { at: self.at.clone(), inner }
    }
}

impl Money {
    pub async fn state(&mut self, zone: &str) -> Result<State, Failure> {
        let request = pb::GetBudgetRequest { zone: zone.to_owned() };
        let answer = self.within(self.inner.clone().get_budget(request)).await?;
        budget_from_pb(&answer).map_err(|error| self.nonsense(&error))
    }

    pub async fn check(&mut self, ask: &Ask, hold: bool) -> Result<Verdict, Failure> {
        let answer = self.within(self.inner.clone().check_budget(ask_to_pb(ask, hold))).await?;
        let verdict = answer.verdict.ok_or(Invalid::Missing("verdict"));
        verdict.and_then(|verdict| verdict_from_pb(&verdict)).map_err(|error| self.nonsense(&error))
    }

    /// What is said of a window, or with nothing said taken back; answers where it stands then.
    pub async fn set(
        &mut self,
        account: &str,
        window: &str,
        setting: Option<&Setting>,
        by: &str,
    ) -> Result<Option<Outlook>, Failure> {
        let unset = setting.is_none();
        let setting = Some(setting_to_pb(account, window, setting.unwrap_or(&Setting::default())));
        let request = pb::SetWindowRequest { setting, unset, by: by.to_owned() };
        let answer = self.within(self.inner.clone().set_window(request)).await?;
        answer.window.as_ref().map(window_from_pb).transpose().map_err(|error| self.nonsense(&error))
    }

    pub async fn authorize(&mut self, authorization: &Authorization) -> Result<Authorization, Failure> {
        self.authorization(authorization, false).await
    }

    /// What was left and is taken back.
    pub async fn revoke(&mut self, account: &str, by: &str) -> Result<Authorization, Failure> {
        let (account, by) = (account.to_owned(), by.to_owned());
        let whose = Authorization { account, tokens: 0, drawn: 0, until: Wall(0), by, at: Wall(0) };
        self.authorization(&whose, true).await
    }

    async fn authorization(&mut self, told: &Authorization, revoke: bool) -> Result<Authorization, Failure> {
        let request = pb::AuthorizeRequest { authorization: Some(authorization_to_pb(told)), revoke };
        let answer = self.within(self.inner.clone().authorize(request)).await?;
        let told = answer.authorization.ok_or(Invalid::Missing("authorization"));
        told.and_then(|told| authorization_from_pb(&told)).map_err(|error| self.nonsense(&error))
    }

    pub async fn start(&mut self, task: &str, agent: &str) -> Result<Task, Failure> {
        let request = pb::StartTaskRequest { task: task.to_owned(), agent: agent.to_owned() };
        let answer = self.within(self.inner.clone().start_task(request)).await?;
        self.task(answer.task)
    }

    pub async fn end(&mut self, task: &str, tokens: Option<u64>) -> Result<Task, Failure> {
        let request = pb::EndTaskRequest { task: task.to_owned(), tokens };
        let answer = self.within(self.inner.clone().end_task(request)).await?;
        self.task(answer.task)
    }

    /// One task, or with no name the latest.
    pub async fn tasks(&mut self, task: &str, limit: u32) -> Result<Vec<Task>, Failure> {
        let request = pb::ListTasksRequest { task: task.to_owned(), limit };
        let answer = self.within(self.inner.clone().list_tasks(request)).await?;
        answer.tasks.iter().map(task_from_pb).collect::<Result<_, _>>().map_err(|error| self.nonsense(&error))
    }

    pub async fn log(&mut self, since: Wall, limit: u32, changes: bool) -> Result<Vec<LogView>, Failure> {
        let request = pb::ListBudgetLogRequest { since_unix_ms: since.0, limit, changes };
        let answer = self.within(self.inner.clone().list_budget_log(request)).await?;
        let entry = |entry: pb::BudgetLogEntry| LogView {
            at: Wall(entry.at_unix_ms),
            who: text::clean(&entry.who, 128),
            what: text::clean(&entry.what, 32),
            subject: text::clean(&entry.subject, 128),
            detail: text::clean(&entry.detail, 2_000),
        };
        Ok(answer.entries.into_iter().map(entry).collect())
    }

    fn task(&self, task: Option<pb::BudgetTask>) -> Result<Task, Failure> {
        let task = task.ok_or(Invalid::Missing("task"));
        task.and_then(|task| task_from_pb(&task)).map_err(|error| self.nonsense(&error))
    }

    fn nonsense(&self, error: &Invalid) -> Failure {
        broken(&self.at, &format!("gave an answer that makes no sense: {error}")).into_failure()
    }

    async fn within<T>(
        &self,
        call: impl Future<Output = Result<tonic::Response<T>, Status>>,
    ) -> Result<T, Failure> {
        match tokio::time::timeout(LIMIT, call).await {
            Err(_) => {
                Err(broken(&self.at, &format!("gave no answer in {}s", LIMIT.as_secs())).into_failure())
            }
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(self.refusal(&status)),
        }
    }

    fn refusal(&self, status: &Status) -> Failure {
        let message = || text::clean(status.message(), 400);
        match status.code() {
            Grpc::NotFound => {
                let where_to_look =
                    if message().starts_with("no task") { "fleet task show" } else { "fleet budget" };
                Failure::new(Code::NoSuch, message()).next(format!("what there is: {where_to_look}"))
            }
            Grpc::InvalidArgument => Failure::new(Code::Usage, message()),
            Grpc::FailedPrecondition => Failure::new(Code::NotSo, message()),
            Grpc::ResourceExhausted => Failure::new(Code::Refused, message()),
            Grpc::Unimplemented => Failure::new(Code::Failure, "this collector knows no budget").next(
                "it is of an earlier version; restart it: systemctl --user restart mosaic-collector.service",
            ),
            _ => told(&self.at, status).into_failure(),
        }
    }
}
