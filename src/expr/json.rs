//! JSON before decoding: looked into by path, without a tree and without recursion.
//!
//! Only as much is read as a path needs; decoding finds what else is wrong. Scalars become values at once, arrays and
//! objects stay text.

use super::value::{Res, Val, bounded_list, fault};
use bumpalo::{Bump, collections::Vec as List};

/// Deeper arrays and objects are refused, here as when they are decoded.
const MAX_DEPTH: u32 = crate::codec::MAX_DEPTH as u32;

/// One step down.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// The value at a path below a value; `None` where it is absent. An explicit null counts as absent.
pub(super) fn at<'r>(arena: &'r Bump, json: &'r [u8], path: &[Step]) -> Res<Option<Val<'r>>> {
    let mut cursor = Cursor { json, at: 0 };
    for step in path {
        let found = match step {
            Step::Key(key) => cursor.enter(key)?,
            Step::Index(index) => cursor.nth(*index)?,
        };
        if !found {
            return Ok(None);
        }
    }
    let value = value(arena, cursor.take()?)?;
    Ok(Some(value).filter(|v| !matches!(v, Val::Null)))
}

/// An array's elements, or an object's keys.
pub(super) fn elements<'r>(arena: &'r Bump, json: &'r str) -> Res<&'r [Val<'r>]> {
    let mut list = List::new_in(arena);
    walk(json, |text, _| {
        list.push(value(arena, text)?);
        bounded_list(list.len())
    })?;
    Ok(list.into_bump_slice())
}

/// Whether an array's elements are these values.
pub(super) fn is_list(json: &str, list: &[Val<'_>]) -> bool {
    let arena = Bump::new();
    json.starts_with('[') && elements(&arena, json).is_ok_and(|items| Val::List(items).same(Val::List(list)))
}

/// Whether two arrays or objects are equal; of a member that is there twice the first counts, as for a path. What is
/// no JSON equals nothing.
pub(super) fn same(a: &str, b: &str) -> bool {
    let arena = Bump::new();
    if a.starts_with('[') || b.starts_with('[') {
        return b.starts_with('[') && elements(&arena, b).is_ok_and(|list| is_list(a, list));
    }
    match (members(&arena, a), members(&arena, b)) {
        (Ok(a), Ok(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && a.1.same(b.1)),
        _ => false,
    }
}

/// An object's members, each once, in the order of their keys.
fn members<'r>(arena: &'r Bump, json: &'r str) -> Res<List<'r, (&'r str, Val<'r>)>> {
    let mut list = List::new_in(arena);
    walk(json, |key, of| {
        let Val::Str(key) = value(arena, key)? else { return Err(malformed()) };
        list.push((key, value(arena, of)?));
        bounded_list(list.len())
    })?;
    list.sort_by_key(|(key, _)| *key);
    list.dedup_by_key(|(key, _)| *key);
    Ok(list)
}

/// How many there are, without a value of any.
pub(super) fn size(json: &str) -> Res<usize> {
    let mut count = 0;
    walk(json, |_, _| {
        count += 1;
        Ok(())
    })?;
    Ok(count)
}

/// Shows the text of each element of an array, twice, or of each key of an object and its value.
fn walk<'j>(json: &'j str, mut each: impl FnMut(&'j [u8], &'j [u8]) -> Res<()>) -> Res<()> {
    let mut cursor = Cursor { json: json.as_bytes(), at: 0 };
    let mut first = true;
    if cursor.open(b'{')? {
        while cursor.more(b'}', std::mem::take(&mut first))? {
            let key = cursor.take()?;
            cursor.expect(b':')?;
            each(key, cursor.take()?)?;
        }
    } else if cursor.open(b'[')? {
        while cursor.more(b']', std::mem::take(&mut first))? {
            let element = cursor.take()?;
            each(element, element)?;
        }
    }
    Ok(())
}

#[cold]
fn malformed() -> Box<super::Fault> {
    fault("malformed-json", "the value is not JSON")
}

/// The text of one value as a value.
fn value<'r>(arena: &'r Bump, json: &'r [u8]) -> Res<Val<'r>> {
    let text = std::str::from_utf8(json).map_err(|_| malformed())?;
    match json {
        [b'{' | b'[', ..] => Ok(Val::Json(text)),
        b"null" => Ok(Val::Null),
        b"true" => Ok(Val::Bool(true)),
        b"false" => Ok(Val::Bool(false)),
        [b'"', inner @ .., b'"'] if !inner.contains(&b'\\') => Ok(Val::Str(&text[1..text.len() - 1])),
        [b'"', ..] => Ok(Val::Str(arena.alloc_str(&unescaped(text)?))),
        [b'0'..=b'9', ..] | [b'-', b'0'..=b'9', ..] => match text.parse::<i64>() {
            Ok(n) => Ok(Val::Int(n)),
            Err(_) => text.parse().map(Val::Double).map_err(|_| malformed()),
        },
        _ => Err(malformed()),
    }
}

fn unescaped(text: &str) -> Res<String> {
    serde_json::from_str(text).map_err(|_| malformed())
}

struct Cursor<'j> {
    json: &'j [u8],
    at: usize,
}

