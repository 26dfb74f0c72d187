//! From what was asked for to a stream of records and the place they go to.

use super::{
    Names, Options, Stop, Target, To,
    file::Output,
    http::{self, Http},
    show,
    topic::Topic,
};
use crate::{
    config::{Destination, Format, Plan, Route, TOPIC_NAME, is_topic_name},
    generate::stream::{Form, Recipe, Stream, Trouble},
    kafka,
    registry::{Client, RegisterError},
    route::destinations,
    schema::Schema,
};
use std::sync::{Arc, atomic::AtomicBool};
use tokio::runtime::Runtime;

pub(super) struct Opened {
    pub stream: Stream,
    pub target: Box<dyn Target>,
    /// The target in words.
    pub place: String,
}

/// What records are generated for.
enum Subject<'s> {
    Route(&'s Route),
    Schema(Arc<Schema>),
}

pub(super) fn open(
    names: &Names<'_>,
    options: &Options,
    runtime: &Runtime,
    stop: &Arc<AtomicBool>,
) -> Result<Opened, Stop> {
    let subject = subject(names, &options.name)?;
    let format = format(&subject, options)?;
    let (topic, plan) = match &options.to {
        To::Topic(name) => (Some(topic(&subject, name.as_deref())?), Some(plan(names)?)),
        _ => (None, None),
    };
    let form = match (format, &topic, plan) {
        (Format::Json, _, _) => Form::Json,
        (Format::Avro, Some(topic), Some(plan)) => Form::Framed(register(plan, topic, &written(&subject)?, runtime)?),
        (Format::Avro, _, _) => Form::Bare,
    };
    let Options { seed, start, invalid, .. } = *options;
    let recipe = Recipe { seed, start, invalid, faults: options.faults.clone(), form };
    let stream = match &subject {
        Subject::Route(route) => Stream::of_route(route, names.catalog, &recipe)?,
        Subject::Schema(schema) => Stream::of_schema(schema, names.catalog, &recipe)?,
    };
    let (target, place): (Box<dyn Target>, String) = match (&options.to, topic, plan) {
        (To::Topic(_), Some(topic), Some(plan)) => {
            let settings = kafka::Settings::new(&plan.kafka, "pointsman-generate");
            (Box::new(Topic::open(&settings, &topic, stop.clone())?), format!("topic {topic}"))
        }
        (To::Http(url), _, _) => {
            if options.token.as_deref().is_some_and(|t| t.contains(char::is_control)) {
                let message = "the token holds line breaks or other control characters";
                return Err(asked(message, "give it as it is: --token, or POINTSMAN_TOKEN").into());
            }
            let batch = options.batch.unwrap_or(http::BATCH);
            let target = Http::open(url, options.token.as_deref(), batch, runtime.handle(), stop.clone())?;
            let place = target.place().to_owned();
            (Box::new(target), place)
        }
        (To::File(path), _, _) => {
            (Box::new(output(Output::file(path)?, &subject, form, seed)?), path.display().to_string())
        }
        _ => (Box::new(output(Output::standard(), &subject, form, seed)?), "the standard output".to_owned()),
    };
    Ok(Opened { stream, target, place })
}

fn output(output: Output, subject: &Subject<'_>, form: Form, seed: u64) -> Result<Output, Stop> {
    if form == Form::Json { Ok(output) } else { Ok(output.container(&written(subject)?.to_json(), seed)?) }
}

fn subject<'s>(names: &'s Names<'_>, name: &str) -> Result<Subject<'s>, Trouble> {
    let routes = names.plan.map(|p| p.routes.as_slice()).unwrap_or_default();
    if let Some(route) = routes.iter().find(|r| r.name == name) {
        return Ok(Subject::Route(route));
    }
    match names.catalog.get(name) {
        Some(schema) if schema.record().is_some() => Ok(Subject::Schema(schema)),
        Some(_) => Err(asked(format!("`{name}` is no record"), "name a record: the value of a topic is one")),
        None => {
            let records = names.catalog.names().filter(|n| names.catalog.get(n).is_some_and(|s| s.record().is_some()));
            let known: Vec<&str> = routes.iter().map(|r| r.name.as_str()).chain(records).collect();
            let near = known.iter().map(|k| (strsim::normalized_damerau_levenshtein(k, name), k));
            let help = match near.filter(|(score, _)| *score > 0.6).max_by(|a, b| a.0.total_cmp(&b.0)) {
                Some((_, near)) => format!("did you mean `{near}`?"),
                None => format!("there are {}", known.join(", ")),
            };
            Err(asked(format!("there is no route and no schema `{name}`"), help))
        }
    }
}

