//! What an ID token must say to be one for us, now, for this login (OpenID Connect Core 1.0 section 3.1.3.7). Pure.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use serde_json::{Map, Value};

use crate::limits::{CLOCK_SKEW_SECONDS, GROUP_CHARS_MAX, GROUPS_PER_USER_MAX};

/// What is expected.
#[derive(Clone, Debug)]
pub struct Expected<'a> {
    pub issuer: &'a str,
    pub client_id: &'a str,
    /// Of the login; `None` when a token is refreshed.
    pub nonce: Option<&'a str>,
    /// Whose token a refreshed one must be.
    pub subject: Option<&'a str>,
    pub groups_claim: &'a str,
    pub now_seconds: i64,
}

/// Whom a good token is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    pub subject: String,
    pub email: Option<String>,
    /// The provider says that the address is theirs.
    pub email_verified: bool,
    pub name: Option<String>,
    /// `None`: the token says nothing of groups.
    pub groups: Option<Vec<String>>,
}

/// Why a token is not for this login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    #[error("it is from another issuer")]
    Issuer,
    #[error("it is for somebody else (audience)")]
    Audience,
    #[error("it has expired")]
    Expired,
    #[error("it is from the future")]
    Future,
    #[error("it is of another login (nonce)")]
    Nonce,
    #[error("it is about somebody else (subject)")]
    Subject,
    #[error("it lacks {0}")]
    Missing(&'static str),
}

/// Checks the claims of a token whose signature is good.
pub fn check(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<Person, ClaimError> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss").ok_or(ClaimError::Missing("iss"))? != expected.issuer {
        return Err(ClaimError::Issuer);
    }
    audience(claims, expected.client_id)?;
    times(claims, expected.now_seconds)?;
    if let Some(nonce) = expected.nonce {
        let theirs = text("nonce").ok_or(ClaimError::Missing("nonce"))?;
        verify_slices_are_equal(theirs.as_bytes(), nonce.as_bytes()).map_err(|_| ClaimError::Nonce)?;
    }
    let subject = text("sub").filter(|sub| !sub.is_empty() && sub.len() <= 255);
    let subject = subject.ok_or(ClaimError::Missing("sub"))?;
    if expected.subject.is_some_and(|wanted| wanted != subject) {
        return Err(ClaimError::Subject);
    }
    Ok(Person {
        subject: subject.to_owned(),
        email: text("email")
            .filter(|email| email.len() <= 254 && email.contains('@'))
            .map(str::to_owned),
        email_verified: claims.get("email_verified") == Some(&Value::Bool(true)),
        name: text("preferred_username").or(text("nickname")).map(str::to_owned),
        groups: claims.get(expected.groups_claim).map(groups),
    })
}

fn audience(claims: &Map<String, Value>, client_id: &str) -> Result<(), ClaimError> {
    let many = match claims.get("aud") {
        Some(Value::String(one)) if one == client_id => false,
        Some(Value::Array(several)) if several.iter().any(|one| one.as_str() == Some(client_id)) => several.len() > 1,
        Some(_) => return Err(ClaimError::Audience),
        None => return Err(ClaimError::Missing("aud")),
    };
    match claims.get("azp") {
        None if many => Err(ClaimError::Missing("azp")),
        Some(party) if party.as_str() != Some(client_id) => Err(ClaimError::Audience),
        _ => Ok(()),
    }
}

fn times(claims: &Map<String, Value>, now: i64) -> Result<(), ClaimError> {
    let time = |name: &str| claims.get(name).and_then(Value::as_f64);
    let (now, skew) = (now as f64, CLOCK_SKEW_SECONDS as f64);
    if time("exp").ok_or(ClaimError::Missing("exp"))? <= now - skew {
        return Err(ClaimError::Expired);
    }
    let issued = time("iat").ok_or(ClaimError::Missing("iat"))?;
    // A time that is there and no number is as wrong as one to come.
    let begins = claims.get("nbf").map_or(Some(issued), Value::as_f64);
    if issued > now + skew || begins.is_none_or(|begins| begins > now + skew) {
        return Err(ClaimError::Future);
    }
    Ok(())
}

