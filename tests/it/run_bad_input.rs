//! Whatever a producer sends: a dead letter with stage, code and field, and the next record goes on.

use crate::harness::{Message, Project, Registry, create_topic, head, message, produce, read_topic, unique};
use pointsman::{codec::write, schema::framing};

const SCHEMA: &str = r#"{"type":"record","name":"Event","namespace":"bad","fields":[
  {"name":"id","type":"string"},
  {"name":"kind","type":{"type":"enum","name":"Kind","symbols":["a","b"]}},
  {"name":"amount","type":"double"},
  {"name":"count","type":"int"},
  {"name":"day","type":{"type":"int","logicalType":"date"}},
  {"name":"tags","type":{"type":"array","items":"string"},"default":[]}]}"#;

/// One bad value: what it is, its bytes, and the stage, code and field it must get.
struct Bad {
    name: &'static str,
    value: Vec<u8>,
    stage: &'static str,
    code: &'static str,
    field: &'static str,
}

fn bad(
    name: &'static str,
    value: impl Into<Vec<u8>>,
    stage: &'static str,
    code: &'static str,
    field: &'static str,
) -> Bad {
    Bad { name, value: value.into(), stage, code, field }
}

/// A good Avro body, after which a caller breaks what it wants to break.
struct Body(Vec<u8>);

impl Body {
    fn framed(id: u32) -> Body {
        let mut out = Vec::new();
        framing::write(id, &mut out);
        Body(out)
    }
    fn text(mut self, text: &[u8]) -> Body {
        write::bytes(&mut self.0, text);
        self
    }
    fn long(mut self, value: i64) -> Body {
        write::long(&mut self.0, value);
        self
    }
    fn double(mut self, value: f64) -> Body {
        write::double(&mut self.0, value);
        self
    }
    fn raw(mut self, bytes: &[u8]) -> Body {
        self.0.extend_from_slice(bytes);
        self
    }
}

fn good_avro(id: u32) -> Vec<u8> {
    Body::framed(id).text(b"x").long(0).double(1.5).long(3).long(19_000).long(0).0
}

fn bad_avro(id: u32) -> Vec<Bad> {
    let full = || Body::framed(id).text(b"x").long(0).double(1.5).long(3).long(19_000);
    vec![
        bad("an empty payload", "", "frame", "empty-payload", ""),
        bad("truncated framing", [0, 0, 0], "frame", "frame-truncated", ""),
        bad("a wrong magic byte", "{\"id\": 1}", "frame", "bad-magic", ""),
        bad("an unknown schema id", Body::framed(999_999).0, "frame", "unknown-schema-id", ""),
        bad("trailing bytes", full().long(0).raw(b"!").0, "decode", "trailing-bytes", ""),
        bad(
            "invalid UTF-8",
            Body::framed(id).text(&[0xff, 0xfe]).long(0).double(0.0).long(0).long(0).long(0).0,
            "decode",
            "bad-utf8",
            "id",
        ),
        bad(
            "an enum index out of range",
            Body::framed(id).text(b"x").long(7).double(0.0).long(0).long(0).long(0).0,
            "decode",
            "bad-enum-index",
            "kind",
        ),
        bad(
            "an int out of range",
            Body::framed(id).text(b"x").long(0).double(0.0).long(1 << 40).long(0).long(0).0,
            "decode",
            "bad-varint",
            "count",
        ),
        bad("an array that claims 2^62 items", full().long(1 << 62).0, "decode", "too-many-items", "tags"),
        bad(
            "a body that ends inside a value",
            Body::framed(id).text(b"x").long(0).raw(&[1, 2]).0,
            "decode",
            "truncated",
            "amount",
        ),
    ]
}

