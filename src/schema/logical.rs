//! Logical types: read from a type's attributes, and which kinds they fit.

use super::{
    arena::{Clock, Kind, Logical, Unit},
    json::{Json, Value},
    names::nearest,
    problem::Problem,
};

const KNOWN: [&str; 13] = [
    "decimal",
    "big-decimal",
    "date",
    "time-millis",
    "time-micros",
    "timestamp-millis",
    "timestamp-micros",
    "timestamp-nanos",
    "local-timestamp-millis",
    "local-timestamp-micros",
    "local-timestamp-nanos",
    "uuid",
    "duration",
];

impl Logical {
    /// The value of the `logicalType` attribute.
    pub const fn name(self) -> &'static str {
        match self {
            Logical::Decimal { .. } => "decimal",
            Logical::Date => "date",
            Logical::TimeMillis => "time-millis",
            Logical::TimeMicros => "time-micros",
            Logical::TimestampMillis => "timestamp-millis",
            Logical::TimestampMicros => "timestamp-micros",
            Logical::TimestampNanos => "timestamp-nanos",
            Logical::LocalTimestampMillis => "local-timestamp-millis",
            Logical::LocalTimestampMicros => "local-timestamp-micros",
            Logical::LocalTimestampNanos => "local-timestamp-nanos",
            Logical::Duration => "duration",
            Logical::Uuid => "uuid",
        }
    }

    /// What a time or timestamp counts; `None` for other types.
    pub const fn clock(self) -> Option<(Clock, Unit)> {
        Some(match self {
            Logical::TimeMillis => (Clock::Day, Unit::Millis),
            Logical::TimeMicros => (Clock::Day, Unit::Micros),
            Logical::TimestampMillis => (Clock::Utc, Unit::Millis),
            Logical::TimestampMicros => (Clock::Utc, Unit::Micros),
            Logical::TimestampNanos => (Clock::Utc, Unit::Nanos),
            Logical::LocalTimestampMillis => (Clock::Local, Unit::Millis),
            Logical::LocalTimestampMicros => (Clock::Local, Unit::Micros),
            Logical::LocalTimestampNanos => (Clock::Local, Unit::Nanos),
            Logical::Decimal { .. } | Logical::Date | Logical::Duration | Logical::Uuid => return None,
        })
    }
}

impl Unit {
    /// How many of it make a second.
    pub const fn per_second(self) -> i64 {
        match self {
            Unit::Millis => 1_000,
            Unit::Micros => 1_000_000,
            Unit::Nanos => 1_000_000_000,
        }
    }

    /// In messages: `ms`.
    pub const fn sign(self) -> &'static str {
        match self {
            Unit::Millis => "ms",
            Unit::Micros => "µs",
            Unit::Nanos => "ns",
        }
    }

    /// `n` of it as microseconds, digits finer than that cut off; `None` past their range.
    pub fn to_micros(self, n: i64) -> Option<i64> {
        match self {
            Unit::Nanos => Some(n.div_euclid(1000)),
            _ => n.checked_mul(1_000_000 / self.per_second()),
        }
    }

    /// Microseconds as so many of it, digits finer than it cut off; `None` past its range.
    pub fn of_micros(self, micros: i64) -> Option<i64> {
        match self {
            Unit::Nanos => micros.checked_mul(1000),
            _ => Some(micros.div_euclid(1_000_000 / self.per_second())),
        }
    }
}

