//! Reads objects of the policy from a TOML policy file or a JSON body into checked types; writes the file.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::Serialize;
use serde_json::{Map, Value};

use super::mistake::{Mistake, Mistakes};
use super::model::{
    AccessReview, Body, Catalog, Connection, ConnectionType, CustomDetector, Group, Guardrail, GuardrailRule, Key,
    Kind, Pool, Redaction, User, Via,
};
use super::read::Fields;
use super::role::Role;
use super::secret;
use super::{http, notification, postgres, window};
use crate::limits::{
    ACCESS_SECONDS_DEFAULT, ACCESS_SECONDS_MAX, ACCESS_WAIT_SECONDS_DEFAULT, GROUP_CHARS_MAX, NAME_CHARS_MAX,
    OBJECTS_PER_KIND_MAX, REVIEWER_GROUPS_MAX, TEXT_CHARS_MAX,
};
use session::limits::{APPROVALS_MAX, HOLD_WAIT_MAX};

/// The default port of PostgreSQL.
const POSTGRES_PORT: u16 = 5432;

/// Reads a whole policy file; all mistakes at once.
pub fn parse(text: &str) -> Result<BTreeMap<Key, Body>, Vec<Mistake>> {
    let mut mistakes = Mistakes::default();
    let table: Map<String, Value> = match toml::from_str(text) {
        Ok(table) => table,
        Err(error) => {
            mistakes.add(place_in(text, error.span()), error.message().to_owned());
            return Err(mistakes.into_list());
        }
    };
    let mut bodies = BTreeMap::new();
    let mut fields = Fields::new("", table, &mut mistakes);
    for kind in Kind::ALL {
        let tables = fields.tables(kind.name());
        if tables.len() > OBJECTS_PER_KIND_MAX {
            fields.wrong(kind.name(), format!("more than {OBJECTS_PER_KIND_MAX} objects"));
            continue;
        }
        for (index, table) in tables.into_iter().enumerate() {
            let name = table.get("name").and_then(Value::as_str).map(str::to_owned);
            let place = place_of(kind, name.as_deref(), index);
            let Some(body) = read_table(kind, place.clone(), table, fields.mistakes()) else {
                continue;
            };
            if bodies.insert(body.key(), body).is_some() {
                fields.mistakes().add(place, "is there twice");
            }
        }
    }
    fields.finish();
    mistakes.or(bodies)
}

/// Reads one object from the body of a request; all mistakes at once.
pub fn read(kind: Kind, table: Map<String, Value>) -> Result<Body, Vec<Mistake>> {
    let mut mistakes = Mistakes::default();
    let name = table.get("name").and_then(Value::as_str).map(str::to_owned);
    let place = match &name {
        Some(name) => place_of(kind, Some(name), 0),
        None => kind.name().to_owned(),
    };
    let body = read_table(kind, place.clone(), table, &mut mistakes);
    if body.is_none() && mistakes.is_empty() {
        mistakes.add(place, "cannot be read");
    }
    match body {
        Some(body) => mistakes.or(body),
        None => Err(mistakes.into_list()),
    }
}

/// Writes the catalog as a policy file. Literal passwords are masked.
pub fn export(catalog: &Catalog) -> Result<String, toml::ser::Error> {
    #[derive(Default, Serialize)]
    struct File {
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pool: Vec<Map<String, Value>>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        group: Vec<Map<String, Value>>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        user: Vec<Map<String, Value>>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        redaction: Vec<Map<String, Value>>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        guardrail: Vec<Map<String, Value>>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        routes: Vec<Map<String, Value>>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        connection: Vec<Map<String, Value>>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        notification: Vec<Map<String, Value>>,
    }
    let of = |kind| catalog.of(kind).map(|e| shown(&e.body)).collect();
    toml::to_string(&File {
        pool: of(Kind::Pool),
        group: of(Kind::Group),
        user: of(Kind::User),
        redaction: of(Kind::Redaction),
        guardrail: of(Kind::Guardrail),
        routes: of(Kind::Routes),
        connection: of(Kind::Connection),
        notification: of(Kind::Notification),
    })
}

/// Fields that can hold a literal secret.
const SECRETS: [&str; 4] = ["password", "url", "secret", "signing_secret"];

/// The fields of an object as readers may see them: literal secrets are masked.
pub fn shown(body: &Body) -> Map<String, Value> {
    let mut fields = body.fields();
    for name in SECRETS {
        if let Some(Value::String(value)) = fields.get_mut(name) {
            *value = secret::masked(value).to_owned();
        }
    }
    fields
}

