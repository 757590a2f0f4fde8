//! Times in the form in which Go writes them as JSON.

use jiff::Timestamp;

/// The current time.
pub(crate) fn now() -> String {
    Timestamp::now().to_string()
}

/// An RFC 3339 date as Go would write it: in its own time zone, and without trailing zeros in a
/// fraction. `None` if it is not such a date.
pub(crate) fn go_time(text: &str) -> Option<String> {
    text.parse::<Timestamp>().ok()?;
    let (date, time) = text.split_once('T')?;
    let zone = time.find(['Z', '+', '-'])?;
    let (time, zone) = time.split_at(zone);
    let time = match time.split_once('.') {
        Some((seconds, fraction)) => match fraction.trim_end_matches('0') {
            "" => seconds.to_owned(),
            fraction => format!("{seconds}.{fraction}"),
        },
        None => time.to_owned(),
    };
    let zone = if zone == "+00:00" { "Z" } else { zone };
    Some(format!("{date}T{time}{zone}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_as_go_writes_them() {
        for (text, go) in [
            ("1970-01-01T00:00:01+00:00", Some("1970-01-01T00:00:01Z")),
            ("2024-02-29T12:00:00.120+02:00", Some("2024-02-29T12:00:00.12+02:00")),
            ("2024-02-29T12:00:00.000Z", Some("2024-02-29T12:00:00Z")),
            ("2024-02-30T12:00:00Z", None),
            ("2024-02-29", None),
            ("now", None),
        ] {
            assert_eq!(go_time(text).as_deref(), go, "{text}");
        }
    }
}
