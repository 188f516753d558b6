//! Who calls: the administrator by the installation's token, or a user by an access token, an API key or a login.

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::extract::FromRequestParts;
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::meta::routes::{Right, Route};
use super::problem::Problem;
use crate::App;
use crate::agents::token::{self, Prefix};
use crate::domain::model::{Entry, User, UserStatus};
use crate::domain::role::Roles;
use crate::identity::oidc::recheck::still_there;
use crate::store::identity::LoginSession;
use crate::store::now_micros;

/// Name of the cookie that carries a browser's login; with TLS the browser holds it to this host.
pub const COOKIE_PLAIN: &str = "sluice_login";
/// The same where people reach us by https (RFC 6265bis, section 4.1.3.2).
pub const COOKIE_SECURE: &str = "__Host-sluice_login";

/// An authenticated caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    user: Option<Member>,
    roles: Roles,
    via: Via,
}

/// What a caller proved themselves with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Via {
    /// The token that the first start made.
    Installation,
    /// Nothing: the profile for development asks for nothing.
    Developer,
    /// A stock client's password: it never carries a role.
    AccessToken,
    /// With the scopes of the key and its end.
    ApiKey {
        scopes: Vec<String>,
        expires_micros: Option<i64>,
    },
    /// A person's login; in a browser it comes as a cookie.
    Login { session: Box<LoginSession>, cookie: bool },
}

impl Via {
    /// The word in the admin log.
    pub fn name(&self) -> &'static str {
        match self {
            Via::Installation => "admin token",
            Via::Developer => "profile dev",
            Via::AccessToken => "access token",
            Via::ApiKey { .. } => "api key",
            Via::Login { cookie: true, .. } => "login in a browser",
            Via::Login { cookie: false, .. } => "login",
        }
    }
}

/// A user that calls for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub user_id: String,
    pub user: User,
    /// Connections that the token is for; empty: all of the user.
    pub scope: Vec<String>,
    /// End of what was shown (microseconds since 1970): nothing made with it lasts longer.
    pub expires_micros: Option<i64>,
}

impl Caller {
    /// The administrator by the installation's token.
    pub fn installation() -> Caller {
        Caller {
            user: None,
            roles: Roles::ADMIN,
            via: Via::Installation,
        }
    }

    /// Whoever calls a control plane in the profile for development.
    pub fn developer() -> Caller {
        Caller {
            via: Via::Developer,
            ..Caller::installation()
        }
    }

    /// The user, where it is one.
    pub fn user(&self) -> Option<&Member> {
        self.user.as_ref()
    }

    /// What counts beside being a member.
    pub fn roles(&self) -> Roles {
        self.roles
    }

    /// How it was proved.
    pub fn via(&self) -> &Via {
        &self.via
    }

    /// Changes everything.
    pub fn is_admin(&self) -> bool {
        self.roles.is_admin()
    }

    /// Reads everything.
    pub fn sees_all(&self) -> bool {
        self.roles.sees_all()
    }

    /// Whether this is the user with the id.
    pub fn is_user(&self, user_id: &str) -> bool {
        self.user.as_ref().is_some_and(|member| member.user_id == user_id)
    }

    /// The id, where it is a user.
    pub fn user_id(&self) -> Option<&str> {
        self.user.as_ref().map(|member| member.user_id.as_str())
    }

    /// The name for people: a user's, or `an administrator`.
    pub fn name(&self) -> &str {
        self.user
            .as_ref()
            .map_or("an administrator", |member| &member.user.name)
    }

    /// Whether the caller may call the route at all.
    pub fn may_call(&self, route: &Route) -> Result<(), Problem> {
        let role = match route.right {
            Right::Open | Right::Page | Right::Member => true,
            Right::Auditor => self.roles.sees_all(),
            Right::Admin => self.roles.is_admin(),
        };
        if !role {
            return Err(Problem::Forbidden(format!(
                "this needs the role {}",
                route.right.name()
            )));
        }
        let Via::ApiKey { scopes, .. } = &self.via else {
            return Ok(());
        };
        match route.scope() {
            Some((resource, verb)) if !covers(scopes, resource, verb) => Err(Problem::Forbidden(format!(
                "this needs the scope {resource}:{verb}, which the key does not have"
            ))),
            None if route.right == Right::Page => Err(Problem::Forbidden("API keys open no pages".to_owned())),
            _ => Ok(()),
        }
    }
}

