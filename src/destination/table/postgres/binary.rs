//! Postgres' binary COPY form: one field after another, each with its length (documentation of COPY, "Binary Format").

use super::super::live::PgType;
use crate::codec::{Cell, Decimal};

/// Days from 1970-01-01 to 2000-01-01, where Postgres' dates begin.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROS: i64 = EPOCH_DAYS as i64 * 86_400_000_000;
/// Postgres' bounds, counted from its own epoch (`datatype/timestamp.h`): 4713 BC to 5874898 and 294277 AD.
const DATES: std::ops::Range<i32> = -2_451_545..2_145_031_949;
const TIMESTAMPS: std::ops::Range<i64> = -211_813_488_000_000_000..9_223_371_331_200_000_000;

pub(super) const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
pub(super) const TRAILER: [u8; 2] = (-1i16).to_be_bytes();

/// Appends one field. An error says what cannot be stored; nothing has been appended then.
pub(super) fn put(out: &mut Vec<u8>, cell: &Cell<'_>, ty: &PgType) -> Result<(), String> {
    match (cell, ty) {
        (Cell::Null, _) => out.extend((-1i32).to_be_bytes()),
        (Cell::Bool(b), PgType::Bool) => field(out, &[u8::from(*b)]),
        (Cell::Int(i), PgType::Int8) => field(out, &i.to_be_bytes()),
        (Cell::Int(i), PgType::Int4) => field(out, &narrow::<i32>(*i, "integer")?.to_be_bytes()),
        (Cell::Int(i), PgType::Int2) => field(out, &narrow::<i16>(*i, "smallint")?.to_be_bytes()),
        (Cell::Int(i), PgType::Float8) => field(out, &(*i as f64).to_be_bytes()),
        (Cell::Int(i), PgType::Numeric { declared }) => {
            numeric(out, Decimal { unscaled: i128::from(*i), scale: 0 }, *declared)?;
        }
        (Cell::Double(d), PgType::Float8) => field(out, &d.to_be_bytes()),
        (Cell::Double(d), PgType::Float4) => field(out, &(*d as f32).to_be_bytes()),
        (Cell::Decimal(d), PgType::Numeric { declared }) => numeric(out, *d, *declared)?,
        (Cell::NotUuid(t), _) => return Err(format!("{t:?}, which is no UUID")),
        (Cell::Text(t), PgType::Text | PgType::Limited { .. } | PgType::Enum(_)) => text(out, t.as_bytes(), ty)?,
        (Cell::Interval(i), PgType::Text | PgType::Limited { .. }) => text(out, i.to_string().as_bytes(), ty)?,
        (Cell::Json(j), PgType::Text | PgType::Limited { .. } | PgType::Json) => text(out, j, ty)?,
        (Cell::Json(j), PgType::Jsonb) => {
            length(out, j.len() + 1);
            out.push(1);
            out.extend(j);
        }
        (Cell::Bytes(b), PgType::Bytea) => field(out, b),
        (Cell::Uuid(u), PgType::Uuid) => field(out, u),
        (Cell::Uuid(u), PgType::Text | PgType::Limited { .. }) => {
            text(out, uuid::Uuid::from_bytes(*u).hyphenated().encode_lower(&mut [0; 36]).as_bytes(), ty)?;
        }
        (Cell::Date(d), PgType::Date) => {
            let date = d.checked_sub(EPOCH_DAYS).filter(|d| DATES.contains(d)).ok_or("a date that Postgres has not")?;
            field(out, &date.to_be_bytes());
        }
        (Cell::Time(t), PgType::Time { .. }) => {
            let time = Some(*t).filter(|t| (0..86_400_000_000).contains(t)).ok_or("a time outside of a day")?;
            field(out, &time.to_be_bytes());
        }
        (Cell::Instant(t), PgType::Timestamptz { .. }) | (Cell::Local(t), PgType::Timestamp { .. }) => {
            let time = t.checked_sub(EPOCH_MICROS).filter(|t| TIMESTAMPS.contains(t));
            field(out, &time.ok_or("a timestamp that Postgres has not")?.to_be_bytes());
        }
        // Start-up compared the types; a value of another shape can only be refused.
        (cell, ty) => return Err(format!("{cell:?} does not go into a column of type {}", ty.staged())),
    }
    Ok(())
}

/// The number of fields that begins a row.
pub(super) fn row(out: &mut Vec<u8>, fields: usize) {
    out.extend((fields as i16).to_be_bytes());
}

fn length(out: &mut Vec<u8>, length: usize) {
    out.extend((length as i32).to_be_bytes());
}

fn field(out: &mut Vec<u8>, bytes: &[u8]) {
    length(out, bytes.len());
    out.extend(bytes);
}

fn text(out: &mut Vec<u8>, bytes: &[u8], ty: &PgType) -> Result<(), String> {
    if bytes.contains(&0) {
        return Err("a text with a zero character, which Postgres cannot store".into());
    }
    // Seldom are there more bytes than characters are allowed.
    if let PgType::Limited { characters, padded } = ty
        && bytes.len() > *characters
    {
        let blanks = if *padded { bytes.iter().rev().take_while(|b| **b == b' ').count() } else { 0 };
        // UTF-8's bytes behind a character's first begin with 10.
        let has = bytes.iter().filter(|b| **b & 0xc0 != 0x80).count() - blanks;
        if has > *characters {
            return Err(format!("a text of {has} characters does not fit a column of {characters}"));
        }
    }
    field(out, bytes);
    Ok(())
}

fn narrow<T: TryFrom<i64>>(i: i64, ty: &str) -> Result<T, String> {
    T::try_from(i).map_err(|_| format!("{i} does not fit {ty}"))
}

/// Digits in groups of four, the first group's weight, a sign, and the scale that is shown (`numeric_recv`). The column has
/// the value's digits after the point; whether it has those before it is seen here.
fn numeric(out: &mut Vec<u8>, d: Decimal, declared: Option<(i32, i32)>) -> Result<(), String> {
    if let Some((precision, column)) = declared {
        let digits = u32::try_from(precision - column + d.scale as i32).unwrap_or(0);
        if 10u128.checked_pow(digits).is_some_and(|bound| d.unscaled.unsigned_abs() >= bound) {
            return Err(format!("{d} does not fit numeric({precision},{column})"));
        }
    }
    let scale = d.scale as usize;
    // Fraction digits are filled up to whole groups.
    let fill = (4 - scale % 4) % 4;
    let mut groups: Vec<i16> = Vec::with_capacity(12);
    let mut rest = d.unscaled.unsigned_abs();
    if fill > 0 {
        // The last group has fewer than four digits of the number: taken first, so that nothing overflows.
        let digits = 4 - fill;
        groups.push((rest % 10u128.pow(digits as u32) * 10u128.pow(fill as u32)) as i16);
        rest /= 10u128.pow(digits as u32);
    }
    while rest > 0 {
        groups.push((rest % 10_000) as i16);
        rest /= 10_000;
    }
    let fraction_groups = scale.div_ceil(4) as i32;
    let weight = groups.len() as i32 - fraction_groups - 1;
    groups.reverse();
    length(out, 8 + 2 * groups.len());
    out.extend((groups.len() as i16).to_be_bytes());
    out.extend((weight as i16).to_be_bytes());
    let sign: u16 = if d.unscaled < 0 { 0x4000 } else { 0 };
    out.extend(sign.to_be_bytes());
    out.extend((scale as u16).to_be_bytes());
    groups.iter().for_each(|g| out.extend(g.to_be_bytes()));
    Ok(())
}
