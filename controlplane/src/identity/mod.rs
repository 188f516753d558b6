//! Who people are: passwords, logins, and what an identity provider says.

pub mod login;
pub mod oidc;
pub mod password;
pub mod seal;
