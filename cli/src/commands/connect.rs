//! `sluice connect`: a short-lived password and everything else that a stock client needs.

use std::os::unix::process::CommandExt;
use std::process::Command;

use serde_json::{Value, json};

use super::{local, settle};
use crate::api::{Api, encode, path};
use crate::args::Connect;
use crate::failure::{Failure, Outcome};
use crate::settings::split_address;
use crate::{lifetime, output};

/// What a client needs.
#[derive(Debug, PartialEq, Eq)]
struct Access {
    host: String,
    port: u16,
    user: String,
    database: String,
    password: String,
}

/// Prints how to connect, or starts a client.
pub fn run(api: &Api, options: &Connect, as_json: bool) -> Outcome {
    let connection = api.get(&path(&["connections", &options.name]))?;
    let kind = connection.get("type").and_then(Value::as_str).unwrap_or("postgres");
    if kind != "postgres" {
        return Err(Failure::Failed(format!(
            "connections of type \"{kind}\" are not known to this version"
        )));
    }
    let (host, port, own_port) = address(api, options, &connection)?;
    let token = token(api, options)?;
    let password = token
        .get("token")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let user = token.get("user").and_then(Value::as_str).unwrap_or_default().to_owned();
    let database = database(options, &connection, own_port);
    let access = Access {
        host,
        port,
        user,
        database,
        password,
    };
    match (&options.exec, options.listen) {
        (Some(program), _) => Err(exec(program, &access, &options.rest)),
        (None, None) => show(&access, &token, as_json),
        (None, Some(port)) => {
            let target = (access.host.clone(), access.port);
            let served = local::serve(port, target, |port| {
                let local = Access {
                    host: "127.0.0.1".to_owned(),
                    port,
                    ..access
                };
                show(&local, &token, as_json)
            });
            let id = token.get("id").and_then(Value::as_str).unwrap_or_default();
            api.delete(&path(&["tokens", id]))?;
            served
        }
    }
}

/// Prints what a client needs: a URI and a line for each of the most used ones.
fn show(access: &Access, token: &Value, as_json: bool) -> Outcome {
    if as_json {
        return output::json(&json!({
            "dsn": access.dsn(), "host": access.host, "port": access.port, "user": access.user,
            "dbname": access.database, "password": access.password, "token_id": token.get("id"),
            "expires_at": token.get("expires_at"), "jdbc": access.jdbc(), "go": access.go(),
            "python": access.python(), "node": access.node(),
        }));
    }
    output::line(&access.dsn());
    output::line(&access.psql());
    for (name, line) in [
        ("jdbc", access.jdbc()),
        ("go", access.go()),
        ("python", access.python()),
        ("node", access.node()),
    ] {
        output::line(&format!("{name:<8}{line}"));
    }
    Ok(())
}

/// Host, port, and whether the port is the connection's own.
fn address(api: &Api, options: &Connect, connection: &Value) -> Outcome<(String, u16, bool)> {
    if let Some(address) = &options.address {
        let (host, port) =
            split_address(address).ok_or_else(|| Failure::Usage(format!("\"{address}\" is not host:port")))?;
        return Ok((host, port, false));
    }
    let listen = connection.get("listen").and_then(Value::as_str).and_then(split_address);
    if let Some((host, port)) = listen.filter(|(_, port)| *port != 0) {
        let everywhere = matches!(host.as_str(), "0.0.0.0" | "::" | "*");
        return Ok((if everywhere { api.settings().host() } else { host }, port, true));
    }
    let (host, port) = api.settings().postgres();
    Ok((host, port, false))
}

fn database(options: &Connect, connection: &Value, own_port: bool) -> String {
    let target = connection.get("database").and_then(Value::as_str).unwrap_or_default();
    match (&options.database, own_port) {
        (Some(database), true) => database.clone(),
        (None, true) if target.is_empty() => options.name.clone(),
        (None, true) => target.to_owned(),
        (Some(database), false) => format!("{}/{database}", options.name),
        (None, false) => options.name.clone(),
    }
}

