//! Fields of a form as browsers and chats post it (`application/x-www-form-urlencoded`).

/// The value of a field; none where it is missing, or its bytes are no UTF-8.
pub fn value(body: &[u8], name: &str) -> Option<String> {
    body.split(|byte| *byte == b'&').find_map(|pair| {
        let mut parts = pair.splitn(2, |byte| *byte == b'=');
        (decoded(parts.next()?)? == name).then(|| decoded(parts.next().unwrap_or_default()))?
    })
}

fn decoded(text: &[u8]) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'+' => out.push(b' '),
            b'%' => {
                let digits = std::str::from_utf8(after.get(..2)?).ok()?;
                out.push(u8::from_str_radix(digits, 16).ok()?);
                rest = after.get(2..)?;
            }
            other => out.push(*other),
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_and_decoded() {
        let body = b"a=1&comment=not+on%20a%26b+%C3%BC&empty=&flag";
        assert_eq!(value(body, "comment").as_deref(), Some("not on a&b ü"));
        assert_eq!(value(body, "empty").as_deref(), Some(""));
        assert_eq!(value(body, "flag").as_deref(), Some(""));
        assert_eq!(value(body, "b"), None);
        for broken in [&b"a=%"[..], b"a=%4", b"a=%zz", b"a=%ff"] {
            assert_eq!(value(broken, "a"), None);
        }
    }
}
