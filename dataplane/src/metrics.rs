//! Counters of every core and their Prometheus text.

use crate::core::shared::Shared;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of one core; written by that core alone, read by the metrics port.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct CoreMetrics {
    pub sockets_accepted: AtomicU64,
    pub accept_errors: AtomicU64,
    pub logins_refused: AtomicU64,
    pub sessions_total: AtomicU64,
    pub sessions_open: AtomicU64,
    pub upstream_failures: AtomicU64,
    pub bytes_upstream: AtomicU64,
    pub bytes_downstream: AtomicU64,
    pub links_open: AtomicU64,
    pub links_refused: AtomicU64,
    pub http_requests: AtomicU64,
    pub http_refused: AtomicU64,
    pub buffer_bytes: AtomicU64,
    pub buffer_bytes_allocated: AtomicU64,
}

impl CoreMetrics {
    /// Takes over what the core's reactor counts; called on that core.
    pub fn note_buffers(&self) {
        let stats = reactor::stats();
        self.buffer_bytes.store(stats.buffer_bytes_now, Ordering::Relaxed);
        self.buffer_bytes_allocated
            .store(stats.buffer_bytes_allocated_now, Ordering::Relaxed);
    }
}

type Column = (&'static str, &'static str, &'static str, fn(&CoreMetrics) -> &AtomicU64);

const COLUMNS: &[Column] = &[
    (
        "sluice_sockets_accepted_total",
        "counter",
        "Sockets accepted on all listeners",
        |m| &m.sockets_accepted,
    ),
    (
        "sluice_accept_errors_total",
        "counter",
        "Sockets that could not be accepted",
        |m| &m.accept_errors,
    ),
    (
        "sluice_logins_refused_total",
        "counter",
        "Logins that did not become a session",
        |m| &m.logins_refused,
    ),
    ("sluice_sessions_total", "counter", "Sessions opened", |m| {
        &m.sessions_total
    }),
    ("sluice_sessions_open", "gauge", "Sessions running", |m| {
        &m.sessions_open
    }),
    (
        "sluice_upstream_failures_total",
        "counter",
        "Targets that could not be reached or refused the login",
        |m| &m.upstream_failures,
    ),
    ("sluice_upstream_bytes_total", "counter", "Bytes sent to targets", |m| {
        &m.bytes_upstream
    }),
    (
        "sluice_downstream_bytes_total",
        "counter",
        "Bytes sent to clients",
        |m| &m.bytes_downstream,
    ),
    ("sluice_links_open", "gauge", "Agents' links that serve sessions", |m| {
        &m.links_open
    }),
    (
        "sluice_links_refused_total",
        "counter",
        "Links refused or not ready in time",
        |m| &m.links_refused,
    ),
    (
        "sluice_buffers_held_bytes",
        "gauge",
        "Receive buffers that sessions and links hold",
        |m| &m.buffer_bytes,
    ),
    (
        "sluice_buffers_allocated_bytes",
        "gauge",
        "Receive buffers of the core's pool, held or free",
        |m| &m.buffer_bytes_allocated,
    ),
    ("sluice_http_requests_total", "counter", "Requests of HTTP", |m| {
        &m.http_requests
    }),
    (
        "sluice_http_refused_total",
        "counter",
        "Requests of HTTP that were answered by the gateway itself",
        |m| &m.http_refused,
    ),
];

/// Everything as Prometheus' text format, version 0.0.4.
pub fn render(shared: &Shared) -> String {
    let mut out = String::new();
    for (name, kind, help, value) in COLUMNS {
        head(&mut out, name, kind, help);
        for (core, metrics) in shared.metrics.iter().enumerate() {
            let _ = writeln!(
                out,
                "{name}{{core=\"{core}\"}} {}",
                value(metrics).load(Ordering::Relaxed)
            );
        }
    }
    head(
        &mut out,
        "sluice_policy_generation",
        "gauge",
        "Policy generation in force",
    );
    for (core, generation) in shared.generations.iter().enumerate() {
        let _ = writeln!(
            out,
            "sluice_policy_generation{{core=\"{core}\"}} {}",
            generation.load(Ordering::Relaxed)
        );
    }
    let spool = &shared.spool;
    for (name, kind, help, value) in [
        (
            "sluice_audit_events_written_total",
            "counter",
            "Audit events written to the spool",
            spool.events_written.load(Ordering::Relaxed),
        ),
        (
            "sluice_audit_events_shipped_total",
            "counter",
            "Audit events stored by the control plane",
            spool.events_shipped.load(Ordering::Relaxed),
        ),
        (
            "sluice_audit_events_lost_total",
            "counter",
            "Always 0: what cannot be recorded is not done",
            0,
        ),
        (
            "sluice_audit_spool_bytes",
            "gauge",
            "Bytes of the audit spool on disk",
            spool.bytes(),
        ),
        (
            "sluice_audit_refusing",
            "gauge",
            "1 while no work is taken on because it cannot be recorded",
            u64::from(spool.refusal().is_some()),
        ),
    ] {
        head(&mut out, name, kind, help);
        let _ = writeln!(out, "{name} {value}");
    }
    out
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}
