//! What became of a message, for people and for scripts.

use std::time::Duration;

use fleet_adapters::post::Posted;
use fleet_domain::budget::decision::Task;
use fleet_domain::message::Message;
use fleet_domain::message::delivery::{End, Fate, Proof};
use serde::Serialize;

use crate::error::{Code, Failure, Outcome};
use crate::output;
use crate::render::item::API_VERSION;
use crate::render::words::safe;

/// Keys may be added, none is ever removed or given another meaning.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Receipt {
    api_version: &'static str,
    kind: &'static str,
    /// accepted, queued, delivered, draft, unknown, refused
    result: &'static str,
    from: String,
    to: String,
    class: Option<&'static str>,
    /// Bytes of the text.
    bytes: usize,
    /// transcript, screen, none
    proof: &'static str,
    /// Of a refusal one word, such as permission, draft, paused.
    reason: Option<&'static str>,
    /// What was in the way, in words.
    detail: Option<String>,
    seconds: f64,
    /// How often Enter was pressed.
    enters: u32,
    /// The task that was started with it.
    task: Option<String>,
    #[serde(skip)]
    code: Code,
}

impl Receipt {
    pub(super) fn of(message: &Message, posted: &Posted, took: Duration) -> Self {
        let mut receipt = Self {
            api_version: API_VERSION,
            kind: "Receipt",
            result: "refused",
            from: message.from.to_string(),
            to: message.to.to_string(),
            class: message.class.map(|class| class.as_str()),
            bytes: message.body.as_str().len(),
            proof: Proof::None.as_str(),
            reason: None,
            detail: None,
            seconds: (took.as_secs_f64() * 1000.0).round() / 1000.0,
            enters: 0,
            task: None,
            code: Code::Refused,
        };
        match posted {
            Posted::Refused(refusal) => {
                receipt.reason = Some(refusal.as_str());
                receipt.detail = Some(refusal.to_string());
            }
            Posted::Ended { end, enters } => {
                receipt.result = end.fate.as_str();
                receipt.proof = end.proof.as_str();
                receipt.detail = Some(end.why.clone()).filter(|why| !why.is_empty());
                receipt.enters = *enters;
                receipt.code = code(end);
            }
        }
        receipt
    }

    /// The budget has the task under way now.
    pub(super) fn started(&mut self, task: &Task) {
        self.task = Some(task.name.clone());
    }

    /// Writes it, and says by the exit code how it went.
    pub(super) fn tell(&self, posted: &Posted, json: bool) -> Outcome {
        if json {
            output::json(self, true)?;
        } else if posted.arrived() {
            output::data(&self.line())?;
        }
        match (self.code, json) {
            (Code::Closed, _) => Ok(()),
            (code, true) => Err(Failure::silent(code)),
            (code, false) => Err(self.failure(posted, code)),
        }
    }

    fn line(&self) -> String {
        let (to, seconds) = (safe(&self.to), self.seconds);
        let proof = match (self.result, self.proof) {
            ("accepted", _) => "its transcript has the turn",
            ("queued", "transcript") => "its transcript has it in the queue",
            ("queued", _) => "its screen shows it in the queue",
            _ => "its screen shows it submitted, no record of it was found",
        };
        let by = if self.result == "delivered" { "to" } else { "by" };
        let task = self.task.as_deref().map(|task| format!("; task {} started", safe(task)));
        format!("{} {by} {to} in {seconds:.2} s: {proof}{}\n", self.result, task.unwrap_or_default())
    }