impl<'j> Cursor<'j> {
    fn peek(&mut self) -> Res<u8> {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.json.get(self.at) {
            self.at += 1;
        }
        self.json.get(self.at).copied().ok_or_else(malformed)
    }

    fn open(&mut self, bracket: u8) -> Res<bool> {
        let found = self.peek()? == bracket;
        self.at += usize::from(found);
        Ok(found)
    }

    fn expect(&mut self, byte: u8) -> Res<()> {
        if self.open(byte)? { Ok(()) } else { Err(malformed()) }
    }

    /// Whether another element follows; a comma stands before all but the first.
    fn more(&mut self, close: u8, first: bool) -> Res<bool> {
        if self.open(close)? {
            return Ok(false);
        }
        if !first {
            self.expect(b',')?;
        }
        Ok(true)
    }

    /// Moves to a member's value; `false` where there is none, or this is no object.
    fn enter(&mut self, wanted: &str) -> Res<bool> {
        if !self.open(b'{')? {
            self.take().and_then(|text| value(&Bump::new(), text).map(|_| ()))?;
            return Ok(false);
        }
        let mut first = true;
        while self.more(b'}', first)? {
            first = false;
            let key = self.take()?;
            let [b'"', inner @ .., b'"'] = key else { return Err(malformed()) };
            let same = match inner.contains(&b'\\') {
                false => inner == wanted.as_bytes(),
                true => std::str::from_utf8(key).is_ok_and(|key| unescaped(key).is_ok_and(|key| key == wanted)),
            };
            self.expect(b':')?;
            if same {
                return Ok(true);
            }
            self.take()?;
        }
        Ok(false)
    }

    fn nth(&mut self, wanted: usize) -> Res<bool> {
        if !self.open(b'[')? {
            return Ok(false);
        }
        let mut index = 0;
        while self.more(b']', index == 0)? {
            if index == wanted {
                return Ok(true);
            }
            self.take()?;
            index += 1;
        }
        Ok(false)
    }

    /// Moves past one value and gives its text.
    fn take(&mut self) -> Res<&'j [u8]> {
        let first = self.peek()?;
        let start = self.at;
        match first {
            b'"' => self.string()?,
            b'{' | b'[' => self.nested()?,
            _ => {
                let scalar = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.');
                let rest = self.json.get(start..).unwrap_or_default();
                self.at += rest.iter().position(|b| !scalar(b)).unwrap_or(rest.len());
            }
        }
        match self.json.get(start..self.at) {
            Some(text) if !text.is_empty() => Ok(text),
            _ => Err(malformed()),
        }
    }

    fn string(&mut self) -> Res<()> {
        self.at += 1;
        while self.next(|b| matches!(b, b'"' | b'\\'))? == b'\\' {
            self.at += 2;
        }
        self.at += 1;
        Ok(())
    }

    /// Moves to the next byte of a kind.
    #[inline]
    fn next(&mut self, wanted: impl Fn(u8) -> bool) -> Res<u8> {
        let rest = self.json.get(self.at..).unwrap_or_default();
        match rest.iter().position(|b| wanted(*b)) {
            Some(n) => {
                self.at += n;
                Ok(rest[n])
            }
            None => Err(malformed()),
        }
    }

    /// Past an array or object, counting brackets: one bit a level says which kind is open.
    fn nested(&mut self) -> Res<()> {
        let (mut depth, mut objects) = (0u32, 0u128);
        loop {
            match self.next(|b| matches!(b, b'"' | b'{' | b'[' | b'}' | b']'))? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                open @ (b'{' | b'[') => {
                    if depth == MAX_DEPTH {
                        return Err(fault("too-deep", format!("JSON nested deeper than {MAX_DEPTH} levels")));
                    }
                    depth += 1;
                    objects = objects << 1 | u128::from(open == b'{');
                }
                close => {
                    if (objects & 1 == 1) != (close == b'}') {
                        return Err(malformed());
                    }
                    depth -= 1;
                    objects >>= 1;
                    if depth == 0 {
                        self.at += 1;
                        return Ok(());
                    }
                }
            }
            self.at += 1;
        }
    }
}
