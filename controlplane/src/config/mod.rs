//! Configuration: a TOML file, the same keys from the environment, all mistakes at once, resolved once.

mod oidc;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::domain::mistake::{Mistake, Mistakes};
use crate::domain::read::Fields;
use crate::domain::role::RoleGroups;
use crate::identity::oidc::OidcConfig;
use crate::limits::{LOGIN_SECONDS_DEFAULT, RATE_PER_MINUTE_DEFAULT};

/// Prefix of the variables.
const PREFIX: &str = "SLUICE_CONTROLPLANE_";
/// Every key, as it stands in the file.
const KEYS: &[&str] = &[
    "data_dir",
    "listen.api",
    "listen.control",
    "control_url",
    "api_url",
    "gateways",
    "snapshot_max_age_seconds",
    "certificate_days",
    "database_url",
    "envelope_key",
    "envelope_key_file",
    "log_level",
    "log_format",
    "requests_per_minute",
    "login_seconds",
    "admin_groups",
    "auditor_groups",
    "approver_groups",
    "oidc.issuer",
    "oidc.client_id",
    "oidc.client_secret",
    "oidc.audience",
    "oidc.scopes",
    "oidc.groups_claim",
    "oidc.trust_email",
    "oidc.recheck_seconds",
    "smtp.host",
    "smtp.port",
    "smtp.user",
    "smtp.password",
    "smtp.from",
    "smtp.tls",
    "notification_days_max",
    "dev_clock_file",
];
/// Names that hoop's users know, and the keys that they stand for.
const HOOP: [(&str, &str); 5] = [
    ("API_URL", "api_url"),
    ("SMTP_HOST", "smtp.host"),
    ("SMTP_PORT", "smtp.port"),
    ("SMTP_USER", "smtp.user"),
    ("SMTP_PASS", "smtp.password"),
];
/// Seconds in a day.
const DAY: u64 = 24 * 3600;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// How mail servers are spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmtpTls {
    /// In clear, as inside of one machine.
    None,
    /// STARTTLS, or nothing is sent.
    #[default]
    Starttls,
    /// TLS from the first byte.
    Implicit,
}

/// A text that is shown nowhere.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Hidden(pub String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// The mail server of notifications.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Smtp {
    pub host: String,
    pub port: u16,
    /// Absent: no login.
    pub user: Option<String>,
    pub password: Hidden,
    /// `Name <address>` or an address.
    pub from: String,
    pub tls: SmtpTls,
}

/// The configuration as it is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Database, keys and tokens.
    pub data_dir: PathBuf,
    /// REST API and page.
    pub listen_api: SocketAddr,
    /// Data planes and agents.
    pub listen_control: SocketAddr,
    /// What credentials files say; the bound address when absent.
    pub control_url: Option<String>,
    /// Where people reach the API and the pages, for links; the bound address when absent. hoop's `API_URL` is understood.
    pub api_url: Option<String>,
    /// Addresses of data planes, as credentials files of agents say.
    pub gateways: Vec<String>,
    pub snapshot_max_age_seconds: u64,
    pub certificate_days: u32,
    /// PostgreSQL for several control planes; SQLite in `data_dir` when absent. hoop's `PG_HOST` and its like are understood.
    pub database_url: Option<String>,
    /// The key that seals secrets at rest, 64 hexadecimal digits; wins over the file.
    pub envelope_key: Option<String>,
    /// The file with that key; `data_dir/envelope.key` when absent.
    pub envelope_key_file: PathBuf,
    /// A `tracing` filter.
    pub log_level: String,
    pub log_format: LogFormat,
    /// Requests of one caller in a minute; 0: no bound.
    pub requests_per_minute: u32,
    /// How long a login lasts.
    pub login_seconds: u64,
    /// Groups whose members have a role.
    pub role_groups: RoleGroups,
    /// Nobody logs in and everybody is the administrator (`PROFILE=dev`); only on loopback addresses.
    pub developer: bool,
    /// The identity provider, where people log in by one.
    pub oidc: Option<OidcConfig>,
    pub smtp: Option<Smtp>,
    /// How long a notification is tried.
    pub notification_days_max: u32,
    /// Development only: a file with the seconds that the clock of notifications is ahead.
    pub dev_clock_file: Option<PathBuf>,
    /// Make pool `local` and credentials for one data plane and one agent.
    pub bootstrap_local: bool,
    /// Applied before anything is served.
    pub policy_file: Option<PathBuf>,
}

