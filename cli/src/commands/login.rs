//! `sluice login` and `sluice whoami`.

use std::io::{BufRead, IsTerminal};
use std::process::{Command, Stdio};

use crate::api::Api;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::{Saved, Settings, file_path, read, split_address, write};

/// Reads a token, asks the control plane whose it is, and saves both.
pub fn login(url: Option<String>, token: Option<String>, postgres: Option<String>) -> Outcome {
    if let Some(address) = &postgres
        && split_address(address).is_none()
    {
        return Err(Failure::Usage(format!("\"{address}\" is not host:port")));
    }
    let path = file_path().ok_or_else(|| Failure::Failed("neither HOME nor XDG_CONFIG_HOME is set".to_owned()))?;
    let before = if path.exists() { read(&path)? } else { Saved::default() };
    let token = match token {
        Some(token) => token,
        None => ask()?,
    };
    let settings = Settings::resolve(url.or(before.url), Some(token.clone()))?;
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

/// Prints whose token is in use.
pub fn whoami(api: &Api, json: bool) -> Outcome {
    output::object(json, &api.get("/api/userinfo")?)
}

fn ask() -> Outcome<String> {
    let terminal = std::io::stdin().is_terminal();
    if terminal {
        eprint!("Paste an access token (it is not shown): ");
        echo(false);
    }
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    if terminal {
        echo(true);
        eprintln!();
    }
    read?;
    let token = line.trim();
    if token.is_empty() {
        return Err(Failure::Usage("no token was given on standard input".to_owned()));
    }
    Ok(token.to_owned())
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
