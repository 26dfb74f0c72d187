//! Checked reading of Avro's primitives: never past the end, never a panic.
//!
//! The rules are those of the Avro specification 1.12, "Binary Encoding". What a scan has proven reads without a [`Flaw`].

use crate::failure::{Failure, Stage};

/// The first thing that is wrong with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    Truncated { wanted: u64, left: usize },
    Trailing(usize),
    Varint,
    IntRange(i64),
    Length(i64),
    Boolean(u8),
    Utf8,
    EnumIndex { index: i64, symbols: usize },
    UnionIndex { index: i64, branches: usize },
    TooDeep,
    TooManyItems(u64),
    BlockSize { said: u64, found: u64 },
    WideDecimal(usize),
}

impl Flaw {
    /// The flaw's code in [`crate::failure::CODES`].
    pub const fn code(self) -> &'static str {
        match self {
            Flaw::Truncated { .. } => "truncated",
            Flaw::Trailing(_) => "trailing-bytes",
            Flaw::Varint | Flaw::IntRange(_) => "bad-varint",
            Flaw::Length(_) | Flaw::BlockSize { .. } => "bad-length",
            Flaw::Boolean(_) => "bad-boolean",
            Flaw::Utf8 => "bad-utf8",
            Flaw::EnumIndex { .. } => "bad-enum-index",
            Flaw::UnionIndex { .. } => "bad-union-index",
            Flaw::TooDeep => "too-deep",
            Flaw::TooManyItems(_) => "too-many-items",
            Flaw::WideDecimal(_) => "bad-decimal",
        }
    }

    fn message(self) -> String {
        match self {
            Flaw::Truncated { wanted, left } => format!("the body ends here: {wanted} bytes expected, {left} left"),
            Flaw::Trailing(1) => "1 byte is left over after the record".into(),
            Flaw::Trailing(n) => format!("{n} bytes are left over after the record"),
            Flaw::Varint => "an integer of more than 64 bits".into(),
            Flaw::IntRange(n) => format!("expected an int, found {n}, which needs a long"),
            Flaw::Length(n) => format!("a length of {n} bytes"),
            Flaw::Boolean(b) => format!("expected a boolean (0 or 1), found the byte {b}"),
            Flaw::Utf8 => "expected a string, found bytes that are not UTF-8".into(),
            Flaw::EnumIndex { index, symbols } => format!("the enum has {symbols} symbols, found index {index}"),
            Flaw::UnionIndex { index, branches } => format!("the union has {branches} branches, found index {index}"),
            Flaw::TooDeep => format!("values are nested deeper than {} levels", super::MAX_DEPTH),
            Flaw::TooManyItems(n) => format!("a block claims {n} items, more than its bytes can hold"),
            Flaw::BlockSize { said, found } => format!("a block says it has {said} bytes, its items have {found}"),
            Flaw::WideDecimal(n) => format!("a decimal of {n} bytes needs more than 128 bits"),
        }
    }

    /// The failure of the record, at byte `at` of its body.
    #[cold]
    pub fn failure(self, at: usize) -> Failure {
        Failure::new(Stage::Decode, self.code(), format!("{} (byte {at} of the body)", self.message()))
    }
}

/// A place in a body, moved on by each value read.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    body: &'a [u8],
    at: usize,
}

type Read<T> = Result<T, Flaw>;

impl<'a> Reader<'a> {
    #[inline]
    pub fn new(body: &'a [u8], at: usize) -> Self {
        Reader { body, at }
    }