    fn failure(&self, posted: &Posted, code: Code) -> Failure {
        let (to, why) = (safe(&self.to), self.detail.as_deref().map(safe).unwrap_or_default());
        let look = format!("look at it: fleet explain {}", session(&self.to));
        match posted {
            Posted::Refused(refusal) => {
                let next = match refusal {
                    refusal if refusal.may_be_forced() => format!("{look}; send all the same: --force"),
                    fleet_domain::message::gate::Refusal::Paused => {
                        "resume the fleet: remove the file PAUSED in $MOSAIC_HOME/fleet/run".to_owned()
                    }
                    _ => look,
                };
                Failure::new(code, format!("nothing was sent to {to}: {why}")).next(next)
            }
            Posted::Ended { end, .. } if end.timed_out => {
                let message =
                    format!("{} as far as is known, not accepted by {to} in time: {why}", self.result);
                Failure::new(code, message).next(format!("{look}; do not send it again"))
            }
            Posted::Ended { end: End { fate: Fate::Draft, .. }, .. } => {
                Failure::new(code, format!("pasted, and not taken by {to}: {why}"))
                    .next(format!("{look}; it may stand in the box, so do not send it again"))
            }
            Posted::Ended { .. } => {
                Failure::new(code, format!("what became of it at {to} is unknown: {why}"))
                    .next(format!("{look}; it may have arrived, so do not send it again"))
            }
        }
    }
}

fn session(to: &str) -> String {
    safe(to.split_once(':').map_or(to, |(_, session)| session)).into_owned()
}

fn code(end: &End) -> Code {
    match end.fate {
        _ if end.timed_out => Code::TimedOut,
        Fate::Accepted | Fate::Queued | Fate::Delivered => Code::Closed,
        Fate::Draft => Code::NotSo,
        Fate::Unknown => Code::Failure,
    }
}

#[cfg(test)]
mod tests {
    use fleet_domain::message::gate::{Refusal, Trouble};
    use fleet_domain::message::{Body, Label};
    use fleet_domain::observation::StuckKind;

    use super::*;

    fn receipt(posted: &Posted) -> Receipt {
        let message = Message {
            from: Label::operator(),
            to: Label::of("box", "coder0"),
            class: None,
            body: Body::parse("hello").unwrap(),
        };
        Receipt::of(&message, posted, Duration::from_millis(412))
    }

    fn ended(fate: Fate, proof: Proof, why: &str, timed_out: bool) -> Posted {
        Posted::Ended { end: End { fate, proof, why: why.to_owned(), timed_out }, enters: 1 }
    }

    fn told(posted: &Posted) -> String {
        let receipt = receipt(posted);
        match receipt.code {
            Code::Closed => receipt.line(),
            code => format!("{}: {}\n", code as u8, receipt.failure(posted, code)),
        }
    }

    #[test]
    fn every_end_is_told_with_its_code() {
        let asked = Trouble { kind: StuckKind::Permission, line: "Do you want to proceed?".to_owned() };
        let limit = Trouble { kind: StuckKind::UsageLimit, line: "resets 3pm".to_owned() };
        let all: String = [
            ended(Fate::Accepted, Proof::Transcript, "", false),
            ended(Fate::Queued, Proof::Transcript, "", false),
            ended(Fate::Queued, Proof::Screen, "", false),
            ended(Fate::Delivered, Proof::Screen, "", false),
            ended(Fate::Queued, Proof::Transcript, "no turn with it began in time", true),
            ended(Fate::Draft, Proof::Screen, "it stands in the box after 3 times Enter", false),
            ended(Fate::Unknown, Proof::None, "after the Enter no box was seen any more", false),
            Posted::Refused(Refusal::Paused),
            Posted::Refused(Refusal::Draft),
            Posted::Refused(Refusal::Asked(asked)),
            Posted::Refused(Refusal::Ailing(limit)),
        ]
        .iter()
        .map(told)
        .collect();
        insta::assert_snapshot!(all);
    }

    #[test]
    fn its_json_has_every_key_always() {
        let refused = receipt(&Posted::Refused(Refusal::Draft));
        insta::assert_snapshot!(serde_json::to_string_pretty(&refused).unwrap());
        let keys = |receipt: &Receipt| {
            let value = serde_json::to_value(receipt).unwrap();
            value.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
        };
        assert_eq!(keys(&refused), keys(&receipt(&ended(Fate::Accepted, Proof::Transcript, "", false))));
    }
}
