//! What a scan proves, refuses and notes.

use super::*;
use crate::{
    codec::{Items, JsonWriter, Layout, Slot, write},
    schema::{Field, Fixed, Kind, Logical, Name, Node, NodeId, RecordType, Schema},
};
use std::sync::Arc;

fn node(kind: Kind) -> Node {
    Node::new(kind, None)
}

fn record(name: &str, fields: &[(&str, u32)]) -> Node {
    let field = |(name, node): &(&str, u32)| Field {
        name: (*name).into(),
        aliases: vec![],
        doc: None,
        default: None,
        node: NodeId(*node),
        attributes: Default::default(),
    };
    let fields = fields.iter().map(field).collect();
    node(Kind::Record(RecordType { name: Name(name.into()), aliases: vec![], doc: None, fields }))
}

/// order { id: long, address: [null, { city: string, zip: [null, string] }], items: [{ sku: string }], paid: boolean }
fn order() -> Arc<Schema> {
    let nodes = vec![
        record("order", &[("id", 1), ("address", 2), ("items", 7), ("paid", 9)]),
        node(Kind::Long),
        node(Kind::Union(vec![NodeId(3), NodeId(4)])),
        node(Kind::Null),
        record("address", &[("city", 5), ("zip", 6)]),
        node(Kind::String),
        node(Kind::Union(vec![NodeId(3), NodeId(5)])),
        node(Kind::Array(NodeId(8))),
        record("item", &[("sku", 5)]),
        node(Kind::Boolean),
    ];
    Arc::new(Schema::from_nodes(nodes, NodeId(0)))
}

/// list { value: int, next: [null, list] }
fn list() -> Arc<Schema> {
    let nodes = vec![
        record("list", &[("value", 1), ("next", 2)]),
        node(Kind::Int),
        node(Kind::Union(vec![NodeId(3), NodeId(0)])),
        node(Kind::Null),
    ];
    Arc::new(Schema::from_nodes(nodes, NodeId(0)))
}

fn body(zip: Option<&str>, skus: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    write::long(&mut out, 700);
    write::index(&mut out, 1);
    write::text(&mut out, "Köln");
    write::index(&mut out, usize::from(zip.is_some()));
    zip.iter().for_each(|zip| write::text(&mut out, zip));
    write::index(&mut out, skus.len());
    skus.iter().for_each(|sku| write::text(&mut out, sku));
    if !skus.is_empty() {
        write::index(&mut out, 0);
    }
    write::boolean(&mut out, true);
    out
}

fn scan(schema: &Arc<Schema>, body: &[u8]) -> Result<(), Failure> {
    Layout::new(schema.clone(), schema.root()).build().scan(body, &mut [])
}

#[test]
fn offsets_lead_to_values_and_null_hides_what_is_below() {
    let schema = order();
    let mut layout = Layout::new(schema.clone(), schema.root());
    let (zip, id, city) = (layout.value(&[1, 1]), layout.value(&[0]), layout.value(&[1, 0]));
    let (address, end) = (layout.edge(1), layout.edge(4));
    assert_eq!(layout.value(&[1, 1]), zip, "asked twice, noted once");
    let scanner = layout.build();
    let mut slots = vec![0; scanner.slots()];
    let b = body(Some("50667"), &[]);
    scanner.scan(&b, &mut slots).unwrap();
    let at = |slot: Slot| Reader::new(&b, slots[slot.0 as usize] as usize);
    assert_eq!(at(id).long(), Ok(700));
    assert_eq!(at(city).text(), Ok("Köln"));
    assert_eq!(at(zip).text(), Ok("50667"));
    assert_eq!(at(address).branch(2), Ok(1));
    assert_eq!(slots[end.0 as usize] as usize, b.len());
    scanner.scan(&body(None, &[]), &mut slots).unwrap();
    assert_eq!(slots[zip.0 as usize], NULL);
    assert_ne!(slots[city.0 as usize], NULL);
    scanner.scan(&[2, 0, 0, 1], &mut slots).unwrap();
    assert_eq!((slots[zip.0 as usize], slots[city.0 as usize]), (NULL, NULL));
}

#[test]
fn every_cut_and_every_leftover_of_a_body_is_refused() {
    let schema = order();
    let b = body(Some("50667"), &["a", "b"]);
    scan(&schema, &b).unwrap();
    for end in 0..b.len() {
        let code = scan(&schema, &b[..end]).unwrap_err().code;
        assert!(matches!(&*code, "truncated" | "too-many-items"), "{end}: {code}");
    }
    let long = [b, vec![0, 0]].concat();
    let failure = scan(&schema, &long).unwrap_err();
    assert_eq!((&*failure.code, &*failure.field), ("trailing-bytes", ""));
    assert!(failure.message.starts_with("2 bytes"), "{}", failure.message);
}

#[test]
fn failures_name_their_field() {
    let schema = order();
    let mut bad_sku = body(None, &["good", "bad!"]);
    let at = bad_sku.len() - 3;
    bad_sku[at] = 0xff;
    let mut bad_zip = body(Some("50667"), &[]);
    let at = bad_zip.len() - 4;
    bad_zip[at] = 0xff;
    let mut bad_flag = body(None, &[]);
    *bad_flag.last_mut().unwrap() = 2;
    for (body, code, field) in [
        (bad_sku, "bad-utf8", "items[1].sku"),
        (bad_zip, "bad-utf8", "address.zip"),
        (bad_flag, "bad-boolean", "paid"),
        (vec![2, 4], "bad-union-index", "address"),
        ([0xff; 11].to_vec(), "bad-varint", "id"),
        (vec![2, 0, 1, 1], "bad-length", "items"),
    ] {
        let failure = scan(&schema, &body).unwrap_err();
        assert_eq!((&*failure.code, &*failure.field), (code, field), "{failure}");
    }
}