impl Config {
    /// The defaults, with everything kept in `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>) -> Config {
        let data_dir = data_dir.into();
        Config {
            envelope_key_file: data_dir.join("envelope.key"),
            database_url: None,
            envelope_key: None,
            data_dir,
            listen_api: SocketAddr::from(([127, 0, 0, 1], 8009)),
            listen_control: SocketAddr::from(([127, 0, 0, 1], 8011)),
            control_url: None,
            api_url: None,
            gateways: vec!["127.0.0.1:8010".to_owned()],
            snapshot_max_age_seconds: DAY,
            certificate_days: 30,
            log_level: "info".to_owned(),
            log_format: LogFormat::Text,
            requests_per_minute: RATE_PER_MINUTE_DEFAULT,
            login_seconds: LOGIN_SECONDS_DEFAULT,
            role_groups: RoleGroups::default(),
            developer: false,
            oidc: None,
            smtp: None,
            notification_days_max: crate::limits::DELIVERY_DAYS_DEFAULT,
            dev_clock_file: None,
            bootstrap_local: false,
            policy_file: None,
        }
    }

    /// Resolves the text of a file (empty for none) and the variables. A variable wins over the file.
    pub fn resolve(
        file: &str,
        variables: impl IntoIterator<Item = (String, String)>,
        data_dir: Option<PathBuf>,
    ) -> Result<Config, Vec<Mistake>> {
        let mut mistakes = Mistakes::default();
        let mut table: Map<String, Value> = match toml::from_str(file) {
            Ok(table) => table,
            Err(error) => {
                mistakes.add("", format!("the file is no TOML: {}", error.message()));
                Map::new()
            }
        };
        let developer = environment(variables, &mut table, &mut mistakes);
        let config = read(table, data_dir, &mut mistakes).map(|config| Config { developer, ..config });
        if let Some(config) = config.as_ref().filter(|config| config.developer)
            && !config.listen_api.ip().is_loopback()
        {
            mistakes.add(
                "PROFILE",
                format!(
                    "dev asks for no login, so listen.api must be a loopback address, not {}",
                    config.listen_api
                ),
            );
        }
        match config {
            Some(config) => mistakes.or(config),
            None => Err(mistakes.into_list()),
        }
    }
}

/// Puts variables into the table, each at the place of its key.
fn environment(
    variables: impl IntoIterator<Item = (String, String)>,
    table: &mut Map<String, Value>,
    mistakes: &mut Mistakes,
) -> bool {
    let mut developer = false;
    let keys: BTreeMap<String, &str> = KEYS
        .iter()
        .map(|key| (key.replace('.', "_").to_uppercase(), *key))
        .collect();
    let variables: Vec<(String, String)> = variables.into_iter().collect();
    if let Some(url) = postgres_of_hoop(&variables) {
        table.entry("database_url").or_insert(Value::String(url));
    }
    for (name, value) in variables {
        // Hoop's names give way to the file and to our own names.
        if let Some((_, key)) = HOOP.iter().find(|(hoop, _)| *hoop == name) {
            put(table, key, number_or_text(key, value), false);
            continue;
        }
        if name == "PROFILE" {
            match value.as_str() {
                "dev" => developer = true,
                "" => {}
                other => mistakes.add(name, format!("\"{other}\" is no profile; there is dev")),
            }
            continue;
        }
        if oidc::variable(&name, &value, table) {
            continue;
        }
        let Some(short) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let Some(key) = keys.get(short) else {
            mistakes.add(name, "is no key");
            continue;
        };
        let value = match *key {
            "gateways" | "admin_groups" | "auditor_groups" | "approver_groups" | "oidc.scopes" => {
                Value::Array(value.split(',').map(|g| Value::String(g.trim().to_owned())).collect())
            }
            key => number_or_text(key, value),
        };
        put(table, key, value, true);
    }
    developer
}

