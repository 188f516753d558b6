//! Fields of a head in the order in which they came: one buffer of bytes and the places in it.

use super::limits::FIELDS_MAX;

/// Header or trailer fields. Names are in lower case.
#[derive(Clone, Default)]
pub struct Fields {
    bytes: Vec<u8>,
    places: Vec<Place>,
}

/// `bytes[start..name_end]` is the name, `bytes[name_end..end]` the value.
#[derive(Debug, Clone, Copy)]
struct Place {
    start: u32,
    name_end: u32,
    end: u32,
}

/// What a head usually has.
const BYTES_USUAL: usize = 512;
const FIELDS_USUAL: usize = 16;

impl Fields {
    pub fn new() -> Fields {
        Fields::default()
    }

    /// Appends a field; the name is put in lower case. Nothing is checked: names and values come from a parser or from us.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        if self.places.is_empty() {
            // One block for a usual head, instead of growing to it.
            self.bytes.reserve(BYTES_USUAL);
            self.places.reserve(FIELDS_USUAL);
        }
        let start = self.bytes.len() as u32;
        self.bytes.extend(name.iter().map(u8::to_ascii_lowercase));
        let name_end = self.bytes.len() as u32;
        self.bytes.extend_from_slice(value);
        self.places.push(Place {
            start,
            name_end,
            end: self.bytes.len() as u32,
        });
    }

    /// All fields in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        self.places.iter().map(|place| {
            let name = self.bytes.get(place.start as usize..place.name_end as usize);
            let value = self.bytes.get(place.name_end as usize..place.end as usize);
            (name.unwrap_or_default(), value.unwrap_or_default())
        })
    }

    /// Calls `change` with each name and its value, which may be overwritten in place.
    pub fn for_each_value(&mut self, mut change: impl FnMut(&[u8], &mut [u8])) {
        for place in &self.places {
            let field = self
                .bytes
                .get_mut(place.start as usize..place.end as usize)
                .unwrap_or_default();
            let (name, value) = field.split_at_mut((place.name_end - place.start) as usize);
            change(name, value);
        }
    }

    /// The first value of a name (lower case).
    pub fn value(&self, name: &str) -> Option<&[u8]> {
        self.iter()
            .find(|(known, _)| *known == name.as_bytes())
            .map(|(_, value)| value)
    }

    /// All values of a name (lower case).
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.iter()
            .filter(move |(known, _)| *known == name.as_bytes())
            .map(|(_, value)| value)
    }

    /// The value of a name (lower case) as text, if there is one and it is UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.value(name)?).ok()
    }

    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// Takes out all fields of a name (lower case).
    pub fn remove(&mut self, name: &str) {
        self.retain(|known, _| known != name.as_bytes());
    }

    /// Keeps the fields for which `keep` is true.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], &[u8]) -> bool) {
        let bytes = &self.bytes;
        self.places.retain(|place| {
            let name = bytes.get(place.start as usize..place.name_end as usize);
            let value = bytes.get(place.name_end as usize..place.end as usize);
            keep(name.unwrap_or_default(), value.unwrap_or_default())
        });
    }

    /// Replaces all fields of a name (lower case) by one.
    pub fn set(&mut self, name: &str, value: &[u8]) {
        self.remove(name);
        self.push(name.as_bytes(), value);
    }

    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.places.len() >= FIELDS_MAX
    }

    /// Whether the comma-separated values of `name` hold `token`, without regard to case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.values(name)
            .flat_map(|value| value.split(|b| *b == b','))
            .any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }
}

impl std::fmt::Debug for Fields {
    /// Names alone: values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()))
            .finish()
    }
}

impl PartialEq for Fields {
    fn eq(&self, other: &Fields) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Fields {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_order_and_are_found_in_lower_case() {
        let mut fields = Fields::new();
        fields.push(b"Accept", b"a");
        fields.push(b"X", b"1");
        fields.push(b"accept", b"b, Chunked");
        assert_eq!(fields.values("accept").collect::<Vec<_>>(), [&b"a"[..], b"b, Chunked"]);
        assert!(fields.has_token("accept", "chunked") && !fields.has_token("accept", "chunk"));
        fields.set("accept", b"c");
        assert_eq!(fields.iter().count(), 2);
        assert_eq!(fields.value("accept"), Some(&b"c"[..]));
        fields.for_each_value(|_, value| value.fill(b'*'));
        assert_eq!(fields.value("x"), Some(&b"*"[..]));
        assert_eq!(format!("{fields:?}"), r#"["x", "accept"]"#);
    }
}
