//! Logins that a person confirms in a browser: on this machine by a loopback port (RFC 8252 section 7.3), elsewhere by a code
//! that is typed there (RFC 8628).

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::api::{Api, with_query};
use crate::failure::{Failure, Outcome};

/// How long the person may take.
const WAIT_MAX: Duration = Duration::from_secs(600);
/// How long one socket of the browser may take, and how much it may say.
const SOCKET_MAX: Duration = Duration::from_secs(5);
const REQUEST_BYTES_MAX: u64 = 16 * 1024;
/// How often the listener is looked at.
const POLL: Duration = Duration::from_millis(50);
/// What is waited longer when the control plane asks for it (RFC 8628 section 3.5).
const SLOWER: Duration = Duration::from_secs(5);

/// By a browser on this machine.
pub fn by_browser(api: &Api) -> Outcome<String> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let redirect = format!("http://127.0.0.1:{}/callback", listener.local_addr()?.port());
    let (state, verifier) = (random()?, random()?);
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()));
    let query = [
        ("redirect_uri", redirect.clone()),
        ("state", state.clone()),
        ("code_challenge", challenge),
    ];
    let place = format!("{}{}", api.settings().url, with_query("/login/cli", &query));
    eprintln!("Log in here, in a browser on this machine:\n\n  {place}\n");
    open_browser(&place);
    let code = wait_for_code(&listener, &state)?;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("code_verifier", &verifier),
        ("redirect_uri", &redirect),
    ];
    match api.form("/api/login/token", &form)? {
        (200, answer) => token_of(&answer),
        (_, answer) => Err(refused(&answer)),
    }
}

/// By a code that is typed into a browser anywhere.
pub fn by_device(api: &Api) -> Outcome<String> {
    let begun = api.post("/api/login/device", &json!({}))?;
    let part = |name: &str| begun.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    eprintln!(
        "Open {} and type the code {}\n\n  {}\n",
        part("verification_uri"),
        part("user_code"),
        part("verification_uri_complete")
    );
    let device_code = part("device_code");
    let mut pause = Duration::from_secs(begun.get("interval").and_then(Value::as_u64).unwrap_or(5));
    let started = Instant::now();
    while started.elapsed() < WAIT_MAX {
        std::thread::sleep(pause);
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("device_code", device_code.as_str()),
        ];
        let (status, answer) = api.form("/api/login/token", &form)?;
        if status == 200 {
            return token_of(&answer);
        }
        match answer.get("error").and_then(Value::as_str) {
            Some("authorization_pending") => {}
            Some("slow_down") => pause += SLOWER,
            _ => return Err(refused(&answer)),
        }
    }
    Err(Failure::Failed("nobody confirmed the login in time".to_owned()))
}

fn token_of(answer: &Value) -> Outcome<String> {
    let token = answer.get("access_token").and_then(Value::as_str);
    token
        .map(str::to_owned)
        .ok_or_else(|| Failure::Failed("the answer to the login has no token".to_owned()))
}

fn refused(answer: &Value) -> Failure {
    let word = answer.get("error").and_then(Value::as_str).unwrap_or("no reason given");
    Failure::NotAllowed(format!("the login was refused: {word}"))
}

/// The code that a browser brings with our own state; whoever else knocks gets nothing.
fn wait_for_code(listener: &TcpListener, state: &str) -> Outcome<String> {
    listener.set_nonblocking(true)?;
    let started = Instant::now();
    while started.elapsed() < WAIT_MAX {
        match listener.accept() {
            Ok((socket, _)) => {
                if let Some(code) = code_from(socket, state) {
                    return Ok(code);
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => std::thread::sleep(POLL),
            Err(error) => return Err(error.into()),
        }
    }
    Err(Failure::Failed("nobody confirmed the login in time".to_owned()))
}

fn code_from(mut socket: TcpStream, state: &str) -> Option<String> {
    socket.set_nonblocking(false).ok()?;
    socket.set_read_timeout(Some(SOCKET_MAX)).ok()?;
    socket.set_write_timeout(Some(SOCKET_MAX)).ok()?;
    let mut line = String::new();
    BufReader::new(std::io::Read::take(&mut socket, REQUEST_BYTES_MAX))
        .read_line(&mut line)
        .ok()?;
    let code = code_in(&line, state);
    let (status, text) = match code {
        Some(_) => ("200 OK", "Logged in. You can close this page."),
        None => ("404 Not Found", "Nothing here."),
    };
    let _ = write!(
        socket,
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
        text.len()
    );
    code
}

/// The code of a request line `GET /callback?code=…&state=…`, if the state is ours.
fn code_in(line: &str, state: &str) -> Option<String> {
    let place = line.strip_prefix("GET ")?.split(' ').next()?;
    let query = place.strip_prefix("/callback?")?;
    let value = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let code = value("code").filter(|code| !code.is_empty() && value("state") == Some(state))?;
    Some(code.to_owned())
}

fn random() -> Outcome<String> {
    let mut bytes = [0; 32];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Failure::Failed("randomness is not available".to_owned()))?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// The address was printed too: where no browser opens, a person opens it.
fn open_browser(place: &str) {
    let own = std::env::var("BROWSER").ok().filter(|name| !name.is_empty());
    let names = own.into_iter().chain(["xdg-open".to_owned(), "open".to_owned()]);
    for name in names {
        let started = Command::new(name)
            .arg(place)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        if started.is_ok() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_state_brings_a_code() {
        let line = "GET /callback?code=abc&state=mine HTTP/1.1\r\n";
        assert_eq!(code_in(line, "mine").as_deref(), Some("abc"));
        assert_eq!(code_in(line, "other"), None);
        for other in [
            "GET /callback?code=&state=mine HTTP/1.1",
            "GET /callback?state=mine HTTP/1.1",
            "GET /favicon.ico HTTP/1.1",
            "POST /callback?code=abc&state=mine HTTP/1.1",
            "",
        ] {
            assert_eq!(code_in(other, "mine"), None, "{other}");
        }
    }
}