/// hoop's names for its PostgreSQL as a URL; None without `PG_HOST`.
fn postgres_of_hoop(variables: &[(String, String)]) -> Option<String> {
    let value = |wanted: &str| {
        let found = variables
            .iter()
            .find(|(name, value)| name == wanted && !value.is_empty());
        found.map(|(_, value)| encoded(value))
    };
    let host = value("PG_HOST")?;
    let user = value("PG_USER").unwrap_or_else(|| "postgres".to_owned());
    let password = value("PGPASSWORD")
        .map(|password| format!(":{password}"))
        .unwrap_or_default();
    let port = value("PG_PORT").unwrap_or_else(|| "5432".to_owned());
    let database = value("PG_DB").unwrap_or_else(|| "sluice".to_owned());
    Some(format!("postgres://{user}{password}@{host}:{port}/{database}"))
}

/// Everything that is not unreserved in a URL (RFC 3986 section 2.3) as `%XX`.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

fn number_or_text(key: &str, value: String) -> Value {
    match key {
        "snapshot_max_age_seconds"
        | "certificate_days"
        | "requests_per_minute"
        | "login_seconds"
        | "oidc.recheck_seconds"
        | "smtp.port"
        | "notification_days_max" => value.parse::<u64>().map_or(Value::String(value), Value::from),
        "oidc.trust_email" => value.parse::<bool>().map_or(Value::String(value), Value::from),
        _ => Value::String(value),
    }
}

/// Puts a value at the place of its key; over another one only with `over`.
fn put(table: &mut Map<String, Value>, key: &str, value: Value, over: bool) {
    let (table, key) = match key.split_once('.') {
        None => (table, key),
        Some((outer, inner)) => {
            let nested = table.entry(outer).or_insert_with(|| Value::Object(Map::new()));
            let Value::Object(nested) = nested else { return };
            (nested, inner)
        }
    };
    if over || !table.contains_key(key) {
        table.insert(key.to_owned(), value);
    }
}

