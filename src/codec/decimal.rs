//! Exact decimals: an unscaled i128 and a scale, as Avro's `decimal` has them.

/// `unscaled × 10^-scale`. Arithmetic is checked: nothing wraps, nothing rounds by itself.
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    pub unscaled: i128,
    pub scale: u32,
}
