//! Exact decimals: an unscaled i128 and a scale, as Avro's `decimal` has them.

use std::{cmp::Ordering, fmt, hash};

/// `unscaled × 10^-scale`. Arithmetic is checked: nothing wraps, nothing rounds by itself.
///
/// Equal, ordered and hashed by value: 1.5 is 1.50.
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    pub unscaled: i128,
    pub scale: u32,
}

/// The most decimal digits that always fit an unscaled number.
pub const MAX_PRECISION: u32 = 38;

/// Texts with more digits after the point are refused: no schema has room for them, and printing would not end.
const MAX_SCALE: i64 = 1000;

impl Decimal {
    pub const fn new(unscaled: i128, scale: u32) -> Self {
        Decimal { unscaled, scale }
    }

    /// Reads Avro's bytes: two's complement, big endian, of any length; `None` where the number needs more than 128 bits.
    #[inline]
    pub fn from_avro(bytes: &[u8], scale: u32) -> Option<Decimal> {
        if let [first, rest @ ..] = bytes
            && rest.len() < 8
        {
            let sign = i64::from(first.cast_signed());
            let unscaled = rest.iter().fold(sign, |n, b| n << 8 | i64::from(*b));
            return Some(Decimal { unscaled: unscaled.into(), scale });
        }
        let sign = if bytes.first().is_some_and(|b| *b >= 0x80) { 0xff } else { 0 };
        let mut all = [sign; 16];
        let kept = bytes.len().min(16);
        let (padding, low) = bytes.split_at(bytes.len() - kept);
        all[16 - kept..].copy_from_slice(low);
        let unscaled = i128::from_be_bytes(all);
        let same_sign = (unscaled < 0) == (sign == 0xff);
        (padding.iter().all(|b| *b == sign) && same_sign).then_some(Decimal { unscaled, scale })
    }

    /// Reads a JSON number, exactly: `-12.50`, `1e-3`. Leading zeros and a plus are tolerated, an empty text is not.
    /// `None` where it is no number, or has more digits than 128 bits hold.
    pub fn parse(text: &[u8]) -> Option<Decimal> {
        short(text).or_else(|| Decimal::parse_any(text))
    }

    fn parse_any(text: &[u8]) -> Option<Decimal> {
        let (negative, digits) = match text.split_first()? {
            (b'-', rest) => (true, rest),
            (b'+', rest) => (false, rest),
            _ => (false, text),
        };
        let (mantissa, exponent) = match digits.iter().position(|b| matches!(b, b'e' | b'E')) {
            Some(e) => (&digits[..e], exponent(&digits[e + 1..])?),
            None => (digits, 0),
        };
        let mut unscaled = 0i128;
        // Zeros that may turn out to be trailing: they only count once a digit follows.
        let mut zeros = 0u32;
        let mut fraction = 0i64;
        let (mut point, mut any) = (false, false);
        for &b in mantissa {
            match b {
                b'.' if !point => point = true,
                b'0'..=b'9' => {
                    any = true;
                    fraction += i64::from(point);
                    if b == b'0' {
                        zeros = zeros.saturating_add(1);
                        continue;
                    }
                    if unscaled != 0 {
                        unscaled = unscaled.checked_mul(pow10(zeros)?)?;
                    }
                    unscaled = unscaled.checked_mul(10)?.checked_sub(i128::from(b - b'0'))?;
                    zeros = 0;
                }
                _ => return None,
            }
        }
        if !any {
            return None;
        }
        // Accumulated below zero, where i128 has one number more.
        let unscaled = if negative { unscaled } else { unscaled.checked_neg()? };
        let scale = fraction.checked_sub(exponent)?;
        if scale > MAX_SCALE {
            return None;
        }
        settle(unscaled, zeros, scale)
    }

