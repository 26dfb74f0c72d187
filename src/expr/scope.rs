//! What a compiled expression reads while it runs.

use crate::record::Record;
use bumpalo::Bump;

/// One record at one moment of its journey.
#[derive(Clone, Copy)]
pub struct Scope<'r> {
    /// The Avro body, in the validator's schema.
    pub body: &'r [u8],
    /// Offsets in `body`, as the body's layout numbers them.
    pub slots: &'r [u32],
    /// The Avro bytes of the values that enrichers have set, one after the other.
    pub added: &'r [u8],
    /// For each of them where its value begins in `added`: after its union's index, or `NULL`.
    pub added_at: &'r [u32],
    /// Offsets in `body` for the element of `for_each`, as the element's layout numbers them.
    pub item: &'r [u32],
    pub record: &'r Record<'r>,
    /// Microseconds since the epoch; one instant for a whole batch.
    pub now: i64,
    /// For strings and lists that the expression makes; reset after each record.
    pub scratch: &'r Bump,
}

/// Why an expression has no value for this record. The caller knows the stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// One of `failure::CODES`.
    pub code: &'static str,
    pub message: String,
}
