//! An event in words, for channels that people read. Pure.

use serde_json::Value;

use crate::domain::notification::BREAK_GLASS;
use crate::limits::MESSAGE_TEXT_CHARS_MAX;

/// What people are told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    pub title: String,
    /// Label and value.
    pub facts: Vec<(&'static str, String)>,
    /// The statement that waits.
    pub statement: Option<String>,
    pub url: String,
    /// Somebody can decide on it now: the review's id.
    pub review: Option<String>,
}

/// The words for a stored body.
pub fn of(body: &Value) -> Message {
    let event = body["type"].as_str().unwrap_or_default();
    let data = &body["data"];
    let text = |name: &str| cut(data[name].as_str().unwrap_or_default());
    let (user, connection) = (text("user"), text("connection"));
    let what = match data["kind"].as_str() {
        Some("statement") => format!("a statement of {user} on {connection}"),
        _ => format!("access of {user} to {connection}"),
    };
    let title = match event.strip_prefix("review.") {
        None if event == BREAK_GLASS => format!("ALARM: break-glass {what}"),
        Some("created") => format!("Review needed: {what}"),
        Some(state) => format!("Review {}: {what}", state.replace('_', " ")),
        None => "This target of notifications works".to_owned(),
    };
    let list = |name: &str| {
        let items = data[name].as_array().map(Vec::as_slice).unwrap_or_default();
        items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
    };
    let seconds = data["seconds"].as_u64().map(|seconds| format!("{seconds} s"));
    let decisions = data["decisions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let decided = decisions.iter().map(|decision| {
        let comment = decision["comment"].as_str().unwrap_or_default();
        let colon = if comment.is_empty() { "" } else { ": " };
        let (by, status) = (&decision["by"], &decision["status"]);
        let status = status.as_str().unwrap_or_default().to_lowercase();
        format!("{status} by {}{colon}{}", by.as_str().unwrap_or_default(), cut(comment))
    });
    let facts = [
        ("Reason", text("reason")),
        ("For", seconds.unwrap_or_default()),
        ("Guardrail", text("guardrail")),
        ("Message", text("message")),
        ("Reviewers", list("reviewers")),
        ("Decisions", decided.collect::<Vec<_>>().join("; ")),
        ("Note", text("note")),
    ];
    let id = data["id"].as_str().map(str::to_owned);
    Message {
        title,
        facts: facts.into_iter().filter(|(_, value)| !value.is_empty()).collect(),
        statement: Some(text("statement")).filter(|statement| !statement.is_empty()),
        url: data["url"].as_str().unwrap_or_default().to_owned(),
        review: id.filter(|_| event == "review.created"),
    }
}

fn cut(text: &str) -> String {
    let mut cut: String = text.chars().take(MESSAGE_TEXT_CHARS_MAX).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;

    pub(crate) fn pending() -> Value {
        json!({"type": "review.created", "timestamp": "2026-11-22T10:00:00Z", "data": {
            "id": "0199-1", "kind": "statement", "status": "PENDING", "user": "alice", "connection": "orders",
            "statement": "alter table <t> add x int", "guardrail": "four-eyes", "message": "", "reason": "",
            "reviewers": ["dba", "leads"], "seconds": null, "decisions": [], "note": "",
            "url": "https://sluice.example.com/reviews/0199-1",
        }})
    }

    #[test]
    fn what_waits_is_said_with_who_decides() {
        let message = of(&pending());
        assert_eq!(message.title, "Review needed: a statement of alice on orders");
        assert_eq!(
            message.facts,
            [
                ("Guardrail", "four-eyes".to_owned()),
                ("Reviewers", "dba, leads".to_owned())
            ]
        );
        assert_eq!(message.review.as_deref(), Some("0199-1"));
    }

    #[test]
    fn a_decision_is_said_with_its_comment_and_nothing_waits_any_more() {
        let mut body = pending();
        body["type"] = json!("review.rejected");
        body["data"]["decisions"] = json!([{"by": "bob", "status": "REJECTED", "comment": "not on a Friday"}]);
        let message = of(&body);
        assert_eq!(message.title, "Review rejected: a statement of alice on orders");
        assert!(
            message
                .facts
                .contains(&("Decisions", "rejected by bob: not on a Friday".to_owned()))
        );
        assert_eq!(message.review, None);
    }

    #[test]
    fn long_statements_are_cut() {
        let mut body = pending();
        body["data"]["statement"] = json!("é".repeat(5000));
        let statement = of(&body).statement.unwrap();
        assert_eq!(statement.chars().count(), MESSAGE_TEXT_CHARS_MAX + 1);
    }
}
