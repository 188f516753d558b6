//! The pure rules of the control plane: what a policy is made of, how it is read, checked and compared.

pub mod check;
pub mod file;
pub mod http;
pub mod mistake;
pub mod model;
pub mod notification;
pub mod plan;
pub mod postgres;
pub mod read;
pub mod review;
pub mod role;
pub mod secret;
pub mod window;
