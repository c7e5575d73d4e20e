//! The runtimes' own servers: which are listened to, and what each says of the agent that it serves.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use fleet_adapters::procfs::{self, Stat};
use fleet_adapters::runtimes::live::{self, Conversation, Endpoint, Standing, Told};
use fleet_domain::observation::{Evidence, Native, Source};
use fleet_domain::{RuntimeName, Wall};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// Whose a conversation is, is asked again after this where it was not this agent's.
const JUDGED_FOR: Duration = Duration::from_secs(60);
/// Times of conversations are told to the second.
const GRAIN: Duration = Duration::from_secs(2);

/// Each server is listened to once, however many agents it serves, and only while it serves one.
pub(super) struct Servers {
    told: (mpsc::Sender<Told>, mpsc::Receiver<Told>),
    /// With what each said last.
    followed: BTreeMap<Endpoint, (AbortHandle, Option<Rc<Told>>)>,
}

impl Servers {
    pub(super) fn new() -> Self {
        Self { told: mpsc::channel(16), followed: BTreeMap::new() }
    }

    /// Begins with those that are new and leaves those that serve nobody any more.
    pub(super) fn follow<'e>(&mut self, wanted: impl Iterator<Item = &'e Endpoint>) {
        let wanted: BTreeSet<&Endpoint> = wanted.collect();
        self.followed.retain(|endpoint, (task, _)| {
            let keep = wanted.contains(endpoint);
            if !keep {
                task.abort();
            }
            keep
        });
        for endpoint in wanted {
            if !self.followed.contains_key(endpoint) {
                let task = tokio::spawn(live::follow(endpoint.clone(), self.told.0.clone()));
                self.followed.insert(endpoint.clone(), (task.abort_handle(), None));
            }
        }
    }

    pub(super) async fn next(&mut self) -> Rc<Told> {
        let Some(told) = self.told.1.recv().await.map(Rc::new) else {
            // Its sender is ours, so this never comes to be.
            return std::future::pending().await;
        };
        if let Some((_, last)) = self.followed.get_mut(&told.endpoint) {
            *last = Some(Rc::clone(&told));
        }
        told
    }

    /// What it said last, to others that it serves.
    pub(super) fn last(&self, endpoint: &Endpoint) -> Option<Rc<Told>> {
        self.followed.get(endpoint)?.1.clone()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.followed.values().for_each(|(task, _)| task.abort());
    }
}

/// What the server of one agent says of it.
#[derive(Default)]
pub(super) struct Served {
    endpoint: Option<Endpoint>,
    /// Whose a conversation was, by its id, and when that was found out.
    own: BTreeMap<String, (bool, Instant)>,
    standing: Option<(Standing, Instant)>,
}

impl Served {
    pub(super) fn endpoint(&self) -> Option<&Endpoint> {
        self.endpoint.as_ref()
    }

    /// Looks for a server, where none is known; true when one was found.
    pub(super) fn find(&mut self, runtime: &RuntimeName, process: &Stat) -> bool {
        if self.endpoint.is_none() {
            self.endpoint = live::endpoint(runtime, process);
            return self.endpoint.is_some();
        }
        false
    }

    /// Takes in what a server said; true when that says something new of this process.
    pub(super) fn take(&mut self, told: &Told, runtime: &RuntimeName, process: &Stat) -> bool {
        let conversations = match &told.conversations {
            Some(conversations) if told.endpoint.serves(process) => conversations.as_slice(),
            _ => &[],
        };
        let started = procfs::started(process);
        let own: Vec<&Standing> = conversations
            .iter()
            .filter(|one| moved_since(one, started) && self.owns(told, runtime, process, one))
            .map(|one| &one.standing)
            .collect();
        let standing = live::merged(own.into_iter());
        let changed = self.standing.as_ref().map(|(standing, _)| standing) != standing.as_ref();
        self.standing = standing.map(|standing| (standing, Instant::now()));
        changed
    }

    fn owns(&mut self, told: &Told, runtime: &RuntimeName, process: &Stat, one: &Conversation) -> bool {
        let known = self.own.get(&one.id).filter(|(own, at)| *own || at.elapsed() < JUDGED_FOR);
        if let Some((own, _)) = known {
            return *own;
        }
        let own = told.endpoint.owns(runtime, process, one);
        self.own.insert(one.id.clone(), (own, Instant::now()));
        own
    }

    pub(super) fn native(&self, now: Instant, wall: Wall) -> Option<Native> {
        let (standing, at) = self.standing.as_ref()?;
        Some(Native {
            state: standing.state,
            since: standing.since.map(|since| since.age_at(wall)),
            source: Source::Api,
            confirmed: now.duration_since(*at),
            line: standing.line.clone(),
        })
    }

    pub(super) fn evidence(&self, now: Instant, wall: Wall) -> Option<Evidence> {
        let (standing, at) = self.standing.as_ref()?;
        let blocked = standing.in_the_way.as_ref()?;
        Some(Evidence {
            kind: blocked.kind,
            line: blocked.line.clone(),
            source: Source::Api,
            since: standing.since.map(|since| since.age_at(wall)),
            confirmed: now.duration_since(*at),
            until: blocked.until,
        })
    }
}

/// What a server keeps from before this process says nothing of it, until it moves.
fn moved_since(one: &Conversation, started: Option<SystemTime>) -> bool {
    let Some(started) = started.and_then(|started| started.checked_sub(GRAIN)) else { return true };
    let moved = one.standing.since.and_then(|since| u64::try_from(since.0).ok()).map(Duration::from_millis);
    let moved = moved.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
    let is_later = |at: Option<SystemTime>| at.is_some_and(|at| at >= started);
    one.directory.is_none() || is_later(one.began) || is_later(moved) || one.standing.state.runs()
}
