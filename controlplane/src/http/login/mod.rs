//! `/login`, `/api/login`, `/api/logout` and passwords: how people come in and go out.

pub mod cli;
pub mod create;
pub mod device;
pub mod logout;
pub mod page;
pub mod password;
pub mod provider;
pub mod token;

use axum::http::{HeaderValue, header};
use axum::response::Response;

use super::auth::{COOKIE_PLAIN, COOKIE_SECURE};
use crate::App;

/// People reach us by https.
fn is_secure(app: &App) -> bool {
    app.public_url.starts_with("https://")
}

/// The attribute of cookies that only https carries.
fn secure(app: &App) -> &'static str {
    if is_secure(app) { "; Secure" } else { "" }
}

/// Answers about logins are kept nowhere on the way.
fn no_store(response: &mut Response) {
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
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
