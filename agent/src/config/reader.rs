//! Typed access to a TOML table with the environment laid over it; collects mistakes instead of stopping at the first.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use toml::{Table, Value};

/// A table being read, and what was wrong with it so far.
pub(super) struct Reader {
    place: String,
    known: &'static [&'static str],
    table: Table,
    /// Keys that the environment or the command line set, and the name by which the user knows them.
    overlaid: BTreeMap<String, String>,
    mistakes: Vec<String>,
}

impl Reader {
    /// Parses `text`; a syntax error is a mistake and leaves the table empty.
    pub(super) fn new(place: &str, text: &str, known: &'static [&'static str]) -> Self {
        let mut mistakes = Vec::new();
        let table = text.parse::<Table>().unwrap_or_else(|error| {
            mistakes.push(format!("{place}: {}", error.to_string().trim_end()));
            Table::new()
        });
        for key in table.keys().filter(|key| !known.contains(&key.as_str())) {
            mistakes.push(format!("{place}: unknown key \"{key}\"{}", suggestion(key, known)));
        }
        Self {
            place: place.to_owned(),
            known,
            table,
            overlaid: BTreeMap::new(),
            mistakes,
        }
    }

    /// Lays variables that start with `prefix` over the table.
    pub(super) fn lay_environment(&mut self, prefix: &str, env: impl IntoIterator<Item = (String, String)>) {
        for (name, value) in env {
            let Some(key) = name.strip_prefix(prefix) else {
                continue;
            };
            let key = key.to_ascii_lowercase();
            if self.known.contains(&key.as_str()) {
                self.lay(&key, &name, value);
            } else {
                self.mistakes.push(format!(
                    "environment: unknown key {name}{}",
                    suggestion(&key, self.known)
                ));
            }
        }
    }

    /// Lays options of the command line over everything else.
    pub(super) fn lay_overrides(&mut self, overrides: &[(&str, &str)]) {
        for (key, value) in overrides {
            self.lay(key, &format!("--{}", key.replace('_', "-")), (*value).to_owned());
        }
    }

    fn lay(&mut self, key: &str, shown: &str, value: String) {
        self.table.insert(key.to_owned(), Value::String(value));
        self.overlaid.insert(key.to_owned(), shown.to_owned());
    }

    /// Adds a mistake about `key`.
    pub(super) fn mistake(&mut self, key: &str, what: &str) {
        let line = match self.overlaid.get(key) {
            Some(shown) => format!("{shown} {what}"),
            None => format!("{}: {key} {what}", self.place),
        };
        self.mistakes.push(line);
    }

    /// Everything that was wrong.
    pub(super) fn into_mistakes(self) -> Vec<String> {
        self.mistakes
    }

    /// A string that is not empty.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        match self.table.get(key)? {
            Value::String(text) if text.is_empty() => {
                self.mistake(key, "is empty");
                None
            }
            Value::String(text) => Some(text.clone()),
            _ => {
                self.mistake(key, "must be a string");
                None
            }
        }
    }

    /// A string or a whole number, as text.
    pub(super) fn text_or_integer(&mut self, key: &str) -> Option<String> {
        match self.table.get(key)? {
            Value::Integer(number) => Some(number.to_string()),
            _ => self.text(key),
        }
    }

    /// A path.
    pub(super) fn path(&mut self, key: &str) -> Option<PathBuf> {
        self.text(key).map(PathBuf::from)
    }

    /// A truth value; `true`/`false`/`1`/`0` when it comes from the environment.
    pub(super) fn boolean(&mut self, key: &str) -> Option<bool> {
        let overlaid = self.overlaid.contains_key(key);
        let value = match self.table.get(key)? {
            Value::Boolean(value) => Some(*value),
            Value::String(text) if overlaid => match text.as_str() {
                "true" | "1" => Some(true),
                "false" | "0" => Some(false),
                _ => None,
            },
            _ => None,
        };
        if value.is_none() {
            self.mistake(key, "must be true or false");
        }
        value
    }

    /// A list of strings; separated by commas when it comes from the environment.
    pub(super) fn list(&mut self, key: &str) -> Vec<String> {
        let overlaid = self.overlaid.contains_key(key);
        let list = match self.table.get(key) {
            None => return Vec::new(),
            Some(Value::String(text)) if overlaid => Some(split_list(text)),
            Some(Value::Array(items)) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
            Some(_) => None,
        };
        list.unwrap_or_else(|| {
            self.mistake(key, "must be a list of strings");
            Vec::new()
        })
    }

    /// A table of strings; `key=value,key=value` when it comes from the environment.
    pub(super) fn pairs(&mut self, key: &str) -> BTreeMap<String, String> {
        let overlaid = self.overlaid.contains_key(key);
        let pairs: Option<BTreeMap<String, String>> = match self.table.get(key) {
            None => return BTreeMap::new(),
            Some(Value::String(text)) if overlaid => split_list(text)
                .iter()
                .map(|pair| {
                    pair.split_once('=')
                        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
                })
                .collect(),
            Some(Value::Table(table)) => table
                .iter()
                .map(|(key, value)| value.as_str().map(|value| (key.clone(), value.to_owned())))
                .collect(),
            Some(_) => None,
        };
        pairs.unwrap_or_else(|| {
            self.mistake(key, "must be a table of strings (key=value,… in the environment)");
            BTreeMap::new()
        })
    }

    /// `host:port`, or a port alone, which means every address of this host.
    pub(super) fn listen_address(&mut self, key: &str) -> Option<SocketAddr> {
        let text = self.text_or_integer(key)?;
        let port = text
            .parse::<u16>()
            .map(|port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)));
        match port.ok().or_else(|| text.parse::<SocketAddr>().ok()) {
            Some(address) => Some(address),
            None => {
                self.mistake(key, "must be a port (0 to 65535) or address:port");
                None
            }
        }
    }
}

fn split_list(text: &str) -> Vec<String> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Names the known key that is closest, when one is close.
fn suggestion(key: &str, known: &[&str]) -> String {
    let close = known.iter().find(|candidate| {
        let squeezed = |text: &str| text.replace(['_', '-'], "").to_ascii_lowercase();
        squeezed(candidate) == squeezed(key) || candidate.starts_with(key) || key.starts_with(*candidate)
    });
    close.map_or_else(String::new, |candidate| format!(" (did you mean \"{candidate}\"?)"))
}
