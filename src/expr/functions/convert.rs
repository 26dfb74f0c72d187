//! Conversions between types. None loses anything silently: what does not fit is a fault.

use super::{P, Signature, of};
use crate::{
    codec::{Decimal, civil},
    expr::value::{Res, Val, fault, whole, wrong},
};
use bumpalo::Bump;
use jiff::civil::DateTime;
use std::fmt::Write as _;

use P::{Any, Bool, Bytes, Double, Duration, Instant, Int, Local, Text};

pub(super) static TABLE: &[Signature] = &[
    of("int", &[Int], Int, int),
    of("int", &[Double], Int, int),
    of("int", &[P::Decimal], Int, int),
    of("int", &[Text], Int, int),
    of("int", &[Instant], Int, int),
    of("int", &[Any], Int, int),
    of("double", &[Double], Double, double),
    of("double", &[Int], Double, double),
    of("double", &[P::Decimal], Double, double),
    of("double", &[Text], Double, double),
    of("double", &[Any], Double, double),
    of("string", &[Text], Text, string),
    of("string", &[Int], Text, string),
    of("string", &[Double], Text, string),
    of("string", &[P::Decimal], Text, string),
    of("string", &[Bool], Text, string),
    of("string", &[Bytes], Text, string),
    of("string", &[Instant], Text, string),
    of("string", &[Local], Text, string),
    of("string", &[Duration], Text, string),
    of("string", &[Any], Text, string),
    of("bool", &[Bool], Bool, boolean),
    of("bool", &[Text], Bool, boolean),
    of("bool", &[Any], Bool, boolean),
    of("timestamp", &[Text], Instant, timestamp),
    of("timestamp", &[Instant], Instant, timestamp),
    of("timestamp", &[Int], Instant, timestamp),
    of("timestamp", &[Any], Instant, timestamp),
    of("duration", &[Text], Duration, duration),
    of("duration", &[Duration], Duration, duration),
    of("duration", &[Any], Duration, duration),
];

fn bad(value: impl std::fmt::Display, ty: &str) -> Box<crate::expr::Fault> {
    fault("bad-conversion", format!("{value} is not {ty}"))
}

