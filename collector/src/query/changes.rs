//! Carries a watcher's changes to its stream: the whole picture first, and again when there is a new one.

use fleet_proto::convert::{agent_to_pb, key_to_pb};
use fleet_proto::pb;
use fleet_proto::pb::watch_agents_response::Change;
use tokio::sync::{mpsc, watch};
use tonic::Status;

use super::{ending, listing_to_pb};
use crate::hub::{Cut, Delta, Listing, Stopped, Watch};

type Outgoing = mpsc::Sender<Result<pb::WatchAgentsResponse, Status>>;

/// Ends when the reader leaves, when it was too slow, or when the collector ends.
pub(super) async fn carry(mut watch: Watch, out: Outgoing, drain: watch::Receiver<bool>) {
    let ending = ending(drain);
    tokio::pin!(ending);
    let first = watch.snapshots.borrow_and_update().clone();
    let mut generation = first.generation;
    if out.send(Ok(snapshot(&first))).await.is_err() {
        return;
    }
    drop(first);
    loop {
        let message = tokio::select! {
            biased;
            () = out.closed() => return,
            status = &mut ending => {
                let _ = out.send(Err(status)).await;
                return;
            }
            Ok(()) = watch.snapshots.changed() => {
                let latest = watch.snapshots.borrow_and_update().clone();
                generation = latest.generation;
                snapshot(&latest)
            }
            delta = watch.deltas.recv() => match delta {
                Some(delta) if delta.generation() <= generation => continue,
                Some(delta) => change(&delta),
                None => {
                    let _ = out.send(Err(end(&watch.cut))).await;
                    return;
                }
            },
        };
        if out.send(Ok(message)).await.is_err() {
            return;
        }
    }
}

fn snapshot(listing: &Listing) -> pb::WatchAgentsResponse {
    pb::WatchAgentsResponse {
        generation: listing.generation,
        change: Some(Change::Snapshot(listing_to_pb(listing.clone()))),
    }
}

fn change(delta: &Delta) -> pb::WatchAgentsResponse {
    let change = match delta {
        Delta::Changed(view) => Change::Changed(agent_to_pb(view, false)),
        Delta::Removed { key, .. } => Change::Removed(key_to_pb(key)),
    };
    pb::WatchAgentsResponse { generation: delta.generation(), change: Some(change) }
}

pub(super) fn end(cut: &Cut) -> Status {
    if cut.is_set() {
        Status::resource_exhausted("the reader could not keep up with the changes; ask again")
    } else {
        super::gone(Stopped)
    }
}
