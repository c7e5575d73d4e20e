//! What was used, as a table and as JSON.

use std::collections::BTreeMap;

use anstyle::Style;
use fleet_adapters::runtimes::usage::Unknown;
use fleet_adapters::runtimes::usage::scan::Scanned;
use fleet_domain::price::{Costs, Money};
use fleet_domain::report::{By, Group, Report, Sum};
use fleet_domain::time::Wall;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::grid::{Align, Cell, Fit, Grid, Head};
use super::item::API_VERSION;
use super::spark::sparkline;
use super::words::{NONE, count, plural, safe};

/// What was used while the agent was on no task.
const NO_TASK: &str = "(no task)";

pub struct Spent<'a> {
    pub report: &'a Report,
    /// The columns that tell apart, in their order.
    pub by: &'a [By],
    pub zone: &'a TimeZone,
    /// Total tokens of the latest days, by group; where they are to be drawn.
    pub course: Option<&'a BTreeMap<Group, Vec<u64>>>,
}

impl Spent<'_> {
    /// Days and hours as they passed; else whoever used most first.
    pub(super) fn rows(&self) -> Vec<(&Group, &Sum)> {
        let mut rows: Vec<(&Group, &Sum)> = self.report.0.iter().collect();
        let days = self.by.contains(&By::Day);
        rows.sort_by_key(|(group, sum)| {
            let day = if days { group.day } else { None };
            (day, group.hour, std::cmp::Reverse(sum.tokens.total()), *group)
        });
        rows
    }

    /// Sessions that more than one host or socket has, and which therefore need more than their name.
    fn names(&self) -> BTreeMap<&str, usize> {
        let keys: std::collections::BTreeSet<_> =
            self.report.0.keys().filter_map(|group| group.agent.as_ref()).collect();
        let mut names = BTreeMap::new();
        for key in keys {
            *names.entry(key.session.as_str()).or_default() += 1;
        }
        names
    }

    fn label(&self, by: By, group: &Group, names: &BTreeMap<&str, usize>) -> String {
        let told = match by {
            By::Agent => group.agent.as_ref().map(|key| {
                let alone = names.get(key.session.as_str()).is_none_or(|count| *count == 1);
                if alone {
                    key.session.clone()
                } else {
                    format!("{}@{}:{}", key.session, key.host, key.socket.shown())
                }
            }),
            By::Runtime => group.runtime.clone(),
            By::Account => group.account.clone(),
            By::Model => group.model.clone(),
            By::Day => group.day.map(|day| date(day, self.zone)),
            By::Hour => group.hour.map(|hour| hour_of(hour, self.zone)),
            By::Class => group.class.clone(),
            By::Session => group.session.clone(),
            By::Task => Some(group.task.clone().unwrap_or_else(|| NO_TASK.to_owned())),
        };
        let told = told.filter(|told| !told.is_empty());
        told.map_or_else(|| NONE.to_owned(), |told| safe(&told).into_owned())
    }
}

fn date(day: Wall, zone: &TimeZone) -> String {
    // Noon, so that a day keeps its date where midnight does not exist.
    let noon = jiff::Timestamp::from_millisecond(day.0.saturating_add(12 * 3_600_000));
    noon.map_or_else(|_| NONE.to_owned(), |noon| noon.to_zoned(zone.clone()).date().to_string())
}

/// With its date: hours of several days stand below each other.
fn hour_of(hour: Wall, zone: &TimeZone) -> String {
    let at = jiff::Timestamp::from_millisecond(hour.0);
    at.map_or_else(|_| NONE.to_owned(), |at| at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string())
}

const fn title(by: By) -> &'static str {
    match by {
        By::Agent => "AGENT",
        By::Runtime => "RUNTIME",
        By::Account => "ACCOUNT",
        By::Model => "MODEL",
        By::Day => "DAY",
        By::Hour => "HOUR",
        By::Class => "CLASS",
        By::Session => "SESSION",
        By::Task => "TASK",
    }
}

