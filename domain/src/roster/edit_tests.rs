use proptest::prelude::*;

use super::*;

fn text(key: &'static str, value: &str) -> Entry {
    Entry { key, value: Value::Text(value.to_owned()) }
}

fn new() -> Vec<Entry> {
    vec![text("name", "new0"), text("runtime", "pi"), Entry { key: "yolo", value: Value::Flag(false) }]
}

const BLOCK: &str = "\
# my fleet
version: 1
tmux:
  socket_name: mosaic-fleet # private

agents:
  # the boss
  - name: lead
    runtime: claude
    kickstart: |
      read the plan

      and go
  # writes code
  - name: coder0   # fast
    runtime: pi

# the end
";

#[test]
fn an_agent_is_added_below_the_last_one_and_nothing_else_changes() {
    let after = add(BLOCK, &new()).unwrap();
    let expected = BLOCK.replace(
        "    runtime: pi\n\n",
        "    runtime: pi\n  - name: new0\n    runtime: pi\n    yolo: false\n\n",
    );
    assert_eq!(after, expected);
}

#[test]
fn an_agent_is_taken_out_with_its_lines_alone() {
    let after = remove(BLOCK, "coder0").unwrap();
    assert_eq!(after, BLOCK.replace("  # writes code\n  - name: coder0   # fast\n    runtime: pi\n", ""));
    let after = remove(BLOCK, "lead").unwrap();
    assert!(after.contains("\nagents:\n  # writes code\n  - name: coder0"), "{after}");
    let none = remove(&after, "coder0").unwrap();
    assert!(Roster::parse(&none).unwrap().agents.is_empty(), "{none}");
    assert_eq!(Roster::parse(&add(&none, &new()).unwrap()).unwrap().agents.len(), 1);
}

#[test]
fn every_way_of_writing_a_list_is_kept() {
    for (before, after) in [
        (
            "version: 1\nagents:\n- {name: a, runtime: pi}\n",
            "version: 1\nagents:\n- {name: a, runtime: pi}\n- {name: new0, runtime: pi, yolo: false}\n",
        ),
        (
            "version: 1\nagents: [{name: a, runtime: pi}]\n",
            "version: 1\nagents: [{name: a, runtime: pi}, {name: new0, runtime: pi, yolo: false}]\n",
        ),
        ("version: 1\nagents: []\n", "version: 1\nagents: [{name: new0, runtime: pi, yolo: false}]\n"),
        ("version: 1", "version: 1\nagents:\n  - name: new0\n    runtime: pi\n    yolo: false\n"),
        (
            "{\"version\": 1, \"agents\": [\n  {\"name\": \"a\", \"runtime\": \"pi\"},\n  {\"name\": \"b\", \"runtime\": \"pi\"}\n]}\n",
            "{\"version\": 1, \"agents\": [\n  {\"name\": \"a\", \"runtime\": \"pi\"},\n  {\"name\": \"b\", \"runtime\": \"pi\"},\n  {\"name\": \"new0\", \"runtime\": \"pi\", \"yolo\": false}\n]}\n",
        ),
        (
            "{\"version\": 1}",
            "{\"version\": 1,\"agents\": [{\"name\": \"new0\", \"runtime\": \"pi\", \"yolo\": false}]}",
        ),
        (
            "version: 1\r\nagents:\r\n  - name: a\r\n    runtime: pi\r\n",
            "version: 1\r\nagents:\r\n  - name: a\r\n    runtime: pi\r\n  - name: new0\r\n    runtime: pi\r\n    yolo: false\r\n",
        ),
    ] {
        let changed = add(before, &new()).unwrap_or_else(|error| panic!("{before}: {error}"));
        assert_eq!(changed, after);
        let back = remove(&changed, "new0").unwrap_or_else(|error| panic!("{changed}: {error}"));
        assert_eq!(Roster::parse(&back), Roster::parse(before), "{back}");
    }
}

#[test]
fn comments_go_with_the_agent_that_they_are_about_and_no_others() {
    // What `b` is taken out of, with what is its own between ‹ and ›.
    for marked in [
        "version: 1\nagents:\n  # all\n\n  # first\n  - name: a\n    runtime: pi\n    # of a\n‹  # b,\n  # still b\n  - name: b # here\n    # and here\n    runtime: pi # there\n    # below\n›  # c\n  - name: c\n    runtime: pi\n# end\n",
        "version: 1\nagents:\n- name: a\n  runtime: pi\n\n# apart\n\n‹# b\n- {name: b, runtime: pi} # b\n›# the end\n",
        "version: 1\nagents:\n  - name: a\n    runtime: mine\n    command: |\n      run\n      # no comment\n‹  - name: b\n    runtime: pi\n›",
        "version: 1\nagents: [\n  # a\n  {name: a, runtime: pi}, # of a, too\n‹  # b\n  {name: b, runtime: pi}, # of b\n›  # c\n  {name: c, runtime: pi}\n]\n",
        "version: 1\nagents: [\n  {name: a, runtime: pi}‹,› # of a\n‹  # b\n  {name: b, runtime: pi} # of b\n›  # the end, of all\n]\n",
        "version: 1\nagents: [\n  {name: a, runtime: pi}, # of a\n‹  {name: b, runtime: pi},\n›]\n",
        "version: 1\nagents: [{name: a, runtime: pi}, ‹{name: b, runtime: pi}, ›{name: c, runtime: pi}]\n",
        "version: 1\nagents: [‹{name: b, runtime: pi}, # of b›\n  # c\n  {name: c, runtime: pi}]\n",
        "version: 1\r\nagents:\r\n‹  # b\r\n  - name: b\r\n    runtime: pi\r\n›  # c\r\n  - name: c\r\n    runtime: pi\r\n",
    ] {
        let before = marked.replace(['‹', '›'], "");
        let parts = marked.split(['‹', '›']).enumerate();
        let kept: String = parts.filter(|(at, _)| at % 2 == 0).map(|(_, part)| part).collect();
        assert_eq!(remove(&before, "b").unwrap_or_else(|error| panic!("{before}: {error}")), kept);
    }
}