/// Puts stored secrets back where a reader's masked form was written, as an exported file or a shown object has it.
pub fn unmask(body: &mut Body, stored: Option<&Body>) -> Result<(), Mistake> {
    let place = format!("{} \"{}\"", body.kind().name(), body.name());
    let stored = stored.map(Body::fields).unwrap_or_default();
    for (name, value) in secrets_of(body) {
        if value.as_deref() != Some(secret::LITERAL_MASKED) {
            continue;
        }
        match stored.get(name).and_then(Value::as_str) {
            Some(kept) if kept.starts_with("literal:") => *value = Some(kept.to_owned()),
            _ => {
                return Err(Mistake {
                    place: format!("{place}: {name}"),
                    message: format!(
                        "{} stands for a stored secret, and none is stored",
                        secret::LITERAL_MASKED
                    ),
                });
            }
        }
    }
    Ok(())
}

fn secrets_of(body: &mut Body) -> Vec<(&'static str, &mut Option<String>)> {
    match body {
        Body::Connection(it) => vec![("password", &mut it.password)],
        Body::Notification(it) => vec![
            ("url", &mut it.url),
            ("secret", &mut it.secret),
            ("signing_secret", &mut it.signing_secret),
        ],
        _ => Vec::new(),
    }
}

fn place_of(kind: Kind, name: Option<&str>, index: usize) -> String {
    match name {
        Some(name) => format!(
            "{} \"{}\"",
            kind.name(),
            name.chars().take(NAME_CHARS_MAX).collect::<String>()
        ),
        None => format!("{} {}", kind.name(), index + 1),
    }
}

/// `line N, column M` of an error in a TOML text.
fn place_in(text: &str, span: Option<std::ops::Range<usize>>) -> String {
    let before = span.and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}, column {column}")
}

fn read_table(kind: Kind, place: String, table: Map<String, Value>, mistakes: &mut Mistakes) -> Option<Body> {
    let mut fields = Fields::new(place, table, mistakes);
    let name = name(&mut fields, kind);
    let body = match kind {
        Kind::Pool => {
            let description = described(&mut fields);
            name.map(|name| Body::Pool(Pool { name, description }))
        }
        Kind::Group => {
            let description = described(&mut fields);
            name.map(|name| Body::Group(Group { name, description }))
        }
        Kind::User => user(&mut fields, name).map(Body::User),
        Kind::Redaction => redaction(&mut fields, name).map(Body::Redaction),
        Kind::Guardrail => guardrail(&mut fields, name).map(Body::Guardrail),
        Kind::Routes => http::route_set(&mut fields, name).map(Body::Routes),
        Kind::Connection => connection(&mut fields, name).map(Body::Connection),
        Kind::Notification => notification::read(&mut fields, name).map(Body::Notification),
    };
    fields.finish();
    body
}

/// Names go into addresses, log-in names and file names, so the alphabet is small; groups come from elsewhere and are freer.
fn name(fields: &mut Fields<'_>, kind: Kind) -> Option<String> {
    let name = fields.text_required("name")?;
    let fits = match kind {
        Kind::Group => group_fits(&name),
        Kind::User => name.chars().count() <= NAME_CHARS_MAX && word(&name, "._-@+"),
        _ => name.chars().count() <= NAME_CHARS_MAX && word(&name, "._-"),
    };
    if fits {
        return Some(name);
    }
    let allowed = match kind {
        Kind::Group => format!("at most {GROUP_CHARS_MAX} characters without control characters"),
        Kind::User => format!("letters, digits and . _ - @ +, at most {NAME_CHARS_MAX}, first a letter or digit"),
        _ => format!("letters, digits and . _ -, at most {NAME_CHARS_MAX}, first a letter or digit"),
    };
    fields.wrong("name", format!("must be {allowed}"));
    None
}

fn word(name: &str, extra: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
}

fn group_fits(name: &str) -> bool {
    name.chars().count() <= GROUP_CHARS_MAX && !name.chars().any(char::is_control) && name.trim() == name
}

fn described(fields: &mut Fields<'_>) -> Option<String> {
    let description = fields.text("description");
    if description.as_ref().is_some_and(|d| d.chars().count() > TEXT_CHARS_MAX) {
        fields.wrong("description", format!("must have at most {TEXT_CHARS_MAX} characters"));
    }
    description
}