/// Fitted to `width`, or as wide as it is; the total stands last.
pub fn table(spent: &Spent<'_>, width: Option<usize>, colour: bool) -> String {
    let label =
        |by: &By| Head { title: title(*by).to_owned(), align: Align::Left, fit: Fit::Shrinks { least: 8 } };
    let figure = |(rank, title): (u8, &str)| {
        let fit = if rank == 0 { Fit::Fixed } else { Fit::Leaves(rank) };
        Head { title: title.to_owned(), align: Align::Right, fit }
    };
    let figures = [
        (3, "RESPONSES"),
        (2, "INPUT"),
        (4, "CACHE READ"),
        (5, "CACHE WRITE"),
        (0, "OUTPUT"),
        (0, "TOTAL"),
        (1, "API-EQUIVALENT"),
    ];
    let course = |course: &BTreeMap<Group, Vec<u64>>| Head {
        title: format!("LAST {} DAYS", course.values().next().map_or(0, Vec::len)),
        align: Align::Left,
        fit: Fit::Leaves(6),
    };
    let heads: Vec<Head> =
        spent.by.iter().map(label).chain(figures.map(figure)).chain(spent.course.map(course)).collect();
    let (rows, names) = (spent.rows(), spent.names());
    let mut grid = Grid::new(heads, rows.len() + 1);
    for (group, sum) in rows {
        let labels = spent.by.iter().map(|by| Cell::plain(spent.label(*by, group, &names)));
        let drawn =
            spent.course.map(|course| course.get(group).map_or(String::new(), |days| sparkline(days)));
        grid.push(labels.chain(cells(sum, Style::new())).chain(drawn.map(Cell::plain)));
    }
    let bold = Style::new().bold();
    let words = spent.by.iter().enumerate().map(|(index, _)| if index == 0 { "total" } else { "" });
    let drawn = spent.course.map(|course| sparkline(&together(course)));
    let total = cells(&spent.report.total(), bold);
    grid.push(words.map(|word| Cell::styled(word, bold)).chain(total).chain(drawn.map(Cell::plain)));
    match width {
        None => grid.plain(true, colour),
        Some(width) => grid.fitted(width, true, colour).lines.join("\n") + "\n",
    }
}

/// All groups' days added up.
fn together(course: &BTreeMap<Group, Vec<u64>>) -> Vec<u64> {
    let days = course.values().map(Vec::len).max().unwrap_or(0);
    (0..days)
        .map(|day| course.values().filter_map(|of| of.get(day)).fold(0u64, |a, b| a.saturating_add(*b)))
        .collect()
}

fn cells(sum: &Sum, style: Style) -> [Cell<'static>; 7] {
    let tokens = &sum.tokens;
    let written = tokens.cache_write_5m.saturating_add(tokens.cache_write_1h);
    [
        sum.responses.to_string(),
        count(tokens.input),
        count(tokens.cache_read),
        count(written),
        count(tokens.output),
        count(tokens.total()),
        dollars(&sum.costs),
    ]
    .map(|text| Cell::styled(text, style))
}

/// `$1.20`, `$1.20+` where it is not all, `unknown` where it is nothing of it.
pub(super) fn dollars(costs: &Costs) -> String {
    match (costs.known(), costs.unpriced) {
        (None, 0) => NONE.to_owned(),
        (None, _) => "unknown".to_owned(),
        (Some(known), 0) => known.to_string(),
        (Some(known), _) => format!("{known}+"),
    }
}

/// What the costs leave out, and which models' prices are missing; `None` where they leave out nothing.
pub fn unpriced(report: &Report) -> Option<String> {
    let count = report.total().costs.unpriced;
    let rows = report.0.iter().filter(|(_, sum)| sum.costs.unpriced > 0);
    let models: std::collections::BTreeSet<&str> =
        rows.filter_map(|(group, _)| group.model.as_deref()).filter(|model| !model.is_empty()).collect();
    let of = match models.len() {
        0 => String::new(),
        _ => format!(" of {}", models.into_iter().take(5).map(safe).collect::<Vec<_>>().join(", ")),
    };
    let responses = plural(usize::try_from(count).unwrap_or(usize::MAX), "response");
    (count > 0).then(|| format!("+ {responses}{of} unpriced: no price of theirs is known (fleet prices)"))
}

