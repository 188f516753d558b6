//! What a policy asks of the matcher, as written: built-in detectors, custom patterns, ranks, phone regions.

use crate::Detector;
use crate::limits::{
    ALLOW_COUNT_MAX, ALLOW_PATTERN_COUNT_MAX, CUSTOM_CONTEXT_COUNT_MAX, CUSTOM_COUNT_MAX, CUSTOM_MATCH_BYTES_MAX,
    CUSTOM_REGEX_BYTES_MAX, CUSTOM_WORD_COUNT_MAX, DECODE_DEPTH_MAX, DICTIONARY_BYTES_MAX, DICTIONARY_COUNT_MAX,
    DICTIONARY_ENTRY_BYTES_MAX, HOT_WORD_BYTES_MAX,
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
    /// Detectors for which a right check digit is not enough: a word near the number has to say what it is. One in ten to one in
    /// a hundred arbitrary numbers has a right check digit, so this is for data that is full of other numbers.
    pub word_required: Vec<Detector>,
    /// Levels of base64, hexadecimal and URL encoding that are undone before looking, at most
    /// [`DECODE_DEPTH_MAX`](crate::limits::DECODE_DEPTH_MAX). An encoded run that holds a finding is reported as a whole.
    pub decode_depth: usize,
    /// Values that are never reported.
    pub allow: Vec<Allow>,
}

impl Default for Spec {
    fn default() -> Spec {
        Spec {
            detectors: Detector::DEFAULT_ON.to_vec(),
            custom: Vec::new(),
            phone_regions: Vec::new(),
            ranks: Vec::new(),
            word_required: Vec::new(),
            decode_depth: 0,
            allow: Vec::new(),
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

/// Values that are never reported, for some detectors.
///
/// Case of ASCII letters does not matter, and numbers are compared by their digits alone. What overlaps an allowed value is judged
/// without it. Values longer than a stream reports in one piece are reported in any case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    /// Names of the detectors that the list is for; empty: all.
    pub detectors: Vec<String>,
    /// Values as they may stand in the text.
    pub values: Vec<String>,
    /// Regexes that must match a value as a whole.
    pub patterns: Vec<String>,
}

/// A pattern or a dictionary of the customer; exactly one of `regex` and `dictionary` is set.
///
/// The regex speaks the syntax of the `regex` crate, works on bytes and is ASCII-only unless it says `(?u)`. Anchors (`^`, `$`)
/// and Unicode word boundaries are refused: a pattern describes a value inside a text. Every repetition must be
/// bounded, else `max_len` is mandatory and bounds each of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Custom {
    /// Name in policies and events.
    pub name: String,
    /// The pattern.
    pub regex: String,
    /// Words and phrases that are found as they are written, between boundaries. The name may then be that of a detector that content
    /// alone cannot decide, like `PERSON_NAME`.
    pub dictionary: Vec<String>,
    /// Upper and lower case are alike in the dictionary.
    pub fold_case: bool,
    /// What the digits and letters of a match must fulfil.
    pub checksum: Option<Checksum>,
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
    /// A dictionary with word boundaries, no context and rank 0.
    pub fn dictionary(name: &str, entries: Vec<String>, fold_case: bool) -> Custom {
        Custom {
            name: name.to_owned(),
            dictionary: entries,
            fold_case,
            ..Custom::default()
        }
    }

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

/// A check over the digits and letters of a custom detector's match, whatever stands between them. The last one (or two) is the check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Checksum {
    /// ISO/IEC 7812-1 annex B, over digits.
    Luhn,
    /// Verhoeff's, over digits.
    Verhoeff,
    /// ISO/IEC 7064 MOD 11,10, over digits.
    Iso7064Mod11_10,
    /// ISO/IEC 7064 MOD 97-10, over digits and letters; the last two are the check.
    Iso7064Mod97_10,
    /// ISO 13616: as MOD 97-10, with the first four characters behind the rest.
    Iban,
    /// ICAO Doc 9303: weights 7-3-1, over digits and letters.
    Icao,
    /// Weights 2, 3, 4 … from the right over digits, modulus 11; `X` stands for ten.
    Mod11,
}

impl Checksum {
    const NAMES: &'static [(&'static str, Checksum)] = &[
        ("luhn", Checksum::Luhn),
        ("verhoeff", Checksum::Verhoeff),
        ("mod-11-10", Checksum::Iso7064Mod11_10),
        ("mod-97-10", Checksum::Iso7064Mod97_10),
        ("iban", Checksum::Iban),
        ("icao", Checksum::Icao),
        ("mod-11", Checksum::Mod11),
    ];

    /// The checksum that policies call by this name.
    pub fn from_name(name: &str) -> Option<Checksum> {
        let found = Checksum::NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, checksum)| *checksum)
    }

    /// All names.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Checksum::NAMES.iter().map(|(name, _)| *name)
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
    #[error(
        "allow-lists hold too many values or patterns: {ALLOW_COUNT_MAX} and {ALLOW_PATTERN_COUNT_MAX} are possible"
    )]
    TooManyAllowed,
    #[error("allowed pattern {pattern:?}: {reason}")]
    AllowedPattern { pattern: String, reason: String },
    #[error("custom detector {name}: exactly one of regex and dictionary must be given")]
    RegexOrDictionary { name: String },
    #[error("custom detector {name}: {count} dictionary entries, at most {DICTIONARY_COUNT_MAX} are possible")]
    DictionaryCount { name: String, count: usize },
    #[error("custom detector {name}: {bytes} bytes of dictionary entries, at most {DICTIONARY_BYTES_MAX} are possible")]
    DictionaryBytes { name: String, bytes: usize },
    #[error(
        "custom detector {name}: dictionary entry {entry:?} is empty, holds a NUL or is longer than \
         {DICTIONARY_ENTRY_BYTES_MAX} bytes"
    )]
    DictionaryEntry { name: String, entry: String },
    #[error("custom detector {name}: a dictionary is found as whole words; inside_words is for a regex")]
    DictionaryInsideWords { name: String },
    #[error("{depth} levels of encoding, at most {DECODE_DEPTH_MAX} are possible")]
    DecodeDepth { depth: usize },
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

