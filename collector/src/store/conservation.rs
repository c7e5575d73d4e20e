//! Nothing lost, nothing twice: whatever the order of batches, repeats, failures and restarts, the sums that the store
//! keeps, the sums that a register would hold in memory, and the merge of all records ever sent are the same.

use std::collections::BTreeMap;

use fleet_domain::price::Table;
use fleet_domain::report::{By, Question};
use fleet_domain::usage::{Record, Tokens, merge};
use fleet_domain::{AgentKey, Wall};
use proptest::prelude::*;

use super::conformance::{T, key, record, usage};
use super::sqlite::Sqlite;
use super::{Place, Store, UsageWrite, Write};

type Totals = BTreeMap<(AgentKey, String), Tokens>;

#[derive(Debug, Clone)]
enum Step {
    /// These batches in one transaction.
    Commit(Vec<Batch>),
    /// The same batches once more, as after a lost acknowledgement.
    Repeat,
    /// The disk is full: the transaction must leave nothing behind.
    Fail(Vec<Batch>),
    Restart,
    /// So many hours of the past are left as they are: before that are sums of hours, or of days.
    Roll {
        left: i64,
        days: bool,
    },
}

#[derive(Debug, Clone)]
struct Batch {
    session: u8,
    records: Vec<(u8, u64, u8, i64, bool)>,
}

impl Batch {
    fn write(&self, cursor: u8) -> Write {
        let records = self.records.iter().map(|(id, output, model, at, sidechain)| Record {
            model: format!("m{}", model % 2),
            sidechain: *sidechain,
            ..record(&format!("r{id}"), *output, T - at * 60_000)
        });
        Write::Usage(usage(&format!("s{}", self.session), "t", cursor, records.collect()))
    }
}

fn batch() -> impl Strategy<Value = Batch> {
    let record = (0u8..8, 0u64..40, any::<u8>(), 0i64..3_000, any::<bool>());
    (0u8..3, proptest::collection::vec(record, 0..6))
        .prop_map(|(session, records)| Batch { session, records })
}

fn step() -> impl Strategy<Value = Step> {
    let batches = || proptest::collection::vec(batch(), 1..4);
    prop_oneof![
        6 => batches().prop_map(Step::Commit),
        2 => Just(Step::Repeat),
        1 => batches().prop_map(Step::Fail),
        1 => Just(Step::Restart),
        2 => (-2i64..60, any::<bool>()).prop_map(|(left, days)| Step::Roll { left, days }),
    ]
}

/// What the whole of it should come to: the first session to send an id owns it, the best version counts.
#[derive(Default)]
struct Oracle {
    known: BTreeMap<String, (AgentKey, Record)>,
    cursor: Option<u8>,
}

impl Oracle {
    fn take(&mut self, write: &UsageWrite) {
        for record in &write.batch.records {
            let known = self.known.get(&record.id);
            if let Some(change) = merge(known.map(|(_, record)| record), record) {
                let owner = known.map_or_else(|| write.reader(), |(owner, _)| owner.clone());
                self.known.insert(record.id.clone(), (owner, change.plus));
            }
        }
        self.cursor = write.batch.cursor.first().copied();
    }

    fn totals(&self) -> Totals {
        let mut totals = Totals::new();
        for (owner, record) in self.known.values() {
            totals.entry((owner.clone(), record.model.clone())).or_default().add(&record.tokens);
        }
        totals
    }
}

/// The same, asked as readers ask: page by page, each response or what became of it.
fn asked(store: &mut Sqlite) -> (Totals, u64) {
    let question = Question { by: [By::Agent, By::Model].into(), ..Question::default() };
    let (mut totals, mut responses, mut after) = (Totals::new(), 0, Some(Place::default()));
    while let Some(place) = after {
        let page = store.summed(&question, &Table::default(), &place, 3).unwrap();
        for (group, sum) in page.report.0 {
            responses += sum.responses;
            assert_eq!(sum.costs.unpriced, sum.responses);
            totals.entry((group.agent.unwrap(), group.model.unwrap())).or_default().add(&sum.tokens);
        }
        after = page.next;
    }
    (nonzero(&totals), responses)
}

fn stored(store: &mut Sqlite) -> Totals {
    let agents = store.load(Wall(T)).unwrap().agents;
    let each = agents.into_iter().flat_map(|restored| {
        let key = restored.key;
        restored.by_model.into_iter().map(move |(model, tokens)| ((key.clone(), model), tokens))
    });
    each.filter(|(_, tokens)| !tokens.is_zero()).collect()
}

fn nonzero(totals: &Totals) -> Totals {
    totals
        .iter()
        .filter(|(_, tokens)| !tokens.is_zero())
        .map(|(key, tokens)| (key.clone(), *tokens))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_history_sums_to_the_merge_of_all_records(steps in proptest::collection::vec(step(), 1..24)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("register.sqlite3");
        let mut store = Sqlite::open(&path).unwrap();
        let mut oracle = Oracle::default();
        let mut memory = Totals::new();
        let mut last: Vec<Write> = Vec::new();
        let mut cursor = 0u8;
        for step in steps {
            let (writes, fails) = match &step {
                Step::Commit(batches) | Step::Fail(batches) => {
                    cursor = cursor.wrapping_add(1);
                    (batches.iter().map(|batch| batch.write(cursor)).collect(), matches!(step, Step::Fail(_)))
                }
                Step::Repeat => (last.clone(), false),
                Step::Restart => {
                    drop(store);
                    store = Sqlite::open(&path).unwrap();
                    continue;
                }
                Step::Roll { left, days } => {
                    let keep = if *days { super::KEEP_HOURS } else { super::KEEP_RESPONSES };
                    let now = Wall(T - left * 3_600_000).plus(keep);
                    store.prune(now).unwrap();
                    prop_assert_eq!(store.prune(now).unwrap(), 0, "nothing is left to do");
                    (Vec::new(), false)
                }
            };
            if fails {
                store.refuse_cursors(true);
                prop_assert!(store.commit(&writes).is_err());
                store.refuse_cursors(false);
            } else {
                for booked in store.commit(&writes).unwrap().into_iter().flatten() {
                    if let Some(old) = &booked.change.minus {
                        memory.entry((booked.owner.clone(), old.model.clone())).or_default().subtract(&old.tokens);
                    }
                    let new = booked.change.plus;
                    memory.entry((booked.owner, new.model)).or_default().add(&new.tokens);
                }
                for write in &writes {
                    if let Write::Usage(write) = write { oracle.take(write); }
                }
                if !matches!(step, Step::Roll { .. }) {
                    last = writes;
                }
            }
            prop_assert_eq!(stored(&mut store), oracle.totals());
            prop_assert_eq!(asked(&mut store), (oracle.totals(), oracle.known.len() as u64));
            prop_assert_eq!(nonzero(&memory), oracle.totals());
            let source = super::SourceKey { source: "t".to_owned(), tenant: key("x").tenant, host: key("x").host };
            prop_assert_eq!(store.cursor(&source).unwrap(), oracle.cursor.map(|cursor| vec![cursor]));
        }
    }
}