/// The JSON is a contract: keys may be added. Tokens are whole; `output` includes `reasoning`, `input` excludes cache.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UsageReport {
    api_version: &'static str,
    kind: &'static str,
    totals: Figures,
    rows: Vec<Row>,
    /// Null where the collector's ledger was asked.
    scan: Option<Scan>,
}

#[derive(Debug, Serialize)]
pub struct Scan {
    files: usize,
    /// Lines and rows that should have been readable.
    unreadable: u64,
    unknown: Vec<UnknownRows>,
    failed: usize,
}

/// Rows that speak of tokens and are of a kind that is not known here.
#[derive(Debug, Serialize)]
pub struct UnknownRows {
    runtime: &'static str,
    kind: String,
    rows: u64,
}

impl UnknownRows {
    pub fn of(unknown: &Unknown) -> Vec<Self> {
        let row = |(runtime, kind, rows): (_, &str, _)| Self { runtime, kind: safe(kind).into_owned(), rows };
        unknown.iter().map(row).collect()
    }
}

impl Scan {
    pub fn of(scanned: &Scanned) -> Self {
        Self {
            files: scanned.files,
            unreadable: scanned.unreadable + scanned.tally.absurd(),
            unknown: UnknownRows::of(&scanned.unknown),
            failed: scanned.failed.len(),
        }
    }
}

/// What was not asked for is left out; what is not known is null.
#[derive(Debug, Serialize)]
struct Row {
    #[serde(flatten)]
    labels: BTreeMap<&'static str, Option<String>>,
    #[serde(flatten)]
    figures: Figures,
}

#[derive(Debug, Serialize)]
pub(super) struct Figures {
    pub(super) input: u64,
    pub(super) output: u64,
    pub(super) cache_write_5m: u64,
    pub(super) cache_write_1h: u64,
    pub(super) cache_read: u64,
    pub(super) reasoning: u64,
    /// US dollars of those responses whose cost is known; null where none's is.
    pub(super) cost_usd: Option<f64>,
    /// `reported` by the runtimes, `priced` by the table, `mixed`, `unknown`.
    pub(super) cost_source: &'static str,
    /// Responses that are not in `cost_usd`.
    pub(super) unpriced: u64,
    /// What the API would have charged, not what was paid: no account is known to pay by tokens.
    pub(super) notional: bool,
    pub(super) responses: u64,
}

impl Figures {
    pub(super) fn of(sum: &Sum) -> Self {
        Self {
            input: sum.tokens.input,
            output: sum.tokens.output,
            cache_write_5m: sum.tokens.cache_write_5m,
            cache_write_1h: sum.tokens.cache_write_1h,
            cache_read: sum.tokens.cache_read,
            reasoning: sum.tokens.reasoning,
            cost_usd: sum.costs.known().map(Money::usd),
            cost_source: source(&sum.costs),
            unpriced: sum.costs.unpriced,
            notional: true,
            responses: sum.responses,
        }
    }
}

const fn source(costs: &Costs) -> &'static str {
    match (costs.by_report, costs.by_price) {
        (0, 0) => "unknown",
        (_, 0) => "reported",
        (0, _) => "priced",
        _ => "mixed",
    }
}

pub fn json(spent: &Spent<'_>, scan: Option<Scan>) -> UsageReport {
    let row = |(group, sum): (&Group, &Sum)| Row { labels: labels(spent, group), figures: Figures::of(sum) };
    UsageReport {
        api_version: API_VERSION,
        kind: "UsageReport",
        totals: Figures::of(&spent.report.total()),
        rows: spent.rows().into_iter().map(row).collect(),
        scan,
    }
}

