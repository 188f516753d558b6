//! Custom detectors: regexes of the customer, bounded when compiled and searched by automata in linear time, and dictionaries.
//!
//! A match is what the regex prefers at a start position (leftmost-first, as in the `regex` crate), judged for every start position on
//! its own, so that a search can resume anywhere. Unbounded repetitions are bounded by `max_len` before compiling.

use regex_automata::dfa::dense;
use regex_automata::nfa::thompson;
use regex_automata::{Input, MatchKind, dfa};
use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

use crate::context::Context;
use crate::detect::checksums;
use crate::dictionary::{Dictionary, Found, Refused};
use crate::engine::Engine;
use crate::finding::DetectorId;
use crate::hit::Hit;
use crate::limits::{
    CUSTOM_CONTEXT_COUNT_MAX, CUSTOM_COUNT_MAX, CUSTOM_DETERMINIZE_BYTES_MAX, CUSTOM_DFA_BYTES_MAX,
    CUSTOM_MATCH_BYTES_MAX, CUSTOM_NFA_BYTES_MAX, CUSTOM_REGEX_BYTES_MAX, CUSTOM_WORD_COUNT_MAX, HOT_WORD_BYTES_MAX,
};
use crate::spec::{Checksum, Custom, SpecError};
use crate::{Detector, Standing};

/// The compiled custom detectors of a scanner.
#[derive(Default)]
pub(crate) struct CustomSet {
    patterns: Vec<Pattern>,
}

struct Pattern {
    name: String,
    label: String,
    rank: u16,
    words: Vec<String>,
    /// What a hot word enables; nothing when the pattern needs none.
    context: Option<Context>,
    matcher: Matcher,
    checksum: Option<Checksum>,
    match_bytes_max: usize,
    /// Longest match of the compiled automaton, which may exceed what is accepted.
    reach_bytes_max: usize,
}

enum Matcher {
    Regex {
        regex: Box<dfa::regex::Regex>,
        /// Bytes that can be part of a match.
        alphabet: Box<[bool; 256]>,
    },
    Dictionary(Box<Dictionary>),
}

impl CustomSet {
    pub fn build(specs: &[Custom]) -> Result<CustomSet, SpecError> {
        if specs.len() > CUSTOM_COUNT_MAX {
            return Err(SpecError::TooManyCustom { count: specs.len() });
        }
        let mut set = CustomSet::default();
        let mut contexts = 0;
        for spec in specs {
            if spec.name.is_empty() {
                return Err(SpecError::NoName);
            }
            let by_list =
                |detector: Detector| detector.standing() == Standing::ColumnOnly && !spec.dictionary.is_empty();
            let taken = Detector::from_name(&spec.name).is_some_and(|detector| !by_list(detector));
            if taken || set.place(&spec.name).is_some() {
                return Err(SpecError::NameTaken {
                    name: spec.name.clone(),
                });
            }
            let context = (!spec.context.is_empty()).then_some(contexts);
            contexts += usize::from(context.is_some());
            if contexts > CUSTOM_CONTEXT_COUNT_MAX {
                return Err(SpecError::TooManyContexts);
            }
            set.patterns
                .push(Pattern::build(spec, context.map(Context::of_custom))?);
        }
        Ok(set)
    }

    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    pub fn len(&self) -> usize {
        self.patterns.len()
    }

    pub fn place(&self, name: &str) -> Option<usize> {
        self.patterns.iter().position(|pattern| pattern.name == name)
    }

    pub fn rank(&self, place: usize) -> u16 {
        self.patterns.get(place).map_or(0, |pattern| pattern.rank)
    }

    pub fn name(&self, place: usize) -> &str {
        self.patterns.get(place).map_or("", |pattern| &pattern.name)
    }

    pub fn label(&self, place: usize) -> &str {
        self.patterns.get(place).map_or("", |pattern| &pattern.label)
    }

    pub fn hot_words(&self) -> impl Iterator<Item = (&str, Context)> {
        self.patterns.iter().flat_map(|pattern| {
            let words = pattern
                .context
                .map(|context| pattern.words.iter().map(move |word| (word.as_str(), context)));
            words.into_iter().flatten()
        })
    }

    /// Longest match and look-around of any pattern.
    pub fn match_bytes_max(&self) -> usize {
        self.patterns
            .iter()
            .map(|pattern| pattern.reach_bytes_max + 1)
            .max()
            .unwrap_or(0)
    }