fn int<'r>(_: &'r Bump, args: &[Val<'r>]) -> Res<Val<'r>> {
    let n = match args[0] {
        Val::Int(n) => n,
        // Toward zero, as CEL says; the bounds are those of i64 as doubles.
        Val::Double(d) if d.trunc() >= -9_223_372_036_854_775_808.0 && d.trunc() < 9_223_372_036_854_775_808.0 => {
            d.trunc() as i64
        }
        Val::Double(d) => return Err(fault("overflow", format!("{d} does not fit 64 bits"))),
        Val::Decimal(d) => {
            let power = crate::codec::pow10(d.scale);
            let whole = power.map_or(0, |p| d.unscaled / p);
            i64::try_from(whole).map_err(|_| fault("overflow", format!("{d} does not fit 64 bits")))?
        }
        Val::Str(s) => s.parse().map_err(|_| bad(format!("'{s}'"), "an int"))?,
        Val::Timestamp(t) => t.div_euclid(1_000_000),
        Val::Bool(b) => i64::from(b),
        other => return Err(wrong("a number", &other)),
    };
    Ok(Val::Int(n))
}

fn double<'r>(_: &'r Bump, args: &[Val<'r>]) -> Res<Val<'r>> {
    Ok(Val::Double(match args[0] {
        Val::Double(d) => d,
        Val::Int(n) => n as f64,
        Val::Decimal(d) => d.to_f64(),
        Val::Str(s) => s.parse().map_err(|_| bad(format!("'{s}'"), "a double"))?,
        other => return Err(wrong("a number", &other)),
    }))
}

fn boolean<'r>(_: &'r Bump, args: &[Val<'r>]) -> Res<Val<'r>> {
    match args[0] {
        Val::Bool(b) => Ok(Val::Bool(b)),
        Val::Str("true" | "True" | "TRUE" | "t" | "1") => Ok(Val::Bool(true)),
        Val::Str("false" | "False" | "FALSE" | "f" | "0") => Ok(Val::Bool(false)),
        Val::Str(s) => Err(bad(format!("'{s}'"), "a bool")),
        other => Err(wrong("a bool", &other)),
    }
}

fn string<'r>(arena: &'r Bump, args: &[Val<'r>]) -> Res<Val<'r>> {
    let mut made = bumpalo::collections::String::new_in(arena);
    let written = match args[0] {
        Val::Str(s) => return Ok(Val::Str(s)),
        Val::Bytes(b) => {
            return std::str::from_utf8(b)
                .map(Val::Str)
                .map_err(|_| fault("bad-conversion", "the bytes are not UTF-8"));
        }
        Val::Bool(b) => return Ok(Val::Str(if b { "true" } else { "false" })),
        Val::Int(n) => write!(made, "{n}"),
        Val::Double(d) => write!(made, "{d}"),
        Val::Decimal(d) => write!(made, "{d}"),
        Val::Timestamp(t) => write!(made, "{}Z", date_time(t)?),
        Val::Local(t) => write!(made, "{}", date_time(t)?),
        Val::Duration(d) => write!(made, "{}", duration_text(d)),
        other => return Err(wrong("a value that has a text", &other)),
    };
    written.map_err(|_| bad("this", "a string"))?;
    Ok(Val::Str(made.into_bump_str()))
}

/// The date and time in UTC of microseconds since the epoch.
pub(super) fn date_time(micros: i64) -> Res<DateTime> {
    civil::utc(micros).ok_or_else(|| fault("overflow", format!("{micros} microseconds are past every calendar year")))
}

/// How a fault shows an instant: RFC 3339, or the microseconds outside the years that it has.
pub(in crate::expr) fn timestamp_text(micros: i64) -> String {
    civil::utc(micros).map_or_else(|| format!("{micros} µs"), |at| format!("{at}Z"))
}

/// As CEL writes a duration: seconds.
pub(in crate::expr) fn duration_text(micros: i64) -> String {
    let seconds = Decimal::new(i128::from(micros), 6).to_string();
    format!("{}s", seconds.trim_end_matches('0').trim_end_matches('.'))
}

fn timestamp<'r>(_: &'r Bump, args: &[Val<'r>]) -> Res<Val<'r>> {
    match args[0] {
        Val::Timestamp(t) => Ok(Val::Timestamp(t)),
        Val::Int(seconds) => match seconds.checked_mul(1_000_000) {
            Some(t) => Ok(Val::Timestamp(t)),
            None => Err(fault("overflow", format!("{seconds} seconds are past every timestamp"))),
        },
        Val::Str(s) => match civil::parse_instant(s) {
            Some(t) => Ok(Val::Timestamp(t)),
            None => Err(bad(format!("'{s}'"), "a timestamp (RFC 3339)")),
        },
        other => Err(wrong("a timestamp", &other)),
    }
}

fn duration<'r>(_: &'r Bump, args: &[Val<'r>]) -> Res<Val<'r>> {
    match args[0] {
        Val::Duration(d) => Ok(Val::Duration(d)),
        Val::Str(s) => parse_duration(s)
            .map(Val::Duration)
            .ok_or_else(|| bad(format!("'{s}'"), "a duration such as 1h30m or 2.5s")),
        other => Err(wrong("a duration", &other)),
    }
}

/// CEL's durations, which are Go's: `-1h30m`, `2.5s`, `100ms`; microseconds are the finest.
fn parse_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if rest.is_empty() {
        return None;
    }
    let mut total = Decimal::new(0, 6);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number = Decimal::parse(&rest.as_bytes()[..end])?;
        let unit_end = rest[end..].find(|c: char| c.is_ascii_digit() || c == '.').map_or(rest.len(), |i| end + i);
        let unit = match &rest[end..unit_end] {
            "d" => 86_400_000_000,
            "h" => 3_600_000_000,
            "m" => 60_000_000,
            "s" => 1_000_000,
            "ms" => 1_000,
            "us" | "µs" => 1,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(whole(unit))?)?;
        rest = &rest[unit_end..];
    }
    let micros = i64::try_from(total.rescale(0)?.unscaled).ok()?;
    Some(if negative { -micros } else { micros })
}

/// A number as a decimal of a scale: text and integers exactly, doubles from their shortest text.
pub(in crate::expr) fn decimal_of(value: Val<'_>, scale: u32) -> Res<Decimal> {
    let (d, exact) = match value {
        Val::Decimal(d) => (Some(d), true),
        Val::Int(n) => (Some(whole(n)), true),
        Val::Str(s) => (Some(Decimal::parse(s.as_bytes()).ok_or_else(|| bad(format!("'{s}'"), "a decimal"))?), true),
        Val::Double(d) => (Decimal::parse(d.to_string().as_bytes()), false),
        other => return Err(wrong("a number", &other)),
    };
    let d = d.ok_or_else(|| fault("overflow", "the number has more digits than a decimal"))?;
    let scaled = if exact { d.rescale(scale) } else { d.round(scale) };
    scaled.ok_or_else(|| fault("bad-conversion", format!("{d} does not fit {scale} digits after the point")))
}
