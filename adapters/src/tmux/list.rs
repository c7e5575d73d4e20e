//! `list-panes -a` as rows.

use fleet_domain::text;

/// Between fields: tmux never lets a control character into a name or a title.
const SEPARATOR: char = '\u{1f}';

/// The fields, in order; the title is last, as it is the most hostile.
const FIELDS: [&str; 14] = [
    "#{session_name}",
    "#{pane_id}",
    "#{pane_pid}",
    "#{pane_dead}",
    "#{pane_dead_status}",
    "#{pane_dead_signal}",
    "#{pane_active}#{window_active}",
    "#{pane_activity}",
    "#{window_activity}",
    "#{session_activity}",
    "#{pane_tty}",
    "#{pid}",
    "#{pane_current_command}",
    "#{pane_title}",
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaneRow {
    pub session: String,
    /// `%5`: exact and stable as long as the pane lives.
    pub pane: String,
    pub pid: u32,
    pub dead: bool,
    pub dead_status: Option<i32>,
    pub dead_signal: Option<i32>,
    /// The active pane of its session's active window.
    pub active: bool,
    /// Seconds since the epoch of the last activity that tmux knows: the first positive of pane, window, session.
    pub activity: Option<i64>,
    pub tty: String,
    pub server_pid: u32,
    pub command: String,
    pub title: String,
}

pub(super) fn format() -> String {
    FIELDS.join(&SEPARATOR.to_string())
}

/// Rows that do not have the expected shape are left out and counted.
pub fn parse_panes(output: &[u8]) -> (Vec<PaneRow>, usize) {
    let text = String::from_utf8_lossy(output);
    let mut malformed = 0;
    let rows = text
        .lines()
        .filter_map(|line| {
            let row = parse_row(line);
            malformed += usize::from(row.is_none());
            row
        })
        .collect();
    (rows, malformed)
}

fn parse_row(line: &str) -> Option<PaneRow> {
    // A client that tmux does not believe to read UTF-8 gets the separator escaped.
    let escaped = (!line.contains(SEPARATOR)).then(|| line.replace("\\037", &SEPARATOR.to_string()));
    let line = escaped.as_deref().unwrap_or(line);
    let fields: Vec<&str> = line.splitn(FIELDS.len(), SEPARATOR).collect();
    let [
        session,
        pane,
        pid,
        dead,
        status,
        signal,
        active,
        pane_at,
        window_at,
        session_at,
        tty,
        server,
        command,
        title,
    ] = fields[..].try_into().ok()?;
    if session.is_empty() || !pane.starts_with('%') {
        return None;
    }
    let positive = |text: &str| text.parse::<i64>().ok().filter(|seconds| *seconds > 0);
    Some(PaneRow {
        session: text::clean(session, 128),
        pane: text::clean(pane, 16),
        pid: pid.parse().ok()?,
        dead: dead == "1",
        dead_status: status.parse().ok(),
        dead_signal: signal.parse().ok(),
        active: active == "11",
        activity: positive(pane_at).or_else(|| positive(window_at)).or_else(|| positive(session_at)),
        tty: tty.to_owned(),
        server_pid: server.parse().ok()?,
        command: text::clean(command, 64),
        title: text::clean(title, 120),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(fields: [&str; 14]) -> String {
        fields.join("\u{1f}")
    }

    #[test]
    fn a_row_keeps_blanks_and_odd_titles() {
        let text = line([
            "my session",
            "%3",
            "42",
            "0",
            "",
            "",
            "11",
            "",
            "1700000000",
            "5",
            "/dev/pts/3",
            "7",
            "node",
            "a\u{1f}b \u{1b}[31m",
        ]);
        let (rows, malformed) = parse_panes(text.as_bytes());
        assert_eq!(malformed, 0);
        assert_eq!(
            (rows[0].session.as_str(), rows[0].activity, rows[0].active),
            ("my session", Some(1_700_000_000), true)
        );
        assert_eq!(rows[0].title, "a b [31m");
    }

    #[test]
    fn what_has_another_shape_is_counted() {
        let bad =
            [line(["", "%1", "1", "0", "", "", "", "", "", "", "", "1", "", ""]), "nonsense".to_owned()]
                .join("\n");
        assert_eq!(parse_panes(bad.as_bytes()), (Vec::new(), 2));
    }

    proptest! {
        #[test]
        fn any_output_is_an_answer_never_a_panic(output in proptest::collection::vec(any::<u8>(), 0..400)) {
            parse_panes(&output);
        }
    }
}
