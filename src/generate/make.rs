//! Makers: a schema's types with their hints, compiled to what draws a value.

use super::{
    chance::Chance,
    like::{Like, Subject},
    value::Value,
};
use crate::{codec::Decimal, schema::Unit};

/// What draws the values of one type.
#[derive(Clone, Debug)]
pub(super) enum Maker {
    Constant(Value),
    Boolean,
    Choice(Choice),
    Integer {
        low: i64,
        high: i64,
        skew: Option<f64>,
    },
    Float {
        low: f64,
        high: f64,
        skew: Option<f64>,
    },
    Decimal {
        low: i128,
        high: i128,
        skew: Option<f64>,
    },
    /// Unscaled bounds; mostly cheap, mostly ending in 99.
    Price {
        low: i128,
        high: i128,
    },
    PriceFloat {
        low: f64,
        high: f64,
    },
    Like(Like),
    Pattern {
        pieces: Vec<Piece>,
        counter: usize,
    },
    Uuid,
    Bytes {
        low: usize,
        high: usize,
    },
    Sequence {
        counter: usize,
    },
    Quantity,
    Line,
    Moment(Moment),
    TimeOfDay(Unit),
    Array {
        item: Box<Maker>,
        low: usize,
        high: usize,
    },
    Map {
        value: Box<Maker>,
        low: usize,
        high: usize,
    },
    Record(RecordMaker),
    Union(Vec<(usize, Maker)>),
    Reference(Reference),
    Sum(Sum),
    /// The value at which the session stands.
    Step,
}

/// Values to choose from.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    pub values: Vec<Value>,
    /// For each value the sum of the weights up to its own; empty where all are alike.
    pub sums: Vec<u64>,
    pub skew: Option<f64>,
}

/// A piece of a pattern.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    Text(String),
    /// The counter, with leading zeros up to this width.
    Number(usize),
    Between(i64, i64),
    Hex(usize),
    Digits(usize),
}

/// A date or timestamp.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    pub tick: Tick,
    /// A field of the record, and what it counts; the record's own time where there is none.
    pub after: Option<(usize, Tick)>,
    /// From there, in microseconds; or since the epoch.
    pub low: i64,
    pub high: i64,
    pub absolute: bool,
}

/// What a date or timestamp counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Tick {
    Days,
    Of(Unit),
}

const DAY: i64 = 86_400_000_000;

impl Tick {
    fn to_micros(self, n: i64) -> Option<i64> {
        match self {
            Tick::Days => n.checked_mul(DAY),
            Tick::Of(unit) => unit.to_micros(n),
        }
    }

    fn of_micros(self, micros: i64) -> Option<i64> {
        match self {
            Tick::Days => Some(micros.div_euclid(DAY)),
            Tick::Of(unit) => unit.of_micros(micros),
        }
    }
}

/// A field of a record of a pool.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    pub pool: usize,
    pub field: usize,
    pub skew: Option<f64>,
}

/// Terms to add up, at the scale of the sum.
#[derive(Clone, Debug)]
pub(super) struct Sum {
    pub terms: Vec<Term>,
    pub scale: u32,
    pub integer: bool,
}

/// A product: of fields of the record, or of fields of each element of one of its arrays.
#[derive(Clone, Debug)]
pub(super) struct Term {
    pub array: Option<usize>,
    /// Fields, each with its scale.
    pub factors: Vec<(usize, u32)>,
}

/// What draws a record.
#[derive(Clone, Debug)]
pub(super) struct RecordMaker {
    pub fields: Vec<FieldMaker>,
    /// Indexes of the fields, each after those that it depends on.
    pub order: Vec<usize>,
}

#[derive(Clone, Debug)]
pub(super) struct FieldMaker {
    pub maker: Maker,
    /// The share of nulls; 0 for a field that takes none.
    pub null: f64,
    /// Other fields and the values of which each must have one; otherwise the field is null.
    pub when: Vec<(usize, Vec<Value>)>,
    pub keep: bool,
}

/// What makers draw from.
#[derive(Debug)]
pub(super) struct World {
    pub chance: Chance,
    /// The record's time, in microseconds since the epoch.
    pub now: i64,
    pub counters: Vec<i64>,
    /// Records to refer to.
    pub pools: Vec<Vec<Vec<Value>>>,
    pub step: Value,
    /// The number of the element that is being made, in its array.
    line: i64,
    subject: Subject,
    /// For each pool the record that the record being made refers to.
    referred: Vec<Option<usize>>,
}

impl World {
    pub fn new(chance: Chance, counters: Vec<i64>, pools: Vec<Vec<Vec<Value>>>) -> World {
        let referred = vec![None; pools.len()];
        World { chance, now: 0, counters, pools, step: Value::Null, line: 1, subject: Subject::default(), referred }
    }
}

