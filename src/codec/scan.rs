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
                Op::Long => r.long().map(|_| ()),
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
mod tests {
    use super::*;
    use crate::{
        codec::{Items, JsonWriter, Layout, Slot, write},
        schema::{Field, Fixed, Kind, Logical, Name, Node, NodeId, RecordType, Schema},
    };
    use std::sync::Arc;

    fn node(kind: Kind) -> Node {
        Node::new(kind, None)
    }

    fn record(name: &str, fields: &[(&str, u32)]) -> Node {
        let field = |(name, node): &(&str, u32)| Field {
            name: (*name).into(),
            aliases: vec![],
            doc: None,
            default: None,
            node: NodeId(*node),
            attributes: Default::default(),
        };
        let fields = fields.iter().map(field).collect();
        node(Kind::Record(RecordType { name: Name(name.into()), aliases: vec![], doc: None, fields }))
    }

    /// order { id: long, address: [null, { city: string, zip: [null, string] }], items: [{ sku: string }], paid: boolean }
    fn order() -> Arc<Schema> {
        let nodes = vec![
            record("order", &[("id", 1), ("address", 2), ("items", 7), ("paid", 9)]),
            node(Kind::Long),
            node(Kind::Union(vec![NodeId(3), NodeId(4)])),
            node(Kind::Null),
            record("address", &[("city", 5), ("zip", 6)]),
            node(Kind::String),
            node(Kind::Union(vec![NodeId(3), NodeId(5)])),
            node(Kind::Array(NodeId(8))),
            record("item", &[("sku", 5)]),
            node(Kind::Boolean),
        ];
        Arc::new(Schema::from_nodes(nodes, NodeId(0)))
    }

    /// list { value: int, next: [null, list] }
    fn list() -> Arc<Schema> {
        let nodes = vec![
            record("list", &[("value", 1), ("next", 2)]),
            node(Kind::Int),
            node(Kind::Union(vec![NodeId(3), NodeId(0)])),
            node(Kind::Null),
        ];
        Arc::new(Schema::from_nodes(nodes, NodeId(0)))
    }

    fn body(zip: Option<&str>, skus: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        write::long(&mut out, 700);
        write::index(&mut out, 1);
        write::text(&mut out, "Köln");
        write::index(&mut out, usize::from(zip.is_some()));
        zip.iter().for_each(|zip| write::text(&mut out, zip));
        write::index(&mut out, skus.len());
        skus.iter().for_each(|sku| write::text(&mut out, sku));
        if !skus.is_empty() {
            write::index(&mut out, 0);
        }
        write::boolean(&mut out, true);
        out
    }

    fn scan(schema: &Arc<Schema>, body: &[u8]) -> Result<(), Failure> {
        Layout::new(schema.clone(), schema.root()).build().scan(body, &mut [])
    }

    #[test]
    fn offsets_lead_to_values_and_null_hides_what_is_below() {
        let schema = order();
        let mut layout = Layout::new(schema.clone(), schema.root());
        let (zip, id, city) = (layout.value(&[1, 1]), layout.value(&[0]), layout.value(&[1, 0]));
        let (address, end) = (layout.edge(1), layout.edge(4));
        assert_eq!(layout.value(&[1, 1]), zip, "asked twice, noted once");
        let scanner = layout.build();
        let mut slots = vec![0; scanner.slots()];
        let b = body(Some("50667"), &[]);
        scanner.scan(&b, &mut slots).unwrap();
        let at = |slot: Slot| Reader::new(&b, slots[slot.0 as usize] as usize);
        assert_eq!(at(id).long(), Ok(700));
        assert_eq!(at(city).text(), Ok("Köln"));
        assert_eq!(at(zip).text(), Ok("50667"));
        assert_eq!(at(address).branch(2), Ok(1));
        assert_eq!(slots[end.0 as usize] as usize, b.len());
        scanner.scan(&body(None, &[]), &mut slots).unwrap();
        assert_eq!(slots[zip.0 as usize], NULL);
        assert_ne!(slots[city.0 as usize], NULL);
        scanner.scan(&[2, 0, 0, 1], &mut slots).unwrap();
        assert_eq!((slots[zip.0 as usize], slots[city.0 as usize]), (NULL, NULL));
    }

    #[test]
    fn every_cut_and_every_leftover_of_a_body_is_refused() {
        let schema = order();
        let b = body(Some("50667"), &["a", "b"]);
        scan(&schema, &b).unwrap();
        for end in 0..b.len() {
            let code = scan(&schema, &b[..end]).unwrap_err().code;
            assert!(matches!(&*code, "truncated" | "too-many-items"), "{end}: {code}");
        }
        let long = [b, vec![0, 0]].concat();
        let failure = scan(&schema, &long).unwrap_err();
        assert_eq!((&*failure.code, &*failure.field), ("trailing-bytes", ""));
        assert!(failure.message.starts_with("2 bytes"), "{}", failure.message);
    }

    #[test]
    fn failures_name_their_field() {
        let schema = order();
        let mut bad_sku = body(None, &["good", "bad!"]);
        let at = bad_sku.len() - 3;
        bad_sku[at] = 0xff;
        let mut bad_zip = body(Some("50667"), &[]);
        let at = bad_zip.len() - 4;
        bad_zip[at] = 0xff;
        let mut bad_flag = body(None, &[]);
        *bad_flag.last_mut().unwrap() = 2;
        for (body, code, field) in [
            (bad_sku, "bad-utf8", "items[1].sku"),
            (bad_zip, "bad-utf8", "address.zip"),
            (bad_flag, "bad-boolean", "paid"),
            (vec![2, 4], "bad-union-index", "address"),
            ([0xff; 11].to_vec(), "bad-varint", "id"),
            (vec![2, 0, 1, 1], "bad-length", "items"),
        ] {
            let failure = scan(&schema, &body).unwrap_err();
            assert_eq!((&*failure.code, &*failure.field), (code, field), "{failure}");
        }
    }

