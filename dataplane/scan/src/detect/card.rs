//! CREDIT_CARD_NUMBER: issuer ranges with their lengths, Luhn, and the groupings printed on cards.
//!
//! Ranges follow ISO/IEC 7812 issuer identification numbers as the networks publish them. Bare, or in groups joined by one
//! blank, dash or dot: 4-4-4-1 to 4-4-4-4, 4-4-4-4-1 to 4-4-4-4-3, 4-4-5, 4-6-4, 4-6-5 and 6-13. The fraction of a decimal number is no card.

use crate::class::DIGIT;
use crate::hit::Hit;
use crate::text::Text;

pub(crate) const DIGITS_MIN: usize = 12;
pub(crate) const DIGITS_MAX: usize = 19;

const GROUPS_MAX: usize = 6;

/// First six digits from, to; and as bits the lengths that exist under them.
struct Issuer {
    from: u32,
    to: u32,
    lengths: u32,
}

const fn issuer(from: u32, to: u32, lengths: &[u32]) -> Issuer {
    let mut bits = 0;
    let mut k = 0;
    while k < lengths.len() {
        bits |= 1 << lengths[k];
        k += 1;
    }
    Issuer {
        from,
        to,
        lengths: bits,
    }
}

const LONG: &[u32] = &[16, 17, 18, 19];
const MAESTRO: &[u32] = &[12, 13, 14, 15, 16, 17, 18, 19];

/// Sorted by `from`, without overlap (checked by a test).
const ISSUERS: &[Issuer] = &[
    issuer(220_000, 220_499, LONG),                              // Mir
    issuer(220_500, 220_599, &[16]),                             // Borica
    issuer(222_100, 272_099, &[16]),                             // Mastercard, second series
    issuer(300_000, 305_999, &[14, 16, 17, 18, 19]),             // Diners Club
    issuer(309_500, 309_599, &[14, 16, 17, 18, 19]),             // Diners Club
    issuer(340_000, 349_999, &[15]),                             // American Express
    issuer(352_800, 358_999, LONG),                              // JCB
    issuer(360_000, 369_999, &[14, 15, 16, 17, 18, 19]),         // Diners Club
    issuer(370_000, 379_999, &[15]),                             // American Express
    issuer(380_000, 399_999, &[14, 16, 17, 18, 19]),             // Diners Club
    issuer(400_000, 499_999, &[13, 16, 19]),                     // Visa
    issuer(500_000, 509_999, MAESTRO),                           // Maestro, Elo, Verve, RuPay, Dankort
    issuer(510_000, 559_999, &[16]),                             // Mastercard
    issuer(560_000, 589_999, MAESTRO),                           // Maestro
    issuer(601_100, 601_199, LONG),                              // Discover
    issuer(604_200, 604_201, &[16]),                             // Cabal
    issuer(605_474, 605_474, &[16]),                             // NPS
    issuer(606_282, 606_282, &[16, 19]),                         // Hipercard
    issuer(606_985, 608_500, &[16]),                             // RuPay
    issuer(620_000, 629_999, LONG),                              // UnionPay, Discover
    issuer(630_400, 630_499, MAESTRO),                           // Maestro
    issuer(636_000, 636_999, LONG),                              // InterPayment, Elo
    issuer(637_000, 639_999, &[12, 13, 14, 15, 16, 17, 18, 19]), // InstaPayment, Maestro
    issuer(644_000, 659_999, LONG),                              // Discover, Troy, Elo, RuPay, Verve
    issuer(675_900, 676_399, MAESTRO),                           // Maestro
    issuer(676_770, 676_774, MAESTRO),                           // Maestro UK, Solo
    issuer(810_000, 817_199, LONG),                              // UnionPay
    issuer(817_200, 829_999, &[16]),                             // RuPay
    issuer(860_000, 860_099, &[16]),                             // Uzcard
    issuer(979_200, 979_299, &[16]),                             // Troy
    issuer(986_000, 986_099, &[16]),                             // Humo
];

/// The first place in [`ISSUERS`] that may be about a number, by its first three digits.
static BY_THREE_DIGITS: [u8; 1000] = {
    let mut places = [0; 1000];
    let mut place = 0;
    let mut three = 0;
    while three < places.len() {
        while place < ISSUERS.len() && (ISSUERS[place].to as usize) < three * 1000 {
            place += 1;
        }
        places[three] = place as u8;
        three += 1;
    }
    places
};

/// A cheap necessary condition on the first group.
#[inline(always)]
pub(crate) fn possible(text: &Text<'_>, start: usize, len: usize, grouped: bool) -> bool {
    let first = text.bytes()[start];
    let sized = (DIGITS_MIN..=DIGITS_MAX).contains(&len) || (grouped && matches!(len, 4 | 6));
    sized && matches!(first, b'2'..=b'6' | b'8' | b'9')
}

