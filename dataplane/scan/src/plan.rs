//! The shapes of a policy, compiled into what a back end checks per window: class codes, fingerprints, flags.
//!
//! ```text
//! code of a byte   7   6   5       4   3   2   1    0
//!                  key lit special op  gap sep word digit      (key and lit come from the fingerprints)
//! ```
//! The bits of a byte that is no letter, digit or underscore combine: a blank is `sep|gap`, `(` is `sep|op|special`, and so on.

use crate::Detector;
use crate::detect::tokens::Index;
use crate::scanner::Enabled;
use crate::shape::{self, Shape};
use crate::trigger::Triggers;
use crate::words::Words;

pub(crate) const DIGIT: u8 = 1;
pub(crate) const WORD: u8 = 1 << 1;
/// May stand between groups of digits: blank, dash, dot, slash, parentheses.
pub(crate) const SEP: u8 = 1 << 2;
/// May stand between a key and its operator: blank, quotes, backslash, bracket, colon. On letters: hexadecimal.
pub(crate) const GAP: u8 = 1 << 3;
pub(crate) const OP: u8 = 1 << 4;
pub(crate) const SPECIAL: u8 = 1 << 5;
pub(crate) const LITERAL: u8 = 1 << 6;
pub(crate) const KEY: u8 = 1 << 7;

/// Bytes that a fingerprint of a literal or key looks at.
pub(crate) const PRINT_BYTES: usize = 4;
/// The same of a hot word.
pub(crate) const HOT_PRINT_BYTES: usize = 5;
/// Bytes beyond a window that fingerprints of its last places look at.
pub(crate) const PRINT_AHEAD_BYTES: usize = PRINT_BYTES - 1;

/// Code of each ASCII byte; all others have none.
pub(crate) static CODES: [u8; 128] = codes();

const fn codes() -> [u8; 128] {
    let mut codes = [0; 128];
    let mut byte = 0;
    while byte < 128 {
        codes[byte] = code(byte as u8);
        byte += 1;
    }
    codes
}

const fn code(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => DIGIT | WORD,
        b'a'..=b'f' | b'A'..=b'F' => WORD | GAP,
        b'g'..=b'z' | b'G'..=b'Z' | b'_' => WORD,
        b' ' => SEP | GAP,
        b'-' => SEP,
        b'.' => SEP | SPECIAL,
        b'/' => SEP | OP,
        b'(' => SEP | OP | SPECIAL,
        b')' => SEP | GAP | SPECIAL,
        b'"' | b'\'' | b'`' | b']' | b'\\' => GAP,
        b':' => OP | GAP,
        b'=' => OP,
        b'@' => SPECIAL,
        b'+' => OP | SPECIAL,
        _ => 0,
    }
}

/// For each of `N` places the sets (one bit each) that allow a byte there. A text matches a set if all its bytes do.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub(crate) struct Prints<const N: usize> {
    pub allow: [[u8; 128]; N],
    /// The same by the lower and by the upper half of a byte: what both allow contains what `allow` does.
    pub low: [[u8; 16]; N],
    pub high: [[u8; 16]; N],
    /// All sets for the bytes behind which a word ends: no letter, a plural `s`, or a capital that begins a word in camel case.
    pub behind: [u8; 128],
}

/// Sets of the fingerprints that say [`LITERAL`]; the others say [`KEY`].
pub(crate) const LITERAL_SETS: u8 = 0x0f;
pub(crate) const KEY_SETS: u8 = 0xf0;

impl<const N: usize> Prints<N> {
    fn empty() -> Prints<N> {
        Prints {
            allow: [[0; 128]; N],
            low: [[0; 16]; N],
            high: [[0; 16]; N],
            behind: std::array::from_fn(|byte| match byte as u8 {
                b's' => u8::MAX,
                b'a'..=b'z' => 0,
                _ => u8::MAX,
            }),
        }
    }

    /// Allows what a form allows, in one set.
    fn add(&mut self, form: &Form<N>, set: u8) {
        for (place, bytes) in form.0.iter().enumerate() {
            for byte in (0..128).filter(|byte| bytes >> byte & 1 == 1) {
                self.allow_byte(place, byte, set);
            }
        }
    }

