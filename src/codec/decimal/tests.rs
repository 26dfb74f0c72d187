//! Decimals as texts, bytes and numbers.

use super::*;
use crate::codec::{read::Reader, write};
use proptest::prelude::*;

fn dec(text: &str) -> Decimal {
    Decimal::parse(text.as_bytes()).unwrap()
}

#[test]
fn texts_are_read_exactly() {
    for (text, unscaled, scale) in [
        ("0", 0, 0),
        ("-0.00", 0, 2),
        ("19.99", 1999, 2),
        ("1.500", 1500, 3),
        ("-0.05", -5, 2),
        ("1e3", 1000, 0),
        ("12.5E-1", 125, 2),
        ("2.50e1", 250, 1),
        ("100e-2", 100, 2),
        ("170141183460469231731687303715884105727", i128::MAX, 0),
        ("-170141183460469231731687303715884105728", i128::MIN, 0),
        ("0e999999999999999999999", 0, 0),
    ] {
        let d = dec(text);
        assert_eq!((d.unscaled, d.scale), (unscaled, scale), "{text}");
    }
    let long = format!("1{}", ".0".to_owned() + &"0".repeat(60));
    assert_eq!(dec(&long), dec("1"), "zeros after the point cost no digits");
}

#[test]
fn texts_that_are_no_number_or_too_long_are_refused() {
    for text in [
        "",
        "-",
        ".",
        "1.2.3",
        "abc",
        "1e",
        "1e+",
        "NaN",
        "1_000",
        "170141183460469231731687303715884105728",
        "1e99",
        "1e-9999999999",
    ] {
        assert!(Decimal::parse(text.as_bytes()).is_none(), "{text}");
    }
}

#[test]
fn rescaling_never_loses_a_digit() {
    assert_eq!(dec("1.50").rescale(1).unwrap().to_string(), "1.5");
    assert!(dec("1.55").rescale(1).is_none());
    assert_eq!(dec("7").rescale(2).unwrap().to_string(), "7.00");
    assert!(dec("7").rescale(40).is_none());
    assert_eq!(dec("0").rescale(40).unwrap().unscaled, 0);
}

#[test]
fn rounding_is_half_to_even() {
    for (text, scale, want) in [
        ("2.5", 0, "2"),
        ("3.5", 0, "4"),
        ("-2.5", 0, "-2"),
        ("-3.5", 0, "-4"),
        ("1.005", 2, "1.00"),
        ("1.0051", 2, "1.01"),
        ("2.4", 0, "2"),
    ] {
        assert_eq!(dec(text).round(scale).unwrap().to_string(), want, "{text}");
    }
    assert_eq!(Decimal::new(i128::MAX, 60).round(0).unwrap().unscaled, 0);
}

#[test]
fn arithmetic_is_exact_or_nothing() {
    assert_eq!(dec("0.1").checked_add(dec("0.2")).unwrap().to_string(), "0.3");
    assert_eq!(dec("19.99").checked_mul(dec("3")).unwrap().to_string(), "59.97");
    assert_eq!(dec("1").checked_sub(dec("0.01")).unwrap().to_string(), "0.99");
    assert_eq!(dec("1").checked_div(dec("3"), 4).unwrap().to_string(), "0.3333");
    assert_eq!(dec("-1.00").checked_div(dec("8"), 2).unwrap().to_string(), "-0.12");
    assert!(dec("1").checked_div(dec("0"), 2).is_none());
    assert!(Decimal::new(i128::MAX, 0).checked_add(dec("1")).is_none());
    assert!(Decimal::new(i128::MAX, 0).checked_mul(dec("10")).is_none());
    assert!(Decimal::new(i128::MIN, 0).checked_neg().is_none());
}

#[test]
fn order_and_equality_are_by_value_across_scales() {
    assert_eq!(dec("1.5"), dec("1.50"));
    assert!(dec("-1.5") < dec("-1.49"));
    assert!(Decimal::new(i128::MAX, 0) > Decimal::new(i128::MAX, 30));
    assert!(Decimal::new(i128::MIN, 0) < Decimal::new(i128::MIN, 30));
    assert!(Decimal::new(1, 0) > Decimal::new(1, 50));
}

#[test]
fn a_double_is_the_nearest_one() {
    assert_eq!(dec("0.1").to_f64(), 0.1);
    assert_eq!(dec("-123456789.125").to_f64(), -123_456_789.125);
}

#[test]
fn padded_bytes_read_and_too_wide_ones_do_not() {
    assert_eq!(Decimal::from_avro(&[0, 0, 0x80], 0).unwrap().unscaled, 128);
    assert_eq!(Decimal::from_avro(&[0xff; 20], 0).unwrap().unscaled, -1);
    assert!(Decimal::from_avro(&[1; 17], 0).is_none());
    let mut wide = [0xff; 17];
    wide[1] = 0;
    assert!(Decimal::from_avro(&wide, 0).is_none());
    assert_eq!(Decimal::from_avro(&[], 2).unwrap().to_string(), "0.00");
}

proptest! {
    #[test]
    fn avro_bytes_and_text_round_trip(unscaled: i128, scale in 0u32..45) {
        let d = Decimal::new(unscaled, scale);
        let mut out = Vec::new();
        write::decimal(&mut out, unscaled);
        let bytes = Reader::new(&out, 0).bytes().unwrap();
        prop_assert_eq!(Decimal::from_avro(bytes, scale).unwrap().unscaled, unscaled);
        let again = dec(&d.to_string());
        prop_assert_eq!(again, d);
    }

    #[test]
    fn short_texts_read_as_long_ones_do(text in "-?[0-9]{0,12}[.]?[0-9]{0,8}") {
        if let Some(d) = short(text.as_bytes()) {
            let any = Decimal::parse_any(text.as_bytes()).unwrap();
            prop_assert_eq!((d.unscaled, d.scale), (any.unscaled, any.scale));
        }
    }

    #[test]
    fn sums_agree_with_whole_numbers(a in -1_000_000i64..1_000_000, b in -1_000_000i64..1_000_000, s in 0u32..6, t in 0u32..6) {
        let sum = Decimal::new(a.into(), s).checked_add(Decimal::new(b.into(), t)).unwrap();
        let whole = i128::from(a) * 10i128.pow(6 - s) + i128::from(b) * 10i128.pow(6 - t);
        prop_assert_eq!(sum, Decimal::new(whole, 6));
    }
}

#[test]
fn a_scale_without_measure_is_written_out() {
    assert_eq!(Decimal::new(-1, 70_000).to_string(), format!("-0.{}1", "0".repeat(69_999)));
}
