//! What a plain scalar means by the YAML 1.2 core schema, and where a block scalar begins.
//!
//! `yes`, `no`, `on` and `off` are text, `012` is twelve, `0o14` and `0xC` are twelve too. A number that no
//! 64-bit integer or finite float holds stays text: no digit is lost, and where a number is wanted the schema
//! says so. This is also why a short commit such as `123e4567` is not read as infinity.

use magus_model::tree::NodeKind;

/// Resolves a plain scalar without a tag.
pub(crate) fn resolve(text: &str) -> NodeKind {
    let Some(first) = text.bytes().next() else { return NodeKind::Null };
    match first {
        b'n' | b'N' | b'~' if is_null(text) => NodeKind::Null,
        b't' | b'T' | b'f' | b'F' => match boolean(text) {
            Some(value) => NodeKind::Bool(value),
            None => NodeKind::String(text.into()),
        },
        b'0'..=b'9' | b'-' | b'+' | b'.' => number(text).unwrap_or_else(|| NodeKind::String(text.into())),
        _ => NodeKind::String(text.into()),
    }
}

/// Whether the text is one of the core schema's nulls.
pub(crate) fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// The core schema's booleans.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

/// The core schema's numbers, as far as they fit.
pub(crate) fn number(text: &str) -> Option<NodeKind> {
    integer(text).map(NodeKind::Int).or_else(|| float(text).map(NodeKind::Float))
}

/// The core schema's whole numbers that fit: decimal with a sign, `0o` octal, `0x` hexadecimal.
pub(crate) fn integer(text: &str) -> Option<i64> {
    let radix = |digits: &str, radix: u32| {
        // A sign after the prefix is not in the grammar, but `from_str_radix` takes one.
        digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| i64::from_str_radix(digits, radix).ok())?
    };
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let whole = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if whole { text.parse().ok() } else { None }
}

/// The core schema's floats that fit, `.inf` and `.nan` among them. A whole number too large for an integer is none.
pub(crate) fn float(text: &str) -> Option<f64> {
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    match rest {
        ".inf" | ".Inf" | ".INF" => return Some(if negative { f64::NEG_INFINITY } else { f64::INFINITY }),
        ".nan" | ".NaN" | ".NAN" if rest.len() == text.len() => return Some(f64::NAN),
        _ => {}
    }
    let (mantissa, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let any_digit = !whole.is_empty() || fraction.is_some_and(|fraction| !fraction.is_empty());
    let exponent_fits = exponent.is_none_or(|exponent| {
        let power = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !power.is_empty() && digits(power)
    });
    let is_float = fraction.is_some() || exponent.is_some();
    if !is_float || !any_digit || !exponent_fits || !digits(whole) || !fraction.is_none_or(digits) {
        return None;
    }
    text.parse::<f64>().ok().filter(|value| value.is_finite())
}

/// Where the `|` or `>` of a block scalar is whose content begins at `content`.
pub(crate) fn header_of_block(text: &str, content: usize) -> usize {
    let line_start = |at: usize| text[..at].rfind(['\n', '\r']).map_or(0, |at| at + 1);
    let start = line_start(content);
    if !text[start..content].trim().is_empty() {
        // Without any content the parser names the header itself.
        return content;
    }
    let above = text[..start].trim_end();
    let start = line_start(above.len());
    let line = &above[start..];
    let header = line.char_indices().find(|(at, c)| {
        let separated = line[..*at].chars().next_back().is_none_or(char::is_whitespace);
        matches!(c, '|' | '>') && separated && ends_line(&line[at + 1..])
    });
    header.map_or(content, |(at, _)| start + at)
}

/// Whether nothing but indicators and a comment follow.
fn ends_line(rest: &str) -> bool {
    let after = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '+' || c == '-');
    let comment = after.trim_start();
    comment.is_empty() || (comment.starts_with('#') && comment.len() < after.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use NodeKind::{Bool, Float, Int, Null};

    fn text(text: &str) -> NodeKind {
        NodeKind::String(text.into())
    }

    #[test]
    fn the_core_schema_decides() {
        for (source, means) in [
            ("", Null),
            ("~", Null),
            ("null", Null),
            ("Null", Null),
            ("NULL", Null),
            ("nULL", text("nULL")),
            ("nil", text("nil")),
            ("true", Bool(true)),
            ("True", Bool(true)),
            ("TRUE", Bool(true)),
            ("tRUE", text("tRUE")),
            ("false", Bool(false)),
            ("False", Bool(false)),
            ("FALSE", Bool(false)),
            ("yes", text("yes")),
            ("no", text("no")),
            ("NO", text("NO")),
            ("on", text("on")),
            ("off", text("off")),
            ("y", text("y")),
            ("0", Int(0)),
            ("-0", Int(0)),
            ("+12", Int(12)),
            ("-12", Int(-12)),
            ("012", Int(12)),
            ("0o14", Int(12)),
            ("0o8", text("0o8")),
            ("0o", text("0o")),
            ("0o-7", text("0o-7")),
            ("-0o7", text("-0o7")),
            ("0xC", Int(12)),
            ("0xfF", Int(255)),
            ("0x", text("0x")),
            ("0x+1", text("0x+1")),
            ("0xG", text("0xG")),
            ("0b11", text("0b11")),
            ("1_000", text("1_000")),
            ("12:30", text("12:30")),
            ("9223372036854775807", Int(i64::MAX)),
            ("-9223372036854775808", Int(i64::MIN)),
            ("9223372036854775808", text("9223372036854775808")),
            ("0x7fffffffffffffff", Int(i64::MAX)),
            ("0x8000000000000000", text("0x8000000000000000")),
            ("1.5", Float(1.5)),
            ("-1.5", Float(-1.5)),
            ("+1.5", Float(1.5)),
            (".5", Float(0.5)),
            ("-.5", Float(-0.5)),
            ("5.", Float(5.0)),
            ("1e3", Float(1000.0)),
            ("1.5E-3", Float(0.0015)),
            (".5e+1", Float(5.0)),
            ("123e4567", text("123e4567")),
            ("1e", text("1e")),
            ("e3", text("e3")),
            ("1e3.5", text("1e3.5")),
            ("1.2.3", text("1.2.3")),
            (".", text(".")),
            ("-", text("-")),
            ("+", text("+")),
            (".e3", text(".e3")),
            ("..", text("..")),
            ("--1", text("--1")),
            (".inf", Float(f64::INFINITY)),
            ("-.Inf", Float(f64::NEG_INFINITY)),
            ("+.INF", Float(f64::INFINITY)),
            (".iNF", text(".iNF")),
            ("inf", text("inf")),
            ("-.nan", text("-.nan")),
            ("NaN", text("NaN")),
            ("nan", text("nan")),
            ("2026-08-01", text("2026-08-01")),
            ("2026-08-01T10:00:00Z", text("2026-08-01T10:00:00Z")),
            ("<<", text("<<")),
            ("4Gi", text("4Gi")),
            ("500m", text("500m")),
        ] {
            assert_eq!(resolve(source), means, "{source:?}");
        }
        for nan in [".nan", ".NaN", ".NAN"] {
            assert!(matches!(resolve(nan), Float(value) if value.is_nan()), "{nan}");
        }
    }
}