    /// Distributes forms over `count` sets from `first` on, such that the sets allow little that no form does.
    fn spread(&mut self, mut forms: Vec<Form<N>>, first: usize, count: usize) {
        forms.sort_by_key(|form| form.0.map(u128::trailing_zeros).into_iter().rev().collect::<Vec<_>>());
        forms.dedup();
        let mut rated: Vec<(Form<N>, u64)> = forms.into_iter().map(|form| (form, form.volume())).collect();
        join_chunks(&mut rated);
        join_neighbours(&mut rated, WEIGHED_FORMS_MAX.max(count));
        while rated.len() > count {
            let pairs = (0..rated.len()).flat_map(|a| (a + 1..rated.len()).map(move |b| (a, b)));
            let Some((a, b)) = pairs.min_by_key(|(a, b)| cost(&rated[*a], &rated[*b])) else {
                break;
            };
            let (other, _) = rated.remove(b);
            let joined = rated[a].0.join(&other);
            rated[a] = (joined, joined.volume());
        }
        let forms: Vec<Form<N>> = rated.into_iter().map(|(form, _)| form).collect();
        for (place, form) in forms.iter().enumerate() {
            self.add(form, 1 << (first + place));
        }
    }

    fn allow_byte(&mut self, place: usize, byte: u8, set: u8) {
        self.allow[place][usize::from(byte & 0x7f)] |= set;
        self.low[place][usize::from(byte & 15)] |= set;
        self.high[place][usize::from(byte >> 4)] |= set;
    }

    /// Sets that the bytes match.
    #[inline(always)]
    pub fn sets(&self, bytes: [u8; N]) -> u8 {
        let places = self.allow.iter().zip(bytes);
        places.fold(u8::MAX, |sets, (allow, byte)| {
            sets & allow[if byte < 0x80 { usize::from(byte) } else { 0 }]
        })
    }
}

/// More forms than these are joined with their neighbours only: compiling a policy stays quick.
const WEIGHED_FORMS_MAX: usize = 20;

/// What is allowed in addition when two forms with their volumes become one.
fn cost<const N: usize>(a: &(Form<N>, u64), b: &(Form<N>, u64)) -> u64 {
    a.0.join(&b.0).volume().saturating_sub(a.1 + b.1)
}

/// More forms than these are first joined by equal parts: they saturate the sets whichever are joined.
const RATED_FORMS_MAX: usize = 512;

fn join_chunks<const N: usize>(rated: &mut Vec<(Form<N>, u64)>) {
    let part = rated.len().div_ceil(RATED_FORMS_MAX).max(1);
    if part == 1 {
        return;
    }
    let joined = rated.chunks(part).map(|forms| {
        let form = forms
            .iter()
            .skip(1)
            .fold(forms[0].0, |joined, (form, _)| joined.join(form));
        (form, form.volume())
    });
    *rated = joined.collect();
}

/// Joins neighbours, the cheapest first, until so many forms are left.
fn join_neighbours<const N: usize>(rated: &mut Vec<(Form<N>, u64)>, count: usize) {
    let mut costs: Vec<u64> = rated.windows(2).map(|pair| cost(&pair[0], &pair[1])).collect();
    while rated.len() > count {
        let Some(at) = (0..costs.len()).min_by_key(|at| costs[*at]) else {
            return;
        };
        let (other, _) = rated.remove(at + 1);
        let joined = rated[at].0.join(&other);
        rated[at] = (joined, joined.volume());
        costs.remove(at);
        for pair in [at.wrapping_sub(1), at] {
            if let Some([a, b]) = rated.get(pair..pair.wrapping_add(2)) {
                costs[pair] = cost(a, b);
            }
        }
    }
}

/// The bytes that are possible at each place of a fingerprint; those beyond ASCII count as NUL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Form<const N: usize>([u128; N]);

impl<const N: usize> Form<N> {
    /// A text begins so.
    fn head(text: &[u8], any_case: bool) -> Form<N> {
        let mut form = Form([u128::MAX; N]);
        for (place, byte) in text.iter().take(N).enumerate() {
            form.0[place] = if any_case { both_cases(*byte) } else { 1 << byte };
        }
        form
    }

    /// A text ends so, in any case.
    fn end(text: &[u8]) -> Form<N> {
        let mut form = Form([u128::MAX; N]);
        for (place, byte) in text.iter().rev().take(N).enumerate() {
            form.0[N - 1 - place] = both_cases(*byte);
        }
        form
    }

