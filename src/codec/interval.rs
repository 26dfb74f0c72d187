//! Avro's `duration`: months, days and milliseconds, none of which is a fixed number of another.

use std::fmt;

/// Its text is ISO 8601's: `P14M3DT0.500S`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interval {
    pub months: u32,
    pub days: u32,
    pub millis: u32,
}

impl Interval {
    /// Bytes in Avro.
    pub const SIZE: usize = 12;

    /// Reads [`Interval::SIZE`] bytes; those that are missing count as zeros.
    pub fn from_avro(bytes: &[u8]) -> Interval {
        let part = |i: usize| {
            let part = bytes.get(4 * i..4 * i + 4).and_then(|b| b.try_into().ok());
            u32::from_le_bytes(part.unwrap_or_default())
        };
        Interval { months: part(0), days: part(1), millis: part(2) }
    }

    pub fn to_avro(self) -> [u8; Interval::SIZE] {
        let mut bytes = [0; Interval::SIZE];
        for (to, part) in bytes.chunks_mut(4).zip([self.months, self.days, self.millis]) {
            to.copy_from_slice(&part.to_le_bytes());
        }
        bytes
    }

    /// Reads ISO 8601's form: years count as months, weeks as days, hours and minutes as milliseconds. `None` for what is
    /// none, has a sign, is finer than a millisecond or too large.
    pub fn parse(text: &str) -> Option<Interval> {
        let (date, time) = match text.strip_prefix('P')?.split_once('T') {
            Some((_, "")) => return None,
            Some((date, time)) => (date, time),
            None => (text.strip_prefix('P').filter(|rest| !rest.is_empty())?, ""),
        };
        let [years, months, weeks, days] = parts(date, ['Y', 'M', 'W', 'D'], 1)?;
        let [hours, minutes, seconds] = parts(time, ['H', 'M', 'S'], 1000)?;
        let sum = |a: u64, of: u64, b: u64| a.checked_mul(of)?.checked_add(b).and_then(|n| u32::try_from(n).ok());
        let minutes = hours.checked_mul(60)?.checked_add(minutes)?;
        Some(Interval {
            months: sum(years, 12, months)?,
            days: sum(weeks, 7, days)?,
            // All three are thousandths already.
            millis: sum(minutes, 60, seconds)?,
        })
    }
}

/// Numbers, each before its letter, letters in order, each at most once; in `1/scale`, where the last may have a fraction.
fn parts<const N: usize>(mut text: &str, letters: [char; N], scale: u64) -> Option<[u64; N]> {
    let mut found = [0; N];
    let mut next = 0;
    while !text.is_empty() {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let letter = text[end..].chars().next()?;
        let at = next + letters[next..].iter().position(|l| *l == letter)?;
        let (whole, fraction) = text[..end].split_once('.').unwrap_or((&text[..end], "0"));
        let digits = fraction.trim_end_matches('0');
        if fraction.is_empty() || !digits.is_empty() && (at + 1 < N || scale == 1 || digits.len() > 3) {
            return None;
        }
        let fraction = format!("{digits:0<3}").parse::<u64>().ok()?;
        found[at] = whole.parse::<u64>().ok()?.checked_mul(scale)?.checked_add(fraction)?;
        (text, next) = (&text[end + 1..], at + 1);
    }
    Some(found)
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("P")?;
        if self.months > 0 {
            write!(f, "{}M", self.months)?;
        }
        if self.days > 0 {
            write!(f, "{}D", self.days)?;
        }
        match (self.millis / 1000, self.millis % 1000) {
            (0, 0) if self.months > 0 || self.days > 0 => Ok(()),
            (seconds, 0) => write!(f, "T{seconds}S"),
            (seconds, rest) => write!(f, "T{seconds}.{rest:03}S"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn iso_8601_is_read_where_the_type_can_hold_it() {
        let table = [
            ("P14M3DT0.500S", Some((14, 3, 500))),
            ("P1Y2M", Some((14, 0, 0))),
            ("P2W1D", Some((0, 15, 0))),
            ("PT1H30M", Some((0, 0, 5_400_000))),
            ("PT0S", Some((0, 0, 0))),
            ("PT0.25S", Some((0, 0, 250))),
            ("PT1.5000S", Some((0, 0, 1500))),
            ("P4294967295D", Some((0, u32::MAX, 0))),
        ];
        for (text, wanted) in table {
            let wanted = wanted.map(|(months, days, millis)| Interval { months, days, millis });
            assert_eq!(Interval::parse(text), wanted, "{text}");
        }
        let none = [
            "",
            "P",
            "PT",
            "P1DT",
            "1D",
            "-P1D",
            "P-1D",
            "PD",
            "P1",
            "P1D2M",
            "P1M2M",
            "P1H",
            "PT1D",
            "P1.5D",
            "PT1.5M",
            "PT0.0001S",
            "PT1.S",
            "PT.5S",
            "P4294967296D",
            "PT4294968S",
            "P99999999999999999999Y",
            "P1ä",
            "p1d",
        ];
        for text in none {
            assert_eq!(Interval::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(months: u32, days: u32, millis: u32, small in 0u32..3) {
            for interval in [Interval { months, days, millis }, Interval { months: small, days: 0, millis: small * 500 }] {
                prop_assert_eq!(Interval::parse(&interval.to_string()), Some(interval));
                prop_assert_eq!(Interval::from_avro(&interval.to_avro()), interval);
            }
        }
    }
}
