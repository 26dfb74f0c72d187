//! A writer's body → the same record in the reader's schema, as the Avro specification 1.12 resolves schemas, and beyond it
//! where a value converts exactly: decimals of another scale, times of another unit.
//!
//! Compiled once from a pair of schemas into a flat list of steps. What both schemas write alike is copied in whole runs.

mod compile;
mod step;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use super::read::{Flaw, Reader};
use crate::{
    failure::Failure,
    schema::{Schema, compatibility::Incompatibility},
};
use std::{fmt, sync::Arc};
use step::Step;

/// What a body of one schema needs to be one of another.
#[derive(Clone, Debug)]
pub enum Resolution {
    /// Nothing: the same bytes mean the same, and a scan with the reader's schema proves all that the reader relies on (a
    /// writer's decimal that it reads as plain bytes may be any). Defaults and names of fields may differ; symbols, branches
    /// and scales do not.
    Same,
    Rewrite(Resolver),
}

impl Resolution {
    /// Compiles the way from a writer's schema to a reader's.
    ///
    /// # Errors
    /// Why no value can be read, with the path of each field at fault. Where only some values cannot (a branch of a union,
    /// a symbol of an enum), those fail when they come.
    pub fn compile(writer: &Arc<Schema>, reader: &Arc<Schema>) -> Result<Resolution, Vec<Incompatibility>> {
        compile::compile(writer, reader)
    }
}

/// A compiled resolution. The whole is step 0.
#[derive(Clone, Debug)]
pub struct Resolver {
    steps: Vec<Step>,
}

impl Resolver {
    /// Appends the body in the reader's schema to `out`, and proves the writer's well formed on the way, as a scan does.
    ///
    /// # Errors
    /// Stage `decode`: what a scan finds, or a value that has no counterpart (`unresolvable`, `bad-decimal`, `bad-date`,
    /// `bad-utf8`). `out` is then as it was.
    pub fn resolve(&self, body: &[u8], out: &mut Vec<u8>) -> Result<(), Failure> {
        let start = out.len();
        let mut reader = Reader::new(body, 0);
        let mut run = step::Run::new(&self.steps, body, out);
        let done = run.step(0, &mut reader, 0).and_then(|()| match reader.left() {
            0 => Ok(()),
            left => Err(Box::new(Flaw::Trailing(left).failure(reader.at()))),
        });
        done.map_err(|failure| {
            out.truncate(start);
            *failure
        })
    }
}

/// One line a step, so that two resolutions can be compared and one explained.
impl fmt::Display for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.steps.iter().enumerate() {
            writeln!(f, "{i} {step}")?;
        }
        Ok(())
    }
}