    pub fn memory_bytes(&self) -> usize {
        let matcher = |pattern: &Pattern| match &pattern.matcher {
            Matcher::Regex { regex, .. } => regex.forward().memory_usage() + regex.reverse().memory_usage(),
            Matcher::Dictionary(dictionary) => dictionary.memory_bytes(),
        };
        self.patterns
            .iter()
            .map(|pattern| matcher(pattern) + size_of::<Pattern>())
            .sum()
    }

    /// Each pattern is a pass of its own, about as dear as the built-in scan.
    pub fn cost_percent(&self) -> u32 {
        100 * self.patterns.len() as u32
    }
}

impl Pattern {
    fn build(spec: &Custom, context: Option<Context>) -> Result<Pattern, SpecError> {
        let name = spec.name.clone();
        for word in &spec.context {
            let sized = !word.trim().is_empty() && word.len() <= HOT_WORD_BYTES_MAX && word.is_ascii();
            if !sized || spec.context.len() > CUSTOM_WORD_COUNT_MAX {
                return Err(SpecError::Word {
                    name,
                    word: word.clone(),
                });
            }
        }
        let (matcher, match_bytes_max, reach_bytes_max) = match (spec.regex.is_empty(), spec.dictionary.is_empty()) {
            (false, true) => by_regex(spec)?,
            (true, false) => by_dictionary(spec)?,
            _ => return Err(SpecError::RegexOrDictionary { name }),
        };
        Ok(Pattern {
            label: spec.label.clone().unwrap_or_else(|| label_of(&spec.name)),
            name,
            rank: spec.rank,
            words: spec.context.clone(),
            context,
            matcher,
            checksum: spec.checksum,
            match_bytes_max,
            reach_bytes_max,
        })
    }
}

/// A dictionary for a detector of the catalogue has its label.
fn label_of(name: &str) -> String {
    Detector::from_name(name).map_or_else(|| name.to_owned(), |detector| detector.label().to_owned())
}

fn by_dictionary(spec: &Custom) -> Result<(Matcher, usize, usize), SpecError> {
    let name = spec.name.clone();
    if spec.inside_words {
        return Err(SpecError::DictionaryInsideWords { name });
    }
    let dictionary = Dictionary::build(&spec.dictionary, spec.fold_case).map_err(|refused| match refused {
        Refused::TooMany(count) => SpecError::DictionaryCount { name, count },
        Refused::TooLarge(bytes) => SpecError::DictionaryBytes { name, bytes },
        Refused::Entry(entry) => SpecError::DictionaryEntry { name, entry },
    })?;
    let bytes_max = dictionary.entry_bytes_max();
    Ok((Matcher::Dictionary(Box::new(dictionary)), bytes_max, bytes_max))
}

fn by_regex(spec: &Custom) -> Result<(Matcher, usize, usize), SpecError> {
    if spec.regex.len() > CUSTOM_REGEX_BYTES_MAX {
        return Err(SpecError::RegexTooLong {
            name: spec.name.clone(),
        });
    }
    let (hir, match_bytes_max) = bound(parse(spec)?, spec)?;
    let reach_bytes_max = hir.properties().maximum_len().unwrap_or(match_bytes_max);
    let mut alphabet = Box::new([false; 256]);
    collect_bytes(&hir, &mut alphabet);
    let regex = Box::new(compile(&hir, spec)?);
    Ok((Matcher::Regex { regex, alphabet }, match_bytes_max, reach_bytes_max))
}

/// An automaton that matches a value from its first to its last byte, for allow-lists.
pub(crate) fn whole_value(pattern: &str) -> Result<dense::DFA<Vec<u32>>, SpecError> {
    let refused = |reason: String| SpecError::AllowedPattern {
        pattern: pattern.to_owned(),
        reason,
    };
    if pattern.len() > CUSTOM_REGEX_BYTES_MAX {
        return Err(refused(format!("it is longer than {CUSTOM_REGEX_BYTES_MAX} bytes")));
    }
    let parsed = regex_syntax::ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .nest_limit(50)
        .build()
        .parse(pattern);
    let hir = parsed.map_err(|error| refused(error.to_string()))?;
    let whole = Hir::concat(vec![hir, Hir::look(Look::End)]);
    let spec = Custom::new(pattern, pattern, None);
    automaton(&whole, &spec, true, false).map_err(|_| refused("the compiled regex is too large".to_owned()))
}

