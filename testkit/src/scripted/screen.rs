//! What 2.1.330 draws, as lines with plain attributes: the conversation from the top, the composer or a dialog at
//! the bottom. Pure: the same view and size give the same frame.

use std::time::Duration;

use super::VERSION;

pub(crate) struct View {
    pub(crate) model: String,
    pub(crate) cwd: String,
    pub(crate) mode: Mode,
    /// What was said so far, a paragraph each.
    pub(crate) said: Vec<String>,
    pub(crate) phase: Phase,
    pub(crate) draft: String,
    /// What the empty composer proposes, dimmed.
    pub(crate) ghost: &'static str,
    pub(crate) queued: Vec<String>,
    /// The plan's limit is reached; the clock time of its reset.
    pub(crate) limit: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Manual,
    Auto,
    Bypass,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Phase {
    Quiet,
    /// Frame number, time in the turn, tokens so far.
    Working {
        frame: usize,
        verb: &'static str,
        since: Duration,
        tokens: u64,
    },
    Permission {
        tool: String,
        input: String,
    },
    Question {
        text: String,
    },
    /// The turn is over, a shell still runs.
    Shell,
}

const DIM: &str = "\x1b[38;5;246m";
const ACCENT: &str = "\x1b[38;5;174m";
const RULE: &str = "\x1b[38;5;244m";
const DIALOG: &str = "\x1b[38;5;153m";
const RESET: &str = "\x1b[0m";
const SPINNER: [&str; 10] = ["·", "✢", "*", "✶", "✻", "✽", "✻", "✶", "*", "✢"];

pub(crate) fn frame(view: &View, columns: usize, rows: usize) -> Vec<String> {
    let bottom = match &view.phase {
        Phase::Permission { tool, input } => permission(view, tool, input, columns),
        Phase::Question { text } => question(text, columns),
        Phase::Quiet | Phase::Working { .. } | Phase::Shell => composer(view, columns),
    };
    let dialog = matches!(view.phase, Phase::Permission { .. } | Phase::Question { .. });
    let mut lines = header(view);
    let room = rows.saturating_sub(lines.len() + bottom.len());
    let said: Vec<String> = view.said.iter().flat_map(|text| paragraph(text, columns)).collect();
    lines.extend(said.iter().skip(said.len().saturating_sub(room)).cloned());
    if !dialog {
        // The composer is at the bottom of the screen, a dialog follows the conversation.
        lines.resize(rows.saturating_sub(bottom.len()), String::new());
    }
    lines.extend(bottom);
    lines.resize(rows, String::new());
    lines
}

fn header(view: &View) -> Vec<String> {
    vec![
        String::new(),
        format!("{ACCENT} ▐▛███▛█{RESET}   \x1b[1mClaude Code\x1b[22m {DIM}v{VERSION}{RESET}"),
        format!("{ACCENT}▝▜██████▀{RESET}  {DIM}{} · API Usage Billing{RESET}", display_name(&view.model)),
        format!("{ACCENT} ▝▝   ▝▝ {RESET}  {DIM}{}{RESET}", view.cwd),
        String::new(),
        String::new(),
    ]
}

/// `claude-sonnet-5` reads "Sonnet 5", `claude-opus-5-5` "Opus 5.5".
fn display_name(model: &str) -> String {
    let mut words = model.trim_start_matches("claude-").split('-');
    let family = words.next().unwrap_or_default();
    let mut letters = family.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{} {}", letters.as_str(), words.collect::<Vec<_>>().join(".")).trim_end().to_owned()
}

fn paragraph(text: &str, columns: usize) -> Vec<String> {
    let width = columns.saturating_sub(2).max(20);
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut rest: Vec<char> = line.chars().collect();
        while rest.len() > width {
            let cut = rest[..width].iter().rposition(|c| *c == ' ').filter(|at| *at > 0).unwrap_or(width);
            lines.push(rest[..cut].iter().collect());
            rest = [
                "  ".chars().collect::<Vec<_>>(),
                rest[cut..].iter().copied().skip_while(|c| *c == ' ').collect(),
            ]
            .concat();
        }
        lines.push(rest.iter().collect());
    }
    lines.push(String::new());
    lines
}

fn composer(view: &View, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for text in &view.queued {
        lines.push(format!("{DIM}❯ {}{RESET}", cut(text, columns)));
        lines.push(format!("{DIM}  ⎿  Queued · ctrl+x ctrl+s to send now{RESET}"));
    }
    if let Phase::Working { frame, verb, since, tokens } = &view.phase {
        let glyph = SPINNER[frame % SPINNER.len()];
        let seconds = since.as_secs();
        let shown =
            if seconds == 0 { String::new() } else { format!(" ({seconds}s · ↓ {tokens} tokens)") };
        lines.push(format!("{ACCENT}{glyph} {verb}…{RESET}{DIM}{shown}{RESET}"));
    }
    lines.push(rule(columns));
    lines.push(match (view.draft.as_str(), view.ghost) {
        ("", "") => "❯\u{a0}\x1b[7m \x1b[0m".to_owned(),
        ("", ghost) => format!("❯\u{a0}{DIM}\x1b[2m{ghost}{RESET}"),
        (draft, _) => format!("❯\u{a0}{}\x1b[7m \x1b[0m", shown_draft(draft, columns)),
    });
    lines.push(rule(columns));
    if let Some(resets) = &view.limit {
        lines.push(format!("  \x1b[38;5;220m⚠ Usage limit reached · limit resets {resets}{RESET}"));
        lines.push(format!("{DIM}    Continuing automatically at {resets} · Esc to cancel{RESET}"));
    }
    lines.push(footer(view));
    lines
}

