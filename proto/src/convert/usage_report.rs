//! Questions about usage, and their answers.

use fleet_domain::price::{Costs, Money};
use fleet_domain::report::{By, Group, Question, Report, Sum};
use fleet_domain::time::Wall;

use super::scalar::some;
use super::usage::{tokens_from_pb, tokens_to_pb};
use super::{Invalid, bounded, key_from_pb, key_to_pb};
use crate::limits::{MAX_DAYS, MAX_SUMS};
use crate::pb;

pub fn question_to_pb(question: &Question) -> pb::GetUsageRequest {
    let by = question.by.iter().map(|by| match by {
        By::Agent => pb::UsageDimension::Agent,
        By::Runtime => pb::UsageDimension::Runtime,
        By::Account => pb::UsageDimension::Account,
        By::Model => pb::UsageDimension::Model,
        By::Day => pb::UsageDimension::Day,
        By::Hour => pb::UsageDimension::Hour,
        By::Class => pb::UsageDimension::Class,
        By::Session => pb::UsageDimension::Session,
    });
    pb::GetUsageRequest {
        since_unix_ms: question.since.0,
        by: by.map(i32::from).collect(),
        days_unix_ms: question.days.iter().map(|day| day.0).collect(),
    }
}

pub fn question_from_pb(question: &pb::GetUsageRequest) -> Result<Question, Invalid> {
    bounded("usage.by", question.by.len(), 16)?;
    bounded("usage.days_unix_ms", question.days_unix_ms.len(), MAX_DAYS)?;
    if !question.days_unix_ms.is_sorted() {
        let why = "days do not ascend".to_owned();
        return Err(Invalid::Bad { field: "usage.days_unix_ms", why });
    }
    Ok(Question {
        since: Wall(question.since_unix_ms),
        by: question.by.iter().map(|by| by_from_pb(*by)).collect::<Result<_, _>>()?,
        days: question.days_unix_ms.iter().copied().map(Wall).collect(),
    })
}

fn by_from_pb(by: i32) -> Result<By, Invalid> {
    Ok(match pb::UsageDimension::try_from(by) {
        Ok(pb::UsageDimension::Agent) => By::Agent,
        Ok(pb::UsageDimension::Runtime) => By::Runtime,
        Ok(pb::UsageDimension::Account) => By::Account,
        Ok(pb::UsageDimension::Model) => By::Model,
        Ok(pb::UsageDimension::Day) => By::Day,
        Ok(pb::UsageDimension::Hour) => By::Hour,
        Ok(pb::UsageDimension::Class) => By::Class,
        Ok(pb::UsageDimension::Session) => By::Session,
        Ok(pb::UsageDimension::Unspecified) | Err(_) => {
            let why = format!("{by} is no dimension that this version knows");
            return Err(Invalid::Bad { field: "usage.by", why });
        }
    })
}

pub fn sums_to_pb(report: &Report) -> pb::GetUsageResponse {
    let sums = report.0.iter().map(|(group, sum)| pb::UsageSum {
        agent: group.agent.as_ref().map(key_to_pb),
        runtime: group.runtime.clone().unwrap_or_default(),
        account: group.account.clone().unwrap_or_default(),
        model: group.model.clone().unwrap_or_default(),
        day_unix_ms: group.day.map_or(0, |day| day.0),
        hour_unix_ms: group.hour.map_or(0, |hour| hour.0),
        class: group.class.clone().unwrap_or_default(),
        conversation: group.session.clone().unwrap_or_default(),
        tokens: Some(tokens_to_pb(&sum.tokens)),
        responses: sum.responses,
        cost: Some(costs_to_pb(&sum.costs)),
    });
    pb::GetUsageResponse { sums: sums.collect() }
}

/// Sums are not cut as single responses are: a ledger's may be large.
pub fn sums_from_pb(answer: &pb::GetUsageResponse) -> Result<Report, Invalid> {
    bounded("usage.sums", answer.sums.len(), MAX_SUMS)?;
    let mut report = Report::default();
    for sum in &answer.sums {
        let group = Group {
            agent: sum.agent.clone().map(key_from_pb),
            runtime: some(&sum.runtime),
            account: some(&sum.account),
            model: some(&sum.model),
            day: Some(Wall(sum.day_unix_ms)).filter(|day| day.0 != 0),
            hour: Some(Wall(sum.hour_unix_ms)).filter(|hour| hour.0 != 0),
            class: some(&sum.class),
            session: some(&sum.conversation),
        };
        let tokens = sum.tokens.as_ref().map(tokens_from_pb).unwrap_or_default();
        let costs = costs_from_pb(sum.cost.as_ref(), sum.responses);
        report.add(group, &Sum { tokens, responses: sum.responses, costs });
    }
    Ok(report)
}

fn costs_to_pb(costs: &Costs) -> pb::UsageCost {
    pb::UsageCost {
        reported_pico_usd: costs.reported.0,
        priced_pico_usd: costs.priced.0,
        reported: costs.by_report,
        priced: costs.by_price,
        unpriced: costs.unpriced,
    }
}

/// A collector that tells no cost knows none of any response's.
fn costs_from_pb(costs: Option<&pb::UsageCost>, responses: u64) -> Costs {
    costs.map_or(Costs { unpriced: responses, ..Costs::default() }, |costs| Costs {
        reported: Money(costs.reported_pico_usd),
        priced: Money(costs.priced_pico_usd),
        by_report: costs.reported,
        by_price: costs.priced,
        unpriced: costs.unpriced,
    })
}

#[cfg(test)]
mod tests {
    use fleet_domain::usage::Tokens;
    use fleet_domain::{AgentKey, HostId, SocketName, TenantId};

    use super::*;

    #[test]
    fn a_question_and_its_answer_arrive_as_they_were_sent() {
        let question = Question {
            since: Wall(5),
            by: [By::Agent, By::Runtime, By::Account, By::Model, By::Day, By::Hour, By::Class, By::Session]
                .into_iter()
                .collect(),
            days: vec![Wall(5), Wall(9)],
        };
        assert_eq!(question_from_pb(&question_to_pb(&question)).unwrap(), question);
        let mut report = Report::default();
        let agent = AgentKey::new(TenantId::new("me"), HostId::new("box"), SocketName::new("s"), "coder0");
        let tokens = Tokens { input: 1, output: 2, ..Tokens::default() };
        let group = Group {
            agent: Some(agent),
            day: Some(Wall(9)),
            model: Some("m".into()),
            hour: Some(Wall(9)),
            class: Some("c".into()),
            session: Some("s".into()),
            ..Group::default()
        };
        let costs = Costs { reported: Money(7), by_report: 1, priced: Money(9), by_price: 1, unpriced: 1 };
        report.add(group, &Sum { tokens, responses: 3, costs });
        report.add(Group::default(), &Sum { tokens, responses: 1, ..Sum::default() });
        assert_eq!(sums_from_pb(&sums_to_pb(&report)).unwrap(), report);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let bad = pb::GetUsageRequest { days_unix_ms: vec![2, 1], ..Default::default() };
        assert!(question_from_pb(&bad).is_err());
        let later = pb::GetUsageRequest { by: vec![99], ..Default::default() };
        assert!(question_from_pb(&later).is_err());
        let many = pb::GetUsageRequest { days_unix_ms: vec![1; MAX_DAYS + 1], ..Default::default() };
        assert!(question_from_pb(&many).is_err());
    }
}
