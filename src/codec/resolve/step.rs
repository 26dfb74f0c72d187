//! The steps of a resolution, and how they run.

use crate::{
    codec::{
        Decimal, MAX_DEPTH, Scanner, Slot,
        read::{Block, Flaw, Reader},
        scan::join,
        write,
    },
    failure::{Failure, Stage},
    schema::Unit,
};
use std::fmt;

/// Index of a step.
pub(super) type StepId = u32;

/// How one writer's type becomes one reader's.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Proven as the writer's, then copied: both write it alike.
    Copy(Scanner),
    BytesToString,
    Floating {
        from: Number,
        double: bool,
    },
    Unit {
        from: Unit,
        to: Unit,
        from_int: bool,
        to_int: bool,
    },
    Decimal {
        from: DecimalType,
        to: DecimalType,
    },
    /// For each of the writer's symbols its name and the reader's index.
    Enum(Vec<(Box<str>, Option<u32>)>),
    /// `least` is the fewest bytes of a writer's item.
    Array {
        item: StepId,
        least: usize,
    },
    Map {
        value: StepId,
        least: usize,
    },
    Record {
        /// Proves the writer's record, and notes the edges of the fields that `parts` names.
        scanner: Scanner,
        parts: Vec<Part>,
    },
    /// A step for each branch of the writer's union.
    FromUnion(Vec<StepId>),
    IntoUnion {
        branch: u32,
        inner: StepId,
    },
    /// A branch of the writer's union that the reader does not have: why.
    Refuse(Box<str>),
}

/// A part of a reader's record, in its order.
#[derive(Clone, Debug)]
pub(super) enum Part {
    /// Fields that both write alike, from edge to edge.
    Copy {
        from: Slot,
        to: Slot,
    },
    Convert {
        at: Slot,
        step: StepId,
        field: Box<str>,
    },
    Default(Box<[u8]>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    Int,
    Long,
    Float,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DecimalType {
    /// Bytes of a fixed; `None` is Avro's bytes.
    pub size: Option<usize>,
    pub precision: u32,
    pub scale: u32,
}

type Done = Result<(), Box<Failure>>;

/// A body on its way.
pub(super) struct Run<'r> {
    steps: &'r [Step],
    body: &'r [u8],
    out: &'r mut Vec<u8>,
    /// The longest that `out` may become: items of no bytes may turn into items of many.
    most: usize,
}

/// What a body may always grow to, and how many times its length.
const ROOM: usize = 64 << 20;
const GROWTH: usize = 16;

/// Slots of a record that need no allocation.
const FEW: usize = 24;

impl<'r> Run<'r> {
    pub fn new(steps: &'r [Step], body: &'r [u8], out: &'r mut Vec<u8>) -> Self {
        out.reserve(body.len());
        let most = out.len().saturating_add(ROOM.max(body.len().saturating_mul(GROWTH)));
        Run { steps, body, out, most }
    }

    /// Converts the value at `r`, and moves `r` past it.
    pub fn step(&mut self, id: StepId, r: &mut Reader<'r>, depth: usize) -> Done {
        let at = r.at();
        let told = |flaw: Flaw| Box::new(flaw.failure(at));
        match &self.steps[id as usize] {
            Step::Copy(scanner) => {
                let end = scanner.scan_at(self.body, at, &mut [])?;
                self.copy(at, end);
                *r = Reader::new(self.body, end);
            }
            Step::BytesToString => write::text(self.out, r.text().map_err(told)?),
            Step::Floating { from, double } => self.floating(*from, *double, r).map_err(told)?,
            Step::Unit { from, to, from_int, to_int } => {
                let n = if *from_int { r.int().map(i64::from) } else { r.long() }.map_err(told)?;
                write::long(self.out, convert((*from, *to), *to_int, n)?);
            }
            Step::Decimal { from, to } => {
                let bytes = match from.size {
                    Some(size) => r.fixed(size),
                    None => r.bytes(),
                };
                let bytes = bytes.map_err(told)?;
                let number =
                    Decimal::from_avro(bytes, from.scale).ok_or(Flaw::WideDecimal(bytes.len())).map_err(told)?;
                self.decimal(number, *to)?;
            }
            Step::Enum(symbols) => {
                let (name, index) = &symbols[r.symbol(symbols.len()).map_err(told)?];
                let index = index.ok_or_else(|| {
                    unresolvable(format!("the reader's enum has neither the symbol {name} nor a default"))
                })?;
                write::index(self.out, index as usize);
            }
            Step::Array { item, least } => self.items(*item, *least, false, r, depth)?,
            Step::Map { value, least } => self.items(*value, *least, true, r, depth)?,
            Step::Record { scanner, parts } => self.record(scanner, parts, r, depth)?,
            Step::FromUnion(branches) => {
                let branch = r.branch(branches.len()).map_err(told)?;
                self.step(branches[branch], r, depth)?;
            }
            Step::IntoUnion { branch, inner } => {
                write::index(self.out, *branch as usize);
                self.step(*inner, r, depth)?;
            }
            Step::Refuse(why) => return Err(unresolvable(why.to_string())),
        }
        Ok(())
    }

    fn copy(&mut self, from: usize, to: usize) {
        self.out.extend_from_slice(self.body.get(from..to).unwrap_or_default());
    }