    #[inline]
    pub fn at(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    #[inline]
    pub fn left(&self) -> usize {
        self.body.len().saturating_sub(self.at)
    }

    /// # Errors
    /// [`Flaw::Truncated`], or [`Flaw::Varint`] after ten bytes or past 64 bits.
    #[inline]
    pub fn long(&mut self) -> Read<i64> {
        match self.body.get(self.at) {
            Some(&b) if b < 0x80 => {
                self.at += 1;
                Ok(unzigzag(u64::from(b)))
            }
            _ => {
                let (value, length) = wide_varint(self.body.get(self.at..).unwrap_or_default())?;
                self.at += length;
                Ok(value)
            }
        }
    }

    /// Reads past a long: cheaper than [`Reader::long`] where it has several bytes.
    ///
    /// # Errors
    /// As [`Reader::long`].
    #[inline]
    pub fn skip_long(&mut self) -> Read<()> {
        if let Some(next) = self.body.get(self.at..).and_then(|rest| rest.first_chunk()) {
            // The first byte without its high bit is the last one.
            let last = !u64::from_le_bytes(*next) & HIGH_BITS;
            if last != 0 {
                self.at += last.trailing_zeros() as usize / 8 + 1;
                return Ok(());
            }
        }
        self.long().map(|_| ())
    }

    /// # Errors
    /// As [`Reader::long`], or [`Flaw::IntRange`].
    #[inline]
    pub fn int(&mut self) -> Read<i32> {
        let mut next = *self;
        let value = next.long()?;
        let value = i32::try_from(value).map_err(|_| Flaw::IntRange(value))?;
        *self = next;
        Ok(value)
    }

    /// # Errors
    /// [`Flaw::Truncated`] or [`Flaw::Boolean`].
    #[inline]
    pub fn boolean(&mut self) -> Read<bool> {
        let value = match self.body.get(self.at) {
            Some(0) => false,
            Some(1) => true,
            Some(&b) => return Err(Flaw::Boolean(b)),
            None => return Err(Flaw::Truncated { wanted: 1, left: 0 }),
        };
        self.at += 1;
        Ok(value)
    }

    /// # Errors
    /// [`Flaw::Truncated`].
    #[inline]
    pub fn float(&mut self) -> Read<f32> {
        self.array().map(f32::from_le_bytes)
    }

    /// # Errors
    /// [`Flaw::Truncated`].
    #[inline]
    pub fn double(&mut self) -> Read<f64> {
        self.array().map(f64::from_le_bytes)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        match self.body.get(self.at..).and_then(|rest| rest.first_chunk()) {
            Some(bytes) => {
                self.at += N;
                Ok(*bytes)
            }
            None => Err(Flaw::Truncated { wanted: N as u64, left: self.left() }),
        }
    }

    /// A fixed: `size` bytes.
    ///
    /// # Errors
    /// [`Flaw::Truncated`].
    #[inline]
    pub fn fixed(&mut self, size: usize) -> Read<&'a [u8]> {
        match self.body.get(self.at..).and_then(|rest| rest.get(..size)) {
            Some(bytes) => {
                self.at += size;
                Ok(bytes)
            }
            None => Err(Flaw::Truncated { wanted: size as u64, left: self.left() }),
        }
    }

