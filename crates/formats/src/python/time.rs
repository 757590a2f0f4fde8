//! `datetime.fromisoformat`, `isoformat` and `timestamp`.
//!
//! The accepted formats are those of Python 3.11, 3.12 and 3.13. Python 3.14 also accepts `24:00`
//! for the next day's midnight.

use super::iso_format::{self, Clock};
use jiff::{Timestamp, tz::TimeZone};
use std::time::{SystemTime, UNIX_EPOCH};

const MICROSECONDS: i64 = 1_000_000;
const DAY: i64 = 24 * 60 * 60;

/// A date with a time of day and possibly an offset from UTC: Python's `datetime`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DateTime {
    year: i64,
    month: i64,
    day: i64,
    time: Clock,
    /// Microseconds east of Greenwich; `None` for local time.
    offset: Option<i64>,
}

/// Why a string is not a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// The format is unknown.
    #[error("not a date such as 1970-01-01T00:00:01Z or 2026-11-23")]
    Malformed,
    /// The format is valid, but the day does not exist.
    #[error("no such day in the calendar")]
    NoSuchDay,
    /// The format is valid, but the time does not exist.
    #[error("no such time of the day")]
    NoSuchTime,
    /// The offset is a day or more.
    #[error("the offset from UTC is 24 hours or more")]
    NoSuchOffset,
}

impl DateTime {
    /// `datetime.fromisoformat(text)`.
    pub fn fromisoformat(text: &str) -> Result<Self, TimeError> {
        let parts = iso_format::parse(text).ok_or(TimeError::Malformed)?;
        let (year, month, day) = parts.date;
        if !(1..=9999).contains(&year)
            || !(1..=12).contains(&month)
            || !(1..=days_in_month(year, month)).contains(&day)
        {
            return Err(TimeError::NoSuchDay);
        }
        let time = parts.time;
        if time.hour > 23 || time.minute > 59 || time.second > 59 {
            return Err(TimeError::NoSuchTime);
        }
        if parts.offset.is_some_and(|offset| offset.abs() >= DAY * MICROSECONDS) {
            return Err(TimeError::NoSuchOffset);
        }
        Ok(Self { year, month, day, time, offset: parts.offset })
    }

    /// `datetime.now(tz=timezone.utc)`.
    pub fn now_utc() -> Self {
        // A clock before 1970 or after the year 9999 is wrong; the image then gets the earliest or
        // latest possible time.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let last_second = iso_format::days_from_civil(10_000, 1, 1) * DAY - 1;
        let seconds = i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX).min(last_second);
        Self::from_utc(seconds, i64::from(since_epoch.subsec_micros()))
    }

    fn from_utc(seconds: i64, microsecond: i64) -> Self {
        let (year, month, day) = iso_format::civil_from_days(seconds.div_euclid(DAY));
        let second_of_day = seconds.rem_euclid(DAY);
        let time = Clock {
            hour: second_of_day / 3600,
            minute: second_of_day / 60 % 60,
            second: second_of_day % 60,
            microsecond,
        };
        Self { year, month, day, time, offset: Some(0) }
    }

    /// `isoformat()`: `2026-01-02T03:04:05.678901+00:00`, without a fraction that is zero and
    /// without an unknown offset.
    pub fn isoformat(&self) -> String {
        let Self { year, month, day, .. } = self;
        let Clock { hour, minute, second, microsecond } = self.time;
        let fraction = format_fraction(microsecond);
        let offset = self.offset.map_or_else(String::new, format_offset);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}{offset}")
    }

    /// `int(self.timestamp())`: seconds since 1970, truncated towards zero.
    ///
    /// A time without an offset is local time, according to `TZ` and the system's settings. Python
    /// fails for such a time in the first hours of the year 1 and the last hours of 9999; here it
    /// is treated like any other.
    pub fn timestamp(&self) -> i64 {
        let seconds = self.seconds_on_clock();
        let Some(offset) = self.offset else {
            return truncate(local_to_utc(seconds, system_offset), self.time.microsecond);
        };
        let microseconds = seconds * MICROSECONDS + self.time.microsecond - offset;
        truncate(microseconds.div_euclid(MICROSECONDS), microseconds.rem_euclid(MICROSECONDS))
    }

    /// Seconds since 1970, as if the clock showed UTC.
    fn seconds_on_clock(&self) -> i64 {
        iso_format::days_from_civil(self.year, self.month, self.day) * DAY
            + self.time.hour * 3600
            + self.time.minute * 60
            + self.time.second
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// `.ffffff`, or an empty string.
fn format_fraction(microsecond: i64) -> String {
    if microsecond == 0 { String::new() } else { format!(".{microsecond:06}") }
}

/// `+HH:MM[:SS[.ffffff]]`.
fn format_offset(offset: i64) -> String {
    let sign = if offset < 0 { '-' } else { '+' };
    let (seconds, microsecond) = (offset.abs() / MICROSECONDS, offset.abs() % MICROSECONDS);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if second == 0 && microsecond == 0 {
        return format!("{sign}{hour:02}:{minute:02}");
    }
    format!("{sign}{hour:02}:{minute:02}:{second:02}{}", format_fraction(microsecond))
}

/// `int(seconds + microsecond / 1e6)`.
///
/// Python's timestamps are floats, which cannot represent the last microseconds far from 1970, so
/// 9999-12-31T23:59:59.999999Z is in the year 10000.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "years 1 to 9999 have fewer seconds than a float's 53 bits count"
)]
fn truncate(seconds: i64, microsecond: i64) -> i64 {
    (seconds as f64 + microsecond as f64 / 1e6) as i64
}