impl RecordMaker {
    /// Draws the fields of a record. `kept` has a place for each field: those of the fields to keep are filled the first time,
    /// and used from then on.
    pub fn draw(&self, world: &mut World, kept: &mut [Option<Value>]) -> Vec<Value> {
        let outer =
            (std::mem::take(&mut world.subject), std::mem::replace(&mut world.referred, vec![None; world.pools.len()]));
        let mut values = vec![Value::Null; self.fields.len()];
        for &i in &self.order {
            let field = &self.fields[i];
            let known = kept.get(i).and_then(Clone::clone);
            let value = known.unwrap_or_else(|| field.draw(world, &values));
            if field.keep
                && let Some(place) = kept.get_mut(i)
            {
                place.get_or_insert_with(|| value.clone());
            }
            let stands = field.when.iter().all(|(other, wanted)| wanted.contains(&values[*other]));
            values[i] = if stands { value } else { Value::Null };
        }
        (world.subject, world.referred) = outer;
        values
    }
}

impl FieldMaker {
    fn draw(&self, world: &mut World, siblings: &[Value]) -> Value {
        if self.null > 0.0 && world.chance.share(self.null) { Value::Null } else { self.maker.draw(world, siblings) }
    }
}

impl Maker {
    fn draw(&self, world: &mut World, siblings: &[Value]) -> Value {
        let chance = &mut world.chance;
        match self {
            Maker::Constant(value) => value.clone(),
            Maker::Boolean => Value::Boolean(chance.share(0.5)),
            Maker::Choice(choice) => choice.draw(chance),
            Maker::Integer { low, high, skew } => Value::Integer(integer(chance, *low, *high, *skew)),
            Maker::Float { low, high, skew } => Value::Float(float(chance, *low, *high, *skew)),
            Maker::Decimal { low, high, skew: None } => Value::Decimal(chance.between_wide(*low, *high)),
            Maker::Decimal { low, high, skew: Some(skew) } => {
                let span = u64::try_from(high.abs_diff(*low)).unwrap_or(u64::MAX - 1) + 1;
                Value::Decimal(low + i128::from(chance.rank(span, *skew)))
            }
            Maker::Price { low, high } => Value::Decimal(price(chance, *low, *high)),
            Maker::PriceFloat { low, high } => {
                let cents = price(chance, (low * 100.0) as i128, (high * 100.0) as i128);
                Value::Float(cents as f64 / 100.0)
            }
            Maker::Like(like) => Value::Text(world.subject.text(*like, chance)),
            Maker::Pattern { pieces, counter } => {
                let n = next(&mut world.counters, *counter);
                Value::Text(pattern(pieces, n, chance))
            }
            Maker::Uuid => Value::Text(chance.uuid().to_string()),
            Maker::Bytes { low, high } => {
                let length = chance.between(*low as i64, *high as i64);
                Value::Bytes((0..length).map(|_| chance.next() as u8).collect())
            }
            Maker::Sequence { counter } => Value::Integer(next(&mut world.counters, *counter)),
            Maker::Quantity => Value::Integer(1 + chance.rank(9, 1.6) as i64),
            Maker::Line => Value::Integer(world.line),
            Maker::Moment(moment) => moment.draw(world, siblings),
            Maker::TimeOfDay(unit) => Value::Integer(chance.between(0, 86_399) * unit.per_second()),
            Maker::Array { item, low, high } => {
                let (count, outer) = (chance.between(*low as i64, *high as i64), world.line);
                let items = (1..=count).map(|line| {
                    world.line = line;
                    item.draw(world, &[])
                });
                let items = items.collect();
                world.line = outer;
                Value::Array(items)
            }
            Maker::Map { value, low, high } => {
                let count = chance.between(*low as i64, *high as i64);
                let entry = |n| (format!("key-{n}"), value.draw(world, &[]));
                Value::Map((1..=count).map(entry).collect())
            }
            Maker::Record(record) => Value::Record(record.draw(world, &mut [])),
            Maker::Union(branches) => {
                let (index, maker) = &branches[chance.index(branches.len())];
                Value::Branch(*index, Box::new(maker.draw(world, siblings)))
            }
            Maker::Reference(reference) => reference.draw(world),
            Maker::Sum(sum) => sum.draw(siblings),
            Maker::Step => world.step.clone(),
        }
    }
}

impl Choice {
    pub fn draw(&self, chance: &mut Chance) -> Value {
        let index = match (self.sums.last(), self.skew) {
            (Some(&total), _) => {
                let drawn = chance.next() % total.max(1);
                self.sums.partition_point(|sum| *sum <= drawn)
            }
            (None, Some(skew)) => chance.rank(self.values.len() as u64, skew) as usize,
            (None, None) => chance.index(self.values.len()),
        };
        self.values[index].clone()
    }
}

