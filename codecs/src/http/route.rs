//! Routes: which methods on which paths are let through; what no route names is refused.
//!
//! ```text
//! /api/v4/projects/{id:project-path|int}/repository/commits/{sha:sha}
//! /files/{rest...}
//! ```
//! A template is cut at `/` like a path. `{name}` is exactly one segment without an encoded slash; `{name:type|type}` one segment of one of
//! these types; `{name...}` everything after it, at least one segment, last only.

use std::borrow::Cow;
use std::collections::HashMap;

use super::limits::{ROUTES_MAX, SEGMENTS_MAX};
use super::path::Path;

/// What a segment in braces may be; judged on the decoded segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentType {
    /// Anything without `/`.
    Text,
    /// 1 to 19 digits.
    Int,
    /// 7 to 64 hexadecimal digits.
    Sha,
    /// Letters, digits, `_`, `-`, `.`.
    Slug,
    /// Slugs joined by (encoded) slashes: `group/project`.
    ProjectPath,
    /// 8-4-4-4-12 hexadecimal digits.
    Uuid,
    /// Anything, encoded slashes included: branch and file names.
    Any,
}

impl SegmentType {
    const NAMES: &'static [(&'static str, SegmentType)] = &[
        ("text", SegmentType::Text),
        ("int", SegmentType::Int),
        ("sha", SegmentType::Sha),
        ("slug", SegmentType::Slug),
        ("project-path", SegmentType::ProjectPath),
        ("uuid", SegmentType::Uuid),
        ("any", SegmentType::Any),
    ];

    fn fits(self, segment: &str) -> bool {
        let slug =
            |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
        match self {
            SegmentType::Text => !segment.contains('/'),
            SegmentType::Int => (1..=19).contains(&segment.len()) && segment.bytes().all(|b| b.is_ascii_digit()),
            SegmentType::Sha => (7..=64).contains(&segment.len()) && segment.bytes().all(|b| b.is_ascii_hexdigit()),
            SegmentType::Slug => slug(segment),
            SegmentType::ProjectPath => segment.split('/').all(slug),
            SegmentType::Uuid => {
                let lens: Vec<usize> = segment.split('-').map(str::len).collect();
                lens == [8, 4, 4, 4, 12] && segment.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
            }
            SegmentType::Any => true,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(Box<str>),
    Typed(Box<[SegmentType]>),
    Rest,
}

/// One route as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// `GET`, … in upper case; a route for GET also serves HEAD. Empty: every method.
    pub methods: Vec<String>,
    /// The template, for the record.
    pub template: String,
    /// Names of parameters that the query may have; none: any.
    pub query: Option<Vec<String>>,
    parts: Vec<Part>,
    slash: bool,
}

impl Route {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn new(methods: Vec<String>, template: &str, query: Option<Vec<String>>) -> Result<Route, String> {
        for method in &methods {
            if method.is_empty() || !method.bytes().all(super::h1::head::is_token) || super::is_refused_method(method) {
                return Err(format!("{method:?} is no method that can be served"));
            }
        }
        let inner = template
            .strip_prefix('/')
            .ok_or_else(|| format!("{template:?} must begin with /"))?;
        let (inner, slash) = match inner.strip_suffix('/') {
            Some(inner) => (inner, true),
            None => (inner, false),
        };
        let mut parts = Vec::new();
        if !inner.is_empty() {
            for text in inner.split('/') {
                if parts.last() == Some(&Part::Rest) {
                    return Err(format!("{template:?}: {{name...}} must stand last"));
                }
                parts.push(part(text).map_err(|why| format!("{template:?}: {why}"))?);
            }
        }
        if parts.len() > SEGMENTS_MAX {
            return Err(format!("{template:?} has more than {SEGMENTS_MAX} segments"));
        }
        Ok(Route {
            methods,
            template: template.to_owned(),
            query,
            parts,
            slash,
        })
    }

    /// Whether the method is served.
    pub fn serves(&self, method: &str) -> bool {
        let named = |wanted: &str| self.methods.iter().any(|m| m == wanted);
        self.methods.is_empty() || named(method) || method == "HEAD" && named("GET")
    }

    fn fits(&self, path: &Path<'_>) -> bool {
        let rest = self.parts.last() == Some(&Part::Rest);
        let count_fits = if rest {
            path.segments.len() >= self.parts.len()
        } else {
            path.segments.len() == self.parts.len() && path.slash == self.slash
        };
        count_fits
            && self.parts.iter().zip(&path.segments).all(|(part, segment)| match part {
                Part::Literal(literal) => **literal == **segment,
                Part::Typed(types) => types.iter().any(|kind| kind.fits(segment)),
                Part::Rest => true,
            })
    }
}

fn part(text: &str) -> Result<Part, String> {
    if text.is_empty() {
        return Err("an empty segment".to_owned());
    }
    let Some(inner) = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) else {
        if text.contains(['{', '}', '%', '?', '#', '\\', '*']) {
            return Err(format!("{text:?} must be plain text, {{name}} or {{name:type}}"));
        }
        if matches!(text, "." | "..") {
            return Err("a dot segment".to_owned());
        }
        return Ok(Part::Literal(text.into()));
    };
    let (name, types) = inner.split_once(':').unwrap_or((inner, "text"));
    let (name, rest) = match name.strip_suffix("...") {
        Some(name) => (name, true),
        None => (name, false),
    };
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err(format!("{text:?} needs a name of letters, digits and _"));
    }
    if rest {
        return if inner.contains(':') {
            Err(format!("{text:?}: the rest has no type"))
        } else {
            Ok(Part::Rest)
        };
    }
    let types: Result<Vec<SegmentType>, String> = types
        .split('|')
        .map(|wanted| {
            let found = SegmentType::NAMES.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, kind)| *kind).ok_or_else(|| {
                let names: Vec<&str> = SegmentType::NAMES.iter().map(|(name, _)| *name).collect();
                format!("type {wanted:?} is none of {}", names.join(", "))
            })
        })
        .collect();
    Ok(Part::Typed(types?.into()))
}

