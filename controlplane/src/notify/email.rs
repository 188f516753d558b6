//! Mail: recipients, text, and SMTP by STARTTLS or TLS; plain text where the configuration says so.

use std::collections::BTreeSet;
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message as Mail, Tokio1Executor};
use serde_json::Value;

use super::Fault;
use super::message::{self, Message};
use crate::App;
use crate::config::{Smtp, SmtpTls};
use crate::domain::model::{Catalog, User, UserStatus};
use crate::domain::notification::{BREAK_GLASS, Notification};
use crate::limits::{DELIVERY_SECONDS_MAX, NOTIFICATION_RECIPIENTS_MAX};
use crate::store::outbox::Delivery;

/// Sends one mail to all recipients, each unseen by the others.
pub async fn send(
    app: &App,
    catalog: &Catalog,
    target: &Notification,
    delivery: &Delivery,
    body: &Value,
) -> Result<(), Fault> {
    let Some(smtp) = &app.config.smtp else {
        return Err(Fault::This("the control plane has no smtp.host".to_owned()));
    };
    let to = recipients(catalog, target, body);
    if to.is_empty() {
        // The rule is kept: there is nobody with an address who has to know.
        return Ok(());
    }
    let from: Mailbox = smtp
        .from
        .parse()
        .map_err(|_| Fault::This("smtp.from is no address".to_owned()))?;
    let domain = from.email.domain().to_owned();
    let mail = mail(from, &to, &delivery.event_id, &message::of(body))
        .map_err(|error| Fault::This(format!("the mail cannot be written: {error}")))?;
    let transport = transport(smtp, &domain)?;
    match tokio::time::timeout(Duration::from_secs(DELIVERY_SECONDS_MAX), transport.send(mail)).await {
        Err(_) => Err(Fault::Target(format!("no answer within {DELIVERY_SECONDS_MAX} s"))),
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) if error.is_permanent() => Err(Fault::This(told(&error))),
        Ok(Err(error)) => Err(Fault::Target(told(&error))),
    }
}

