//! Which of the two text formats a scraper reads, and the older one made from the newer.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The text format 0.0.4, for whoever does not ask for more.
    Classic,
    OpenMetrics,
}

impl Format {
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The format of the greatest weight; OpenMetrics must be named, a wildcard does not ask for it.
    pub fn of(accept: Option<&str>) -> Self {
        let offers = accept.unwrap_or_default().split(',').filter_map(offer);
        let weight = |wanted: Self, offers: &[(Self, f64)]| {
            offers
                .iter()
                .filter(|(format, _)| *format == wanted)
                .map(|(_, weight)| *weight)
                .fold(0.0, f64::max)
        };
        let offers: Vec<(Self, f64)> = offers.collect();
        let open = weight(Self::OpenMetrics, &offers);
        if open > 0.0 && open >= weight(Self::Classic, &offers) { Self::OpenMetrics } else { Self::Classic }
    }
}

fn offer(range: &str) -> Option<(Format, f64)> {
    let mut parts = range.split(';').map(str::trim);
    let format = match parts.next()?.to_ascii_lowercase().as_str() {
        "application/openmetrics-text" => Format::OpenMetrics,
        "text/plain" => Format::Classic,
        _ => return None,
    };
    let mut weight = 1.0;
    for part in parts {
        let (name, value) = part.split_once('=')?;
        let value = value.trim().trim_matches('"');
        match name.trim() {
            "q" => weight = value.parse().ok().filter(|weight| (0.0..=1.0).contains(weight))?,
            "version" if format == Format::OpenMetrics && !matches!(value, "0.0.1" | "1.0.0") => return None,
            _ => {}
        }
    }
    Some((format, weight))
}

/// Writes the same samples in the older format: there a counter's name carries `_total` in its description too, and
/// units and the end mark do not exist. Samples are passed on as they come, so that no page exists twice.
#[derive(Debug)]
pub struct Classic {
    pub page: String,
    /// A description whose end is still to come.
    line: String,
    /// A metric's name and help, until its type tells under which name they go.
    help: Option<String>,
    at: At,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    LineStart,
    Description,
    Sample,
}

impl std::fmt::Write for Classic {
    /// The encoder never writes past a line's end in one piece.
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        if self.at == At::LineStart && !text.is_empty() {
            self.at = if text.starts_with('#') { At::Description } else { At::Sample };
        }
        match self.at {
            At::Sample => self.page.push_str(text),
            At::Description | At::LineStart => self.line.push_str(text),
        }
        if text.ends_with('\n') {
            let line = std::mem::take(&mut self.line);
            line.lines().for_each(|line| self.take(line));
            self.line = line;
            self.line.clear();
            self.at = At::LineStart;
        }
        Ok(())
    }
}

impl Classic {
    pub fn with_capacity(bytes: usize) -> Self {
        Self { page: String::with_capacity(bytes), line: String::new(), help: None, at: At::LineStart }
    }

    fn take(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            self.help = Some(rest.to_owned());
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or((rest, "untyped"));
            let suffix = if kind == "counter" { "_total" } else { "" };
            let help = self.help.take();
            if let Some((_, help)) = help.as_deref().and_then(|help| help.split_once(' ')) {
                self.push(&["# HELP ", name, suffix, " ", help]);
            }
            self.push(&["# TYPE ", name, suffix, " ", kind]);
        } else if !line.starts_with("# UNIT ") && line != "# EOF" {
            self.push(&[line]);
        }
    }

    fn push(&mut self, parts: &[&str]) {
        self.page.extend(parts.iter().copied());
        self.page.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    #[test]
    fn a_scraper_gets_what_it_asks_for_and_a_person_the_classic_text() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
                          text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert_eq!(Format::of(Some(prometheus)), Format::OpenMetrics);
        assert_eq!(
            Format::of(Some("text/plain;q=0.9, application/openmetrics-text; q=0.2")),
            Format::Classic
        );
        assert_eq!(Format::of(Some("application/openmetrics-text;version=2.0.0")), Format::Classic);
        for plain in [
            None,
            Some("*/*"),
            Some("text/html,*/*;q=0.8"),
            Some(";;=,q"),
            Some("application/openmetrics-text;q=x"),
        ] {
            assert_eq!(Format::of(plain), Format::Classic, "{plain:?}");
        }
    }

    #[test]
    fn counters_are_described_under_their_whole_name() {
        let page = "# HELP a b c\n# TYPE a counter\n# UNIT a x\na_total{l=\"# TYPE\"} 1\n# HELP g h\n# TYPE g gauge\ng 2\n# EOF\n";
        let mut classic = Classic::with_capacity(0);
        for piece in page.split_inclusive([' ', '\n']) {
            classic.write_str(piece).unwrap();
        }
        assert_eq!(
            classic.page,
            "# HELP a_total b c\n# TYPE a_total counter\na_total{l=\"# TYPE\"} 1\n# HELP g h\n# TYPE g gauge\ng 2\n"
        );
    }
}