fn token(api: &Api, options: &Connect) -> Outcome<Value> {
    let seconds = lifetime::seconds(&options.expires_in)?;
    let mut body = json!({"name": "sluice connect", "expires_in_seconds": seconds, "connections": [options.name]});
    match &options.user {
        Some(user) => body["user"] = json!(user),
        None => {
            let role = api.get("/api/userinfo")?;
            if role.get("role").and_then(Value::as_str) == Some("admin") {
                return Err(Failure::Usage(
                    "an admin's token is nobody's own: say whom to connect as with --user".to_owned(),
                ));
            }
        }
    }
    let token = api.post("/api/tokens", &body)?;
    settle(api, &token);
    Ok(token)
}

fn exec(program: &str, access: &Access, rest: &[String]) -> Failure {
    // Every libpq client takes these; the password is in the environment, where other users cannot see it.
    let error = Command::new(program)
        .env("PGHOST", &access.host)
        .env("PGPORT", access.port.to_string())
        .env("PGUSER", &access.user)
        .env("PGDATABASE", &access.database)
        .env("PGPASSWORD", &access.password)
        .args(rest)
        .exec();
    Failure::Failed(format!("cannot start {program}: {error}"))
}

impl Access {
    /// A connection URI (PostgreSQL, "Connection URIs").
    fn dsn(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        format!(
            "postgresql://{}:{}@{host}:{}/{}",
            encode(&self.user),
            encode(&self.password),
            self.port,
            encode(&self.database)
        )
    }

    /// The URL of the JDBC driver, with everything in it.
    fn jdbc(&self) -> String {
        let uri = self.dsn();
        let place = uri.rsplit('@').next().unwrap_or_default();
        format!(
            "jdbc:postgresql://{place}?user={}&password={}",
            encode(&self.user),
            encode(&self.password)
        )
    }

    fn go(&self) -> String {
        format!("pgx.Connect(context.Background(), \"{}\")", self.dsn())
    }

    fn python(&self) -> String {
        format!("psycopg.connect(\"{}\")", self.dsn())
    }

    fn node(&self) -> String {
        format!("new (require('pg').Client)({{ connectionString: '{}' }})", self.dsn())
    }

    fn psql(&self) -> String {
        format!(
            "psql \"host={} port={} user={} dbname={} password={}\"",
            self.host,
            self.port,
            quoted(&self.user),
            quoted(&self.database),
            quoted(&self.password)
        )
    }
}

/// A value of a keyword/value connection string within a double-quoted word of the shell.
fn quoted(value: &str) -> String {
    if !value.is_empty()
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-./@#".contains(&byte))
    {
        return value.to_owned();
    }
    let escaped: String = value
        .chars()
        .flat_map(|character| match character {
            '\'' => vec!['\\', '\\', '\''],
            '\\' => vec!['\\', '\\', '\\', '\\'],
            '"' | '$' | '`' => vec!['\\', character],
            other => vec![other],
        })
        .collect();
    format!("'{escaped}'")
}

#[cfg(test)]
mod tests {
    //! Tests of what is printed.

    use super::*;

    #[test]
    fn the_uri_is_encoded_and_the_line_quoted() {
        let access = Access {
            host: "::1".into(),
            port: 5,
            user: "o'neil@x".into(),
            database: "orders/analytics".into(),
            password: "slu_a-b".into(),
        };
        assert_eq!(
            access.dsn(),
            "postgresql://o%27neil%40x:slu_a-b@[::1]:5/orders%2Fanalytics"
        );
        assert_eq!(
            access.jdbc(),
            "jdbc:postgresql://[::1]:5/orders%2Fanalytics?user=o%27neil%40x&password=slu_a-b"
        );
        assert_eq!(
            access.psql(),
            r#"psql "host=::1 port=5 user='o\\'neil@x' dbname=orders/analytics password=slu_a-b""#
        );
    }
}
