//! PHONE_NUMBER: international numbers (ITU-T E.164), and national formats of the policy's regions.
//!
//! An international number begins with `+` and an assigned country code and has as many digits as that country's numbers
//! have. A national number counts by itself when its layout is unmistakable (`(415) 555-0132`, `06 12 34 56 78`), otherwise only
//! with a hot word, or when it is one that a region is known for which the policy names (`mobile`). An extension (`x12`, `ext. 12`) belongs to the number.

use crate::Detector::PhoneNumber;
use crate::Region;
use crate::class::DIGIT;
use crate::context::Context;
use crate::engine::Engine;
use crate::hit::Hit;
use crate::text::Text;

mod mobile;

pub(crate) const HOT_WORDS: &[&str] = &[
    "phone",
    "phone number",
    "telephone",
    "tel",
    "telefon",
    "telefono",
    "mobile",
    "mobil",
    "cell",
    "cellphone",
    "cell number",
    "call",
    "fax",
    "msisdn",
    "contact number",
    "contact no",
    "whatsapp",
    "sms",
    "handy",
    "rufnummer",
    "telefone",
    "celular",
    "portable",
    "telefoon",
    "puhelin",
    "tlf",
    "ph",
    "hotline",
    "dial",
];

/// E.164 section 6: at most fifteen digits.
const DIGITS_MAX: usize = 15;
const DIGITS_MIN: usize = 7;
const GROUPS_MAX: usize = 7;
/// Groups that begin within so many bytes are read from one mask of 64.
const BITS_REACH: usize = 64 - DIGITS_MAX;
const EXTENSION_DIGITS_MAX: usize = 6;

/// Bytes that are copied at once.
const COPIED_BYTES: usize = 16;

/// Digits of a number in groups, as dialled.
struct Dialled {
    /// Place of the first digit.
    start: usize,
    /// What stands behind the digits of the groups means nothing.
    digits: [u8; DIGITS_MAX + COPIED_BYTES],
    groups: [Group; GROUPS_MAX],
    count: usize,
}

#[derive(Clone, Copy, Default)]
struct Group {
    len: u8,
    /// Digits up to and with this group.
    total: u8,
    /// Bytes from the first digit to the end of the group.
    span: u8,
    /// An opening parenthesis stands before the group.
    opened: bool,
    /// What stands before the group, if anything: its last separator.
    separator: u8,
    /// The group can end a number.
    bounded: bool,
}

impl Dialled {
    /// Reads groups from `from`; between them stand at most a closing parenthesis, one of ` -./`, and an opening one.
    #[inline(always)]
    fn read(text: &Text<'_>, from: usize) -> Dialled {
        let mut dialled = Dialled {
            start: from,
            digits: [0; DIGITS_MAX + COPIED_BYTES],
            groups: [Group::default(); GROUPS_MAX],
            count: 0,
        };
        let mut group = Group {
            opened: text.before(from, 1) == b'(',
            ..Group::default()
        };
        let bits = text.digit_bits(from);
        let mut place = from;
        while dialled.count < GROUPS_MAX {
            let filled = dialled.total();
            let room = DIGITS_MAX - filled;
            let end = match bits {
                Some(bits) if place - from < BITS_REACH => {
                    place + ((!(bits >> (place - from))).trailing_zeros() as usize).min(room)
                }
                _ => text.short_run(place, DIGIT, room),
            };
            let len = end - place;
            match text.bytes().get(place..).and_then(<[u8]>::first_chunk::<COPIED_BYTES>) {
                Some(copied) => dialled.digits[filled..filled + COPIED_BYTES].copy_from_slice(copied),
                None => {
                    let group = text.bytes().get(place..end).unwrap_or_default();
                    dialled.digits[filled..filled + group.len()].copy_from_slice(group);
                }
            }
            let filled = filled + len;
            if len == 0 || text.is(end, DIGIT) {
                break;
            }
            let bounded = text.boundary_at(end) || text.at(end) == b'x';
            dialled.groups[dialled.count] = Group {
                len: len as u8,
                total: filled as u8,
                span: (end - from) as u8,
                bounded,
                ..group
            };
            dialled.count += 1;
            match separators(text, end, group.opened) {
                Some((next, next_group)) => (place, group) = (next, next_group),
                None => break,
            }
        }
        dialled
    }

