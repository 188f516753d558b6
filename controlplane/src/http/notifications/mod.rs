//! `/api/notifications/{name}/test` and the buttons of chats; targets themselves are objects of the policy.

pub mod slack;
pub mod test;