    /// A length and as many bytes.
    ///
    /// # Errors
    /// [`Flaw::Length`] for a negative length, else as [`Reader::fixed`].
    #[inline]
    pub fn bytes(&mut self) -> Read<&'a [u8]> {
        let mut next = *self;
        let length = next.long()?;
        let size = usize::try_from(length).map_err(|_| Flaw::Length(length))?;
        let bytes = next.fixed(size)?;
        *self = next;
        Ok(bytes)
    }

    /// # Errors
    /// As [`Reader::bytes`], or [`Flaw::Utf8`].
    #[inline]
    pub fn text(&mut self) -> Read<&'a str> {
        let mut next = *self;
        let text = std::str::from_utf8(next.bytes()?).map_err(|_| Flaw::Utf8)?;
        *self = next;
        Ok(text)
    }

    /// Reads past a string: cheaper than [`Reader::text`] where it is ASCII.
    ///
    /// # Errors
    /// As [`Reader::text`].
    #[inline]
    pub fn skip_text(&mut self) -> Read<()> {
        let mut next = *self;
        let bytes = next.bytes()?;
        if !is_ascii(bytes) && std::str::from_utf8(bytes).is_err() {
            return Err(Flaw::Utf8);
        }
        *self = next;
        Ok(())
    }

    /// The index of an enum's symbol.
    ///
    /// # Errors
    /// As [`Reader::long`], or [`Flaw::EnumIndex`].
    #[inline]
    pub fn symbol(&mut self, symbols: usize) -> Read<usize> {
        self.index(symbols, |index| Flaw::EnumIndex { index, symbols })
    }

    /// The index of a union's branch.
    ///
    /// # Errors
    /// As [`Reader::long`], or [`Flaw::UnionIndex`].
    #[inline]
    pub fn branch(&mut self, branches: usize) -> Read<usize> {
        self.index(branches, |index| Flaw::UnionIndex { index, branches })
    }

    #[inline]
    fn index(&mut self, end: usize, flaw: impl FnOnce(i64) -> Flaw) -> Read<usize> {
        let mut next = *self;
        let index = next.long()?;
        match usize::try_from(index) {
            Ok(i) if i < end => {
                *self = next;
                Ok(i)
            }
            _ => Err(flaw(index)),
        }
    }

    /// The head of an array's or map's next block; a count of zero ends the array. `least` is the fewest bytes an item takes.
    ///
    /// # Errors
    /// As [`Reader::long`], [`Flaw::Length`] for a block's size, or [`Flaw::TooManyItems`].
    #[inline]
    pub fn block(&mut self, least: usize) -> Read<Block> {
        let mut next = *self;
        let count = next.long()?;
        let mut block = Block { count: count.unsigned_abs(), size: None };
        if count < 0 {
            let size = next.long()?;
            let said = u64::try_from(size).map_err(|_| Flaw::Length(size))?;
            if said > next.left() as u64 {
                return Err(Flaw::Truncated { wanted: said, left: next.left() });
            }
            block.size = Some(said);
        }
        let most = if least == 0 { MAX_EMPTY_ITEMS } else { next.left() as u64 / least as u64 };
        if block.count > most {
            return Err(Flaw::TooManyItems(block.count));
        }
        *self = next;
        Ok(block)
    }

    /// Moves on by `size` bytes.
    ///
    /// # Errors
    /// [`Flaw::Truncated`].
    #[inline]
    pub fn skip(&mut self, size: usize) -> Read<()> {
        self.fixed(size).map(|_| ())
    }
}

/// Items that take no bytes (nulls, empty records) are not bounded by the body: a block may hold this many.
pub const MAX_EMPTY_ITEMS: u64 = 256;

/// The head of a block of items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    pub count: u64,
    /// The bytes of its items, where the writer says so.
    pub size: Option<u64>,
}

/// The high bit of each of eight bytes.
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// Whether all bytes are ASCII. Most strings of a record are short: those of up to 16 bytes take two reads, which may
/// overlap, where the standard library goes byte by byte.
#[inline]
fn is_ascii(bytes: &[u8]) -> bool {
    let any = match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => {
            let ends = u64::from_ne_bytes(*first) | u64::from_ne_bytes(*last);
            let (words, _) = bytes.as_chunks();
            words.iter().skip(1).fold(ends, |any, word| any | u64::from_ne_bytes(*word))
        }
        _ => match (bytes.first_chunk(), bytes.last_chunk()) {
            (Some(first), Some(last)) => u64::from(u32::from_ne_bytes(*first) | u32::from_ne_bytes(*last)),
            _ => bytes.iter().fold(0, |any, byte| any | u64::from(*byte)),
        },
    };
    any & HIGH_BITS == 0
}

/// A varint of any length, and how many bytes it takes. By value, so that a reader can live in registers.
#[inline(never)]
fn wide_varint(rest: &[u8]) -> Read<(i64, usize)> {
    let mut value = 0u64;
    for (i, &b) in rest.iter().take(10).enumerate() {
        if i == 9 && b > 1 {
            return Err(Flaw::Varint);
        }
        value |= u64::from(b & 0x7f) << (7 * i);
        if b < 0x80 {
            return Ok((unzigzag(value), i + 1));
        }
    }
    Err(if rest.len() < 10 {
        Flaw::Truncated { wanted: rest.len() as u64 + 1, left: rest.len() }
    } else {
        Flaw::Varint
    })
}

