//! What an expression sees: the fields of the record as the enrichers so far have left it.

use crate::schema::{NewField, NodeId, Schema};
use std::sync::Arc;

/// Where a field's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// In the body: the number of the top-level field in the validator's schema.
    Body(u16),
    /// Set by an enricher: the number of the value among the values set so far.
    Added(u16),
}

#[derive(Clone, Debug)]
pub struct ViewField {
    pub name: String,
    /// The schema that `node` is an index of.
    pub schema: Arc<Schema>,
    pub node: NodeId,
    pub place: Place,
}

/// The record's fields in the order in which a derived destination schema lists them.
#[derive(Clone, Debug, Default)]
pub struct View {
    pub fields: Vec<ViewField>,
}

impl View {
    /// The view before any enricher: the fields of a record schema.
    pub fn of(schema: &Arc<Schema>) -> View {
        let fields = schema.record().map(|r| r.fields.as_slice()).unwrap_or_default();
        View {
            fields: fields
                .iter()
                .enumerate()
                .map(|(i, f)| ViewField {
                    name: f.name.clone(),
                    schema: schema.clone(),
                    node: f.node,
                    place: Place::Body(i as u16),
                })
                .collect(),
        }
    }

    /// Whether these are still the fields of this record: none set, added, dropped or renamed.
    pub fn is(&self, schema: &Schema) -> bool {
        let fields = schema.record().map(|r| r.fields.as_slice()).unwrap_or_default();
        self.fields.len() == fields.len()
            && self
                .fields
                .iter()
                .zip(fields)
                .enumerate()
                .all(|(i, (now, then))| now.name == then.name && now.place == Place::Body(i as u16))
    }

    /// The fields as they stand, as a record of this name; the record that was read where it is that.
    ///
    /// # Errors
    /// Those of [`Schema::record_of`]: a record that refers to itself is another one once a field of it is set.
    pub fn schema(&self, name: &str) -> Result<Arc<Schema>, String> {
        let read = self.fields.first().map(|f| &f.schema);
        let read = read.filter(|s| s.record().is_some_and(|r| r.name.0 == name) && self.is(s));
        if let Some(read) = read {
            return Ok(read.clone());
        }
        let fields = self.fields.iter().map(|f| NewField {
            name: f.name.clone(),
            schema: &f.schema,
            node: f.node,
            default: None,
            doc: None,
        });
        Schema::record_of(name, &fields.collect::<Vec<_>>()).map(Arc::new)
    }

    pub fn get(&self, name: &str) -> Option<&ViewField> {
        self.fields.iter().find(|f| f.name == name)
    }
}

/// Everything an expression may name: `this` and its fields, `item` inside `for_each`, `record`, `now()`.
#[derive(Clone, Debug)]
pub struct Env {
    pub view: View,
    /// The element type of `for_each`.
    pub item: Option<(Arc<Schema>, NodeId)>,
}