fn groups(fields: &mut Fields<'_>, key: &'static str) -> Vec<String> {
    let groups = fields.texts(key);
    for group in groups.iter().filter(|g| !group_fits(g)) {
        fields.wrong(
            key,
            format!(
                "\"{}\" is no name of a group",
                group.chars().take(40).collect::<String>()
            ),
        );
    }
    groups
}

fn user(fields: &mut Fields<'_>, name: Option<String>) -> Option<User> {
    let email = fields.text("email");
    if email
        .as_ref()
        .is_some_and(|e| e.chars().count() > 254 || !e.contains('@'))
    {
        fields.wrong("email", "must be an e-mail address");
    }
    let groups = groups(fields, "groups");
    let status = fields.choice("status", &["active", "inactive"]);
    let roles = roles(fields);
    let kind = fields.choice("type", &["person", "service"]);
    Some(User {
        name: name?,
        email,
        groups,
        status,
        roles,
        kind,
    })
}

fn roles(fields: &mut Fields<'_>) -> Vec<Role> {
    let mut roles = Vec::new();
    for name in fields.texts("roles") {
        match Role::from_name(&name) {
            Some(role) => roles.push(role),
            None => fields.wrong("roles", format!("\"{name}\" is none of {}", Role::NAMES.join(", "))),
        }
    }
    roles.sort_unstable();
    roles
}

fn redaction(fields: &mut Fields<'_>, name: Option<String>) -> Option<Redaction> {
    let detect = fields.texts("detect");
    let columns = fields.texts("columns");
    for column in columns
        .iter()
        .filter(|c| c.split('.').count() != 3 || c.split('.').any(str::is_empty))
    {
        fields.wrong("columns", format!("\"{column}\" must be schema.table.column"));
    }
    let json = fields.texts("json");
    let csv = fields.texts("csv");
    let custom = fields
        .tables("custom")
        .into_iter()
        .filter_map(|t| custom(fields, t))
        .collect::<Vec<_>>();
    let mask = fields.text("mask").unwrap_or_else(|| "label".to_owned());
    if let Err(message) = Mask::parse(&mask) {
        fields.wrong("mask", message);
    }
    let mode = fields.choice("mode", &["enforce", "analyse"]);
    let on_error = fields.choice("on_error", &["close", "blank_field", "pass"]);
    let except_groups = groups(fields, "except_groups");
    let unattributed = fields.choice("unattributed", &["scan", "mask", "deny"]);
    let allow = fields.words("allow");
    let allow_patterns = fields.texts("allow_patterns");
    let context = fields.choice("context", &["required", "optional"]);
    let decode = fields.number("decode", 0, 2).unwrap_or(0) as u32;
    if detect.is_empty() && columns.is_empty() && custom.is_empty() && json.is_empty() && csv.is_empty() {
        fields.wrong(
            "detect",
            "a rule needs detectors, columns, JSON paths, CSV columns or custom detectors",
        );
    }
    Some(Redaction {
        name: name?,
        detect,
        columns,
        json,
        csv,
        custom,
        mask,
        mode,
        on_error,
        except_groups,
        unattributed,
        allow,
        allow_patterns,
        context,
        decode,
    })
}

fn custom(fields: &mut Fields<'_>, table: Map<String, Value>) -> Option<CustomDetector> {
    let place = fields.place_of("custom");
    let mut inner = Fields::new(place, table, fields.mistakes());
    let name = inner.text_required("name");
    let regex = inner.text("regex").unwrap_or_default();
    let dictionary = inner.words("dictionary");
    if regex.is_empty() == dictionary.is_empty() {
        inner.wrong("regex", "exactly one of regex and dictionary must be given");
    }
    let detector = CustomDetector {
        name: String::new(),
        regex,
        max_len: inner.number("max_len", 1, 1 << 20).map(|n| n as u32),
        dictionary,
        ignore_case: inner.flag("ignore_case"),
        checksum: inner.text("checksum"),
        context: inner.texts("context"),
        inside_words: inner.flag("inside_words"),
        label: inner.text("label"),
    };
    inner.finish();
    Some(CustomDetector {
        name: name?,
        ..detector
    })
}

fn guardrail(fields: &mut Fields<'_>, name: Option<String>) -> Option<Guardrail> {
    let tables = fields.tables("rules");
    if tables.is_empty() {
        fields.wrong("rules", "a guardrail needs at least one rule");
    }
    let mut rules = Vec::with_capacity(tables.len());
    for (index, table) in tables.into_iter().enumerate() {
        rules.extend(rule(fields, index, table));
    }
    Some(Guardrail {
        name: name?,
        rules,
        unparsed: fields.choice("unparsed", &["deny", "allow"]),
    })
}

