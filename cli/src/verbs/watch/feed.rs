//! Where updates come from: the collector's stream; while there is none, a direct look every two seconds.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, sleep};

use crate::client::{Address, Client, ClientError, Listing, Pause, Update, Watch};
use crate::error::Failure;
use crate::render::funds::Funds;
use crate::source::{self, HostNote, Snapshot};

const LOOK_EVERY: Duration = Duration::from_secs(2);
/// For so long after the collector went away its last answer is shown on; it may only have been restarted.
const HOLD: Duration = Duration::from_secs(5);
/// How often the budget is asked where something of it is drawn, and where it only stands in lines of other changes.
const FUNDS_EVERY: Duration = Duration::from_secs(2);
const FUNDS_BESIDE_EVERY: Duration = Duration::from_secs(15);
const DAY_CHECK: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub enum Fed {
    Update(Update),
    /// A direct look: it replaces everything.
    Direct(Snapshot),
    /// What to say below the table; `None` when all is well.
    Notice(Option<String>),
    /// What the budget says now.
    Funds(Arc<Funds>),
    Failed(Failure),
}

/// Feeds until nobody listens any more.
pub async fn run(at: Address, to: Sender<Fed>) {
    let mut feed = Feed { at, to, lost: None, retry: Pause::default() };
    while feed.turn().await.is_some() {}
}

/// Feeds what the budget says until nobody listens any more.
pub async fn funds(at: Address, to: Sender<Fed>, drawn: bool) {
    while to.send(Fed::Funds(source::funds(&at).await)).await.is_ok() {
        sleep(if drawn { FUNDS_EVERY } else { FUNDS_BESIDE_EVERY }).await;
    }
}

struct Feed {
    at: Address,
    to: Sender<Fed>,
    /// When the collector's stream ended.
    lost: Option<Instant>,
    retry: Pause,
}

/// `None` ends the feed: nobody listens.
type Turn = Option<()>;

impl Feed {
    async fn turn(&mut self) -> Turn {
        match self.follow().await? {
            Ended::Day => return Some(()),
            Ended::Lost(why) => {
                self.lost = Some(Instant::now());
                self.retry = Pause::default();
                self.notice(format!(
                    "the collector went away, shown is what was last known; reconnecting ({why})"
                ))
                .await?;
            }
            Ended::Never(why) if self.lost.is_none_or(|since| since.elapsed() >= HOLD) => {
                return self.look(why).await;
            }
            Ended::Never(_) => {}
        }
        self.retry.over().await;
        Some(())
    }

    async fn follow(&mut self) -> Option<Ended> {
        let day = source::today();
        let mut watch = match subscribe(&self.at, day).await {
            Ok(watch) => watch,
            Err(why) => return Some(Ended::Never(why)),
        };
        let mut heard = false;
        loop {
            let update = tokio::select! {
                update = watch.next() => update,
                () = sleep(DAY_CHECK) => {
                    if source::today() == day {
                        continue;
                    }
                    return Some(Ended::Day);
                }
            };
            match update {
                Ok(update) => {
                    if !heard {
                        (heard, self.lost) = (true, None);
                        self.to.send(Fed::Notice(None)).await.ok()?;
                    }
                    self.to.send(Fed::Update(update)).await.ok()?;
                }
                Err(why) if heard => return Some(Ended::Lost(why)),
                Err(why) => return Some(Ended::Never(why)),
            }
        }
    }

    async fn look(&mut self, why: ClientError) -> Turn {
        let notice =
            format!("{why}; looking directly every {}s, without tokens and history", LOOK_EVERY.as_secs());
        match source::directly(why).await {
            Ok(snapshot) => {
                self.notice(notice).await?;
                self.to.send(Fed::Direct(snapshot)).await.ok()?;
            }
            Err(failure) => {
                self.to.send(Fed::Failed(failure)).await.ok()?;
                return None;
            }
        }
        sleep(LOOK_EVERY).await;
        Some(())
    }

    async fn notice(&self, text: String) -> Turn {
        self.to.send(Fed::Notice(Some(text))).await.ok()
    }
}

enum Ended {
    /// Another day began: today's tokens are to be asked for anew.
    Day,
    Lost(ClientError),
    Never(ClientError),
}

async fn subscribe(at: &Address, day: fleet_domain::Wall) -> Result<Watch, ClientError> {
    Client::connect(at).await?.watch(day).await
}

/// A listing's notes about hosts.
pub fn host_notes(listing: &Listing) -> Vec<HostNote> {
    listing.hosts.iter().flat_map(|host| source::notes_of(host, &listing.agents)).collect()
}
