//! A row's key as bytes: equal keys have equal bytes, and bytes are in the order of the values,
//! so that rows can be compared, folded and sorted without looking at their columns again.

use crate::codec::Cell;

/// Appends one cell. No encoding is the beginning of another one, so cells can stand behind one another.
pub(super) fn push(key: &mut Vec<u8>, cell: &Cell<'_>) {
    match cell {
        Cell::Null => key.push(0),
        Cell::Bool(b) => key.extend([1, u8::from(*b)]),
        Cell::Int(i) | Cell::Time(i) | Cell::Instant(i) | Cell::Local(i) => signed(key, *i),
        Cell::Date(d) => signed(key, i64::from(*d)),
        Cell::Double(d) => {
            key.push(1);
            // Databases take zeros of both signs for one value.
            let bits = if *d == 0.0 { 0 } else { d.to_bits() };
            // IEEE 754 numbers are in order as integers once negative ones are turned over.
            let ordered = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
            key.extend(ordered.to_be_bytes());
        }
        // A column's decimals all have its scale.
        Cell::Decimal(d) => {
            key.push(1);
            key.extend((d.unscaled as u128 ^ 1 << 127).to_be_bytes());
        }
        Cell::Text(t) | Cell::NotUuid(t) => ended(key, t.as_bytes()),
        Cell::Interval(i) => ended(key, i.to_string().as_bytes()),
        Cell::Bytes(b) => ended(key, b),
        Cell::Json(j) => ended(key, j),
        Cell::Uuid(u) => {
            key.push(1);
            key.extend(u);
        }
    }
}

fn signed(key: &mut Vec<u8>, i: i64) {
    key.push(1);
    key.extend((i as u64 ^ 1 << 63).to_be_bytes());
}

/// Bytes of any length: zeros are marked, so that two of them can end the value.
fn ended(key: &mut Vec<u8>, bytes: &[u8]) {
    key.push(1);
    if bytes.contains(&0) {
        for b in bytes {
            key.push(*b);
            if *b == 0 {
                key.push(0xff);
            }
        }
    } else {
        key.extend(bytes);
    }
    key.extend([0, 0]);
}

/// Whether the second version replaces the first: it is larger, or the first is null.
pub(super) fn replaces(first: &Cell<'_>, second: &Cell<'_>) -> bool {
    if matches!(first, Cell::Null) {
        return true;
    }
    let (mut a, mut b) = (Vec::new(), Vec::new());
    push(&mut a, first);
    push(&mut b, second);
    b > a
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(cells: &[Cell<'_>]) -> Vec<u8> {
        let mut key = Vec::new();
        cells.iter().for_each(|c| push(&mut key, c));
        key
    }

    proptest! {
        #[test]
        fn integers_keep_their_order(a: i64, b: i64) {
            prop_assert_eq!(key(&[Cell::Int(a)]).cmp(&key(&[Cell::Int(b)])), a.cmp(&b));
        }

        #[test]
        fn doubles_keep_their_order(a in -1e9..1e9f64, b in -1e9..1e9f64) {
            prop_assert_eq!(Some(key(&[Cell::Double(a)]).cmp(&key(&[Cell::Double(b)]))), a.partial_cmp(&b));
        }

        #[test]
        fn two_texts_never_run_into_each_other(a: [String; 2], b: [String; 2]) {
            let [a, b] = [&a, &b].map(|[x, y]| (key(&[Cell::Text(x), Cell::Text(y)]), (x, y)));
            prop_assert_eq!(a.0.cmp(&b.0), a.1.cmp(&b.1));
        }
    }

    #[test]
    fn a_version_replaces_a_smaller_one_or_none() {
        let table = [
            (Cell::Int(1), Cell::Int(2), true),
            (Cell::Int(2), Cell::Int(2), false),
            (Cell::Int(2), Cell::Int(1), false),
            (Cell::Int(1), Cell::Null, false),
            (Cell::Null, Cell::Int(1), true),
            (Cell::Null, Cell::Null, true),
        ];
        for (first, second, yes) in table {
            assert_eq!(replaces(&first, &second), yes, "{first:?} then {second:?}");
        }
    }
}
