//! National numbers that count by themselves where a rule names their region: mobile numbers, and others of one fixed length.

use crate::Region;

/// Numbers of a region by how they begin.
struct Numbers {
    region: Region,
    country: &'static [u8],
    /// First digits behind the trunk zero or the country code.
    leads: &'static [&'static [u8]],
    /// Digits from there on.
    digits_min: usize,
    digits_max: usize,
    /// A trunk zero goes before them at home.
    trunk: bool,
    /// They stand alone as well, without zero or country code.
    alone: bool,
}

const fn numbers(
    region: Region,
    country: &'static [u8],
    leads: &'static [&'static [u8]],
    digits: (usize, usize),
    trunk: bool,
    alone: bool,
) -> Numbers {
    Numbers {
        region,
        country,
        leads,
        digits_min: digits.0,
        digits_max: digits.1,
        trunk,
        alone,
    }
}

/// National numbering plans as the operators report them to the ITU (E.129 communications).
#[rustfmt::skip]
const NUMBERS: &[Numbers] = &[
    numbers(Region::Turkey, b"90", &[b"5"], (10, 10), true, true),
    numbers(Region::Turkey, b"90", &[b"2", b"3", b"4"], (10, 10), true, false),
    numbers(Region::Philippines, b"63", &[b"9"], (10, 10), true, false),
    numbers(Region::UnitedKingdom, b"44", &[b"7"], (10, 10), true, false),
    numbers(Region::Ireland, b"353", &[b"8"], (9, 9), true, false),
    numbers(Region::Germany, b"49", &[b"15", b"16", b"17"], (10, 11), true, false),
    numbers(Region::Austria, b"43", &[b"65", b"66", b"67", b"68", b"69"], (10, 11), true, false),
    numbers(Region::Switzerland, b"41", &[b"7"], (9, 9), true, false),
    numbers(Region::France, b"33", &[b"6", b"7"], (9, 9), true, false),
    numbers(Region::Belgium, b"32", &[b"45", b"46", b"47", b"48", b"49"], (9, 9), true, false),
    numbers(Region::Netherlands, b"31", &[b"6"], (9, 9), true, false),
    numbers(Region::Italy, b"39", &[b"3"], (10, 10), false, false),
    numbers(Region::Sweden, b"46", &[b"7"], (9, 9), true, false),
    numbers(Region::Israel, b"972", &[b"5"], (9, 9), true, false),
    numbers(Region::SouthAfrica, b"27", &[b"6", b"7", b"8"], (9, 9), true, false),
    numbers(Region::India, b"91", &[b"6", b"7", b"8", b"9"], (10, 10), true, false),
    numbers(Region::Japan, b"81", &[b"70", b"80", b"90"], (10, 10), true, false),
    numbers(Region::Korea, b"82", &[b"10"], (10, 10), true, false),
    numbers(Region::China, b"86", &[b"13", b"14", b"15", b"16", b"17", b"18", b"19"], (11, 11), false, true),
    numbers(Region::Australia, b"61", &[b"4"], (9, 9), true, false),
    numbers(Region::NewZealand, b"64", &[b"2"], (8, 10), true, false),
];

/// Whether all the digits are such a number of one of the regions.
pub(super) fn is_of(digits: &[u8], regions: u64) -> bool {
    NUMBERS
        .iter()
        .filter(|numbers| regions & numbers.region.bit() != 0)
        .any(|numbers| numbers.have(digits))
}

impl Numbers {
    fn have(&self, digits: &[u8]) -> bool {
        let abroad = digits.strip_prefix(b"00").unwrap_or(digits).strip_prefix(self.country);
        let home = digits.strip_prefix(b"0").filter(|_| self.trunk);
        let alone = Some(digits).filter(|_| self.alone);
        [abroad, home, alone].into_iter().flatten().any(|rest| self.fit(rest))
    }

    fn fit(&self, digits: &[u8]) -> bool {
        (self.digits_min..=self.digits_max).contains(&digits.len())
            && self.leads.iter().any(|lead| digits.starts_with(lead))
    }
}