fn parse(spec: &Custom) -> Result<Hir, SpecError> {
    let name = || spec.name.clone();
    let parsed = regex_syntax::ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .nest_limit(50)
        .build()
        .parse(&spec.regex);
    let hir = parsed.map_err(|error| SpecError::Regex {
        name: name(),
        reason: error.to_string(),
    })?;
    let word_looks = [
        Look::WordAscii,
        Look::WordAsciiNegate,
        Look::WordStartAscii,
        Look::WordEndAscii,
        Look::WordStartHalfAscii,
        Look::WordEndHalfAscii,
    ];
    if hir
        .properties()
        .look_set()
        .iter()
        .any(|look| !word_looks.contains(&look))
    {
        return Err(SpecError::Anchor { name: name() });
    }
    match hir.properties().minimum_len() {
        Some(bytes) if bytes > 0 => Ok(hir),
        _ => Err(SpecError::MatchesNothing { name: name() }),
    }
}

/// Bounds repetitions and checks the longest match. The result is the pattern and the longest accepted match.
fn bound(hir: Hir, spec: &Custom) -> Result<(Hir, usize), SpecError> {
    let name = || spec.name.clone();
    let own_max = hir.properties().maximum_len();
    let accepted = match (own_max, spec.max_len) {
        (_, Some(0)) => return Err(SpecError::ZeroLength { name: name() }),
        (Some(own), Some(asked)) => own.min(asked),
        (Some(own), None) => own,
        (None, Some(asked)) => asked,
        (None, None) => return Err(SpecError::Unbounded { name: name() }),
    };
    let hir = if own_max.is_none() {
        bound_repetitions(&hir, accepted as u32)
    } else {
        hir
    };
    let reach = hir.properties().maximum_len().unwrap_or(usize::MAX);
    // Several bounded repetitions may reach further together than one match may be long; the automaton sees all of it.
    let bytes = accepted.max(reach.min(accepted.saturating_mul(4)));
    if accepted > CUSTOM_MATCH_BYTES_MAX || reach > 4 * CUSTOM_MATCH_BYTES_MAX {
        return Err(SpecError::TooLong {
            name: name(),
            bytes: bytes.max(reach),
        });
    }
    Ok((hir, accepted))
}

/// Replaces every unbounded repetition by one of at most `max` times.
fn bound_repetitions(hir: &Hir, max: u32) -> Hir {
    match hir.kind() {
        HirKind::Repetition(repetition) => Hir::repetition(Repetition {
            min: repetition.min.min(max.max(repetition.min)),
            max: Some(repetition.max.unwrap_or(max.max(repetition.min))),
            greedy: repetition.greedy,
            sub: Box::new(bound_repetitions(&repetition.sub, max)),
        }),
        HirKind::Capture(capture) => bound_repetitions(&capture.sub, max),
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(|part| bound_repetitions(part, max)).collect()),
        HirKind::Alternation(parts) => {
            Hir::alternation(parts.iter().map(|part| bound_repetitions(part, max)).collect())
        }
        _ => hir.clone(),
    }
}

/// Marks the bytes that can be part of a match.
fn collect_bytes(hir: &Hir, alphabet: &mut [bool; 256]) {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => literal.0.iter().for_each(|byte| alphabet[usize::from(*byte)] = true),
        HirKind::Class(Class::Bytes(class)) => {
            for range in class.iter() {
                (range.start()..=range.end()).for_each(|byte| alphabet[usize::from(byte)] = true);
            }
        }
        HirKind::Class(Class::Unicode(class)) => {
            for range in class.iter() {
                let ascii = range.start() as u32..=(range.end() as u32).min(0x7f);
                ascii.for_each(|byte| alphabet[byte as usize] = true);
                if range.end() as u32 > 0x7f {
                    alphabet[0x80..].fill(true);
                }
            }
        }
        HirKind::Repetition(repetition) => collect_bytes(&repetition.sub, alphabet),
        HirKind::Capture(capture) => collect_bytes(&capture.sub, alphabet),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().for_each(|part| collect_bytes(part, alphabet));
        }
    }
}

