//! What a policy asks of the matcher, as written: built-in detectors, custom patterns, ranks, phone regions.

use crate::Detector;
use crate::limits::{
    CUSTOM_CONTEXT_COUNT_MAX, CUSTOM_COUNT_MAX, CUSTOM_MATCH_BYTES_MAX, CUSTOM_REGEX_BYTES_MAX, CUSTOM_WORD_COUNT_MAX,
    HOT_WORD_BYTES_MAX,
};

/// Input of [`crate::Scanner::build`]. [`Spec::default`] holds the default-on detectors and every phone region.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Built-in detectors; naming one twice is the same as naming it once.
    pub detectors: Vec<Detector>,
    /// Patterns of the customer.
    pub custom: Vec<Custom>,
    /// Countries whose national phone formats count; an empty list stands for all known ones. International
    /// numbers (`+…`) are found in any case.
    pub phone_regions: Vec<Region>,
    /// Precedence between overlapping findings: the lower rank wins before position and length are looked at.
    /// A detector that is not listed has rank 0.
    pub ranks: Vec<(Detector, u16)>,
    /// Whether a number with a right check digit counts where no word near it says what it is. One in ten to one in a hundred
    /// arbitrary numbers has one, so this is for fields that are known to hold such numbers.
    pub checksum_suffices: bool,
}

impl Default for Spec {
    fn default() -> Spec {
        Spec {
            detectors: Detector::DEFAULT_ON.to_vec(),
            custom: Vec::new(),
            phone_regions: Vec::new(),
            ranks: Vec::new(),
            checksum_suffices: false,
        }
    }
}

impl Spec {
    /// A spec with these built-in detectors and nothing else.
    pub fn of(detectors: &[Detector]) -> Spec {
        Spec {
            detectors: detectors.to_vec(),
            ..Spec::default()
        }
    }

    /// Rank of a built-in detector under this spec.
    pub fn rank(&self, detector: Detector) -> u16 {
        let listed = self.ranks.iter().find(|(named, _)| *named == detector);
        listed.map_or(0, |(_, rank)| *rank)
    }
}

/// A pattern of the customer.
///
/// The regex speaks the syntax of the `regex` crate, works on bytes and is ASCII-only unless it says `(?u)`. Anchors (`^`, `$`)
/// and Unicode word boundaries are refused: a pattern describes a value inside a text. Every repetition must be
/// bounded, else `max_len` is mandatory and bounds each of them.
#[derive(Clone, Debug, Default)]
pub struct Custom {
    /// Name in policies and events.
    pub name: String,
    /// The pattern.
    pub regex: String,
    /// Longest match in bytes; mandatory when the pattern itself has no bound, a further bound when it has.
    pub max_len: Option<usize>,
    /// Word in masks; the name when absent.
    pub label: Option<String>,
    /// When not empty, a match counts only with one of these words within 30 characters to its left or in the
    /// field's name.
    pub context: Vec<String>,
    /// Drop the rule that no letter, digit or underscore may touch a match.
    pub inside_words: bool,
    /// Precedence between overlapping findings; lower wins.
    pub rank: u16,
}

impl Custom {
    /// A pattern with word boundaries, no context and rank 0.
    pub fn new(name: &str, regex: &str, max_len: Option<usize>) -> Custom {
        Custom {
            name: name.to_owned(),
            regex: regex.to_owned(),
            max_len,
            ..Custom::default()
        }
    }
}

/// A country (or numbering plan) whose national phone formats are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Region {
    /// North American Numbering Plan: United States, Canada, much of the Caribbean.
    NorthAmerica,
    UnitedKingdom,
    Ireland,
    Germany,
    Austria,
    Switzerland,
    France,
    Belgium,
    Netherlands,
    Spain,
    Portugal,
    Italy,
    Sweden,
    Norway,
    Denmark,
    Finland,
    Poland,
    Czechia,
    Turkey,
    Israel,
    SouthAfrica,
    India,
    Japan,
    Korea,
    China,
    Singapore,
    Philippines,
    Australia,
    NewZealand,
    Brazil,
    Mexico,
    Argentina,
}

