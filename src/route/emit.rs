//! From a record that has passed to what is written: a value for a topic, rows for a table.

use super::{
    Op, Origin, Outcomes, RowRef, Span, TableTarget, Target, TargetColumn, TopicTarget,
    decode::in_words,
    key::KeyWriter,
    outcomes::Mark,
    process::body,
    program::{Scratch, value_node},
};
use crate::{
    codec::{CellReader, Items, JsonWriter, Layout, NULL, Part, Piece, Resolution, Resolver, Scanner, Slot, Splice},
    config::{Column, ColumnValue, Destination, ForEach, Format, TableDestination, TopicDestination},
    expr::{Fault, Place, Places, View, WriteExpr},
    failure::{Failure, Stage},
    record::Record,
    schema::{Kind, Schema, framing},
};
use std::sync::Arc;

/// One destination of a case.
pub(super) enum Emit {
    Topic(Box<TopicEmit>),
    Table(TableEmit),
}

/// The record at the moment when its rows are written.
pub(super) struct Row<'r> {
    pub record: u32,
    pub envelope: &'r Record<'r>,
    pub body: Span,
    pub now: i64,
    /// Where what is made of it begins.
    pub mark: Mark,
    /// Where the values set by enrichers lie in the outcomes, once a table's column has needed them there.
    pub added_base: Option<u32>,
}

pub(super) struct TopicEmit {
    target: u16,
    /// The destination's schema id, for Avro.
    frame: Option<u32>,
    splice: Splice,
    /// Where the destination's schema is not the view's own.
    resolver: Option<Resolver>,
    json: Option<JsonWriter>,
    key: Option<KeyWriter>,
    headers: Vec<WriteExpr>,
}

pub(super) struct TableEmit {
    target: u16,
    columns: Vec<ColumnEmit>,
    for_each: Option<(Slot, Scanner)>,
}

enum ColumnEmit {
    Body(Slot),
    Added(u16),
    Item(Slot),
    Expr(WriteExpr),
}

/// Compiles a destination and adds it to the targets.
pub(super) fn compile_emit(
    destination: &Destination,
    view: &View,
    id: u32,
    layout: &mut Layout,
    targets: &mut Vec<Target>,
) -> Result<Emit, String> {
    let target = targets.len() as u16;
    match destination {
        Destination::Topic(topic) => {
            let emit = compile_topic(topic, view, id, layout, target)?;
            targets.push(Target::Topic(TopicTarget { destination: topic.clone() }));
            Ok(Emit::Topic(Box::new(emit)))
        }
        Destination::Table(table) => {
            let (emit, columns) = compile_table(table, view, layout, target)?;
            targets.push(Target::Table(TableTarget { destination: table.clone(), columns }));
            Ok(Emit::Table(emit))
        }
    }
}

fn compile_topic(
    topic: &TopicDestination,
    view: &View,
    id: u32,
    layout: &mut Layout,
    target: u16,
) -> Result<TopicEmit, String> {
    let mut splice = Splice::default();
    for field in &view.fields {
        splice.push(match field.place {
            Place::Body(f) => Piece::Run { from: layout.edge(f), to: layout.edge(f + 1) },
            Place::Added(a) => Piece::Added(a),
        });
    }
    let name = topic.schema.record().map(|r| r.name.clone()).ok_or("a topic's schema is not a record")?;
    let resolver = match Resolution::compile(&view.schema(&name.0)?, &topic.schema) {
        Ok(Resolution::Same) => None,
        Ok(Resolution::Rewrite(resolver)) => Some(resolver),
        Err(why) => return Err(format!("topic {}: {}", topic.topic, in_words(&why))),
    };
    let key = topic.record_key.as_ref().map(|fields| KeyWriter::compile(fields, view, layout));
    let mut places = Places { body: layout, item: None };
    let text = Arc::new(Schema::of(Kind::String, None));
    let headers = topic.set_headers.iter().map(|(_, value)| value.lower_write(&mut places, &text, text.root()));
    Ok(TopicEmit {
        target,
        frame: (topic.format == Format::Avro).then_some(id),
        splice,
        resolver,
        json: (topic.format == Format::Json).then(|| JsonWriter::new(topic.schema.clone())),
        key,
        headers: headers.collect(),
    })
}

