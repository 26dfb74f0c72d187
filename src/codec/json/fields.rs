//! A record's fields: found by name, and put into the schema's order.

use crate::{
    codec::write,
    schema::{Kind, NodeId, RecordType, Schema},
};

/// The fields of a record.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    pub all: Vec<Field>,
    names: Names,
}

/// Names with their indexes, sorted.
#[derive(Clone, Debug)]
pub(super) struct Names(Vec<(Box<str>, u32)>);

impl Names {
    pub fn of<'n>(names: impl Iterator<Item = &'n str>) -> Names {
        let mut sorted: Vec<_> = names.zip(0..).map(|(name, i)| (name.into(), i)).collect();
        sorted.sort_unstable();
        Names(sorted)
    }

    #[inline]
    pub fn find(&self, name: &str) -> Option<usize> {
        let found = self.0.binary_search_by(|(known, _)| (**known).cmp(name)).ok()?;
        Some(self.0[found].1 as usize)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Field {
    pub name: Box<str>,
    /// The name as a key that needs no escapes: `"name"`.
    pub key: Box<str>,
    pub node: NodeId,
    /// The Avro bytes that stand for an absent field: its default, or null where the type takes null.
    pub absent: Option<Box<[u8]>>,
}

impl Fields {
    pub fn of(schema: &Schema, record: &RecordType) -> Fields {
        let all: Vec<Field> = record
            .fields
            .iter()
            .map(|f| {
                let default = f.default.as_ref().and_then(|value| schema.default_bytes(f.node, value).ok());
                let absent = default.or_else(|| null(schema, f.node)).map(Vec::into_boxed_slice);
                Field { name: f.name.as_str().into(), key: format!("\"{}\"", f.name).into(), node: f.node, absent }
            })
            .collect();
        Fields { names: Names::of(all.iter().map(|f| &*f.name)), all }
    }

    /// The field of this name.
    #[inline]
    pub fn find(&self, name: &str) -> Option<usize> {
        self.names.find(name)
    }

    /// What to say about a name that is no field.
    pub fn unknown(&self, name: &str) -> String {
        let near = self.all.iter().map(|f| (strsim::normalized_damerau_levenshtein(&f.name, name), &f.name));
        match near.filter(|(score, _)| *score >= 0.6).max_by(|a, b| a.0.total_cmp(&b.0)) {
            Some((_, near)) => format!("the schema has no such field; did you mean `{near}`?"),
            None => "the schema has no such field".into(),
        }
    }
}

/// The Avro bytes of null in a type that takes it.
fn null(schema: &Schema, node: NodeId) -> Option<Vec<u8>> {
    match schema.kind(node) {
        Kind::Null => Some(Vec::new()),
        Kind::Union(branches) => {
            let index = branches.iter().position(|b| *schema.kind(*b) == Kind::Null)?;
            let mut out = Vec::new();
            write::index(&mut out, index);
            Some(out)
        }
        _ => None,
    }
}
