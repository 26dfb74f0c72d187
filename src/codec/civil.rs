//! Dates, times and instants between text and the numbers that Avro counts.
//!
//! Text is RFC 3339. Microseconds are what everything here counts, and finer digits are cut off; but for the two functions
//! of nanoseconds, which are for Avro's types of that unit.

use crate::schema::Unit;
use jiff::{SignedDuration, Timestamp, civil, tz::Offset};
use std::io::Write;

const DAY: i64 = 86_400_000_000;
const EPOCH: civil::DateTime = civil::DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// Microseconds since the epoch of a date and time with its offset: `2024-06-30T20:40:35.123Z`.
pub fn parse_instant(text: &str) -> Option<i64> {
    quick_instant(text.as_bytes()).or_else(|| Some(micros(text.parse::<Timestamp>().ok()?.as_nanosecond())))
}

/// Nanoseconds since the epoch, where they fit: years 1677 to 2262.
pub fn parse_instant_nanos(text: &str) -> Option<i64> {
    i64::try_from(text.parse::<Timestamp>().ok()?.as_nanosecond()).ok()
}

/// Microseconds since 1970-01-01T00:00:00 of a date and time that names no offset: `2024-06-30T20:40:35`.
pub fn parse_local(text: &str) -> Option<i64> {
    local(text).map(micros)
}

/// Nanoseconds since 1970-01-01T00:00:00, where they fit.
pub fn parse_local_nanos(text: &str) -> Option<i64> {
    i64::try_from(local(text)?).ok()
}

/// Nanoseconds.
fn local(text: &str) -> Option<i128> {
    let parsed = jiff::fmt::temporal::DateTimeParser::new().parse_pieces(text).ok()?;
    if parsed.offset().is_some() || parsed.time_zone_annotation().is_some() {
        return None;
    }
    Some(parsed.date().to_datetime(parsed.time()?).duration_since(EPOCH).as_nanos())
}

/// Days since 1970-01-01 of `2024-06-30`.
pub fn parse_date(text: &str) -> Option<i32> {
    let bytes: &[u8; 10] = text.as_bytes().try_into().ok()?;
    quick_date(bytes)
}

/// Microseconds since midnight of `20:40:35.123`; seconds may be left out.
pub fn parse_time(text: &str) -> Option<i64> {
    // The parser would take a date before the time, and an offset after it.
    if !text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b':' | b'.')) || !text.contains(':') {
        return None;
    }
    let time: civil::Time = text.parse().ok()?;
    let seconds = (i64::from(time.hour()) * 60 + i64::from(time.minute())) * 60 + i64::from(time.second());
    Some(seconds * 1_000_000 + i64::from(time.subsec_nanosecond()) / 1000)
}

/// Writes an instant; `false`, and nothing written, outside the years -9999 to 9999.
pub fn write_instant(out: &mut Vec<u8>, n: i64, unit: Unit) -> bool {
    counted(n, unit).is_some_and(|at| write!(out, "{at}Z").is_ok())
}

/// Writes a date and time without offset; `false`, and nothing written, outside the years -9999 to 9999.
pub fn write_local(out: &mut Vec<u8>, n: i64, unit: Unit) -> bool {
    counted(n, unit).is_some_and(|at| write!(out, "{at}").is_ok())
}

/// The date and time in UTC of microseconds since the epoch; `None` outside the years -9999 to 9999.
pub fn utc(micros: i64) -> Option<civil::DateTime> {
    counted(micros, Unit::Micros)
}

fn counted(n: i64, unit: Unit) -> Option<civil::DateTime> {
    let (second, nanos) = match unit {
        Unit::Millis => (1_000, 1_000_000),
        Unit::Micros => (1_000_000, 1_000),
        Unit::Nanos => (1_000_000_000, 1),
    };
    date_time(n.div_euclid(second), (n.rem_euclid(second) * nanos) as i32)
}

/// Of seconds since the epoch.
fn date_time(seconds: i64, nanos: i32) -> Option<civil::DateTime> {
    match Timestamp::new(seconds, nanos) {
        Ok(at) => Some(Offset::UTC.to_datetime(at)),
        // jiff's instants end a day early, for the sake of offsets; the last day of 9999 is what many write for "for ever".
        Err(_) => EPOCH.checked_add(SignedDuration::new(seconds, nanos)).ok(),
    }
}