fn compile_table(
    table: &TableDestination,
    view: &View,
    layout: &mut Layout,
    target: u16,
) -> Result<(TableEmit, Vec<TargetColumn>), String> {
    let mut item = table.for_each.as_ref().map(|f| Layout::new(f.schema.clone(), f.item));
    let array = match &table.for_each {
        None => None,
        Some(ForEach { view: field, path, .. }) => match view.fields[*field].place {
            Place::Body(f) => Some(layout.value(&below(f, path))),
            Place::Added(_) => {
                return Err(format!("table {}: for_each over a field that an enricher sets", table.table));
            }
        },
    };
    let mut columns = Vec::new();
    let mut emits = Vec::new();
    for column in &table.columns {
        let emit = compile_column(column, view, layout, item.as_mut())
            .ok_or_else(|| format!("table {}: column {} reads inside a computed field", table.table, column.name))?;
        let origin = match emit {
            ColumnEmit::Body(_) | ColumnEmit::Item(_) => Origin::Body,
            ColumnEmit::Added(_) | ColumnEmit::Expr(_) => Origin::Out,
        };
        let reader = CellReader::new(column.schema.clone(), value_node(&column.schema, column.node));
        columns.push(TargetColumn { name: column.name.clone(), reader, origin });
        emits.push(emit);
    }
    let for_each = array.zip(item.map(Layout::build));
    Ok((TableEmit { target, columns: emits, for_each }, columns))
}

fn compile_column(
    column: &Column,
    view: &View,
    layout: &mut Layout,
    mut item: Option<&mut Layout>,
) -> Option<ColumnEmit> {
    Some(match &column.value {
        ColumnValue::Field { view: field, path } => match view.fields[*field].place {
            Place::Body(f) => ColumnEmit::Body(layout.value(&below(f, path))),
            Place::Added(a) if path.is_empty() => ColumnEmit::Added(a),
            Place::Added(_) => return None,
        },
        ColumnValue::Item { path } => ColumnEmit::Item(item.as_mut()?.value(path)),
        ColumnValue::Expr(value) => {
            let mut places = Places { body: layout, item };
            ColumnEmit::Expr(value.lower_write(&mut places, &column.schema, column.node))
        }
    })
}

fn below(field: u16, path: &[u16]) -> Vec<u16> {
    std::iter::once(field).chain(path.iter().copied()).collect()
}

impl Emit {
    /// Appends this destination's rows.
    pub(super) fn rows(&self, row: &mut Row<'_>, scratch: &mut Scratch, out: &mut Outcomes) -> Result<(), Failure> {
        match self {
            Emit::Topic(topic) => topic.row(row, scratch, out),
            Emit::Table(table) => table.rows(row, scratch, out),
        }
    }
}

impl TopicEmit {
    fn row(&self, row: &Row<'_>, scratch: &mut Scratch, out: &mut Outcomes) -> Result<(), Failure> {
        let slots = out.slots.len() as u32;
        for header in &self.headers {
            let (start, end) = self.header(header, row, scratch, out)?;
            out.slots.extend([start, end]);
        }
        let key = match &self.key {
            None => Span::Key,
            Some(key) => {
                let start = out.out.len() as u32;
                let mut text = std::mem::take(&mut scratch.value);
                text.clear();
                key.write(
                    body(row.envelope, &out.out, row.body),
                    &scratch.slots,
                    &scratch.added,
                    &scratch.added_at,
                    &mut text,
                );
                out.out.extend_from_slice(&text);
                scratch.value = text;
                Span::Out { start, end: out.out.len() as u32 }
            }
        };
        let start = out.out.len() as u32;
        if let Some(id) = self.frame {
            framing::write(id, &mut out.out);
        }
        self.value(row, scratch, out)?;
        let body = Span::Out { start, end: out.out.len() as u32 };
        out.rows.push(RowRef { record: row.record, target: self.target, op: Op::Write, body, key, slots });
        Ok(())
    }

    fn value(&self, row: &Row<'_>, scratch: &mut Scratch, out: &mut Outcomes) -> Result<(), Failure> {
        if self.resolver.is_none() && self.json.is_none() {
            self.splice(row, scratch, out);
            return Ok(());
        }
        // The spliced bytes are only a step: they are made at the end of `out`, then taken off again.
        let start = out.out.len();
        self.splice(row, scratch, out);
        let mut spliced = std::mem::take(&mut scratch.value);
        spliced.clear();
        spliced.extend_from_slice(&out.out[start..]);
        out.out.truncate(start);
        let written = self.convert(&spliced, &mut out.out);
        scratch.value = spliced;
        written.map_err(|f| Failure { stage: Stage::Encode, ..f })
    }

    fn convert(&self, spliced: &[u8], out: &mut Vec<u8>) -> Result<(), Failure> {
        match (&self.resolver, &self.json) {
            (None, None) => out.extend_from_slice(spliced),
            (Some(resolver), None) => resolver.resolve(spliced, out)?,
            (None, Some(json)) => {
                json.write(spliced, 0, out)?;
            }
            (Some(resolver), Some(json)) => {
                let mut resolved = Vec::with_capacity(spliced.len());
                resolver.resolve(spliced, &mut resolved)?;
                json.write(&resolved, 0, out)?;
            }
        }
        Ok(())
    }

