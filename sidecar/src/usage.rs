//! Token usage: transcripts followed from the position that the collector has made durable.
//!
//! ```text
//! Asking ──cursor──► Ready ──read, send──► Waiting(position) ──ack──► Ready
//!    ▲                                          │
//!    └──────────────── connection lost ─────────┘
//! ```
//!
//! At most one batch of a source is under way; what waits, waits in its transcript.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use fleet_adapters::runtimes::usage::{Attribution, Beside, Follower, Source as Transcript, Trace};
use fleet_domain::reconcile::Told;
use fleet_domain::usage::{Record, UNATTRIBUTED, merge};
use fleet_domain::{AccountName, SocketName, Wall};
use fleet_proto::convert::{UsageBatch, batch_to_pb};
use fleet_proto::limits::{MAX_RECORDS, MAX_REQUESTS, MAX_UNKNOWN, MAX_USAGE_IN_FLIGHT};
use fleet_proto::pb;
use fleet_proto::pb::report_request::Message;

use crate::limits::Limits;
use crate::uplink::{Sender, message};

/// Read at a time, in bytes; then others have their turn.
const BUDGET: usize = 256 << 10;
/// A position is worth a message of its own after this many bytes without a record.
const QUIET_BYTES: u64 = 1 << 20;

/// Whose usage a source is: the session's through which it was found, unless nothing tells whose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) socket: SocketName,
    pub(crate) session: String,
    pub(crate) runtime: String,
    pub(crate) account: AccountName,
    /// Whose limits the account has; empty where that is not known.
    pub(crate) provider: &'static str,
}

enum Progress {
    /// No connection, or the question for the position is not sent yet.
    Unasked,
    Asking,
    Ready {
        follower: Box<Follower>,
        /// The position that is durable, or on its way.
        reported: u64,
        unreadable: u64,
    },
    Waiting {
        follower: Box<Follower>,
        position: Vec<u8>,
    },
}

struct Source {
    transcript: Transcript,
    owner: Owner,
    attribution: Attribution,
    progress: Progress,
    /// Something may be there to read.
    stirred: bool,
    /// The last response of the main line that was read, until somebody takes it: when, and whose model.
    answered: Option<(Wall, String)>,
}

#[derive(Default)]
pub(crate) struct Sources {
    /// By the transcripts' identities.
    sources: BTreeMap<String, Source>,
}

impl Sources {
    /// Follows a transcript for its owner; the first owner of one keeps it.
    pub(crate) fn follow(&mut self, trace: &Trace, owner: &Owner) {
        if !self.sources.contains_key(&trace.source.id) {
            let source = Source {
                transcript: trace.source.clone(),
                owner: owner.clone(),
                attribution: trace.attribution,
                progress: Progress::Unasked,
                stirred: true,
                answered: None,
            };
            self.sources.insert(trace.source.id.clone(), source);
        }
    }

    /// Forgets what nobody owns any more, once all of it is reported.
    pub(crate) fn retain(&mut self, owned: impl Fn(&Owner) -> bool) {
        self.sources.retain(|_, source| {
            owned(&source.owner) || (source.stirred && !matches!(source.progress, Progress::Unasked))
        });
    }

    /// A file changed; true where one of the transcripts is concerned.
    pub(crate) fn stir(&mut self, path: &Path) -> bool {
        let mut any = false;
        for source in self.sources.values_mut().filter(|source| source.transcript.concerns(path)) {
            source.stirred = true;
            any = true;
        }
        any
    }

    pub(crate) fn stir_all(&mut self) {
        for source in self.sources.values_mut() {
            source.stirred = true;
        }
    }

    pub(crate) fn lost(&mut self) {
        for source in self.sources.values_mut() {
            source.progress = Progress::Unasked;
            source.stirred = true;
        }
    }

    pub(crate) fn acknowledged(&mut self, ack: &pb::CursorAck) {
        let Some(source) = self.sources.get_mut(&ack.source) else { return };
        source.progress = match std::mem::replace(&mut source.progress, Progress::Unasked) {
            Progress::Asking => {
                let follower = Box::new(Follower::new(&source.transcript, &ack.cursor));
                let reported = follower.offset();
                source.stirred = true;
                Progress::Ready { follower, reported, unreadable: 0 }
            }
            Progress::Waiting { follower, position } if position == ack.cursor => {
                let reported = follower.offset();
                Progress::Ready { follower, reported, unreadable: 0 }
            }
            other => other,
        };
    }

    /// Sends what there is and what fits; true while there is more to do at once.
    pub(crate) fn pump(&mut self, link: &Sender, limits: &mut Limits) -> bool {
        let mut more = false;
        let mut under_way = self.under_way();
        for (id, source) in &mut self.sources {
            if !source.stirred {
                continue;
            }
            // Room for the whole of one read, so that a batch is never cut in two by a full queue.
            if link.capacity() < 8 {
                return true;
            }
            match &mut source.progress {
                Progress::Unasked => {
                    let query = pb::CursorQuery { source: id.clone() };
                    if link.try_send(message(Message::CursorQuery(query))).is_ok() {
                        source.progress = Progress::Asking;
                    }
                }
                Progress::Asking | Progress::Waiting { .. } => {}
                // What the collector cannot store yet must not fill the stream that observations travel on too.
                Progress::Ready { .. } if under_way >= MAX_USAGE_IN_FLIGHT => {}
                Progress::Ready { .. } => {
                    more |= source.read(link, limits);
                    under_way += usize::from(matches!(source.progress, Progress::Waiting { .. }));
                }
            }
        }
        more
    }