/// What the server said, or what kept us from it; credentials are in neither.
fn told(error: &lettre::transport::smtp::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

/// Fixed addresses, and with `to_people` those who can decide while something waits, or who asked when it is decided.
fn recipients(catalog: &Catalog, target: &Notification, body: &Value) -> Vec<Address> {
    let mut texts: BTreeSet<&str> = target.to.iter().map(String::as_str).collect();
    if target.to_people {
        let data = &body["data"];
        // An emergency concerns those who would have decided.
        let waits = body["type"] == "review.created" || body["type"] == BREAK_GLASS;
        let groups: Vec<&str> = data["reviewers"]
            .as_array()
            .map(|groups| groups.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let concerned = |id: &str, user: &User| {
            let asked = data["user_id"].as_str() == Some(id);
            let decides = user.groups.iter().any(|group| groups.contains(&group.as_str()));
            if waits { decides && !asked } else { asked }
        };
        let people = catalog
            .users()
            .filter(|(entry, user)| user.status == UserStatus::Active && concerned(&entry.id, user));
        texts.extend(people.filter_map(|(_, user)| user.email.as_deref()));
    }
    let addresses = texts.into_iter().filter_map(|text| text.parse().ok());
    addresses.take(NOTIFICATION_RECIPIENTS_MAX).collect()
}

fn mail(from: Mailbox, to: &[Address], event_id: &str, message: &Message) -> Result<Mail, lettre::error::Error> {
    let id = format!("<{event_id}@{}>", from.email.domain());
    let recipients = lettre::address::Envelope::new(Some(from.email.clone()), to.to_vec())?;
    let single = match to {
        [only] => Mailbox::new(None, only.clone()),
        _ => from.clone(),
    };
    // The id is the same at every try, so that a mail sent twice can be known as one.
    Mail::builder()
        .message_id(Some(id))
        .from(from)
        .to(single)
        .subject(format!("[Sluice] {}", message.title))
        .envelope(recipients)
        .header(ContentType::TEXT_PLAIN)
        .body(text(message))
}

fn text(message: &Message) -> String {
    let mut text = format!("{}\n\n", message.title);
    if let Some(statement) = &message.statement {
        for line in statement.lines() {
            text.push_str(&format!("    {line}\n"));
        }
        text.push('\n');
    }
    for (label, value) in &message.facts {
        text.push_str(&format!("{label}: {value}\n"));
    }
    text.push_str(&format!("\n{}\n", message.url));
    text
}

fn transport(smtp: &Smtp, domain: &str) -> Result<AsyncSmtpTransport<Tokio1Executor>, Fault> {
    let parameters =
        || TlsParameters::new_rustls(smtp.host.clone()).map_err(|error| Fault::This(format!("TLS: {}", told(&error))));
    let tls = match smtp.tls {
        SmtpTls::None => Tls::None,
        SmtpTls::Starttls => Tls::Required(parameters()?),
        SmtpTls::Implicit => Tls::Wrapper(parameters()?),
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(smtp.host.as_str())
        .port(smtp.port)
        .tls(tls)
        .hello_name(ClientId::Domain(domain.to_owned()))
        .timeout(Some(Duration::from_secs(DELIVERY_SECONDS_MAX)));
    if let Some(user) = &smtp.user {
        builder = builder.credentials(Credentials::new(user.clone(), smtp.password.0.clone()));
    }
    Ok(builder.build())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::file;
    use crate::domain::model::{Entry, Owner};

    fn catalog() -> Catalog {
        let text = r#"
            [[user]]
            name = "alice"
            email = "alice@example.com"
            groups = ["dba"]
            [[user]]
            name = "bob"
            email = "bob@example.com"
            groups = ["dba"]
            [[user]]
            name = "gone"
            email = "gone@example.com"
            groups = ["dba"]
            status = "inactive"
            [[user]]
            name = "carl"
            groups = ["dba"]
            [[notification]]
            name = "mail"
            type = "email"
            to = ["team@example.com"]
            to_people = true
        "#;
        let entry = |(key, body): (crate::domain::model::Key, _)| {
            let id = format!("{}-id", key.1);
            let (managed_by, created_micros, updated_micros) = (Owner::Api, 0, 0);
            (
                key,
                Entry {
                    id,
                    body,
                    managed_by,
                    created_micros,
                    updated_micros,
                },
            )
        };
        Catalog {
            entries: file::parse(text).unwrap().into_iter().map(entry).collect(),
        }
    }

    fn told(body: &Value) -> Vec<String> {
        let catalog = catalog();
        let target = catalog.notifications().next().unwrap().clone();
        recipients(&catalog, &target, body)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn reviewers_hear_of_what_waits_and_who_asked_hears_of_its_end() {
        let mut body = message::tests::pending();
        body["data"]["user_id"] = "alice-id".into();
        assert_eq!(told(&body), ["bob@example.com", "team@example.com"]);
        body["type"] = "review.approved".into();
        assert_eq!(told(&body), ["alice@example.com", "team@example.com"]);
    }

    #[test]
    fn a_mail_has_one_id_and_hides_its_readers_from_each_other() {
        let said = message::of(&message::tests::pending());
        let to = ["a@example.com".parse().unwrap(), "b@example.com".parse().unwrap()];
        let mail = mail("Sluice <sluice@example.com>".parse().unwrap(), &to, "evt_1", &said).unwrap();
        let text = String::from_utf8(mail.formatted()).unwrap();
        assert!(text.contains("Message-ID: <evt_1@example.com>"), "{text}");
        assert!(
            !text.contains("a@example.com") && mail.envelope().to().len() == 2,
            "{text}"
        );
        assert!(text.contains("https://sluice.example.com/reviews/0199-1"), "{text}");
    }

    #[test]
    fn what_users_write_becomes_no_header() {
        let mut body = message::tests::pending();
        body["data"]["user"] = "alice\r\nBcc: evil@example.com".into();
        let said = message::of(&body);
        let to = ["a@example.com".parse().unwrap()];
        let mail = mail("sluice@example.com".parse().unwrap(), &to, "evt_1", &said).unwrap();
        let text = String::from_utf8(mail.formatted()).unwrap();
        let head = text.split("\r\n\r\n").next().unwrap();
        assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
    }
}
