//! Whatever the source: an answer, never a panic. And where CEL's reference interpreter means the same, the same value.

use super::support::{SALE, env, evaluate, item_env};
use crate::expr::{check, check_raw};
use proptest::prelude::*;

/// Pieces of expressions, put together without sense.
fn soup() -> impl Strategy<Value = String> {
    let pieces = "quantity note items tags unit_price origin created_at item record .headers value this now() size( has(
        round( decimal( type( string .all(x, .map(x, .exists( x [ ] ( ) { } , . ? : && || ! - + * / % == != < >= null true 1 0
        9223372036854775807 1.5 .5 1e400 0x 5u 'a' \" ' ''' r'\\' b'x' \\ `a` é // @ \u{0} if package .b .sku ['a'] [0] [-1]";
    let pieces: Vec<&str> = pieces.split_whitespace().chain([" ", "\n", " in "]).collect();
    prop::collection::vec(prop::sample::select(pieces), 0..14).prop_map(|p| p.concat())
}

fn never_panics(source: &str) -> Result<(), TestCaseError> {
    let answers = [check(source, &item_env()).err(), check_raw(source, true).err(), check_raw(source, false).err()];
    for problem in answers.into_iter().flatten().flatten() {
        prop_assert!(source.get(problem.span.clone()).is_some(), "{:?} of {:?}", problem, source);
        prop_assert!(problem.message != "this is not an expression", "the parser panicked on {:?}", source);
    }
    if let Ok(typed) = check(source, &env()) {
        let _ = evaluate(&typed, &env(), SALE, typed.avro());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_checker_panic(source in ".{0,40}") {
        never_panics(&source)?;
    }

    #[test]
    fn no_heap_of_tokens_makes_the_checker_panic(source in soup()) {
        never_panics(&source)?;
    }
}

#[test]
fn nesting_without_end_is_a_problem_and_not_a_stack_overflow() {
    for (open, close) in
        [("(", ")"), ("[", "]"), ("!(", ")"), ("size(", ")"), ("-(", ")"), ("tags[", "]"), ("{1:", "}")]
    {
        for n in [60, 95, 10_000] {
            let source = format!("{}1{}", open.repeat(n), close.repeat(n));
            let problems = check(&source, &env()).err().unwrap_or_default();
            assert!(n < 10_000 || problems[0].code == "too-deep", "{open}: {problems:?}");
            let _ = check(&open.repeat(n), &env());
        }
    }
    for chain in ["1 + ", "quantity - ", "buyer.", "true ? 1 : ", "!", "-", "[1].map(x, x)", "1 < ", "tags[0]"] {
        for n in [90, 10_000] {
            let _ = check(&format!("{}1", chain.repeat(n)), &env());
        }
    }
    let long = vec!["quantity > 0"; 2000].join(" && ");
    assert!(check(&long, &env()).is_ok(), "conditions side by side do not nest");
    let list = (0..2000).map(|i| i.to_string()).collect::<Vec<_>>().join(", ");
    assert!(check(&format!("quantity in [{list}]"), &env()).is_ok());
}
