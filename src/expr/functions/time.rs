//! Parts of instants, local times and durations. Months, days of the week and of the year count from 0, as CEL says.

use super::{P, Signature, on, text::text};
use crate::expr::value::{Res, Val, fault, wrong};
use bumpalo::Bump;
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use P::{Duration, Instant, Int, Local, Text};

macro_rules! parts {
    ($($name:literal => $part:expr;)*) => {
        &[
            $(
                on($name, &[Instant], Int, |_, a| part(a, $part)),
                on($name, &[Instant, Text], Int, |_, a| part(a, $part)),
                on($name, &[Local], Int, |_, a| part(a, $part)),
            )*
            on("getHours", &[Duration], Int, |m, a| span(m, a, 3_600_000_000)),
            on("getMinutes", &[Duration], Int, |m, a| span(m, a, 60_000_000)),
            on("getSeconds", &[Duration], Int, |m, a| span(m, a, 1_000_000)),
            on("getMilliseconds", &[Duration], Int, |m, a| span(m, a, 1_000)),
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
        (Val::Timestamp(t), 2) => (t, zone(text(args, 1)?)?),
        (Val::Timestamp(t) | Val::Local(t), _) => (t, TimeZone::UTC),
        (other, _) => return Err(wrong("a timestamp", &other)),
    };
    let instant = Timestamp::from_microsecond(micros)
        .map_err(|_| fault("overflow", format!("{micros} microseconds are past every calendar year")))?;
    Ok(Val::Int(part(instant.to_zoned(zone).datetime())))
}

fn zone(name: &str) -> Res<TimeZone> {
    TimeZone::get(name).map_err(|_| fault("bad-conversion", format!("'{name}' is not a time zone of this machine")))
}

fn span<'r>(_: &'r Bump, args: &[Val<'r>], unit: i64) -> Res<Val<'r>> {
    match args[0] {
        Val::Duration(d) => Ok(Val::Int(d / unit)),
        ref other => Err(wrong("a duration", other)),
    }
}