#[test]
fn blocks_with_their_size_in_bytes_are_read_and_checked() {
    let schema = order();
    let mut good = vec![2, 0];
    write::long(&mut good, -2);
    write::long(&mut good, 4);
    good.extend([2, b'a', 2, b'b', 0, 1]);
    scan(&schema, &good).unwrap();
    let mut layout = Layout::new(schema.clone(), schema.root());
    let items = layout.value(&[2]);
    let mut element = Layout::new(schema.clone(), NodeId(8));
    let sku = element.value(&[0]);
    let (scanner, element) = (layout.build(), element.build());
    let mut slots = vec![0; scanner.slots()];
    scanner.scan(&good, &mut slots).unwrap();
    let mut walk = Items::new(&element, &good, slots[items.0 as usize]);
    let mut at = [0];
    let mut seen = Vec::new();
    while walk.next(&mut at).is_some() {
        seen.push(Reader::new(&good, at[sku.0 as usize] as usize).text().unwrap());
    }
    assert_eq!(seen, ["a", "b"]);
    good[3] = 6;
    assert_eq!(scan(&schema, &good).unwrap_err().code, "bad-length");
}

#[test]
fn recursive_types_are_walked_to_128_levels() {
    let schema = list();
    let nested = |n: usize| [[2u8, 2].repeat(n), vec![2, 0]].concat();
    scan(&schema, &nested(128)).unwrap();
    let failure = scan(&schema, &nested(129)).unwrap_err();
    assert_eq!(failure.code, "too-deep");
    assert!(failure.field.starts_with("next.next.next"), "{}", failure.field);
    assert_eq!(scan(&schema, &nested(100_000)).unwrap_err().code, "too-deep");
    let mut layout = Layout::new(schema.clone(), schema.root());
    let third = layout.value(&[1, 1, 0]);
    let scanner = layout.build();
    let mut slots = [0];
    scanner.scan(&nested(3), &mut slots).unwrap();
    assert_eq!(slots[third.0 as usize], 4);
}

#[test]
fn arrays_that_claim_2_to_the_62_items_cost_nothing() {
    for item in [Kind::Null, Kind::Long] {
        let nodes = vec![node(Kind::Array(NodeId(1))), node(item)];
        let schema = Arc::new(Schema::from_nodes(nodes, NodeId(0)));
        let mut b = Vec::new();
        write::long(&mut b, 1 << 62);
        b.push(0);
        assert_eq!(scan(&schema, &b).unwrap_err().code, "too-many-items");
    }
}

#[test]
fn decimals_past_128_bits_are_refused() {
    let decimal = Some(Logical::Decimal { precision: 20, scale: 2 });
    let fixed = Fixed { name: Name("amount".into()), aliases: vec![], size: 17 };
    let on_bytes = Node::new(Kind::Bytes, decimal);
    let on_fixed = Node::new(Kind::Fixed(fixed), decimal);
    for (node, body) in [(on_bytes, [vec![34], vec![1; 17]].concat()), (on_fixed, vec![1; 17])] {
        let schema = Arc::new(Schema::from_nodes(vec![node], NodeId(0)));
        assert_eq!(scan(&schema, &body).unwrap_err().code, "bad-decimal");
    }
}

#[test]
fn a_scanner_prints_as_a_list_of_operations() {
    let schema = list();
    let printed = Layout::new(schema.clone(), schema.root()).build().to_string();
    let want = "block 0\n  0 Int value\n  1 Nullable { null: 0, skip: 1 } next\n  2 Call(1) next\nblock 1\n";
    assert!(printed.starts_with(want), "{printed}");
}

#[test]
fn records_in_a_union_of_several_branches_are_levels_too() {
    let schema = cycle(1, r#","string""#);
    let body = [vec![4; 1_000_000], vec![0]].concat();
    assert_eq!(scan(&schema, &body).unwrap_err().code, "too-deep");
}

/// Records inside one another, each in a field that may be null, that come back to the first after `n`.
fn cycle(n: usize, others: &str) -> Arc<Schema> {
    let next = |i: usize, inner: String| {
        format!(r#"{{"type":"record","name":"R{i}","fields":[{{"name":"next","type":["null"{others},{inner}]}}]}}"#)
    };
    let text = (0..n).rev().fold(r#""R0""#.to_owned(), |inner, i| next(i, inner));
    Arc::new(Schema::parse(&text).unwrap())
}

#[test]
fn what_a_scan_takes_the_json_writer_takes_too() {
    for (others, branch) in [("", 2), (r#","string""#, 4)] {
        for n in [1, 2, 3, 40] {
            let schema = cycle(n, others);
            let (scanner, writer) =
                (Layout::new(schema.clone(), schema.root()).build(), JsonWriter::new(schema.clone()));
            for levels in 0..400 {
                let body = [vec![branch; levels], vec![0]].concat();
                let scanned = scanner.scan(&body, &mut []);
                assert!(scanned.is_ok() || levels > 128, "{n}, {levels}: {scanned:?}");
                assert!(scanned.is_err() || levels < 128 + n, "{n}, {levels}");
                if scanned.is_ok() {
                    writer.write(&body, 0, &mut Vec::new()).unwrap_or_else(|f| panic!("{n}, {levels}: {f}"));
                }
            }
        }
    }
}