/// Whether a list of scopes allows a verb on a resource.
pub fn covers(scopes: &[String], resource: &str, verb: &str) -> bool {
    scopes.iter().any(|scope| match scope.split_once(':') {
        None => scope == "*",
        Some((of, what)) => (of == "*" || of == resource) && (what == "*" || what == verb),
    })
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _app: &Arc<App>) -> Result<Self, Problem> {
        parts
            .extensions
            .get::<Caller>()
            .cloned()
            .ok_or(Problem::Unauthenticated)
    }
}

/// Who the request's headers prove; `None` where they say nothing.
pub async fn authenticate(
    app: &App,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
) -> Result<Option<Caller>, Problem> {
    if let Some(token) = token_of(path, headers) {
        return by_token(app, &token).await.map(Some);
    }
    if let Some(token) = cookie_of(headers) {
        let caller = match Prefix::of(&token) {
            Some(Prefix::Login) => by_login(app, &token, true).await?,
            _ => by_token(app, &token).await.ok(),
        };
        // A cookie that has run out is as good as none: the browser is sent to the login page.
        let Some(caller) = caller else {
            return Ok(None);
        };
        if !method.is_safe() {
            same_origin(app, headers)?;
        }
        return Ok(Some(caller));
    }
    if app.config.developer {
        same_origin_if_told(app, headers)?;
        return Ok(Some(Caller::developer()));
    }
    Ok(None)
}

/// Who a token stands for.
pub async fn by_token(app: &App, token: &str) -> Result<Caller, Problem> {
    let hash = token::sha256(token);
    let caller = match Prefix::of(token) {
        Some(Prefix::Admin) => verify_slices_are_equal(&hash, &app.admin_sha256)
            .is_ok()
            .then(Caller::installation),
        Some(Prefix::User) => by_access_token(app, &hash),
        Some(Prefix::ApiKey) => by_api_key(app, &hash).await?,
        Some(Prefix::Login) => by_login(app, token, false).await?,
        Some(Prefix::Enrol) | None => None,
    };
    caller.ok_or(Problem::Unauthenticated)
}

fn by_access_token(app: &App, hash: &[u8]) -> Option<Caller> {
    let state = app.publisher.state();
    let token = state.tokens.values().find(|t| t.sha256 == hash)?;
    if token.expires_micros.is_some_and(|expires| expires <= now_micros()) {
        return None;
    }
    let member = member(app, &token.user_id)?;
    Some(Caller {
        user: Some(Member {
            scope: token.connections.clone(),
            expires_micros: token.expires_micros,
            ..member
        }),
        roles: Roles::default(),
        via: Via::AccessToken,
    })
}

async fn by_api_key(app: &App, hash: &[u8]) -> Result<Option<Caller>, Problem> {
    let Some(key) = app.store.api_key_by_hash(hash).await? else {
        return Ok(None);
    };
    if key.expires_micros.is_some_and(|expires| expires <= now_micros()) {
        return Ok(None);
    }
    Ok(member(app, &key.user_id).map(|member| Caller {
        roles: roles_of(app, &member.user),
        user: Some(Member {
            expires_micros: key.expires_micros,
            ..member
        }),
        via: Via::ApiKey {
            scopes: key.scopes,
            expires_micros: key.expires_micros,
        },
    }))
}

async fn by_login(app: &App, token: &str, cookie: bool) -> Result<Option<Caller>, Problem> {
    let Some(session) = app.store.login(&token::sha256(token), now_micros()).await? else {
        return Ok(None);
    };
    if !still_there(app, token, &session).await? {
        return Ok(None);
    }
    Ok(member(app, &session.user_id).map(|member| Caller {
        roles: roles_of(app, &member.user),
        user: Some(member),
        via: Via::Login {
            session: Box::new(session),
            cookie,
        },
    }))
}

