//! Parts of instants, local times and durations. Months, days of the week and of the year count from 0, as CEL says.

use super::{P, Signature, convert::date_time, on, text::text};
use crate::expr::value::{Res, Val, fault, wrong};
use jiff::{
    SignedDuration, Timestamp,
    civil::DateTime,
    tz::{Offset, TimeZone},
};

use P::{Duration, Instant, Int, Local, Text};

macro_rules! parts {
    ($($name:literal => $part:expr;)*) => {
        &[
            $(
                on($name, &[Instant], Int, |_, a| part(a, $part)),
                on($name, &[Instant, Text], Int, |_, a| part(a, $part)),
                on($name, &[Local], Int, |_, a| part(a, $part)),
            )*
            on("getHours", &[Duration], Int, |_, a| span(a, |d| d / 3_600_000_000)),
            on("getMinutes", &[Duration], Int, |_, a| span(a, |d| d / 60_000_000)),
            on("getSeconds", &[Duration], Int, |_, a| span(a, |d| d / 1_000_000)),
            // CEL: the others are the whole duration in their unit, this one what the seconds leave.
            on("getMilliseconds", &[Duration], Int, |_, a| span(a, |d| d / 1_000 % 1_000)),
        ]
    };
}

pub(super) static TABLE: &[Signature] = parts! {
    "getFullYear" => |t| i64::from(t.year());
    "getMonth" => |t| i64::from(t.month()) - 1;
    "getDate" => |t| i64::from(t.day());
    "getDayOfMonth" => |t| i64::from(t.day()) - 1;
    "getDayOfWeek" => |t| i64::from(t.weekday().to_sunday_zero_offset());
    "getDayOfYear" => |t| i64::from(t.day_of_year()) - 1;
    "getHours" => |t| i64::from(t.hour());
    "getMinutes" => |t| i64::from(t.minute());
    "getSeconds" => |t| i64::from(t.second());
    "getMilliseconds" => |t| i64::from(t.millisecond());
};

fn part<'r>(args: &[Val<'r>], part: fn(DateTime) -> i64) -> Res<Val<'r>> {
    let (micros, zone) = match (args[0], args.len()) {
        (Val::Timestamp(t), 2) => (t, Some(zone(text(args, 1)?)?)),
        (Val::Timestamp(t) | Val::Local(t), _) => (t, None),
        (other, _) => return Err(wrong("a timestamp", &other)),
    };
    let utc = date_time(micros)?;
    let Some(zone) = zone else { return Ok(Val::Int(part(utc))) };
    // The first and the last day have the offset of the instants next to them.
    let nearest = if micros < 0 { Timestamp::MIN } else { Timestamp::MAX };
    let offset = zone.to_offset(Timestamp::from_microsecond(micros).unwrap_or(nearest));
    let there = utc.checked_add(SignedDuration::from_secs(offset.seconds().into()));
    let there = there.map_err(|_| fault("overflow", format!("{utc}Z is past every calendar year in that zone")))?;
    Ok(Val::Int(part(there)))
}

/// A zone by its name, or CEL's fixed offset: `+02:00`.
pub(in crate::expr) fn zone(name: &str) -> Res<TimeZone> {
    if let Some(offset) = offset(name) {
        return Ok(TimeZone::fixed(offset));
    }
    TimeZone::get(name).map_err(|_| fault("bad-conversion", format!("'{name}' is not a time zone of this machine")))
}

fn offset(text: &str) -> Option<Offset> {
    let (sign, digits) = match text.as_bytes() {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] | digits => (1, digits),
    };
    let [h, hh, b':', m, mm] = digits else { return None };
    let number = |tens: &u8, ones: &u8| {
        (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| i32::from(tens - b'0') * 10 + i32::from(ones - b'0'))
    };
    let (hours, minutes) = (number(h, hh)?, number(m, mm).filter(|m| *m < 60)?);
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}

fn span<'r>(args: &[Val<'r>], part: fn(i64) -> i64) -> Res<Val<'r>> {
    match args[0] {
        Val::Duration(d) => Ok(Val::Int(part(d))),
        ref other => Err(wrong("a duration", other)),
    }
}
