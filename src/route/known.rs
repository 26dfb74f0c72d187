//! What processing needs from outside: given before it runs, wanted when it is missing.

use crate::schema::Schema;
use std::{collections::HashMap, sync::Arc};

/// What the registry said of a schema id.
#[derive(Clone, Debug)]
pub enum Writer {
    Schema(Arc<Schema>),
    /// It does not know the id, or a schema that this one refers to, even after the grace: in words.
    Unknown(Arc<str>),
    /// It knows the id, and no Avro record can be read with it: why.
    Unusable(Arc<str>),
}

/// What has been fetched so far.
#[derive(Debug, Default)]
pub struct Known {
    /// By registry id.
    pub writers: HashMap<u32, Writer>,
}

/// What a batch needs before it can be processed. The same batch is processed again once it is known.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wants {
    pub schema_ids: Vec<u32>,
}

impl Wants {
    pub fn is_empty(&self) -> bool {
        self.schema_ids.is_empty()
    }
    pub(super) fn schema(&mut self, id: u32) {
        if !self.schema_ids.contains(&id) {
            self.schema_ids.push(id);
        }
    }
}
