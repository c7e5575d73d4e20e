//! An agent's environment file, `fleet/agents/<name>.env`: what the launcher is told of the roster, beside what its user
//! wrote there. The format is systemd's `EnvironmentFile=`.
//!
//! [`merged`] writes the lines that the fleet owns and keeps every other one, in its place; [`differences`] tells where
//! a file is not what the roster says (drift `env`).

use crate::roster::{Agent, Roster};

/// Stands above a variable that is owned only while the roster sets it, so that its line goes when the roster's does.
const FROM_ROSTER: &str = "# The roster sets the next line.";

/// One variable as the roster has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub name: &'static str,
    /// `None`: the roster does not say, and what a user wrote stands.
    pub value: Option<String>,
}

/// The variables of one agent, in the order of the file.
pub fn wanted(roster: &Roster, agent: &Agent) -> Vec<Wanted> {
    let text = |value: &str| Some(value.to_owned());
    let directory = agent.working_directory.as_ref().unwrap_or(&roster.defaults.working_directory);
    let yolo = agent.yolo.map(|yolo| if yolo { "true" } else { "false" }.to_owned());
    [
        ("MOSAIC_AGENT_NAME", text(agent.name.as_str())),
        ("MOSAIC_AGENT_CLASS", text(&agent.class)),
        ("MOSAIC_AGENT_RUNTIME", text(agent.runtime.as_str())),
        ("MOSAIC_AGENT_MODEL", text(agent.model_hint.as_deref().unwrap_or_default())),
        ("MOSAIC_AGENT_WORKDIR", text(directory)),
        ("MOSAIC_TMUX_SOCKET", text(roster.socket_of(agent).as_str())),
        ("MOSAIC_AGENT_YOLO", yolo),
        ("MOSAIC_AGENT_COMMAND", agent.command.clone()),
    ]
    .map(|(name, value)| Wanted { name, value })
    .into()
}

/// The file with the wanted values in it. Lines and comments that are not ours stay as and where they are.
pub fn merged(existing: Option<&str>, agent: &str, wanted: &[Wanted]) -> String {
    let header = format!(
        "# Environment of the agent {agent}. The variables below are the roster's and are written anew from it;\n# \
         lines of your own, of any other variable, stay.\n"
    );
    let text = existing.map_or(header, str::to_owned);
    let mut out = String::with_capacity(text.len() + 256);
    let mut written: Vec<&str> = Vec::new();
    let mut rest = lines(&text).into_iter().peekable();
    while let Some(line) = rest.next() {
        if line.raw.trim_end() == FROM_ROSTER && rest.peek().is_some_and(|next| owned(next, wanted).is_some())
        {
            // Written again with the line that it belongs to.
            let gone = rest.next_if(|next| owned(next, wanted).is_some_and(|ours| ours.value.is_none()));
            if let Some(line) = gone {
                written.push(owned(&line, wanted).map_or("", |ours| ours.name));
            }
            continue;
        }
        match owned(&line, wanted) {
            Some(ours) if written.contains(&ours.name) => {}
            Some(Wanted { name, value: Some(value) }) => {
                push(&mut out, name, value);
                written.push(name);
            }
            Some(_) | None => out.push_str(line.raw),
        }
    }
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
    let mut more = String::new();
    for ours in wanted.iter().filter(|ours| !written.contains(&ours.name)) {
        if let Some(value) = &ours.value {
            push(&mut more, ours.name, value);
        }
    }
    if more.is_empty() {
        return out;
    }
    // Behind a quote that was never closed, or a backslash, what is added would be read as a part of that.
    let whole = out.clone() + &more;
    if lines(&whole).len() == lines(&out).len() + lines(&more).len() { whole } else { more + &out }
}

/// The names of the variables whose value in the file is not the roster's; all that are wanted where there is no file.
pub fn differences(existing: &str, wanted: &[Wanted]) -> Vec<&'static str> {
    let found = values(existing);
    let value =
        |name: &str| found.iter().rev().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
    let differs = |ours: &&Wanted| match &ours.value {
        Some(wanted) => value(ours.name) != Some(wanted),
        None => marked(existing, ours),
    };
    wanted.iter().filter(differs).map(|ours| ours.name).collect()
}

