//! Makers of plain values: what each hint means on each type.

use super::{
    compile::Compiler,
    hint::{Hint, span},
    like::Like,
    make::{Choice, Maker, Moment, Piece, Sum, Term, Tick},
    value::{self, bare},
};
use crate::{
    codec::civil,
    schema::{Clock, Kind, Logical, NodeId, RecordType, Unit},
};
use serde_json::Value as Json;

/// A plain type, as hints see it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Plain {
    Boolean,
    Integer(i64, i64),
    Float,
    Decimal { precision: u32, scale: u32 },
    Text,
    Uuid,
    Enum,
    Bytes(Option<usize>),
    Moment(Tick),
    Time(Unit),
}

impl Compiler<'_, '_> {
    fn plain(&self, node: NodeId) -> Plain {
        let logical = self.schema.node(node).logical;
        match logical.and_then(Logical::clock) {
            Some((Clock::Day, unit)) => return Plain::Time(unit),
            Some((Clock::Utc | Clock::Local, unit)) => return Plain::Moment(Tick::Of(unit)),
            None => {}
        }
        match (self.schema.kind(node), logical) {
            (_, Some(Logical::Decimal { precision, scale })) => Plain::Decimal { precision: precision.min(38), scale },
            (_, Some(Logical::Date)) => Plain::Moment(Tick::Days),
            (_, Some(Logical::Uuid)) => Plain::Uuid,
            (Kind::Boolean, _) => Plain::Boolean,
            (Kind::Int, _) => Plain::Integer(i64::from(i32::MIN), i64::from(i32::MAX)),
            (Kind::Long, _) => Plain::Integer(i64::MIN, i64::MAX),
            (Kind::Float | Kind::Double, _) => Plain::Float,
            (Kind::Enum(_), _) => Plain::Enum,
            (Kind::Fixed(fixed), _) => Plain::Bytes(Some(fixed.size)),
            (Kind::Bytes, _) => Plain::Bytes(None),
            _ => Plain::Text,
        }
    }

    /// The maker of a plain type. Where a hint is wrong, it is told, and the type's usual maker stands in.
    pub(super) fn scalar(
        &mut self,
        node: NodeId,
        hint: &Hint<'_>,
        record: &RecordType,
        needs: &mut Vec<usize>,
    ) -> Maker {
        let plain = self.plain(node);
        let skew = self.skew(hint);
        if hint.get("length").is_some() && !matches!(plain, Plain::Bytes(None)) && !self.in_container(hint) {
            let ty = self.what(node);
            self.desk.misfit(hint, "length", &ty);
        }
        if hint.get("after").is_some() && !matches!(plain, Plain::Moment(..)) {
            let ty = self.what(node);
            self.desk.misfit(hint, "after", &ty);
        }
        let made = match (hint.content(), plain) {
            (Some("ref"), _) => Some(self.reference(node, hint, skew)),
            (Some("values" | "weights"), Plain::Bytes(_) | Plain::Moment(..) | Plain::Time(_)) => None,
            (Some("values"), _) => Some(self.values(node, hint, skew)),
            (Some("weights"), Plain::Text | Plain::Enum) => Some(self.weights(node, hint)),
            (Some("session"), Plain::Text | Plain::Enum) => Some(Maker::Step),
            (Some("pattern"), Plain::Text) => Some(self.pattern(hint)),
            (Some("sequence"), Plain::Integer(..)) => Some(self.sequence(hint)),
            (Some("sum"), Plain::Integer(..)) => Some(self.sum(hint, record, 0, true, needs)),
            (Some("sum"), Plain::Decimal { scale, .. }) => Some(self.sum(hint, record, scale, false, needs)),
            (Some("like"), plain) => self.like(hint, plain),
            (Some("range"), Plain::Integer(..) | Plain::Float | Plain::Decimal { .. }) => {
                self.range(node, hint, plain, skew)
            }
            (_, Plain::Moment(tick)) if matches!(hint.content(), None | Some("range")) => {
                Some(self.moment(hint, record, tick, needs))
            }
            (None, plain) => Some(self.usual(node, hint, plain)),
            _ => None,
        };
        made.unwrap_or_else(|| {
            let (key, ty) = (hint.content().unwrap_or("like"), self.what(node));
            self.desk.misfit(hint, key, &ty);
            self.usual(node, hint, plain)
        })
    }

