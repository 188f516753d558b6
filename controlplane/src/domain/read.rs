//! Reads fields out of a JSON or TOML table and notes every mistake instead of stopping at the first.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::mistake::Mistakes;

/// A table being read: fields are taken out, and what is left at the end was not known.
pub struct Fields<'a> {
    place: String,
    left: Map<String, Value>,
    known: Vec<&'static str>,
    mistakes: &'a mut Mistakes,
}

impl<'a> Fields<'a> {
    /// Starts on a table that stands at `place`.
    pub fn new(place: impl Into<String>, left: Map<String, Value>, mistakes: &'a mut Mistakes) -> Self {
        Self {
            place: place.into(),
            left,
            known: Vec::new(),
            mistakes,
        }
    }

    /// Notes a mistake in `key`.
    pub fn wrong(&mut self, key: &str, message: impl Into<String>) {
        let place = self.place_of(key);
        self.mistakes.add(place, message);
    }

    /// The value of `key` as it is.
    pub fn value(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        self.left.remove(key).filter(|value| !value.is_null())
    }

    /// A text, when given.
    pub fn text(&mut self, key: &'static str) -> Option<String> {
        match self.value(key)? {
            Value::String(text) if !text.contains('\0') => Some(text),
            Value::String(_) => self.refuse(key, "must not contain NUL"),
            other => self.refuse(key, format!("must be a text, not {}", kind_of(&other))),
        }
    }

    /// A text that must be there and not be empty.
    pub fn text_required(&mut self, key: &'static str) -> Option<String> {
        let before = self.left.contains_key(key);
        match self.text(key) {
            Some(text) if text.is_empty() => self.refuse(key, "must not be empty"),
            Some(text) => Some(text),
            None if before => None,
            None => self.refuse(key, "is missing"),
        }
    }

    /// A list of texts; a single text counts as a list of one.
    pub fn texts(&mut self, key: &'static str) -> Vec<String> {
        let values = match self.value(key) {
            None => return Vec::new(),
            Some(Value::Array(values)) => values,
            Some(single) => vec![single],
        };
        let mut texts = Vec::with_capacity(values.len());
        for value in values {
            match value {
                Value::String(text) if text.is_empty() || text.contains('\0') => {
                    self.wrong(key, "must not hold an empty text or NUL");
                }
                Value::String(text) if texts.contains(&text) => {
                    self.wrong(key, format!("names \"{text}\" twice"));
                }
                Value::String(text) => texts.push(text),
                other => self.wrong(key, format!("must hold texts, not {}", kind_of(&other))),
            }
        }
        texts
    }

    /// A long list of texts, in which one may stand twice.
    pub fn words(&mut self, key: &'static str) -> Vec<String> {
        let values = match self.value(key) {
            None => return Vec::new(),
            Some(Value::Array(values)) => values,
            Some(other) => {
                self.wrong(key, format!("must be a list of texts, not {}", kind_of(&other)));
                return Vec::new();
            }
        };
        let mut words = Vec::with_capacity(values.len());
        for value in values {
            match value {
                Value::String(text) if text.trim().is_empty() || text.contains('\0') => {
                    self.wrong(key, format!("entry {} is empty or holds NUL", words.len() + 1));
                    return words;
                }
                Value::String(text) => words.push(text),
                other => {
                    self.wrong(key, format!("must hold texts, not {}", kind_of(&other)));
                    return words;
                }
            }
        }
        words
    }

    /// A list of tables.
    pub fn tables(&mut self, key: &'static str) -> Vec<Map<String, Value>> {
        let values = match self.value(key) {
            None => return Vec::new(),
            Some(Value::Array(values)) => values,
            Some(other) => {
                self.wrong(key, format!("must be a list of tables, not {}", kind_of(&other)));
                return Vec::new();
            }
        };
        let mut tables = Vec::with_capacity(values.len());
        for value in values {
            match value {
                Value::Object(table) => tables.push(table),
                other => self.wrong(key, format!("must hold tables, not {}", kind_of(&other))),
            }
        }
        tables
    }

