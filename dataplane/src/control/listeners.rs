//! Listeners of the process: the fixed ones, and those that the policy gives to connections.

use crate::config::Config;
use crate::core::message::{Listen, Message};
use crate::core::shared::Shared;
use crate::identity::write_private;
use crate::listener::{ListenerKey, bind};
use anyhow::Context;
use session::policy::Policy;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// What listens where.
pub struct Listeners {
    postgres: SocketAddr,
    http: SocketAddr,
    links: SocketAddr,
    metrics: SocketAddr,
    /// By connection: what the policy says and what it became (port 0 picks a free one).
    connections: BTreeMap<Arc<str>, (SocketAddr, SocketAddr)>,
}

/// Sockets to be handed to the cores once they run.
pub struct Bound {
    pub listeners: Listeners,
    pub metrics: (SocketAddr, OwnedFd),
    pub per_core: Vec<Vec<Listen>>,
}

/// Binds the fixed listeners.
pub fn bind_fixed(config: &Config) -> anyhow::Result<Bound> {
    let cores = config.cores.len();
    let taken = |what: &'static str, address: SocketAddr| {
        move || format!("{what} cannot listen on {address}: choose another address or stop who uses it")
    };
    let (postgres, postgres_fds) =
        bind::bind(config.listen.postgres, cores).with_context(taken("listen.postgres", config.listen.postgres))?;
    let (http, http_fds) =
        bind::bind(config.listen.http, cores).with_context(taken("listen.http", config.listen.http))?;
    let (links, link_fds) =
        bind::bind(config.listen.links, cores).with_context(taken("listen.links", config.listen.links))?;
    let (metrics, mut metrics_fds) =
        bind::bind(config.listen.metrics, 1).with_context(taken("listen.metrics", config.listen.metrics))?;
    let per_core = postgres_fds
        .into_iter()
        .zip(http_fds)
        .zip(link_fds)
        .map(|((postgres, http), link)| {
            vec![
                Listen {
                    key: ListenerKey::Postgres,
                    fd: postgres,
                },
                Listen {
                    key: ListenerKey::Http,
                    fd: http,
                },
                Listen {
                    key: ListenerKey::Links,
                    fd: link,
                },
            ]
        })
        .collect();
    let metrics_fd = metrics_fds.pop().context("no metrics socket")?;
    Ok(Bound {
        listeners: Listeners {
            postgres,
            http,
            links,
            metrics,
            connections: BTreeMap::new(),
        },
        metrics: (metrics, metrics_fd),
        per_core,
    })
}

impl Listeners {
    /// Opens and closes connections' own ports so that they match the policy, and writes `addresses.json`.
    pub fn apply(&mut self, shared: &Shared, policy: Option<&Policy>) {
        let wanted = policy.map(wanted).unwrap_or_default();
        let gone: Vec<_> = self
            .connections
            .iter()
            .filter(|(name, (asked, _))| wanted.get(*name) != Some(asked))
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            if let Some((_, address)) = self.connections.remove(&name) {
                stop(shared, &ListenerKey::Connection { name, address });
            }
        }
        for (name, asked) in wanted {
            if self.connections.contains_key(&name) {
                continue;
            }
            match start(shared, &name, asked) {
                Ok(address) => {
                    self.connections.insert(name, (asked, address));
                }
                Err(error) => {
                    tracing::error!(connection = %name, address = %asked, %error, "a connection's port cannot be opened")
                }
            }
        }
        if let Err(error) = self.write(shared) {
            tracing::error!(%error, "addresses.json cannot be written");
        }
    }

    fn write(&self, shared: &Shared) -> std::io::Result<()> {
        let connections: BTreeMap<&str, String> = self
            .connections
            .iter()
            .map(|(name, (_, address))| (&**name, address.to_string()))
            .collect();
        let addresses = serde_json::json!({
            "postgres": self.postgres.to_string(),
            "http": self.http.to_string(),
            "links": self.links.to_string(),
            "metrics": self.metrics.to_string(),
            "connections": connections,
        });
        write_private(
            &shared.config.data_dir.join("addresses.json"),
            format!("{addresses:#}\n").as_bytes(),
        )
    }
}

fn wanted(policy: &Policy) -> BTreeMap<Arc<str>, SocketAddr> {
    let mut wanted = BTreeMap::new();
    for connection in policy.connections().filter(|connection| !connection.listen.is_empty()) {
        match connection.listen.parse() {
            Ok(address) => drop(wanted.insert(Arc::from(connection.name.as_str()), address)),
            Err(_) => tracing::error!(
                connection = connection.name,
                listen = connection.listen,
                "not an address"
            ),
        }
    }
    wanted
}

fn start(shared: &Shared, name: &Arc<str>, asked: SocketAddr) -> std::io::Result<SocketAddr> {
    let (address, fds) = bind::bind(asked, shared.cores.len())?;
    for (core, fd) in shared.cores.iter().zip(fds) {
        let key = ListenerKey::Connection {
            name: name.clone(),
            address,
        };
        core.try_send(Message::Listen(Listen { key, fd }))
            .map_err(|_| std::io::Error::other("a core's mailbox is full"))?;
    }
    Ok(address)
}

fn stop(shared: &Shared, key: &ListenerKey) {
    for core in &shared.cores {
        drop(core.try_send(Message::StopListening(key.clone())));
    }
}