/// Every assignment, in order; of two of one name the later holds.
pub fn values(text: &str) -> Vec<(String, String)> {
    lines(text).into_iter().filter_map(|line| line.assignment).collect()
}

/// A line that came from the roster, which does not set it any more.
fn marked(existing: &str, ours: &Wanted) -> bool {
    let lines = lines(existing);
    lines.windows(2).any(|pair| {
        pair[0].raw.trim_end() == FROM_ROSTER
            && pair[1].assignment.as_ref().is_some_and(|(name, _)| name == ours.name)
    })
}

fn owned<'w>(line: &Line<'_>, wanted: &'w [Wanted]) -> Option<&'w Wanted> {
    let (name, _) = line.assignment.as_ref()?;
    wanted.iter().find(|ours| ours.name == name)
}

fn push(out: &mut String, name: &str, value: &str) {
    if matches!(name, "MOSAIC_AGENT_YOLO" | "MOSAIC_AGENT_COMMAND") {
        out.push_str(FROM_ROSTER);
        out.push('\n');
    }
    out.push_str(name);
    out.push('=');
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:~@%+,=".contains(c);
    if value.chars().all(plain) {
        out.push_str(value);
    } else {
        out.push('"');
        for c in value.chars() {
            if matches!(c, '"' | '\\' | '$' | '`') {
                out.push('\\');
            }
            out.push(c);
        }
        out.push('"');
    }
    out.push('\n');
}

/// A line of the file, or several that belong together.
struct Line<'t> {
    raw: &'t str,
    assignment: Option<(String, String)>,
}

fn lines(text: &str) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let blank = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        let (length, assignment) = if rest[blank..].starts_with(['#', ';', '\n']) {
            (comment(rest), None)
        } else {
            let (length, content) = logical(&rest[blank..]);
            (blank + length, split(&content))
        };
        let (raw, more) = rest.split_at(length);
        lines.push(Line { raw, assignment });
        rest = more;
    }
    lines
}

/// How long a comment is; systemd reads on behind a backslash.
fn comment(text: &str) -> usize {
    let mut ends = text.match_indices('\n').map(|(end, _)| end);
    ends.find(|end| !text[..*end].ends_with('\\')).map_or(text.len(), |end| end + 1)
}

/// The name and value of `NAME=value`, where it is one.
fn split(content: &str) -> Option<(String, String)> {
    let (name, value) = content.split_once('=')?;
    let name = name.trim_end();
    let valid = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    valid.then(|| (name.to_owned(), value.to_owned()))
}

