//! The records of extended headers (POSIX.1-2001 pax), as Python's `tarfile` reads them.

use std::io;

use indexmap::IndexMap;

use formats::python::number;

/// Records in order. A keyword's last value counts, in the position of the first one.
pub(super) type Records = IndexMap<Vec<u8>, Vec<u8>>;

/// Memory for a record in addition to its text.
const OVERHEAD: usize = 128;

/// The limit for an archive's names and records, in bytes.
const MAX_KEPT: usize = 28 << 20;

/// The bytes of names and records that are still allowed.
#[derive(Debug)]
pub(super) struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(MAX_KEPT)
    }
}

impl Budget {
    /// The budget left after `kept` bytes.
    pub(super) fn without(kept: usize) -> Self {
        Self(MAX_KEPT.saturating_sub(kept))
    }

    pub(super) fn take(&mut self, bytes: usize) -> io::Result<()> {
        self.0 = self.0.checked_sub(bytes).ok_or_else(|| {
            let most = MAX_KEPT >> 20;
            io::Error::other(format!(
                "names and records of all members together take more than {most} MiB; an image \
                 needs far less"
            ))
        })?;
        Ok(())
    }
}

/// Adds a header's records. Each is `LENGTH KEYWORD=VALUE\n`, where the length includes itself.
pub(super) fn add(
    records: &mut Records,
    mut payload: &[u8],
    budget: &mut Budget,
) -> io::Result<()> {
    // After a NUL there is only padding.
    while payload.first().is_some_and(|&byte| byte != 0) {
        let (keyword, value, rest) =
            split(payload).ok_or_else(|| io::Error::other("a record in it is malformed"))?;
        budget.take(cost(keyword, value))?;
        match records.get_mut(keyword) {
            Some(known) => value.clone_into(known),
            None => drop(records.insert(keyword.to_owned(), value.to_owned())),
        }
        payload = rest;
    }
    Ok(())
}

/// The first record's keyword and value, and the rest.
fn split(payload: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = payload.iter().take(21).position(|&byte| byte == b' ')?;
    let digits = &payload[..space];
    let digits = digits.iter().all(u8::is_ascii_digit).then_some(digits)?;
    let length: usize = str::from_utf8(digits).ok()?.parse().ok()?;
    let (record, rest) = payload.split_at_checked(length)?;
    let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|&byte| byte == b'=')?;
    (equals > 0).then(|| (&record[..equals], &record[equals + 1..], rest))
}

/// The memory used by all records.
pub(super) fn total_cost(records: &Records) -> usize {
    records.iter().map(|(keyword, value)| cost(keyword, value)).sum()
}

fn cost(keyword: &[u8], value: &[u8]) -> usize {
    keyword.len() + value.len() + OVERHEAD
}

/// A record's value as a whole number; 0 if it is not one.
pub(super) fn int(value: &[u8]) -> i128 {
    str::from_utf8(value).ok().and_then(number::int).unwrap_or(0)
}

/// A record's value as a number; 0 if it is not one.
pub(super) fn float(value: &[u8]) -> f64 {
    str::from_utf8(value).ok().and_then(number::float).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(payload: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut records = Records::new();
        add(&mut records, payload, &mut Budget::default()).ok()?;
        Some(records.into_iter().collect())
    }

    #[test]
    fn records_are_split_by_their_lengths() {
        let pair =
            |keyword: &str, value: &str| (keyword.as_bytes().into(), value.as_bytes().into());
        assert_eq!(read(b""), Some(vec![]));
        assert_eq!(read(b"\0rest"), Some(vec![]));
        assert_eq!(read(b"5 a=\n"), Some(vec![pair("a", "")]));
        assert_eq!(read(b"9 a=b\n=c\n"), Some(vec![pair("a", "b\n=c")]));
        assert_eq!(read(b"6 a=1\n6 b=2\n6 a=3\n\0"), Some(vec![pair("a", "3"), pair("b", "2")]));
        for malformed in [
            "006 a=\n\0",
            "5 a=",
            "5 a=x\n",
            "6 =xy\n",
            "6 abc\n",
            " 6 a=1\n",
            "-6 a=1\n",
            "99 a=1\n",
            "0 a=1\n",
        ] {
            assert_eq!(read(malformed.as_bytes()), None, "{malformed:?}");
        }
    }

    #[test]
    fn what_is_kept_is_counted() {
        let mut records = Records::new();
        let mut budget = Budget(3 * (OVERHEAD + 2) - 1);
        let error = add(&mut records, b"6 a=1\n6 a=2\n6 a=3\n", &mut budget).unwrap_err();
        assert!(error.to_string().contains("more than 28 MiB"), "{error}");
    }
}