    fn total(&self) -> usize {
        self.groups[..self.count]
            .last()
            .map_or(0, |group| usize::from(group.total))
    }

    /// Where a group ends.
    fn end(&self, group: &Group) -> usize {
        self.start + usize::from(group.span)
    }

    fn groups(&self) -> &[Group] {
        &self.groups[..self.count]
    }

    /// Year, month and day, or the other way round.
    fn is_date(&self) -> bool {
        match self.groups() {
            [one, two, three, ..] => matches!((one.len, two.len, three.len), (4, 1 | 2, 1 | 2) | (1 | 2, 1 | 2, 4)),
            _ => false,
        }
    }

    fn is_decimal(&self) -> bool {
        self.count == 2 && self.groups[1].separator == b'.'
    }

    /// The groups have these lengths and the same separator between them.
    fn laid_out(&self, lens: &[usize], separators: &[u8]) -> bool {
        let alike = |k: usize| separators.contains(&self.groups[k].separator);
        self.count >= lens.len()
            && lens
                .iter()
                .zip(self.groups())
                .all(|(len, group)| *len == usize::from(group.len))
            && (1..lens.len()).all(alike)
            && self.groups[lens.len() - 1].bounded
    }
}

/// Skips what may stand between two groups.
fn separators(text: &Text<'_>, end: usize, opened: bool) -> Option<(usize, Group)> {
    let mut place = end;
    let mut group = Group::default();
    if opened && text.at(place) == b')' {
        (place, group.separator) = (place + 1, b')');
    } else if opened {
        return None;
    }
    if matches!(text.at(place), b' ' | b'-' | b'.' | b'/') {
        (place, group.separator) = (place + 1, text.at(place));
    }
    if text.at(place) == b'(' {
        (place, group.opened) = (place + 1, true);
    }
    (place > end && text.is(place, DIGIT)).then_some((place, group))
}

/// A `+` at `plus`.
pub(crate) fn international(text: &Text<'_>, plus: usize) -> Option<Hit> {
    if !text.boundary_before(plus) || text.before(plus, 1) == b'+' {
        return None;
    }
    let opened = usize::from(text.at(plus + 1) == b'(');
    let dialled = Dialled::read(text, plus + 1 + opened);
    let end = international_end(&dialled, 0)?;
    Some(Hit::new(plus, extension(text, end), 90))
}

/// End of the international number whose country code is at digit `skip`.
fn international_end(dialled: &Dialled, skip: usize) -> Option<usize> {
    let (code, lengths) = country(dialled.digits.get(skip..dialled.total())?)?;
    // In `+44 (0)20 …` the zero in parentheses is not dialled from abroad.
    let is_trunk =
        |group: &Group| group.opened && group.len == 1 && dialled.digits[usize::from(group.total) - 1] == b'0';
    let trunk = dialled.groups().iter().position(is_trunk);
    let ends = dialled
        .groups()
        .iter()
        .enumerate()
        .rev()
        .filter(|(_, group)| group.bounded);
    let mut candidates = ends.filter_map(|(place, group)| {
        let trunk_digits = usize::from(trunk.is_some_and(|trunk| trunk <= place));
        let national = usize::from(group.total).checked_sub(skip + code + trunk_digits)?;
        lengths.contains(&national).then(|| dialled.end(group))
    });
    candidates.next()
}

