//! Transcripts against the runtimes' own sums: one pass over each file for its responses, one for what its runtime says
//! of itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use fleet_domain::reconcile::Conversation;
use fleet_domain::usage::{Record, Tokens, merge};

use super::scan::{self, Found};
use super::{Follower, Source, Unknown};
use crate::runtimes::{claude, codex, opencode};
use crate::tail::Tail;

/// Read at a time, in bytes.
const BUDGET: usize = 1 << 20;

#[derive(Debug, Default)]
pub struct Checked {
    pub conversations: Vec<Conversation>,
    pub files: usize,
    /// Lines and rows that should have been readable.
    pub unreadable: u64,
    /// Rows that may bill and are not known here.
    pub unknown: Unknown,
    pub failed: Vec<(PathBuf, std::io::Error)>,
}

/// What is known of one conversation before it is summed.
#[derive(Debug, Default)]
struct Draft {
    /// Responses in its files, its own and copied ones, by place in the records.
    seen: BTreeSet<usize>,
    told: Option<Tokens>,
    /// Of the runtime's sum, what it began with.
    began: Tokens,
    compactions: u64,
    interactive: bool,
}

#[derive(Default)]
struct Check {
    places: BTreeMap<String, usize>,
    records: Vec<Record>,
    drafts: BTreeMap<(&'static str, String), Draft>,
    unknown: Unknown,
}

/// Checks what lies at and below `paths`, as [`scan::scan`] finds it.
pub fn check(paths: &[PathBuf], runtime: Option<&str>) -> Checked {
    let Found { sources, mut failed } = scan::find(paths, runtime);
    let mut check = Check::default();
    let mut unreadable = 0;
    for (runtime, source) in &sources {
        match check.read(runtime, source) {
            Ok(count) => unreadable += count,
            Err(error) => failed.push((source.path.clone(), error)),
        }
    }
    let unknown = std::mem::take(&mut check.unknown);
    Checked { conversations: check.conversations(), files: sources.len(), unreadable, unknown, failed }
}

impl Check {
    fn read(&mut self, runtime: &'static str, source: &Source) -> std::io::Result<u64> {
        let home = home(runtime, &source.path);
        let mut follower = Follower::new(source, &[]);
        let mut unreadable = 0;
        loop {
            let mut unknown = std::mem::take(&mut self.unknown);
            let stretch = follower.count(
                BUDGET,
                &mut |record| self.put(runtime, home.as_deref(), record),
                &mut |kind| unknown.add(runtime, kind, 1),
            );
            self.unknown = unknown;
            let stretch = stretch?;
            unreadable += stretch.unreadable;
            if !stretch.more {
                break;
            }
        }
        match (runtime, home) {
            (claude::NAME, Some(home)) => self.claude(&source.path, home)?,
            (codex::NAME, _) if source.path.extension().is_some_and(|kind| kind == "zst") => {}
            (codex::NAME, _) => self.codex(&source.path)?,
            (opencode::NAME, _) => {
                for sum in opencode::store::sums(&source.path) {
                    let draft = self.draft(opencode::NAME, &sum.session);
                    (draft.told, draft.began) = (Some(sum.told), sum.copied);
                }
            }
            _ => {}
        }
        Ok(unreadable)
    }

    fn draft(&mut self, runtime: &'static str, id: &str) -> &mut Draft {
        self.drafts.entry((runtime, id.to_owned())).or_default()
    }

    fn put(&mut self, runtime: &'static str, home: Option<&str>, record: Record) {
        let payer = record.conversation.to_string();
        let place = *self.places.entry(record.id.clone()).or_insert(self.records.len());
        match self.records.get_mut(place) {
            Some(known) => {
                if let Some(change) = merge(Some(known), &record) {
                    *known = change.plus;
                }
            }
            None => self.records.push(record),
        }
        for id in [Some(payer.as_str()), home].into_iter().flatten() {
            self.draft(runtime, id).seen.insert(place);
        }
    }

    /// The last sum is the largest: each is of all before it.
    fn claude(&mut self, path: &Path, home: String) -> std::io::Result<()> {
        let draft = self.draft(claude::NAME, &home);
        lines(path, |line| {
            draft.interactive |= claude::marks::is_interactive(line);
            match claude::marks::parse(line) {
                Some(claude::marks::Mark::Sums(sums)) if sums.conversation.as_str() == home => {
                    let mut told = Tokens::default();
                    sums.by_model.values().for_each(|of| told.add(of));
                    draft.told = Some(told);
                }
                Some(claude::marks::Mark::Compacted(_)) => draft.compactions += 1,
                _ => {}
            }
        })
    }

    fn codex(&mut self, path: &Path) -> std::io::Result<()> {
        lines(path, |line| {
            if let Some(sum) = codex::rollout::told(line) {
                let draft = self.draft(codex::NAME, &sum.thread);
                if draft.told.is_none() {
                    draft.began = sum.before;
                }
                draft.told = Some(sum.after);
            }
        })
    }

