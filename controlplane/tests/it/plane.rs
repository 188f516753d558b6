//! A control plane on free ports and a directory of its own, and a small HTTP client for it.

use axum::body::Bytes;
use controlplane::config::Config;
use controlplane::{Running, StartError, start};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sqlx::Connection;
use std::net::SocketAddr;
use std::path::Path;

/// Whether these are the tests with PostgreSQL as the store: they are compiled twice, see `tests/it_postgres`.
pub fn on_postgres() -> bool {
    env!("CARGO_CRATE_NAME") == "it_postgres"
}

/// A running control plane.
pub struct Plane {
    pub running: Running,
    pub dir: tempfile::TempDir,
    pub admin: String,
    database_url: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub headers: hyper::HeaderMap,
    pub text: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    /// The body, after a look at the status.
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        if self.text.is_empty() { Value::Null } else { self.json() }
    }
}

/// A configuration on free ports.
pub fn config(dir: &Path) -> Config {
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    Config {
        listen_api: free,
        listen_control: free,
        ..Config::new(dir)
    }
}

impl Plane {
    /// Starts a fresh one.
    pub async fn start() -> Plane {
        Plane::start_with(|config| config).await
    }

    /// Starts a fresh one with changes to its configuration.
    pub async fn start_with(change: impl FnOnce(Config) -> Config) -> Plane {
        let dir = tempfile::tempdir().unwrap();
        let database_url = on_postgres().then(crate::postgres::fresh_database);
        let config = change(Config {
            database_url: database_url.clone(),
            ..config(dir.path())
        });
        Plane::new(start(config).await.unwrap(), dir, database_url)
    }

    fn new(running: Running, dir: tempfile::TempDir, database_url: Option<String>) -> Plane {
        let admin = std::fs::read_to_string(dir.path().join("admin.token"))
            .unwrap()
            .trim()
            .to_owned();
        Plane {
            running,
            dir,
            admin,
            database_url,
        }
    }

    /// A configuration on free ports for this directory and store.
    pub fn config(&self) -> Config {
        Config {
            database_url: self.database_url.clone(),
            ..config(self.dir.path())
        }
    }

    /// Another control plane on the same store, with a directory of its own; PostgreSQL alone.
    pub async fn replica(&self) -> Plane {
        let dir = tempfile::tempdir().unwrap();
        let key = std::fs::read(self.dir.path().join("envelope.key")).unwrap();
        std::fs::write(dir.path().join("envelope.key"), key).unwrap();
        let config = Config {
            database_url: self.database_url.clone(),
            ..config(dir.path())
        };
        Plane::new(start(config).await.unwrap(), dir, self.database_url.clone())
    }

    /// A configuration for another data directory and store, both empty.
    pub async fn elsewhere(&self) -> (Config, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            database_url: on_postgres().then(crate::postgres::fresh_database),
            ..config(dir.path())
        };
        (config, dir)
    }

    /// Starts with this configuration.
    pub async fn open(config: Config, dir: tempfile::TempDir) -> Plane {
        let database_url = config.database_url.clone();
        Plane::new(start(config).await.unwrap(), dir, database_url)
    }

    /// Runs a statement on the database behind the control plane's back.
    pub async fn tamper(&self, statement: &'static str) {
        match &self.database_url {
            Some(url) => {
                let mut raw = sqlx::PgConnection::connect(url).await.unwrap();
                sqlx::query(statement).execute(&mut raw).await.unwrap();
            }
            None => {
                let url = format!("sqlite://{}", self.dir.path().join("controlplane.db").display());
                let mut raw = sqlx::SqliteConnection::connect(&url).await.unwrap();
                sqlx::query(statement).execute(&mut raw).await.unwrap();
            }
        }
    }

    /// Stops it and starts it again on the same directory.
    pub async fn restart(self) -> Plane {
        let config = self.config();
        let Plane {
            running,
            dir,
            database_url,
            ..
        } = self;
        running.stop().await;
        Plane::new(start(config).await.unwrap(), dir, database_url)
    }

    /// Tries to start a second one on the same directory.
    pub async fn second(&self) -> Result<Running, StartError> {
        start(self.config()).await
    }

    /// One request with a token and a JSON body.
    pub async fn call(&self, method: &str, path: &str, token: Option<&str>, body: Option<Value>) -> Answer {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = bearer.iter().map(|value| ("authorization", value.as_str())).collect();
        let body = body.map(|b| b.to_string()).unwrap_or_default();
        self.ask(method, path, &headers, body).await
    }

    /// One request with headers and a body as they are.
    pub async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: String) -> Answer {
        let socket = tokio::net::TcpStream::connect(self.running.api).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket))
            .await
            .unwrap();
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", "controlplane");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body))).unwrap();
        let response = sender.send_request(request).await.unwrap();
        let content_type = response
            .headers()
            .get("content-type")
            .map(|v| v.to_str().unwrap().to_owned());
        Answer {
            status: response.status().as_u16(),
            content_type: content_type.unwrap_or_default(),
            headers: response.headers().clone(),
            text: String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap(),
        }
    }

    /// A request of the administrator.
    pub async fn admin(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.call(method, path, Some(&self.admin), body).await
    }

    /// Applies a policy file and returns the answer.
    pub async fn apply(&self, policy: &str) -> Answer {
        self.admin("POST", "/api/apply", Some(json!({"policy": policy}))).await
    }

    /// Gives a user a password and logs in with it.
    pub async fn login(&self, user: &str) -> String {
        let path = format!("/api/users/{user}/password");
        self.admin("PUT", &path, Some(json!({"password": PASSWORD})))
            .await
            .expect(204);
        let body = json!({"user": user, "password": PASSWORD});
        let opened = self.call("POST", "/api/login", None, Some(body)).await.expect(200);
        opened["token"].as_str().unwrap().to_owned()
    }

    /// A new API key of a user.
    pub async fn api_key(&self, user: &str, scopes: &[&str]) -> String {
        let body = json!({"user": user, "scopes": scopes});
        let made = self.admin("POST", "/api/api-keys", Some(body)).await.expect(201);
        made["token"].as_str().unwrap().to_owned()
    }

    /// A new access token of a user.
    pub async fn token(&self, user: &str) -> String {
        let created = self
            .admin("POST", "/api/tokens", Some(json!({"user": user})))
            .await
            .expect(201);
        created["token"].as_str().unwrap().to_owned()
    }
}

/// The password that [`Plane::login`] gives.
pub const PASSWORD: &str = "correct horse battery";

/// A policy with one of everything.
pub const POLICY: &str = r#"
[[pool]]
name = "office"
[[user]]
name = "alice"
email = "alice@example.com"
groups = ["engineering"]
[[user]]
name = "bob"
[[redaction]]
name = "personal"
detect = ["EMAIL_ADDRESS"]
[[guardrail]]
name = "careful"
rules = [{ deny = "delete-without-where", message = "say which" }]
[[connection]]
name = "orders"
type = "postgres"
pool = "office"
host = "db.internal"
database = "orders"
username = "env:ORDERS_USER"
password = "literal:hunter2"
groups = ["engineering"]
redact = ["personal"]
guardrails = ["careful"]
"#;