/// Length of the country code at the start of `digits`, and the lengths of that country's national numbers.
fn country(digits: &[u8]) -> Option<(usize, std::ops::RangeInclusive<usize>)> {
    let number = |len: usize| {
        digits
            .get(..len)?
            .iter()
            .try_fold(0, |n, d| Some(n * 10 + usize::from(d - b'0')))
    };
    let one = number(1)?;
    if matches!(one, 1 | 7) {
        let north_america = one == 1 && digits.len() >= 11 && !north_american(&digits[1..11]);
        return (!north_america).then_some((1, 10..=10));
    }
    let two = number(2)?;
    let lengths = match two {
        20 => 8..=10,
        27 | 33 | 34 | 41 | 56 | 94 | 93 => 9..=9,
        30 | 58 | 90 | 91 | 98 => 10..=10,
        31 => 9..=11,
        32 | 36 | 51 | 66 => 8..=9,
        39 => 6..=11,
        40 | 61 => 9..=9,
        43 => 7..=13,
        44 => 9..=10,
        45 | 47 | 65 => 8..=8,
        46 => 7..=10,
        48 => 9..=9,
        49 => 6..=12,
        52 | 54 | 55 | 86 => 10..=11,
        53 => 6..=8,
        57 => 8..=10,
        60 | 95 => 7..=10,
        62 => 7..=12,
        63 | 64 => 8..=10,
        81 | 84 | 92 => 9..=10,
        82 => 8..=11,
        _ => return three(number(3)?).map(|lengths| (3, lengths)),
    };
    Some((2, lengths))
}

/// Lengths of national numbers behind a country code of three digits.
fn three(code: usize) -> Option<std::ops::RangeInclusive<usize>> {
    Some(match code {
        210 | 214 | 215 | 217 | 219 | 259 | 276..=279 | 283..=289 | 292..=296 | 384 | 388 => {
            return None;
        }
        212 | 233 | 251 | 254..=256 | 351 | 380 | 420 | 421 | 595 | 967 | 996 | 998 => 9..=9,
        213 | 381 | 385 | 593 | 886 | 963 | 966 | 971 | 972 => 8..=9,
        216 | 371 | 370 | 502 | 503 | 506 | 598 | 852 | 853 | 962 | 965 | 968 | 973 | 974 => 8..=9,
        353 | 354 | 359 => 7..=9,
        372 | 507 | 961 => 7..=8,
        200..=299 | 350..=389 | 423 | 500..=509 | 590..=599 | 670..=692 => 6..=12,
        800 | 808 | 850 | 855 | 856 | 870 | 878 | 880..=883 | 888 => 6..=12,
        960..=968 | 970..=977 | 979 | 992..=996 => 6..=12,
        _ => return None,
    })
}

/// Ten digits `NPA NXX XXXX` of the North American Numbering Plan: neither part begins with 0 or 1 or is `N11`.
fn north_american(digits: &[u8]) -> bool {
    let part = |from: usize| digits[from] >= b'2' && !(digits[from + 1] == b'1' && digits[from + 2] == b'1');
    digits.len() == 10 && part(0) && part(3)
}

/// A digit, or a parenthesis before one, at `place`.
pub(crate) fn national(engine: &mut Engine<'_, '_>, place: usize) {
    let opened = engine.text().bytes()[place] == b'(';
    if !engine.text().boundary_before(place) || engine.text().before(place, 1) == b'+' {
        return;
    }
    let digits = engine.text().digit_bits(place + usize::from(opened));
    let spaced = !opened && digits.is_some_and(|digits| blank_behind(engine.text(), place, digits));
    let rest = engine.text().bytes().get(place + usize::from(opened)..);
    let head = rest.and_then(<[u8]>::first_chunk).copied().unwrap_or_default();
    let laid_out = engine.scanner().phone_plans.name_regions()
        || digits.is_none_or(|digits| layout_possible(digits, head, spaced));
    if !laid_out && !engine.hot(Context::of(PhoneNumber), place) {
        return;
    }
    engine.text().forget_edge();
    let hit = national_hit(engine, place, opened);
    engine.judged(PhoneNumber.into(), engine.scanner().rank(PhoneNumber), place, hit);
}

fn national_hit(engine: &mut Engine<'_, '_>, place: usize, opened: bool) -> Option<Hit> {
    let scanner = engine.scanner();
    let text = engine.text();
    let dialled = Dialled::read(text, place + usize::from(opened));
    if dialled.total() < DIGITS_MIN || text.needs_more() {
        return None;
    }
    if let Some(end) = unmistakable(&dialled, scanner.phone_regions, opened) {
        return Some(Hit::new(place, extension(text, end), 80));
    }
    if let Some(end) = of_named_region(&dialled, &scanner.phone_plans) {
        return Some(Hit::new(place, extension(text, end), 75));
    }
    if !engine.hot(Context::of(PhoneNumber), place) {
        return None;
    }
    let end = plausible(&dialled, &scanner.phone_plans)?;
    Some(Hit::new(place, extension(engine.text(), end), 60))
}

