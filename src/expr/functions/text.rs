//! Strings: CEL's own functions and its strings extension. Positions count characters, as CEL says.

use super::{P, Signature, of, on};
use crate::expr::value::{Res, Val, bounded, bounded_list, fault, wrong};
use bumpalo::{Bump, collections::String as Made, collections::Vec as List};

use P::{Bool, Bytes, Int, Same, Text, Texts};

pub(super) static TABLE: &[Signature] = &[
    on("startsWith", &[Text, Text], Bool, |_, a| Ok(Val::Bool(text(a, 0)?.starts_with(text(a, 1)?)))),
    on("endsWith", &[Text, Text], Bool, |_, a| Ok(Val::Bool(text(a, 0)?.ends_with(text(a, 1)?)))),
    on("contains", &[Text, Text], Bool, |_, a| Ok(Val::Bool(text(a, 0)?.contains(text(a, 1)?)))),
    on("lowerAscii", &[Text], Text, |m, a| {
        let made = m.alloc_str(text(a, 0)?);
        made.make_ascii_lowercase();
        Ok(Val::Str(made))
    }),
    on("upperAscii", &[Text], Text, |m, a| {
        let made = m.alloc_str(text(a, 0)?);
        made.make_ascii_uppercase();
        Ok(Val::Str(made))
    }),
    on("trim", &[Text], Text, |_, a| Ok(Val::Str(text(a, 0)?.trim()))),
    on("reverse", &[Text], Text, |m, a| {
        let mut made = Made::new_in(m);
        made.extend(text(a, 0)?.chars().rev());
        Ok(Val::Str(made.into_bump_str()))
    }),
    on("replace", &[Text, Text, Text], Text, |m, a| replace(m, a, -1)),
    on("replace", &[Text, Text, Text, Int], Text, |m, a| replace(m, a, int(a, 3)?)),
    on("split", &[Text, Text], Texts, |m, a| split(m, a, -1)),
    on("split", &[Text, Text, Int], Texts, |m, a| split(m, a, int(a, 2)?)),
    on("substring", &[Text, Int], Text, |_, a| {
        let s = text(a, 0)?;
        let from = position(s, int(a, 1)?)?;
        Ok(Val::Str(&s[from..]))
    }),
    on("substring", &[Text, Int, Int], Text, |_, a| {
        let s = text(a, 0)?;
        let (from, to) = (position(s, int(a, 1)?)?, position(s, int(a, 2)?)?);
        match s.get(from..to) {
            Some(part) => Ok(Val::Str(part)),
            None => Err(fault("no-such-element", "a substring ends before it begins")),
        }
    }),
    on("charAt", &[Text, Int], Text, |_, a| {
        let s = text(a, 0)?;
        let from = position(s, int(a, 1)?)?;
        let rest = &s[from..];
        Ok(Val::Str(&rest[..rest.chars().next().map_or(0, char::len_utf8)]))
    }),
    on("indexOf", &[Text, Text], Int, |_, a| Ok(found(text(a, 0)?, text(a, 0)?.find(text(a, 1)?)))),
    on("indexOf", &[Text, Text, Int], Int, |_, a| {
        let s = text(a, 0)?;
        let from = position(s, int(a, 2)?)?;
        Ok(found(s, s[from..].find(text(a, 1)?).map(|i| from + i)))
    }),
    on("lastIndexOf", &[Text, Text], Int, |_, a| Ok(found(text(a, 0)?, text(a, 0)?.rfind(text(a, 1)?)))),
    on("join", &[Texts], Text, |m, a| join(m, a, "")),
    on("join", &[Texts, Text], Text, |m, a| join(m, a, text(a, 1)?)),
    of("bytes", &[Text], Bytes, |_, a| Ok(Val::Bytes(text(a, 0)?.as_bytes()))),
    of("bytes", &[Bytes], Same, |_, a| Ok(a[0])),
];

pub(super) fn size<'r>(_: &'r Bump, args: &[Val<'r>]) -> Res<Val<'r>> {
    let n = match args[0] {
        Val::Str(s) => s.chars().count(),
        Val::Bytes(b) => b.len(),
        Val::List(l) => l.len(),
        Val::Headers(h) => h.len(),
        Val::Json(json) => crate::expr::json::size(json)?,
        other => return Err(wrong("a string, bytes, a list or a map", &other)),
    };
    Ok(Val::Int(i64::try_from(n).unwrap_or(i64::MAX)))
}

pub(super) fn text<'r>(args: &[Val<'r>], i: usize) -> Res<&'r str> {
    match args.get(i) {
        Some(Val::Str(s)) => Ok(s),
        Some(other) => Err(wrong("a string", other)),
        None => Err(wrong("a string", &Val::Null)),
    }
}

pub(super) fn int(args: &[Val<'_>], i: usize) -> Res<i64> {
    match args.get(i) {
        Some(Val::Int(n)) => Ok(*n),
        Some(other) => Err(wrong("an int", other)),
        None => Err(wrong("an int", &Val::Null)),
    }
}

/// The byte where a character begins; the one after the last is allowed.
fn position(s: &str, at: i64) -> Res<usize> {
    let found = usize::try_from(at).ok().and_then(|n| match s.char_indices().nth(n) {
        Some((byte, _)) => Some(byte),
        None => (s.chars().count() == n).then_some(s.len()),
    });
    found.ok_or_else(|| {
        fault("no-such-element", format!("position {at} of a string of {} characters", s.chars().count()))
    })
}

fn found<'r>(s: &str, byte: Option<usize>) -> Val<'r> {
    Val::Int(byte.map_or(-1, |b| s[..b].chars().count() as i64))
}

fn replace<'r>(arena: &'r Bump, args: &[Val<'r>], most: i64) -> Res<Val<'r>> {
    let (s, from, to) = (text(args, 0)?, text(args, 1)?, text(args, 2)?);
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut made = Made::with_capacity_in(s.len(), arena);
    let mut rest = 0;
    for (at, part) in s.match_indices(from).take(most) {
        made.push_str(&s[rest..at]);
        made.push_str(to);
        rest = at + part.len();
        bounded(made.len())?;
    }
    made.push_str(&s[rest..]);
    Ok(Val::Str(made.into_bump_str()))
}

fn split<'r>(arena: &'r Bump, args: &[Val<'r>], most: i64) -> Res<Val<'r>> {
    let (s, by) = (text(args, 0)?, text(args, 1)?);
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut parts = List::new_in(arena);
    if by.is_empty() {
        // As CEL does: into characters, the last part with all that are left.
        for (i, c) in s.char_indices().take(most) {
            let end = if parts.len() + 1 == most { s.len() } else { i + c.len_utf8() };
            parts.push(Val::Str(&s[i..end]));
            bounded_list(parts.len())?;
        }
    } else {
        for part in s.splitn(most, by) {
            parts.push(Val::Str(part));
            bounded_list(parts.len())?;
        }
    }
    Ok(Val::List(parts.into_bump_slice()))
}

fn join<'r>(arena: &'r Bump, args: &[Val<'r>], by: &str) -> Res<Val<'r>> {
    let Val::List(items) = args[0] else { return Err(wrong("a list", &args[0])) };
    let mut made = Made::new_in(arena);
    for i in 0..items.len() {
        if i > 0 {
            made.push_str(by);
        }
        made.push_str(text(items, i)?);
        bounded(made.len())?;
    }
    Ok(Val::Str(made.into_bump_str()))
}