impl SpecError {
    /// Name of the detector that the mistake is in, if it is in one.
    pub fn detector(&self) -> Option<&str> {
        match self {
            SpecError::NotBuilt(name) | SpecError::ColumnOnly(name) => Some(name),
            SpecError::NameTaken { name }
            | SpecError::RegexTooLong { name }
            | SpecError::Regex { name, .. }
            | SpecError::MatchesNothing { name }
            | SpecError::Anchor { name }
            | SpecError::Unbounded { name }
            | SpecError::TooLong { name, .. }
            | SpecError::ZeroLength { name }
            | SpecError::TooLarge { name }
            | SpecError::Word { name, .. }
            | SpecError::RegexOrDictionary { name }
            | SpecError::DictionaryCount { name, .. }
            | SpecError::DictionaryBytes { name, .. }
            | SpecError::DictionaryEntry { name, .. }
            | SpecError::DictionaryInsideWords { name } => Some(name),
            SpecError::TooManyCustom { .. }
            | SpecError::TooManyContexts
            | SpecError::NoName
            | SpecError::TooManyAllowed
            | SpecError::AllowedPattern { .. }
            | SpecError::DecodeDepth { .. }
            | SpecError::Level(_) => None,
        }
    }

    /// The part of a rule that the mistake is in.
    pub fn field(&self) -> &'static str {
        match self {
            SpecError::NotBuilt(_) | SpecError::ColumnOnly(_) => "detect",
            SpecError::TooManyAllowed => "allow",
            SpecError::AllowedPattern { .. } => "allow_patterns",
            SpecError::Level(_) => "level",
            SpecError::DecodeDepth { .. } => "decode",
            _ => "custom",
        }
    }
}
