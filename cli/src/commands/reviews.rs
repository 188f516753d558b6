//! `sluice reviews`: what waits for a person's decision, the decision, and requests for access.

use serde_json::{Value, json};

use super::settle;
use crate::api::{Api, path, with_query};
use crate::args::Reviews;
use crate::failure::Outcome;
use crate::lifetime;
use crate::output;

const COLUMNS: &[(&str, &str)] = &[
    ("ID", "id"),
    ("SINCE", "created_at"),
    ("STATUS", "status"),
    ("KIND", "kind"),
    ("USER", "user"),
    ("CONNECTION", "connection"),
    ("WHAT", "what"),
];
/// Characters of a statement or a reason in the table.
const WHAT_SHOWN_MAX: usize = 80;

/// Runs one of its verbs.
pub fn run(api: &Api, command: Reviews, json: bool) -> Outcome {
    match command {
        Reviews::List {
            status,
            kind,
            connection,
            limit,
        } => {
            let given = [("status", status), ("kind", kind), ("connection", connection)];
            let query: Vec<_> = given
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)))
                .collect();
            let mut reviews = api.list(&with_query("/api/reviews", &query), limit)?;
            if !json {
                reviews.iter_mut().for_each(say_what);
            }
            output::items(json, &reviews, COLUMNS)
        }
        Reviews::Show { id } => output::object(json, &api.get(&path(&["reviews", &id]))?),
        Reviews::Request {
            connection,
            duration,
            reason,
            break_glass,
        } => {
            let mut body = json!({"connection": connection, "reason": reason});
            if break_glass {
                body["break_glass"] = true.into();
            }
            if let Some(duration) = duration {
                body["seconds"] = lifetime::seconds(&duration)?.into();
            }
            let review = api.post("/api/reviews", &body)?;
            if break_glass && let Ok(policy) = api.get("/api/policy") {
                settle(api, &policy);
            }
            output::object(json, &review)
        }
        Reviews::Approve { id, comment } => decide(api, &id, "APPROVED", &comment, json),
        Reviews::Reject { id, comment } => decide(api, &id, "REJECTED", &comment, json),
        Reviews::Revoke { id, comment } => decide(api, &id, "REVOKED", &comment, json),
        Reviews::Withdraw { id } => decide(api, &id, "WITHDRAWN", "", json),
    }
}

fn decide(api: &Api, id: &str, status: &str, comment: &str, json: bool) -> Outcome {
    let body = json!({"status": status, "comment": comment});
    let review = api.put(&path(&["reviews", id]), &body)?;
    if review.get("kind").and_then(Value::as_str) == Some("access")
        && let Ok(policy) = api.get("/api/policy")
    {
        settle(api, &policy);
    }
    output::object(json, &review)
}

/// One column for what is asked: a statement, or why access is wanted.
fn say_what(review: &mut Value) {
    let said = ["statement", "reason"].iter().find_map(|field| {
        review
            .get(*field)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    });
    let shown: String = said.unwrap_or_default().chars().take(WHAT_SHOWN_MAX).collect();
    review["what"] = Value::from(shown);
}

#[cfg(test)]
mod tests {
    //! Tests of the printed forms.

    use super::*;

    #[test]
    fn the_table_says_what_is_asked() {
        let mut statement = json!({"statement": "alter table t add x int", "reason": ""});
        say_what(&mut statement);
        assert_eq!(statement["what"], "alter table t add x int");
        let mut access = json!({"statement": null, "reason": "ticket 7"});
        say_what(&mut access);
        assert_eq!(access["what"], "ticket 7");
    }
}
