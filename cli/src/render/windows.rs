//! Windows of accounts, as a table and as JSON.

use anstyle::{AnsiColor, Style};
use fleet_domain::limits::{Provenance, Standing};
use fleet_domain::time::Wall;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::grid::{Align, Cell, Fit, Grid, Head};
use super::item::List;
use super::words::{NONE, age, safe};

pub struct Windows<'a> {
    pub standings: &'a [Standing],
    pub now: Wall,
    pub zone: &'a TimeZone,
}

impl Windows<'_> {
    /// Fitted to `width`, or as wide as it is.
    pub fn table(&self, width: Option<usize>, colour: bool) -> String {
        let head = |(title, align, fit): (&str, Align, Fit)| Head { title: title.to_owned(), align, fit };
        let heads = [
            ("ACCOUNT", Align::Left, Fit::Shrinks { least: 8 }),
            ("WINDOW", Align::Left, Fit::Shrinks { least: 6 }),
            ("USED", Align::Right, Fit::Fixed),
            ("RESETS", Align::Left, Fit::Fixed),
            ("PROVENANCE", Align::Left, Fit::Leaves(2)),
            ("SOURCE", Align::Left, Fit::Leaves(3)),
            ("AGE", Align::Right, Fit::Leaves(1)),
        ];
        let mut grid = Grid::new(heads.map(head).into(), self.standings.len());
        for standing in self.standings {
            grid.push(self.cells(standing));
        }
        match width {
            None => grid.plain(true, colour),
            Some(width) => grid.fitted(width, true, colour).lines.join("\n") + "\n",
        }
    }

    fn cells(&self, standing: &Standing) -> [Cell<'_>; 7] {
        let reading = &standing.reading;
        let (used, style) = match standing.used_ratio() {
            Some(used) => (percent(used), warning(used)),
            // The last value, which is of a window before.
            None => (format!("({})", percent(reading.used_ratio)), AnsiColor::BrightBlack.on_default()),
        };
        [
            Cell::plain(safe(reading.account.as_str()).into_owned()),
            Cell::plain(safe(reading.window.as_str()).into_owned()),
            Cell::styled(used, style),
            Cell::plain(self.resets(standing)),
            Cell::plain(standing.provenance.as_str()),
            Cell::plain(reading.source.as_str()),
            Cell::plain(age(standing.age)),
        ]
    }

    /// `in 2h5m (14:05)`; with the day where it is not within one.
    fn resets(&self, standing: &Standing) -> String {
        let at = match (standing.resets_at(), standing.reading.resets_at) {
            (Some(at), _) => at,
            (None, Some(past)) if past <= self.now => return format!("{} ago", age(past.age_at(self.now))),
            _ => return NONE.to_owned(),
        };
        let left = self.now.age_at(at);
        let format = if left.as_secs() < 20 * 3600 { "%H:%M" } else { "%a %-d %b %H:%M" };
        let clock = jiff::Timestamp::from_millisecond(at.0)
            .map(|at| at.to_zoned(self.zone.clone()).strftime(format).to_string());
        clock.map_or_else(|_| NONE.to_owned(), |clock| format!("in {} ({clock})", age(left)))
    }

    pub fn json(&self) -> List<Vec<Item>> {
        List::new("LimitList", self.standings.iter().map(|standing| self.item(standing)).collect())
    }

    fn item(&self, standing: &Standing) -> Item {
        let reading = &standing.reading;
        let resets_at = standing.resets_at();
        Item {
            account: safe(reading.account.as_str()).into_owned(),
            provider: safe(&reading.provider).into_owned(),
            window: safe(reading.window.as_str()).into_owned(),
            length_seconds: reading.length.map(|length| length.as_secs()),
            used_ratio: standing.used_ratio(),
            last_used_ratio: reading.used_ratio,
            resets_at: resets_at.map(Wall::to_rfc3339),
            resets_in_seconds: resets_at.map(|at| self.now.age_at(at).as_secs()),
            provenance: standing.provenance.as_str(),
            source: reading.source.as_str(),
            observed_at: reading.observed_at.to_rfc3339(),
            age_seconds: standing.age.as_secs(),
        }
    }
}

/// The JSON is a contract: keys may be added. What is not known is null.
#[derive(Debug, Serialize)]
pub struct Item {
    account: String,
    provider: String,
    window: String,
    length_seconds: Option<u64>,
    /// Share of the present window's limit; null where the window began anew since it was seen.
    used_ratio: Option<f64>,
    /// As it was last seen, of whichever window.
    last_used_ratio: f64,
    resets_at: Option<String>,
    resets_in_seconds: Option<u64>,
    provenance: &'static str,
    source: &'static str,
    observed_at: String,
    age_seconds: u64,
}

fn percent(ratio: f64) -> String {
    let text = format!("{:.1}", ratio * 100.0);
    format!("{}%", text.strip_suffix(".0").unwrap_or(&text))
}

fn warning(used: f64) -> Style {
    match used {
        used if used >= 1.0 => AnsiColor::Red.on_default().bold(),
        used if used >= 0.8 => AnsiColor::Yellow.on_default(),
        _ => Style::new(),
    }
}

/// What a reader should know besides the table; `None` where every window is known.
pub fn remark(standings: &[Standing]) -> Option<&'static str> {
    let past = standings.iter().any(|standing| standing.provenance == Provenance::Unknown);
    past.then_some(
        "in parentheses: seen before the window began anew; nothing is known of the present one yet",
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use fleet_domain::AccountName;
    use fleet_domain::limits::{Reading, Source, WindowName, Windows as Merged};

    use super::*;
    use crate::render::samples;

    fn standings() -> Vec<Standing> {
        let (now, minute) = (samples::now(), 60_000);
        let mut windows = Merged::default();
        for (account, window, used, resets, age, source) in [
            ("max-1", "5h", 0.425, 125, 2, Source::Statusline),
            ("max-1", "7d", 0.81, 3_000, 900, Source::GetUsage),
            ("max-1", "7d-opus", 1.0, -30, 400, Source::LimitRow),
            ("openai", "5h-codex_bengalfox", 1.02, 20, 0, Source::Rollout),
            ("openai", "month", 0.5, 20_000, 10_000, Source::User),
        ] {
            let window = WindowName::parse(window).unwrap();
            windows.take(Reading {
                account: AccountName::new(account),
                provider: "anthropic".to_owned(),
                length: window.length(),
                window,
                used_ratio: used,
                resets_at: Some(Wall(now.0 + resets * minute)),
                observed_at: Wall(now.0 - age * minute),
                source,
            });
        }
        windows.standings(now)
    }

    #[test]
    fn limits_as_a_table() {
        let standings = standings();
        let windows = Windows { standings: &standings, now: samples::now(), zone: &TimeZone::UTC };
        insta::assert_snapshot!("limits_table", windows.table(None, false));
        insta::assert_snapshot!("limits_table_narrow", windows.table(Some(60), false));
        assert!(remark(&standings).is_some() && remark(&standings[..2]).is_none());
    }

    #[test]
    fn limits_as_json() {
        let standings = standings();
        let windows = Windows { standings: &standings[..3], now: samples::now(), zone: &TimeZone::UTC };
        insta::assert_snapshot!("limits_json", serde_json::to_string_pretty(&windows.json()).unwrap());
    }

    #[test]
    fn a_share_is_told_to_a_tenth_of_a_percent() {
        let shown = [0.0, 0.425, 0.4251, 1.0, 1.5].map(percent);
        assert_eq!(shown, ["0%", "42.5%", "42.5%", "100%", "150%"]);
        assert_eq!(age(Duration::from_secs(7_500)), "2h5m");
    }
}