/// The logical type of an object of this kind. One that does not fit is ignored, as the specification says,
/// and told about: its author meant something by it.
pub(super) fn read(object: &Json, kind: &Kind, problems: &mut Vec<Problem>) -> Option<Logical> {
    let attribute = object.get("logicalType")?;
    let mut ignored = |message: String, help: &str| {
        let ignored = Problem::warning(attribute.span.clone(), "ignored-logical-type", message);
        problems.push(ignored.help(help));
        None
    };
    let Some(name) = attribute.as_str() else {
        return ignored(format!("\"logicalType\" is a string, not {}: it is ignored", attribute.what()), "");
    };
    let (logical, fits, on) = match name {
        "decimal" => match (decimal(object, kind), kind) {
            (Ok(logical), Kind::Bytes | Kind::Fixed(_)) => return Some(logical),
            (Err(why), Kind::Bytes | Kind::Fixed(_)) => {
                let help = match object.get("precision") {
                    None => {
                        "write \"precision\": 12, \"scale\": 2 beside it: how many digits in all, and after the point"
                    }
                    Some(_) => "",
                };
                return ignored(format!("{why}: the decimal is ignored"), help);
            }
            (_, _) => return ignored(misfit(name, "bytes or fixed"), &change("bytes")),
        },
        "date" => (Logical::Date, matches!(kind, Kind::Int), "int"),
        "time-millis" => (Logical::TimeMillis, matches!(kind, Kind::Int), "int"),
        "time-micros" => (Logical::TimeMicros, matches!(kind, Kind::Long), "long"),
        "timestamp-millis" => (Logical::TimestampMillis, matches!(kind, Kind::Long), "long"),
        "timestamp-micros" => (Logical::TimestampMicros, matches!(kind, Kind::Long), "long"),
        "timestamp-nanos" => (Logical::TimestampNanos, matches!(kind, Kind::Long), "long"),
        "local-timestamp-millis" => (Logical::LocalTimestampMillis, matches!(kind, Kind::Long), "long"),
        "local-timestamp-micros" => (Logical::LocalTimestampMicros, matches!(kind, Kind::Long), "long"),
        "local-timestamp-nanos" => (Logical::LocalTimestampNanos, matches!(kind, Kind::Long), "long"),
        "duration" if matches!(kind, Kind::Fixed(f) if f.size == 12) => return Some(Logical::Duration),
        "duration" => {
            let help = "give it a \"type\" of \"fixed\" with a \"size\" of 12, or take \"logicalType\" away";
            return ignored(misfit(name, "a fixed of 12 bytes"), help);
        }
        "uuid" if matches!(kind, Kind::Fixed(f) if f.size == 16) => return Some(Logical::Uuid),
        "uuid" if *kind == Kind::String => return Some(Logical::Uuid),
        "uuid" => return ignored(misfit(name, "string or a fixed of 16 bytes"), &change("string")),
        known if KNOWN.contains(&known) => return None,
        unknown => {
            let help = nearest(unknown, KNOWN).map_or(String::new(), |n| format!("did you mean \"{n}\"?"));
            return ignored(format!("Avro has no logical type \"{unknown}\": it is ignored"), &help);
        }
    };
    if fits { Some(logical) } else { ignored(misfit(name, on), &change(on)) }
}

fn misfit(name: &str, on: &str) -> String {
    format!("the logical type \"{name}\" goes on {on}: it is ignored here")
}

fn change(to: &str) -> String {
    format!("change \"type\" to \"{to}\", or take \"logicalType\" away")
}

/// More digits than any database holds, and few enough that sums and products of them are numbers.
const MOST_DIGITS: u32 = 1000;

fn decimal(object: &Json, kind: &Kind) -> Result<Logical, String> {
    let number = |key: &str| match object.get(key).map(|j| &j.value) {
        None => Ok(None),
        Some(Value::Number(n)) => match n.as_u64().and_then(|n| u32::try_from(n).ok()) {
            Some(n) => Ok(Some(n)),
            None => Err(format!("\"{key}\" is {n}, not a whole number of digits")),
        },
        Some(_) => Err(format!("\"{key}\" is not a number")),
    };
    let precision = number("precision")?.ok_or("a decimal needs a \"precision\"")?;
    let scale = number("scale")?.unwrap_or(0);
    if precision == 0 {
        return Err("\"precision\" is 0".to_owned());
    }
    if precision > MOST_DIGITS {
        return Err(format!("\"precision\" is {precision}, and decimals have at most {MOST_DIGITS} digits here"));
    }
    if scale > precision {
        return Err(format!("\"scale\" {scale} is larger than \"precision\" {precision}"));
    }
    if let Kind::Fixed(fixed) = kind {
        // The digits of the largest two's complement number: floor(log10(2^(8n-1) - 1)).
        let most = ((8.0 * fixed.size as f64 - 1.0) * 2f64.log10()).floor();
        if f64::from(precision) > most {
            return Err(format!("{} bytes hold {} digits, not {precision}", fixed.size, most.max(0.0)));
        }
    }
    Ok(Logical::Decimal { precision, scale })
}
