//! JSON's tokens, as RFC 8259 has them, read where they stand. Numbers keep their text.

use super::{Refusal, fail};

/// A place in a JSON text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tokens<'j> {
    json: &'j str,
    at: usize,
}

/// A string's content: as it stands in the JSON, or with its escapes resolved in the buffer that was lent.
pub(super) enum Content<'j, 'b> {
    Plain(&'j str),
    Resolved(&'b str),
}

impl Content<'_, '_> {
    #[inline]
    pub fn as_str(&self) -> &str {
        match self {
            Content::Plain(s) | Content::Resolved(s) => s,
        }
    }
}

impl<'j> Tokens<'j> {
    pub fn new(json: &'j str) -> Self {
        Tokens { json, at: 0 }
    }

    /// How many bytes have been read.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The first byte of the next token; `None` at the end.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        let bytes = self.json.as_bytes();
        while let Some(&b) = bytes.get(self.at) {
            if !matches!(b, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(b);
            }
            self.at += 1;
        }
        None
    }

    /// Takes this byte, if it is the next token.
    #[inline]
    pub fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Takes these bytes, if the next token is just that.
    #[inline]
    pub fn take_token(&mut self, token: &str) -> bool {
        self.peek();
        let found = self.json.as_bytes().get(self.at..).is_some_and(|rest| rest.starts_with(token.as_bytes()));
        self.at += if found { token.len() } else { 0 };
        found
    }

    pub fn expect(&mut self, byte: u8, what: &str) -> Result<(), Refusal> {
        if self.take(byte) { Ok(()) } else { Err(self.malformed(what)) }
    }

    /// After a member or item: whether another follows.
    #[inline]
    pub fn more(&mut self, close: u8, what: &str) -> Result<bool, Refusal> {
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(b) if b == close => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(self.malformed(what)),
        }
    }

