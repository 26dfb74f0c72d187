//! What an expression sees: the fields of the record as the enrichers so far have left it.

use crate::schema::{NodeId, Schema};
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
