//! One walk over a body that proves it well formed and notes the offsets a program needs.
//!
//! A [`Scanner`] is a flat list of operations in blocks: the whole value is block 0; items of arrays and maps, branches
//! of unions, and records that are referred to more than once are blocks of their own.

use super::{
    Decimal, MAX_DEPTH,
    read::{Flaw, Reader},
};
use crate::failure::Failure;
use std::fmt;

/// A slot's content where the value, or a record around it, is null.
pub const NULL: u32 = u32::MAX;

/// One step of a scan; numbers of blocks are indexes in [`Scanner::blocks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// Put the offset into a slot.
    Note(u32),
    Boolean,
    Int,
    Long,
    /// Float, double and fixed: so many bytes.
    Skip(usize),
    Bytes,
    Text,
    /// On bytes.
    Decimal,
    /// On a fixed that could hold more than 128 bits.
    FixedDecimal(usize),
    /// So many symbols.
    Enum(u32),
    /// A union of null and one other: where the index is null's, the next `skip` operations are left out.
    Nullable {
        null: u8,
        skip: u32,
    },
    /// Any other union: its branches, in [`Scanner::branches`].
    Union {
        first: u32,
        len: u32,
    },
    /// `least` is the fewest bytes of an item.
    Array {
        item: u32,
        least: usize,
    },
    Map {
        value: u32,
        least: usize,
    },
    /// A record whose type is shared or recursive.
    Call(u32),
}

/// A compiled layout.
#[derive(Clone, Debug, Default)]
pub struct Scanner {
    pub(super) ops: Vec<Op>,
    /// For each operation the path of its value, from its block down.
    pub(super) paths: Vec<Box<str>>,
    /// Start and end of each block in `ops`.
    pub(super) blocks: Vec<(u32, u32)>,
    /// For each operation how many records of its block are around it.
    pub(super) records: Vec<u32>,
    /// The block of each branch of a union, and how many records are around its values: those around the union, and itself.
    pub(super) branches: Vec<(u32, u32)>,
    pub(super) slots: usize,
    /// The fewest bytes of a value.
    pub(super) least: usize,
}

type Step = Result<(), Box<Failure>>;

impl Scanner {
    /// How many slots a scan fills.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Walks the whole body. `slots` is filled; its length is [`Scanner::slots`].
    ///
    /// # Errors
    /// Stage `decode`: the body is truncated, malformed, too deep, or has bytes left over.
    pub fn scan(&self, body: &[u8], slots: &mut [u32]) -> Result<(), Failure> {
        let end = self.scan_at(body, 0, slots)?;
        if end < body.len() {
            return Err(Flaw::Trailing(body.len() - end).failure(end));
        }
        Ok(())
    }

    /// Walks one value that begins at `at`, inside a larger body, and gives the offset of its end; slots are offsets in `body`.
    ///
    /// # Errors
    /// As [`Scanner::scan`], without the check for bytes left over.
    pub fn scan_at(&self, body: &[u8], at: usize, slots: &mut [u32]) -> Result<usize, Failure> {
        debug_assert_eq!(slots.len(), self.slots);
        // Offsets are u32; Kafka's own bound is i32.
        if body.len() > i32::MAX as usize {
            return Err(Flaw::Length(body.len() as i64).failure(0));
        }
        slots.fill(NULL);
        let mut reader = Reader::new(body, at);
        match self.run(0, &mut reader, slots, 0) {
            Ok(()) => Ok(reader.at()),
            Err(failure) => Err(*failure),
        }
    }

    fn run(&self, block: u32, reader: &mut Reader<'_>, slots: &mut [u32], depth: usize) -> Step {
        let (start, end) = self.blocks[block as usize];
        let ops = &self.ops[start as usize..end as usize];
        // A copy lives in registers; it is written back where another block takes over.
        let mut r = *reader;
        let mut pc = 0;
        while let Some(&op) = ops.get(pc) {
            let step = match op {
                Op::Note(slot) => {
                    slots[slot as usize] = r.at() as u32;
                    Ok(())
                }
                Op::Boolean => r.boolean().map(|_| ()),
                Op::Int => r.int().map(|_| ()),
                Op::Long => r.skip_long(),
                Op::Skip(size) => r.skip(size),
                Op::Bytes => r.bytes().map(|_| ()),
                Op::Text => r.skip_text(),
                Op::Decimal => r.bytes().and_then(narrow),
                Op::FixedDecimal(size) => r.fixed(size).and_then(narrow),
                Op::Enum(symbols) => r.symbol(symbols as usize).map(|_| ()),
                Op::Nullable { null, skip } => r.branch(2).map(|i| {
                    if i == usize::from(null) {
                        pc += skip as usize;
                    }
                }),
                Op::Union { .. } | Op::Array { .. } | Op::Map { .. } | Op::Call(_) => {
                    *reader = r;
                    self.nested(start as usize + pc, reader, slots, depth)?;
                    r = *reader;
                    Ok(())
                }
            };
            if let Err(flaw) = step {
                return Err(self.fail(start as usize + pc, flaw, r.at()));
            }
            pc += 1;
        }
        *reader = r;
        Ok(())
    }