/// The local time zone's offset in seconds at an instant.
///
/// UTC if the system has no time zone, as in a build sandbox.
fn system_offset(instant: i64) -> i64 {
    let zone = TimeZone::try_system().unwrap_or(TimeZone::UTC);
    // Of all possible arguments, only those at the very end of 9999 have no Timestamp.
    let at = Timestamp::from_second(instant).unwrap_or(Timestamp::MAX);
    i64::from(zone.to_offset(at).seconds())
}

/// The instant at which local clocks show `clock`, both in seconds since 1970.
///
/// If a clock change repeats that time, this is the first occurrence; if it skips it, the offset
/// from before the change is used.
fn local_to_utc(clock: i64, offset_at: impl Fn(i64) -> i64) -> i64 {
    let shown_at = |instant: i64| instant + offset_at(instant);
    let offset = offset_at(clock);
    let first = clock - offset;
    let other_offset = if shown_at(first) == clock {
        let day_before = offset_at(first - DAY);
        if day_before == offset {
            return first;
        }
        day_before
    } else {
        offset_at(first)
    };
    let second = clock - other_offset;
    if shown_at(second) == clock {
        second
    } else if shown_at(first) == clock {
        first
    } else {
        first.max(second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_and_written() {
        for (text, written, timestamp) in [
            ("1970-01-01T00:00:01Z", "1970-01-01T00:00:01+00:00", 1),
            ("1970-01-01T00:00:01+00:00", "1970-01-01T00:00:01+00:00", 1),
            ("2024-02-29T12:34:56.789+05:30", "2024-02-29T12:34:56.789000+05:30", 1_709_190_296),
            ("1960-06-01T00:00:00.5Z", "1960-06-01T00:00:00.500000+00:00", -302_486_399),
            ("20240229 1234-0100", "2024-02-29T12:34:00-01:00", 1_709_213_640),
            ("2020-W53-7T00Z", "2021-01-03T00:00:00+00:00", 1_609_632_000),
            ("2026-11-23é10:00:00,1234567Z", "2026-11-23T10:00:00.123456+00:00", 1_795_428_000),
            ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999+00:00", 253_402_300_800),
            ("0001-01-01T00Z", "0001-01-01T00:00:00+00:00", -62_135_596_800),
            ("2000-01-01T00-00:00:30.5", "2000-01-01T00:00:00-00:00:30.500000", 946_684_830),
        ] {
            let parsed = DateTime::fromisoformat(text).expect(text);
            assert_eq!(parsed.isoformat(), written, "{text}");
            assert_eq!(parsed.timestamp(), timestamp, "{text}");
        }
        let naive = DateTime::fromisoformat("2026-11-23").unwrap();
        assert_eq!(naive.isoformat(), "2026-11-23T00:00:00");
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for (text, error) in [
            ("", TimeError::Malformed),
            ("now", TimeError::Malformed),
            ("2026-11", TimeError::Malformed),
            ("2026-11-23T", TimeError::Malformed),
            ("2026-11-23T10:00z", TimeError::Malformed),
            ("2026-11-23T10:00+", TimeError::Malformed),
            ("2021-W53-1", TimeError::Malformed),
            ("2026-02-29", TimeError::NoSuchDay),
            ("0000-01-01", TimeError::NoSuchDay),
            ("2026-11-23T24:00", TimeError::NoSuchTime),
            ("2026-11-23T10:60", TimeError::NoSuchTime),
            ("2026-11-23T10:00+24:00", TimeError::NoSuchOffset),
        ] {
            assert_eq!(DateTime::fromisoformat(text), Err(error), "{text}");
        }
    }

    #[test]
    fn now_has_microseconds_and_is_utc() {
        let now = DateTime::now_utc();
        assert_eq!(DateTime::fromisoformat(&now.isoformat()), Ok(now.clone()));
        assert!(now.isoformat().ends_with("+00:00"));
        assert_eq!(
            DateTime::from_utc(1_767_323_045, 678_901).isoformat(),
            "2026-01-02T03:04:05.678901+00:00"
        );
    }

    /// A zone that switches from +1 h to +2 h at 10 000 000, and back at 20 000 000.
    #[test]
    fn changes_of_the_clock_resolve_as_in_python() {
        let offset_at =
            |instant| if (10_000_000..20_000_000).contains(&instant) { 7200 } else { 3600 };
        for (clock, instant) in [
            (5_003_600, 5_000_000),
            (10_003_599, 9_999_999),
            (10_005_000, 10_001_400), // left out
            (10_007_200, 10_000_000),
            (20_003_599, 19_996_399),
            (20_004_000, 19_996_800), // shown twice
            (20_007_200, 20_003_600),
        ] {
            assert_eq!(local_to_utc(clock, offset_at), instant, "{clock}");
        }
    }
}