    fn floating(&mut self, from: Number, double: bool, r: &mut Reader<'_>) -> Result<(), Flaw> {
        match (from, double) {
            (Number::Int, false) => write::float(self.out, r.int()? as f32),
            (Number::Long, false) => write::float(self.out, r.long()? as f32),
            (Number::Float, false) => write::float(self.out, r.float()?),
            (Number::Int, true) => write::double(self.out, f64::from(r.int()?)),
            (Number::Long, true) => write::double(self.out, r.long()? as f64),
            (Number::Float, true) => write::double(self.out, f64::from(r.float()?)),
        }
        Ok(())
    }

    fn decimal(&mut self, number: Decimal, to: DecimalType) -> Done {
        let DecimalType { size, precision, scale } = to;
        let refused = |why: &str| fault("bad-decimal", format!("{number} is no decimal({precision}, {scale}): {why}"));
        let converted = number.rescale(scale).ok_or_else(|| refused("digits would be lost"))?;
        if !converted.fits(precision) {
            return Err(refused("it has too many digits"));
        }
        match size {
            None => write::decimal(self.out, converted.unscaled),
            Some(size) if write::decimal_fixed(self.out, converted.unscaled, size) => {}
            Some(_) => return Err(refused("it does not fit its bytes")),
        }
        Ok(())
    }

    fn record(&mut self, scanner: &Scanner, parts: &'r [Part], r: &mut Reader<'r>, depth: usize) -> Done {
        if depth >= MAX_DEPTH {
            return Err(Box::new(Flaw::TooDeep.failure(r.at())));
        }
        let (mut few, mut many) = ([0u32; FEW], Vec::new());
        let slots = match few.get_mut(..scanner.slots()) {
            Some(slots) => slots,
            None => {
                many.resize(scanner.slots(), 0);
                &mut many
            }
        };
        let end = scanner.scan_at(self.body, r.at(), slots)?;
        for part in parts {
            match part {
                Part::Copy { from, to } => self.copy(slots[from.0 as usize] as usize, slots[to.0 as usize] as usize),
                Part::Convert { at, step, field } => {
                    let mut value = Reader::new(self.body, slots[at.0 as usize] as usize);
                    self.step(*step, &mut value, depth + 1).map_err(|failure| under(field, failure))?;
                }
                Part::Default(bytes) => self.out.extend_from_slice(bytes),
            }
        }
        *r = Reader::new(self.body, end);
        Ok(())
    }

    /// The items of an array, or the entries of a map with their keys.
    fn items(&mut self, item: StepId, least: usize, keys: bool, r: &mut Reader<'r>, depth: usize) -> Done {
        let told = |flaw: Flaw, at| Box::new(flaw.failure(at));
        if depth >= MAX_DEPTH {
            return Err(told(Flaw::TooDeep, r.at()));
        }
        let mut seen = 0;
        loop {
            let at = r.at();
            let Block { count, size } = r.block(least).map_err(|flaw| told(flaw, at))?;
            write::long(self.out, count as i64);
            if count == 0 {
                return Ok(());
            }
            let start = r.at();
            for i in seen..seen + count {
                let mut index = IndexOrKey::Index(i);
                if keys {
                    let key = r.text().map_err(|flaw| told(flaw, at))?;
                    write::text(self.out, key);
                    index = IndexOrKey::Key(key);
                }
                self.step(item, r, depth + 1).map_err(|failure| under(&index.to_string(), failure))?;
                if self.out.len() > self.most {
                    return Err(told(Flaw::TooManyItems(count), at));
                }
            }
            seen += count;
            let found = (r.at() - start) as u64;
            if let Some(said) = size.filter(|said| *said != found) {
                return Err(told(Flaw::BlockSize { said, found }, start));
            }
        }
    }
}

enum IndexOrKey<'k> {
    Index(u64),
    Key(&'k str),
}

impl fmt::Display for IndexOrKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IndexOrKey::Index(i) => write!(f, "[{i}]"),
            IndexOrKey::Key(key) => write!(f, "[{key:?}]"),
        }
    }
}

fn convert((from, to): (Unit, Unit), to_int: bool, n: i64) -> Result<i64, Box<Failure>> {
    let (many, few) = (to.per_second(), from.per_second());
    let converted = if many > few {
        let finer = n.checked_mul(many / few);
        finer.ok_or_else(|| fault("bad-date", format!("{n} {} is out of range in {}", from.sign(), to.sign())))?
    } else if n % (few / many) != 0 {
        let message = format!("{n} {} is no whole number of {}: digits would be lost", from.sign(), to.sign());
        return Err(fault("bad-date", message));
    } else {
        n / (few / many)
    };
    if to_int && i32::try_from(converted).is_err() {
        return Err(fault("bad-date", format!("{n} {} is not within a day", from.sign())));
    }
    Ok(converted)
}

#[cold]
fn fault(code: &'static str, message: String) -> Box<Failure> {
    Box::new(Failure::new(Stage::Decode, code, message))
}

#[cold]
fn unresolvable(message: String) -> Box<Failure> {
    fault("unresolvable", message)
}

/// The failure of a value inside `outer`, with its path from here.
#[cold]
fn under(outer: &str, mut failure: Box<Failure>) -> Box<Failure> {
    failure.field = join(outer, &failure.field);
    failure
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Copy(_) => f.write_str("Copy"),
            Step::Record { parts, .. } => {
                f.write_str("Record")?;
                for part in parts {
                    match part {
                        Part::Copy { from, to } => write!(f, " copy({}..{})", from.0, to.0)?,
                        Part::Convert { step, field, .. } => write!(f, " {field}→{step}")?,
                        Part::Default(bytes) => write!(f, " default({bytes:02x?})")?,
                    }
                }
                Ok(())
            }
            other => write!(f, "{other:?}"),
        }
    }
}
