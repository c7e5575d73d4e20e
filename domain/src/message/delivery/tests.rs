use proptest::prelude::*;

use super::*;
use crate::message::gate::{Hold, Life, Trouble};
use crate::observation::StuckKind;

const TEXT: &str = "[box:lead -> box:coder0] Please review branch parse-dates.\nIt is green.";

fn seen(composer: Option<Composer>) -> Seen {
    Seen { life: Life::Runs, hold: None, troubles: Vec::new(), waits: false, composer, queued: false }
}

fn holds(text: &str) -> Composer {
    Composer::Holds { text: text.to_owned(), rest: Vec::new() }
}

fn ours() -> Seen {
    seen(Some(holds("[box:lead -> box:coder0] Please review\n  branch parse-dates.\n It is green.")))
}

fn empty() -> Seen {
    seen(Some(Composer::Empty))
}

fn asks() -> Seen {
    let trouble = Trouble { kind: StuckKind::Permission, line: "Do you want to proceed?".to_owned() };
    Seen { troubles: vec![trouble], ..seen(None) }
}

fn wanted() -> Wanted {
    Wanted { verify: false, recorded: true, limit: Duration::from_secs(30) }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Pasted, drawn, and the first Enter pressed at 250 ms.
fn entered(wanted: Wanted) -> Delivery {
    let mut delivery = Delivery::new(TEXT, wanted);
    assert_eq!(delivery.next(&empty(), None, ms(10)), Step::Look);
    assert_eq!(delivery.next(&ours(), None, ms(100)), Step::Look);
    assert_eq!(delivery.next(&ours(), None, ms(250)), Step::Enter);
    delivery
}

fn end(step: Step) -> End {
    match step {
        Step::Done(end) => end,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_enter_follows_a_text_that_is_drawn_whole_and_the_record_proves_the_turn() {
    let mut delivery = entered(wanted());
    assert_eq!(delivery.next(&empty(), None, ms(300)), Step::Look);
    let end = end(delivery.next(&empty(), Some(Taken::Turn), ms(400)));
    assert_eq!((end.fate, end.proof, delivery.enters()), (Fate::Accepted, Proof::Transcript, 1));
}

#[test]
fn a_stand_in_for_a_long_text_counts_as_the_text() {
    let mut delivery = Delivery::new(TEXT, wanted());
    let pasted = seen(Some(Composer::Pasted));
    assert_eq!(delivery.next(&pasted, None, ms(0)), Step::Look);
    assert_eq!(delivery.next(&pasted, None, ms(200)), Step::Enter);
}

#[test]
fn without_a_record_an_empty_box_is_delivered_or_queued_where_the_screen_says_so() {
    let mut delivery = entered(wanted());
    assert_eq!(delivery.next(&empty(), None, ms(300)), Step::Look);
    let told = end(delivery.next(&empty(), None, ms(3_400)));
    assert_eq!((told.fate, told.proof), (Fate::Delivered, Proof::Screen));
    let mut delivery = entered(Wanted { recorded: false, ..wanted() });
    delivery.next(&empty(), None, ms(300));
    let queued = Seen { queued: true, ..empty() };
    assert_eq!(end(delivery.next(&queued, None, ms(500))).fate, Fate::Queued);
}

#[test]
fn verify_waits_for_the_turn_behind_the_queue_and_gives_up_at_the_limit() {
    let mut delivery = entered(Wanted { verify: true, ..wanted() });
    assert_eq!(delivery.next(&empty(), Some(Taken::Queue), ms(400)), Step::Look);
    let late = end(delivery.clone().next(&empty(), Some(Taken::Queue), ms(30_000)));
    assert_eq!((late.fate, late.timed_out), (Fate::Queued, true));
    assert_eq!(end(delivery.next(&empty(), Some(Taken::Turn), ms(9_000))).fate, Fate::Accepted);
    let mut unproven = entered(Wanted { verify: true, ..wanted() });
    assert_eq!(unproven.next(&empty(), None, ms(20_000)), Step::Look);
    let late = end(unproven.next(&empty(), None, ms(30_000)));
    assert_eq!((late.fate, late.timed_out), (Fate::Delivered, true));
}

#[test]
fn a_swallowed_enter_is_pressed_again_and_twice_at_most() {
    let mut delivery = entered(wanted());
    assert_eq!(delivery.next(&ours(), None, ms(1_000)), Step::Look);
    assert_eq!(delivery.next(&ours(), None, ms(1_800)), Step::Enter);
    assert_eq!(delivery.next(&ours(), None, ms(3_400)), Step::Enter);
    assert_eq!(delivery.next(&ours(), None, ms(5_000)), Step::Look);
    let end = end(delivery.next(&ours(), None, ms(8_500)));
    assert_eq!((end.fate, delivery.enters()), (Fate::Draft, 3));
    assert!(end.why.contains("3 times"), "{}", end.why);
}

#[test]
fn a_program_that_holds_it_until_it_has_started_is_left_alone() {
    let mut delivery = entered(wanted());
    let held = Seen { queued: true, ..ours() };
    assert_eq!(delivery.next(&held, None, ms(20_000)), Step::Look);
    assert_eq!(end(delivery.clone().next(&held, None, ms(30_000))).fate, Fate::Queued);
    assert_eq!(end(delivery.next(&empty(), Some(Taken::Turn), ms(21_000))).fate, Fate::Accepted);
    assert_eq!(delivery.enters(), 1);
}

#[test]
fn a_prompt_that_opens_behind_the_paste_gets_no_enter() {
    let mut delivery = Delivery::new(TEXT, wanted());
    let told = end(delivery.next(&asks(), None, ms(100)));
    assert_eq!(told.fate, Fate::Draft);
    assert!(told.why.contains("waits for permission"), "{}", told.why);
    let mut delivery = Delivery::new(TEXT, wanted());
    delivery.next(&ours(), None, ms(0));
    let held = Seen { hold: Some(Hold::CopyMode), ..ours() };
    assert_eq!(end(delivery.next(&held, None, ms(200))).fate, Fate::Draft);
    assert_eq!(delivery.enters(), 0);
}

#[test]
fn what_somebody_types_beside_it_is_not_sent_for_them() {
    for typed in
        ["and rm -rf it", "[box:lead -> box:coder0] Please review branch parse-dates. It is green. wait", "x"]
    {
        let mut delivery = Delivery::new(TEXT, wanted());
        let mixed = seen(Some(holds(typed)));
        assert_eq!(delivery.next(&mixed, None, ms(300)), Step::Look);
        let end = end(delivery.next(&mixed, None, ms(10_000)));
        assert_eq!((end.fate, delivery.enters()), (Fate::Draft, 0), "{typed}");
    }
}

#[test]
fn a_small_box_shows_the_end_of_it() {
    let mut delivery = Delivery::new(TEXT, wanted());
    let tail = seen(Some(holds("branch parse-dates. It is green.")));
    delivery.next(&tail, None, ms(0));
    assert_eq!(delivery.next(&tail, None, ms(200)), Step::Enter);
}

#[test]
fn a_text_with_blank_lines_may_stand_over_what_is_below_its_box() {
    let text = "[a -> b] first\n\nsecond\n\nthird";
    let over = |rest: &[&str]| {
        let rest = rest.iter().map(|part| (*part).to_owned()).collect();
        let seen = seen(Some(Composer::Holds { text: "[a -> b] first".to_owned(), rest }));
        let mut delivery = Delivery::new(text, wanted());
        delivery.next(&seen, None, ms(0));
        delivery.next(&seen, None, ms(200))
    };
    assert_eq!(over(&["second", "third", "model · ~/work"]), Step::Enter);
    assert_eq!(over(&["second", "third, and mine", "model"]), Step::Look);
    assert_eq!(over(&["second"]), Step::Look);
}

#[test]
fn a_prompt_behind_the_enter_leaves_its_fate_unknown_unless_the_record_has_it() {
    let mut delivery = entered(wanted());
    assert_eq!(delivery.next(&asks(), None, ms(400)), Step::Look);
    assert_eq!(end(delivery.clone().next(&asks(), Some(Taken::Turn), ms(500))).fate, Fate::Accepted);
    let lost = end(delivery.next(&asks(), None, ms(16_000)));
    assert_eq!((lost.fate, delivery.enters()), (Fate::Unknown, 1));
    assert!(lost.why.contains("waits for permission"), "{}", lost.why);
}

fn any_seen() -> impl Strategy<Value = Seen> {
    prop_oneof![
        4 => Just(ours()),
        2 => Just(empty()),
        1 => Just(asks()),
        1 => Just(seen(None)),
        1 => Just(seen(Some(holds("something else")))),
        1 => Just(Seen { waits: true, ..ours() }),
        1 => Just(Seen { hold: Some(Hold::CopyMode), ..ours() }),
    ]
}

proptest! {
    /// However a pane behaves: an Enter only onto this text alone in a box that nothing covers, at most three of them,
    /// and an end in bounded time.
    #[test]
    fn every_enter_falls_on_the_message_and_every_delivery_ends(
        looks in proptest::collection::vec((any_seen(), 1_u64..400, proptest::option::weighted(0.05, Just(Taken::Turn))), 400),
        verify: bool,
        recorded: bool,
    ) {
        let mut delivery = Delivery::new(TEXT, Wanted { verify, recorded, limit: ms(30_000) });
        let (mut at, mut enters) = (Duration::ZERO, 0);
        for (seen, pause, taken) in looks {
            at += ms(pause);
            match delivery.next(&seen, taken, at) {
                Step::Enter => {
                    enters += 1;
                    prop_assert!(seen == ours());
                }
                Step::Look => prop_assert!(at < ms(30_000)),
                Step::Done(end) => {
                    prop_assert!(end.fate != Fate::Delivered || enters > 0);
                    prop_assert!(enters <= 3 && enters == delivery.enters());
                    return Ok(());
                }
            }
        }
        prop_assert!(at < ms(30_000), "it never ended");
    }
}
