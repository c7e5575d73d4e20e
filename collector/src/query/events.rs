//! What happened: transitions and what is of a whole host, those of the past from the store, by pages, then those to come from the hub, without a gap or a repeat
//! between the two.

use fleet_domain::Wall;
use fleet_domain::fleet::Unresolved;
use fleet_proto::convert::happening_to_pb;
use fleet_proto::pb;
use tokio::sync::{mpsc, watch};
use tonic::Status;

use super::{Query, changes, ending, gone, unresolved};
use crate::chain::chain;
use crate::hub::Follow;
use crate::store::handle::{StoreHandle, Unavailable};
use crate::store::{Numbered, Past, Whose};

const PAGE: u32 = 256;

type Outgoing = mpsc::Sender<Result<pb::EventsResponse, Status>>;

pub(super) struct Events {
    store: StoreHandle,
    past: Past,
    /// Transitions up to this number are skipped.
    after: u64,
    follow: Option<Follow>,
    drain: watch::Receiver<bool>,
}

impl Events {
    pub(super) async fn begin(query: &Query, request: pb::EventsRequest) -> Result<Self, Status> {
        let mut past = Past { since: Wall(request.since_unix_ms), up_to: u64::MAX, whose: None };
        past.whose = whose(query, &request.agent, &past).await?;
        let follow = match request.follow {
            false => None,
            true => {
                let follow = query.hub.follow(past.whose.clone()).await.map_err(gone)?;
                Some(follow.map_err(|error| Status::resource_exhausted(error.to_string()))?)
            }
        };
        if let Some(follow) = &follow {
            past.up_to = follow.after;
        }
        let after = match request.limit {
            0 => 0,
            limit => query.store.skip_to_latest(past.clone(), limit).await.map_err(unavailable)?,
        };
        Ok(Self { store: query.store.clone(), past, after, follow, drain: query.drain.clone() })
    }

    pub(super) async fn carry(mut self, out: Outgoing) {
        loop {
            let page = match self.store.page(self.past.clone(), self.after, PAGE).await {
                Ok(page) => page,
                Err(error) => {
                    let _ = out.send(Err(unavailable(error))).await;
                    return;
                }
            };
            let Some(last) = page.last() else { break };
            self.after = last.seq;
            for numbered in &page {
                if out.send(Ok(response(numbered))).await.is_err() {
                    return;
                }
            }
        }
        if let Some(follow) = self.follow {
            carry_live(follow, out, self.drain).await;
        }
    }
}

async fn carry_live(mut follow: Follow, out: Outgoing, drain: watch::Receiver<bool>) {
    let ending = ending(drain);
    tokio::pin!(ending);
    loop {
        let message = tokio::select! {
            () = out.closed() => return,
            status = &mut ending => Err(status),
            numbered = follow.transitions.recv() => match numbered {
                Some(numbered) => Ok(response(&numbered)),
                None => Err(changes::end(&follow.cut)),
            },
        };
        let over = message.is_err();
        if out.send(message).await.is_err() || over {
            return;
        }
    }
}

/// An agent of the register by its shown name, else a session that the store remembers.
async fn whose(query: &Query, name: &str, past: &Past) -> Result<Option<Whose>, Status> {
    if name.is_empty() {
        return Ok(None);
    }
    match query.hub.find(name.to_owned()).await.map_err(gone)? {
        Ok(key) => Ok(Some(Whose::Agent(key))),
        Err(error @ Unresolved::Ambiguous { .. }) => Err(unresolved(name, &error)),
        Err(error @ Unresolved::Unknown { .. }) => {
            let whose = Some(Whose::Session(name.to_owned()));
            let remembered = Past { whose: whose.clone(), since: Wall(i64::MIN), ..past.clone() };
            let found = query.store.page(remembered, 0, 1).await.map_err(unavailable)?;
            if found.is_empty() { Err(unresolved(name, &error)) } else { Ok(whose) }
        }
    }
}

fn response(numbered: &Numbered) -> pb::EventsResponse {
    happening_to_pb(&numbered.what)
}

fn unavailable(error: Unavailable) -> Status {
    Status::unavailable(chain(&error))
}
