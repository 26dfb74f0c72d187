//! Random well-typed expressions against the `cel` crate's interpreter, where both mean the same: ints, bools, strings.

use super::support::{checked_bool, encoded};
use crate::{
    expr::{Env, View},
    schema::Schema,
};
use proptest::prelude::*;
use std::sync::Arc;

const SCHEMA: &str = r#"{"type": "record", "name": "R", "fields": [
    {"name": "a", "type": "long"}, {"name": "b", "type": "int"}, {"name": "s", "type": "string"},
    {"name": "t", "type": "string"}, {"name": "p", "type": "boolean"}, {"name": "l", "type": {"type": "array", "items": "long"}}]}"#;

fn int(depth: u32) -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        Just("a".to_owned()),
        Just("b".to_owned()),
        (-3i64..4).prop_map(|n| format!("({n})")),
        Just("9223372036854775807".to_owned()),
    ];
    if depth == 0 {
        return leaf.boxed();
    }
    let op = prop::sample::select(vec!["+", "-", "*", "/", "%"]);
    prop_oneof![
        2 => leaf,
        4 => (int(depth - 1), op, int(depth - 1)).prop_map(|(x, op, y)| format!("({x} {op} {y})")),
        1 => text(depth - 1).prop_map(|s| format!("size({s})")),
        1 => int(depth - 1).prop_map(|x| format!("(-{x})")),
        1 => (boolean(depth - 1), int(depth - 1), int(depth - 1)).prop_map(|(c, x, y)| format!("({c} ? {x} : {y})")),
    ]
    .boxed()
}

fn text(depth: u32) -> BoxedStrategy<String> {
    let leaf = prop::sample::select(vec!["s", "t", "'a'", "'é'", "''", "\"b\\n\""]).prop_map(str::to_owned);
    if depth == 0 {
        return leaf.boxed();
    }
    prop_oneof![
        2 => leaf,
        2 => (text(depth - 1), text(depth - 1)).prop_map(|(x, y)| format!("({x} + {y})")),
        1 => (boolean(depth - 1), text(depth - 1), text(depth - 1)).prop_map(|(c, x, y)| format!("({c} ? {x} : {y})")),
    ]
    .boxed()
}

fn boolean(depth: u32) -> BoxedStrategy<String> {
    let leaf = prop::sample::select(vec!["p", "true", "false"]).prop_map(str::to_owned);
    if depth == 0 {
        return leaf.boxed();
    }
    let order = || prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let test = prop::sample::select(vec!["startsWith", "endsWith", "contains"]);
    let quantifier = prop::sample::select(vec!["all", "exists", "exists_one"]);
    prop_oneof![
        1 => leaf,
        3 => (int(depth - 1), order(), int(depth - 1)).prop_map(|(x, op, y)| format!("({x} {op} {y})")),
        2 => (text(depth - 1), order(), text(depth - 1)).prop_map(|(x, op, y)| format!("({x} {op} {y})")),
        2 => (text(depth - 1), test, text(depth - 1)).prop_map(|(x, f, y)| format!("{x}.{f}({y})")),
        2 => (boolean(depth - 1), boolean(depth - 1)).prop_map(|(x, y)| format!("({x} && {y})")),
        2 => (boolean(depth - 1), boolean(depth - 1)).prop_map(|(x, y)| format!("({x} || {y})")),
        1 => boolean(depth - 1).prop_map(|x| format!("!{x}")),
        1 => (int(depth - 1), int(depth - 1), int(depth - 1)).prop_map(|(x, y, z)| format!("({x} in [{y}, {z}, 2])")),
        1 => (quantifier, order(), int(depth - 1)).prop_map(|(q, op, x)| format!("l.{q}(v, v {op} {x})")),
    ]
    .boxed()
}

/// What the reference says; `None` is an error.
fn reference(source: &str, (a, b, s, t, p): &(i64, i32, String, String, bool)) -> Option<bool> {
    let program = cel::Program::compile(source).unwrap();
    let mut context = cel::Context::default();
    context.add_variable_from_value("a", *a);
    context.add_variable_from_value("b", i64::from(*b));
    context.add_variable_from_value("s", s.clone());
    context.add_variable_from_value("t", t.clone());
    context.add_variable_from_value("p", *p);
    context.add_variable_from_value("l", vec![*a, i64::from(*b), 1]);
    match program.execute(&context) {
        Ok(cel::Value::Bool(b)) => Some(b),
        Ok(other) => panic!("{source}: {other:?}"),
        Err(_) => None,
    }
}

fn values() -> impl Strategy<Value = (i64, i32, String, String, bool)> {
    let a = prop_oneof![-4i64..5, any::<i64>(), Just(i64::MIN), Just(i64::MAX)];
    (a, -4i32..5, "[abé]{0,3}", "[abé]{0,2}", any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_reference_interpreter_gives_the_same_answers(source in boolean(3), values in values()) {
        let schema = Arc::new(Schema::parse(SCHEMA).unwrap());
        let env = Env { view: View::of(&schema), item: None };
        let (a, b, s, t, p) = &values;
        let json = serde_json::json!({"a": a, "b": b, "s": s, "t": t, "p": p, "l": [a, b, 1]}).to_string();
        let body = encoded(&schema, &json);
        let ours = checked_bool(&source, &env, &schema, &body);
        prop_assume!(ours.is_some());
        prop_assert_eq!(ours.flatten(), reference(&source, &values), "{} over {}", source, json);
    }
}