impl Region {
    /// ISO 3166-1 alpha-2 codes of the regions, in the order of the enumeration.
    const CODES: &'static [(&'static str, Region)] = &[
        ("US", Region::NorthAmerica),
        ("CA", Region::NorthAmerica),
        ("GB", Region::UnitedKingdom),
        ("IE", Region::Ireland),
        ("DE", Region::Germany),
        ("AT", Region::Austria),
        ("CH", Region::Switzerland),
        ("FR", Region::France),
        ("BE", Region::Belgium),
        ("NL", Region::Netherlands),
        ("ES", Region::Spain),
        ("PT", Region::Portugal),
        ("IT", Region::Italy),
        ("SE", Region::Sweden),
        ("NO", Region::Norway),
        ("DK", Region::Denmark),
        ("FI", Region::Finland),
        ("PL", Region::Poland),
        ("CZ", Region::Czechia),
        ("TR", Region::Turkey),
        ("IL", Region::Israel),
        ("ZA", Region::SouthAfrica),
        ("IN", Region::India),
        ("JP", Region::Japan),
        ("KR", Region::Korea),
        ("CN", Region::China),
        ("SG", Region::Singapore),
        ("PH", Region::Philippines),
        ("AU", Region::Australia),
        ("NZ", Region::NewZealand),
        ("BR", Region::Brazil),
        ("MX", Region::Mexico),
        ("AR", Region::Argentina),
    ];

    /// The region of an ISO 3166-1 alpha-2 country code.
    pub fn from_code(code: &str) -> Option<Region> {
        let found = Region::CODES.iter().find(|(known, _)| known.eq_ignore_ascii_case(code));
        found.map(|(_, region)| *region)
    }

    pub(crate) fn bit(self) -> u64 {
        1 << self as u32
    }
}

/// Why a spec cannot be compiled. The text names the detector and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    #[error("this processor lacks the instructions of scan level {0}")]
    Level(&'static str),
    #[error("detector {0} is known but this engine does not find it yet; name another one or use a custom regex")]
    NotBuilt(&'static str),
    #[error(
        "detector {0} cannot be decided from content: it needs a rule on the column, or a dictionary, \
         that says where such values stand"
    )]
    ColumnOnly(&'static str),
    #[error("{count} custom detectors, at most {CUSTOM_COUNT_MAX} are possible")]
    TooManyCustom { count: usize },
    #[error("more than {CUSTOM_CONTEXT_COUNT_MAX} custom detectors with context words")]
    TooManyContexts,
    #[error("custom detector has no name")]
    NoName,
    #[error("custom detector {name}: the name is used twice or belongs to a built-in detector")]
    NameTaken { name: String },
    #[error("custom detector {name}: regex is longer than {CUSTOM_REGEX_BYTES_MAX} bytes")]
    RegexTooLong { name: String },
    #[error("custom detector {name}: {reason}")]
    Regex { name: String, reason: String },
    #[error("custom detector {name}: the regex can match nothing at all")]
    MatchesNothing { name: String },
    #[error(
        "custom detector {name}: anchors (^, $, \\A, \\z) and Unicode word boundaries are not possible, \
         a pattern describes a value inside a text"
    )]
    Anchor { name: String },
    #[error("custom detector {name}: the regex has no longest match; bound its repetitions or set max_len")]
    Unbounded { name: String },
    #[error("custom detector {name}: longest match is {bytes} bytes, at most {CUSTOM_MATCH_BYTES_MAX} are possible")]
    TooLong { name: String, bytes: usize },
    #[error("custom detector {name}: max_len must be at least 1")]
    ZeroLength { name: String },
    #[error("custom detector {name}: the compiled regex is too large; bound its repetitions tighter")]
    TooLarge { name: String },
    #[error(
        "custom detector {name}: context word {word:?} must be 1 to {HOT_WORD_BYTES_MAX} bytes of text, \
         and at most {CUSTOM_WORD_COUNT_MAX} words are possible"
    )]
    Word { name: String, word: String },
}
