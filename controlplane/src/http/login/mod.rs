//! `/login`, `/api/login`, `/api/logout` and passwords: how people come in and go out.

pub mod create;
pub mod logout;
pub mod page;
pub mod password;

use axum::http::HeaderValue;

use super::auth::{COOKIE_PLAIN, COOKIE_SECURE};
use crate::App;

/// People reach us by https.
fn is_secure(app: &App) -> bool {
    app.config
        .api_url
        .as_deref()
        .is_some_and(|url| url.starts_with("https://"))
}

/// `Set-Cookie` with a login for so many seconds; 0 takes it away.
fn set_cookie(app: &App, token: &str, seconds: i64) -> Option<HeaderValue> {
    let (name, secure) = match is_secure(app) {
        true => (COOKIE_SECURE, "; Secure"),
        false => (COOKIE_PLAIN, ""),
    };
    HeaderValue::from_str(&format!(
        "{name}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"
    ))
    .ok()
}

/// A place on our own pages; whatever else was asked for becomes the first page.
fn own_place(next: &str) -> &str {
    let is_ours = next.starts_with('/')
        && !next.starts_with("//")
        && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_ours { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_login_one_stays_here() {
        assert_eq!(own_place("/reviews/1?x=2"), "/reviews/1?x=2");
        for elsewhere in [
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "",
            "/a\r\nb",
            "x",
        ] {
            assert_eq!(own_place(elsewhere), "/", "{elsewhere}");
        }
    }
}