pub(super) fn labels(spent: &Spent<'_>, group: &Group) -> BTreeMap<&'static str, Option<String>> {
    let text = |text: &Option<String>| {
        text.as_deref().filter(|text| !text.is_empty()).map(|text| safe(text).into_owned())
    };
    let mut labels = BTreeMap::new();
    for by in spent.by {
        match by {
            By::Agent => {
                let key = group.agent.as_ref();
                labels.insert("agent", key.map(|key| safe(&key.session).into_owned()));
                labels.insert("tenant_id", key.map(|key| safe(key.tenant.as_str()).into_owned()));
                labels.insert("host", key.map(|key| safe(key.host.as_str()).into_owned()));
                labels.insert("socket", key.map(|key| safe(key.socket.shown()).into_owned()));
            }
            By::Runtime => drop(labels.insert("runtime", text(&group.runtime))),
            By::Account => drop(labels.insert("account", text(&group.account))),
            By::Model => drop(labels.insert("model", text(&group.model))),
            By::Day => drop(labels.insert("day", group.day.map(|day| date(day, spent.zone)))),
            By::Hour => drop(labels.insert("hour", group.hour.map(Wall::to_rfc3339))),
            By::Class => drop(labels.insert("class", text(&group.class))),
            By::Session => drop(labels.insert("session", text(&group.session))),
            By::Task => drop(labels.insert("task", text(&group.task))),
        }
    }
    labels
}

#[cfg(test)]
pub(super) mod tests {
    use fleet_domain::usage::{Tokens, UNATTRIBUTED};
    use fleet_domain::{AgentKey, HostId, SocketName, TenantId};

    use super::*;

    pub(in crate::render) fn report() -> Report {
        let key = |host: &str, session: &str| {
            AgentKey::new(TenantId::new("me"), HostId::new(host), SocketName::new("mosaic-fleet"), session)
        };
        let mut report = Report::default();
        for (agent, model, output) in [
            (key("box", "coder0"), "claude-sonnet-5", 1_200),
            (key("other", "coder0"), "claude-sonnet-5", 80_000),
            (key("box", UNATTRIBUTED), "", 3),
        ] {
            let tokens =
                Tokens { input: 10, output, cache_read: 900_000, cache_write_1h: 5, ..Tokens::default() };
            let day = Some(Wall(1_795_219_200_000));
            let group = Group { agent: Some(agent), model: Some(model.into()), day, ..Group::default() };
            let costs = match output {
                3 => Costs { unpriced: 2, ..Costs::default() },
                1_200 => Costs { priced: Money(3_456_000_000), by_price: 1, unpriced: 1, ..Costs::default() },
                _ => Costs { priced: Money(1_980_050_000_000), by_price: 2, ..Costs::default() },
            };
            report.add(group, &Sum { tokens, responses: 2, costs });
        }
        report
    }

    #[test]
    fn a_table_has_its_total_last() {
        let (report, zone) = (report(), TimeZone::UTC);
        let spent =
            Spent { report: &report, by: &[By::Day, By::Agent, By::Model], zone: &zone, course: None };
        insta::assert_snapshot!("usage_table", table(&spent, None, false));
        insta::assert_snapshot!("usage_table_narrow", table(&spent, Some(60), false));
    }

    #[test]
    fn the_latest_days_are_drawn_beside_each_row_and_the_total() {
        let (report, zone) = (report(), TimeZone::UTC);
        let course = report.0.keys().zip([vec![0, 4, 8], vec![1, 0, 0], vec![0, 0, 0]]);
        let course = course.map(|(group, days)| (group.clone(), days)).collect();
        let spent = Spent { report: &report, by: &[By::Agent], zone: &zone, course: Some(&course) };
        insta::assert_snapshot!("usage_table_course", table(&spent, None, false));
    }

    #[test]
    fn what_is_not_priced_is_told_apart() {
        let told = unpriced(&report()).unwrap();
        assert!(told.starts_with("+ 3 responses of claude-sonnet-5 unpriced"), "{told}");
        assert_eq!(unpriced(&Report::default()), None);
    }

    #[test]
    fn the_report_as_json() {
        let (report, zone) = (report(), TimeZone::UTC);
        let spent = Spent { report: &report, by: &[By::Agent, By::Model], zone: &zone, course: None };
        let mut unknown = Unknown::default();
        unknown.add("claude", "oracle".to_owned(), 2);
        let scan = Scan { files: 3, unreadable: 1, unknown: UnknownRows::of(&unknown), failed: 0 };
        insta::assert_snapshot!(
            "usage_json",
            serde_json::to_string_pretty(&json(&spent, Some(scan))).unwrap()
        );
    }
}