fn compile(hir: &Hir, spec: &Custom) -> Result<dfa::regex::Regex, SpecError> {
    let bounded = match spec.inside_words {
        true => hir.clone(),
        false => Hir::concat(vec![
            Hir::look(Look::WordStartHalfAscii),
            hir.clone(),
            Hir::look(Look::WordEndHalfAscii),
        ]),
    };
    let forward = automaton(&bounded, spec, false, false)?;
    let reverse = automaton(&bounded, spec, true, true)?;
    Ok(dfa::regex::Builder::new().build_from_dfas(forward, reverse))
}

fn automaton(hir: &Hir, spec: &Custom, anchored: bool, reverse: bool) -> Result<dense::DFA<Vec<u32>>, SpecError> {
    let too_large = || SpecError::TooLarge {
        name: spec.name.clone(),
    };
    let nfa_config = thompson::Config::new()
        .utf8(false)
        .reverse(reverse)
        .nfa_size_limit(Some(CUSTOM_NFA_BYTES_MAX))
        .which_captures(thompson::WhichCaptures::None);
    let nfa = thompson::Compiler::new()
        .configure(nfa_config)
        .build_from_hir(hir)
        .map_err(|_| too_large())?;
    let kind = if reverse {
        MatchKind::All
    } else {
        MatchKind::LeftmostFirst
    };
    let config = dense::Config::new()
        .match_kind(kind)
        .starts_for_each_pattern(false)
        .start_kind(if anchored {
            dfa::StartKind::Anchored
        } else {
            dfa::StartKind::Unanchored
        })
        .dfa_size_limit(Some(CUSTOM_DFA_BYTES_MAX))
        .determinize_size_limit(Some(CUSTOM_DETERMINIZE_BYTES_MAX));
    dense::Builder::new()
        .configure(config)
        .build_from_nfa(&nfa)
        .map_err(|_| too_large())
}

/// Searches the haystack for every custom pattern of the scanner.
pub(crate) fn scan(engine: &mut Engine<'_, '_>) {
    let scanner = engine.scanner();
    for (place, pattern) in scanner.custom.patterns.iter().enumerate() {
        pattern.scan(engine, DetectorId::custom(place));
    }
}

impl Pattern {
    fn scan(&self, engine: &mut Engine<'_, '_>, id: DetectorId) {
        match &self.matcher {
            Matcher::Regex { regex, alphabet } => self.scan_regex(regex, alphabet, engine, id),
            Matcher::Dictionary(dictionary) => self.scan_dictionary(dictionary, engine, id),
        }
    }

    fn scan_regex(
        &self,
        regex: &dfa::regex::Regex,
        alphabet: &[bool; 256],
        engine: &mut Engine<'_, '_>,
        id: DetectorId,
    ) {
        let bytes = engine.text().bytes();
        // Whatever is part of a match that is not complete yet lies in the last run of bytes of the pattern's alphabet.
        if !engine.text().last() {
            let tail = bytes.iter().rev().take(self.reach_bytes_max + 1);
            let open = tail.take_while(|byte| alphabet[usize::from(**byte)]).count();
            if open > 0 {
                engine.wait_from(bytes.len() - open);
            }
        }
        let mut from = engine.base();
        while from < bytes.len() {
            let Ok(Some(found)) = regex.try_search(&Input::new(bytes).range(from..)) else {
                break;
            };
            self.judge(found.start(), found.end(), engine, id);
            from = found.start() + 1;
        }
    }

    fn scan_dictionary(&self, dictionary: &Dictionary, engine: &mut Engine<'_, '_>, id: DetectorId) {
        let bytes = engine.text().bytes();
        let last = engine.text().last();
        for place in engine.base()..bytes.len() {
            if !Dictionary::begins(bytes, place) {
                continue;
            }
            match dictionary.longest_at(bytes, place, last) {
                Found::Nothing => {}
                Found::Entry(end) => self.judge(place, end, engine, id),
                Found::Open => engine.wait_from(place),
            }
        }
    }

    /// Takes a match if its length, its checksum and the words near it are right.
    fn judge(&self, start: usize, end: usize, engine: &mut Engine<'_, '_>, id: DetectorId) {
        let value = &engine.text().bytes()[start..end];
        let sound = end - start <= self.match_bytes_max
            && self.checksum.is_none_or(|checksum| checksums::holds(checksum, value));
        if sound && self.context.is_none_or(|context| engine.hot(context, start)) {
            engine.found(id, self.rank, Hit::new(start, end, 75));
        }
    }
}