    /// A whole number within bounds, when given.
    pub fn number(&mut self, key: &'static str, min: u64, max: u64) -> Option<u64> {
        let value = self.value(key)?;
        match value.as_u64() {
            Some(number) if (min..=max).contains(&number) => Some(number),
            _ => self.refuse(key, format!("must be a whole number from {min} to {max}")),
        }
    }

    /// True or false; false when not given.
    pub fn flag(&mut self, key: &'static str) -> bool {
        match self.value(key) {
            None => false,
            Some(Value::Bool(flag)) => flag,
            Some(other) => {
                self.wrong(key, format!("must be true or false, not {}", kind_of(&other)));
                false
            }
        }
    }

    /// One of a set of words, or the set's default.
    pub fn choice<T: DeserializeOwned + Default>(&mut self, key: &'static str, words: &[&str]) -> T {
        self.choice_given(key, words).unwrap_or_default()
    }

    /// One of a set of words, when given.
    pub fn choice_given<T: DeserializeOwned>(&mut self, key: &'static str, words: &[&str]) -> Option<T> {
        let text = self.text(key)?;
        match serde_json::from_value(Value::String(text.clone())) {
            Ok(choice) => Some(choice),
            Err(_) => self.refuse(key, format!("\"{text}\" is none of {}", words.join(", "))),
        }
    }

    /// The place of a field, for mistakes in what it holds.
    pub fn place_of(&self, key: &str) -> String {
        if self.place.is_empty() {
            key.to_owned()
        } else {
            format!("{}: {key}", self.place)
        }
    }

    /// The list that nested tables note their mistakes in.
    pub fn mistakes(&mut self) -> &mut Mistakes {
        self.mistakes
    }

    /// Ends reading: every field that nobody asked for is a mistake.
    pub fn finish(self) {
        for key in self.left.keys() {
            let message = match nearest(key, &self.known) {
                Some(known) => format!("unknown key \"{key}\" (did you mean \"{known}\"?)"),
                None => format!("unknown key \"{key}\""),
            };
            self.mistakes.add(self.place.clone(), message);
        }
    }

    fn refuse<T>(&mut self, key: &str, message: impl Into<String>) -> Option<T> {
        self.wrong(key, message);
        None
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}

/// The known key at most two letters away, if there is one.
fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    known
        .iter()
        .map(|candidate| (distance(key, candidate), *candidate))
        .filter(|(distance, _)| *distance <= 2)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance, bounded because keys are compared by their first 40 letters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(40).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().take(40).enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, cb) in row.iter_mut().skip(1).zip(&b) {
            let substituted = diagonal + usize::from(ca != *cb);
            diagonal = *cell;
            left = substituted.min(left + 1).min(*cell + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn table(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn every_mistake_is_noted_with_its_place() {
        let mut mistakes = Mistakes::default();
        let mut fields = Fields::new(
            "connection \"orders\"",
            table(json!({"port": "x", "hots": "h", "groups": ["a", 1, "a"], "host": ""})),
            &mut mistakes,
        );
        assert_eq!(fields.number("port", 1, 65535), None);
        assert_eq!(fields.text_required("host"), None);
        assert_eq!(fields.text_required("database"), None);
        assert_eq!(fields.texts("groups"), ["a"]);
        fields.finish();
        let texts: Vec<String> = mistakes.into_list().iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "connection \"orders\": port: must be a whole number from 1 to 65535",
                "connection \"orders\": host: must not be empty",
                "connection \"orders\": database: is missing",
                "connection \"orders\": groups: must hold texts, not a number",
                "connection \"orders\": groups: names \"a\" twice",
                "connection \"orders\": unknown key \"hots\" (did you mean \"host\"?)",
            ]
        );
    }

    #[test]
    fn a_single_text_is_a_list_of_one() {
        let mut mistakes = Mistakes::default();
        let mut fields = Fields::new("", table(json!({"deny": "drop"})), &mut mistakes);
        assert_eq!(fields.texts("deny"), ["drop"]);
        fields.finish();
        assert!(mistakes.is_empty());
    }

    #[test]
    fn distances() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("host", "host"), 0);
        assert_eq!(nearest("hots", &["port", "host"]), Some("host"));
        assert_eq!(nearest("quite-else", &["port", "host"]), None);
    }
}