fn read(table: Map<String, Value>, data_dir: Option<PathBuf>, mistakes: &mut Mistakes) -> Option<Config> {
    let mut fields = Fields::new("", table, mistakes);
    let written = fields.text("data_dir").map(PathBuf::from);
    let data_dir = data_dir.or(written);
    if data_dir.is_none() {
        fields.wrong("data_dir", "is missing");
    }
    let defaults = Config::new(data_dir.clone().unwrap_or_default());
    let listen = fields.value("listen").unwrap_or_else(|| Value::Object(Map::new()));
    let (mut listen_api, mut listen_control) = (defaults.listen_api, defaults.listen_control);
    match listen {
        Value::Object(nested) => {
            let mut inner = Fields::new("listen", nested, fields.mistakes());
            listen_api = address(&mut inner, "api").unwrap_or(listen_api);
            listen_control = address(&mut inner, "control").unwrap_or(listen_control);
            inner.finish();
        }
        _ => fields.wrong("listen", "must be a table"),
    }
    let smtp = smtp(&mut fields);
    let control_url = fields.text("control_url");
    if control_url.as_ref().is_some_and(|url| !url.starts_with("https://")) {
        fields.wrong("control_url", "must begin with https://");
    }
    let api_url = fields.text("api_url").map(|url| url.trim_end_matches('/').to_owned());
    let is_web = |url: &String| url.starts_with("http://") || url.starts_with("https://");
    if api_url.as_ref().is_some_and(|url| !is_web(url)) {
        fields.wrong("api_url", "must begin with http:// or https://");
    }
    let database_url = fields.text("database_url");
    let is_postgres = |url: &String| url.starts_with("postgres://") || url.starts_with("postgresql://");
    if database_url.as_ref().is_some_and(|url| !is_postgres(url)) {
        // The value is not repeated: it may hold a password.
        fields.wrong("database_url", "must begin with postgres://");
    }
    let envelope_key_file = fields.text("envelope_key_file").map(PathBuf::from);
    let gateways = fields.texts("gateways");
    let config = Config {
        listen_api,
        listen_control,
        control_url,
        api_url,
        database_url,
        envelope_key: fields.text("envelope_key"),
        envelope_key_file: envelope_key_file.unwrap_or_else(|| defaults.envelope_key_file.clone()),
        gateways: if gateways.is_empty() {
            defaults.gateways.clone()
        } else {
            gateways
        },
        snapshot_max_age_seconds: fields
            .number("snapshot_max_age_seconds", 1, 365 * DAY)
            .unwrap_or(defaults.snapshot_max_age_seconds),
        certificate_days: fields
            .number("certificate_days", 1, 397)
            .map_or(defaults.certificate_days, |n| n as u32),
        requests_per_minute: fields
            .number("requests_per_minute", 0, 10_000_000)
            .map_or(defaults.requests_per_minute, |n| n as u32),
        login_seconds: fields
            .number("login_seconds", 60, 90 * DAY)
            .unwrap_or(defaults.login_seconds),
        role_groups: RoleGroups {
            admin: fields.texts("admin_groups"),
            auditor: fields.texts("auditor_groups"),
            approver: fields.texts("approver_groups"),
        },
        oidc: oidc::read(&mut fields),
        log_level: fields.text("log_level").unwrap_or_else(|| defaults.log_level.clone()),
        log_format: fields.choice("log_format", &["text", "json"]),
        smtp,
        notification_days_max: fields
            .number("notification_days_max", 1, 30)
            .map_or(defaults.notification_days_max, |n| n as u32),
        dev_clock_file: fields.text("dev_clock_file").map(PathBuf::from),
        ..defaults
    };
    fields.finish();
    data_dir.map(|_| config)
}

fn smtp(fields: &mut Fields<'_>) -> Option<Smtp> {
    let Value::Object(nested) = fields.value("smtp")? else {
        fields.wrong("smtp", "must be a table");
        return None;
    };
    let mut inner = Fields::new("smtp", nested, fields.mistakes());
    let host = inner.text_required("host");
    let port = inner.number("port", 1, 65535).map(|port| port as u16);
    let tls: Option<SmtpTls> = inner.choice_given("tls", &["none", "starttls", "implicit"]);
    let user = inner.text("user");
    let password = inner.text("password").unwrap_or_default();
    let sender = inner
        .text("from")
        .or_else(|| user.clone().filter(|user| user.contains('@')));
    let from = sender.unwrap_or_else(|| format!("sluice@{}", host.as_deref().unwrap_or_default()));
    if host.is_some() && from.parse::<lettre::message::Mailbox>().is_err() {
        inner.wrong("from", "must be an e-mail address");
    }
    inner.finish();
    Some(Smtp {
        host: host?,
        port: port.unwrap_or(match tls {
            Some(SmtpTls::Implicit) => 465,
            _ => 587,
        }),
        user,
        password: Hidden(password),
        from,
        tls: tls.unwrap_or(match port {
            Some(465) => SmtpTls::Implicit,
            _ => SmtpTls::Starttls,
        }),
    })
}

