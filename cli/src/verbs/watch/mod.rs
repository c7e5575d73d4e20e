//! `fleet ps --watch`: the table redrawn in place when something changed, or the changes as lines.
//!
//! ```text
//! feed (a task) ── updates, notices ──► board ──► terminal: frame ─► painter ─► only the lines that differ
//!                                            └──► pipe: the changed rows, or items
//! ```

mod board;
mod feed;
mod lines;
pub(super) mod painter;
mod terminal;

use tokio::sync::mpsc;

use crate::client::Address;
use crate::error::Outcome;
use crate::output::Screen;
use crate::source;

use super::ps::Request;

/// Updates that wait to be shown; a feed that is ahead waits.
const QUEUE: usize = 64;

pub async fn run(at: &Address, request: &Request, screen: Screen) -> Outcome {
    let (send, receive) = mpsc::channel(QUEUE);
    let drawn = request.tabular() && screen.cursor;
    if request.of_budget() && !drawn {
        // A line is not told again when only this changes: the first ones have it from the beginning.
        let _ = send.send(feed::Fed::Funds(source::funds(at).await)).await;
    }
    let funds = request.of_budget().then(|| tokio::spawn(feed::funds(at.clone(), send.clone(), drawn)));
    let feed = tokio::spawn(feed::run(at.clone(), send));
    let outcome = if drawn {
        terminal::run(receive, request, screen).await
    } else {
        lines::run(receive, request, screen).await
    };
    feed.abort();
    if let Some(funds) = funds {
        funds.abort();
    }
    outcome
}
