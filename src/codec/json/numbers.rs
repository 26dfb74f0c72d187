//! JSON scalars as Avro's: range-checked, exact, never through a double unless the type is one.

use super::{
    super::{Decimal, Interval, MAX_PRECISION, civil, write},
    Refusal, fail,
    tokens::brief,
};
use crate::schema::Unit;
use base64::{Engine, engine::DecodePaddingMode, engine::general_purpose};

/// An integer, also where it is written as `1.0` or `1e3`; `expected` is for the message.
#[inline]
pub(super) fn integer(text: &str, expected: &str) -> Result<i64, Refusal> {
    match small(text) {
        Some(n) => Ok(n),
        None => wide(text, expected),
    }
}

/// Up to 18 digits: no overflow is possible.
#[inline]
fn small(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let (negative, digits) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, bytes),
    };
    if digits.len() > 18 {
        return None;
    }
    let mut n = 0i64;
    for b in digits {
        n = if b.is_ascii_digit() { n * 10 + i64::from(b - b'0') } else { return None };
    }
    Some(if negative { -n } else { n })
}

#[cold]
fn wide(text: &str, expected: &str) -> Result<i64, Refusal> {
    let out_of_range =
        || fail("out-of-range", format!("expected {expected}, found {}: it needs more than 64 bits", brief(text)));
    if let Ok(n) = text.parse() {
        return Ok(n);
    }
    // What the decimal cannot hold is too small or too large.
    let tiny = text.contains("e-") || text.contains("E-");
    match Decimal::parse(text.as_bytes()).map(|d| d.rescale(0)) {
        Some(Some(d)) => i64::try_from(d.unscaled).map_err(|_| out_of_range()),
        None if !tiny => Err(out_of_range()),
        _ => Err(fail("wrong-type", format!("expected {expected}, found the number {}", brief(text)))),
    }
}

pub(super) fn int(text: &str, expected: &str) -> Result<i64, Refusal> {
    let n = integer(text, expected)?;
    match i32::try_from(n) {
        Ok(_) => Ok(n),
        Err(_) => {
            Err(fail("out-of-range", format!("expected {expected} from {} to {}, found {n}", i32::MIN, i32::MAX)))
        }
    }
}

pub(super) fn float(text: &str) -> Result<f32, Refusal> {
    let n: f32 = text.parse().unwrap_or(f32::INFINITY);
    if n.is_finite() { Ok(n) } else { Err(fail("out-of-range", format!("{} does not fit a float", brief(text)))) }
}

pub(super) fn double(text: &str) -> Result<f64, Refusal> {
    let n: f64 = text.parse().unwrap_or(f64::INFINITY);
    if n.is_finite() { Ok(n) } else { Err(fail("out-of-range", format!("{} does not fit a double", brief(text)))) }
}

/// A decimal from a number's or a string's text, at the schema's scale.
pub(super) fn decimal(
    out: &mut Vec<u8>,
    text: &str,
    (precision, scale): (u32, u32),
    fixed: Option<usize>,
) -> Result<(), Refusal> {
    let bad = |why: &str| fail("bad-decimal", format!("{} {why} decimal({precision}, {scale})", brief(text)));
    let Some(parsed) = Decimal::parse(text.as_bytes()) else {
        let number = text.bytes().any(|b| b.is_ascii_digit())
            && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E'));
        return Err(bad(if number { "has too many digits for" } else { "is no number, expected" }));
    };
    let Some(scaled) = parsed.rescale(scale) else {
        let finer = parsed.round(scale).is_some();
        return Err(bad(if finer { "has more digits after the point than" } else { "has too many digits for" }));
    };
    if !scaled.fits(precision.min(MAX_PRECISION)) {
        return Err(bad("has too many digits for"));
    }
    match fixed {
        None => write::decimal(out, scaled.unscaled),
        Some(size) if !write::decimal_fixed(out, scaled.unscaled, size) => {
            return Err(bad("does not fit the fixed of"));
        }
        Some(_) => {}
    }
    Ok(())
}

/// What a date or time is read from.
#[derive(Clone, Copy)]
pub(super) enum Moment {
    Date,
    Time(Unit),
    Instant(Unit),
    Local(Unit),
}

/// The number that Avro counts, from a date's or time's text.
pub(super) fn moment(text: &str, moment: Moment) -> Result<i64, Refusal> {
    let (n, expected) = match moment {
        Moment::Date => (civil::parse_date(text).map(i64::from), "a date like \"2024-06-30\""),
        Moment::Time(unit) => (in_unit(civil::parse_time(text), unit), "a time like \"20:40:35\""),
        Moment::Instant(unit) => {
            let n = match unit {
                Unit::Nanos => civil::parse_instant_nanos(text),
                _ => in_unit(civil::parse_instant(text), unit),
            };
            (n, "a timestamp with its offset, like \"2024-06-30T20:40:35Z\"")
        }
        Moment::Local(unit) => {
            let n = match unit {
                Unit::Nanos => civil::parse_local_nanos(text),
                _ => in_unit(civil::parse_local(text), unit),
            };
            (n, "a date and time without offset, like \"2024-06-30T20:40:35\"")
        }
    };
    n.ok_or_else(|| fail("bad-date", format!("expected {expected}, found the string {:?}", brief(text))))
}

fn in_unit(micros: Option<i64>, unit: Unit) -> Option<i64> {
    unit.of_micros(micros?)
}

pub(super) fn interval(text: &str) -> Result<Interval, Refusal> {
    let expected = || {
        let message = format!(
            "expected a duration of at most 32 bits of months, days and milliseconds, like \"P14M3DT0.5S\", found the string {:?}",
            brief(text)
        );
        fail("bad-date", message)
    };
    Interval::parse(text).ok_or_else(expected)
}

/// Base64, of either alphabet, padded or not.
pub(super) fn base64(text: &str) -> Result<Vec<u8>, Refusal> {
    const CONFIG: general_purpose::GeneralPurposeConfig =
        general_purpose::GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const STANDARD: general_purpose::GeneralPurpose =
        general_purpose::GeneralPurpose::new(&base64::alphabet::STANDARD, CONFIG);
    const URL_SAFE: general_purpose::GeneralPurpose =
        general_purpose::GeneralPurpose::new(&base64::alphabet::URL_SAFE, CONFIG);
    STANDARD
        .decode(text)
        .or_else(|_| URL_SAFE.decode(text))
        .map_err(|why| fail("bad-bytes", format!("expected base64: {why}")))
}

/// Avro's JSON form of bytes: one character, U+0000 to U+00FF, a byte.
pub(super) fn code_points(text: &str) -> Result<Vec<u8>, Refusal> {
    let wide = |c: char| {
        fail(
            "bad-bytes",
            format!(
                "`{c}` is no byte: Avro writes bytes as the characters U+0000 to U+00FF; for base64 set bytes = \"base64\""
            ),
        )
    };
    text.chars().map(|c| u8::try_from(u32::from(c)).map_err(|_| wide(c))).collect()
}
