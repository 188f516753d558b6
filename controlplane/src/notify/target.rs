//! One try: finds the target and its secrets, writes the event in its channel's form, and sends it.

use serde_json::Value;

use super::{Fault, email, is_interactive, message, slack, target_of, teams, webhook};
use crate::App;
use crate::domain::notification::{Channel, Notification};
use crate::private_file;
use crate::store::now_micros;
use crate::store::outbox::Delivery;

/// Sends one delivery.
pub async fn send(app: &App, delivery: &Delivery) -> Result<(), Fault> {
    let state = app.publisher.state();
    let target = target_of(&state.catalog, &delivery.target)
        .ok_or_else(|| Fault::Gone("there is no such target any more".to_owned()))?;
    let body: Value =
        serde_json::from_str(&delivery.body).map_err(|error| Fault::Gone(format!("the stored event: {error}")))?;
    if target.channel == Channel::Email {
        return email::send(app, &state.catalog, &target, delivery, &body).await;
    }
    let (headers, body) = match target.channel {
        Channel::Slack => {
            let said = message::of(&body);
            (Vec::new(), slack::body(&said, is_interactive(&target)).to_string())
        }
        Channel::Teams => (Vec::new(), teams::body(&message::of(&body)).to_string()),
        Channel::Webhook | Channel::Email => {
            let secret = resolved(target.secret.as_deref().unwrap_or_default())?;
            let seconds = now_micros() / 1_000_000;
            let headers = webhook::headers(&secret, &delivery.event_id, seconds, &delivery.body);
            (Vec::from(headers.map_err(Fault::This)?), delivery.body.clone())
        }
    };
    app.notifier.poster.json(url_of(&target)?, headers, body).await
}

/// The target's address, resolved where it is a reference.
pub fn url_of(target: &Notification) -> Result<String, Fault> {
    let url = target.url.as_deref().unwrap_or_default();
    if url.starts_with("http://") || url.starts_with("https://") {
        return Ok(url.to_owned());
    }
    resolved(url).map(|url| url.trim().to_owned())
}

/// A secret of our own side: `env:` and `file:` are those of this program. The error never repeats a value.
pub fn resolved(reference: &str) -> Result<String, Fault> {
    let missing = |why: String| Fault::This(why);
    match reference.split_once(':') {
        Some(("literal", value)) => Ok(value.to_owned()),
        Some(("env", name)) => {
            std::env::var(name).map_err(|_| missing(format!("the control plane has no variable {name}")))
        }
        Some(("file", path)) => match private_file::read(path.as_ref()) {
            Ok(Some(bytes)) => String::from_utf8(bytes)
                .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
                .map_err(|_| missing(format!("{path} holds no text"))),
            Ok(None) => Err(missing(format!("there is no file {path}"))),
            Err(error) => Err(missing(format!("{path}: {error}"))),
        },
        _ => Err(missing(
            "the reference is of no provider that the control plane has".to_owned(),
        )),
    }
}