/// All routes of a connection, found by the number of segments and the first of them that is text.
#[derive(Debug, Clone, Default)]
pub struct Routes {
    list: Vec<Route>,
    /// By number of segments and first segment; those that begin with a typed one under "".
    exact: HashMap<(usize, Box<str>), Vec<usize>>,
    open: Vec<usize>,
}

/// What the routes say about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routed<'a> {
    To(&'a Route),
    /// A route has this path, for other methods.
    Method,
    None,
}

impl Routes {
    /// Compiles a list.
    ///
    /// # Errors
    /// More than [`ROUTES_MAX`].
    pub fn new(list: Vec<Route>) -> Result<Routes, String> {
        if list.len() > ROUTES_MAX {
            return Err(format!("more than {ROUTES_MAX} routes"));
        }
        let mut routes = Routes::default();
        for (index, route) in list.iter().enumerate() {
            if route.parts.last() == Some(&Part::Rest) {
                routes.open.push(index);
                continue;
            }
            let first = match route.parts.first() {
                Some(Part::Literal(first)) => first.clone(),
                _ => "".into(),
            };
            routes.exact.entry((route.parts.len(), first)).or_default().push(index);
        }
        routes.list = list;
        Ok(routes)
    }

    /// The route of a request: the first of the list that fits.
    pub fn find(&self, method: &str, path: &Path<'_>) -> Routed<'_> {
        let first: &str = path.segments.first().map_or("", Cow::as_ref);
        let len = path.segments.len();
        let under = |key: &str| self.exact.get(&(len, Box::from(key))).map_or(&[][..], Vec::as_slice);
        let typed = if first.is_empty() { &[][..] } else { under("") };
        let candidates = under(first).iter().chain(typed).chain(&self.open);
        let mut found: Option<usize> = None;
        let mut other_method = false;
        for index in candidates {
            let Some(route) = self.list.get(*index).filter(|route| route.fits(path)) else {
                continue;
            };
            if !route.serves(method) {
                other_method = true;
            } else if found.is_none_or(|known| *index < known) {
                found = Some(*index);
            }
        }
        match (found.and_then(|index| self.list.get(index)), other_method) {
            (Some(route), _) => Routed::To(route),
            (None, true) => Routed::Method,
            (None, false) => Routed::None,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }
}

#[cfg(test)]
mod tests {
    use super::super::path::parse;
    use super::*;

    fn routes(list: &[(&str, &str)]) -> Routes {
        let routes = list.iter().map(|(methods, template)| {
            Route::new(methods.split(' ').map(str::to_owned).collect(), template, None).unwrap()
        });
        Routes::new(routes.collect()).unwrap()
    }

    fn ask<'a>(routes: &'a Routes, method: &str, target: &str) -> &'a str {
        match routes.find(method, &parse(target).unwrap()) {
            Routed::To(route) => &route.template,
            Routed::Method => "method",
            Routed::None => "none",
        }
    }

    #[test]
    fn only_what_is_named_is_found() {
        let set = routes(&[
            ("GET", "/api/v4/projects/{id:project-path|int}"),
            (
                "GET PUT",
                "/api/v4/projects/{id:project-path|int}/merge_requests/{iid:int}",
            ),
            ("GET", "/api/v4/commits/{sha:sha}"),
            ("GET", "/{any}/x"),
            ("POST", "/files/{rest...}"),
            ("GET", "/"),
        ]);
        let project = "/api/v4/projects/{id:project-path|int}";
        assert_eq!(ask(&set, "GET", "/api/v4/projects/g%2Fp"), project);
        assert_eq!(ask(&set, "HEAD", "/api/v4/projects/1"), project);
        for (method, target, outcome) in [
            ("DELETE", "/api/v4/projects/1", "method"),
            ("get", "/api/v4/projects/1", "method"),
            ("GET", "/api/v4/projects/1/", "none"),
            ("GET", "/api/v4/projects/1/variables", "none"),
            ("GET", "/api/v4/projects/a%20b", "none"),
            ("PUT", "/api/v4/projects/1/merge_requests/3/merge", "none"),
            ("GET", "/api/v4/zzz/api/v4/projects/1", "none"),
            ("GET", "/API/v4/projects/1", "none"),
            ("GET", "/api/v4/commits/xyz", "none"),
            ("GET", "/a%2Fb/x", "none"),
            ("GET", "/a/x", "/{any}/x"),
            ("POST", "/files", "none"),
            ("POST", "/files/a/b/", "/files/{rest...}"),
            ("GET", "/", "/"),
        ] {
            assert_eq!(ask(&set, method, target), outcome, "{method} {target}");
        }
    }

    #[test]
    fn the_first_of_the_list_counts() {
        let set = routes(&[("GET", "/a/{x}"), ("GET", "/a/b")]);
        assert_eq!(ask(&set, "GET", "/a/b"), "/a/{x}");
    }

    #[test]
    fn templates_are_checked() {
        for template in [
            "a",
            "/a//b",
            "/{x...}/b",
            "/{}",
            "/{x:nope}",
            "/a{x}",
            "/a*",
            "/..",
            "/a%2f",
            "/{x...:int}",
            "/a?b",
        ] {
            assert!(Route::new(vec![], template, None).is_err(), "{template}");
        }
        assert!(Route::new(vec!["CONNECT".into()], "/", None).is_err());
        assert!(Route::new(vec!["G T".into()], "/", None).is_err());
    }
}
