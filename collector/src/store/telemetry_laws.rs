//! What telemetry tells and what transcripts show, in any order and with any repetition: each response counts once, the
//! transcript's word before telemetry's, and what the register holds is what the ledger says.

use std::collections::{BTreeMap, BTreeSet};

use fleet_domain::price::Table;
use fleet_domain::report::Question;
use fleet_domain::usage::Record;
use fleet_domain::{HostId, SessionId, TenantId, Wall};
use proptest::prelude::*;

use super::conformance::{T, record, usage};
use super::sqlite::Sqlite;
use super::{Auxiliary, AuxiliaryWrite, Booked, Join, Place, Store, Write};

#[derive(Debug, Clone, Copy)]
enum Step {
    /// Telemetry: this request, of this conversation.
    Told(u8, u8),
    /// A transcript: the response to this request, of this conversation.
    Shown(u8, u8),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u8..6, 0u8..3).prop_map(|(request, conversation)| Step::Told(request, conversation)),
        4 => (0u8..6, 0u8..3).prop_map(|(request, conversation)| Step::Shown(request, conversation)),
        1 => Just(Step::Restart),
    ]
}

/// A conversation's requests are its own; Codex' are known by the conversation alone.
fn of(request: u8, conversation: u8) -> (String, Join) {
    let name = format!("c{conversation}");
    match conversation {
        2 => (format!("codex{request}"), Join::Conversation(name)),
        _ => {
            (format!("req_{conversation}_{request}"), Join::Request(format!("req_{conversation}_{request}")))
        }
    }
}

fn response(id: &str, conversation: u8, output: u64) -> Record {
    Record { conversation: SessionId::new(format!("c{conversation}")), ..record(id, output, T) }
}

fn write(step: Step) -> Option<Write> {
    Some(match step {
        Step::Restart => return None,
        Step::Told(request, conversation) => {
            let (name, join) = of(request, conversation);
            let record = response(&format!("otel:{name}"), conversation, 100);
            let told =
                vec![Auxiliary { runtime: "claude".to_owned(), account: "a".to_owned(), join, record }];
            let (tenant, host) = (TenantId::new("me"), HostId::new("box"));
            Write::Auxiliary(AuxiliaryWrite { tenant, host, received: Wall(T), told })
        }
        Step::Shown(request, conversation) => {
            let (name, _) = of(request, conversation);
            let records = vec![response(&format!("msg:{name}"), conversation, 1)];
            let mut write = usage(&format!("s{conversation}"), "t", request, records);
            write.batch.requests = vec![name];
            Write::Usage(write)
        }
    })
}

/// Output tokens: 100 for what only telemetry told, 1 for what a transcript shows.
fn expected(steps: &[Step]) -> u64 {
    let shown: BTreeSet<String> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Shown(r, c) => Some(of(*r, *c).0),
            _ => None,
        })
        .collect();
    let codex_shown = steps.iter().any(|step| matches!(step, Step::Shown(_, 2)));
    let told: BTreeSet<String> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Told(_, 2) if codex_shown => None,
            Step::Told(r, c) => Some(of(*r, *c).0).filter(|name| !shown.contains(name)),
            _ => None,
        })
        .collect();
    shown.len() as u64 + 100 * told.len() as u64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn each_response_counts_once_whoever_tells_of_it_first(steps in proptest::collection::vec(step(), 0..30)) {
        let dir = tempfile::tempdir().unwrap();
        let open = || Sqlite::open(&dir.path().join("r")).unwrap();
        let (mut store, mut register) = (open(), BTreeMap::<String, i64>::new());
        for step in &steps {
            let Some(write) = write(*step) else {
                drop(store);
                store = open();
                continue;
            };
            for Booked { owner, change, .. } in store.commit(&[write]).unwrap().into_iter().flatten() {
                let sum = register.entry(owner.session).or_default();
                *sum += change.plus.tokens.output as i64;
                *sum -= change.minus.map_or(0, |minus| minus.tokens.output as i64);
            }
        }
        let summed = store.summed(&Question::default(), &Table::default(), &Place::default(), 1_000).unwrap();
        prop_assert_eq!(summed.report.total().tokens.output, expected(&steps));
        prop_assert_eq!(register.values().sum::<i64>(), expected(&steps) as i64);
        for restored in store.load(Wall(T)).unwrap().agents {
            let kept: u64 = restored.by_model.values().map(|tokens| tokens.output).sum();
            prop_assert_eq!(kept as i64, register.get(&restored.key.session).copied().unwrap_or(0));
        }
        // Whose conversation is known has it; nobody's is only what no transcript knows.
        let known: BTreeSet<u8> =
            steps.iter().filter_map(|step| match step { Step::Shown(_, c) => Some(*c), _ => None }).collect();
        if (0..3).all(|conversation| known.contains(&conversation)) {
            prop_assert_eq!(register.get(fleet_domain::usage::UNATTRIBUTED).copied().unwrap_or(0), 0);
        }
    }
}
