//! Parses the formats that `datetime.fromisoformat` accepts.
//!
//! The grammar is Python's own, which is wider than ISO 8601 in places and odd in a few:
//! `10:+05:00` and `10:00:00:5` are times. The parser works on bytes, and reads zeros past the end
//! of the text.

/// The parts of a text. Their ranges are only restricted by the format.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) date: (i64, i64, i64),
    pub(super) time: Clock,
    /// Microseconds east of Greenwich.
    pub(super) offset: Option<i64>,
}

/// A time of day, or the amount of an offset.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Clock {
    pub(super) hour: i64,
    pub(super) minute: i64,
    pub(super) second: i64,
    pub(super) microsecond: i64,
}

pub(super) fn parse(text: &str) -> Option<Parts> {
    if text.chars().count() < 7 {
        return None;
    }
    let text = Text(text.as_bytes());
    let separator = date_length(text)?;
    let date = parse_date(text, separator)?;
    if text.0.len() <= separator {
        return Some(Parts { date, ..Parts::default() });
    }
    // The separator between date and time may be any character.
    let start = separator
        + match text.at(separator) {
            0..=0x7f => 1,
            0x80..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xff => 4,
        };
    let (time, offset) = parse_time(text, start)?;
    Some(Parts { date, time, offset })
}

/// Text followed by infinitely many zeros.
#[derive(Clone, Copy)]
struct Text<'a>(&'a [u8]);

impl Text<'_> {
    fn at(self, position: usize) -> u8 {
        self.0.get(position).copied().unwrap_or(0)
    }

    fn is_digit(self, position: usize) -> bool {
        self.at(position).is_ascii_digit()
    }

    /// Reads exactly `count` digits.
    fn digits(self, position: &mut usize, count: usize) -> Option<i64> {
        let mut value = 0;
        for _ in 0..count {
            if !self.is_digit(*position) {
                return None;
            }
            value = value * 10 + i64::from(self.at(*position) - b'0');
            *position += 1;
        }
        Some(value)
    }
}

/// The length of the date, judging by its format: 7, 8 or 10.
fn date_length(text: Text) -> Option<usize> {
    let length = text.0.len();
    if length == 7 {
        return Some(7);
    }
    if text.at(4) == b'-' {
        if text.at(5) != b'W' {
            return Some(10); // YYYY-MM-DD
        }
        if length > 8 && text.at(8) == b'-' {
            // YYYY-Www-D, or YYYY-Www with a hyphen before the hour. Two digits are an hour.
            return match length {
                9 => None,
                _ if text.is_digit(10) => Some(8),
                _ => Some(10),
            };
        }
        return Some(8); // YYYY-Www
    }
    if text.at(4) != b'W' {
        return Some(8); // YYYYMMDD
    }
    // YYYYWww or YYYYWwwD: hours, minutes and seconds have two digits each, so the number of digits
    // tells whether there is a single one for the day.
    let digits_end = (7..length).find(|&position| !text.is_digit(position)).unwrap_or(length);
    Some(match digits_end {
        7 | 8 => digits_end,
        end if end % 2 == 0 => 7,
        _ => 8,
    })
}

fn parse_date(text: Text, length: usize) -> Option<(i64, i64, i64)> {
    let mut position = 0;
    let year = text.digits(&mut position, 4)?;
    let hyphens = text.at(position) == b'-';
    position += usize::from(hyphens);
    if text.at(position) == b'W' {
        position += 1;
        let week = text.digits(&mut position, 2)?;
        let mut day = 1;
        if position < length {
            if hyphens {
                skip_hyphen(text, &mut position)?;
            }
            day = text.digits(&mut position, 1)?;
        }
        return week_date(year, week, day);
    }
    let month = text.digits(&mut position, 2)?;
    if hyphens {
        skip_hyphen(text, &mut position)?;
    }
    let day = text.digits(&mut position, 2)?;
    (position == length).then_some((year, month, day))
}

fn skip_hyphen(text: Text, position: &mut usize) -> Option<()> {
    let found = text.at(*position) == b'-';
    *position += 1;
    found.then_some(())
}

/// The calendar date of a day of a week. Weeks start on Monday, and the first week contains the
/// year's first Thursday.
fn week_date(year: i64, week: i64, day: i64) -> Option<(i64, i64, i64)> {
    if year < 1 || !(1..=53).contains(&week) || !(1..=7).contains(&day) {
        return None;
    }
    let first_monday = first_monday_of_weeks(year);
    if week == 53 && first_monday_of_weeks(year + 1) <= first_monday + 52 * 7 {
        return None;
    }
    Some(civil_from_days(first_monday + (week - 1) * 7 + day - 1))
}

/// The Monday of the year's first week, in days since 1970-01-01.
fn first_monday_of_weeks(year: i64) -> i64 {
    let fourth = days_from_civil(year, 1, 4);
    // 1970-01-01 was a Thursday.
    fourth - (fourth + 3).rem_euclid(7)
}

fn parse_time(text: Text, start: usize) -> Option<(Clock, Option<i64>)> {
    let end = text.0.len();
    let zone = (start..end).find(|&position| matches!(text.at(position), b'+' | b'-' | b'Z'));
    let (time, complete) = parse_clock(text, start, zone.unwrap_or(end))?;
    let Some(zone) = zone else {
        return complete.then_some((time, None));
    };
    // Python ignores any rest between the time and an offset.
    if text.at(zone) == b'Z' {
        return (text.at(zone + 1) == 0).then_some((time, Some(0)));
    }
    let (amount, complete) = parse_clock(text, zone + 1, end)?;
    let seconds = amount.hour * 3600 + amount.minute * 60 + amount.second;
    // A fraction of a second alone is not an offset.
    let microseconds = if seconds == 0 { 0 } else { seconds * 1_000_000 + amount.microsecond };
    let sign = if text.at(zone) == b'-' { -1 } else { 1 };
    complete.then_some((time, Some(sign * microseconds)))
}

/// `HH[:MM[:SS[.ffffff]]]`, with all colons or none; also returns whether that is the end of the
/// text.
fn parse_clock(text: Text, start: usize, end: usize) -> Option<(Clock, bool)> {
    let mut fields = [0; 3];
    let mut position = start;
    let mut colons = true;
    let mut complete = None;
    for (index, field) in fields.iter_mut().enumerate() {
        *field = text.digits(&mut position, 2)?;
        let next = text.at(position);
        position += 1;
        if index == 0 {
            colons = next == b':';
        }
        if position >= end {
            complete = Some(next == 0);
            break;
        }
        match next {
            b':' if colons => {}
            b'.' | b',' => break,
            _ if !colons => position -= 1,
            _ => return None,
        }
    }
    let [hour, minute, second] = fields;
    let mut clock = Clock { hour, minute, second, microsecond: 0 };
    if let Some(complete) = complete {
        return Some((clock, complete));
    }
    let digits = end.saturating_sub(position).min(6);
    clock.microsecond = text.digits(&mut position, digits)?;
    for _ in digits..6 {
        clock.microsecond *= 10;
    }
    while text.is_digit(position) {
        position += 1;
    }
    Some((clock, text.at(position) == 0))
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar.
pub(super) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    // Years start in March, so that the leap day comes last. 400 of them have 146097 days.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The year, month and day for a number of days since 1970-01-01.
pub(super) fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}