/// Bytes that may stand between two groups: a closing parenthesis, a separator, an opening one.
const JOINT_BYTES_MAX: u32 = 3;

/// Whether [`unmistakable`] may find a layout of its own, given the digits of the next 64 bytes and the first two. North American layouts are
/// `spaced`, with a blank behind their first group, only when that stands in parentheses which belong to the number.
#[inline(always)]
pub(crate) fn layout_possible(digits: u64, head: [u8; 2], spaced: bool) -> bool {
    let [first, second] = head;
    let (one, rest) = group(digits);
    let (two, rest) = group(rest);
    let (three, rest) = group(rest);
    let (four, _) = group(rest);
    match (one, two, three) {
        (2, 2, 2) => first == b'0' && second != b'0' && four == 2,
        (3, 4, 4) | (4, 3, 3 | 4) | (5, 3, 3) => first == b'0' && second != b'0',
        (4, 3, 2) => first == b'0' && second != b'0' && four == 2,
        (2, 4 | 5, 4) => first != b'0',
        (3, 3, 4) => !spaced && first >= b'2',
        (1..=3, 3, 3) => !spaced && four == 4,
        _ => false,
    }
}

/// Length of the first group of digits, and what follows the joint behind it.
#[inline(always)]
fn group(digits: u64) -> (u32, u64) {
    let len = digits.trailing_ones();
    let rest = digits.checked_shr(len).unwrap_or(0);
    let joint = rest.trailing_zeros();
    (len, if joint > JOINT_BYTES_MAX { 0 } else { rest >> joint })
}

/// The group that begins at `place` is separated from the next by a blank, perhaps behind a closing parenthesis.
fn blank_behind(text: &Text<'_>, place: usize, digits: u64) -> bool {
    let at = |offset: usize| text.bytes().get(place + offset).copied().unwrap_or(0);
    let end = digits.trailing_ones() as usize;
    at(end) == b' ' || at(end) == b')' && at(end + 1) == b' '
}

/// End of a number whose layout alone tells that it is one.
fn unmistakable(dialled: &Dialled, regions: u64, opened: bool) -> Option<usize> {
    let on = |region: Region| regions & region.bit() != 0;
    let digits = &dialled.digits;
    let end = |count: usize| dialled.end(&dialled.groups[count - 1]);
    if on(Region::NorthAmerica) {
        let joint: &[u8] = if opened { b" -.)" } else { b"-." };
        let alike = opened || dialled.groups[1].separator == dialled.groups[2].separator;
        if alike && dialled.laid_out(&[3, 3, 4], joint) && north_american(&digits[..10]) {
            return Some(end(3));
        }
        if !opened && prefixed_north_american(dialled) {
            return Some(end(4));
        }
    }
    let by_layout = LAYOUTS.iter().find(|(region, lead, lens, joint)| {
        on(*region) && digits.starts_with(lead) && digits[1] != b'0' && dialled.laid_out(lens, joint)
    });
    if let Some((_, _, lens, _)) = by_layout {
        return Some(end(lens.len()));
    }
    let brazil = opened && on(Region::Brazil) && digits[0] >= b'1' && dialled.groups[1].separator != b'.';
    let mobile = brazil && dialled.laid_out(&[2, 5, 4], b" -)") && digits[2] == b'9';
    let fixed = brazil && dialled.laid_out(&[2, 4, 4], b" -)") && matches!(digits[2], b'2'..=b'5');
    (mobile || fixed).then(|| end(3))
}

/// A country code without `+` before ten North American digits: `1-415-555-0132`, `001-415-555-0132`.
fn prefixed_north_american(dialled: &Dialled) -> bool {
    let prefix = usize::from(dialled.groups[0].len);
    if !(1..=3).contains(&prefix) || !dialled.laid_out(&[prefix, 3, 3, 4], b"-.)") {
        return false;
    }
    let digits = &dialled.digits[..prefix + 10];
    let code = &digits[..prefix];
    let known = code == b"1" || code == b"001" || (code[0] != b'0' && country(digits).is_some());
    known && north_american(&digits[prefix..])
}