    fn splice(&self, row: &Row<'_>, scratch: &Scratch, out: &mut Outcomes) {
        let value = row.envelope.value.unwrap_or_default();
        self.splice.each(&scratch.slots, &scratch.added_range, |part| match part {
            Part::Added(range) => out.out.extend_from_slice(&scratch.added[range]),
            Part::Body(range) => match row.body {
                Span::Out { start, .. } => {
                    out.out.extend_from_within(start as usize + range.start..start as usize + range.end);
                }
                Span::Value { start, .. } => {
                    out.out.extend_from_slice(&value[start as usize + range.start..start as usize + range.end]);
                }
                Span::Key | Span::None => {}
            },
        });
    }

    /// A header's text, in the outcomes; an empty range for null.
    fn header(
        &self,
        header: &WriteExpr,
        row: &Row<'_>,
        scratch: &mut Scratch,
        out: &mut Outcomes,
    ) -> Result<(u32, u32), Failure> {
        let at = write(header, row, scratch, out).map_err(|f| Failure::new(Stage::Encode, f.code, f.message))?;
        let end = out.out.len() as u32;
        let Some(at) = at else { return Ok((end, end)) };
        // An Avro string: its length, a varint of one byte for each seven bits, then its bytes.
        let varint = out.out[at as usize..].iter().take_while(|b| **b & 0x80 != 0).count() as u32 + 1;
        Ok((at + varint, end))
    }
}

/// Evaluates an expression to the end of the outcomes' bytes; where its value begins there, `None` for null.
fn write(expr: &WriteExpr, row: &Row<'_>, scratch: &mut Scratch, out: &mut Outcomes) -> Result<Option<u32>, Fault> {
    let mut value = std::mem::take(&mut scratch.value);
    value.clear();
    let at = (expr.0)(&scratch.scope(row.envelope, body(row.envelope, &out.out, row.body), row.now), &mut value);
    let start = out.out.len() as u32;
    out.out.extend_from_slice(&value);
    scratch.value = value;
    Ok(at?.map(|at| start + at))
}

impl TableEmit {
    fn rows(&self, row: &mut Row<'_>, scratch: &mut Scratch, out: &mut Outcomes) -> Result<(), Failure> {
        let Some((array, scanner)) = &self.for_each else {
            return self.row(row, scratch, out);
        };
        let array = scratch.slots[array.0 as usize];
        if array == NULL {
            return Ok(());
        }
        // All elements are found before the first row is written: rows append to the bytes that the body may lie in.
        let mut elements = Vec::new();
        let mut items = Items::new(scanner, body(row.envelope, &out.out, row.body), array);
        scratch.item.resize(scanner.slots(), 0);
        while items.next(&mut scratch.item).is_some() {
            elements.push(scratch.item.clone());
        }
        for element in elements {
            scratch.item = element;
            self.row(row, scratch, out)?;
            out.bounded(row.mark)?;
        }
        Ok(())
    }

    fn row(&self, row: &mut Row<'_>, scratch: &mut Scratch, out: &mut Outcomes) -> Result<(), Failure> {
        let slots = out.slots.len();
        out.slots.resize(slots + self.columns.len(), NULL);
        for (i, column) in self.columns.iter().enumerate() {
            out.slots[slots + i] = match column {
                ColumnEmit::Body(slot) => scratch.slots[slot.0 as usize],
                ColumnEmit::Item(slot) => scratch.item[slot.0 as usize],
                ColumnEmit::Added(a) => match scratch.added_at[*a as usize] {
                    NULL => NULL,
                    at => at + row.added_base(scratch, out),
                },
                ColumnEmit::Expr(value) => write(value, row, scratch, out)
                    .map_err(|f| Failure::new(Stage::Encode, f.code, f.message))?
                    .unwrap_or(NULL),
            };
        }
        out.rows.push(RowRef {
            record: row.record,
            target: self.target,
            op: Op::Write,
            body: row.body,
            key: Span::None,
            slots: slots as u32,
        });
        Ok(())
    }
}

impl Row<'_> {
    /// Where the values set by enrichers begin in the outcomes; they are put there the first time this is asked.
    fn added_base(&mut self, scratch: &Scratch, out: &mut Outcomes) -> u32 {
        *self.added_base.get_or_insert_with(|| {
            let base = out.out.len() as u32;
            out.out.extend_from_slice(&scratch.added);
            base
        })
    }
}
