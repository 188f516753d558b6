//! Where news goes: targets of notifications, their model, how they are read, and which news each wants.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::read::Fields;
use super::{review, secret};
use crate::limits::{NOTIFICATION_PEOPLE_MAX, NOTIFICATION_RECIPIENTS_MAX};

/// News that somebody asked for, to see whether a target works; it needs no subscription.
pub const TEST: &str = "notification.test";

/// Somebody took access in an emergency, without anybody's approval.
pub const BREAK_GLASS: &str = "access.break_glass";

/// How a target is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// A signed POST after Standard Webhooks.
    Webhook,
    /// Slack's incoming webhooks.
    Slack,
    /// Workflows of Microsoft Teams that take adaptive cards.
    Teams,
    Email,
}

/// One target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    pub name: String,
    #[serde(rename = "type")]
    pub channel: Channel,
    /// Where it is sent: `http(s)://…` or a secret reference. A chat's address is a secret, and always a reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Webhooks: secret reference to the key of signatures, `whsec_` and base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Slack: secret reference to the app's signing secret; with it messages have buttons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_secret: Option<String>,
    /// Slack: users of Sluice by their Slack ids; only they answer by button.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub people: BTreeMap<String, String>,
    /// E-mail: fixed recipients.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
    /// E-mail: the reviewers of what waits too, and for decisions who asked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub to_people: bool,
    /// Names, `review.*` or `*`.
    pub events: Vec<String>,
    /// Only what concerns these; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub connections: Vec<String>,
}

impl Notification {
    /// Whether it wants news of this name about this connection.
    pub fn wants(&self, event: &str, connection: &str) -> bool {
        let fits = |pattern: &String| match pattern.strip_suffix('*') {
            Some(prefix) => event.starts_with(prefix),
            None => pattern == event,
        };
        let concerns = self.connections.is_empty() || self.connections.iter().any(|name| name == connection);
        event == TEST || (concerns && self.events.iter().any(fits))
    }
}

/// The name of the news that a review is in its state.
pub fn event_of(review: &review::Review) -> String {
    if review.break_glass && review.state == review::State::Approved {
        return BREAK_GLASS.to_owned();
    }
    review_event(review.state)
}

fn review_event(state: review::State) -> String {
    match state {
        review::State::Pending => "review.created".to_owned(),
        other => format!("review.{}", other.name().to_lowercase()),
    }
}

/// Every name that can be subscribed to.
pub fn events() -> Vec<String> {
    let mut events: Vec<String> = review::State::ALL.into_iter().map(review_event).collect();
    events.push(BREAK_GLASS.to_owned());
    events
}

/// Reads a target.
pub fn read(fields: &mut Fields<'_>, name: Option<String>) -> Option<Notification> {
    let channel: Option<Channel> = fields.choice_given("type", &["webhook", "slack", "teams", "email"]);
    if channel.is_none() {
        fields.wrong("type", "must be webhook, slack, teams or email");
    }
    let target = Notification {
        name: String::new(),
        channel: channel.unwrap_or(Channel::Webhook),
        url: fields.text("url"),
        secret: reference(fields, "secret"),
        signing_secret: reference(fields, "signing_secret"),
        people: people(fields),
        to: addresses(fields),
        to_people: fields.flag("to_people"),
        events: subscribed(fields),
        connections: fields.texts("connections"),
    };
    fits(fields, &target);
    Some(Notification { name: name?, ..target })
}

/// What belongs to which channel.
fn fits(fields: &mut Fields<'_>, target: &Notification) {
    let is_web = |url: &str| url.starts_with("https://") || url.starts_with("http://");
    match (target.channel, target.url.as_deref()) {
        (Channel::Email, Some(_)) => fields.wrong("url", "does not belong to type email"),
        (Channel::Email, None) => {}
        (_, None) => fields.wrong("url", "is missing"),
        (Channel::Webhook, Some(url)) if is_web(url) => {}
        (_, Some(url)) => {
            if let Err(message) = secret::check(url) {
                let hint = match target.channel {
                    Channel::Webhook => "must begin with http:// or https://, or be a secret reference",
                    _ => "is a secret: must be a secret reference",
                };
                fields.wrong("url", format!("{hint}; {message}"));
            }
        }
    }
    let misplaced = [
        ("secret", target.secret.is_some(), Channel::Webhook),
        ("signing_secret", target.signing_secret.is_some(), Channel::Slack),
        ("people", !target.people.is_empty(), Channel::Slack),
        ("to", !target.to.is_empty(), Channel::Email),
        ("to_people", target.to_people, Channel::Email),
    ];
    for (key, given, channel) in misplaced {
        if given && target.channel != channel {
            fields.wrong(key, format!("belongs to type {}", channel_name(channel)));
        }
    }
    if target.channel == Channel::Webhook && target.secret.is_none() {
        fields.wrong("secret", "is missing: what is sent is signed");
    }
    if target.channel == Channel::Email && target.to.is_empty() && !target.to_people {
        fields.wrong("to", "give addresses, or to_people = true");
    }
    if target.signing_secret.is_none() && !target.people.is_empty() {
        fields.wrong("people", "answer by button, which needs signing_secret");
    }
}

