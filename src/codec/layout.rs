//! From a schema and the places asked for to a [`Scanner`].

use super::scan::{Op, Scanner};
use crate::schema::{Kind, Logical, NodeId, RecordType, Schema};
use std::{collections::HashMap, sync::Arc};

/// Index of an offset that a scan notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot(pub u32);

/// Which places of a body are to be noted; asking for the same place twice gives the same slot.
#[derive(Debug)]
pub struct Layout {
    schema: Arc<Schema>,
    node: NodeId,
    asked: Vec<Asked>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    Value(Vec<u16>),
    Edge(u16),
}

impl Layout {
    /// A layout over values of `node` (the root for a whole body, an array's element for `for_each`).
    pub fn new(schema: Arc<Schema>, node: NodeId) -> Self {
        Layout { schema, node, asked: Vec::new() }
    }

    /// Where the value of a field begins: after its union's index when the field is nullable.
    /// `path` is field indexes from the record down, through records and nullable records; empty is the value itself.
    pub fn value(&mut self, path: &[u16]) -> Slot {
        self.slot(Asked::Value(path.to_vec()))
    }

    /// Where top-level field number `field` begins, its union's index included; the number of fields asks for the record's end.
    pub fn edge(&mut self, field: u16) -> Slot {
        self.slot(Asked::Edge(field))
    }

    fn slot(&mut self, asked: Asked) -> Slot {
        let known = self.asked.iter().position(|a| *a == asked);
        let slot = known.unwrap_or_else(|| {
            self.asked.push(asked);
            self.asked.len() - 1
        });
        Slot(slot as u32)
    }

    /// Compiles the layout.
    pub fn build(self) -> Scanner {
        let mut values = Vec::new();
        let mut edges = Vec::new();
        for (slot, asked) in self.asked.iter().enumerate() {
            match asked {
                Asked::Value(path) => values.push((path.as_slice(), slot as u32)),
                Asked::Edge(field) => edges.push((*field, slot as u32)),
            }
        }
        let mut c = Compiler {
            schema: &self.schema,
            references: references(&self.schema, self.node),
            least: least(&self.schema),
            blocks: HashMap::new(),
            pending: Vec::new(),
            records: 0,
            out: Scanner { slots: self.asked.len(), ..Scanner::default() },
        };
        c.out.least = c.least[self.node.0 as usize];
        c.pending.push(self.node);
        c.close(self.node, &values, &edges);
        // Blocks are compiled one after the other, so that the operations of each stand together.
        while let Some(&node) = c.pending.get(c.out.blocks.len()) {
            c.close(node, &[], &[]);
        }
        c.out
    }
}

/// How often each node is referred to. A record with several references becomes a block of its own: shared and
/// recursive types would otherwise be unfolded without end.
fn references(schema: &Schema, root: NodeId) -> Vec<u32> {
    let mut counts = vec![0u32; schema.len()];
    let mut open = vec![root];
    while let Some(node) = open.pop() {
        let count = &mut counts[node.0 as usize];
        *count += 1;
        if *count > 1 {
            continue;
        }
        match schema.kind(node) {
            Kind::Array(item) | Kind::Map(item) => open.push(*item),
            Kind::Union(branches) => open.extend(branches),
            Kind::Record(r) => open.extend(r.fields.iter().map(|f| f.node)),
            _ => {}
        }
    }
    counts
}

/// Field indexes from here down, and the slot.
type Wanted<'p> = (&'p [u16], u32);

struct Compiler<'s> {
    schema: &'s Schema,
    references: Vec<u32>,
    least: Vec<usize>,
    blocks: HashMap<NodeId, u32>,
    /// The node of each block, in the order of their numbers; the first is the whole value.
    pending: Vec<NodeId>,
    /// How many records of the block are open, the block's own not counted: whoever leads to the block has.
    records: u32,
    out: Scanner,
}