#[test]
fn what_is_wrong_is_told_and_what_is_not_understood_is_left_alone() {
    assert!(matches!(add("version: 1\nagents: [{}]\n", &new()), Err(EditError::Roster(_))));
    assert_eq!(remove(BLOCK, "nobody"), Err(EditError::Absent("nobody".to_owned())));
    assert_eq!(add(BLOCK, &[text("name", "lead")]), Err(EditError::Present("lead".to_owned())));
    let refused = add(BLOCK, &[text("name", "a b"), text("runtime", "pi")]);
    assert!(matches!(refused, Err(EditError::Refused(_))), "{refused:?}");
    let anchors = "version: 1\nagents:\n  - &a {name: a, runtime: pi}\n";
    assert!(add(anchors, &new()).is_ok());
    let aliases = "version: 1\ndefaults: {working_directory: &d ~/x}\nagents:\n  - {name: a, runtime: pi, working_directory: *d}\n";
    assert_eq!(add(aliases, &new()), Err(EditError::Unsafe));
}

#[test]
fn hostile_values_stay_values() {
    let nasty = "x: [y]\n- name: evil # \"\\";
    let entries = [text("name", "n"), text("runtime", "mine"), text("command", nasty)];
    for roster in [BLOCK, "version: 1\nagents: []\n", "{\"version\": 1}"] {
        let after = add(roster, &entries).unwrap();
        assert_eq!(Roster::parse(&after).unwrap().agents.last().unwrap().command.as_deref(), Some(nasty));
    }
}

/// An agent as somebody writes it, with the comments that are its own and those that are nobody's.
fn written() -> impl Strategy<Value = (String, String)> {
    let comment = "#[ -~äß]{0,10}";
    let above = proptest::collection::vec(comment, 0..3);
    let apart =
        prop_oneof![Just(String::new()), Just("\n".to_owned()), comment.prop_map(|c| format!("\n  {c}\n\n"))];
    let behind = prop_oneof![Just(String::new()), comment.prop_map(|c| format!(" {c}"))];
    let below = prop_oneof![Just(String::new()), comment.prop_map(|c| format!("    {c}\n"))];
    (above, apart, behind, below, any::<bool>()).prop_map(|(above, apart, behind, below, flow)| {
        let above: String = above.iter().map(|line| format!("  {line}\n")).collect();
        let own = match flow {
            true => format!("{above}  - {{name: NAME, runtime: pi}}{behind}\n{below}"),
            false => format!("{above}  - name: NAME{behind}\n    runtime: pi\n{below}"),
        };
        (apart, own)
    })
}

proptest! {
    /// One agent is taken out with its own comments, and every other byte stays.
    #[test]
    fn what_is_taken_out_is_the_agents_own(
        agents in proptest::collection::vec(written(), 2..6),
        which in any::<prop::sample::Index>(),
        end in prop_oneof![Just(""), Just("# the end\n"), Just("defaults: {working_directory: ~/x} # y\n")],
    ) {
        let gone = which.index(agents.len());
        let text = |kept: &dyn Fn(usize) -> bool| {
            let mut text = String::from("version: 1\nagents: # all of them\n");
            for (at, (apart, own)) in agents.iter().enumerate() {
                text.push_str(apart);
                if kept(at) {
                    text.push_str(&own.replace("NAME", &format!("agent{at}")));
                }
            }
            text + end
        };
        let after = remove(&text(&|_| true), &format!("agent{gone}")).unwrap();
        prop_assert_eq!(after, text(&|at| at != gone));
    }

    /// Whatever is added to however written a roster comes out as said, and going back gives the roster that was.
    #[test]
    fn adding_and_taking_out_are_inverse(
        names in proptest::collection::btree_set("[a-z][a-z0-9_-]{0,6}", 0..5),
        flow in any::<bool>(),
        comments in proptest::collection::vec("( *# [a-z äß]{0,8}|)", 5),
        class in "\\PC{1,12}",
    ) {
        let mut roster = String::from("version: 1\nagents:\n");
        for (name, comment) in names.iter().zip(&comments) {
            roster.push_str(&format!("{comment}\n"));
            roster.push_str(&if flow { format!("  - {{name: {name}, runtime: pi}}\n") } else {
                format!("  - name: {name}\n    # why\n    runtime: pi\n")
            });
        }
        let entries = [text("name", "NEW"), text("runtime", "claude"), text("class", &class)];
        let Ok(before) = Roster::parse(&roster) else { return Ok(()) };
        let after = add(&roster, &entries).unwrap();
        for comment in comments.iter().take(names.len()) {
            prop_assert!(after.contains(comment.as_str()));
        }
        prop_assert_eq!(Roster::parse(&remove(&after, "NEW").unwrap()).unwrap(), before);
        for name in &names {
            let less = remove(&after, name).unwrap();
            prop_assert!(Roster::parse(&less).unwrap().agent(name).is_none());
        }
    }
}