    /// Whether this type is that of the field's elements, not of the field itself.
    fn in_container(&self, hint: &Hint<'_>) -> bool {
        matches!(self.schema.kind(bare(&self.schema, hint.field.node)), Kind::Array(_) | Kind::Map(_))
    }

    /// What a type gets without a hint.
    fn usual(&mut self, node: NodeId, hint: &Hint<'_>, plain: Plain) -> Maker {
        match plain {
            Plain::Boolean => Maker::Boolean,
            Plain::Integer(..) => Maker::Integer { low: 1, high: 1_000, skew: None },
            Plain::Float => Maker::Float { low: 0.0, high: 1_000.0, skew: None },
            Plain::Decimal { precision, scale } => price(precision, scale),
            Plain::Text => Maker::Like(Like::guess(&hint.field.name).unwrap_or(Like::Word)),
            Plain::Uuid => Maker::Uuid,
            Plain::Enum => {
                let symbols = match self.schema.kind(node) {
                    Kind::Enum(e) => e.symbols.len(),
                    _ => 0,
                };
                let values = (0..symbols).map(value::Value::Symbol).collect();
                Maker::Choice(Choice { values, sums: Vec::new(), skew: None })
            }
            Plain::Bytes(Some(size)) => Maker::Bytes { low: size, high: size },
            Plain::Bytes(None) => {
                let (low, high) = self.length(hint).unwrap_or((0, 16));
                Maker::Bytes { low, high }
            }
            Plain::Moment(tick) => Maker::Moment(Moment { tick, after: None, low: 0, high: 0, absolute: false }),
            Plain::Time(unit) => Maker::TimeOfDay(unit),
        }
    }

    fn skew(&mut self, hint: &Hint<'_>) -> Option<f64> {
        let skew = hint.get("skew")?;
        let number = skew.as_f64().filter(|s| (0.0..=10.0).contains(s));
        if number.is_none() {
            self.desk.tell(hint, &["skew"], "\"skew\" is a number from 0 (all alike) to 10", "write \"skew\": 1.1");
        }
        number
    }

    fn values(&mut self, node: NodeId, hint: &Hint<'_>, skew: Option<f64>) -> Maker {
        let given = hint.get("values").and_then(Json::as_array).filter(|list| !list.is_empty());
        let Some(given) = given else {
            self.desk.tell(hint, &["values"], "\"values\" is a list with at least one value", "");
            return Maker::Constant(value::Value::Null);
        };
        // Null may be one of them where the field takes it.
        let with_null = if self.in_container(hint) { node } else { hint.field.node };
        let mut values = Vec::new();
        for (i, json) in given.iter().enumerate() {
            match value::literal(&self.schema, with_null, json) {
                Some(value) => values.push(value),
                None => self.no_value(node, hint, &["values", &i.to_string()], json),
            }
        }
        Maker::Choice(Choice { values, sums: Vec::new(), skew })
    }

    fn no_value(&mut self, node: NodeId, hint: &Hint<'_>, path: &[&str], json: &Json) {
        let message = format!("{json} is no value of `{}`, which is {}", hint.field.name, self.what(node));
        self.desk.tell(hint, path, message, "");
    }

    fn weights(&mut self, node: NodeId, hint: &Hint<'_>) -> Maker {
        let Some(Json::Object(given)) = hint.get("weights") else {
            self.desk.tell(
                hint,
                &["weights"],
                "\"weights\" is an object",
                "write \"weights\": {\"paid\": 3, \"open\": 1}",
            );
            return Maker::Constant(value::Value::Null);
        };
        let mut choice = Choice { values: Vec::new(), sums: Vec::new(), skew: None };
        for (name, weight) in given {
            let json = Json::String(name.clone());
            let Some(value) = value::literal(&self.schema, node, &json) else {
                let message = format!("{json} is no value of `{}`, which is {}", hint.field.name, self.what(node));
                self.desk.tell_inner_key(hint, &["weights"], name, message, "");
                continue;
            };
            if let Some(weight) = self.weight(hint, &["weights", name], weight) {
                choice.sums.push(choice.sums.last().copied().unwrap_or_default() + weight);
                choice.values.push(value);
            }
        }
        if choice.sums.last().is_none_or(|total| *total == 0) {
            self.desk.tell(hint, &["weights"], "at least one weight has to be more than 0", "");
        }
        Maker::Choice(choice)
    }

