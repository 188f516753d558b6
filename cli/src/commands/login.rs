//! `sluice login` and `sluice whoami`.

use std::io::{BufRead, IsTerminal};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::login_web::{by_browser, by_device};
use crate::api::Api;
use crate::args::LoginHow;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::{Saved, Settings, file_path, read, split_address, write};

/// Gets a token in the way that was asked for, asks the control plane whose it is, and saves both.
pub fn login(url: Option<String>, token: Option<String>, how: LoginHow, postgres: Option<String>) -> Outcome {
    if let Some(address) = &postgres
        && split_address(address).is_none()
    {
        return Err(Failure::Usage(format!("\"{address}\" is not host:port")));
    }
    let path = file_path().ok_or_else(|| Failure::Failed("neither HOME nor XDG_CONFIG_HOME is set".to_owned()))?;
    let before = if path.exists() { read(&path)? } else { Saved::default() };
    let url = url.or(before.url);
    let nobody = Api::new(Settings::resolve(url.clone(), None)?.without_token());
    let token = match (how, token) {
        (LoginHow { user: Some(user), .. }, _) => by_password(&nobody, &user)?,
        (LoginHow { device: true, .. }, _) => by_device(&nobody)?,
        (LoginHow { browser: true, .. }, _) => by_browser(&nobody)?,
        (_, Some(token)) => token,
        (LoginHow { paste: false, .. }, None) if std::io::stdin().is_terminal() => by_browser(&nobody)?,
        (_, None) => secret("Access token")?,
    };
    let settings = Settings::resolve(url, Some(token.clone()))?;
    let url = settings.url.clone();
    let who = Api::new(settings).get("/api/userinfo")?;
    write(
        &path,
        &Saved {
            url: Some(url.clone()),
            token: Some(token),
            postgres: postgres.or(before.postgres),
        },
    )?;
    let (name, role) = (output::cell(&who, "name"), output::cell(&who, "role"));
    output::line(&format!("{name} ({role}) at {url}; saved in {}", path.display()));
    Ok(())
}

fn by_password(api: &Api, user: &str) -> Outcome<String> {
    let body = json!({"user": user, "password": secret("Password")?});
    let opened = api.post("/api/login", &body)?;
    let token = opened.get("token").and_then(Value::as_str);
    token
        .map(str::to_owned)
        .ok_or_else(|| Failure::Failed("the answer to the login has no token".to_owned()))
}

/// Ends the saved login and forgets it.
pub fn logout(url: Option<String>, token: Option<String>) -> Outcome {
    let path = file_path().ok_or_else(|| Failure::Failed("neither HOME nor XDG_CONFIG_HOME is set".to_owned()))?;
    let api = Api::new(Settings::resolve(url, token)?);
    // A token that was pasted is no login: it stays valid and is only forgotten here.
    let ended = match &api.settings().token {
        Some(token) if token.starts_with("sls_") => api.post("/api/logout", &json!({})).map(drop),
        _ => Ok(()),
    };
    if path.exists() {
        let saved = read(&path)?;
        write(&path, &Saved { token: None, ..saved })?;
    }
    ended
}

/// Prints whose token is in use.
pub fn whoami(api: &Api, json: bool) -> Outcome {
    output::object(json, &api.get("/api/userinfo")?)
}

/// One line of standard input that a terminal does not show.
pub fn secret(what: &str) -> Outcome<String> {
    let terminal = std::io::stdin().is_terminal();
    if terminal {
        eprint!("{what} (it is not shown): ");
        echo(false);
    }
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    if terminal {
        echo(true);
        eprintln!();
    }
    read?;
    let secret = line.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        let what = what.to_lowercase();
        return Err(Failure::Usage(format!("no {what} was given on standard input")));
    }
    Ok(secret.to_owned())
}

/// Switches the terminal's echo by the system's own tool; where there is none, the token is shown while it is typed.
fn echo(on: bool) {
    let word = if on { "echo" } else { "-echo" };
    let _ = Command::new("stty")
        .arg(word)
        .stdin(Stdio::inherit())
        .stderr(Stdio::null())
        .status();
}