fn footer(view: &View) -> String {
    let mode = match view.mode {
        Mode::Manual => "⏸ manual mode on",
        Mode::Auto => "⏵⏵ auto mode on",
        Mode::Bypass => "⏵⏵ bypass permissions on",
    };
    let hint = match view.phase {
        Phase::Working { .. } => " · esc to interrupt",
        Phase::Shell => " · 1 shell · ↓ to manage",
        _ if view.mode == Mode::Manual => " · ? for shortcuts",
        _ => " (shift+tab to cycle)",
    };
    format!("  {mode}{DIM}{hint}{RESET}")
}

/// A pasted text of more than two lines stands behind a placeholder.
fn shown_draft(draft: &str, columns: usize) -> String {
    let more = draft.lines().count().saturating_sub(1);
    if more > 2 || draft.chars().count() > 800 {
        format!("[Pasted text #1 +{more} lines]")
    } else {
        cut(&draft.replace('\n', " "), columns)
    }
}

fn permission(view: &View, tool: &str, input: &str, columns: usize) -> Vec<String> {
    let dashes = format!("\x1b[38;5;239m{}{RESET}", "╌".repeat(columns));
    let again = format!("Yes, and always allow access to {} from this project", view.cwd);
    vec![
        format!("{DIALOG}{}{RESET}", "─".repeat(columns)),
        format!(" \x1b[1m{DIALOG}{tool} command{RESET}"),
        format!(" {DIM}Scripted command{RESET}"),
        dashes.clone(),
        format!(" {}", cut(input, columns)),
        dashes,
        " Do you want to proceed?".to_owned(),
        format!(" {DIALOG}❯{RESET} {DIM}1. {RESET}{DIALOG}Yes{RESET}"),
        format!("   {DIM}2. {RESET}{}", cut(&again, columns.saturating_sub(6))),
        format!("   {DIM}3. {RESET}No"),
        String::new(),
        format!(" {DIM}Esc to cancel · Tab to amend{RESET}"),
    ]
}

fn question(text: &str, columns: usize) -> Vec<String> {
    vec![
        rule(columns),
        " ☐ Question".to_owned(),
        String::new(),
        cut(text, columns),
        String::new(),
        format!("{DIALOG}❯{RESET} {DIM}1. {RESET}{DIALOG}Yes{RESET}"),
        format!("{DIM}     go on with it{RESET}"),
        format!("  {DIM}2. {RESET}No"),
        format!("{DIM}     leave it as it is{RESET}"),
        format!("  {DIM}3. {RESET}Type something."),
        rule(columns),
        format!("  {DIM}4. {RESET}Chat about this"),
        String::new(),
        format!("{DIM}Enter to select · ↑/↓ to navigate · Esc to cancel{RESET}"),
    ]
}

fn rule(columns: usize) -> String {
    format!("{RULE}{}{RESET}", "─".repeat(columns))
}

fn cut(text: &str, columns: usize) -> String {
    text.lines().next().unwrap_or_default().chars().take(columns.saturating_sub(4)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(phase: Phase) -> View {
        View {
            model: "claude-sonnet-5".to_owned(),
            cwd: "/w".to_owned(),
            mode: Mode::Manual,
            said: vec!["❯ hello".to_owned()],
            phase,
            draft: String::new(),
            ghost: "",
            queued: Vec::new(),
            limit: None,
        }
    }

    fn plain(lines: &[String]) -> String {
        let mut text = String::new();
        let mut escape = false;
        for c in lines.join("\n").chars() {
            match (escape, c) {
                (false, '\x1b') => escape = true,
                (false, c) => text.push(c),
                (true, c) => escape = !c.is_ascii_alphabetic(),
            }
        }
        text
    }

    #[test]
    fn each_phase_shows_its_evidence_in_a_whole_screen() {
        let working = Phase::Working { frame: 3, verb: "Stewing", since: Duration::from_secs(2), tokens: 20 };
        let permission = Phase::Permission { tool: "Bash".to_owned(), input: "rm x".to_owned() };
        let question = Phase::Question { text: "Which?".to_owned() };
        for (phase, evidence) in [
            (Phase::Quiet, vec!["❯ hello\n", "❯\u{a0} \n", "? for shortcuts"]),
            (working, vec!["✶ Stewing… (2s · ↓ 20 tokens)", "esc to interrupt"]),
            (permission, vec!["Do you want to proceed?", "❯ 1. Yes", "Esc to cancel · Tab to amend"]),
            (question, vec!["Which?", "Enter to select · ↑/↓ to navigate · Esc to cancel"]),
            (Phase::Shell, vec!["1 shell · ↓ to manage"]),
        ] {
            let lines = frame(&view(phase), 120, 40);
            assert_eq!(lines.len(), 40);
            let text = plain(&lines);
            for part in evidence {
                assert!(text.contains(part), "{part} in {text}");
            }
        }
    }

    #[test]
    fn a_long_conversation_shows_its_end() {
        let mut view = view(Phase::Quiet);
        view.said = (0..100).map(|n| format!("● answer {n}")).collect();
        let text = plain(&frame(&view, 80, 24));
        assert!(text.contains("answer 99") && !text.contains("answer 50\n"), "{text}");
        assert_eq!(display_name("claude-opus-5-5"), "Opus 5.5");
    }
}
