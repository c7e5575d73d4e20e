//! Our sums against the runtimes' own, as a table and as JSON.

use fleet_adapters::runtimes::usage::check::Checked;
use fleet_domain::reconcile::{Cause, Conversation, Residual};
use serde::Serialize;

use super::grid::{Align, Cell, Fit, Grid, Head};
use super::item::API_VERSION;
use super::spent::UnknownRows;
use super::words::{NONE, count, safe};

/// Conversations that differ, the largest difference first; those that agree or have no sum are only counted.
pub fn table(checked: &Checked, width: Option<usize>, colour: bool) -> String {
    let mut differ: Vec<(&Conversation, Residual)> = checked
        .conversations
        .iter()
        .filter_map(|of| Some((of, of.residual().filter(|residual| !residual.is_zero())?)))
        .collect();
    differ.sort_by_key(|(_, residual)| std::cmp::Reverse(residual.total().unsigned_abs()));
    let text = match differ.is_empty() {
        true => String::new(),
        false => rows(&differ, width, colour),
    };
    text + &summary(checked, &differ)
}

fn rows(differ: &[(&Conversation, Residual)], width: Option<usize>, colour: bool) -> String {
    let head = |(title, align, fit): (&str, Align, Fit)| Head { title: title.to_owned(), align, fit };
    let heads = [
        ("RUNTIME", Align::Left, Fit::Fixed),
        ("CONVERSATION", Align::Left, Fit::Shrinks { least: 8 }),
        ("COUNTED", Align::Right, Fit::Fixed),
        ("INHERITED", Align::Right, Fit::Leaves(2)),
        ("TOLD", Align::Right, Fit::Leaves(1)),
        ("RESIDUAL", Align::Right, Fit::Fixed),
        ("LIKELY CAUSE", Align::Left, Fit::Shrinks { least: 12 }),
    ];
    let mut grid = Grid::new(heads.map(head).into(), differ.len());
    for (of, residual) in differ {
        let inherited = if of.inherited.is_zero() { NONE.to_owned() } else { count(of.inherited.total()) };
        let cells = [
            safe(&of.runtime).into_owned(),
            safe(&of.id).into_owned(),
            count(of.counted.total()),
            inherited,
            of.told.map_or_else(|| NONE.to_owned(), |told| count(told.total())),
            signed(residual.total()),
            of.cause().to_string(),
        ];
        grid.push(cells.map(Cell::plain));
    }
    match width {
        None => grid.plain(true, colour),
        Some(width) => grid.fitted(width, true, colour).lines.join("\n") + "\n",
    }
}

fn signed(tokens: i64) -> String {
    let sign = if tokens < 0 { "-" } else { "+" };
    format!("{sign}{}", count(tokens.unsigned_abs()))
}

fn summary(checked: &Checked, differ: &[(&Conversation, Residual)]) -> String {
    let with = |cause| checked.conversations.iter().filter(|of| of.cause() == cause).count();
    format!(
        "conversations that agree to the token: {}, that differ: {}, without a sum of their own: {}\n",
        with(Cause::None),
        differ.len(),
        with(Cause::NoSum)
    )
}

/// The JSON is a contract: keys may be added. Tokens.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UsageCheck {
    api_version: &'static str,
    kind: &'static str,
    files: usize,
    unreadable: u64,
    unknown: Vec<UnknownRows>,
    failed: usize,
    conversations: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    runtime: String,
    conversation: String,
    responses: u64,
    counted: u64,
    inherited: u64,
    /// Null where the runtime told none.
    told: Option<u64>,
    residual: Option<Left>,
    /// `none`, `no_sum`, `after_the_sum`, `compaction`, `parent`, `titles`, `unseen`.
    cause: &'static str,
    cause_text: String,
}

/// Told and not counted; below zero where more was counted.
#[derive(Debug, Serialize)]
struct Left {
    input: i64,
    cache_read: i64,
    cache_write: i64,
    output: i64,
    total: i64,
}

pub fn json(checked: &Checked) -> UsageCheck {
    let row = |of: &Conversation| Row {
        runtime: of.runtime.clone(),
        conversation: safe(&of.id).into_owned(),
        responses: of.responses,
        counted: of.counted.total(),
        inherited: of.inherited.total(),
        told: of.told.map(|told| told.total()),
        residual: of.residual().map(left),
        cause: of.cause().as_str(),
        cause_text: of.cause().to_string(),
    };
    UsageCheck {
        api_version: API_VERSION,
        kind: "UsageCheck",
        files: checked.files,
        unreadable: checked.unreadable,
        unknown: UnknownRows::of(&checked.unknown),
        failed: checked.failed.len(),
        conversations: checked.conversations.iter().map(row).collect(),
    }
}

fn left(residual: Residual) -> Left {
    let [input, cache_read, cache_write, output] = residual.0;
    Left { input, cache_read, cache_write, output, total: residual.total() }
}

#[cfg(test)]
mod tests {
    use fleet_domain::usage::Tokens;

    use super::*;

    #[test]
    fn only_what_differs_has_a_row() {
        let of = |id: &str, output, told: Option<u64>, compactions| Conversation {
            runtime: "claude".to_owned(),
            id: id.to_owned(),
            responses: 2,
            counted: Tokens { output, ..Tokens::default() },
            told: told.map(|output| Tokens { output, ..Tokens::default() }),
            compactions,
            ..Conversation::default()
        };
        let conversations = vec![
            of("a", 5, Some(5), 0),
            of("b", 700, Some(12_700), 1),
            of("c", 9, Some(4), 0),
            of("d", 1, None, 0),
        ];
        let checked = Checked { conversations, files: 4, ..Checked::default() };
        insta::assert_snapshot!("check_table", table(&checked, None, false));
        insta::assert_snapshot!(
            "check_json",
            serde_json::to_string_pretty(&json(&checked).conversations[1]).unwrap()
        );
    }
}
