//! Writing of Avro's primitives, as the Avro specification 1.12 encodes them.

/// Writes an int or a long: zigzag, seven bits a byte.
#[inline]
pub fn long(out: &mut Vec<u8>, value: i64) {
    let mut n = (value << 1) as u64 ^ (value >> 63) as u64;
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Writes the index of an enum's symbol or a union's branch, a count or a length.
#[inline]
pub fn index(out: &mut Vec<u8>, value: usize) {
    long(out, value as i64);
}

#[inline]
pub fn boolean(out: &mut Vec<u8>, value: bool) {
    out.push(u8::from(value));
}

#[inline]
pub fn float(out: &mut Vec<u8>, value: f32) {
    out.extend_from_slice(&value.to_le_bytes());
}

#[inline]
pub fn double(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Writes a length and the bytes; strings are the same.
#[inline]
pub fn bytes(out: &mut Vec<u8>, value: &[u8]) {
    index(out, value.len());
    out.extend_from_slice(value);
}

#[inline]
pub fn text(out: &mut Vec<u8>, value: &str) {
    bytes(out, value.as_bytes());
}

/// Writes a decimal's unscaled number on `bytes`, in the fewest bytes that hold its sign.
#[inline]
pub fn decimal(out: &mut Vec<u8>, unscaled: i128) {
    let all = unscaled.to_be_bytes();
    bytes(out, &all[all.len() - width(unscaled)..]);
}

/// Writes a decimal's unscaled number on a `fixed` of `size` bytes; `false`, and nothing written, where it does not fit.
#[must_use]
pub fn decimal_fixed(out: &mut Vec<u8>, unscaled: i128, size: usize) -> bool {
    let all = unscaled.to_be_bytes();
    if width(unscaled) > size {
        return false;
    }
    let sign = if unscaled < 0 { 0xff } else { 0 };
    let kept = size.min(all.len());
    out.resize(out.len() + (size - kept), sign);
    out.extend_from_slice(&all[all.len() - kept..]);
    true
}

/// How many bytes two's complement needs for this number; zero takes one.
#[inline]
fn width(n: i128) -> usize {
    let bits = 128 - if n < 0 { n.leading_ones() } else { n.leading_zeros() };
    bits as usize / 8 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_take_the_fewest_bytes_that_hold_the_sign() {
        for (n, want) in [
            (0, &[0u8][..]),
            (127, &[0x7f]),
            (128, &[0, 0x80]),
            (-128, &[0x80]),
            (-129, &[0xff, 0x7f]),
            (-1, &[0xff]),
            (12_345, &[0x30, 0x39]),
        ] {
            let mut out = Vec::new();
            decimal(&mut out, n);
            assert_eq!(&out[1..], want, "{n}");
        }
        let mut out = Vec::new();
        decimal(&mut out, i128::MIN);
        assert_eq!(out.len(), 17);
    }

    #[test]
    fn a_fixed_decimal_is_padded_with_its_sign_or_refused() {
        let mut out = Vec::new();
        assert!(decimal_fixed(&mut out, -2, 3));
        assert_eq!(out, [0xff, 0xff, 0xfe]);
        assert!(!decimal_fixed(&mut out, 128, 1));
        assert!(decimal_fixed(&mut out, 1, 20));
        assert_eq!(out.len(), 23);
    }
}