    /// The models of the responses that were read since it was asked last.
    pub(crate) fn take_answered(&mut self) -> impl Iterator<Item = (&Owner, Wall, String)> {
        self.sources.values_mut().filter_map(|source| {
            let (at, model) = source.answered.take()?;
            Some((&source.owner, at, model))
        })
    }

    /// Batches that are not acknowledged yet.
    pub(crate) fn under_way(&self) -> usize {
        self.sources.values().filter(|source| matches!(source.progress, Progress::Waiting { .. })).count()
    }
}

impl Source {
    /// Reads one budget's worth and sends it; true when there is more in the file and nothing to wait for.
    fn read(&mut self, link: &Sender, limits: &mut Limits) -> bool {
        let Progress::Ready { follower, reported, unreadable } = &mut self.progress else { return false };
        let before = follower.position();
        let mut records: BTreeMap<String, Record> = BTreeMap::new();
        let emit = &mut |record: Record| {
            if let Some(change) = merge(records.get(&record.id), &record) {
                records.insert(record.id, change.plus);
            }
        };
        let (owner, own) = (&self.owner, self.attribution == Attribution::Own);
        // What either of two agents may have written tells of either's account.
        let mut requests = BTreeSet::new();
        let mut told: BTreeMap<String, Told> = BTreeMap::new();
        let mut unknown: BTreeMap<String, u64> = BTreeMap::new();
        let read = follower.follow(BUDGET, emit, &mut |beside| match beside {
            Beside::Sighting(sighting) if own && !owner.account.is_empty() => {
                limits.saw(&owner.account, owner.provider, &sighting);
            }
            Beside::Request(request) if requests.len() < MAX_REQUESTS => drop(requests.insert(request)),
            Beside::Told(sum) if told.len() < MAX_RECORDS || told.contains_key(&sum.conversation) => {
                told.entry(sum.conversation.clone()).or_insert_with(|| sum.clone()).merge(&sum);
            }
            Beside::Unknown(kind) if unknown.len() < MAX_UNKNOWN || unknown.contains_key(&kind) => {
                *unknown.entry(kind).or_default() += 1;
            }
            Beside::Sighting(_) | Beside::Request(_) | Beside::Told(_) | Beside::Unknown(_) => {}
        });
        let stretch = match read {
            Ok(stretch) => stretch,
            Err(error) => {
                tracing::warn!("{} cannot be read: {error}", self.transcript.path.display());
                self.stirred = false;
                return false;
            }
        };
        let main_line =
            records.values().filter(|record| own && !record.sidechain && !record.model.is_empty());
        if let Some(last) = main_line.max_by_key(|record| record.at) {
            self.answered = Some((last.at, last.model.clone()));
        }
        *unreadable += stretch.unreadable;
        self.stirred = stretch.more || stretch.later;
        let quiet = follower.offset().saturating_sub(*reported) < QUIET_BYTES;
        let nothing = records.is_empty() && told.is_empty() && unknown.is_empty();
        if nothing && *unreadable == 0 && quiet {
            return stretch.more;
        }
        let position = follower.position();
        let unreadable = std::mem::take(unreadable);
        let records: Vec<Record> = records.into_values().collect();
        let mut requests: Vec<String> = requests.into_iter().collect();
        let chunks: Vec<&[Record]> =
            if records.is_empty() { vec![&[]] } else { records.chunks(MAX_RECORDS).collect() };
        let last = chunks.len() - 1;
        for (index, chunk) in chunks.into_iter().enumerate() {
            // Until the last chunk is durable, nothing of the stretch counts as read.
            let cursor = if index == last { &position } else { &before };
            let batch = UsageBatch {
                source: self.transcript.id.clone(),
                socket: self.owner.socket.clone(),
                session: self.session().to_owned(),
                runtime: self.owner.runtime.clone(),
                account: self.owner.account.to_string(),
                cursor: cursor.clone(),
                records: chunk.to_vec(),
                unreadable: if index == last { unreadable } else { 0 },
                requests: if index == last { std::mem::take(&mut requests) } else { Vec::new() },
                told: if index == last {
                    std::mem::take(&mut told).into_values().collect()
                } else {
                    Vec::new()
                },
                unknown: if index == last {
                    std::mem::take(&mut unknown).into_iter().collect()
                } else {
                    Vec::new()
                },
            };
            if link.try_send(message(Message::Usage(batch_to_pb(&batch)))).is_err() {
                // The connection ended, or the queue is full after all: the durable position is asked for anew.
                self.progress = Progress::Unasked;
                self.stirred = true;
                return false;
            }
        }
        self.progress = match std::mem::replace(&mut self.progress, Progress::Unasked) {
            Progress::Ready { follower, .. } => Progress::Waiting { follower, position },
            other => other,
        };
        false
    }

    fn session(&self) -> &str {
        match self.attribution {
            Attribution::Own => &self.owner.session,
            Attribution::Shared => UNATTRIBUTED,
        }
    }
}
