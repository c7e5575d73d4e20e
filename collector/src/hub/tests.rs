use std::collections::BTreeMap;

use fleet_domain::Wall;
use fleet_domain::fleet::{Restored, Unresolved};
use fleet_domain::observation::{NativeState, Pane, Vantage};
use fleet_domain::readiness::State;
use fleet_domain::usage::{Change, Tokens};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::oneshot;

use super::readers::{FOLLOW_QUEUE, MAX_DELTAS, WATCH_QUEUE};
use super::*;
use crate::fixture::{hello, hub, now, planes, seen, shell, socket};
use crate::store::{Whose, conformance};

const R: ReporterId = ReporterId(1);

fn connected() -> (Hub, Arc<Meters>, tokio::sync::mpsc::Receiver<Numbered>) {
    let (mut hub, meters, sink) = hub(Loaded::default(), 100_000);
    hub.step(Input::Connected { reporter: R, hello: hello(Vantage::Host, "") }, now(0));
    (hub, meters, sink)
}

fn observe(hub: &mut Hub, session: &str, state: NativeState, at: i64) {
    hub.step(Input::Observed { reporter: R, observation: seen(session, state) }, now(at));
}

fn moved(numbered: &Numbered) -> &Transition {
    let Happening::Transition(transition) = &numbered.what else { panic!("{numbered:?}") };
    transition
}

