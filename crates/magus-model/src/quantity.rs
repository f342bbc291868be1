//! Kubernetes quantities: `500m`, `2`, `4Gi`, compared by what they amount to.
//!
//! The grammar is that of Kubernetes' `resource.Quantity`: a signed decimal number and one suffix of
//! `n u m k M G T P E`, `Ki Mi Gi Ti Pi Ei`, or an exponent `e3`, `E3`.

use std::cmp::Ordering;

/// A quantity as an exact number of billionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity(i128);

impl Quantity {
    /// Reads a quantity. Digits beyond a billionth are rounded up, as Kubernetes does.
    /// Nothing where the text is none, or too large to hold (beyond 10²⁷).
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return None;
        }
        let (power_of_ten, factor): (i32, i128) = match suffix {
            "" => (0, 1),
            "n" => (-9, 1),
            "u" => (-6, 1),
            "m" => (-3, 1),
            "k" => (3, 1),
            "M" => (6, 1),
            "G" => (9, 1),
            "T" => (12, 1),
            "P" => (15, 1),
            "E" => (18, 1),
            "Ki" => (0, 1 << 10),
            "Mi" => (0, 1 << 20),
            "Gi" => (0, 1 << 30),
            "Ti" => (0, 1 << 40),
            "Pi" => (0, 1 << 50),
            "Ei" => (0, 1 << 60),
            _ => (suffix.strip_prefix(['e', 'E'])?.parse().ok().filter(|e: &i32| e.abs() <= 27)?, 1),
        };
        let digits: i128 = format!("0{whole}{fraction}").parse().ok()?;
        let scaled = digits.checked_mul(factor)?;
        let shift = 9 + power_of_ten - i32::try_from(fraction.len()).ok()?;
        let amount = if shift >= 0 {
            scaled.checked_mul(10i128.checked_pow(shift.unsigned_abs())?)?
        } else {
            let divisor = 10i128.checked_pow(shift.unsigned_abs())?;
            scaled / divisor + i128::from(scaled % divisor != 0)
        };
        Some(Self(if negative { -amount } else { amount }))
    }

    /// The amount in billionths: the same for every way to write it.
    pub fn billionths(self) -> i128 {
        self.0
    }

    /// Whether it is below zero.
    pub fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// Compares two texts by what they amount to; nothing where one is no quantity.
    pub fn compare(left: &str, right: &str) -> Option<Ordering> {
        Some(Self::parse(left)?.cmp(&Self::parse(right)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_amounts_are_equal() {
        for (left, right) in [
            ("1000m", "1"),
            ("1024Mi", "1Gi"),
            ("0.5", "500m"),
            ("1e3", "1k"),
            ("1.5Gi", "1536Mi"),
            ("+1", "1"),
            (".5", "500m"),
            ("1E", "1000P"),
            ("1E3", "1k"),
        ] {
            assert_eq!(Quantity::compare(left, right), Some(Ordering::Equal), "{left} {right}");
        }
        assert_eq!(Quantity::compare("1G", "1Gi"), Some(Ordering::Less));
        assert_eq!(Quantity::compare("-1", "1m"), Some(Ordering::Less));
        assert_eq!(Quantity::compare("0.1n", "1n"), Some(Ordering::Equal), "rounded up");
    }

    #[test]
    fn what_is_none_is_none() {
        for text in ["", "-", ".", "1.2.3", "1Kib", "1 Gi", "Gi", "1ki", "4GB", "1e", "1e99", "ü"] {
            assert_eq!(Quantity::parse(text), None, "{text}");
        }
    }
}
