//! Values of one word: each refuses in its type what its schema refuses.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use crate::{Text, desired::MaxDeletes};

/// The pattern of a [`Duration`].
pub const DURATION_PATTERN: &str = "^[0-9]{1,6}[smhd]$";
/// The pattern of a [`TimeOfDay`].
pub const TIME_OF_DAY_PATTERN: &str = "^([01][0-9]|2[0-3]):[0-5][0-9]$";
/// The format of a [`Timestamp`] in the schemas; [`Timestamp::parse`] is what checks it.
pub const DATE_TIME_FORMAT: &str = "date-time";

/// The format of a [`Date`] in the schemas; [`Date::parse`] is what checks it.
pub const DATE_FORMAT: &str = "date";

/// Implements `JsonSchema` for a value that is always written in place, never referred to.
macro_rules! inline_schema {
    ($type:ty, $name:literal, $schema:expr) => {
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole<const MIN: i64, const MAX: i64>(i64);

impl<const MIN: i64, const MAX: i64> Whole<MIN, MAX> {
    /// The number.
    pub fn get(self) -> i64 {
        self.0
    }
}

impl<'de, const MIN: i64, const MAX: i64> Deserialize<'de> for Whole<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(deserializer)?;
        if (MIN..=MAX).contains(&number) {
            Ok(Self(number))
        } else {
            Err(de::Error::custom(format_args!("`{number}` is not between {MIN} and {MAX}")))
        }
    }
}

impl<const MIN: i64, const MAX: i64> JsonSchema for Whole<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Whole_{MIN}_{MAX}").into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut schema = json_schema!({ "type": "integer" });
        if MIN != i64::MIN {
            schema.insert("minimum".to_owned(), MIN.into());
        }
        if MAX != i64::MAX {
            schema.insert("maximum".to_owned(), MAX.into());
        }
        schema
    }
}

/// The largest number that an [`Amount`] may be written as; larger ones need a suffix.
const LARGEST_AMOUNT: f64 = 1e18;

/// An amount as Kubernetes writes it: `500m`, `2`, `4Gi`. Whether a text is one is a rule of its own (MG204).
#[derive(Debug, Clone, PartialEq)]
pub enum Amount {
    /// As text.
    Text(Text),
    /// As a plain number.
    Number(f64),
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Amount;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an amount such as `500m` or `4Gi`")
            }
            fn visit_str<E>(self, text: &str) -> Result<Amount, E> {
                Ok(Amount::Text(text.into()))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Amount, E> {
                self.visit_f64(number as f64)
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Amount, E> {
                self.visit_f64(number as f64)
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Amount, E> {
                if (0.0..=LARGEST_AMOUNT).contains(&number) {
                    Ok(Amount::Number(number))
                } else {
                    Err(E::custom(format_args!("`{number}` is not between 0 and {LARGEST_AMOUNT:e}")))
                }
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

inline_schema!(
    Amount,
    "Amount",
    json_schema!({ "type": ["string", "number"], "minimum": 0, "maximum": LARGEST_AMOUNT, "examples": ["500m", "4Gi"] })
);

/// A port of the container: its number or its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortNumberOrName {
    /// From 1 to 65535.
    Number(u16),
    /// The name of a port.
    Name(Text),
}

impl<'de> Deserialize<'de> for PortNumberOrName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = PortNumberOrName;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the number or name of a port")
            }
            fn visit_str<E>(self, name: &str) -> Result<PortNumberOrName, E> {
                Ok(PortNumberOrName::Name(name.into()))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<PortNumberOrName, E> {
                match u16::try_from(number) {
                    Ok(number @ 1..) => Ok(PortNumberOrName::Number(number)),
                    _ => Err(E::custom(format_args!("`{number}` is not between 1 and 65535"))),
                }
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

inline_schema!(
    PortNumberOrName,
    "PortNumberOrName",
    json_schema!({ "type": ["integer", "string"], "minimum": 1, "maximum": 65535, "examples": [6789, "web"] })
);

/// A length of time: a number and `s`, `m`, `h` or `d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration {
    seconds: u64,
}

impl Duration {
    /// Reads `90s`, `30m`, `24h` or `7d`; nothing for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let unit = match text.as_bytes().last()? {
            b's' => 1,
            b'm' => 60,
            b'h' => 60 * 60,
            b'd' => 24 * 60 * 60,
            _ => return None,
        };
        let digits = &text[..text.len() - 1];
        let plain = (1..=6).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        let number: u64 = digits.parse().ok().filter(|_| plain)?;
        Some(Self { seconds: number * unit })
    }

    /// How many seconds it is.
    pub fn seconds(self) -> u64 {
        self.seconds
    }
}

/// Implements `Deserialize` for a type that is parsed from text.
macro_rules! parsed_from_text {
    ($type:ty, $what:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Text::deserialize(deserializer)?;
                Self::parse(&text).ok_or_else(|| de::Error::custom(format_args!("`{text}` is not {}", $what)))
            }
        }
    };
}

parsed_from_text!(Duration, "a length of time such as `30m`");
inline_schema!(
    Duration,
    "Duration",
    json_schema!({ "type": "string", "pattern": DURATION_PATTERN, "examples": ["30m", "24h", "7d"] })
);

/// A time of day: `09:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay {
    /// From 0 to 23.
    pub hour: u8,
    /// From 0 to 59.
    pub minute: u8,
}