/// The roles of a user, own and by group.
pub fn roles_of(app: &App, user: &User) -> Roles {
    app.config.role_groups.roles(&user.roles, &user.groups)
}

/// The active user with this id.
fn member(app: &App, user_id: &str) -> Option<Member> {
    let state = app.publisher.state();
    let (entry, user): (&Entry, &User) = state.catalog.users().find(|(entry, _)| entry.id == user_id)?;
    (user.status == UserStatus::Active).then(|| Member {
        user_id: entry.id.clone(),
        user: user.clone(),
        scope: Vec::new(),
        expires_micros: None,
    })
}

/// The secret that a request shows, however it does.
pub fn shown(path: &str, headers: &HeaderMap) -> Option<String> {
    token_of(path, headers).or_else(|| cookie_of(headers))
}

/// The token of `Bearer`, or the password of `Basic` on pages.
fn token_of(path: &str, headers: &HeaderMap) -> Option<String> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if scheme.eq_ignore_ascii_case("basic") && !path.starts_with("/api/") {
        let decoded = String::from_utf8(BASE64_STANDARD.decode(rest.trim()).ok()?).ok()?;
        return Some(decoded.split_once(':')?.1.to_owned());
    }
    None
}

/// The login of a browser.
pub fn cookie_of(headers: &HeaderMap) -> Option<String> {
    cookie(headers, COOKIE_SECURE).or_else(|| cookie(headers, COOKIE_PLAIN))
}

/// The value of a cookie.
pub fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let texts = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    texts
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.to_owned())
}

/// What a browser sends by itself counts only from our own pages: it names the page's origin whenever something is changed.
pub fn same_origin(app: &App, headers: &HeaderMap) -> Result<(), Problem> {
    let origin = headers.get("origin").and_then(|value| value.to_str().ok());
    match origin {
        Some(origin) if is_ours(app, origin, headers) => Ok(()),
        _ => Err(Problem::Forbidden(
            "a login in a browser counts only for requests from the control plane's own pages".to_owned(),
        )),
    }
}

/// Without any login, a page from elsewhere must not act for whoever sits at this machine.
fn same_origin_if_told(app: &App, headers: &HeaderMap) -> Result<(), Problem> {
    let host = headers
        .get("host")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if !matches!(name, "localhost" | "127.0.0.1" | "[::1]") {
        return Err(Problem::Forbidden(
            "the profile dev answers to localhost alone".to_owned(),
        ));
    }
    match headers.get("origin") {
        Some(_) => same_origin(app, headers),
        None => Ok(()),
    }
}

fn is_ours(app: &App, origin: &str, headers: &HeaderMap) -> bool {
    if origin_of(&app.public_url) == origin {
        return true;
    }
    let host = headers.get("host").and_then(|value| value.to_str().ok());
    host.is_some_and(|host| origin.strip_prefix("http://").or(origin.strip_prefix("https://")) == Some(host))
}

/// Scheme, host and port of an address.
fn origin_of(url: &str) -> &str {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let end = url.get(after_scheme..).and_then(|rest| rest.find('/'));
    end.and_then(|end| url.get(..after_scheme + end)).unwrap_or(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_cover_what_they_name() {
        let covers = |scope: &str, resource, verb| covers(&[scope.to_owned()], resource, verb);
        assert!(covers("*", "users", "write"));
        assert!(covers("*:read", "users", "read"));
        assert!(!covers("*:read", "users", "write"));
        assert!(covers("users:*", "users", "write"));
        assert!(!covers("users:*", "user", "write"));
        assert!(!covers("users:read", "users", "write"));
        assert!(!covers("users", "users", "read"));
        assert!(!super::covers(&[], "users", "read"));
    }

    #[test]
    fn cookies_are_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, "a=1; sluice_login=sls_x; b=2".parse().unwrap());
        assert_eq!(cookie_of(&headers).as_deref(), Some("sls_x"));
        assert_eq!(cookie(&headers, "sluice"), None);
        assert_eq!(
            origin_of("https://sluice.example:8443/base/x"),
            "https://sluice.example:8443"
        );
        assert_eq!(origin_of("http://a"), "http://a");
    }
}