/// One assignment as systemd reads it, quotes and backslashes taken away, and how long it is in the text.
fn logical(text: &str) -> (usize, String) {
    let mut content = String::new();
    // Blanks at the end of what is not quoted do not count.
    let mut kept = 0;
    let mut quote = None;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (None, '\n') => {
                content.truncate(kept);
                return (at + 1, content);
            }
            (None, '"' | '\'')
                if content.contains('=') && (content.ends_with('=') || content.len() == kept) =>
            {
                quote = Some(c);
            }
            (Some(open), c) if c == open => {
                quote = None;
                kept = content.len();
            }
            (Some('\''), c) => content.push(c),
            (_, '\\') => match chars.next() {
                None | Some((_, '\n')) => {}
                Some((_, c)) => {
                    // Between quotes a backslash takes the meaning from these alone.
                    if quote == Some('"') && !matches!(c, '"' | '\\' | '$' | '`') {
                        content.push('\\');
                    }
                    content.push(c);
                    kept = content.len();
                }
            },
            (_, c) => {
                if quote.is_none() && c.is_whitespace() && content.ends_with('=') && content.len() == kept {
                    continue;
                }
                content.push(c);
                kept = if quote.is_some() || !c.is_whitespace() { content.len() } else { kept };
            }
        }
    }
    content.truncate(kept);
    (text.len(), content)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn agent(lines: &str) -> Vec<Wanted> {
        let roster = format!("version: 1\nagents:\n  - name: coder0\n    runtime: pi\n{lines}");
        let roster = Roster::parse(&roster).unwrap();
        wanted(&roster, &roster.agents[0])
    }

    #[test]
    fn a_new_file_says_whose_it_is_and_an_empty_value_is_bare() {
        assert_eq!(
            merged(None, "coder0", &agent("    command: run \"it\" $now\n")),
            r#"# Environment of the agent coder0. The variables below are the roster's and are written anew from it;
# lines of your own, of any other variable, stay.
MOSAIC_AGENT_NAME=coder0
MOSAIC_AGENT_CLASS=worker
MOSAIC_AGENT_RUNTIME=pi
MOSAIC_AGENT_MODEL=
MOSAIC_AGENT_WORKDIR=~/src
MOSAIC_TMUX_SOCKET=
# The roster sets the next line.
MOSAIC_AGENT_COMMAND="run \"it\" \$now"
"#
        );
    }

    #[test]
    fn what_a_user_wrote_stays_where_it_is() {
        let mine = "# mine\nHTTP_PROXY=http://x\nMOSAIC_AGENT_MODEL = old\n\n; note\nMOSAIC_AGENT_YOLO=0\nMOSAIC_AGENT_COMMAND='a b'\nMULTI=\"one\ntwo\"\n";
        let after = merged(Some(mine), "coder0", &agent("    model_hint: gpt\n"));
        let kept = "# mine\nHTTP_PROXY=http://x\nMOSAIC_AGENT_MODEL=gpt\n\n; note\nMOSAIC_AGENT_YOLO=0\nMOSAIC_AGENT_COMMAND='a b'\nMULTI=\"one\ntwo\"\n";
        assert!(after.starts_with(kept), "{after}");
        assert_eq!(differences(&after, &agent("    model_hint: gpt\n")), [""; 0]);
        assert_eq!(differences(&after, &agent("    model_hint: opus\n")), ["MOSAIC_AGENT_MODEL"]);
        assert_eq!(merged(Some(&after), "coder0", &agent("    model_hint: gpt\n")), after);
    }

    #[test]
    fn a_command_goes_when_the_rosters_goes_and_a_hand_written_one_stays() {
        let with = merged(None, "coder0", &agent("    command: mine --fast\n    yolo: true\n"));
        assert_eq!(differences(&with, &agent("")), ["MOSAIC_AGENT_YOLO", "MOSAIC_AGENT_COMMAND"]);
        let without = merged(Some(&with), "coder0", &agent(""));
        assert!(!without.contains("COMMAND") && !without.contains("YOLO"), "{without}");
        assert_eq!(differences(&without, &agent("")), [""; 0]);
    }

    #[test]
    fn values_are_read_as_systemd_reads_them() {
        let text =
            "A=1\nB= two words  \nC=\"q \\\" \\x\" \nD='s $x'\nE=a\\\n b\n#F=no\nnot one\n export G=1\nH=\n";
        let read = values(text);
        let read: Vec<(&str, &str)> =
            read.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            read,
            [("A", "1"), ("B", "two words"), ("C", "q \" \\x"), ("D", "s $x"), ("E", "a b"), ("H", "")]
        );
    }

    proptest! {
        #[test]
        fn merging_is_idempotent_loses_no_line_and_says_what_is_wanted(
            own in proptest::collection::vec("(#[a-z \"']{0,9}|X[A-Z]{0,3}=[a-z /]{0,6})", 0..6),
            command in proptest::option::of("[ -~]{1,24}"),
            hint in "[a-z/:.-]{0,9}",
        ) {
            let existing: String = own.iter().map(|line| format!("{line}\n")).collect();
            let mut wanted = agent("");
            wanted[3].value = Some(hint);
            wanted[7].value = command;
            let once = merged(Some(&existing), "coder0", &wanted);
            prop_assert!(once.starts_with(&existing));
            prop_assert_eq!(differences(&once, &wanted), [""; 0]);
            prop_assert_eq!(merged(Some(&once), "coder0", &wanted), once);
        }

        #[test]
        fn whatever_stands_there_is_read_without_harm(text in "[\\PC\n\"'\\\\]{0,200}") {
            let again = merged(Some(&text), "coder0", &agent(""));
            prop_assert_eq!(merged(Some(&again), "coder0", &agent("")), again);
        }
    }
}