impl TimeOfDay {
    /// Reads `09:00`; nothing for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let &[h1, h2, b':', m1, m2] = text.as_bytes() else { return None };
        let number = |tens: u8, ones: u8| {
            (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| (tens - b'0') * 10 + (ones - b'0'))
        };
        let hour = number(h1, h2).filter(|hour| *hour < 24)?;
        let minute = number(m1, m2).filter(|minute| *minute < 60)?;
        Some(Self { hour, minute })
    }
}

parsed_from_text!(TimeOfDay, "a time of day such as `09:00`");
inline_schema!(
    TimeOfDay,
    "TimeOfDay",
    json_schema!({ "type": "string", "pattern": TIME_OF_DAY_PATTERN, "examples": ["09:00", "17:30"] })
);

/// A day: `2026-12-20`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date(pub jiff::civil::Date);

impl Date {
    /// Reads a day as RFC 3339 writes it; nothing for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        // jiff reads more than RFC 3339 has, such as `20261220`.
        let bytes = text.as_bytes();
        let shaped = bytes.len() == 10 && bytes.get(4) == Some(&b'-') && bytes.get(7) == Some(&b'-');
        text.parse().ok().filter(|_| shaped).map(Self)
    }
}

parsed_from_text!(Date, "a day such as `2026-12-20`");
inline_schema!(
    Date,
    "Date",
    json_schema!({ "type": "string", "format": DATE_FORMAT, "examples": ["2026-12-20"] })
);

/// A moment with its offset from UTC: `2026-08-01T10:00:00Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub jiff::Timestamp);

impl Timestamp {
    /// Reads a moment as RFC 3339 writes it; nothing for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let at = |index: usize, wanted: &[u8]| bytes.get(index).is_some_and(|byte| wanted.contains(byte));
        // jiff reads more than RFC 3339 has, such as a time zone in brackets, which editors would refuse.
        let shaped = at(4, b"-") && at(7, b"-") && at(10, b"Tt ") && at(13, b":") && at(16, b":");
        if !shaped || text.contains('[') {
            return None;
        }
        text.parse().ok().map(Self)
    }
}

parsed_from_text!(Timestamp, "a moment such as `2026-08-01T10:00:00Z`");
inline_schema!(
    Timestamp,
    "Timestamp",
    json_schema!({ "type": "string", "format": DATE_TIME_FORMAT, "examples": ["2026-08-01T10:00:00Z"] })
);

/// How many of the managed workspaces may be deleted: a number, or a share such as `30%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteLimit(pub MaxDeletes);

impl<'de> Deserialize<'de> for DeleteLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = DeleteLimit;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number, or a share such as `30%`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<DeleteLimit, E> {
                let digits = text.strip_suffix('%').unwrap_or("");
                let plain = (1..=3).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
                MaxDeletes::parse(text)
                    .filter(|_| plain && (digits.len() < 3 || digits == "100"))
                    .map(DeleteLimit)
                    .ok_or_else(|| E::custom(format_args!("`{text}` is not a share from `0%` to `100%`")))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<DeleteLimit, E> {
                u32::try_from(number)
                    .map(|number| DeleteLimit(MaxDeletes::Count(number)))
                    .map_err(|_| E::custom(format_args!("`{number}` is not between 0 and {}", u32::MAX)))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

inline_schema!(
    DeleteLimit,
    "DeleteLimit",
    json_schema!({
        "type": ["integer", "string"],
        "minimum": 0,
        "maximum": u32::MAX,
        "pattern": "^(100|[0-9]{1,2})%$",
        "examples": [10, "30%"],
    })
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time() {
        for (text, seconds) in [("0s", 0), ("90s", 90), ("30m", 1800), ("24h", 86_400), ("7d", 604_800)] {
            assert_eq!(Duration::parse(text).map(Duration::seconds), Some(seconds), "{text}");
        }
        for text in ["", "s", "30", "30 m", "-1m", "+1m", "1.5h", "1h30m", "1000000s", "1w", "ü"] {
            assert_eq!(Duration::parse(text), None, "{text}");
        }
    }

    #[test]
    fn times_of_day() {
        assert_eq!(TimeOfDay::parse("23:59"), Some(TimeOfDay { hour: 23, minute: 59 }));
        for text in ["24:00", "9:00", "09:60", "09-00", "09:000", "ab:cd", "0ü:0"] {
            assert_eq!(TimeOfDay::parse(text), None, "{text}");
        }
    }

    #[test]
    fn days() {
        assert!(Date::parse("2026-12-20").is_some());
        for text in ["2026-02-30", "20261220", "2026-1-2", "2026-12-20T00:00", "2026-12-20Z", "12-20-2026"] {
            assert!(Date::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn moments() {
        for text in ["2026-08-01T10:00:00Z", "2026-08-01T10:00:00.5+02:00", "2026-08-01 10:00:00Z"] {
            assert!(Timestamp::parse(text).is_some(), "{text}");
        }
        for text in [
            "2026-08-01",
            "2026-08-01T10:00:00",
            "2026-02-30T10:00:00Z",
            "20260801T100000Z",
            "2026-08-01T10:00:00Z[UTC]",
        ] {
            assert!(Timestamp::parse(text).is_none(), "{text}");
        }
    }
}