    /// A weight in millionths.
    pub(super) fn weight(&mut self, hint: &Hint<'_>, path: &[&str], json: &Json) -> Option<u64> {
        let weight = json.as_f64().filter(|w| (0.0..=1e6).contains(w));
        if weight.is_none() {
            self.desk.tell(hint, path, "a weight is a number from 0 to 1000000", "");
        }
        weight.map(|w| (w * 1e6) as u64)
    }

    fn sequence(&mut self, hint: &Hint<'_>) -> Maker {
        let first = hint.get("sequence").and_then(Json::as_i64).unwrap_or_else(|| {
            self.desk.tell(hint, &["sequence"], "\"sequence\" is the number to begin with", "write \"sequence\": 1");
            1
        });
        self.counters.push(first);
        Maker::Sequence { counter: self.counters.len() - 1 }
    }

    fn pattern(&mut self, hint: &Hint<'_>) -> Maker {
        let pieces = match hint.get("pattern").and_then(Json::as_str).map(pieces) {
            Some(Ok(pieces)) => pieces,
            Some(Err(why)) => {
                self.desk.tell(hint, &["pattern"], why, "it takes {n}, {n:7}, {1..8}, {hex:12} and {digits:4}");
                Vec::new()
            }
            None => {
                self.desk.tell(hint, &["pattern"], "\"pattern\" is a text", "write \"pattern\": \"O-{n:7}\"");
                Vec::new()
            }
        };
        self.counters.push(1);
        Maker::Pattern { pieces, counter: self.counters.len() - 1 }
    }

    /// `None`: this likeness does not go on this type.
    fn like(&mut self, hint: &Hint<'_>, plain: Plain) -> Option<Maker> {
        let Some(like) = hint.get("like").and_then(Json::as_str).and_then(Like::named) else {
            let names: Vec<&str> = super::LIKES.iter().map(|l| l.name).collect();
            let given = hint.get("like").map(ToString::to_string).unwrap_or_default();
            let help = format!("it takes {}", names.join(", "));
            self.desk.tell(hint, &["like"], format!("{given} is no likeness"), help);
            return Some(Maker::Constant(value::Value::Null));
        };
        match (like, plain) {
            (Like::Price, Plain::Decimal { precision, scale }) => Some(price(precision, scale)),
            (Like::Price, Plain::Float) => Some(Maker::PriceFloat { low: 0.99, high: 1_499.0 }),
            (Like::Quantity, Plain::Integer(..)) => Some(Maker::Quantity),
            (Like::Line, Plain::Integer(..)) => Some(Maker::Line),
            (like, Plain::Text) if like.is_text() => Some(Maker::Like(like)),
            _ => None,
        }
    }

