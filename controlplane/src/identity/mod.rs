//! Who people are: passwords and logins.

pub mod login;
pub mod password;
