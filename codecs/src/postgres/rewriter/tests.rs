//! Values in and out.

use proptest::prelude::*;

use super::*;
use crate::edit::Mask;
use crate::postgres::message::Format;

fn unfolded(escaping: Escaping, raw: &[u8]) -> (Vec<u8>, Vec<u32>) {
    let (mut out, mut map) = (Vec::new(), Vec::new());
    unfold(escaping, raw, Marks::of(raw), &mut out, &mut map);
    (out, map)
}

#[test]
fn layers_are_taken_off_and_every_byte_is_traced() {
    for (escaping, raw, meant) in [
        (Escaping::None, &br"a\u0040b"[..], &b"a@b"[..]),
        (Escaping::Copy, br"a\\u0040b", b"a@b"),
        (Escaping::Json, br#""a\\u0040b""#, br#""a@b""#),
        (Escaping::Array, br#"{"a\\u0040b"}"#, br#"{"a@b"}"#),
        (Escaping::Composite, br#"("a\\u0040""b")"#, br#"("a@"b")"#),
        (Escaping::Xml, b"a&#64;b&#x40;&amp;", b"a@b@&"),
        (Escaping::None, b"a&#64;b", b"a@b"),
        (Escaping::None, br"C:\user\new", br"C:\user\new"),
        (Escaping::None, br"\u00zz \u00", br"\u00zz \u00"),
        (Escaping::None, br"\ud83d\ude00", "\u{1f600}".as_bytes()),
    ] {
        let (out, map) = unfolded(escaping, raw);
        assert_eq!(out, meant, "{}", String::from_utf8_lossy(raw));
        assert_eq!(map.len(), out.len() + 1);
        assert_eq!(map.last(), Some(&(raw.len() as u32)));
    }
}

#[test]
fn hex_runs_are_found_wherever_they_stand() {
    let raw = br"a \x616263 b \\x61626364 \x6 \xzz";
    assert_eq!(hex_run(raw, 0, 3), Some(2..10));
    assert_eq!(hex_run(raw, 10, 3), Some(14..24));
    assert_eq!(hex_run(raw, 24, 1), None);
    assert_eq!(hex_run(raw, 99, 1), None);
}

#[test]
fn spans_of_one_value_share_a_walk() {
    let mut value = br#"["a@b.co, c@d.co", 12345, "e@f.co"]"#.to_vec();
    let mut walk = Walk::default();
    for span in [2..8, 10..16, 19..24, 27..33] {
        mask_span(
            (Kind::Json, Escaping::Json),
            &Mask::Full,
            "X",
            &mut value,
            span,
            &mut walk,
        );
    }
    assert_eq!(value, br#"["******, ******",     0, "******"]"#);
}

#[test]
fn whole_values_are_valid_for_their_type() {
    for (kind, value, masked) in [
        (Kind::Timestamp, "1984-02-29 10:11:12", "2000-01-01 00:00:00"),
        (Kind::Money, "$1,234.50", "$0,000.00"),
        (Kind::Mac, "08:00:2b:01:02:03", "00:00:00:00:00:00"),
        (Kind::Bytea, r"\x616263", r"\x000000"),
        (Kind::Json, r#"{"a":1}"#, r#""[X]**""#),
        (Kind::Numeric, "12.50", "00.00"),
    ] {
        let mut bytes = value.as_bytes().to_vec();
        assert_eq!(whole(kind, Format::Text, &Mask::Label, "X", &mut bytes), Whole::InPlace);
        assert_eq!(String::from_utf8_lossy(&bytes), masked);
    }
    let whole_of = |kind, value: &[u8]| whole(kind, Format::Text, &Mask::Label, "X", &mut value.to_vec());
    assert_eq!(whole_of(Kind::NumberRange, b"[1,2)"), Whole::InPlace);
    assert_eq!(whole_of(Kind::Composite, b"(a,b)"), Whole::Null);
    assert_eq!(whole_of(Kind::Other, br#""a"=>"b""#), Whole::Null, "hstore");
    assert_eq!(whole_of(Kind::Other, br#""quoted""#), Whole::InPlace);
    assert_eq!(whole_of(Kind::Inet, b"10.0.0.1/8"), Whole::Bytes(b"0.0.0.0".to_vec()));
}

proptest! {
    #[test]
    fn unfolding_never_panics_and_maps_forward(raw in proptest::collection::vec(prop_oneof![Just(b'\\'), Just(b'u'), Just(b'"'), Just(b'0'), Just(b'&'), Just(b'#'), Just(b';'), any::<u8>()], 0..64)) {
        for escaping in [Escaping::None, Escaping::Json, Escaping::Xml, Escaping::Bytea, Escaping::Array, Escaping::Composite, Escaping::Copy, Escaping::Csv { quote: b'"', escape: b'"' }] {
            let (out, map) = unfolded(escaping, &raw);
            prop_assert_eq!(map.len(), out.len() + 1);
            prop_assert!(map.is_sorted());
            prop_assert!(map.iter().all(|at| *at as usize <= raw.len()));
        }
    }

    #[test]
    fn elements_lie_inside_their_value(value in proptest::collection::vec(prop_oneof![Just(0u8), Just(1), Just(25), any::<u8>()], 0..64)) {
        for kind in [Kind::Other, Kind::Array, Kind::Composite, Kind::NumberRange] {
            let mut out = Vec::new();
            if elements(kind, &value, &mut out).is_ok() {
                prop_assert!(out.iter().all(|e| e.offset + e.bytes <= value.len()));
            }
        }
    }
}
