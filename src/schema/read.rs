//! The ways in: a text, or a text with the schemas it refers to.

use super::{
    arena::Schema,
    compose::{MAX_NESTING, Refusal},
    parse::{Reader, Source},
    problem::{Problem, Severity},
};

impl Schema {
    /// Reads a self-contained schema.
    ///
    /// # Errors
    /// Every problem, in the order of the text; those that are only warnings are among them.
    pub fn parse(text: &str) -> Result<Schema, Vec<Problem>> {
        Schema::parse_with(text, &[])
    }

    /// Reads a schema that may use the named types of other schemas, whatever their order. The result is self-contained.
    ///
    /// # Errors
    /// As [`Schema::parse`]; a problem of a reference stands at the beginning of the text, in words.
    pub fn parse_with(text: &str, references: &[&str]) -> Result<Schema, Vec<Problem>> {
        let (schema, problems) = Schema::parse_all(text, references);
        schema.ok_or(problems)
    }

    /// As [`Schema::parse_with`], with the warnings of a schema that can be used.
    pub fn parse_all(text: &str, references: &[&str]) -> (Option<Schema>, Vec<Problem>) {
        let mut reader = Reader::default();
        for (i, text) in references.iter().enumerate() {
            reader.read(Source { text, label: format!("reference {}", i + 1), reference: true });
        }
        let root = reader.read(Source { text, label: "this schema".to_owned(), reference: false });
        let linked = reader.link();
        let mut schema = None;
        if let Some(root) = root.map(|r| reader.target(r)).filter(|r| linked.usable(*r)) {
            match linked.arena.try_subschema(root) {
                Ok(whole) => schema = Some(whole),
                Err(refusal) => reader.problems.push((references.len(), nesting(refusal, 0..text.len().min(1)))),
            }
        }
        let mut problems: Vec<Problem> = Vec::with_capacity(reader.problems.len());
        for (source, problem) in reader.problems {
            if source == references.len() {
                problems.push(problem);
            } else if problem.severity == Severity::Error {
                let message = format!("{}: {}", reader.sources[source].label, problem.message);
                problems.push(Problem { span: 0..text.len().min(1), message, ..problem });
            }
        }
        problems.sort_by_key(|p| (p.span.start, p.span.end));
        (schema.filter(|_| !problems.iter().any(Problem::is_error)), problems)
    }
}

