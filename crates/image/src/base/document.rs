//! JSON documents, of which only what matters here is kept: whatever else stands in one, it takes
//! no memory.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The keys that are kept, at any depth.
const KEYS: [&str; 6] = ["Config", "Layers", "rootfs", "diff_ids", "config", "Env"];
/// Values that are kept at most; an image has some hundreds.
const MAX_VALUES: usize = 100_000;
/// The key of the object as which `serde_json` hands out a number that is not a small integer.
const NUMBER: &str = "$serde_json::private::Number";

/// Parses a document.
pub(super) fn parse(text: &[u8]) -> serde_json::Result<Value> {
    let left = Cell::new(MAX_VALUES);
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = Kept(&left).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// A value without the keys that do not matter, and how many more there may be.
#[derive(Clone, Copy)]
struct Kept<'a>(&'a Cell<usize>);

impl<'de> DeserializeSeed<'de> for Kept<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let left = self.0.get().checked_sub(1);
        let too_many = || D::Error::custom(format!("it has more than {MAX_VALUES} values"));
        self.0.set(left.ok_or_else(too_many)?);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Kept<'_> {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if key == NUMBER {
                entries.next_value::<IgnoredAny>()?;
                // Which number it is matters nowhere.
                return Ok(0.into());
            }
            if KEYS.contains(&key.as_str()) {
                map.insert(key, entries.next_value_seed(self)?);
            } else {
                entries.next_value::<IgnoredAny>()?;
            }
        }
        Ok(map.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_matters_is_kept_as_it_stands() {
        let text = r#"[{"Config": "a\u00e9", "Other": [[1]], "Layers": ["x", 1.5e9, null, true],
            "config": {"Env": ["A=1"], "Labels": {"Env": 1}}, "Config": "last"}, 7, {}]"#;
        let expected = json!([{"Config": "last", "Layers": ["x", 0, null, true],
            "config": {"Env": ["A=1"]}}, 7, {}]);
        assert_eq!(parse(text.as_bytes()).unwrap(), expected);
        for broken in ["", "[1", "{} {}", "[01]", "{\"x\": tru}"] {
            assert!(parse(broken.as_bytes()).is_err(), "{broken}");
        }
    }

    #[test]
    fn values_are_counted_where_they_are_kept() {
        let many = |count: usize| vec!["0"; count].join(",");
        assert!(parse(format!("[{}]", many(MAX_VALUES - 1)).as_bytes()).is_ok());
        let error = parse(format!("[{}]", many(MAX_VALUES)).as_bytes()).unwrap_err();
        assert!(error.to_string().contains("more than 100000 values"), "{error}");
        assert!(parse(format!("{{\"x\": [{}]}}", many(2 * MAX_VALUES)).as_bytes()).is_ok());
    }
}
