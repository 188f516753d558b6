//! The gRPC services for data planes and agents on the control listener: TLS, HTTP/2, standard gRPC framing.

mod audit;
mod enrolment;
pub mod grpc;
mod server;
mod sync;

pub use server::serve;