    fn range(&mut self, node: NodeId, hint: &Hint<'_>, plain: Plain, skew: Option<f64>) -> Option<Maker> {
        let pair = hint.get("range").and_then(Json::as_array).filter(|pair| pair.len() == 2);
        let bounds = pair.map(|pair| [0, 1].map(|i| value::literal(&self.schema, node, &pair[i])));
        let made = match bounds {
            Some([Some(value::Value::Integer(low)), Some(value::Value::Integer(high))]) if low <= high => {
                Maker::Integer { low, high, skew }
            }
            Some([Some(value::Value::Float(low)), Some(value::Value::Float(high))]) if low <= high => {
                Maker::Float { low, high, skew }
            }
            Some([Some(value::Value::Decimal(low)), Some(value::Value::Decimal(high))]) if low <= high => {
                Maker::Decimal { low, high, skew }
            }
            _ => {
                let (name, ty) = (&hint.field.name, self.what(node));
                let ty = match plain {
                    Plain::Decimal { precision, scale } => format!("{ty}({precision}, {scale})"),
                    _ => ty,
                };
                let message = match (pair, &bounds) {
                    (Some(pair), Some([Some(_), Some(_)])) => {
                        format!("\"range\" of `{name}` ends before it begins: {} is more than {}", pair[0], pair[1])
                    }
                    (Some(pair), Some([low, _]))
                        if pair.iter().all(|n| matches!(plain, Plain::Decimal { .. }) || n.is_number()) =>
                    {
                        format!("{} is no value of `{name}`, which is {ty}", pair[usize::from(low.is_some())])
                    }
                    _ => format!("\"range\" of `{name}` is [least, most], each {ty}"),
                };
                let help = if matches!(plain, Plain::Decimal { .. }) {
                    "write \"range\": [\"0.99\", \"150.00\"]"
                } else {
                    "write \"range\": [1, 100]"
                };
                self.desk.tell(hint, &["range"], message, help);
                return Some(self.usual(node, hint, plain));
            }
        };
        Some(made)
    }

    fn moment(&mut self, hint: &Hint<'_>, record: &RecordType, tick: Tick, needs: &mut Vec<usize>) -> Maker {
        let after = hint.get("after").and_then(|name| {
            let name = name.as_str().unwrap_or_default();
            let other = self.sibling(hint, record, name, &["after"], needs)?;
            match self.plain(bare(&self.schema, record.fields[other].node)) {
                Plain::Moment(tick) => Some((other, tick)),
                _ => {
                    let ty = self.what(record.fields[other].node);
                    let message = format!("`{name}` is {ty}, and nothing comes after that in time");
                    self.desk.tell(hint, &["after"], message, "name a date or a timestamp");
                    None
                }
            }
        });
        let mut moment = Moment { tick, after, low: 0, high: 0, absolute: false };
        let Some(range) = hint.get("range") else { return Maker::Moment(moment) };
        let texts =
            range.as_array().filter(|pair| pair.len() == 2).and_then(|p| Some([p[0].as_str()?, p[1].as_str()?]));
        let relative = texts.and_then(|[low, high]| Some((span(low)?, span(high)?)));
        let absolute = texts.filter(|_| after.is_none()).and_then(|[low, high]| Some((instant(low)?, instant(high)?)));
        match (relative, absolute) {
            (Some((low, high)), _) if low <= high => (moment.low, moment.high) = (low, high),
            (_, Some((low, high))) if low <= high => (moment.low, moment.high, moment.absolute) = (low, high, true),
            _ => {
                let help = if tick == Tick::Days {
                    "\"2024-01-01\", \"2024-12-31\""
                } else {
                    "\"2024-01-01T00:00:00Z\", \"2024-06-30T20:40:35Z\""
                };
                let help = format!("write \"range\": [\"-30d\", \"0s\"] or [{help}]; units are ms, s, m, h, d");
                let message = match relative.or(absolute) {
                    Some(_) => "\"range\" of a time ends before it begins",
                    None => "\"range\" of a time is [earliest, latest]",
                };
                self.desk.tell(hint, &["range"], message, help);
            }
        }
        Maker::Moment(moment)
    }

    fn sum(
        &mut self,
        hint: &Hint<'_>,
        record: &RecordType,
        scale: u32,
        integer: bool,
        needs: &mut Vec<usize>,
    ) -> Maker {
        let mut sum = Sum { terms: Vec::new(), scale, integer };
        let Some(given) = hint.get("sum").and_then(Json::as_array) else {
            self.desk.tell(
                hint,
                &["sum"],
                "\"sum\" is a list of terms",
                "write \"sum\": [\"shipping\", \"items.price\"]",
            );
            return Maker::Sum(sum);
        };
        for (i, term) in given.iter().enumerate() {
            let path = ["sum", &i.to_string()];
            if let Some(term) = self.term(hint, record, term.as_str().unwrap_or_default(), &path, needs) {
                if term.factors.iter().map(|(_, scale)| scale).sum::<u32>() > scale {
                    let message = format!("this has more digits after the point than `{}`", hint.field.name);
                    self.desk.tell(hint, &path, message, "a sum is exact: nothing is rounded");
                }
                sum.terms.push(term);
            }
        }
        Maker::Sum(sum)
    }