    /// The same as [`Form::end`] for a word of its own: before a short one stands no letter, except where camel case begins it.
    fn word_end(text: &[u8]) -> Vec<Form<N>> {
        let form = Form::end(text);
        let Some(before) = (N - 1).checked_sub(text.len()) else {
            return vec![form];
        };
        let (mut alone, mut camel) = (form, form);
        alone.0[before] = !letters(u8::is_ascii_alphabetic);
        camel.0[before] = letters(u8::is_ascii_lowercase);
        camel.0[before + 1] &= letters(u8::is_ascii_uppercase);
        vec![alone, camel]
    }

    fn join(&self, other: &Form<N>) -> Form<N> {
        let mut joined = *self;
        joined.0.iter_mut().zip(other.0).for_each(|(own, other)| *own |= other);
        joined
    }

    /// How much text the form allows, by how common its bytes are.
    fn volume(&self) -> u64 {
        let common = |bytes: &u128| {
            let ordinary = COMMON.iter().enumerate();
            let rated = ordinary.filter(|(rate, set)| *rate > 0 && bytes & **set != 0);
            rated
                .map(|(rate, set)| (bytes & set).count_ones() as u64 * rate as u64)
                .sum::<u64>()
                + u64::from(*bytes != 0)
        };
        self.0.iter().map(common).product()
    }
}

/// Bytes by how often they stand in text, in hundredths.
const COMMON: [u128; 10] = [
    0,
    set(b"vkjxqzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./"),
    set(b"ugmfwypb"),
    0,
    set(b"dlc"),
    0,
    set(b"srh"),
    set(b"ion"),
    0,
    set(b"eta "),
];

const fn set(bytes: &[u8]) -> u128 {
    let mut set = 0;
    let mut place = 0;
    while place < bytes.len() {
        set |= 1 << bytes[place];
        place += 1;
    }
    set
}

/// Bytes beyond ASCII are looked up as NUL.
fn both_cases(byte: u8) -> u128 {
    let byte = if byte.is_ascii() { byte } else { 0 };
    1 << byte.to_ascii_lowercase() | 1 << byte.to_ascii_uppercase()
}

fn letters(wanted: fn(&u8) -> bool) -> u128 {
    (0..128u8).filter(wanted).fold(0, |set, byte| set | 1 << byte)
}

/// Which families of shapes a back end computes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted {
    pub card: bool,
    pub phone: bool,
    pub iban: bool,
    pub at: bool,
    pub url: bool,
    pub keys: bool,
    pub literals: bool,
    pub secret: bool,
    pub dotted: bool,
    pub colons: bool,
    pub pairs: bool,
    pub weak_number: bool,
    pub weak_parenthesis: bool,
    /// Groups 3-2-4.
    pub g324: bool,
    pub words: bool,
    pub scheme: bool,
    pub dot: bool,
}

impl Wanted {
    /// Anything that begins with a digit.
    pub fn digit_borne(&self) -> bool {
        self.card || self.phone || self.g324 || self.dotted
    }
}

/// Everything a back end needs to know about a policy.
pub(crate) struct Plan {
    pub wanted: Wanted,
    pub prints: Box<Prints<PRINT_BYTES>>,
    /// Ends of hot words.
    pub hot: Box<Prints<HOT_PRINT_BYTES>>,
    pub words: Words,
    /// Lengths of groups of digits.
    pub groups: Vec<&'static [u8]>,
    /// Triggers of the detectors about whose shape nothing is known.
    pub fallback: Option<Triggers>,
    /// There are so many hot words that something in every window looks like one.
    pub hot_later: bool,
    /// Numbers that look like nothing in particular may be telephone numbers of the regions that the policy names.
    pub any_number: bool,
}

/// More spellings of hot words than these look like too much text.
const HOT_SPELLINGS_MAX: usize = 160;