/// Region, first digits, lengths of the groups, separators between them.
type Layout = (Region, &'static [u8], &'static [usize], &'static [u8]);

/// Layouts that nothing but a phone number has.
const LAYOUTS: &[Layout] = &[
    (Region::France, b"0", &[2, 2, 2, 2, 2], b" .-"),
    (Region::Japan, b"0", &[3, 4, 4], b"-"),
    (Region::Korea, b"01", &[3, 4, 4], b"-"),
    (Region::Turkey, b"0", &[4, 3, 2, 2], b" -"),
    (Region::Philippines, b"09", &[4, 3, 4], b" -"),
    (Region::Australia, b"04", &[4, 3, 3], b" -"),
    (Region::UnitedKingdom, b"07", &[5, 3, 3], b" -"),
    (Region::UnitedKingdom, b"02", &[3, 4, 4], b" -)"),
];

/// What a national number looks like: first digits, number of digits, and which digits may follow the first ones.
struct Plan {
    region: Region,
    lead: &'static [u8],
    digits_min: usize,
    digits_max: usize,
    next: &'static [u8],
}

const fn plan(region: Region, lead: &'static [u8], digits_min: usize, digits_max: usize, next: &'static [u8]) -> Plan {
    Plan {
        region,
        lead,
        digits_min,
        digits_max,
        next,
    }
}

const ANY: &[u8] = b"123456789";

#[rustfmt::skip]
const PLANS: &[Plan] = &[
    plan(Region::UnitedKingdom, b"0", 10, 11, b"123578"), plan(Region::Ireland, b"0", 9, 10, ANY),
    plan(Region::Germany, b"0", 8, 12, ANY), plan(Region::Austria, b"0", 8, 13, ANY),
    plan(Region::Switzerland, b"0", 10, 10, b"23456789"), plan(Region::France, b"0", 10, 10, ANY),
    plan(Region::Belgium, b"0", 9, 10, ANY), plan(Region::Netherlands, b"0", 10, 10, ANY),
    plan(Region::Spain, b"", 9, 9, b"6789"), plan(Region::Portugal, b"", 9, 9, b"239"),
    plan(Region::Italy, b"0", 7, 11, ANY), plan(Region::Italy, b"3", 9, 10, ANY),
    plan(Region::Sweden, b"0", 8, 10, ANY), plan(Region::Norway, b"", 8, 8, b"23456789"),
    plan(Region::Denmark, b"", 8, 8, b"23456789"), plan(Region::Finland, b"0", 7, 11, ANY),
    plan(Region::Poland, b"", 9, 9, ANY), plan(Region::Czechia, b"", 9, 9, b"2345679"),
    plan(Region::Turkey, b"0", 11, 11, b"23458"), plan(Region::Turkey, b"5", 10, 10, b"03456"),
    plan(Region::Israel, b"0", 9, 10, b"23456789"), plan(Region::SouthAfrica, b"0", 10, 10, b"12345678"),
    plan(Region::India, b"", 10, 10, b"6789"), plan(Region::India, b"0", 11, 11, ANY),
    plan(Region::Japan, b"0", 10, 11, ANY), plan(Region::Korea, b"0", 9, 11, b"123456"),
    plan(Region::China, b"1", 11, 11, b"3456789"), plan(Region::China, b"0", 10, 12, ANY),
    plan(Region::Singapore, b"", 8, 8, b"3689"), plan(Region::Philippines, b"0", 9, 11, ANY),
    plan(Region::Australia, b"0", 10, 10, b"23478"), plan(Region::NewZealand, b"0", 9, 11, b"234679"),
    plan(Region::Brazil, b"", 10, 11, ANY), plan(Region::Mexico, b"", 10, 10, b"23456789"),
    plan(Region::Argentina, b"", 10, 10, b"123"), plan(Region::Argentina, b"0", 11, 11, b"123"),
];

/// Numbers of digits that the regions' plans allow, as bits, by the first two digits.
pub(crate) struct Plans {
    lengths: [u16; 100],
    north_america: bool,
    /// Regions that the policy names, all others being left out.
    named: u64,
}

impl Plans {
    pub fn build(regions: u64, named: bool) -> Plans {
        let mut lengths = [0; 100];
        for plan in PLANS.iter().filter(|plan| regions & plan.region.bit() != 0) {
            for pair in 0..100u8 {
                let digits = [b'0' + pair / 10, b'0' + pair % 10];
                let led = digits.starts_with(plan.lead);
                if led && plan.next.contains(&digits[plan.lead.len()]) {
                    let up_to = |digits: usize| (1u32 << (digits + 1)) - 1;
                    lengths[usize::from(pair)] |= (up_to(plan.digits_max) & !up_to(plan.digits_min - 1)) as u16;
                }
            }
        }
        Plans {
            lengths,
            north_america: regions & Region::NorthAmerica.bit() != 0,
            named: if named { regions } else { 0 },
        }
    }

    /// Numbers without a layout of their own count, since the policy names their regions.
    #[inline(always)]
    pub fn name_regions(&self) -> bool {
        self.named != 0
    }

    fn allow(&self, digits: &[u8]) -> bool {
        let pair = usize::from(digits[0] - b'0') * 10 + usize::from(digits[1] - b'0');
        let planned = self.lengths[pair] >> digits.len() & 1 == 1;
        let north_america = || north_american(digits) || (digits[0] == b'1' && north_american(&digits[1..]));
        planned || (self.north_america && north_america())
    }
}

/// End of the longest number that the regions which the policy names are known for, however it is grouped.
fn of_named_region(dialled: &Dialled, plans: &Plans) -> Option<usize> {
    if !plans.name_regions() || dialled.is_date() || dialled.is_decimal() {
        return None;
    }
    let ends = dialled.groups().iter().enumerate().rev();
    let mut candidates = ends.filter(|(place, group)| {
        let lone = dialled.groups()[1..=*place].iter().any(|group| group.len == 1);
        group.bounded && !lone && mobile::is_of(&dialled.digits[..usize::from(group.total)], plans.named)
    });
    candidates.next().map(|(_, group)| dialled.end(group))
}

/// End of the longest number that some region's plan allows. The layout is free, but no lone digits, no date and no decimal
/// number.
fn plausible(dialled: &Dialled, plans: &Plans) -> Option<usize> {
    if dialled.is_date() || dialled.is_decimal() {
        return None;
    }
    let ends = dialled
        .groups()
        .iter()
        .enumerate()
        .rev()
        .filter(|(_, group)| group.bounded);
    let mut candidates = ends.filter(|(place, group)| {
        let digits = &dialled.digits[..usize::from(group.total)];
        let lone = dialled.groups()[1..=*place].iter().any(|group| group.len == 1);
        digits.len() >= DIGITS_MIN && !lone && plans.allow(digits)
    });
    let by_plan = candidates.next().map(|(_, group)| dialled.end(group));
    by_plan.or_else(|| {
        dialled
            .digits
            .starts_with(b"00")
            .then(|| international_end(dialled, 2))
            .flatten()
    })
}

/// End of the number with its extension, if there is one.
fn extension(text: &Text<'_>, end: usize) -> usize {
    let blank = usize::from(text.at(end) == b' ');
    // One byte rules most out.
    if !matches!(text.at(end + blank), b'e' | b'E' | b'x' | b'X' | b'#') {
        return end;
    }
    let words: [&[u8]; 5] = [b"extension", b"ext.", b"ext", b"x", b"#"];
    let Some(word) = words.into_iter().find(|word| text.has_any_case(end + blank, word)) else {
        return end;
    };
    let mut from = end + blank + word.len();
    from += usize::from(text.at(from) == b' ');
    let digits_end = text.short_run(from, DIGIT, EXTENSION_DIGITS_MAX + 1);
    let sound = digits_end > from && digits_end - from <= EXTENSION_DIGITS_MAX && text.boundary_at(digits_end);
    if sound { digits_end } else { end }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{assert_misses, assert_spans, assert_spans_with};
    use crate::{Detector, Spec};

    #[test]
    fn a_trunk_zero_inside_of_the_country_code_is_survived() {
        assert_misses(PhoneNumber, &["+2 (0) 1", "+4 (0)1"]);
    }

    #[test]
    fn international_numbers_end_where_the_country_says() {
        assert_spans(
            PhoneNumber,
            &[
                "«+14155550132»",
                "tel:«+1-415-555-0132»",
                "«+1 (415) 555-0132»",
                "«+44 20 7946 0958»",
                "«+44 (0)20 7946 0958»",
                "_: «+55 11 98456 5666» 2024",
                "«+49 30 123456»",
                "电话«+8613812345678»。",
                "«+905321234567», x",
                "«+33 6 12 34 56 78»",
                "«+1 415 555 0132» 10 items",
                "«+1-415-555-0132x123»",
                "«+1 415 555 0132 ext. 7»",
                "(«+41 44 668 18 00»)",
            ],
        );
        assert_misses(
            PhoneNumber,
            &[
                "+1415555013",
                "+141555501322",
                "+999123456789",
                "a+14155550132",
                "+1 115 555 0132",
                "++14155550132",
                "+44 123",
                "1+14155550132",
                "+2101234567",
                "+14155550132a",
            ],
        );
    }

    #[test]
    fn unmistakable_national_layouts_need_no_context() {
        assert_spans(
            PhoneNumber,
            &[
                "«(415) 555-0132»",
                "x «415-555-0132».",
                "«415.555.0132»",
                "«1-415-555-0132»",
                "«001-415-555-0132x12»",
                "«06 12 34 56 78»",
                "«090-1234-5678»",
                "«0917 123 4567»",
                "«(11) 98456-5666»",
                "no «91-415-555-0132»",
                "«(415)555-0132»",
            ],
        );
        assert_misses(
            PhoneNumber,
            &[
                "115-555-0132",
                "415-155-0132",
                "415-555-01322",
                "a415-555-0132",
                "415 555 0132",
                "4155550132",
                "2024-01-15 10:22:33",
                "12.34.5678",
                "1234-5678",
                "10.20.30.40",
            ],
        );
    }

    #[test]
    fn weak_layouts_need_a_hot_word() {
        assert_spans(
            PhoneNumber,
            &[
                "my phone number is «425 8829090»",
                "phone: «4155550132»",
                "mobile «415 555 0132»",
                "Tel. «020 7946 0958»",
                "call «0044 20 7946 0958»",
                "\"homePhone\":\"«4155550132»\"",
                "fax «030/1234567»",
            ],
        );
        assert_misses(
            PhoneNumber,
            &[
                "phone 2024-01-15",
                "phone 12",
                "phone 1234567890123456",
                "order 4155550132",
            ],
        );
    }

    #[test]
    fn numbers_of_named_regions_need_no_hot_word() {
        let spec = |region| Spec {
            phone_regions: vec![region],
            ..Spec::of(&[Detector::PhoneNumber])
        };
        assert_spans_with(
            &spec(Region::Turkey),
            PhoneNumber,
            &[
                "«05359876543»",
                "x «532 123 45 67».",
                "«0412 123 45 67»",
                "«0(532) 123 45 67»",
                "«00905321234567»",
                "«905321234567»",
                "1234567890",
                "532123456",
                "15053212345678",
                "2024-01-15 053",
                "0532 12 34",
            ],
        );
        assert_spans_with(
            &spec(Region::Philippines),
            PhoneNumber,
            &[
                "«09181234567»",
                "x «0917-123-4567».",
                "«639171234567»",
                "091712345678",
                "0817123456",
                "9171234567",
            ],
        );
        assert_spans_with(
            &spec(Region::China),
            PhoneNumber,
            &["«13812345678»", "电话«138 1234 5678»", "12812345678"],
        );
    }

    #[test]
    fn regions_limit_national_formats_only() {
        let spec = Spec {
            phone_regions: vec![Region::France],
            ..Spec::of(&[Detector::PhoneNumber])
        };
        assert_spans_with(
            &spec,
            PhoneNumber,
            &["«06 12 34 56 78»", "415-555-0132", "«+14155550132»", "phone 4155550132"],
        );
    }
}
