//! Our log: one line an event on standard error; journald stamps the time. The usual registry for spans keeps 32 KiB of
//! tables, which in fifty sidecars is more than all their lines together; no spans are used here.

use std::fmt::{self, Write as _};
use std::io::Write as _;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Our own lines at the level asked for, libraries' only where they are worth a warning.
struct Lines {
    level: Level,
}

pub(crate) fn open(level: Level) {
    // A second one in the same process is a test's, and the first stays.
    let _ = tracing::subscriber::set_global_default(Lines { level });
}

impl Lines {
    fn limit(&self, target: &str) -> Level {
        if target.starts_with("fleet") { self.level } else { Level::WARN }
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= self.limit(metadata.target())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::from_level(self.level.max(Level::WARN)))
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(format!("{:>5}", event.metadata().level()));
        event.record(&mut line);
        line.0.push('\n');
        // Whole and at once; where nobody reads there is nobody to tell.
        let _ = std::io::stderr().lock().write_all(line.0.as_bytes());
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.0, " {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_lines_are_at_the_level_asked_for_and_others_only_from_a_warning_on() {
        let lines = Lines { level: Level::DEBUG };
        assert_eq!(lines.limit("fleet_sidecar::uplink"), Level::DEBUG);
        assert_eq!(lines.limit("h2::codec"), Level::WARN);
        assert_eq!(lines.max_level_hint(), Some(LevelFilter::DEBUG));
        assert_eq!(Lines { level: Level::ERROR }.max_level_hint(), Some(LevelFilter::WARN));
    }
}
