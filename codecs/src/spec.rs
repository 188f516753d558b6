//! What a protocol is called, where it listens and what it can do: data, so that nobody else needs to know.

/// What the gateway can do with a protocol. Policy compilation refuses rules that a protocol cannot keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Values in results can be found and masked.
    pub redact: bool,
    /// Columns can be masked by their origin table.
    pub redact_columns: bool,
    /// Statements are understood before they are passed on, so guardrails can judge them.
    pub guard: bool,
    /// The client can be logged in by a verifier, without its secret being sent.
    pub login_by_verifier: bool,
    /// A running statement can be cancelled from another socket.
    pub cancel: bool,
}

/// One protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spec {
    /// The name in policy files: `type = "postgres"`.
    pub name: &'static str,
    /// Other names that are accepted for it.
    pub aliases: &'static [&'static str],
    /// Where targets listen.
    pub port_default: u16,
    /// Where the gateway listens for stock clients.
    pub listen_port_default: u16,
    /// Keys of a connection that may hold secret references.
    pub credential_keys: &'static [&'static str],
    /// Most bytes that are read from a client before it has logged in, per frame.
    pub login_frame_bytes_max: usize,
    /// Longest frame that the protocol allows, bytes.
    pub frame_bytes_max: usize,
    pub capabilities: Capabilities,
}
