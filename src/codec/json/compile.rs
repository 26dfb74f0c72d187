//! A schema as the JSON reader walks it: one step a type, names and defaults looked up beforehand.

use super::{
    super::shape::Shape,
    fields::{Fields, Names},
    union::Union,
};
use crate::schema::{Kind, NodeId, Schema};

/// What a UUID is expected as.
pub(super) const UUID: &str = "a UUID like \"6f9619ff-8b86-d011-b42d-00c04fc964ff\"";

/// How a validator wants its JSON read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JsonOptions {
    /// Bytes are base64, not Avro's string of code points up to 255.
    pub base64: bool,
    /// A field that the schema lacks is a failure, not counted.
    pub reject_unknown: bool,
}

/// What a type reads; numbers are indexes in the [`Program`].
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Plain(Shape),
    Enum(usize),
    Union(usize),
    Record(usize),
}

/// A schema, compiled for reading JSON.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub steps: Vec<Step>,
    pub enums: Vec<Names>,
    pub unions: Vec<Union>,
    pub records: Vec<Fields>,
    pub root: NodeId,
    pub options: JsonOptions,
}

impl Program {
    pub fn of(schema: &Schema, options: JsonOptions) -> Program {
        let mut program = Program {
            steps: Vec::new(),
            enums: Vec::new(),
            unions: Vec::new(),
            records: Vec::new(),
            root: schema.root(),
            options,
        };
        for i in 0..schema.len() {
            let node = NodeId(i as u32);
            let step = match schema.kind(node) {
                Kind::Enum(e) => {
                    program.enums.push(Names::of(e.symbols.iter().map(String::as_str)));
                    Step::Enum(program.enums.len() - 1)
                }
                Kind::Union(branches) => {
                    program.unions.push(Union::of(schema, node, branches));
                    Step::Union(program.unions.len() - 1)
                }
                Kind::Record(record) => {
                    program.records.push(Fields::of(schema, record));
                    Step::Record(program.records.len() - 1)
                }
                _ => Step::Plain(Shape::of(schema, node)),
            };
            program.steps.push(step);
        }
        program
    }

    pub fn step(&self, node: NodeId) -> Step {
        self.steps[node.0 as usize]
    }

    /// What a type expects, in words: `a long or null`.
    pub fn expected(&self, node: NodeId) -> String {
        let shape = match self.step(node) {
            Step::Plain(shape) => shape,
            Step::Enum(_) => return "a string, one of the enum's symbols".into(),
            Step::Record(_) => return "an object".into(),
            Step::Union(u) => {
                let union = &self.unions[u];
                return match (union.null, &union.branches[..]) {
                    (Some(null), [a, b]) => format!("{} or null", self.expected(if null == 0 { *b } else { *a })),
                    _ => format!("one of {}", union.names().collect::<Vec<_>>().join(", ")),
                };
            }
        };
        let words = match shape {
            Shape::Null => "null",
            Shape::Boolean => "true or false",
            Shape::Int => "an int",
            Shape::Long => "a long",
            Shape::Float => "a float",
            Shape::Double => "a double",
            Shape::Bytes | Shape::Fixed(_) if self.options.base64 => "a string of base64",
            Shape::Bytes | Shape::Fixed(_) => "a string of bytes",
            Shape::Text => "a string",
            Shape::Decimal { .. } => "a decimal",
            Shape::Enum => "a string, one of the enum's symbols",
            Shape::Uuid { .. } => UUID,
            Shape::Date => "a date like \"2024-06-30\"",
            Shape::Time(_) => "a time like \"20:40:35\"",
            Shape::Instant(_) => "a timestamp like \"2024-06-30T20:40:35Z\"",
            Shape::Local(_) => "a local date and time like \"2024-06-30T20:40:35\"",
            Shape::Interval => "a duration like \"P14M3DT0.5S\"",
            Shape::Array(_) => "an array",
            Shape::Map(_) | Shape::Record | Shape::Union => "an object",
        };
        words.into()
    }
}