/// Names of groups: a list, or one text; what cannot be a name of a group is left out.
fn groups(claim: &Value) -> Vec<String> {
    let texts: Vec<&str> = match claim {
        Value::String(one) => vec![one.as_str()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let fits = |name: &&str| {
        let chars = name.chars().count();
        (1..=GROUP_CHARS_MAX).contains(&chars) && name.trim() == *name && !name.chars().any(char::is_control)
    };
    let mut names: Vec<String> = texts
        .into_iter()
        .filter(fits)
        .take(GROUPS_PER_USER_MAX)
        .map(str::to_owned)
        .collect();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: i64 = 1_800_000_000;

    fn expected() -> Expected<'static> {
        Expected {
            issuer: "https://id.example",
            client_id: "sluice",
            nonce: Some("n1"),
            subject: None,
            groups_claim: "groups",
            now_seconds: NOW,
        }
    }

    fn with(changes: Value) -> Result<Person, ClaimError> {
        let mut claims = json!({
            "iss": "https://id.example", "aud": "sluice", "sub": "1", "exp": NOW + 300, "iat": NOW - 1, "nonce": "n1",
            "email": "alice@example.com", "email_verified": true, "preferred_username": "alice", "groups": ["b", "a", "b", "", " x"],
        });
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => claims.as_object_mut().unwrap().remove(name),
                value => claims.as_object_mut().unwrap().insert(name.clone(), value.clone()),
            };
        }
        check(claims.as_object().unwrap(), &expected())
    }

    #[test]
    fn a_good_token_says_who() {
        let person = with(json!({})).unwrap();
        assert_eq!(person.subject, "1");
        assert_eq!(
            (person.email.as_deref(), person.email_verified),
            (Some("alice@example.com"), true)
        );
        assert_eq!(person.groups.unwrap(), ["a", "b"]);
        assert_eq!(with(json!({"groups": null})).unwrap().groups, None);
        assert_eq!(with(json!({"groups": "one"})).unwrap().groups.unwrap(), ["one"]);
        assert!(!with(json!({"email_verified": "true"})).unwrap().email_verified);
    }

    #[test]
    fn another_issuer_audience_or_login_is_refused() {
        assert_eq!(with(json!({"iss": "https://id.example/"})), Err(ClaimError::Issuer));
        assert_eq!(with(json!({"iss": null})), Err(ClaimError::Missing("iss")));
        assert_eq!(with(json!({"aud": "other"})), Err(ClaimError::Audience));
        assert_eq!(with(json!({"aud": []})), Err(ClaimError::Audience));
        assert_eq!(with(json!({"aud": null})), Err(ClaimError::Missing("aud")));
        assert_eq!(
            with(json!({"aud": ["sluice", "other"]})),
            Err(ClaimError::Missing("azp"))
        );
        assert_eq!(
            with(json!({"aud": ["sluice", "other"], "azp": "other"})),
            Err(ClaimError::Audience)
        );
        assert!(with(json!({"aud": ["sluice", "other"], "azp": "sluice"})).is_ok());
        assert_eq!(with(json!({"azp": "other"})), Err(ClaimError::Audience));
        assert_eq!(with(json!({"nonce": "n2"})), Err(ClaimError::Nonce));
        assert_eq!(with(json!({"nonce": null})), Err(ClaimError::Missing("nonce")));
        assert_eq!(with(json!({"sub": ""})), Err(ClaimError::Missing("sub")));
    }

    #[test]
    fn times_are_checked_with_a_little_skew() {
        let skew = CLOCK_SKEW_SECONDS;
        assert!(with(json!({"exp": NOW - skew + 1})).is_ok());
        assert_eq!(with(json!({"exp": NOW - skew})), Err(ClaimError::Expired));
        assert_eq!(with(json!({"exp": null})), Err(ClaimError::Missing("exp")));
        assert_eq!(with(json!({"exp": "9999999999"})), Err(ClaimError::Missing("exp")));
        assert!(with(json!({"iat": NOW + skew})).is_ok());
        assert_eq!(with(json!({"iat": NOW + skew + 1})), Err(ClaimError::Future));
        assert_eq!(with(json!({"nbf": NOW + skew + 1})), Err(ClaimError::Future));
        assert_eq!(with(json!({"nbf": "soon"})), Err(ClaimError::Future));
        assert!(with(json!({"nbf": NOW + skew})).is_ok());
    }

    #[test]
    fn a_refreshed_token_is_about_the_same_person() {
        let mut claims = json!({"iss": "https://id.example", "aud": "sluice", "sub": "1", "exp": NOW + 9, "iat": NOW});
        let expected = Expected {
            nonce: None,
            subject: Some("1"),
            ..expected()
        };
        assert!(check(claims.as_object().unwrap(), &expected).is_ok());
        claims["sub"] = json!("2");
        assert_eq!(check(claims.as_object().unwrap(), &expected), Err(ClaimError::Subject));
    }
}
