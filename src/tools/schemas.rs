//! `schemas register`: what the routes write, made known to the registry.

use super::Exit;
use crate::{
    config::{Destination, Format, Plan},
    registry::{Client, RegisterError},
    route::destinations,
};
use std::{
    collections::BTreeMap,
    io::{self, Write},
};
use tokio::runtime::Runtime;

/// Registers the schema of each Avro topic that routes and collectors write to, as `<topic>-value`. Registering again changes nothing.
///
/// # Errors
/// The output cannot be written.
pub fn register(plan: &Plan, out: &mut impl Write) -> io::Result<Exit> {
    let subjects = subjects(plan);
    let Some(settings) = plan.registry.as_ref().filter(|_| !subjects.is_empty()) else {
        writeln!(out, "nothing to register: nothing writes Avro to a topic")?;
        return Ok(Exit::Done);
    };
    let runtime = Runtime::new()?;
    let client = match Client::new(settings) {
        Ok(client) => client,
        Err(setback) => {
            writeln!(out, "error: {setback}")?;
            return Ok(Exit::Environment);
        }
    };
    let mut exit = Exit::Done;
    for (subject, text) in subjects {
        match runtime.block_on(client.register(&subject, &text, &[])) {
            Ok(id) => writeln!(out, "{subject}: id {id}")?,
            Err(error) => {
                writeln!(out, "error: {subject}: {error}")?;
                exit = match error {
                    RegisterError::Incompatible(_) | RegisterError::Refused(_) => exit.max(Exit::Findings),
                    RegisterError::Setback(_) => Exit::Environment,
                };
            }
        }
    }
    Ok(exit)
}

/// Subjects and their schemas, each once.
fn subjects(plan: &Plan) -> BTreeMap<String, String> {
    let written = plan.routes.iter().flat_map(destinations);
    let avro = written.filter_map(|d| match d {
        Destination::Topic(t) if t.format == Format::Avro => Some((t.topic.as_str(), t.schema_text.clone())),
        _ => None,
    });
    let collected = plan.collectors.iter().filter(|c| c.format == Format::Avro);
    let collected = collected.map(|c| (c.topic.as_str(), c.validator.schema.to_json()));
    avro.chain(collected).map(|(topic, text)| (format!("{topic}-value"), text)).collect()
}
