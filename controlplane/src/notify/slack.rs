//! Slack: messages for incoming webhooks with buttons, and the check of who pressed one. Pure.

use aws_lc_rs::hmac;
use serde_json::{Value, json};

use super::message::Message;
use crate::limits::{CHAT_REQUEST_AGE_SECONDS_MAX, TEXT_CHARS_MAX};

/// What the buttons are called.
pub const APPROVE: &str = "sluice_approve";
pub const REJECT: &str = "sluice_reject";

/// The message as Slack's incoming webhooks take it.
pub fn body(message: &Message, interactive: bool) -> Value {
    let mut blocks = vec![section(&format!("*{}*", escaped(&message.title)))];
    if let Some(statement) = &message.statement {
        // Three back quotes would end the code.
        blocks.push(section(&format!("```{}```", escaped(statement).replace("```", "'''"))));
    }
    let facts: Vec<String> = message
        .facts
        .iter()
        .map(|(label, value)| format!("*{label}:* {}", escaped(value)))
        .collect();
    if !facts.is_empty() {
        blocks.push(section(&facts.join("\n")));
    }
    let link = json!({"type": "button", "action_id": "sluice_open", "url": message.url,
        "text": {"type": "plain_text", "text": "Open"}});
    let mut buttons = vec![link];
    if let (Some(review), true) = (&message.review, interactive) {
        blocks.push(json!({"type": "input", "block_id": "comment", "optional": true,
            "label": {"type": "plain_text", "text": "Comment"},
            "element": {"type": "plain_text_input", "action_id": "text"}}));
        buttons.insert(0, button(REJECT, "Reject", "danger", review));
        buttons.insert(0, button(APPROVE, "Approve", "primary", review));
    }
    blocks.push(json!({"type": "actions", "elements": buttons}));
    json!({"text": escaped(&message.title), "blocks": blocks})
}

fn section(text: &str) -> Value {
    json!({"type": "section", "text": {"type": "mrkdwn", "text": text}})
}

fn button(action: &str, text: &str, style: &str, review: &str) -> Value {
    json!({"type": "button", "action_id": action, "style": style, "value": review,
        "text": {"type": "plain_text", "text": text}})
}

/// Slack's three control characters.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Whether a request is Slack's, and of now: `v0=` and the hexadecimal HMAC-SHA256 over `v0:timestamp:body`.
pub fn is_genuine(secret: &str, timestamp: &str, signature: &str, body: &[u8], now_seconds: i64) -> bool {
    let Ok(seconds) = timestamp.parse::<i64>() else {
        return false;
    };
    if now_seconds.abs_diff(seconds) > CHAT_REQUEST_AGE_SECONDS_MAX.unsigned_abs() {
        return false;
    }
    let Some(tag) = signature.strip_prefix("v0=").and_then(unhex) else {
        return false;
    };
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.trim().as_bytes());
    let mut signed = format!("v0:{timestamp}:").into_bytes();
    signed.extend_from_slice(body);
    !secret.trim().is_empty() && hmac::verify(&key, &signed, &tag).is_ok()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

/// A press of one of our buttons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Press {
    /// Slack's id of who pressed.
    pub person: String,
    pub review: String,
    pub approve: bool,
    pub comment: String,
    /// Where an answer to the press may be sent.
    pub response_url: Option<String>,
}

/// The press in a payload; none when it is something else.
pub fn press(payload: &Value) -> Option<Press> {
    if payload["type"] != "block_actions" {
        return None;
    }
    let action = payload["actions"].as_array()?.first()?;
    let approve = match action["action_id"].as_str()? {
        APPROVE => true,
        REJECT => false,
        _ => return None,
    };
    let comment = payload["state"]["values"]["comment"]["text"]["value"].as_str();
    // It goes into the client's error: one line.
    let comment = comment
        .unwrap_or_default()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c });
    Some(Press {
        person: payload["user"]["id"].as_str()?.to_owned(),
        review: action["value"].as_str()?.to_owned(),
        approve,
        comment: comment.take(TEXT_CHARS_MAX).collect(),
        response_url: payload["response_url"].as_str().map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::super::message;
    use super::*;

    #[test]
    fn the_example_of_the_vendor_s_guide_is_genuine_in_its_time_alone() {
        let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&\
            channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&\
            response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&\
            trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
        let secret = "8f742231b10e8888abcd99yyyzzz85a5";
        let signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
        let genuine =
            |time: &str, signature: &str, body: &str, now| is_genuine(secret, time, signature, body.as_bytes(), now);
        assert!(genuine("1531420618", signature, body, 1_531_420_618 + 300));
        assert!(!genuine("1531420618", signature, body, 1_531_420_618 + 301), "too old");
        assert!(
            !genuine("1531420618", signature, body, 1_531_420_618 - 301),
            "from the future"
        );
        assert!(!genuine("1531420619", signature, body, 1_531_420_618));
        assert!(!genuine("1531420618", signature, &format!("{body}x"), 1_531_420_618));
        assert!(!genuine("1531420618", "v0=a2", body, 1_531_420_618));
        assert!(!genuine("1531420618", "", body, 1_531_420_618));
        assert!(!genuine("99999999999999999999", signature, body, 1_531_420_618));
        assert!(!is_genuine("", "1", "v0=", b"", 1), "no secret, no trust");
    }

    #[test]
    fn buttons_are_there_while_somebody_can_decide() {
        let message = message::of(&message::tests::pending());
        let with = body(&message, true).to_string();
        assert!(
            with.contains(APPROVE) && with.contains(REJECT) && with.contains("alter table &lt;t&gt;"),
            "{with}"
        );
        let without = body(&message, false).to_string();
        assert!(!without.contains(APPROVE) && without.contains("sluice_open"));
    }

    #[test]
    fn presses_are_read_and_nothing_else_is() {
        let payload = json!({"type": "block_actions", "user": {"id": "U1"},
            "actions": [{"action_id": REJECT, "value": "r1"}],
            "state": {"values": {"comment": {"text": {"value": "not\nnow"}}}}});
        let expected = Press {
            person: "U1".to_owned(),
            review: "r1".to_owned(),
            approve: false,
            comment: "not now".to_owned(),
            response_url: None,
        };
        assert_eq!(press(&payload), Some(expected));
        assert_eq!(press(&json!({"type": "view_submission"})), None);
        assert_eq!(
            press(&json!({"type": "block_actions", "actions": [{"action_id": "sluice_open"}]})),
            None
        );
        assert_eq!(press(&json!([])), None);
    }
}
