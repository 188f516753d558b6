//! Microsoft Teams: an adaptive card as its workflows take it from a webhook. Pure.

use serde_json::{Value, json};

use super::message::Message;

/// The message around the card.
pub fn body(message: &Message) -> Value {
    let mut content =
        vec![json!({"type": "TextBlock", "text": plain(&message.title), "weight": "Bolder", "wrap": true})];
    if let Some(statement) = &message.statement {
        content.push(json!({"type": "TextBlock", "text": plain(statement), "fontType": "Monospace", "wrap": true}));
    }
    let facts: Vec<Value> = message
        .facts
        .iter()
        .map(|(label, value)| json!({"title": label, "value": plain(value)}))
        .collect();
    if !facts.is_empty() {
        content.push(json!({"type": "FactSet", "facts": facts}));
    }
    let card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
        "body": content,
        "actions": [{"type": "Action.OpenUrl", "title": "Open", "url": message.url}],
    });
    json!({"type": "message", "attachments": [
        {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": null, "content": card},
    ]})
}

/// Text blocks know some Markdown: what could be read as a link or an emphasis is escaped.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '[' | ']' | '*' | '_' | '`' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::message;
    use super::*;

    #[test]
    fn the_card_says_what_waits_and_links_to_it() {
        let mut said = message::of(&message::tests::pending());
        said.statement = Some("[click](http://evil)".to_owned());
        let body = body(&said);
        let card = &body["attachments"][0]["content"];
        assert_eq!(card["body"][0]["text"], "Review needed: a statement of alice on orders");
        assert_eq!(card["body"][1]["text"], "\\[click\\](http://evil)");
        assert_eq!(card["body"][2]["facts"][1]["value"], "dba, leads");
        assert_eq!(card["actions"][0]["url"], said.url.as_str());
    }
}