/// The channel's word in the policy file.
pub fn channel_name(channel: Channel) -> &'static str {
    match channel {
        Channel::Webhook => "webhook",
        Channel::Slack => "slack",
        Channel::Teams => "teams",
        Channel::Email => "email",
    }
}

fn reference(fields: &mut Fields<'_>, key: &'static str) -> Option<String> {
    let reference = fields.text(key)?;
    if let Err(message) = secret::check(&reference) {
        fields.wrong(key, message);
    }
    Some(reference)
}

fn people(fields: &mut Fields<'_>) -> BTreeMap<String, String> {
    let mut people = BTreeMap::new();
    let table = match fields.value("people") {
        None => return people,
        Some(serde_json::Value::Object(table)) => table,
        Some(_) => {
            fields.wrong("people", "must be a table of Slack ids and users");
            return people;
        }
    };
    if table.len() > NOTIFICATION_PEOPLE_MAX {
        fields.wrong("people", format!("has more than {NOTIFICATION_PEOPLE_MAX} entries"));
    }
    for (id, user) in table {
        match user {
            serde_json::Value::String(user) if !user.is_empty() => {
                people.insert(id, user);
            }
            _ => fields.wrong("people", "must hold names of users"),
        }
    }
    people
}

fn addresses(fields: &mut Fields<'_>) -> Vec<String> {
    let to = fields.texts("to");
    if to.len() > NOTIFICATION_RECIPIENTS_MAX {
        fields.wrong("to", format!("names more than {NOTIFICATION_RECIPIENTS_MAX}"));
    }
    for address in &to {
        if address.parse::<lettre::Address>().is_err() {
            let shown: String = address.chars().take(80).collect();
            fields.wrong("to", format!("\"{shown}\" is no e-mail address"));
        }
    }
    to
}

fn subscribed(fields: &mut Fields<'_>) -> Vec<String> {
    let known = events();
    let wanted = fields.texts("events");
    for name in &wanted {
        let fits = match name.strip_suffix('*') {
            Some(prefix) => known.iter().any(|event| event.starts_with(prefix)),
            None => known.contains(name),
        };
        if !fits {
            fields.wrong(
                "events",
                format!("unknown event \"{name}\"; there are {}", known.join(", ")),
            );
        }
    }
    if wanted.is_empty() {
        return vec!["*".to_owned()];
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    fn mistakes(text: &str) -> Vec<String> {
        match file::parse(text) {
            Ok(_) => Vec::new(),
            Err(list) => list.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn each_channel_has_its_own_keys() {
        let right = r#"
            [[notification]]
            name = "ops"
            type = "webhook"
            url = "https://ops.example.com/sluice"
            secret = "env:HOOK"
            events = ["review.*"]
            [[notification]]
            name = "chat"
            type = "slack"
            url = "env:SLACK"
            signing_secret = "file:/run/slack"
            people = { U1 = "bob" }
            [[notification]]
            name = "mail"
            type = "email"
            to = ["dba@example.com"]
            to_people = true
        "#;
        assert_eq!(mistakes(right), [] as [&str; 0]);
        let wrong = r#"
            [[notification]]
            name = "a"
            type = "webhook"
            url = "ftp://x"
            to = ["nobody"]
            events = ["review.maybe"]
            [[notification]]
            name = "b"
            type = "slack"
            url = "https://hooks.slack.com/services/T/B/xyz"
            people = { U1 = "bob" }
            [[notification]]
            name = "c"
            type = "email"
        "#;
        let told = mistakes(wrong);
        for part in [
            "\"a\": url: must begin with http://",
            "\"a\": secret: is missing",
            "\"a\": to: belongs to type email",
            "\"nobody\" is no e-mail address",
            "unknown event \"review.maybe\"",
            "\"b\": url: is a secret",
            "\"b\": people: answer by button",
            "\"c\": to: give addresses",
        ] {
            assert!(told.iter().any(|line| line.contains(part)), "{part}: {told:#?}");
        }
        assert!(
            !told.iter().any(|line| line.contains("xyz")),
            "a chat's address is a secret"
        );
    }

    #[test]
    fn news_goes_to_who_wants_it() {
        let target = Notification {
            name: "ops".to_owned(),
            channel: Channel::Teams,
            url: None,
            secret: None,
            signing_secret: None,
            people: BTreeMap::new(),
            to: Vec::new(),
            to_people: false,
            events: vec!["review.created".to_owned(), "review.re*".to_owned()],
            connections: vec!["orders".to_owned()],
        };
        assert!(target.wants("review.created", "orders"));
        assert!(target.wants("review.rejected", "orders"));
        assert!(!target.wants("review.created", "other"));
        assert!(!target.wants("review.approved", "orders"));
        assert!(target.wants(TEST, ""));
    }
}
