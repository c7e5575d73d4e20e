use super::*;
use crate::render::samples;

#[test]
fn a_stuck_agent_explained() {
    insta::assert_snapshot!(text(&samples::explained("coder0"), &samples::scene()));
}

#[test]
fn a_deadline_and_a_missing_collector_explained() {
    let scene = Scene { direct: true, ..samples::scene() };
    insta::assert_snapshot!(text(&samples::explained("reviewer0"), &scene));
}

#[test]
fn drift_comes_with_what_mends_it() {
    insta::assert_snapshot!(text(&samples::explained("coder2"), &samples::scene()));
}

#[test]
fn the_explanation_as_json() {
    let agent = samples::explained("analyst");
    let scene = samples::scene();
    let json = json(&agent, &scene, "collector");
    insta::assert_snapshot!(serde_json::to_string_pretty(&json).unwrap());
}
