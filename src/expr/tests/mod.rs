mod places;
mod properties;
mod reference;
mod support;

use super::{check, check_raw};
use crate::schema::Schema;
use std::sync::Arc;
use support::{SALE, env, evaluate, golden, item_env, rendered};

/// The type of an expression, or its problems.
fn type_or_problems(source: &str, env: &super::Env) -> String {
    match check(source, env) {
        Ok(typed) => format!("{}\n", typed.ty()),
        Err(problems) => rendered(source, &problems),
    }
}

/// The value of an expression over one record, or its fault.
fn value_or_fault(source: &str, env: &super::Env) -> String {
    let typed = match check(source, env) {
        Ok(typed) => typed,
        Err(problems) => return rendered(source, &problems),
    };
    shown(evaluate(&typed, env, SALE, typed.avro()))
}

fn shown(result: Result<String, super::Fault>) -> String {
    match result {
        Ok(json) => format!("{json}\n"),
        Err(fault) => format!("fault[{}]: {}\n", fault.code, fault.message),
    }
}

#[test]
fn every_expression_has_its_type_or_its_problems() {
    let count = golden("check.golden", |source| type_or_problems(source, &env()))
        + golden("check_item.golden", |source| type_or_problems(source, &item_env()));
    assert!(count >= 150, "{count} expressions");
}

#[test]
fn raw_predicates_see_value_or_schema_and_the_envelope() {
    let answer = |source: &str, json: bool| match check_raw(source, json) {
        Ok(_) => "bool\n".into(),
        Err(problems) => rendered(source, &problems),
    };
    golden("check_raw_json.golden", |source| answer(source, true));
    golden("check_raw_avro.golden", |source| answer(source, false));
}

#[test]
fn every_expression_has_its_value_or_its_fault() {
    golden("eval.golden", |source| value_or_fault(source, &env()));
    golden("eval_item.golden", |source| value_or_fault(source, &item_env()));
}

#[test]
fn a_value_is_written_as_its_field_or_refused_in_words() {
    golden("write.golden", |line| {
        let (source, avro) = line.split_once(" -> ").unwrap();
        let target = Arc::new(Schema::parse(avro).unwrap());
        let typed = check(source, &env()).unwrap_or_else(|problems| panic!("{}", rendered(source, &problems)));
        match typed.fits(&target, target.root()) {
            Ok(()) => shown(evaluate(&typed, &env(), SALE, (*target).clone())),
            Err(why) => format!("no: {why}\n"),
        }
    });
}

#[test]
fn arguments_are_checked_once_however_deep_they_stand() {
    let source = (0..40).fold("quantity".to_owned(), |inner, _| format!("min({inner}, 5)"));
    assert_eq!(type_or_problems(&source, &env()), "int\n");
}