fn address(fields: &mut Fields<'_>, key: &'static str) -> Option<SocketAddr> {
    let text = fields.text(key)?;
    match text.parse() {
        Ok(address) => Some(address),
        Err(_) => {
            fields.wrong(key, format!("\"{text}\" must be an IP address and a port"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn variables_win_over_the_file() {
        let file =
            "data_dir = \"/a\"\ngateways = [\"g:1\"]\n[listen]\napi = \"127.0.0.1:1\"\ncontrol = \"127.0.0.1:2\"\n";
        let variables = env(&[
            ("SLUICE_CONTROLPLANE_LISTEN_API", "127.0.0.1:0"),
            ("SLUICE_CONTROLPLANE_SNAPSHOT_MAX_AGE_SECONDS", "60"),
            ("SLUICE_CONTROLPLANE_GATEWAYS", "a:1, b:2"),
            ("PATH", "/bin"),
        ]);
        let config = Config::resolve(file, variables, None).unwrap();
        assert_eq!(config.listen_api.port(), 0);
        assert_eq!(config.listen_control.port(), 2);
        assert_eq!(config.snapshot_max_age_seconds, 60);
        assert_eq!(config.gateways, ["a:1", "b:2"]);
        assert_eq!(config.data_dir, PathBuf::from("/a"));
    }

    #[test]
    fn the_database_may_be_named_as_hoop_names_it() {
        let hoop = [
            ("PG_HOST", "db"),
            ("PG_USER", "s"),
            ("PGPASSWORD", "a@b/c"),
            ("PG_DB", "audit"),
        ];
        let config = Config::resolve("data_dir = \"/a\"", env(&hoop), None).unwrap();
        assert_eq!(config.database_url.unwrap(), "postgres://s:a%40b%2Fc@db:5432/audit");
        let file = "data_dir = \"/a\"\ndatabase_url = \"postgres://here/x\"";
        let config = Config::resolve(file, env(&hoop), None).unwrap();
        assert_eq!(config.database_url.unwrap(), "postgres://here/x");
        assert_eq!(config.envelope_key_file, PathBuf::from("/a/envelope.key"));
        let mistakes =
            Config::resolve("data_dir = \"/a\"\ndatabase_url = \"mysql://secret\"", env(&[]), None).unwrap_err();
        assert!(!mistakes[0].to_string().contains("secret"), "{mistakes:?}");
    }

    #[test]
    fn hoop_s_names_of_the_mail_server_give_way_to_ours() {
        let variables = env(&[
            ("SMTP_HOST", "mail.example.com"),
            ("SMTP_PORT", "465"),
            ("SMTP_USER", "sluice@example.com"),
            ("SMTP_PASS", "hunter2"),
        ]);
        let config = Config::resolve("data_dir = \"/a\"\n", variables.clone(), None).unwrap();
        let smtp = config.smtp.clone().unwrap();
        assert_eq!(
            (smtp.host.as_str(), smtp.port, smtp.tls),
            ("mail.example.com", 465, SmtpTls::Implicit)
        );
        assert_eq!(
            (smtp.from.as_str(), smtp.password.0.as_str()),
            ("sluice@example.com", "hunter2")
        );
        assert!(!format!("{config:?}").contains("hunter2"));
        let file = "data_dir = \"/a\"\n[smtp]\nhost = \"other\"\nport = 25\ntls = \"none\"\n";
        let smtp = Config::resolve(file, variables, None).unwrap().smtp.unwrap();
        assert_eq!((smtp.host.as_str(), smtp.port, smtp.tls), ("other", 25, SmtpTls::None));
    }

    #[test]
    fn all_mistakes_are_listed_at_once() {
        let file = "data_dirr = \"/a\"\ncertificate_days = 0\nlog_format = \"xml\"\n[listen]\napi = \"here\"\n";
        let mistakes = Config::resolve(file, env(&[("SLUICE_CONTROLPLANE_LISTN_API", "x")]), None).unwrap_err();
        let texts: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        for expected in [
            "SLUICE_CONTROLPLANE_LISTN_API: is no key",
            "data_dir: is missing",
            "listen: api: \"here\" must be",
            "certificate_days: must be",
            "log_format: \"xml\" is none of",
            "unknown key \"data_dirr\" (did you mean \"data_dir\"?)",
        ] {
            assert!(texts.iter().any(|t| t.starts_with(expected)), "{expected}: {texts:#?}");
        }
    }
}
