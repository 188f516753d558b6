//! Allow-lists: values that are never reported, such as test card numbers and one's own domains.

use std::collections::HashSet;

use regex_automata::dfa::{Automaton, dense};
use regex_automata::{Anchored, Input};

use crate::custom;
use crate::limits::{ALLOW_COUNT_MAX, ALLOW_PATTERN_COUNT_MAX};
use crate::spec::{Allow, SpecError};

/// The compiled lists of a scanner, each for some detectors.
#[derive(Default)]
pub(crate) struct AllowLists {
    lists: Vec<List>,
}

struct List {
    /// Names of detectors; empty: all.
    detectors: Vec<String>,
    values: HashSet<Vec<u8>>,
    patterns: Vec<dense::DFA<Vec<u32>>>,
}

impl AllowLists {
    pub fn build(specs: &[Allow]) -> Result<AllowLists, SpecError> {
        let count: usize = specs.iter().map(|spec| spec.values.len()).sum();
        let pattern_count: usize = specs.iter().map(|spec| spec.patterns.len()).sum();
        if count > ALLOW_COUNT_MAX || pattern_count > ALLOW_PATTERN_COUNT_MAX {
            return Err(SpecError::TooManyAllowed);
        }
        let lists = specs
            .iter()
            .filter(|spec| !spec.values.is_empty() || !spec.patterns.is_empty());
        let lists = lists.map(|spec| {
            let patterns = spec.patterns.iter().map(|pattern| custom::whole_value(pattern));
            Ok(List {
                detectors: spec.detectors.clone(),
                values: spec.values.iter().map(|value| key(value.as_bytes())).collect(),
                patterns: patterns.collect::<Result<_, SpecError>>()?,
            })
        });
        Ok(AllowLists {
            lists: lists.collect::<Result<_, SpecError>>()?,
        })
    }

    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    pub fn memory_bytes(&self) -> usize {
        let list = |list: &List| {
            let values: usize = list
                .values
                .iter()
                .map(|value| value.capacity() + size_of::<Vec<u8>>())
                .sum();
            values + list.patterns.iter().map(dense::DFA::memory_usage).sum::<usize>()
        };
        self.lists.iter().map(list).sum()
    }

    /// Whether the value is not to be reported for the detector.
    pub fn has(&self, detector: &str, value: &[u8]) -> bool {
        let applying = self
            .lists
            .iter()
            .filter(|list| list.detectors.is_empty() || list.detectors.iter().any(|name| name == detector));
        let mut written = None;
        applying.into_iter().any(|list| {
            let key = written.get_or_insert_with(|| key(value));
            list.values.contains(key) || list.patterns.iter().any(|pattern| matches_whole(pattern, value))
        })
    }
}

/// How values are compared: without regard to the case of ASCII letters, and numbers without what groups their digits.
fn key(value: &[u8]) -> Vec<u8> {
    let grouped = |byte: &u8| matches!(byte, b' ' | b'-' | b'.' | b'/' | b'(' | b')');
    if value.iter().all(|byte| byte.is_ascii_digit() || grouped(byte)) {
        value.iter().copied().filter(u8::is_ascii_digit).collect()
    } else {
        value.to_ascii_lowercase()
    }
}

/// The pattern ends in an end anchor, so that its match, if any, is the whole value.
fn matches_whole(pattern: &dense::DFA<Vec<u32>>, value: &[u8]) -> bool {
    let input = Input::new(value).anchored(Anchored::Yes);
    matches!(pattern.try_search_fwd(&input), Ok(Some(_)))
}