    fn conversations(self) -> Vec<Conversation> {
        let Self { records, drafts, .. } = self;
        let made = drafts.into_iter().map(|((runtime, id), draft)| {
            let mut conversation = Conversation {
                runtime: runtime.to_owned(),
                inherited: draft.began,
                told: draft.told,
                compactions: draft.compactions,
                interactive: draft.interactive,
                ..Conversation::default()
            };
            for record in draft.seen.iter().filter_map(|place| records.get(*place)) {
                if record.conversation.as_str() == id {
                    conversation.counted.add(&record.tokens);
                    conversation.responses += 1;
                } else {
                    conversation.inherited.add(&record.tokens);
                }
            }
            Conversation { id, ..conversation }
        });
        made.filter(|made| made.told.is_some() || made.responses > 0).collect()
    }
}

/// The conversation whose file this is, where the file's name says so: sub-agents' files are their conversation's.
fn home(runtime: &str, path: &Path) -> Option<String> {
    let stem = path.file_stem()?.to_str()?;
    (runtime == claude::NAME && !stem.starts_with("agent-")).then(|| stem.to_owned())
}

fn lines(path: &Path, mut take: impl FnMut(&[u8])) -> std::io::Result<()> {
    let mut tail = Tail::new(path.to_owned(), None);
    while tail.read(BUDGET, &mut take)?.more {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use fleet_domain::reconcile::{Cause, Residual, Told};

    use super::super::Beside;
    use super::*;

    fn checked(below: &str) -> Vec<(Cause, [i64; 4])> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/usage").join(below);
        let checked = check(&[root], None);
        assert_eq!((checked.unreadable, checked.failed.len()), (0, 0));
        assert!(checked.unknown.is_empty(), "{:?}", checked.unknown);
        let told = checked.conversations.iter();
        told.map(|of| (of.cause(), of.residual().unwrap_or_default().0)).collect()
    }

    /// A session that was compacted, the same forked, and the fork's parent.
    #[test]
    fn recorded_sessions_agree_with_claudes_own_sums_but_for_compactions() {
        let told = checked("claude-2.1.330");
        let exact = (Cause::None, [0; 4]);
        assert_eq!((told[1], told[2]), (exact, exact));
        assert_eq!(told[0].0, Cause::Compaction);
        assert_eq!(checked("claude-2.1.330-compact"), [(Cause::Compaction, [37, 17_000, 600, 417])]);
        assert_eq!(checked("claude-2.1.330-interactive"), [exact]);
    }

    /// What a follower sees on its way, put together as the collector does.
    fn followed(root: PathBuf) -> BTreeMap<String, (Cause, Residual)> {
        let mut records: BTreeMap<String, Record> = BTreeMap::new();
        let mut told: BTreeMap<String, (String, Told)> = BTreeMap::new();
        for (runtime, source) in scan::find(&[root], None).sources {
            let mut position = Vec::new();
            loop {
                // From the remembered position each time, as after a restart.
                let mut follower = Follower::new(&source, &position);
                let mut emit = |record: Record| {
                    if let Some(change) = merge(records.get(&record.id), &record) {
                        records.insert(record.id, change.plus);
                    }
                };
                let mut beside = |beside| match beside {
                    Beside::Told(sum) => {
                        let known = told.entry(sum.conversation.clone());
                        known.or_insert_with(|| (runtime.to_owned(), sum.clone())).1.merge(&sum);
                    }
                    Beside::Unknown(kind) => panic!("{kind} is known"),
                    Beside::Sighting(_) | Beside::Request(_) => {}
                };
                let stretch = follower.follow(4 << 10, &mut emit, &mut beside).unwrap();
                position = follower.position();
                if !stretch.more {
                    break;
                }
            }
        }
        let counted = |id: &str| {
            let mut sum = Tokens::default();
            records.values().filter(|of| of.conversation.as_str() == id).for_each(|of| sum.add(&of.tokens));
            sum
        };
        told.into_iter()
            .map(|(id, (runtime, told))| {
                let of = told.against(&runtime, counted(&id));
                (id, (of.cause(), of.residual().unwrap()))
            })
            .collect()
    }

    #[test]
    fn what_is_seen_while_following_says_the_same() {
        for below in
            ["claude-2.1.330", "claude-2.1.330-compact", "claude-2.1.330-interactive", "codex-0.169.0"]
        {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/usage").join(below);
            let checked = check(std::slice::from_ref(&root), None).conversations.into_iter();
            let checked = checked.filter_map(|of| Some((of.id.clone(), (of.cause(), of.residual()?))));
            assert_eq!(followed(root), checked.collect(), "{below}");
        }
    }

    #[test]
    fn a_recorded_thread_and_its_fork_agree_with_codexs_own_sums() {
        assert_eq!(checked("codex-0.169.0"), [(Cause::None, [0; 4]); 2]);
    }

    #[test]
    fn a_runtime_without_sums_is_not_judged() {
        assert!(checked("pi-0.73.1").iter().all(|(cause, _)| *cause == Cause::NoSum));
    }
}