#[inline]
const fn unzigzag(n: u64) -> i64 {
    (n >> 1) as i64 ^ -((n & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::write;

    #[test]
    fn longs_of_every_width_read_as_they_were_written() {
        let edges =
            (0..64).flat_map(|bit| [1i64 << bit, (1i64 << bit).wrapping_sub(1), -(1i64 << bit).wrapping_sub(1)]);
        for n in edges.chain([0, i64::MIN, i64::MAX]) {
            let mut body = Vec::new();
            write::long(&mut body, n);
            let mut r = Reader::new(&body, 0);
            assert_eq!(r.long(), Ok(n));
            assert_eq!(r.at(), body.len());
            for end in 0..body.len() {
                assert!(matches!(Reader::new(&body[..end], 0).long(), Err(Flaw::Truncated { .. })));
                assert!(matches!(Reader::new(&body[..end], 0).skip_long(), Err(Flaw::Truncated { .. })));
            }
            for after in [0, 8] {
                let longer = [&body[..], &vec![0xff; after]].concat();
                let mut r = Reader::new(&longer, 0);
                assert_eq!((r.skip_long(), r.at()), (Ok(()), body.len()));
            }
        }
    }

    #[test]
    fn an_integer_past_64_bits_is_refused() {
        assert_eq!(Reader::new(&[0xff; 11], 0).long(), Err(Flaw::Varint));
        assert_eq!(Reader::new(&[0xff; 11], 0).skip_long(), Err(Flaw::Varint));
        let mut tenth = [0xff; 10];
        tenth[9] = 2;
        assert_eq!(Reader::new(&tenth, 0).long(), Err(Flaw::Varint));
        tenth[9] = 1;
        assert_eq!(Reader::new(&tenth, 0).long(), Ok(i64::MIN));
    }

    #[test]
    fn a_string_of_any_length_is_looked_at_to_its_last_byte() {
        for length in 0..40 {
            let mut body = Vec::new();
            write::text(&mut body, &"x".repeat(length));
            let mut r = Reader::new(&body, 0);
            assert_eq!((r.skip_text(), r.at()), (Ok(()), body.len()));
            for at in 1..body.len() {
                let mut bad = body.clone();
                bad[at] = 0xff;
                assert_eq!(Reader::new(&bad, 0).skip_text(), Err(Flaw::Utf8), "byte {at} of {length}");
            }
        }
    }

    #[test]
    fn an_int_is_a_long_in_range() {
        let mut body = Vec::new();
        write::long(&mut body, i64::from(i32::MAX) + 1);
        assert_eq!(Reader::new(&body, 0).int(), Err(Flaw::IntRange(2_147_483_648)));
    }

    #[test]
    fn blocks_claim_no_more_than_their_bytes_can_hold() {
        let mut body = Vec::new();
        write::long(&mut body, 1 << 62);
        assert_eq!(Reader::new(&body, 0).block(0), Err(Flaw::TooManyItems(1 << 62)));
        assert_eq!(Reader::new(&body, 0).block(1), Err(Flaw::TooManyItems(1 << 62)));
        let mut body = Vec::new();
        write::long(&mut body, i64::MIN);
        write::long(&mut body, 0);
        assert_eq!(Reader::new(&body, 0).block(1), Err(Flaw::TooManyItems(1 << 63)));
    }

    #[test]
    fn a_failed_read_does_not_move() {
        let body = [4, 0xff, 0xfe];
        let mut r = Reader::new(&body, 0);
        assert_eq!(r.text(), Err(Flaw::Utf8));
        assert_eq!(r.at(), 0);
        assert_eq!(r.bytes(), Ok(&body[1..]));
    }
}