/// The records' format: as asked for, or as the route reads it.
fn format(subject: &Subject<'_>, options: &Options) -> Result<Format, Trouble> {
    let container = matches!(&options.to, To::File(path) if path.extension().is_some_and(|e| e == "avro"));
    let usual = match (subject, &options.to) {
        (_, To::File(_)) if container => Format::Avro,
        (Subject::Route(route), To::Topic(_)) => route.format,
        _ => Format::Json,
    };
    let format = options.format.unwrap_or(usual);
    match (subject, &options.to) {
        (_, To::Http(_)) if format == Format::Avro => Err(asked("a collector takes JSON", "leave --format avro out")),
        (Subject::Route(route), To::Topic(_)) if format != route.format => {
            let reads = if route.format == Format::Json { "json" } else { "avro" };
            Err(asked(
                format!("the route {} reads {reads}", route.name),
                "leave --format out, or name a schema in place of the route",
            ))
        }
        _ => Ok(format),
    }
}

/// The schema of Avro records: a route of several kinds has several.
fn written(subject: &Subject<'_>) -> Result<Arc<Schema>, Trouble> {
    match subject {
        Subject::Schema(schema) => Ok(schema.clone()),
        Subject::Route(route) => match &route.lanes[..] {
            [lane] => Ok(lane.validator.schema.clone()),
            lanes => {
                let names = lanes.iter().filter_map(|l| Some(l.validator.schema.record()?.name.0.as_str()));
                let names: Vec<&str> = names.collect();
                let message = format!("the route {} reads records of several schemas", route.name);
                Err(asked(message, format!("name one of them in place of the route: {}", names.join(", "))))
            }
        },
    }
}

fn topic(subject: &Subject<'_>, name: Option<&str>) -> Result<String, Trouble> {
    match (name, subject) {
        (Some(name), _) if is_topic_name(name) => Ok(name.to_owned()),
        (Some(name), _) => Err(asked(format!("Kafka has no topic named `{name}`"), TOPIC_NAME)),
        (None, Subject::Route(route)) => Ok(route.topics.first().cloned().unwrap_or_default()),
        (None, Subject::Schema(_)) => Err(asked("a schema has no topic of its own", "write --to topic:NAME")),
    }
}

fn plan<'n>(names: &Names<'n>) -> Result<&'n Plan, Trouble> {
    names.plan.ok_or_else(|| {
        asked("a topic needs a routes.toml: its [kafka] says where the brokers are", "name it with -f FILE")
    })
}

/// The id under which the subject has the records' schema, as their readers expect it. A subject that has versions gets no
/// other one: what writes the topic decides which it has. A new subject gets this one.
fn register(plan: &Plan, topic: &str, schema: &Arc<Schema>, runtime: &Runtime) -> Result<u32, Stop> {
    let Some(registry) = &plan.registry else {
        return Err(asked(
            "Avro records need a schema registry",
            "write [schema_registry] into routes.toml, or --format json",
        )
        .into());
    };
    let (client, text, subject) = (Client::new(registry)?, schema.to_json(), format!("{topic}-value"));
    let name = schema.record().map_or("", |r| &r.name.0);
    let id = match runtime.block_on(client.place_of(&subject, &text))? {
        Some(place) => place.id,
        None => {
            if let Some(latest) = runtime.block_on(client.versions(&subject))?.into_iter().max() {
                let message = format!(
                    "{subject} has version {latest}, and none of its versions is {name} as it stands here: a new one \
                     would change what the topic's readers have to take"
                );
                return Err(Stop::Refused { message, help: writers(plan, topic) });
            }
            runtime.block_on(client.register(&subject, &text)).map_err(|error| match error {
                RegisterError::Setback(setback) => Stop::Setback(setback),
                refused => Stop::Refused { message: refused.to_string(), help: String::new() },
            })?
        }
    };
    show::say(&format!("{name} is registered as {subject}, id {id}"));
    Ok(id)
}

/// How to get records into a topic whose subject has another schema.
fn writers(plan: &Plan, topic: &str) -> String {
    let writes = |d: &Destination| matches!(d, Destination::Topic(to) if to.topic == topic);
    match plan.routes.iter().find(|r| destinations(r).any(writes)) {
        Some(route) => format!(
            "generate for the route that writes the topic, and run it: `pointsman generate {} --to topic`; \
             `pointsman schemas diff` shows what it writes beside what is registered",
            route.name
        ),
        None => "name the schema that is registered, or register this one first; of topics that routes write, \
                 `pointsman schemas diff` shows the differences"
            .to_owned(),
    }
}

fn asked(message: impl Into<String>, help: impl Into<String>) -> Trouble {
    Trouble::Asked { message: message.into(), help: help.into() }
}