    /// The same number at another scale; `None` where digits would be lost or 128 bits do not hold it.
    pub fn rescale(self, scale: u32) -> Option<Decimal> {
        if scale == self.scale {
            return Some(self);
        }
        let unscaled = if scale > self.scale {
            if self.unscaled == 0 { 0 } else { self.unscaled.checked_mul(pow10(scale - self.scale)?)? }
        } else {
            match pow10(self.scale - scale) {
                Some(p) if self.unscaled % p == 0 => self.unscaled / p,
                None if self.unscaled == 0 => 0,
                _ => return None,
            }
        };
        Some(Decimal { unscaled, scale })
    }

    /// Rounds half to even at `scale`; a larger scale only adds zeros.
    pub fn round(self, scale: u32) -> Option<Decimal> {
        if scale >= self.scale {
            return self.rescale(scale);
        }
        let unscaled = match pow10(self.scale - scale) {
            Some(p) => divide_half_even(self.unscaled, p)?,
            // Ten to the 39th and more is over twice any i128.
            None => 0,
        };
        Some(Decimal { unscaled, scale })
    }

    pub fn checked_add(self, other: Decimal) -> Option<Decimal> {
        let (a, b) = self.aligned(other)?;
        Some(Decimal { unscaled: a.unscaled.checked_add(b.unscaled)?, scale: a.scale })
    }

    pub fn checked_sub(self, other: Decimal) -> Option<Decimal> {
        let (a, b) = self.aligned(other)?;
        Some(Decimal { unscaled: a.unscaled.checked_sub(b.unscaled)?, scale: a.scale })
    }

    /// The product, at the sum of both scales.
    pub fn checked_mul(self, other: Decimal) -> Option<Decimal> {
        // A checked product of 128 bits is a call; most numbers have 64.
        let unscaled = match (i64::try_from(self.unscaled), i64::try_from(other.unscaled)) {
            (Ok(a), Ok(b)) => i128::from(a) * i128::from(b),
            _ => self.unscaled.checked_mul(other.unscaled)?,
        };
        Some(Decimal { unscaled, scale: self.scale.checked_add(other.scale)? })
    }

    pub fn checked_neg(self) -> Option<Decimal> {
        Some(Decimal { unscaled: self.unscaled.checked_neg()?, scale: self.scale })
    }

    /// The quotient, rounded half to even at `scale`; `None` for a zero divisor or where 128 bits do not hold the steps.
    pub fn checked_div(self, other: Decimal, scale: u32) -> Option<Decimal> {
        // self / other at `scale` is unscaled × 10^(scale + other.scale - self.scale) / other.unscaled.
        let shift = i64::from(scale) + i64::from(other.scale) - i64::from(self.scale);
        let power = pow10(u32::try_from(shift.unsigned_abs()).ok()?)?;
        let (dividend, divisor) = if shift >= 0 {
            (self.unscaled.checked_mul(power)?, other.unscaled)
        } else {
            (self.unscaled, other.unscaled.checked_mul(power)?)
        };
        Some(Decimal { unscaled: divide_half_even(dividend, divisor)?, scale })
    }

    /// Whether the unscaled number has at most so many digits.
    pub fn fits(self, precision: u32) -> bool {
        pow10(precision).is_none_or(|bound| self.unscaled.unsigned_abs() < bound.unsigned_abs())
    }

    /// How many digits the unscaled number has; zero has one.
    pub fn precision(self) -> u32 {
        self.unscaled.unsigned_abs().checked_ilog10().unwrap_or(0) + 1
    }

    /// The nearest double.
    pub fn to_f64(self) -> f64 {
        // Through the text: one rounding, not two.
        self.to_string().parse().unwrap_or(f64::NAN)
    }

    fn aligned(self, other: Decimal) -> Option<(Decimal, Decimal)> {
        let scale = self.scale.max(other.scale);
        Some((self.rescale(scale)?, other.rescale(scale)?))
    }
}

/// Ten to the `n`th, as far as an i128 goes.
#[inline]
pub fn pow10(n: u32) -> Option<i128> {
    const POWERS: [i128; MAX_PRECISION as usize + 1] = {
        let mut powers = [1; MAX_PRECISION as usize + 1];
        let mut n = 1;
        while n < powers.len() {
            powers[n] = 10 * powers[n - 1];
            n += 1;
        }
        powers
    };
    POWERS.get(n as usize).copied()
}

