//! The gRPC services for data planes and agents on the control listener: TLS, HTTP/2, standard gRPC framing.

mod audit;
mod enrolment;
pub mod grpc;
mod server;
mod sync;

pub use server::serve;

/// Waits until the program is told to stop.
async fn stopped(stop: &mut tokio::sync::watch::Receiver<bool>) {
    // An error means that the sender is gone, which is the end as well.
    let _ = stop.wait_for(|stop| *stop).await;
}
