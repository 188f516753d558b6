//! The control plane as its callers see it: REST over HTTP/1.1, gRPC over TLS and HTTP/2, on real sockets.

pub(crate) mod api;
pub(crate) mod audit;
pub(crate) mod enrolment;
pub(crate) mod identity;
pub(crate) mod matrix;
pub(crate) mod measure;
pub(crate) mod notify;
pub(crate) mod plane;
pub(crate) mod policy;
pub(crate) mod postgres;
pub(crate) mod record;
pub(crate) mod replicas;
pub(crate) mod revoke;
pub(crate) mod sync;
pub(crate) mod wire_client;
