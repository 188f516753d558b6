//! One mistake in what a person wrote, with its place, and a list that stays bounded.

use serde::Serialize;

use crate::limits::MISTAKES_MAX;

/// What is wrong and where, in the words of the policy file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// For example `connection "orders": redact`.
    pub place: String,
    /// For example `unknown rule "x"`.
    pub message: String,
}

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.place.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.place, self.message)
        }
    }
}

/// Mistakes in the order they were found; beyond [`MISTAKES_MAX`] they are only counted.
#[derive(Debug, Default)]
pub struct Mistakes {
    list: Vec<Mistake>,
    count: usize,
}

impl Mistakes {
    /// Notes one mistake.
    pub fn add(&mut self, place: impl Into<String>, message: impl Into<String>) {
        self.count += 1;
        if self.list.len() < MISTAKES_MAX {
            self.list.push(Mistake {
                place: place.into(),
                message: message.into(),
            });
        }
    }

    /// True when nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The value when nothing is wrong, else all mistakes.
    pub fn or<T>(self, value: T) -> Result<T, Vec<Mistake>> {
        if self.is_empty() {
            return Ok(value);
        }
        Err(self.into_list())
    }

    /// All mistakes; the last entry says how many more there are.
    pub fn into_list(mut self) -> Vec<Mistake> {
        let more = self.count - self.list.len();
        if more > 0 {
            self.list.push(Mistake {
                place: String::new(),
                message: format!("and {more} more"),
            });
        }
        self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_stays_bounded_and_says_how_many_are_left_out() {
        let mut mistakes = Mistakes::default();
        for n in 0..MISTAKES_MAX + 7 {
            mistakes.add("p", format!("m{n}"));
        }
        let list = mistakes.or(()).unwrap_err();
        assert_eq!(list.len(), MISTAKES_MAX + 1);
        assert_eq!(list.last().unwrap().to_string(), "and 7 more");
        assert_eq!(list[0].to_string(), "p: m0");
    }
}