impl Moment {
    fn draw(&self, world: &mut World, siblings: &[Value]) -> Value {
        let base = match (self.after, self.absolute) {
            (_, true) => 0,
            (Some((field, tick)), _) => match siblings.get(field) {
                Some(Value::Integer(n)) => tick.to_micros(*n).unwrap_or(world.now),
                // There is nothing to come after.
                _ => world.now,
            },
            (None, _) => world.now,
        };
        let offset = if self.low == self.high { self.low } else { world.chance.between(self.low, self.high) };
        // Past the end of what nanoseconds reach, the record's own time is as good as any.
        let micros = base.saturating_add(offset);
        Value::Integer(self.tick.of_micros(micros).or_else(|| self.tick.of_micros(world.now)).unwrap_or_default())
    }
}

impl Reference {
    fn draw(&self, world: &mut World) -> Value {
        let World { chance, pools, referred, .. } = world;
        let pool = &pools[self.pool];
        let chosen = *referred[self.pool].get_or_insert_with(|| match self.skew {
            Some(skew) => chance.rank(pool.len() as u64, skew) as usize,
            None => chance.index(pool.len()),
        });
        pool[chosen][self.field].clone()
    }
}

impl Sum {
    /// Null where a part of it is.
    fn draw(&self, siblings: &[Value]) -> Value {
        let total = self.terms.iter().try_fold(Decimal::new(0, 0), |sum, term| sum.checked_add(term.value(siblings)?));
        let total = total.and_then(|d| d.rescale(self.scale));
        total.map_or(Value::Null, |d| {
            if self.integer {
                Value::Integer(i64::try_from(d.unscaled).unwrap_or(i64::MAX))
            } else {
                Value::Decimal(d.unscaled)
            }
        })
    }
}

impl Term {
    fn value(&self, siblings: &[Value]) -> Option<Decimal> {
        let Some(array) = self.array else { return self.product(siblings) };
        let Value::Array(items) = &siblings[array] else { return None };
        items.iter().try_fold(Decimal::new(0, 0), |sum, item| sum.checked_add(self.product(item.fields())?))
    }

    fn product(&self, fields: &[Value]) -> Option<Decimal> {
        self.factors.iter().try_fold(Decimal::new(1, 0), |product, (field, scale)| {
            let factor = match fields.get(*field)? {
                Value::Integer(n) => Decimal::new(i128::from(*n), 0),
                Value::Decimal(n) => Decimal::new(*n, *scale),
                _ => return None,
            };
            product.checked_mul(factor)
        })
    }
}

fn next(counters: &mut [i64], counter: usize) -> i64 {
    let n = counters[counter];
    counters[counter] = n.wrapping_add(1);
    n
}

fn integer(chance: &mut Chance, low: i64, high: i64, skew: Option<f64>) -> i64 {
    match skew {
        None => chance.between(low, high),
        Some(skew) => low.saturating_add_unsigned(chance.rank(high.abs_diff(low).saturating_add(1), skew)),
    }
}

/// With two digits after the point where the range is wide enough to be told apart by them.
fn float(chance: &mut Chance, low: f64, high: f64, skew: Option<f64>) -> f64 {
    let unit = match skew {
        Some(skew) => chance.rank(1_000_000, skew) as f64 / 1e6,
        None => chance.unit(),
    };
    let drawn = low + (high - low) * unit;
    let rounded = (drawn * 100.0).round() / 100.0;
    if high - low >= 0.1 && (low..=high).contains(&rounded) { rounded } else { drawn }
}

/// Cheap things are the most frequent; four of five prices end in 99.
fn price(chance: &mut Chance, low: i128, high: i128) -> i128 {
    let span = u64::try_from(high.abs_diff(low)).unwrap_or(u64::MAX - 1).saturating_add(1);
    let drawn = low + i128::from(chance.rank(span, 0.9));
    let ending = drawn - drawn.rem_euclid(100) + 99;
    if chance.share(0.8) && ending <= high { ending } else { drawn }
}

fn pattern(pieces: &[Piece], n: i64, chance: &mut Chance) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    for piece in pieces {
        // Writing to a string cannot fail.
        let _ = match piece {
            Piece::Text(part) => write!(text, "{part}"),
            Piece::Number(width) => write!(text, "{n:0width$}"),
            Piece::Between(low, high) => write!(text, "{}", chance.between(*low, *high)),
            Piece::Hex(digits) => write!(text, "{:0digits$x}", chance.next() >> (64 - 4 * digits)),
            Piece::Digits(digits) => {
                let most = 10i64.saturating_pow(*digits as u32) - 1;
                write!(text, "{:0digits$}", chance.between(0, most))
            }
        };
    }
    text
}
