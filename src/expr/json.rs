//! JSON before decoding: looked into by path, without a tree. Scalars become values at once; arrays and objects stay text.

use super::value::{Res, Val, fault};
use bumpalo::{Bump, collections::Vec as List};
use sonic_rs::PointerNode;

fn malformed() -> Box<super::Fault> {
    fault("malformed-json", "the value is not JSON")
}

/// The value at a path below a whole record value; `None` where it is absent. An explicit null counts as absent.
pub(super) fn at<'r>(arena: &'r Bump, bytes: &'r [u8], path: &[PointerNode]) -> Res<Option<Val<'r>>> {
    let found = match path {
        [] => sonic_rs::get(bytes, &[] as &[&str]),
        path => sonic_rs::get(bytes, path),
    };
    match found {
        Ok(found) => match found.as_raw_cow() {
            std::borrow::Cow::Borrowed(text) => value(arena, text).map(Some),
            std::borrow::Cow::Owned(text) => value(arena, arena.alloc_str(&text)).map(Some),
        },
        Err(e) if e.is_not_found() || e.is_unmatched_type() => Ok(None),
        Err(_) => Err(malformed()),
    }
    .map(|v| v.filter(|v| !matches!(v, Val::Null)))
}

/// As [`at`], one step below an array or object that has been found before.
pub(super) fn below<'r>(arena: &'r Bump, json: &'r str, step: PointerNode) -> Res<Option<Val<'r>>> {
    at(arena, json.as_bytes(), &[step])
}

/// One JSON value; its text may have blanks around it.
fn value<'r>(arena: &'r Bump, text: &'r str) -> Res<Val<'r>> {
    let text = text.trim_ascii();
    match text.as_bytes() {
        [b'{' | b'[', ..] => Ok(Val::Json(text)),
        b"null" => Ok(Val::Null),
        b"true" => Ok(Val::Bool(true)),
        b"false" => Ok(Val::Bool(false)),
        [b'"', inner @ .., b'"'] if !inner.contains(&b'\\') => Ok(Val::Str(&text[1..text.len() - 1])),
        [b'"', ..] => {
            let lazy: String = sonic_rs::from_str(text).map_err(|_| malformed())?;
            Ok(Val::Str(arena.alloc_str(&lazy)))
        }
        _ => match text.parse::<i64>() {
            Ok(n) => Ok(Val::Int(n)),
            Err(_) => text.parse().map(Val::Double).map_err(|_| malformed()),
        },
    }
}

pub(super) fn elements<'r>(arena: &'r Bump, json: &'r str) -> Res<&'r [Val<'r>]> {
    let mut list = List::new_in(arena);
    if json.starts_with('{') {
        for entry in sonic_rs::to_object_iter(json) {
            let (key, _) = entry.map_err(|_| malformed())?;
            list.push(Val::Str(arena.alloc_str(&key)));
        }
    } else {
        for element in sonic_rs::to_array_iter(json) {
            let element = element.map_err(|_| malformed())?;
            let text = match element.as_raw_cow() {
                std::borrow::Cow::Borrowed(text) => text,
                std::borrow::Cow::Owned(text) => arena.alloc_str(&text),
            };
            list.push(value(arena, text)?);
        }
    }
    Ok(list.into_bump_slice())
}

pub(super) fn size(json: &str) -> Res<usize> {
    let arena = Bump::new();
    elements(&arena, json).map(<[_]>::len)
}
