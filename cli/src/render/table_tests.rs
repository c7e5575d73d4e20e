//! What people see, as goldens.

use anstyle::Style;
use fleet_domain::fleet::AgentView;
use fleet_domain::text::is_hostile;
use proptest::prelude::*;

use super::*;
use crate::render::{Scene, explain, order, samples, summary};

fn shown(scene: &Scene) -> Vec<AgentView> {
    let fleet = samples::fleet();
    let mut shown: Vec<&AgentView> = fleet.iter().collect();
    order::sort(&mut shown, None, scene);
    shown.into_iter().cloned().collect()
}

fn on_terminal(plan: &Plan, width: usize) -> String {
    let scene = samples::scene();
    let agents = shown(&scene);
    let agents: Vec<&AgentView> = agents.iter().collect();
    let fitted = fitted(&agents, plan, &scene, width);
    format!("{}\nleft out: {}\n", fitted.lines.join("\n"), fitted.left_out.join(" "))
}

fn in_pipe(plan: &Plan, scene: &Scene) -> String {
    let agents = shown(scene);
    plain(&agents.iter().collect::<Vec<_>>(), plan, scene)
}

#[test]
fn a_terminal_of_160_columns() {
    insta::assert_snapshot!(on_terminal(&Plan::of(&[], false, true), 160));
}

#[test]
fn a_terminal_of_80_columns() {
    insta::assert_snapshot!(on_terminal(&Plan::of(&[], false, true), 80));
}

#[test]
fn wide() {
    insta::assert_snapshot!(on_terminal(&Plan::of(&[], true, true), 320));
}

#[test]
fn plain_columns() {
    insta::assert_snapshot!(in_pipe(&Plan::of(&[], false, true), &samples::scene()));
}

#[test]
fn plain_columns_without_a_collector_say_what_is_unknown() {
    let direct = Scene { direct: true, now: samples::scene().now, ..samples::scene() };
    let plan = Plan::of(&[Column::Agent, Column::Since, Column::Tokens], false, false);
    assert_eq!(in_pipe(&plan, &direct).lines().next(), Some("coder1     2h5m  -"));
}

#[test]
fn colour_is_beside_the_word_never_instead_of_it() {
    let scene = Scene { colour: true, ..samples::scene() };
    let plan = Plan::of(&[Column::Agent, Column::State], false, false);
    let painted = in_pipe(&plan, &scene);
    assert!(painted.contains("\u{1b}[1m\u{1b}[31mstuck/permission\u{1b}[0m"), "{painted:?}");
    assert_eq!(anstream::adapter::strip_str(&painted).to_string(), in_pipe(&plan, &samples::scene()));
}

#[test]
fn chosen_columns_are_shown_as_they_were_named() {
    let plan = Plan::of(&[Column::Title, Column::Agent], false, false);
    assert!(in_pipe(&plan, &samples::scene()).starts_with("✳ Fix the parser  coder1\n"));
}

#[test]
fn hosts_are_shown_where_there_are_several() {
    let mut agents = samples::fleet();
    agents[0].key.host = fleet_domain::HostId::new("other");
    let agents: Vec<&AgentView> = agents.iter().collect();
    let plan = Plan::of(&[], false, true);
    assert!(fitted(&agents, &plan, &samples::scene(), 200).lines[0].contains("HOST"));
    assert!(!plain(&agents, &plan, &samples::scene()).contains("HOST"));
}

#[test]
fn the_style_of_an_empty_text_leaves_no_trace() {
    let mut out = String::new();
    crate::render::grid::paint(&mut out, "", Style::new().bold(), true);
    assert!(out.is_empty());
}

proptest! {
    #[test]
    fn no_control_character_reaches_the_screen(text in "(\\PC|\\p{C}|\u{1b}\\[[0-9;]*[A-Za-z]|[\u{80}-\u{9f}\u{202a}-\u{202e}\n\r\t]){0,60}", width in 20usize..200) {
        let agent = samples::hostile(&text);
        let agents = [&agent];
        let scene = samples::scene();
        let mut screens = vec![summary::line(&agents, false)];
        for plan in [Plan::of(&[], false, true), Plan::of(&Column::ALL, false, true)] {
            screens.extend(fitted(&agents, &plan, &scene, width).lines);
            let plain = plain(&agents, &plan, &scene);
            prop_assert_eq!(plain.lines().count(), 2);
            screens.extend(plain.lines().map(str::to_owned));
        }
        screens.extend(explain::text(&agent, &scene).lines().map(str::to_owned));
        screens.push(serde_json::to_string(&explain::json(&agent, &scene, "direct")).unwrap());
        for line in screens {
            prop_assert!(!line.chars().any(is_hostile), "{line:?}");
        }
    }
}