fn rule(fields: &mut Fields<'_>, index: usize, table: Map<String, Value>) -> Option<GuardrailRule> {
    let place = fields.place_of(&format!("rule {}", index + 1));
    let mut inner = Fields::new(place.clone(), table, fields.mistakes());
    let rule = GuardrailRule {
        deny: inner.texts("deny"),
        review: inner.texts("review"),
        deny_pattern: inner.text("deny_pattern"),
        message: inner.text("message"),
        reviewers: groups(&mut inner, "reviewers"),
        approvals: approvals(&mut inner),
        wait_seconds: inner
            .number("wait_seconds", 1, HOLD_WAIT_MAX.as_secs())
            .map(|seconds| seconds as u32),
        groups: inner.choice("groups", &["any", "all"]),
    };
    inner.finish();
    let verdicts = [
        !rule.deny.is_empty(),
        !rule.review.is_empty(),
        rule.deny_pattern.is_some(),
    ];
    if verdicts.iter().filter(|given| **given).count() != 1 {
        fields
            .mistakes()
            .add(place.clone(), "must have exactly one of deny, review, deny_pattern");
        return None;
    }
    let of_review = !rule.reviewers.is_empty()
        || rule.approvals.is_some()
        || rule.wait_seconds.is_some()
        || rule.groups != Default::default();
    if of_review && rule.review.is_empty() {
        fields.mistakes().add(
            place.clone(),
            "reviewers, approvals, groups and wait_seconds belong to review",
        );
    }
    if rule
        .message
        .as_ref()
        .is_some_and(|m| m.chars().count() > TEXT_CHARS_MAX)
    {
        fields
            .mistakes()
            .add(place, format!("message must have at most {TEXT_CHARS_MAX} characters"));
    }
    Some(rule)
}

fn approvals(fields: &mut Fields<'_>) -> Option<u32> {
    let approvals = fields.number("approvals", 1, u64::from(APPROVALS_MAX));
    approvals.map(|approvals| approvals as u32)
}

fn access_review(fields: &mut Fields<'_>) -> Option<AccessReview> {
    let value = fields.value("access_review")?;
    let Value::Object(table) = value else {
        fields.wrong("access_review", "must be a table");
        return None;
    };
    let place = fields.place_of("access_review");
    let mut inner = Fields::new(place, table, fields.mistakes());
    let rule = AccessReview {
        reviewers: groups(&mut inner, "reviewers"),
        approvals: approvals(&mut inner).unwrap_or(1),
        max_seconds: inner
            .number("max_seconds", 1, ACCESS_SECONDS_MAX)
            .unwrap_or(ACCESS_SECONDS_DEFAULT),
        wait_seconds: inner
            .number("wait_seconds", 1, ACCESS_SECONDS_MAX)
            .unwrap_or(ACCESS_WAIT_SECONDS_DEFAULT),
        reason_required: inner.flag("reason_required"),
        groups: inner.choice("groups", &["any", "all"]),
        windows: window::read(&mut inner, "windows"),
        free: window::read(&mut inner, "free"),
        break_glass: groups(&mut inner, "break_glass"),
        break_glass_seconds: inner.number("break_glass_seconds", 1, ACCESS_SECONDS_MAX),
    };
    if rule.reviewers.len() > REVIEWER_GROUPS_MAX {
        inner.wrong("reviewers", format!("names more than {REVIEWER_GROUPS_MAX} groups"));
    }
    if rule.break_glass.is_empty() && rule.break_glass_seconds.is_some() {
        inner.wrong("break_glass_seconds", "belongs to break_glass");
    }
    inner.finish();
    Some(rule)
}