/// The problem of a schema that cannot be taken out of its arena.
pub(super) fn nesting(refusal: Refusal, at: std::ops::Range<usize>) -> Problem {
    let message = match refusal {
        Refusal::TooDeep => format!("types are nested deeper than {MAX_NESTING} levels"),
        Refusal::Conflict(name) => format!("the type `{name}` has two definitions"),
    };
    Problem::error(at, "nested-too-deep", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Kind, Logical, link::NEAR_NAMES};
    use serde_json::json;

    /// Each problem as `severity code at 'text': message (help)`.
    fn problems(text: &str) -> Vec<String> {
        let (_, problems) = Schema::parse_all(text, &[]);
        let show = |p: &Problem| {
            let severity = if p.is_error() { "error" } else { "warning" };
            format!("{severity} {} at {}: {p}", p.code, &text[p.span.clone()])
        };
        problems.iter().map(show).collect()
    }

    #[test]
    fn a_schema_keeps_all_it_says() {
        let text = json!({
            "type": "record", "name": "Order", "namespace": "shop", "aliases": ["OldOrder", "old.Order"], "doc": "An order.",
            "fields": [
                {"name": "id", "type": {"type": "string", "logicalType": "uuid"}, "doc": "Ours.", "aliases": ["order_id"]},
                {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}},
                {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}, "default": 0},
                {"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["A", "B"], "default": "A"}},
                {"name": "before", "type": ["null", "State"], "default": null, "gen.share": 0.5, "pointsman": {"null": 0}},
                {"name": "parent", "type": ["null", "shop.Order"], "default": null},
                {"name": "mac", "type": {"type": "fixed", "name": "Mac", "namespace": "net", "size": 6}},
                {"name": "tags", "type": {"type": "map", "values": {"type": "array", "items": "net.Mac"}}, "default": {}},
            ]
        });
        let schema = Schema::parse(&text.to_string()).unwrap();
        let record = schema.record().unwrap();
        assert_eq!(record.name.0, "shop.Order");
        assert_eq!(record.aliases.iter().map(|a| &*a.0).collect::<Vec<_>>(), ["shop.OldOrder", "old.Order"]);
        assert_eq!(schema.node(record.fields[1].node).logical, Some(Logical::Decimal { precision: 10, scale: 2 }));
        assert_eq!(schema.nullable(record.fields[5].node), Some((0, 1, schema.root())), "a recursive type is one node");
        assert_eq!(record.fields[4].attributes["gen.share"], 0.5);
        let Kind::Map(array) = schema.kind(record.fields[7].node) else { panic!() };
        let Kind::Array(mac) = schema.kind(*array) else { panic!() };
        assert_eq!(*mac, record.fields[6].node);

        let text = schema.to_json();
        assert!(text.contains("gen.share") && !text.contains("pointsman"), "hints are nobody else's business: {text}");
        assert_eq!(Schema::parse(&text).unwrap().to_json(), text);
        // apache-avro keeps {"type": …} around primitives that had a logical type, so it is given a text without any.
        let theirs = apache_avro::Schema::parse_str(&schema.canonical()).unwrap();
        assert_eq!(schema.canonical(), theirs.canonical_form());
    }

    #[test]
    fn what_only_others_understand_is_kept() {
        let field = |ty: &str| format!(r#"{{"type":"record","name":"R","fields":[{{"name":"f","type":{ty}}}]}}"#);
        for ty in [
            r#"{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}"#,
            r#"{"type":"bytes","logicalType":"big-decimal"}"#,
            r#"{"type":"bytes","logicalType":"decimal","precision":2000,"scale":3}"#,
            r#"{"type":"string","avro.java.string":"String"}"#,
            r#"{"type":"long","logicalType":"timestamp-millis","connect.version":1}"#,
            r#"{"type":"array","items":"int","connect.name":"x"}"#,
            r#"{"type":"map","values":"int","connect.parameters":{"a":[1,null]}}"#,
            r#"{"type":"enum","name":"E","symbols":["A"],"doc":"Words.","connect.name":"E"}"#,
            r#"{"type":"record","name":"S","doc":"Words.","fields":[],"connect.name":"S"}"#,
        ] {
            let schema = Schema::parse_all(&field(ty), &[]).0.unwrap();
            assert_eq!(schema.to_json(), field(ty));
            let part = schema.subschema(schema.record().unwrap().fields[0].node);
            assert_eq!(part.to_json(), ty);
        }
        let hinted = Schema::parse(&field(r#"{"type":"string","pointsman":{"like":"x"}}"#)).unwrap();
        assert_eq!(hinted.to_json(), field(r#""string""#));
    }

    #[test]
    fn each_problem_is_told_at_its_place() {
        let field = |ty: &str| format!(r#"{{"type":"record","name":"R","fields":[{{"name":"f","type":{ty}}}]}}"#);
        for (ty, expected) in [
            (r#""strin""#, r#"error unknown-type at "strin": there is no type `strin` (help: did you mean "string"?)"#),
            (
                r#""record""#,
                r#"error not-a-type at "record": "record" alone is not a type (help: write it as an object: {"type": "record", …})"#,
            ),
            ("7", "error not-a-type at 7: a type is a name, an object or an array (a union), not a number"),
            ("[]", "error empty-union at []: a union needs at least one branch"),
            (
                r#"["null",["int"]]"#,
                r#"error nested-union at ["int"]: a union cannot stand directly inside a union (help: list its branches in the outer union)"#,
            ),
            (
                r#"["int",{"type":"int","logicalType":"date"}]"#,
                r#"error duplicate-branch at {"type":"int","logicalType":"date"}: the union already has a branch of type `int` (help: only records, enums and fixed may stand several times in a union, under different names)"#,
            ),
            (
                r#"{"type":"array"}"#,
                r#"error missing-attribute at {"type":"array"}: this type needs "items": the type of what it holds (help: write "items": "string", or another type)"#,
            ),
            (
                r#"{"type":{"type":"int"}}"#,
                r#"error not-a-type at {"type":"int"}: "type" of a type is a name here, not an object (help: write the inner type in place of the object around it)"#,
            ),
            (
                r#"{"type":"fixed","name":"F","size":-1}"#,
                r#"error bad-attribute at -1: "size" is a number of bytes, 0 to 2147483647"#,
            ),
            (
                r#"{"type":"enum","name":"E","symbols":["a","a"]}"#,
                r#"error bad-symbol at "a": the symbol "a" stands twice (help: take one of the two out)"#,
            ),
            (
                r#"{"type":"enum","name":"E","symbols":["Red"],"default":"red"}"#,
                r#"error bad-default at "red": an enum's default is one of its symbols (help: did you mean "Red"?)"#,
            ),
            (
                r#"{"type":"enum","name":"long","symbols":[]}"#,
                r#"error bad-name at "long": "long" is a type of Avro's own and cannot be defined (help: choose another name)"#,
            ),
            (
                r#"{"type":"fixed","name":"R","size":1}"#,
                r#"error duplicate-type at "R": the type `R` is already defined on line 1 (help: to use that definition, write its name: "R")"#,
            ),
            (
                r#"{"type":"string","logicalType":"date"}"#,
                r#"warning ignored-logical-type at "date": the logical type "date" goes on int: it is ignored here (help: change "type" to "int", or take "logicalType" away)"#,
            ),
            (
                r#"{"type":"bytes","logicalType":"uuid"}"#,
                r#"warning ignored-logical-type at "uuid": the logical type "uuid" goes on string or a fixed of 16 bytes: it is ignored here (help: change "type" to "string", or take "logicalType" away)"#,
            ),
            (
                r#"{"type":"long","logicalType":"timestamp-milis"}"#,
                r#"warning ignored-logical-type at "timestamp-milis": Avro has no logical type "timestamp-milis": it is ignored (help: did you mean "timestamp-millis"?)"#,
            ),
            (
                r#"{"type":"bytes","logicalType":"decimal","scale":2}"#,
                r#"warning ignored-logical-type at "decimal": a decimal needs a "precision": the decimal is ignored (help: write "precision": 12, "scale": 2 beside it: how many digits in all, and after the point)"#,
            ),
            (
                r#"{"type":"bytes","logicalType":"decimal","precision":70000,"scale":70000}"#,
                r#"warning ignored-logical-type at "decimal": "precision" is 70000, and decimals have at most 1000 digits here: the decimal is ignored"#,
            ),
            (
                r#"{"type":"fixed","name":"D","size":4,"logicalType":"decimal","precision":10}"#,
                r#"warning ignored-logical-type at "decimal": 4 bytes hold 9 digits, not 10: the decimal is ignored"#,
            ),
            (
                r#""int","default":2147483648"#,
                "error bad-default at 2147483648: the default of `f` does not fit its type: 2147483648 is not an int",
            ),
            (
                r#""string","default":null"#,
                r#"error bad-default at null: the default of `f` does not fit its type: expected string, found null (help: a field that may be null has the type ["null", …])"#,
            ),
            (
                r#"["null","int"],"default":"x""#,
                r#"error bad-default at "x": the default of `f` does not fit its type: expected one of null, int, found "x""#,
            ),
            (
                r#"{"type":"fixed","name":"F","size":2},"default":"a""#,
                "error bad-default at \"a\": the default of `f` does not fit its type: it has 1 bytes, `F` has 2",
            ),
            (
                r#"["null","R"],"default":{}"#,
                "error bad-default at {}: the default of `f` does not fit its type: expected one of null, R, found {}",
            ),
            (
                r#""long","logicalType":"timestamp-millis""#,
                r#"warning misplaced-logical-type at "logicalType": a logical type belongs to the type, not to the field: it is ignored here (help: write "type": {"type": "long", "logicalType": "timestamp-millis"})"#,
            ),
            (r#""int"},{"name":"f","type":"int""#, "error duplicate-field at \"f\": the field \"f\" stands twice"),
            (
                r#""int"},{"name":"1","type":"int""#,
                "error bad-name at \"1\": this is not a field's name (help: a name has letters, digits and underscores, and begins with no digit)",
            ),
        ] {
            assert_eq!(problems(&field(ty)), [expected], "{ty}");
        }
    }

    #[test]
    fn all_problems_of_a_schema_are_told_at_once() {
        let text = r#"{"type":"record","name":"R","fields":[
            {"name":"a","type":"lnog"},{"type":"int"},{"name":"c","type":["int","int"],"default":"x"},{"name":"d","type":"int","default":1.5}]}"#;
        let codes: Vec<_> = Schema::parse(text).unwrap_err().iter().map(|p| p.code).collect();
        assert_eq!(codes, ["unknown-type", "missing-attribute", "duplicate-branch", "bad-default"]);
    }

    #[test]
    fn a_union_s_default_may_fit_any_branch() {
        let text = r#"{"type":"record","name":"R","fields":[{"name":"f","type":["null","int"],"default":7}]}"#;
        let schema = Schema::parse(text).unwrap();
        assert_eq!(schema.default_bytes(schema.record().unwrap().fields[0].node, &json!(7)), Ok(vec![2, 14]));
    }

    #[test]
    fn names_are_found_in_the_enclosing_namespace_then_in_none() {
        let text = r#"{"type":"record","name":"a.b.Outer","fields":[
            {"name":"x","type":{"type":"fixed","name":"F","size":1}},
            {"name":"y","type":{"type":"record","name":"Inner","namespace":"c","fields":[{"name":"f","type":"a.b.F"},{"name":"g","type":"G"}]}},
            {"name":"z","type":"F"}]}"#;
        let schema = Schema::parse_with(text, &[r#"{"type":"fixed","name":"G","size":2}"#]).unwrap();
        assert_eq!(
            schema.canonical(),
            r#"{"name":"a.b.Outer","type":"record","fields":[{"name":"x","type":{"name":"a.b.F","type":"fixed","size":1}},{"name":"y","type":{"name":"c.Inner","type":"record","fields":[{"name":"f","type":"a.b.F"},{"name":"g","type":{"name":"G","type":"fixed","size":2}}]}},{"name":"z","type":"a.b.F"}]}"#
        );
        assert_eq!(Schema::parse(&schema.to_json()).unwrap().canonical(), schema.canonical());
    }

    #[test]
    fn references_may_stand_in_any_order_and_refer_to_each_other() {
        let a = r#"{"type":"record","name":"A","fields":[{"name":"b","type":["null","B"]}]}"#;
        let b = r#"{"type":"record","name":"B","fields":[{"name":"a","type":["null","A"]}]}"#;
        let schema = Schema::parse_with(r#"{"type":"array","items":"A"}"#, &[b, a]).unwrap();
        assert_eq!(schema.len(), 7);
        let problems = Schema::parse_with(r#""A""#, &[r#"{"type":"record","name":"A"}"#]).unwrap_err();
        assert_eq!(problems[0].message, "reference 1: a record needs \"fields\": an array of objects");
    }

    #[test]
    fn a_default_without_end_is_refused() {
        let twice = |inner: &str| {
            let field = |n: &str| format!(r#"{{"name":"{n}","type":"{inner}","default":{{}}}}"#);
            format!("{},{}", field("x"), field("y"))
        };
        let mut types: Vec<String> = (0..40)
            .map(|i| format!(r#"{{"type":"record","name":"R{i}","fields":[{}]}}"#, twice(&format!("R{}", i + 1))))
            .collect();
        types.push(r#"{"type":"record","name":"R40","fields":[]}"#.to_owned());
        for text in [
            r#"{"type":"record","name":"R","fields":[{"name":"r","type":"R","default":{}}]}"#.to_owned(),
            format!("[{}]", types.join(",")),
        ] {
            let problems = Schema::parse(&text).unwrap_err();
            assert!(problems[0].message.contains("it has no end"), "{}", problems[0]);
        }
    }

    #[test]
    fn types_nested_without_measure_are_refused_without_exhausting_the_stack() {
        let chain = |n: usize| {
            let link =
                |i| format!(r#"{{"type":"record","name":"R{i}","fields":[{{"name":"f","type":"R{}"}}]}}"#, i + 1);
            let mut types: Vec<_> = (0..n).map(link).collect();
            types.push(format!(r#"{{"type":"record","name":"R{n}","fields":[]}}"#));
            format!("[{}]", types.join(","))
        };
        assert_eq!(Schema::parse(&chain(20_000)).unwrap_err()[0].code, "nested-too-deep");
        let schema = Schema::parse(&chain(125)).unwrap();
        assert_eq!(Schema::parse(&schema.to_json()).unwrap().to_json(), schema.to_json());
    }

    /// A megabyte of either takes a moment; anything of its square would take minutes.
    #[test]
    fn a_schema_of_many_fields_is_read_in_one_go() {
        let many = |field: &dyn Fn(usize) -> String| {
            let fields: Vec<String> = (0..20_000).map(field).collect();
            Schema::parse(&format!(r#"{{"type":"record","name":"R","fields":[{}]}}"#, fields.join(",")))
        };
        many(&|i| format!(r#"{{"name":"f{i}","type":["null","R"],"default":null}}"#)).unwrap();
        let problems = many(&|i| format!(r#"{{"name":"f{i}","type":"lnog"}}"#)).unwrap_err();
        assert_eq!(problems.len(), 20_000);
        let offered = problems.iter().take_while(|p| p.help == "did you mean \"long\"?").count();
        assert_eq!(offered, NEAR_NAMES);
    }

    #[test]
    fn what_follows_from_a_bad_default_is_not_told() {
        let inner = |name: &str, default: &str| {
            format!(
                r#"{{"name":"{name}","type":{{"type":"record","name":"{name}","fields":[{{"name":"f","type":"int","default":{default}}}]}}}}"#
            )
        };
        let text = format!(
            r#"{{"type":"record","name":"R","fields":[{},{},{{"name":"l","type":{{"type":"array","items":"bad"}},"default":[{{}}]}},{{"name":"g","type":"good","default":{{}}}}]}}"#,
            inner("bad", "\"x\""),
            inner("good", "1")
        );
        let problems = Schema::parse(&text).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
    }
}