    /// `true`, `false` or `null`, whichever begins here.
    pub fn literal(&mut self, word: &'static str) -> Result<(), Refusal> {
        let rest = self.json.as_bytes().get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return Err(self.malformed("a value"));
        }
        self.at += word.len();
        Ok(())
    }

    /// Whether there is no token at all.
    pub fn is_empty(&self) -> bool {
        self.json.trim_ascii().is_empty()
    }

    /// Whether the number that begins here has neither fraction nor exponent.
    pub fn is_whole(&self) -> bool {
        let rest = self.json.as_bytes().get(self.at..).unwrap_or_default();
        let after = rest.iter().find(|b| !matches!(b, b'-' | b'0'..=b'9'));
        !matches!(after, Some(b'.' | b'e' | b'E'))
    }

    /// A number's text; its form is checked, its size is not.
    pub fn number(&mut self) -> Result<&'j str, Refusal> {
        let bytes = self.json.as_bytes();
        let start = self.at;
        let mut at = start + usize::from(bytes.get(start) == Some(&b'-'));
        let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
        let whole = digits(at);
        if whole == 0 || (whole > 1 && bytes[at] == b'0') {
            return Err(self.malformed("a value"));
        }
        at += whole;
        if bytes.get(at) == Some(&b'.') {
            let fraction = digits(at + 1);
            if fraction == 0 {
                return Err(self.malformed("a number"));
            }
            at += 1 + fraction;
        }
        if let Some(b'e' | b'E') = bytes.get(at) {
            at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
            let exponent = digits(at);
            if exponent == 0 {
                return Err(self.malformed("a number"));
            }
            at += exponent;
        }
        self.at = at;
        Ok(&self.json[start..at])
    }

    /// A string's content. `buffer` is only touched where there are escapes.
    #[inline]
    pub fn string<'b>(&mut self, buffer: &'b mut String) -> Result<Content<'j, 'b>, Refusal> {
        if self.peek() != Some(b'"') {
            return Err(self.malformed("a string"));
        }
        let bytes = self.json.as_bytes();
        let start = self.at + 1;
        let rest = bytes.get(start..).unwrap_or_default();
        match special(rest) {
            Some(length) if rest[length] == b'"' => {
                self.at = start + length + 1;
                Ok(Content::Plain(&self.json[start..start + length]))
            }
            Some(length) => self.escaped(start, start + length, buffer).map(Content::Resolved),
            None => Err(self.unclosed()),
        }
    }

    fn escaped<'b>(&mut self, start: usize, first: usize, buffer: &'b mut String) -> Result<&'b str, Refusal> {
        let bytes = self.json.as_bytes();
        buffer.clear();
        let (mut from, mut at) = (start, first);
        loop {
            match bytes.get(at) {
                Some(b'"') => {
                    buffer.push_str(&self.json[from..at]);
                    self.at = at + 1;
                    return Ok(buffer);
                }
                Some(b'\\') => {
                    buffer.push_str(&self.json[from..at]);
                    let (c, length) = self.escape(at)?;
                    buffer.push(c);
                    at += length;
                    from = at;
                }
                Some(b) if *b < 0x20 => {
                    let message =
                        format!("a string holds the control character {b:#04x} at byte {at}: write it as \\u{b:04x}");
                    return Err(fail("malformed-json", message));
                }
                Some(_) => at += 1,
                None => return Err(self.unclosed()),
            }
        }
    }

    /// The character of the escape at `at`, and how long the escape is.
    fn escape(&self, at: usize) -> Result<(char, usize), Refusal> {
        let bytes = self.json.as_bytes();
        let plain = match bytes.get(at + 1) {
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(&b @ (b'"' | b'\\' | b'/')) => char::from(b),
            Some(b'u') => return self.unicode(at),
            _ => return Err(fail("malformed-json", format!("a string has an unknown escape at byte {at}"))),
        };
        Ok((plain, 2))
    }

    fn unicode(&self, at: usize) -> Result<(char, usize), Refusal> {
        let bytes = self.json.as_bytes();
        let unit = |at: usize| {
            let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
            digits.iter().try_fold(0u32, |n, b| Some(n * 16 + char::from(*b).to_digit(16)?))
        };
        let found = match unit(at) {
            Some(high @ 0xd800..0xdc00) => match unit(at + 6) {
                Some(low @ 0xdc00..0xe000) => {
                    char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)).map(|c| (c, 12))
                }
                _ => None,
            },
            Some(unit) => char::from_u32(unit).map(|c| (c, 6)),
            None => None,
        };
        found.ok_or_else(|| fail("malformed-json", format!("a string has an escape at byte {at} that is no character")))
    }

    /// Reads past a value of any kind.
    pub fn skip(&mut self, depth: usize, buffer: &mut String) -> Result<(), Refusal> {
        match self.peek() {
            Some(b'{' | b'[') if depth >= crate::codec::MAX_DEPTH => Err(too_deep()),
            Some(open @ (b'{' | b'[')) => {
                let (close, what) = if open == b'{' { (b'}', "`,` or `}`") } else { (b']', "`,` or `]`") };
                self.at += 1;
                if self.take(close) {
                    return Ok(());
                }
                loop {
                    if open == b'{' {
                        self.string(buffer)?;
                        self.expect(b':', "`:`")?;
                    }
                    self.skip(depth + 1, buffer)?;
                    if !self.more(close, what)? {
                        return Ok(());
                    }
                }
            }
            Some(b'"') => self.string(buffer).map(|_| ()),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            _ => self.number().map(|_| ()),
        }
    }

    /// The value that begins here in a few words: `the string "abc"`, `an object`.
    pub fn found(mut self) -> String {
        let mut buffer = String::new();
        match self.peek() {
            Some(b'{') => "an object".into(),
            Some(b'[') => "an array".into(),
            Some(b'"') => match self.string(&mut buffer) {
                Ok(s) => format!("the string {:?}", brief(s.as_str())),
                Err(_) => "a string without its end".into(),
            },
            Some(b't') => "true".into(),
            Some(b'f') => "false".into(),
            Some(b'n') => "null".into(),
            Some(_) => match self.number() {
                Ok(n) => format!("the number {}", brief(n)),
                Err(_) => self.byte(),
            },
            None => "the end".into(),
        }
    }

    fn byte(&self) -> String {
        let rest = self.json.get(self.at..).unwrap_or_default();
        let word: String = rest.chars().take_while(|c| c.is_alphanumeric()).take(20).collect();
        match rest.chars().next() {
            Some(c) if word.is_empty() => format!("`{}`", c.escape_debug()),
            Some(_) => format!("`{word}`"),
            None => "the end".into(),
        }
    }

    #[cold]
    pub fn malformed(&mut self, expected: &str) -> Refusal {
        let found = match self.peek() {
            Some(b'"') => self.found(),
            _ => self.byte(),
        };
        fail("malformed-json", format!("expected {expected}, found {found} at byte {}", self.at))
    }

    #[cold]
    fn unclosed(&self) -> Refusal {
        fail("malformed-json", format!("the string that begins at byte {} has no end", self.at))
    }
}

/// Where a string's plain run ends: at a quote, a backslash or a control character. Eight bytes a step.
#[inline]
fn special(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    // The high bit of each byte that is zero; a byte above the first such may be marked too, which does no harm.
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let (words, rest) = bytes.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let found = zero(word ^ (ONES * u64::from(b'"'))) | zero(word ^ (ONES * u64::from(b'\\'))) | control;
        if found != 0 {
            return Some(i * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let last = rest.iter().position(|b| matches!(b, b'"' | b'\\') || *b < 0x20)?;
    Some(words.len() * 8 + last)
}

#[cold]
pub(super) fn too_deep() -> Refusal {
    fail("too-deep", format!("values are nested deeper than {} levels", crate::codec::MAX_DEPTH))
}

/// The beginning of a text that may be long.
pub(super) fn brief(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_plain_run_ends_at_the_first_special_byte(bytes in prop::collection::vec(prop_oneof![9 => 0x20u8..=255, 1 => any::<u8>()], 0..40)) {
            let slow = bytes.iter().position(|b| matches!(b, b'"' | b'\\') || *b < 0x20);
            prop_assert_eq!(special(&bytes), slow);
        }
    }
}