    fn nested(&self, at: usize, r: &mut Reader<'_>, slots: &mut [u32], depth: usize) -> Step {
        let (block, levels) = match self.ops[at] {
            Op::Union { first, len } => match r.branch(len as usize) {
                Ok(branch) => self.branches[first as usize + branch],
                Err(flaw) => return Err(self.fail(at, flaw, r.at())),
            },
            Op::Array { item: block, .. } | Op::Map { value: block, .. } | Op::Call(block) => {
                (block, self.records[at] + 1)
            }
            _ => return Ok(()),
        };
        // An array or map counts as one with the record that an item is; of a union what it holds does.
        let depth = depth + levels as usize;
        if depth > MAX_DEPTH {
            return Err(self.fail(at, Flaw::TooDeep, r.at()));
        }
        match self.ops[at] {
            Op::Array { least, .. } => self.items(at, least, r, |r, i| {
                self.run(block, r, slots, depth).map_err(|f| self.under(at, &format!("[{i}]"), f))
            }),
            Op::Map { least, .. } => self.items(at, least, r, |r, _| {
                let key = r.text().map_err(|flaw| self.fail(at, flaw, r.at()))?;
                self.run(block, r, slots, depth).map_err(|f| self.under(at, &format!("[{key:?}]"), f))
            }),
            _ => self.run(block, r, slots, depth).map_err(|f| self.under(at, "", f)),
        }
    }

    /// Walks the blocks of an array or map.
    fn items<'a>(
        &self,
        at: usize,
        least: usize,
        r: &mut Reader<'a>,
        mut item: impl FnMut(&mut Reader<'a>, u64) -> Step,
    ) -> Step {
        let mut seen = 0;
        loop {
            let block = r.block(least).map_err(|flaw| self.fail(at, flaw, r.at()))?;
            if block.count == 0 {
                return Ok(());
            }
            let start = r.at();
            // Items that always take no bytes need no walk.
            let walked = if least == 0 { 0 } else { block.count };
            for i in 0..walked {
                item(r, seen + i)?;
            }
            seen += block.count;
            let found = (r.at() - start) as u64;
            if let Some(said) = block.size.filter(|said| *said != found) {
                return Err(self.fail(at, Flaw::BlockSize { said, found }, start));
            }
        }
    }

    #[cold]
    fn fail(&self, op: usize, flaw: Flaw, at: usize) -> Box<Failure> {
        Box::new(flaw.failure(at).at(&*self.paths[op]))
    }

    /// The failure of a value inside operation `op`, with its path from here.
    #[cold]
    fn under(&self, op: usize, index: &str, mut failure: Box<Failure>) -> Box<Failure> {
        let outer = format!("{}{index}", self.paths[op]);
        failure.field = join(&outer, &failure.field);
        failure
    }
}

/// Puts two pieces of a path together: `items[2]` and `sku` make `items[2].sku`.
pub(super) fn join(outer: &str, inner: &str) -> String {
    let dot = if outer.is_empty() || inner.is_empty() || inner.starts_with('[') { "" } else { "." };
    format!("{outer}{dot}{inner}")
}

fn narrow(bytes: &[u8]) -> Result<(), Flaw> {
    match bytes.len() <= 16 || Decimal::from_avro(bytes, 0).is_some() {
        true => Ok(()),
        false => Err(Flaw::WideDecimal(bytes.len())),
    }
}

/// One line an operation: `3 Text  address.city`.
impl fmt::Display for Scanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (start, end)) in self.blocks.iter().enumerate() {
            writeln!(f, "block {i}")?;
            for at in *start as usize..*end as usize {
                writeln!(f, "  {at} {:?} {}", self.ops[at], self.paths[at])?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