/// The common form: digits and a point, few enough that a 64-bit number holds them.
#[inline]
fn short(text: &[u8]) -> Option<Decimal> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    if digits.len() > 18 {
        return None;
    }
    let (mut unscaled, mut count, mut point) = (0i64, 0, None);
    for b in digits {
        match b {
            b'0'..=b'9' => {
                unscaled = unscaled * 10 + i64::from(b - b'0');
                count += 1;
            }
            b'.' if point.is_none() => point = Some(count),
            _ => return None,
        }
    }
    let scale = count - point.unwrap_or(count);
    let unscaled = i128::from(if negative { -unscaled } else { unscaled });
    (count > 0).then_some(Decimal { unscaled, scale })
}

/// The digits after an `e`; bounded, so that an absurd exponent is just too large.
fn exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0i64;
    for b in digits {
        value = match b {
            b'0'..=b'9' => (value * 10 + i64::from(b - b'0')).min(1 << 40),
            _ => return None,
        };
    }
    Some(if negative { -value } else { value })
}

/// `unscaled` followed by `zeros` zeros, at a scale that may be negative: the zeros are kept as far as the scale needs them.
fn settle(unscaled: i128, zeros: u32, scale: i64) -> Option<Decimal> {
    if unscaled == 0 {
        return Some(Decimal { unscaled, scale: u32::try_from(scale.clamp(0, i64::from(MAX_PRECISION))).ok()? });
    }
    let bare = scale - i64::from(zeros);
    if scale >= 0
        && let Some(all) = pow10(zeros).and_then(|p| unscaled.checked_mul(p))
    {
        return Some(Decimal { unscaled: all, scale: u32::try_from(scale).ok()? });
    }
    if bare >= 0 {
        return Some(Decimal { unscaled, scale: u32::try_from(bare).ok()? });
    }
    let shift = u32::try_from(-bare).ok()?;
    Some(Decimal { unscaled: unscaled.checked_mul(pow10(shift)?)?, scale: 0 })
}

fn divide_half_even(dividend: i128, divisor: i128) -> Option<i128> {
    let quotient = dividend.checked_div(divisor)?;
    let rest = dividend.checked_rem(divisor)?.unsigned_abs();
    let other = divisor.unsigned_abs() - rest;
    let up = rest > other || (rest == other && quotient % 2 != 0);
    let away = if (dividend < 0) == (divisor < 0) { 1 } else { -1 };
    if up { quotient.checked_add(away) } else { Some(quotient) }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Decimal {}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.scale == other.scale {
            return self.unscaled.cmp(&other.unscaled);
        }
        if self.scale < other.scale {
            return other.cmp(self).reverse();
        }
        // `other` has the smaller scale: raise it, or it is so large that its sign decides.
        match pow10(self.scale - other.scale).and_then(|p| other.unscaled.checked_mul(p)) {
            Some(raised) => self.unscaled.cmp(&raised),
            None => 0.cmp(&other.unscaled),
        }
    }
}

impl hash::Hash for Decimal {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        let mut bare = *self;
        while bare.scale > 0 && bare.unscaled % 10 == 0 {
            bare = Decimal { unscaled: bare.unscaled / 10, scale: if bare.unscaled == 0 { 0 } else { bare.scale - 1 } };
        }
        (bare.unscaled, bare.scale).hash(state);
    }
}

/// Plain digits, as many after the point as the scale says: `-0.050`.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.unscaled.unsigned_abs().to_string();
        let scale = self.scale as usize;
        let text = if scale == 0 {
            digits
        } else {
            // No width of `format!`: it has sixteen bits, and scales have more.
            let padded = "0".repeat((scale + 1).saturating_sub(digits.len())) + &digits;
            let (whole, fraction) = padded.split_at(padded.len() - scale);
            format!("{whole}.{fraction}")
        };
        f.pad_integral(self.unscaled >= 0, "", &text)
    }
}

#[cfg(test)]
mod tests;