impl Compiler<'_> {
    /// Compiles one block: a record here is unfolded, shared or not.
    fn close(&mut self, node: NodeId, values: &[Wanted<'_>], edges: &[(u16, u32)]) {
        let start = self.out.ops.len() as u32;
        match self.schema.kind(node) {
            Kind::Record(record) => {
                self.note(values, "");
                self.fields(record, values, edges, "");
            }
            _ => self.value(node, values, edges, ""),
        }
        self.out.blocks.push((start, self.out.ops.len() as u32));
    }

    fn emit(&mut self, op: Op, path: &str) -> usize {
        self.out.ops.push(op);
        self.out.paths.push(path.into());
        self.out.records.push(self.records);
        self.out.ops.len() - 1
    }

    fn block(&mut self, node: NodeId) -> u32 {
        *self.blocks.entry(node).or_insert_with(|| {
            self.pending.push(node);
            self.pending.len() as u32 - 1
        })
    }

    fn value(&mut self, node: NodeId, values: &[Wanted<'_>], edges: &[(u16, u32)], path: &str) {
        let Some((null, _, inner)) = self.schema.nullable(node) else {
            return self.plain(node, values, edges, path);
        };
        let at = self.emit(Op::Nullable { null: null as u8, skip: 0 }, path);
        self.plain(inner, values, edges, path);
        self.out.ops[at] = Op::Nullable { null: null as u8, skip: (self.out.ops.len() - at - 1) as u32 };
    }

    fn plain(&mut self, node: NodeId, values: &[Wanted<'_>], edges: &[(u16, u32)], path: &str) {
        self.note(values, path);
        let schema = self.schema;
        let op = match schema.kind(node) {
            Kind::Null => return,
            Kind::Boolean => Op::Boolean,
            Kind::Int => Op::Int,
            Kind::Long => Op::Long,
            Kind::Float => Op::Skip(4),
            Kind::Double => Op::Skip(8),
            Kind::Bytes if matches!(schema.node(node).logical, Some(Logical::Decimal { .. })) => Op::Decimal,
            Kind::Bytes => Op::Bytes,
            Kind::String => Op::Text,
            Kind::Fixed(f) if f.size > 16 && matches!(schema.node(node).logical, Some(Logical::Decimal { .. })) => {
                Op::FixedDecimal(f.size)
            }
            Kind::Fixed(f) => Op::Skip(f.size),
            Kind::Enum(e) => Op::Enum(e.symbols.len() as u32),
            Kind::Array(item) => Op::Array { item: self.block(*item), least: self.least[item.0 as usize] },
            Kind::Map(value) => {
                Op::Map { value: self.block(*value), least: self.least[value.0 as usize].saturating_add(1) }
            }
            Kind::Union(branches) => {
                let first = self.out.branches.len() as u32;
                for branch in branches {
                    let levels = self.records + u32::from(matches!(schema.kind(*branch), Kind::Record(_)));
                    let block = self.block(*branch);
                    self.out.branches.push((block, levels));
                }
                Op::Union { first, len: branches.len() as u32 }
            }
            Kind::Record(record) => {
                let asked_below = !edges.is_empty() || values.iter().any(|(p, _)| !p.is_empty());
                if self.references[node.0 as usize] < 2 || asked_below {
                    self.records += 1;
                    self.fields(record, values, edges, path);
                    self.records -= 1;
                    return;
                }
                Op::Call(self.block(node))
            }
        };
        self.emit(op, path);
    }

    fn note(&mut self, values: &[Wanted<'_>], path: &str) {
        for (_, slot) in values.iter().filter(|(p, _)| p.is_empty()) {
            self.emit(Op::Note(*slot), path);
        }
    }

    fn fields(&mut self, record: &RecordType, values: &[Wanted<'_>], edges: &[(u16, u32)], path: &str) {
        for (i, field) in record.fields.iter().enumerate() {
            for (_, slot) in edges.iter().filter(|(edge, _)| usize::from(*edge) == i) {
                self.emit(Op::Note(*slot), path);
            }
            let inside: Vec<Wanted<'_>> = values
                .iter()
                .filter_map(|(p, slot)| {
                    p.split_first().filter(|(head, _)| usize::from(**head) == i).map(|(_, rest)| (rest, *slot))
                })
                .collect();
            let path = if path.is_empty() { field.name.clone() } else { format!("{path}.{}", field.name) };
            self.value(field.node, &inside, &[], &path);
        }
        for (_, slot) in edges.iter().filter(|(edge, _)| usize::from(*edge) == record.fields.len()) {
            self.emit(Op::Note(*slot), path);
        }
    }
}

/// For each type the fewest bytes that a value takes: bounds how many items a block can hold.
pub(super) fn least(schema: &Schema) -> Vec<usize> {
    let mut known = vec![None; schema.len()];
    (0..schema.len()).map(|i| least_of(schema, NodeId(i as u32), &mut known)).collect()
}

fn least_of(schema: &Schema, node: NodeId, known: &mut [Option<usize>]) -> usize {
    if let Some(least) = known[node.0 as usize] {
        return least;
    }
    // Holds while a record that contains itself is being measured.
    known[node.0 as usize] = Some(1);
    let least = match schema.kind(node) {
        Kind::Null => 0,
        Kind::Float => 4,
        Kind::Double => 8,
        Kind::Fixed(f) => f.size,
        Kind::Record(r) => r.fields.iter().fold(0usize, |sum, f| sum.saturating_add(least_of(schema, f.node, known))),
        _ => 1,
    };
    known[node.0 as usize] = Some(least);
    least
}
