//! Windows of accounts: sightings upward, standings downward.

use std::time::Duration;

use fleet_domain::ids::AccountName;
use fleet_domain::limits::{Provenance, Reading, Source, Standing, WindowName};
use fleet_domain::time::Wall;

use super::scalar::{duration, ms, name};
use super::{Invalid, bounded};
use crate::limits::MAX_WINDOWS;
use crate::pb;

pub fn readings_to_pb(readings: &[Reading]) -> pb::LimitReadings {
    pb::LimitReadings { readings: readings.iter().map(reading_to_pb).collect() }
}

/// What a later version saw somewhere that is not known here is left out; the rest is taken.
pub fn readings_from_pb(readings: &pb::LimitReadings) -> Result<Vec<Reading>, Invalid> {
    bounded("limits.readings", readings.readings.len(), MAX_WINDOWS)?;
    readings.readings.iter().filter_map(|reading| reading_from_pb(reading).transpose()).collect()
}

pub fn standings_to_pb(standings: &[Standing]) -> pb::ListLimitsResponse {
    let one = |standing: &Standing| pb::LimitStanding {
        reading: Some(reading_to_pb(&standing.reading)),
        provenance: match standing.provenance {
            Provenance::Provider => pb::LimitProvenance::Provider,
            Provenance::User => pb::LimitProvenance::User,
            Provenance::Estimated => pb::LimitProvenance::Estimated,
            Provenance::Unknown => pb::LimitProvenance::Unknown,
        } as i32,
        age_ms: ms(standing.age),
    };
    pb::ListLimitsResponse { windows: standings.iter().map(one).collect() }
}

pub fn standings_from_pb(answer: &pb::ListLimitsResponse) -> Result<Vec<Standing>, Invalid> {
    bounded("limits.windows", answer.windows.len(), MAX_WINDOWS)?;
    let mut standings = Vec::with_capacity(answer.windows.len());
    for window in &answer.windows {
        let reading = window.reading.as_ref().ok_or(Invalid::Missing("limits.windows.reading"))?;
        let Some(reading) = reading_from_pb(reading)? else { continue };
        let provenance = match pb::LimitProvenance::try_from(window.provenance) {
            Ok(pb::LimitProvenance::Provider) => Provenance::Provider,
            Ok(pb::LimitProvenance::User) => Provenance::User,
            Ok(pb::LimitProvenance::Estimated) => Provenance::Estimated,
            _ => Provenance::Unknown,
        };
        standings.push(Standing { reading, provenance, age: duration(window.age_ms) });
    }
    Ok(standings)
}

fn reading_to_pb(reading: &Reading) -> pb::LimitReading {
    pb::LimitReading {
        account: reading.account.to_string(),
        provider: reading.provider.clone(),
        window: reading.window.to_string(),
        length_seconds: reading.length.map_or(0, |length| length.as_secs()),
        used_ratio: reading.used_ratio,
        resets_at_unix_ms: reading.resets_at.map(|at| at.0),
        observed_at_unix_ms: reading.observed_at.0,
        source: reading.source.as_str().to_owned(),
    }
}

/// `None` for a source that this version does not know.
fn reading_from_pb(reading: &pb::LimitReading) -> Result<Option<Reading>, Invalid> {
    if reading.account.is_empty() {
        return Err(Invalid::Missing("limits.readings.account"));
    }
    let window = WindowName::parse(&reading.window)
        .map_err(|error| Invalid::Bad { field: "limits.readings.window", why: error.to_string() })?;
    let Some(source) = Source::parse(&reading.source) else { return Ok(None) };
    let checked = Reading {
        account: AccountName::new(&reading.account),
        provider: name(&reading.provider),
        window,
        length: Some(Duration::from_secs(reading.length_seconds)).filter(|length| !length.is_zero()),
        used_ratio: reading.used_ratio,
        resets_at: reading.resets_at_unix_ms.map(Wall),
        observed_at: Wall(reading.observed_at_unix_ms),
        source,
    }
    .checked();
    let why = || format!("{} is no share of a limit", reading.used_ratio);
    checked.map(Some).ok_or_else(|| Invalid::Bad { field: "limits.readings.used_ratio", why: why() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading() -> Reading {
        Reading {
            account: AccountName::new("max-1"),
            provider: "anthropic".to_owned(),
            window: WindowName::parse("7d-opus").unwrap(),
            length: Some(Duration::from_secs(7 * 86_400)),
            used_ratio: 0.42,
            resets_at: Some(Wall(2_000)),
            observed_at: Wall(1_000),
            source: Source::Statusline,
        }
    }

    #[test]
    fn a_sighting_and_a_standing_arrive_as_they_were_sent() {
        let other = Reading { length: None, resets_at: None, source: Source::User, ..reading() };
        let sent = vec![reading(), other];
        assert_eq!(readings_from_pb(&readings_to_pb(&sent)), Ok(sent));
        let standings = Provenance::ALL.map(|provenance| Standing {
            reading: reading(),
            provenance,
            age: Duration::from_secs(3),
        });
        assert_eq!(standings_from_pb(&standings_to_pb(&standings)), Ok(standings.to_vec()));
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_what_is_not_known_left_out() {
        let sent = |change: fn(&mut pb::LimitReading)| {
            let mut one = reading_to_pb(&reading());
            change(&mut one);
            readings_from_pb(&pb::LimitReadings { readings: vec![one] })
        };
        assert!(sent(|one| one.used_ratio = f64::NAN).is_err());
        assert!(sent(|one| one.window = "5 hours".to_owned()).is_err());
        assert!(sent(|one| one.account.clear()).is_err());
        assert_eq!(sent(|one| one.source = "telepathy".to_owned()), Ok(Vec::new()));
        let many = pb::LimitReadings { readings: vec![reading_to_pb(&reading()); MAX_WINDOWS + 1] };
        assert!(readings_from_pb(&many).is_err());
    }
}
