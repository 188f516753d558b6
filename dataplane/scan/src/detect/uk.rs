//! UK_NATIONAL_INSURANCE_NUMBER: two letters, six digits, a letter A to D (HM Revenue & Customs, NIM39110).

use crate::hit::Hit;
use crate::text::Text;

/// Pairs of letters that are never issued.
const VOID_PREFIXES: [&[u8; 2]; 7] = [b"BG", b"GB", b"KN", b"NK", b"NT", b"TN", b"ZZ"];

pub(crate) const HOT_WORDS: &[&str] = &["nino", "national insurance", "ni number", "ni no", "insurance number"];

/// Judges the number whose two letters are at `start`; between its groups one blank each may stand.
pub(crate) fn national_insurance(text: &Text<'_>, start: usize) -> Option<Hit> {
    if !text.boundary_before(start) {
        return None;
    }
    let prefix = [
        text.at(start).to_ascii_uppercase(),
        text.at(start + 1).to_ascii_uppercase(),
    ];
    let letters = |byte: u8| byte.is_ascii_uppercase() && !b"DFIQUV".contains(&byte);
    if !letters(prefix[0]) || !letters(prefix[1]) || prefix[1] == b'O' || VOID_PREFIXES.contains(&&prefix) {
        return None;
    }
    let mut place = start + 2;
    for pair in 0..3 {
        place += usize::from(text.at(place) == b' ');
        let digits = text.at(place).is_ascii_digit() && text.at(place + 1).is_ascii_digit();
        if !digits {
            return None;
        }
        place += 2;
        let _ = pair;
    }
    place += usize::from(text.at(place) == b' ');
    let suffix = matches!(text.at(place).to_ascii_uppercase(), b'A'..=b'D');
    (suffix && text.boundary_at(place + 1)).then(|| Hit::new(start, place + 1, 85))
}

#[cfg(test)]
mod tests {
    use crate::Detector::UkNationalInsuranceNumber;
    use crate::tests::{assert_misses, assert_spans};

    #[test]
    fn numbers_are_found_with_and_without_blanks() {
        assert_spans(
            UkNationalInsuranceNumber,
            &[
                "«AB123456C»",
                "nino: «PR 123612C»",
                "«AB 12 34 56 C».",
                "号«ab123456d»号",
            ],
        );
        assert_misses(
            UkNationalInsuranceNumber,
            &[
                "AB 12 34 56 1",
                "DB123456C",
                "GB123456C",
                "AO123456C",
                "AB12345C",
                "AB123456E",
                "XAB123456C",
                "AB123456CC",
            ],
        );
    }
}