/// Judges the number that starts at `start`; of several readings of its groups the longest valid one counts.
pub(crate) fn verify(text: &Text<'_>, start: usize) -> Option<Hit> {
    if text.before(start, 1) == b'.' && text.before(start, 2).is_ascii_digit() {
        return None;
    }
    if let Some(bits) = text.digit_bits(start)
        && bits & ((1 << FOUR_FOURS_BYTES) - 1) == FOUR_FOURS
        && let Some(fours) = text.bytes().get(start..).and_then(<[u8]>::first_chunk::<FOUR_FOURS_BYTES>)
        // Behind them stands nothing that may belong to the number: no digits, or too many.
        && (bits >> FOUR_FOURS_BYTES & 0b11 == 0 || bits >> FOUR_FOURS_BYTES & 0b1_1111 == 0b1_1110)
    {
        return four_fours(text, start, fours);
    }
    let groups = Groups::read(text, start);
    (1..=groups.count).rev().find_map(|count| {
        if !printed_so(&groups.lens[..count]) {
            return None;
        }
        let mut digits = [0; DIGITS_MAX];
        let digits = groups.digits(text, count, &mut digits);
        (luhn(digits) && issued(digits))
            .then(|| Hit::new(start, groups.ends[count - 1], if count == 1 { 85 } else { 95 }))
    })
}

/// Layouts of groups with one byte between them, as bits of the digits: 4-4-4 and 4-6-4 with more behind, and 6-13.
const FOURS: u64 = digits_at(0, 4) | digits_at(5, 4) | digits_at(10, 4);
const FOUR_SIX: u64 = digits_at(0, 4) | digits_at(5, 6) | digits_at(12, 4);
const SIX_THIRTEEN: u64 = digits_at(0, 6) | digits_at(7, 13);

const fn digits_at(from: u32, count: u32) -> u64 {
    ((1 << count) - 1) << from
}

/// Whether a number with these digits may be a card's, given the digits of the next 64 bytes.
#[inline(always)]
pub(crate) fn layout_possible(digits: u64) -> bool {
    digits & 0xfff == 0xfff
        || digits & 0x3fff == FOURS
        || digits & 0xffff == FOUR_SIX
        || digits & 0x1f_ffff == SIX_THIRTEEN
}

/// Four groups of four digits, as bits.
const FOUR_FOURS: u64 = digits_at(0, 4) | digits_at(5, 4) | digits_at(10, 4) | digits_at(15, 4);
const FOUR_FOURS_BYTES: usize = 19;

/// Judges four groups of four that no shorter group follows.
fn four_fours(text: &Text<'_>, start: usize, fours: &[u8; FOUR_FOURS_BYTES]) -> Option<Hit> {
    let joint = |place: usize| matches!(fours[place], b' ' | b'-' | b'.');
    let end = start + FOUR_FOURS_BYTES;
    if !(joint(4) && joint(9) && joint(14) && text.boundary_at(end)) {
        return None;
    }
    let mut digits = [0; 16];
    for (group, slots) in digits.chunks_exact_mut(4).enumerate() {
        slots.copy_from_slice(&fours[group * 5..group * 5 + 4]);
    }
    (luhn_of_sixteen(&digits) && issued(&digits)).then(|| Hit::new(start, end, 95))
}

/// The number's digit groups, each ending at a boundary.
struct Groups {
    lens: [usize; GROUPS_MAX],
    ends: [usize; GROUPS_MAX],
    count: usize,
}

impl Groups {
    fn read(text: &Text<'_>, start: usize) -> Groups {
        let mut groups = Groups {
            lens: [0; GROUPS_MAX],
            ends: [0; GROUPS_MAX],
            count: 0,
        };
        // Groups and separators take far less than the 64 bytes of a mask.
        let bits = text.digit_bits(start);
        let mut filled = 0;
        let mut from = start;
        while groups.count < GROUPS_MAX {
            let end = match bits {
                Some(bits) => from + (bits >> (from - start)).trailing_ones() as usize,
                None => text.short_run(from, DIGIT, DIGITS_MAX + 1 - filled),
            };
            let len = end - from;
            if len == 0 || filled + len > DIGITS_MAX || !text.boundary_at(end) {
                break;
            }
            groups.lens[groups.count] = len;
            groups.ends[groups.count] = end;
            groups.count += 1;
            filled += len;
            if !matches!(text.at(end), b' ' | b'-' | b'.') {
                break;
            }
            from = end + 1;
        }
        groups
    }

    /// The digits of the first groups, without what stands between them.
    fn digits<'d>(&self, text: &Text<'_>, count: usize, digits: &'d mut [u8; DIGITS_MAX]) -> &'d [u8] {
        let mut filled = 0;
        for (len, end) in self.lens[..count].iter().zip(self.ends) {
            let group = &text.bytes()[end - len..end];
            let slots = &mut digits[filled..filled + len];
            match (group.first_chunk::<4>(), slots.first_chunk_mut::<4>()) {
                (Some(four), Some(slots)) if *len == 4 => *slots = *four,
                _ => slots.iter_mut().zip(group).for_each(|(slot, digit)| *slot = *digit),
            }
            filled += len;
        }
        &digits[..filled]
    }
}

