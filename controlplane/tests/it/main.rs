//! The control plane as its callers see it: REST over HTTP/1.1, gRPC over TLS and HTTP/2, on real sockets.

mod api;
mod audit;
mod enrolment;
mod identity;
mod matrix;
mod plane;
mod policy;
mod revoke;
mod sync;
mod wire_client;
