//! What was used, for a spreadsheet.

use std::collections::BTreeMap;

use fleet_domain::report::Group;

use super::spent::{Figures, Spent, labels};

/// For spreadsheets: what tells apart, then the figures of the JSON, a row a group; RFC 4180.
pub fn csv(spent: &Spent<'_>) -> String {
    const FIGURES: &str = "responses,input,output,cache_write_5m,cache_write_1h,cache_read,reasoning,cost_usd,cost_source,unpriced";
    let rows = spent.rows();
    let named: Vec<BTreeMap<&'static str, Option<String>>> =
        rows.iter().map(|(group, _)| labels(spent, group)).collect();
    let empty = labels(spent, &Group::default());
    let mut out: String = empty.keys().map(|name| format!("{name},")).collect();
    out.push_str(FIGURES);
    out.push_str("\r\n");
    for (labels, (_, sum)) in named.iter().zip(rows) {
        for label in labels.values() {
            out.push_str(&field(label.as_deref().unwrap_or_default()));
            out.push(',');
        }
        let of = Figures::of(sum);
        let cost = of.cost_usd.map(|usd| usd.to_string()).unwrap_or_default();
        out.push_str(&format!(
            "{},{},{},{},{},{},{},{cost},{},{}\r\n",
            of.responses,
            of.input,
            of.output,
            of.cache_write_5m,
            of.cache_write_1h,
            of.cache_read,
            of.reasoning,
            of.cost_source,
            of.unpriced
        ));
    }
    out
}

fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use fleet_domain::report::By;
    use jiff::tz::TimeZone;

    use super::*;
    use crate::render::spent::tests::report;

    #[test]
    fn a_spreadsheet_gets_a_row_a_group_and_no_broken_field() {
        let (report, zone) = (report(), TimeZone::UTC);
        let spent = Spent { report: &report, by: &[By::Agent, By::Model], zone: &zone, course: None };
        insta::assert_snapshot!("usage_csv", csv(&spent));
        assert_eq!(field("a,\"b\""), "\"a,\"\"b\"\"\"");
    }
}