    /// `a * b`, or `items.a * items.b`.
    fn term(
        &mut self,
        hint: &Hint<'_>,
        record: &RecordType,
        text: &str,
        path: &[&str],
        needs: &mut Vec<usize>,
    ) -> Option<Term> {
        let schema = self.schema.clone();
        let mut term = Term { array: None, factors: Vec::new() };
        for (i, factor) in text.split('*').map(str::trim).enumerate() {
            let (head, tail) = factor.split_once('.').map_or((factor, None), |(head, tail)| (head, Some(tail)));
            let mut field = self.sibling(hint, record, head, path, needs)?;
            let mut node = bare(&schema, record.fields[field].node);
            let array = tail.map(|_| field);
            if i > 0 && array != term.array {
                self.desk.tell(hint, path, "the factors of a product are fields of one record", "");
                return None;
            }
            term.array = array;
            if let Some(tail) = tail {
                let inner = match schema.kind(node) {
                    Kind::Array(item) => schema.kind(*item),
                    other => other,
                };
                let (Kind::Array(_), Kind::Record(item)) = (schema.kind(node), inner) else {
                    self.desk.tell(hint, path, format!("`{head}` is no array of records"), "");
                    return None;
                };
                let Some(inner) = item.position(tail) else {
                    self.desk.tell(hint, path, format!("the elements of `{head}` have no field `{tail}`"), "");
                    return None;
                };
                (field, node) = (inner, bare(&schema, item.fields[inner].node));
            }
            match self.plain(node) {
                Plain::Integer(..) => term.factors.push((field, 0)),
                Plain::Decimal { scale, .. } => term.factors.push((field, scale)),
                _ => {
                    self.desk.tell(
                        hint,
                        path,
                        format!("`{factor}` is {}", self.what(node)),
                        "a sum is of ints, longs and decimals",
                    );
                    return None;
                }
            }
        }
        Some(term)
    }
}

/// Prices from 0.99 to 1499.00, as far as the type reaches.
fn price(precision: u32, scale: u32) -> Maker {
    let most = 10i128.pow(precision) - 1;
    let scaled =
        |cents: i128| if scale >= 2 { cents * 10i128.pow(scale.min(30) - 2) } else { cents / 10i128.pow(2 - scale) };
    let (low, high) = (scaled(99).clamp(0, most), scaled(149_900).clamp(1, most));
    if scale == 2 { Maker::Price { low, high } } else { Maker::Decimal { low, high, skew: None } }
}

/// A day or an instant, in microseconds since the epoch.
fn instant(text: &str) -> Option<i64> {
    civil::parse_instant(text).or_else(|| civil::parse_date(text).map(|days| i64::from(days) * 86_400_000_000))
}

fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        if open > 0 {
            pieces.push(Piece::Text(rest[..open].to_owned()));
        }
        let Some(close) = rest[open..].find('}') else { return Err("a `{` without its `}`".to_owned()) };
        let inner = &rest[open + 1..open + close];
        pieces.push(piece(inner).ok_or_else(|| format!("`{{{inner}}}` is none of a pattern's pieces"))?);
        rest = &rest[open + close + 1..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(pieces)
}

fn piece(inner: &str) -> Option<Piece> {
    if let Some((low, high)) = inner.split_once("..") {
        let (low, high) = (low.parse().ok()?, high.parse().ok()?);
        return (low <= high).then_some(Piece::Between(low, high));
    }
    let (word, digits) = inner.split_once(':').map_or((inner, None), |(word, digits)| (word, Some(digits)));
    let digits = match digits {
        Some(digits) => Some(digits.parse::<usize>().ok().filter(|d| (1..=16).contains(d))?),
        None => None,
    };
    match word {
        "n" => Some(Piece::Number(digits.unwrap_or(1))),
        "hex" => Some(Piece::Hex(digits?)),
        "digits" => Some(Piece::Digits(digits?)),
        _ => None,
    }
}
