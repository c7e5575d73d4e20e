//! What the owner of a budget says of a window.

use fleet_domain::Wall;
use fleet_domain::budget::amount::{Amount, parse_share, parse_span};
use fleet_domain::budget::schedule::{Every, Schedule, misplaced, parse_reset};
use fleet_domain::budget::standing::Setting;
use jiff::tz::TimeZone;

use crate::clock;
use crate::error::{Code, Failure};
use crate::render::words::safe;

#[derive(Debug, clap::Args)]
pub(super) struct Set {
    /// As the budget calls it
    pub(super) account: String,
    /// Such as 5h or 7d
    #[arg(long)]
    pub(super) window: String,
    /// Tokens or dollars: 200M, $50
    #[arg(long, value_parser = Amount::parse, allow_hyphen_values = true)]
    limit: Option<Amount>,
    /// How much of it is used now: 42%
    #[arg(long, value_parser = parse_share, allow_hyphen_values = true)]
    used: Option<f64>,
    /// When it resets: 2026-11-24T09:00 on the zone's clock, or with an offset
    #[arg(long, value_name = "TIME")]
    reset_at: Option<String>,
    /// How often it resets: 5h, 7d, 1mo
    #[arg(long, value_name = "SPAN", requires = "reset_at", value_parser = Every::parse)]
    every: Option<Every>,
    /// It begins with its first use
    #[arg(long, conflicts_with_all = ["reset_at", "every"])]
    rolling: bool,
    /// Whose clock --reset-at is on, such as Europe/Berlin [default: yours]
    #[arg(long)]
    zone: Option<String>,
    /// Who says so, beside the user that you are
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(super) by: String,
}

impl Set {
    pub(super) fn setting(&self, now: Wall) -> Result<Setting, Failure> {
        let usage = |message: String| Failure::new(Code::Usage, message);
        let zone = match &self.zone {
            Some(name) => TimeZone::get(name).map_err(|_| {
                usage(format!("--zone {}: no time zone is called so", safe(name)))
                    .next("such as Europe/Berlin or UTC")
            })?,
            None => clock::zone(),
        };
        let reset = self.reset_at.as_deref().map(|text| parse_reset(text, &zone)).transpose();
        let reset = reset.map_err(|wanted| usage(format!("--reset-at: {wanted}")))?;
        let length = || {
            let named = parse_span(self.window.split('-').next().unwrap_or_default());
            named.map_err(|_| {
                usage(format!("how long is the window {}?", safe(&self.window)))
                    .next("name it by its length, such as 5h or 7d, or give --every")
            })
        };
        let schedule = match (reset, self.every) {
            _ if self.rolling => Some(Schedule::Rolling(length()?)),
            (Some(anchor), Some(every)) => Some(Schedule::Fixed { anchor, every, zone }),
            (Some(at), None) => {
                let length = length()?;
                if let Some(wrong) = misplaced(at, length, now) {
                    return Err(usage(format!("--reset-at {at} is {wrong}"))
                        .next("give the next reset, or --every beside it"));
                }
                Some(Schedule::Once { at, length })
            }
            (None, _) => None,
        };
        if schedule.is_none() && self.limit.is_none() && self.used.is_none() {
            return Err(usage("nothing is said of the window".to_owned())
                .next("give --limit, --used, --reset-at or --rolling"));
        }
        Ok(Setting { limit: self.limit, used: self.used.map(|used| (used, now)), schedule })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(args: &[&str]) -> Result<Setting, Failure> {
        use clap::Parser;
        #[derive(Parser)]
        struct Cli {
            #[command(flatten)]
            set: Set,
        }
        let parsed = Cli::try_parse_from(["x", "max-1"].iter().chain(args))
            .map_err(|error| Failure::new(Code::Usage, error.to_string()))?;
        parsed.set.setting(Wall::parse_rfc3339("2026-11-21T12:00:00Z").unwrap())
    }

    #[test]
    fn a_window_is_set_with_its_reset_in_a_zone() {
        let setting = set(&[
            "--window",
            "7d",
            "--used",
            "42%",
            "--reset-at",
            "2026-11-24T09:00",
            "--every",
            "7d",
            "--zone",
            "UTC",
        ])
        .unwrap();
        assert_eq!(setting.used.unwrap().0, 0.42);
        let Some(Schedule::Fixed { anchor, every, .. }) = setting.schedule else { panic!("{setting:?}") };
        assert_eq!((anchor.to_rfc3339().as_str(), every), ("2026-11-24T09:00:00Z", Every::Days(7)));
        assert!(matches!(
            set(&["--window", "5h", "--rolling"]).unwrap().schedule,
            Some(Schedule::Rolling(_))
        ));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_what_to_do() {
        for (args, told) in [
            (&["--window", "7d"][..], "nothing is said"),
            (&["--window", "7d", "--limit", "-5"], "tokens above zero"),
            (&["--window", "7d", "--limit", "9999999G"], "slip of the pen"),
            (&["--window", "7d", "--used", "142%"], "from 0 to 100"),
            (&["--window", "7d", "--reset-at", "2020-01-01T00:00:00Z"], "in the past"),
            (&["--window", "weekly", "--reset-at", "2027-01-01T00:00:00Z"], "how long is the window"),
            (
                &["--window", "7d", "--reset-at", "2027-03-28T02:30:00Z"],
                "further away than the window is long",
            ),
            (&["--window", "7d", "--reset-at", "soon"], "a time is wanted"),
            (&["--window", "7d", "--used", "1%", "--zone", "Mars/Base"], "no time zone"),
        ] {
            let error = set(args).unwrap_err();
            assert_eq!(error.code, Code::Usage);
            assert!(error.to_string().contains(told), "{args:?}: {error}");
        }
    }
}