impl Plan {
    /// Compiles the shapes of the enabled detectors; `hot_words` are all spellings of the words that enable weak ones.
    pub fn build<'w>(enabled: Enabled, checksum_suffices: Enabled, hot_words: impl Iterator<Item = &'w [u8]>) -> Plan {
        let mut plan = Plan {
            wanted: Wanted::default(),
            prints: Box::new(Prints::empty()),
            hot: Box::new(Prints::empty()),
            words: Words::build(enabled, checksum_suffices),
            groups: Vec::new(),
            fallback: None,
            hot_later: false,
            any_number: false,
        };
        let mut unknown = Enabled::default();
        let mut literals = Vec::new();
        let mut keys = Vec::new();
        for detector in Detector::all().filter(|detector| enabled.has(*detector)) {
            for shape in shape::of(detector) {
                match shape {
                    Shape::Any => unknown.add(detector),
                    Shape::Literal(text) => literals.push(Form::head(text, false)),
                    Shape::LiteralAnyCase(text) => literals.push(Form::head(text, true)),
                    Shape::Armour => literals.push(Form::head(b"-BEG", false)),
                    Shape::KeyEnds(ends) => keys.extend(ends.iter().map(|end| Form::end(end))),
                    other => plan.take(*other),
                }
            }
        }
        plan.wanted.words = !plan.words.is_empty();
        plan.fallback = (!unknown.is_empty()).then(|| Triggers::build(unknown, &Index::build(unknown)));
        plan.wanted.literals = !literals.is_empty();
        plan.wanted.keys = !keys.is_empty();
        plan.prints.spread(literals, 0, 4);
        plan.prints.spread(keys, 4, 4);
        let hot_words: Vec<&[u8]> = hot_words.collect();
        plan.hot_later = hot_words.len() > HOT_SPELLINGS_MAX;
        plan.hot
            .spread(hot_words.into_iter().flat_map(Form::word_end).collect(), 0, 8);
        plan
    }

    /// Whether the text begins with what may be a key of three letters.
    #[inline(always)]
    pub fn key_at_start(&self, text: &[u8]) -> bool {
        match text {
            [a, b, c, ..] => self.wanted.keys && self.prints.sets([0, *a, *b, *c]) & KEY_SETS != 0,
            _ => false,
        }
    }

    fn take(&mut self, shape: Shape) {
        let wanted = &mut self.wanted;
        match shape {
            Shape::WeakNumber => wanted.weak_number = true,
            Shape::WeakParenthesis => wanted.weak_parenthesis = true,
            Shape::Groups([3, 2, 4]) => wanted.g324 = true,
            Shape::Groups(lens) => {
                if !self.groups.contains(&lens) {
                    self.groups.push(lens);
                }
            }
            Shape::Scheme => wanted.scheme = true,
            Shape::Dot => wanted.dot = true,
            Shape::At => wanted.at = true,
            Shape::Phone => wanted.phone = true,
            Shape::Card => wanted.card = true,
            Shape::Iban => wanted.iban = true,
            Shape::Url => wanted.url = true,
            Shape::Secret => wanted.secret = true,
            Shape::Dotted => wanted.dotted = true,
            Shape::Colons => wanted.colons = true,
            Shape::Pairs => wanted.pairs = true,
            Shape::Any
            | Shape::Forms
            | Shape::Literal(_)
            | Shape::LiteralAnyCase(_)
            | Shape::Armour
            | Shape::KeyEnds(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_allows_its_text_and_little_else() {
        let mut prints = Prints::<4>::empty();
        prints.add(&Form::head(b"eyJ", false), 1);
        prints.add(&Form::head(b"basic", true), 2);
        prints.add(&Form::end(b"pwd"), 16);
        assert_eq!(prints.sets(*b"eyJ0"), 1);
        assert_eq!(prints.sets(*b"eyj0"), 0);
        assert_eq!(prints.sets(*b"BaSi"), 2);
        assert_eq!(prints.sets(*b"_PwD"), 16);
        assert_eq!(prints.sets(*b"bwsi"), 0);
    }

    #[test]
    fn short_words_stand_alone() {
        let mut prints = Prints::<4>::empty();
        prints.spread(Form::word_end(b"sk"), 0, 8);
        let hit = |four: &[u8; 4]| prints.sets(*four) != 0;
        assert!(hit(b"a sk") && hit(b"x_SK") && hit(b"keSk"));
        assert!(!hit(b"risk") && !hit(b"TASK"));
    }

    #[test]
    fn sets_allow_every_form_and_little_else() {
        let words: [&[u8]; 12] = [
            b"phone",
            b"telephone",
            b"mobile",
            b"mobil",
            b"call",
            b"cell",
            b"fax",
            b"msisdn",
            b"hotline",
            b"dial",
            b"handy",
            b"secret",
        ];
        let mut prints = Prints::<4>::empty();
        prints.spread(words.into_iter().flat_map(Form::word_end).collect(), 0, 8);
        for word in words.iter().filter(|word| word.len() >= 4) {
            assert_ne!(prints.sets(word[word.len() - 4..].try_into().unwrap()), 0);
        }
        for other in [b"rder", b"nths", b"ease", b"tion", b"name", b"ment"] {
            assert_eq!(prints.sets(*other), 0, "{}", String::from_utf8_lossy(other));
        }
    }
}