fn ask<T>(hub: &mut Hub, at: i64, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> T {
    let (reply, mut answer) = oneshot::channel();
    hub.answer(ask(reply), now(at));
    answer.try_recv().unwrap()
}

fn dropped(meters: &Meters, wanted: Dropped) -> u64 {
    meters.dropped().find(|(reason, _)| *reason == wanted).unwrap().1
}

#[test]
fn many_deaths_are_one_event_and_one_count() {
    let (mut hub, _, mut sink) = connected();
    let told = MassEnd { agents: vec!["a".to_owned(), "b".to_owned(), "c".to_owned()], apart: None };
    hub.step(Input::MassEnd { reporter: R, told: told.clone() }, now(5));
    let Happening::MassDeath(death) = sink.try_recv().unwrap().what else { panic!("no death of many") };
    assert_eq!((death.end, death.at), (told.clone(), now(5).wall));
    let hosts = |hub: &Hub| hub.fleet.hosts().map(|(_, _, host)| host.mass_deaths).collect::<Vec<_>>();
    assert_eq!(hosts(&hub), [1]);
    // Beside one agent nobody knows of the others.
    let other = ReporterId(2);
    hub.step(Input::Connected { reporter: other, hello: hello(Vantage::Agent, "a") }, now(6));
    hub.step(Input::MassEnd { reporter: other, told }, now(7));
    assert_eq!(hosts(&hub), [1]);
}

#[test]
fn transitions_go_to_the_store_numbered_on_from_the_last_one() {
    let (mut hub, _, mut sink) = hub(Loaded { agents: Vec::new(), last_seq: 41, ..Loaded::default() }, 8);
    hub.step(Input::Connected { reporter: R, hello: hello(Vantage::Host, "") }, now(0));
    observe(&mut hub, "a", NativeState::Busy, 1);
    observe(&mut hub, "a", NativeState::Busy, 2);
    observe(&mut hub, "a", NativeState::TurnEnded, 3);
    let told: Vec<(u64, State)> = std::iter::from_fn(|| sink.try_recv().ok())
        .map(|numbered| (numbered.seq, moved(&numbered).to))
        .collect();
    assert_eq!(told, [(42, State::Working), (43, State::Available)]);
    let listing = ask(&mut hub, 4, |reply| Ask::List { day: Day::Local, reply });
    assert_eq!((listing.agents[0].name.as_str(), listing.agents[0].state), ("a", State::Available));
    assert!(listing.hosts[0].up);
}

#[test]
fn a_full_store_queue_costs_a_count_and_no_standstill() {
    let (mut hub, meters, _sink) = hub(Loaded::default(), 1);
    hub.step(Input::Connected { reporter: R, hello: hello(Vantage::Host, "") }, now(0));
    observe(&mut hub, "a", NativeState::Busy, 1);
    observe(&mut hub, "b", NativeState::Busy, 1);
    assert_eq!(dropped(&meters, Dropped::Transition), 1);
    assert_eq!(ask(&mut hub, 2, |reply| Ask::Status { reply }), Status { streams: 1, agents: 2 });
}

#[test]
fn silence_is_settled_before_a_question_is_answered() {
    let (mut hub, _, mut sink) = connected();
    observe(&mut hub, "a", NativeState::Busy, 0);
    assert!(hub.next_deadline().unwrap() > now(0).mono);
    sink.try_recv().unwrap();
    let listing = ask(&mut hub, 60_000, |reply| Ask::List { day: Day::Local, reply });
    assert_eq!(listing.agents[0].state, State::Stale);
    assert_eq!(moved(&sink.try_recv().unwrap()).to, State::Stale);
}

#[test]
fn a_restart_knows_standing_totals_and_counts() {
    let output = |output| Tokens { output, ..Tokens::default() };
    let restored = Restored {
        key: conformance::key("a"),
        standing: Some((State::Working, None, Wall(42))),
        by_model: BTreeMap::from([("m".to_owned(), output(70))]),
        recent: vec![(now(0).wall, output(7))],
        transitions: BTreeMap::from([((State::Available, State::Working), 3)]),
    };
    let (mut hub, _, mut sink) = hub(Loaded { agents: vec![restored], last_seq: 9, ..Loaded::default() }, 8);
    hub.step(Input::Connected { reporter: R, hello: hello(Vantage::Host, "") }, now(0));
    observe(&mut hub, "a", NativeState::Busy, 1);
    let change = Change { minus: None, plus: conformance::record("r", 5, now(0).wall.0) };
    hub.step(Input::Booked(vec![Booked { owner: conformance::key("a"), change, spent: Vec::new() }]), now(2));
    let view = &ask(&mut hub, 3, |reply| Ask::List { day: Day::Local, reply }).agents[0];
    assert_eq!((view.since, view.by_model["m"].output, view.tokens_today.output), (Wall(42), 75, 12));
    assert_eq!(view.transitions[&(State::Available, State::Working)], 3);
    assert!(sink.try_recv().is_err());
}

#[test]
fn a_watcher_sees_a_snapshot_then_each_change_once() {
    let (mut hub, _, _sink) = connected();
    observe(&mut hub, "a", NativeState::Busy, 1);
    let mut watch = ask(&mut hub, 2, |reply| Ask::Watch { day: Day::Local, reply }).unwrap();
    let first = watch.snapshots.borrow_and_update().clone();
    assert_eq!(first.agents.len(), 1);
    assert_eq!(watch.deltas.try_recv().unwrap_err(), TryRecvError::Empty);
    observe(&mut hub, "a", NativeState::TurnEnded, 3);
    observe(&mut hub, "a", NativeState::TurnEnded, 4);
    hub.publish(now(5));
    match watch.deltas.try_recv().unwrap() {
        Delta::Changed(view) => assert_eq!(view.state, State::Available),
        other @ Delta::Removed { .. } => panic!("{other:?}"),
    }
    assert_eq!(watch.deltas.try_recv().unwrap_err(), TryRecvError::Empty);
    hub.step(Input::Observed { reporter: R, observation: shell("plain") }, now(6));
    let gone = Observation { pane: Pane::Gone, ..shell("plain") };
    hub.step(Input::Observed { reporter: R, observation: gone }, now(7));
    hub.publish(now(8));
    match watch.deltas.try_recv().unwrap() {
        Delta::Removed { key, generation } => {
            assert_eq!((key.session.as_str(), key.socket), ("plain", socket()));
            assert!(generation > first.generation);
        }
        other @ Delta::Changed(_) => panic!("{other:?}"),
    }
    assert!(!watch.snapshots.has_changed().unwrap());
}

#[test]
fn many_changes_at_once_and_changes_of_a_host_are_a_new_snapshot() {
    let (mut hub, _, _sink) = connected();
    let mut watch = ask(&mut hub, 0, |reply| Ask::Watch { day: Day::From(Wall(0)), reply }).unwrap();
    watch.snapshots.borrow_and_update();
    let names: Vec<String> = (0..=MAX_DELTAS).map(|n| format!("a{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    hub.step(Input::Planes { reporter: R, planes: planes(&names) }, now(1));
    hub.publish(now(2));
    assert!(watch.snapshots.has_changed().unwrap());
    assert_eq!(watch.snapshots.borrow_and_update().agents.len(), MAX_DELTAS + 1);
    hub.step(Input::Disconnected { reporter: R, clean: true }, now(3));
    hub.publish(now(4));
    let latest = watch.snapshots.borrow_and_update().clone();
    assert!(latest.hosts[0].stopped && !latest.hosts[0].up);
    assert_eq!(watch.deltas.try_recv().unwrap_err(), TryRecvError::Empty);
}

#[test]
fn a_slow_watcher_is_cut_off_and_the_others_are_not() {
    let (mut hub, meters, _sink) = connected();
    observe(&mut hub, "a", NativeState::Busy, 0);
    let mut slow = ask(&mut hub, 0, |reply| Ask::Watch { day: Day::Local, reply }).unwrap();
    let mut quick = ask(&mut hub, 0, |reply| Ask::Watch { day: Day::Local, reply }).unwrap();
    for n in 0..=WATCH_QUEUE as i64 {
        observe(&mut hub, "a", NativeState::Busy, n);
        hub.publish(now(n));
        quick.deltas.try_recv().unwrap();
    }
    assert!(slow.cut.is_set() && !quick.cut.is_set());
    let held = std::iter::from_fn(|| slow.deltas.try_recv().ok()).count();
    assert_eq!(held, WATCH_QUEUE);
    assert_eq!(slow.deltas.try_recv().unwrap_err(), TryRecvError::Disconnected);
    assert_eq!(dropped(&meters, Dropped::Reader), 1);
    drop(quick);
    observe(&mut hub, "a", NativeState::TurnEnded, 1);
    hub.publish(now(1));
    assert_eq!(dropped(&meters, Dropped::Reader), 1, "who leaves is not cut off");
}

#[test]
fn a_follower_hears_its_own_agent_from_now_on_until_it_is_too_slow() {
    let (mut hub, meters, _sink) = connected();
    observe(&mut hub, "a", NativeState::Busy, 1);
    let whose = Some(Whose::Session("a".to_owned()));
    let mut follow = ask(&mut hub, 2, |reply| Ask::Follow { whose, reply }).unwrap();
    assert_eq!(follow.after, 1);
    observe(&mut hub, "b", NativeState::Busy, 3);
    observe(&mut hub, "a", NativeState::TurnEnded, 4);
    let numbered = follow.transitions.try_recv().unwrap();
    assert_eq!((numbered.seq, moved(&numbered).key.session.as_str()), (3, "a"));
    for n in 0..=FOLLOW_QUEUE as i64 {
        let state = if n % 2 == 0 { NativeState::Busy } else { NativeState::TurnEnded };
        observe(&mut hub, "a", state, 5 + n);
    }
    assert!(follow.cut.is_set());
    assert_eq!(dropped(&meters, Dropped::Reader), 1);
}

#[test]
fn names_are_found_by_prefix_and_slips_are_recognised() {
    let (mut hub, _, _sink) = connected();
    for session in ["coder0", "coder1", "lead"] {
        observe(&mut hub, session, NativeState::Busy, 0);
    }
    let mut get =
        |name: &str| ask(&mut hub, 1, |reply| Ask::Get { name: name.to_owned(), day: Day::Local, reply });
    let lead = get("le").unwrap();
    assert!(lead.name == "lead" && !lead.signals.is_empty());
    let candidates = vec!["coder0".to_owned(), "coder1".to_owned()];
    assert_eq!(get("coder").unwrap_err(), Unresolved::Ambiguous { candidates, count: 2 });
    assert_eq!(get("laed").unwrap_err(), Unresolved::Unknown { nearest: None });
}

#[test]
fn a_scrape_shows_hosts_sidecars_and_what_they_dropped() {
    let (mut hub, _, _sink) = connected();
    for reporter in [ReporterId(2), ReporterId(3)] {
        hub.step(Input::Connected { reporter, hello: hello(Vantage::Agent, "a") }, now(0));
    }
    for n in 0..40 {
        let reason = format!("reason{n}");
        hub.step(Input::SidecarDropped { reporter: R, reason, count: 2 }, now(0));
    }
    let snapshot = ask(&mut hub, 1, |reply| Ask::Scrape { reply });
    assert_eq!((snapshot.hosts.len(), snapshot.hosts[0].up, snapshot.hosts[0].skew_ms), (1, true, Some(250)));
    let agents: Vec<&str> = snapshot.sidecars.iter().map(|sidecar| sidecar.agent.as_str()).collect();
    assert_eq!((agents, snapshot.streams), (vec!["", "a"], 3));
    assert_eq!(snapshot.drops.len(), 17);
    assert_eq!(snapshot.drops.iter().map(|drops| drops.count).sum::<u64>(), 80);
}
