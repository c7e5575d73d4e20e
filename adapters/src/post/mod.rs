//! A message brought into a pane, the way a person would: a look, a paste, a look, an Enter, and the proof. What may be
//! done, and when, [`fleet_domain::message`] decides; here its eyes and hands are.

mod eyes;
mod lock;

use std::path::Path;
use std::time::{Duration, Instant};

use fleet_domain::message::Message;
use fleet_domain::message::delivery::{Delivery, End, Fate, Proof, Step, Wanted};
use fleet_domain::message::gate::{Refusal, Trouble, may_send};

use crate::host::wall_now;
use crate::runtimes::said::Witness;
use crate::screens::RuleBook;
use crate::tmux::{Server, TmuxError};

use eyes::Spot;
pub use lock::LockError;
use lock::PaneLock;

/// Between two looks at the pane.
const PAUSE: Duration = Duration::from_millis(40);
/// How long a box may take to show that it is free: a program at work draws late.
const PASSES: Duration = Duration::from_secs(2);

/// What is to be sent, and how.
#[derive(Debug)]
pub struct Order<'a> {
    pub server: &'a Server,
    pub session: &'a str,
    pub message: &'a Message,
    /// What somebody who watches for longer says is the matter with the agent.
    pub known: Option<Trouble>,
    /// While this file is there nothing is sent.
    pub pause: &'a Path,
    /// Where the panes' locks are.
    pub locks: &'a Path,
    pub force: bool,
    pub verify: bool,
    /// For all of it.
    pub limit: Duration,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Posted {
    /// Nothing was typed.
    Refused(Refusal),
    Ended {
        end: End,
        enters: u32,
    },
}

impl Posted {
    /// The agent has it, whatever else was wanted.
    pub fn arrived(&self) -> bool {
        matches!(self, Self::Ended { end, .. } if end.fate.arrived())
    }
}

#[derive(Debug, thiserror::Error)]
pub enum PostError {
    #[error(transparent)]
    Tmux(#[from] TmuxError),
    #[error(transparent)]
    Lock(#[from] LockError),
}

impl Order<'_> {
    /// Whether it may be sent now. What may be over in a moment is looked at again until it is, or is not.
    async fn may(&self, spot: &Spot<'_>) -> Result<Result<(), Refusal>, TmuxError> {
        let began = Instant::now();
        loop {
            let seen = spot.first_look(self.server).await?;
            match may_send(&seen, self.known.as_ref(), self.pause.exists(), self.force) {
                Err(refusal) if refusal.may_pass() && began.elapsed() < PASSES.min(self.limit) => {
                    tokio::time::sleep(PAUSE).await;
                }
                decided => return Ok(decided),
            }
        }
    }
}

/// Sends it; nobody else sends to the same pane meanwhile.
///
/// # Errors
/// When tmux does not answer before anything was typed, or the pane's lock cannot be had.
pub async fn post(order: &Order<'_>, book: &RuleBook) -> Result<Posted, PostError> {
    let began = Instant::now();
    let spot = match Spot::find(order.server, order.session, book).await? {
        Ok(spot) => spot,
        Err(refusal) => return Ok(Posted::Refused(refusal)),
    };
    let name = format!("{}-{}", spot.server_pid, spot.number());
    let Some(_alone) = PaneLock::take(order.locks, &name, order.limit).await? else {
        return Ok(Posted::Refused(Refusal::Locked));
    };
    if let Err(refusal) = order.may(&spot).await? {
        return Ok(Posted::Refused(refusal));
    }
    let text = order.message.typed();
    let mut witness = Witness::new(spot.runtime.clone(), spot.stat.clone(), &text, wall_now());
    let wanted = Wanted {
        verify: order.verify,
        recorded: witness.can_tell(),
        limit: order.limit.saturating_sub(began.elapsed()),
    };
    match order.server.paste(&spot.pane, &text).await {
        Ok(true) => {}
        // The pane shut between the look and the paste.
        Ok(false) => {
            let seen = spot.look(order.server).await?;
            let refusal = may_send(&seen, None, false, true).err();
            return Ok(Posted::Refused(refusal.unwrap_or(Refusal::NoBox)));
        }
        Err(error) => return Ok(lost(Fate::Draft, format!("the paste got no answer: {error}"), 0)),
    }
    Ok(follow(order, &spot, &mut witness, Delivery::new(&text, wanted)).await)
}

async fn follow(order: &Order<'_>, spot: &Spot<'_>, witness: &mut Witness, mut delivery: Delivery) -> Posted {
    let pasted = Instant::now();
    loop {
        let seen = match spot.look(order.server).await {
            Ok(seen) => seen,
            Err(error) => {
                let fate = if delivery.enters() > 0 { Fate::Unknown } else { Fate::Draft };
                return lost(fate, error.to_string(), delivery.enters());
            }
        };
        match delivery.next(&seen, witness.look(), pasted.elapsed()) {
            Step::Done(end) => return Posted::Ended { end, enters: delivery.enters() },
            Step::Look => tokio::time::sleep(PAUSE).await,
            Step::Enter => match order.server.enter(&spot.pane).await {
                // A pane that shut meanwhile is seen by the next look.
                Ok(_) => {}
                Err(error) => return lost(Fate::Unknown, error.to_string(), delivery.enters()),
            },
        }
    }
}

fn lost(fate: Fate, why: String, enters: u32) -> Posted {
    Posted::Ended { end: End { fate, proof: Proof::None, why, timed_out: false }, enters }
}