fn bad_json() -> Vec<Bad> {
    let with = |field: &str, value: &str| {
        let mut fields =
            [("id", "\"x\""), ("kind", "\"a\""), ("amount", "1.5"), ("count", "3"), ("day", "\"2024-06-30\"")];
        for f in fields.iter_mut().filter(|f| f.0 == field) {
            f.1 = value;
        }
        let body: Vec<String> =
            fields.iter().filter(|f| !f.1.is_empty()).map(|(n, v)| format!("\"{n}\":{v}")).collect();
        format!("{{{}}}", body.join(","))
    };
    let good = with("", "");
    vec![
        bad("an empty payload", "", "frame", "empty-payload", ""),
        bad("not JSON", "{not json", "decode", "malformed-json", ""),
        bad(
            "a megabyte of JSON that never ends",
            format!("{{\"id\":\"{}", "a".repeat(900_000)),
            "decode",
            "malformed-json",
            "id",
        ),
        bad(
            "10,000-deep JSON",
            format!("{}\"x\":{}{}", &good[..good.len() - 1].replace('}', ","), "[".repeat(10_000), "]".repeat(10_000)),
            "decode",
            "malformed-json",
            "",
        ),
        bad("NaN", with("amount", "NaN"), "decode", "malformed-json", "amount"),
        bad("a number out of range", with("count", "3000000000"), "decode", "out-of-range", "count"),
        bad("a double out of range", with("amount", "1e999"), "decode", "out-of-range", "amount"),
        bad("a wrong type", with("count", "\"three\""), "decode", "wrong-type", "count"),
        bad("a missing field", with("kind", ""), "decode", "missing-field", "kind"),
        bad("an unknown symbol", with("kind", "\"z\""), "decode", "unknown-symbol", "kind"),
        bad("a wrong date", with("day", "\"2024-02-30\""), "decode", "bad-date", "day"),
        bad("a duplicate key", with("count", "3,\"count\":4"), "decode", "duplicate-key", "count"),
        bad("invalid UTF-8", [b"{\"id\":\"".as_slice(), &[0xff], b"\"}"].concat(), "decode", "malformed-json", ""),
    ]
}

fn routes(app: &str, format: &str, registry: &Registry) -> String {
    let (head, registry) = (head(app), registry.table());
    format!(
        r#"{head}{registry}unknown_id_grace = "200ms"
[validators.event]
schema = "bad.Event"
[validators.event.rules]
trusted = "!('origin' in record.headers) || record.headers['origin'] != 'nowhere'"
[routes.events]
topic = "{app}_in"
format = "{format}"
validator = "event"
dlq = "{app}_dlq"
destination = {{ topic = "{app}_out", format = "json" }}
"#
    )
}

fn every_bad_value_becomes_a_letter(format: &str) {
    let app = unique(&format!("bad_{format}"));
    let [input, output, dlq] = ["in", "out", "dlq"].map(|t| format!("{app}_{t}"));
    for topic in [&input, &output, &dlq] {
        create_topic(topic, 1, &[("max.message.bytes", "2000000")]);
    }
    let registry = Registry::start();
    let id = registry.register(&format!("{input}-value"), SCHEMA);
    let (good, bads) = match format {
        "avro" => (good_avro(id), bad_avro(id)),
        _ => (br#"{"id":"x","kind":"a","amount":1.5,"count":3,"day":"2024-06-30"}"#.to_vec(), bad_json()),
    };
    let records = bads.iter().flat_map(|b| [message(b.name, b.value.clone()), message("good", good.clone())]);
    let odd_header = Message {
        headers: vec![("origin".to_owned(), vec![0xff, 0xfe])],
        ..message("a header that is not UTF-8", good.clone())
    };
    produce(&input, records.chain([odd_header]));
    let project = Project::new(&routes(&app, format, &registry)).file("schemas/event.avsc", SCHEMA);
    let ran = project.run(&["run", "--until-caught-up"]).ok();
    let place = format!(r#""topic":"{input}","partition":0,"offset":"#);
    let told = ran.stderr.lines().any(|l| l.contains(&place) && l.contains(r#""example":"frame/"#));
    assert!(told, "the log names the place of a dead letter: {}", ran.stderr);

    assert_eq!(read_topic(&output).len(), bads.len(), "each good record went on");
    let letters = read_topic(&dlq);
    assert_eq!(letters.len(), bads.len() + 1);
    let mut wrong = Vec::new();
    for (bad, letter) in bads.iter().zip(&letters) {
        assert_eq!(letter.value.as_deref(), Some(&bad.value[..]), "{}: the value is the original", bad.name);
        assert_eq!(letter.key.as_deref(), Some(bad.name.as_bytes()));
        let at = |name: &str| letter.header(&format!("pointsman.{name}")).unwrap_or_default().to_owned();
        let (stage, code, field) = (at("stage"), at("code"), at("field"));
        if (&*stage, &*code, &*field) != (bad.stage, bad.code, bad.field) {
            wrong.push(format!("{}: {stage}/{code} at {field:?}: {}", bad.name, at("message")));
        }
        assert_eq!((at("route"), at("topic"), at("partition")), ("events".to_owned(), input.clone(), "0".to_owned()));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let last = letters.last().unwrap();
    assert_eq!(last.header("pointsman.stage"), Some("validate"), "{last:?}");
    assert_eq!(last.headers[0], ("origin".to_owned(), vec![0xff, 0xfe]), "the record's own headers stay");
}

#[test]
fn every_bad_avro_value_becomes_a_dead_letter_and_the_next_record_goes_on() {
    every_bad_value_becomes_a_letter("avro");
}

#[test]
fn every_bad_json_value_becomes_a_dead_letter_and_the_next_record_goes_on() {
    every_bad_value_becomes_a_letter("json");
}