fn connection(fields: &mut Fields<'_>, name: Option<String>) -> Option<Connection> {
    let kind: Option<ConnectionType> = match fields.text_required("type").as_deref() {
        Some("postgres") => Some(ConnectionType::Postgres),
        Some("http") => Some(ConnectionType::Http),
        Some(other) => {
            fields.wrong("type", format!("\"{other}\" is not built; types: postgres, http"));
            None
        }
        None => None,
    };
    let pool = fields.text("pool");
    let via: Option<Via> = fields.choice_given("via", &["direct"]);
    if pool.is_some() == via.is_some() {
        fields.wrong("pool", "give either pool or via = \"direct\"");
    }
    let is_http = kind == Some(ConnectionType::Http);
    let place = if is_http {
        http::place(fields)
    } else {
        http::Place {
            host: fields.text_required("host"),
            port: fields.number("port", 1, 65535).map_or(POSTGRES_PORT, |n| n as u16),
            tls: fields.choice("tls", &["disable", "prefer", "require", "verify-full"]),
        }
    };
    let database = if is_http { None } else { fields.text("database") };
    let tls_ca = secret_reference(fields, "tls_ca");
    let username = secret_reference(fields, "username");
    let password = secret_reference(fields, "password");
    let http = is_http.then(|| http::connection(fields));
    credentials(fields, http.as_ref(), username.as_deref(), password.as_deref());
    let groups = groups(fields, "groups");
    let redact = fields.texts("redact");
    let guardrails = fields.texts("guardrails");
    let record = fields.choice("record", &["meta", "statements", "full"]);
    let audit = fields.choice("audit", &["ordered", "strict"]);
    let listen = listen(fields);
    let access_review = access_review(fields);
    let postgres = if is_http {
        Default::default()
    } else {
        postgres::connection(fields)
    };
    Some(Connection {
        access_review,
        name: name?,
        kind: kind?,
        database,
        pool,
        via,
        host: place.host?,
        port: place.port,
        tls: place.tls,
        tls_ca,
        username: if is_http {
            username.unwrap_or_default()
        } else {
            username?
        },
        password,
        groups,
        redact,
        guardrails,
        record,
        audit,
        listen,
        http,
        postgres,
    })
}

/// Which secrets a connection must have, and may not.
fn credentials(fields: &mut Fields<'_>, http: Option<&http::Http>, username: Option<&str>, password: Option<&str>) {
    use http::CredentialScheme;
    let Some(http) = http else {
        if username.is_none() {
            fields.wrong("username", "is missing or wrong");
        }
        return;
    };
    match http.credential_scheme {
        CredentialScheme::None if password.is_some() => fields.wrong("password", "credential_scheme is none"),
        CredentialScheme::None => {}
        _ if password.is_none() => fields.wrong(
            "password",
            "is missing: the secret that is put on requests (or credential_scheme = \"none\")",
        ),
        _ => {}
    }
    let basic = http.credential_scheme == CredentialScheme::Basic;
    if basic != username.is_some() {
        fields.wrong("username", "belongs to credential_scheme = \"basic\", and only there");
    }
}

fn secret_reference(fields: &mut Fields<'_>, key: &'static str) -> Option<String> {
    let reference = fields.text(key)?;
    match secret::check(&reference) {
        Ok(()) => Some(reference),
        Err(message) => {
            fields.wrong(key, message);
            None
        }
    }
}

fn listen(fields: &mut Fields<'_>) -> Option<String> {
    let listen = fields.text("listen")?;
    if listen.parse::<SocketAddr>().is_err() {
        fields.wrong("listen", format!("\"{listen}\" must be an IP address and a port"));
    }
    Some(listen)
}

/// How a finding is replaced, parsed from its text form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mask {
    Label,
    Full,
    /// This many characters at the end stay.
    Partial(u32),
    Hash,
    Null,
    Replace(String),
}

impl Mask {
    /// Reads `label`, `full`, `partial:N`, `hash`, `null` or `replace:TEXT`.
    pub fn parse(text: &str) -> Result<Mask, String> {
        match text.split_once(':') {
            None => match text {
                "label" => Ok(Mask::Label),
                "full" => Ok(Mask::Full),
                "hash" => Ok(Mask::Hash),
                "null" => Ok(Mask::Null),
                _ => Err(format!(
                    "\"{text}\" is none of label, full, partial:N, hash, null, replace:TEXT"
                )),
            },
            Some(("partial", count)) => match count.parse::<u32>() {
                Ok(count) if count <= 64 => Ok(Mask::Partial(count)),
                _ => Err("partial:N needs a number from 0 to 64".to_owned()),
            },
            Some(("replace", with)) if with.chars().count() <= TEXT_CHARS_MAX => Ok(Mask::Replace(with.to_owned())),
            Some(("replace", _)) => Err(format!("replace:TEXT may have at most {TEXT_CHARS_MAX} characters")),
            Some(_) => Err(format!(
                "\"{text}\" is none of label, full, partial:N, hash, null, replace:TEXT"
            )),
        }
    }
}

#[cfg(test)]
mod tests;