    #[test]
    fn blocks_with_their_size_in_bytes_are_read_and_checked() {
        let schema = order();
        let mut good = vec![2, 0];
        write::long(&mut good, -2);
        write::long(&mut good, 4);
        good.extend([2, b'a', 2, b'b', 0, 1]);
        scan(&schema, &good).unwrap();
        let mut layout = Layout::new(schema.clone(), schema.root());
        let items = layout.value(&[2]);
        let mut element = Layout::new(schema.clone(), NodeId(8));
        let sku = element.value(&[0]);
        let (scanner, element) = (layout.build(), element.build());
        let mut slots = vec![0; scanner.slots()];
        scanner.scan(&good, &mut slots).unwrap();
        let mut walk = Items::new(&element, &good, slots[items.0 as usize]);
        let mut at = [0];
        let mut seen = Vec::new();
        while walk.next(&mut at).is_some() {
            seen.push(Reader::new(&good, at[sku.0 as usize] as usize).text().unwrap());
        }
        assert_eq!(seen, ["a", "b"]);
        good[3] = 6;
        assert_eq!(scan(&schema, &good).unwrap_err().code, "bad-length");
    }

    #[test]
    fn recursive_types_are_walked_to_128_levels() {
        let schema = list();
        let nested = |n: usize| [[2u8, 2].repeat(n), vec![2, 0]].concat();
        scan(&schema, &nested(128)).unwrap();
        let failure = scan(&schema, &nested(129)).unwrap_err();
        assert_eq!(failure.code, "too-deep");
        assert!(failure.field.starts_with("next.next.next"), "{}", failure.field);
        assert_eq!(scan(&schema, &nested(100_000)).unwrap_err().code, "too-deep");
        let mut layout = Layout::new(schema.clone(), schema.root());
        let third = layout.value(&[1, 1, 0]);
        let scanner = layout.build();
        let mut slots = [0];
        scanner.scan(&nested(3), &mut slots).unwrap();
        assert_eq!(slots[third.0 as usize], 4);
    }

    #[test]
    fn arrays_that_claim_2_to_the_62_items_cost_nothing() {
        for item in [Kind::Null, Kind::Long] {
            let nodes = vec![node(Kind::Array(NodeId(1))), node(item)];
            let schema = Arc::new(Schema::from_nodes(nodes, NodeId(0)));
            let mut b = Vec::new();
            write::long(&mut b, 1 << 62);
            b.push(0);
            assert_eq!(scan(&schema, &b).unwrap_err().code, "too-many-items");
        }
    }

    #[test]
    fn decimals_past_128_bits_are_refused() {
        let decimal = Some(Logical::Decimal { precision: 20, scale: 2 });
        let fixed = Fixed { name: Name("amount".into()), aliases: vec![], size: 17 };
        let on_bytes = Node::new(Kind::Bytes, decimal);
        let on_fixed = Node::new(Kind::Fixed(fixed), decimal);
        for (node, body) in [(on_bytes, [vec![34], vec![1; 17]].concat()), (on_fixed, vec![1; 17])] {
            let schema = Arc::new(Schema::from_nodes(vec![node], NodeId(0)));
            assert_eq!(scan(&schema, &body).unwrap_err().code, "bad-decimal");
        }
    }

    #[test]
    fn a_scanner_prints_as_a_list_of_operations() {
        let schema = list();
        let printed = Layout::new(schema.clone(), schema.root()).build().to_string();
        let want = "block 0\n  0 Int value\n  1 Nullable { null: 0, skip: 1 } next\n  2 Call(1) next\nblock 1\n";
        assert!(printed.starts_with(want), "{printed}");
    }

    #[test]
    fn records_in_a_union_of_several_branches_are_levels_too() {
        let schema = cycle(1, r#","string""#);
        let body = [vec![4; 1_000_000], vec![0]].concat();
        assert_eq!(scan(&schema, &body).unwrap_err().code, "too-deep");
    }

    /// Records inside one another, each in a field that may be null, that come back to the first after `n`.
    fn cycle(n: usize, others: &str) -> Arc<Schema> {
        let next = |i: usize, inner: String| {
            format!(r#"{{"type":"record","name":"R{i}","fields":[{{"name":"next","type":["null"{others},{inner}]}}]}}"#)
        };
        let text = (0..n).rev().fold(r#""R0""#.to_owned(), |inner, i| next(i, inner));
        Arc::new(Schema::parse(&text).unwrap())
    }

    #[test]
    fn what_a_scan_takes_the_json_writer_takes_too() {
        for (others, branch) in [("", 2), (r#","string""#, 4)] {
            for n in [1, 2, 3, 40] {
                let schema = cycle(n, others);
                let (scanner, writer) =
                    (Layout::new(schema.clone(), schema.root()).build(), JsonWriter::new(schema.clone()));
                for levels in 0..400 {
                    let body = [vec![branch; levels], vec![0]].concat();
                    let scanned = scanner.scan(&body, &mut []);
                    assert!(scanned.is_ok() || levels > 128, "{n}, {levels}: {scanned:?}");
                    assert!(scanned.is_err() || levels < 128 + n, "{n}, {levels}");
                    if scanned.is_ok() {
                        writer.write(&body, 0, &mut Vec::new()).unwrap_or_else(|f| panic!("{n}, {levels}: {f}"));
                    }
                }
            }
        }
    }
}
