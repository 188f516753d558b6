//! Where the programs of `sluice up` listen: read from the files that they write once they do, and tried out.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{POLL_INTERVAL, READY_TIMEOUT, addresses_json, program_dir};
use crate::args::Program;
use crate::failure::{Failure, Outcome};
use crate::settings::write_with_mode;

const CONTROLPLANE_FILE: &str = "controlplane.addresses.json";
const DATAPLANE_FILE: &str = "addresses.json";
const TRY_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the control plane listens.
#[derive(Debug, Clone, Deserialize)]
pub struct Controlplane {
    /// `http://host:port`.
    pub api: String,
    /// `https://host:port`.
    pub control: String,
}

/// Where the data plane listens.
#[derive(Debug, Clone, Deserialize)]
pub struct Dataplane {
    pub postgres: String,
    pub http: String,
    pub links: String,
    pub metrics: String,
    /// Connections with a port of their own.
    #[serde(default)]
    pub connections: BTreeMap<String, String>,
}

/// Removes what an earlier run wrote, so that only this run's addresses are believed.
pub fn forget(data_dir: &Path) {
    let _ = std::fs::remove_file(data_dir.join("addresses.json"));
    let _ = std::fs::remove_file(program_dir(data_dir, Program::Controlplane).join(CONTROLPLANE_FILE));
    let _ = std::fs::remove_file(program_dir(data_dir, Program::Dataplane).join(DATAPLANE_FILE));
}

/// Waits for the control plane's file.
pub async fn controlplane(data_dir: &Path) -> Outcome<Controlplane> {
    appears(
        &program_dir(data_dir, Program::Controlplane).join(CONTROLPLANE_FILE),
        "the control plane",
    )
    .await
}

/// Waits for the data plane's file.
pub async fn dataplane(data_dir: &Path) -> Outcome<Dataplane> {
    appears(
        &program_dir(data_dir, Program::Dataplane).join(DATAPLANE_FILE),
        "the data plane",
    )
    .await
}

/// Both files as `up` shows them.
pub fn collect(data_dir: &Path) -> Outcome<String> {
    let read = |program, file| std::fs::read(program_dir(data_dir, program).join(file));
    let control: Controlplane = parse(&read(Program::Controlplane, CONTROLPLANE_FILE)?)?;
    let data: Dataplane = parse(&read(Program::Dataplane, DATAPLANE_FILE)?)?;
    Ok(format!("{:#}\n", addresses_json(&control, &data)))
}

/// Writes `DIR/addresses.json`.
pub fn write(data_dir: &Path, text: &str) -> Outcome {
    write_with_mode(&data_dir.join("addresses.json"), text.as_bytes(), 0o644)
}

/// Waits until every listener accepts.
pub async fn accepting(control: &Controlplane, data: &Dataplane) -> Outcome {
    let own = data.connections.values().map(String::as_str);
    let fixed = [
        control.api.as_str(),
        &control.control,
        &data.postgres,
        &data.http,
        &data.links,
        &data.metrics,
    ];
    for address in fixed.into_iter().chain(own) {
        let address = reachable(address);
        let started = Instant::now();
        while !matches!(timeout(TRY_TIMEOUT, TcpStream::connect(&address)).await, Ok(Ok(_))) {
            if started.elapsed() > READY_TIMEOUT {
                return Err(Failure::Failed(format!("{address} does not accept")));
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
    Ok(())
}

/// Waits until the data plane says that it is ready: it has a verified policy on every core.
pub async fn policy_in_force(data: &Dataplane) -> Outcome {
    let url = format!("http://{}/ready", reachable(&data.metrics));
    let started = Instant::now();
    loop {
        let url = url.clone();
        let ready = tokio::task::spawn_blocking(move || ureq::get(&url).call().is_ok());
        if ready.await.unwrap_or(false) {
            return Ok(());
        }
        if started.elapsed() > READY_TIMEOUT {
            return Err(Failure::Failed(
                "the data plane did not become ready; its log says why".to_owned(),
            ));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// `host:port` of an address or URL; an address that means every interface is reached on the loopback.
pub fn reachable(address: &str) -> String {
    let address = address
        .split_once("://")
        .map_or(address, |(_, rest)| rest)
        .trim_end_matches('/');
    match address.parse::<SocketAddr>() {
        Ok(parsed) if parsed.ip().is_unspecified() && parsed.is_ipv4() => {
            format!("127.0.0.1:{}", parsed.port())
        }
        Ok(parsed) if parsed.ip().is_unspecified() => format!("[::1]:{}", parsed.port()),
        _ => address.to_owned(),
    }
}

async fn appears<T: DeserializeOwned>(file: &Path, who: &str) -> Outcome<T> {
    let started = Instant::now();
    loop {
        if let Ok(bytes) = std::fs::read(file) {
            return parse(&bytes);
        }
        if started.elapsed() > READY_TIMEOUT {
            return Err(Failure::Failed(format!(
                "{who} did not start within {} s",
                READY_TIMEOUT.as_secs()
            )));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Outcome<T> {
    serde_json::from_slice(bytes).map_err(|error| Failure::Failed(format!("addresses cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    //! Tests of addresses.

    use super::reachable;

    #[test]
    fn every_interface_is_reached_on_the_loopback() {
        assert_eq!(reachable("http://0.0.0.0:80"), "127.0.0.1:80");
        assert_eq!(reachable("[::]:80"), "[::1]:80");
        assert_eq!(reachable("https://10.0.0.1:80/"), "10.0.0.1:80");
        assert_eq!(reachable("gate:80"), "gate:80");
    }
}