/// Writes a date; `false`, and nothing written, outside the years 0 to 9999.
pub fn write_date(out: &mut Vec<u8>, days: i32) -> bool {
    let at = date_time(i64::from(days) * 86_400, 0).map(|at| at.date());
    at.is_some_and(|date| date.year() >= 0 && write!(out, "{date}").is_ok())
}

/// Writes a time of day; `false`, and nothing written, for what is none.
pub fn write_time(out: &mut Vec<u8>, micros: i64) -> bool {
    if !is_time(micros) {
        return false;
    }
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    let written = write!(out, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    let more = if fraction == 0 { Ok(()) } else { write!(out, ".{fraction:06}") };
    written.and(more).is_ok()
}

/// Whether a day has this microsecond.
pub fn is_time(micros: i64) -> bool {
    (0..DAY).contains(&micros)
}

/// Digits are cut off, before 1970 too: jiff's own conversion goes towards the epoch.
fn micros(nanos: i128) -> i64 {
    nanos.div_euclid(1000) as i64
}

/// The common form, `yyyy-mm-ddThh:mm:ss[.digits](Z|±hh:mm)`: a fifth of the general parser's time.
fn quick_instant(text: &[u8]) -> Option<i64> {
    let (head, mut rest) = text.split_first_chunk::<19>()?;
    let (date, clock) = head.split_first_chunk::<10>()?;
    let &[b'T' | b't', h1, h2, b':', m1, m2, b':', s1, s2] = clock else { return None };
    let (hour, minute, second) = (two(h1, h2)?, two(m1, m2)?, two(s1, s2)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut micros = 0;
    if let Some(fraction) = rest.strip_prefix(b".") {
        let digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 || digits > 9 {
            return None;
        }
        let shown = fraction.iter().take(digits).copied().chain(std::iter::repeat(b'0'));
        micros = shown.take(6).fold(0, |n, b| n * 10 + i64::from(b - b'0'));
        rest = fraction.get(digits..)?;
    }
    let offset = match *rest {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (two(h1, h2)?, two(m1, m2)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let offset = hours * 60 + minutes;
            if sign == b'-' { -offset } else { offset }
        }
        _ => return None,
    };
    let seconds = (hour * 60 + minute - offset) * 60 + second;
    Some(i64::from(quick_date(date)?) * DAY + seconds * 1_000_000 + micros)
}

fn quick_date(text: &[u8; 10]) -> Option<i32> {
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else { return None };
    let (year, month, day) = (two(y1, y2)? * 100 + two(y3, y4)?, two(m1, m2)?, two(d1, d2)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if day == 0 || day > length {
        return None;
    }
    // Years begin in March here, so that the leap day is their last.
    let year = if month < 3 { year - 1 } else { year };
    let (era, in_era) = (year.div_euclid(400), year.rem_euclid(400));
    let in_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719_468;
    i32::try_from(days).ok()
}

fn two(tens: u8, ones: u8) -> Option<i64> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn instants_need_an_offset_and_real_dates() {
        assert_eq!(parse_instant("1970-01-01T00:00:00.000001Z"), Some(1));
        assert_eq!(parse_instant("2024-06-30T22:40:35.5+02:00"), Some(1_719_780_035_500_000));
        assert_eq!(parse_instant("1969-12-31T23:59:59.999999999Z"), Some(-1));
        assert_eq!(parse_instant("1969-12-31 23:59:59.999999999Z"), Some(-1));
        assert_eq!(parse_instant("2024-02-29T00:00:00Z"), Some(1_709_164_800_000_000));
        for text in [
            "2023-02-29T00:00:00Z",
            "2024-06-30T20:40:35",
            "2024-06-30",
            "2024-13-01T00:00:00Z",
            "2024-06-30T25:00:00Z",
            "",
            "soon",
        ] {
            assert_eq!(parse_instant(text), None, "{text}");
        }
    }

    #[test]
    fn local_times_have_no_offset() {
        assert_eq!(parse_local("1970-01-02T00:00:00"), Some(DAY));
        assert_eq!(parse_local("1969-12-31T23:59:59.9999999"), Some(-1));
        assert_eq!(parse_local("2024-06-30T20:40:35Z"), None);
        assert_eq!(parse_local("2024-06-30T20:40:35+02:00"), None);
        assert_eq!(parse_local("2024-06-30"), None);
    }

    #[test]
    fn dates_and_times_of_day_read_and_print() {
        assert_eq!(parse_date("1970-01-02"), Some(1));
        assert_eq!(parse_date("0000-03-01"), Some(-719_468));
        assert_eq!(parse_date("2024-04-31"), None);
        assert_eq!(parse_time("20:40:35.25"), Some(74_435_250_000));
        assert_eq!(parse_time("24:00:00"), None);
        assert_eq!(parse_time("2024-06-30"), None);
        let mut out = Vec::new();
        assert!(write_time(&mut out, 74_435_250_000) && !write_time(&mut out, DAY) && !write_time(&mut out, -1));
        assert_eq!(out, b"20:40:35.250000");
    }

    /// What stands for "for ever" in many a database.
    #[test]
    fn the_last_day_of_9999_is_a_day_like_any_other() {
        let text = |write: &dyn Fn(&mut Vec<u8>) -> bool| {
            let mut out = Vec::new();
            write(&mut out).then(|| String::from_utf8(out).unwrap())
        };
        let seconds = 253_402_300_799;
        let instant = |n, unit| text(&|o| write_instant(o, n, unit));
        assert_eq!(instant(seconds * 1000, Unit::Millis).as_deref(), Some("9999-12-31T23:59:59Z"));
        assert_eq!(instant(seconds * 1_000_000 + 999_999, Unit::Micros).unwrap(), "9999-12-31T23:59:59.999999Z");
        assert_eq!(instant((seconds + 1) * 1000, Unit::Millis), None);
        let local = seconds * 1_000_000 + 500_000;
        assert_eq!(text(&|o| write_local(o, local, Unit::Micros)).as_deref(), Some("9999-12-31T23:59:59.5"));
        assert_eq!(parse_local("9999-12-31T23:59:59.5"), Some(local));
        assert_eq!(text(&|o| write_date(o, 2_932_896)).as_deref(), Some("9999-12-31"));
        assert_eq!(text(&|o| write_date(o, 2_932_897)), None);
        assert_eq!(text(&|o| write_date(o, i32::MAX)), None);
        assert_eq!(instant(i64::MIN, Unit::Millis), None);
    }

    proptest! {
        #[test]
        fn the_quick_parser_agrees_with_the_general_one(micros in -62_135_596_800_000_000i64..253_402_207_200_000_000) {
            let at = Timestamp::from_microsecond(micros).unwrap();
            prop_assert_eq!(quick_instant(at.to_string().as_bytes()), Some(micros));
        }

        #[test]
        fn what_is_written_reads_back(micros in -377_705_023_201_000_000i64..253_402_300_800_000_000, days in -719_528i32..2_932_897) {
            let text = |write: &dyn Fn(&mut Vec<u8>) -> bool| {
                let mut out = Vec::new();
                assert!(write(&mut out));
                String::from_utf8(out).unwrap()
            };
            prop_assert_eq!(parse_instant(&text(&|o| write_instant(o, micros, Unit::Micros))), Some(micros));
            prop_assert_eq!(parse_local(&text(&|o| write_local(o, micros, Unit::Micros))), Some(micros));
            // Every 64 bits are a time to the nanosecond.
            let nanos = micros.wrapping_mul(1_000_003);
            prop_assert_eq!(parse_instant_nanos(&text(&|o| write_instant(o, nanos, Unit::Nanos))), Some(nanos));
            prop_assert_eq!(parse_local_nanos(&text(&|o| write_local(o, nanos, Unit::Nanos))), Some(nanos));
            prop_assert_eq!(parse_date(&text(&|o| write_date(o, days))), Some(days));
            let of_day = micros.rem_euclid(DAY);
            prop_assert_eq!(parse_time(&text(&|o| write_time(o, of_day))), Some(of_day));
        }
    }
}