fn printed_so(lens: &[usize]) -> bool {
    match lens {
        [only] => *only >= DIGITS_MIN,
        [6, 13] | [4, 4, 5] | [4, 6, 4 | 5] | [4, 4, 4, 1..=4] | [4, 4, 4, 4, 1..=3] => true,
        _ => false,
    }
}

fn issued(digits: &[u8]) -> bool {
    if digits.len() < DIGITS_MIN {
        return false;
    }
    let prefix = digits[..6]
        .iter()
        .fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
    let from = usize::from(BY_THREE_DIGITS[prefix as usize / 1000]);
    ISSUERS[from..]
        .iter()
        .find(|issuer| prefix <= issuer.to)
        .is_some_and(|issuer| issuer.from <= prefix && issuer.lengths >> digits.len() & 1 == 1)
}

/// Luhn's check of ISO/IEC 7812-1 annex B over ASCII digits.
pub(crate) fn luhn(digits: &[u8]) -> bool {
    if let Ok(sixteen) = <&[u8; 16]>::try_from(digits) {
        return luhn_of_sixteen(sixteen);
    }
    const DOUBLED: [u8; 16] = [0, 2, 4, 6, 8, 1, 3, 5, 7, 9, 0, 0, 0, 0, 0, 0];
    let sum: u32 = digits.rchunks(2).fold(0, |sum, pair| match pair {
        [left, right] => sum + u32::from(DOUBLED[usize::from(left & 15)]) + u32::from(right & 15),
        [only] => sum + u32::from(only & 15),
        _ => sum,
    });
    sum.is_multiple_of(10)
}

/// The same for the commonest length, eight digits at a time.
fn luhn_of_sixteen(digits: &[u8; 16]) -> bool {
    let (halves, _) = digits.as_chunks::<8>();
    let sum: u64 = halves
        .iter()
        .map(|half| {
            let ones = u64::from_le_bytes(*half) & 0x0f0f_0f0f_0f0f_0f0f;
            // The first of each pair counts twice, less nine beyond nine.
            let weighed = ones + (ones & 0x00ff_00ff_00ff_00ff);
            let beyond = ((weighed + 0x7676_7676_7676_7676) >> 7) & 0x0101_0101_0101_0101;
            (weighed - beyond * 9).wrapping_mul(0x0101_0101_0101_0101) >> 56
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Detector::CreditCardNumber;
    use crate::tests::{assert_misses, assert_spans};

    #[test]
    fn issuer_table_is_sorted_and_disjoint() {
        for pair in ISSUERS.windows(2) {
            assert!(
                pair[0].from <= pair[0].to && pair[0].to < pair[1].from,
                "{} {}",
                pair[0].from,
                pair[1].from
            );
        }
    }

    #[test]
    fn luhn_knows_its_published_example() {
        assert!(luhn(b"79927398713"));
        for wrong in b"0124 56789".iter().filter(|b| b.is_ascii_digit()) {
            let mut digits = *b"79927398713";
            digits[10] = *wrong;
            assert!(!luhn(&digits));
        }
    }

    #[test]
    fn both_ways_to_sum_agree() {
        for seed in 0..20_000u64 {
            let mut digits: [u8; 17] = std::array::from_fn(|k| {
                let mixed = (seed + 1)
                    .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                    .rotate_left(k as u32 * 3 + 1);
                b'0' + (mixed % 10) as u8
            });
            // A leading zero changes nothing but the number of digits.
            digits[0] = b'0';
            assert_eq!(
                luhn(&digits),
                luhn(&digits[1..]),
                "{}",
                String::from_utf8_lossy(&digits)
            );
        }
    }

    #[test]
    fn a_length_that_the_network_does_not_issue_is_no_card() {
        assert_misses(CreditCardNumber, &["41111111111111113", "card 41111111111111113"]);
    }

    #[test]
    fn cards_of_all_networks_are_found() {
        assert_spans(
            CreditCardNumber,
            &[
                "«4111111111111111»",
                "card «5555-5555-5555-4444», ok",
                "«3782 822463 10005»",
                "«378282246310005»",
                "«6011111111111117»",
                "«3530111333300000»",
                "«30569309025904»",
                "«3056 930902 5904»",
                "«2223003122003222»",
                "«4222222222222»",
                "«4111 1111 1111 1111» 2024",
                "卡«4111111111111111»号",
                "«6304000000000000»",
                "\"«4111.1111.1111.1111»\"",
                "x,«4111111111111111»,y",
                "1 «4111111111111111»",
            ],
        );
    }

    #[test]
    fn near_misses_are_not_taken() {
        assert_misses(
            CreditCardNumber,
            &[
                "4111111111111112",
                "411111111111111",
                "41111111111111111",
                "a4111111111111111",
                "4111111111111111_",
                "1111111111111117",
                "0.4111111111111111",
                "41 11 11 11 11 11 11 11",
                "4111  1111 1111 1111",
                "4111-1111-1111-1112",
                "3782822463100050",
                "9999999999999995",
                "411111-1111111111",
            ],
        );
    }
}
