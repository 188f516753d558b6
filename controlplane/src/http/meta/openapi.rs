//! `GET /api/openapi.json`: OpenAPI 3.1, made from the list of routes that a test compares with the router.

use axum::Json;
use serde_json::{Map, Value, json};

use super::routes::{self, Right, Route};
use crate::limits::{IDEMPOTENCY_KEY_BYTES_MAX, PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX};

/// Answers the request.
pub fn handle() -> Json<Value> {
    let mut paths: Map<String, Value> = Map::new();
    for route in routes::all() {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Value::Object(methods) = path {
            methods.insert(route.method.to_owned(), operation(route));
        }
    }
    Json(json!({
        "openapi": "3.1.0",
        "info": {"title": "Sluice control plane", "version": env!("CARGO_PKG_VERSION"), "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": schemas(),
        },
    }))
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "summary": route.summary,
        "description": format!("Role: {}.", route.right.name()),
        "operationId": operation_id(route),
        "tags": [route.scope().map_or("pages and logins", |(resource, _)| resource)],
        "parameters": parameters(route),
        "responses": responses(route),
    });
    let Value::Object(fields) = &mut operation else {
        return operation;
    };
    // A page sends whoever has no login to the login page: it is no 401.
    if !matches!(route.right, Right::Open | Right::Page) {
        fields.insert("security".to_owned(), json!([{"token": []}]));
    }
    if let Some((resource, verb)) = route.scope() {
        fields.insert("x-scope".to_owned(), json!(format!("{resource}:{verb}")));
    }
    if !route.request.is_empty() {
        let kind = match is_form(route) {
            true => "application/x-www-form-urlencoded",
            false => "application/json",
        };
        let content = json!({kind: {"schema": reference(route.request)}});
        fields.insert("requestBody".to_owned(), json!({"required": true, "content": content}));
    }
    operation
}

fn is_form(route: &Route) -> bool {
    matches!(route.request, "Form" | "TokenForm")
}

fn operation_id(route: &Route) -> String {
    let words = route.path.split(['/', '{', '}', '.']).filter(|word| !word.is_empty());
    std::iter::once(route.method).chain(words).collect::<Vec<_>>().join("_")
}

fn parameters(route: &Route) -> Vec<Value> {
    let in_path = route
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<Value> = in_path
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "minLength": 1}}))
        .collect();
    let query = query(route);
    parameters.extend(query.split_whitespace().map(|word| {
        let (name, kind) = word.split_once(':').unwrap_or((word, "text"));
        let schema = match name {
            "limit" => {
                json!({"type": "integer", "minimum": 1, "maximum": PAGE_ITEMS_MAX, "default": PAGE_ITEMS_DEFAULT})
            }
            "since" | "until" => json!({"type": "string", "format": "date-time"}),
            _ => property(kind),
        };
        json!({"name": name, "in": "query", "schema": schema})
    }));
    if is_object(route.path) && matches!(route.method, "put" | "delete") {
        parameters.push(json!({"name": "If-Match", "in": "header", "schema": {"type": "string"},
            "description": "The ETag of what was read; 412 when it has changed since"}));
    }
    if route.method == "post" && !matches!(route.right, Right::Open | Right::Page) {
        parameters.push(json!({"name": "Idempotency-Key", "in": "header",
            "schema": {"type": "string", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_BYTES_MAX, "pattern": "^[!-~]+$"},
            "description": "The same request with the same key gets the first one's answer, for a day"}));
    }
    parameters
}

/// Parameters of the query, as words of [`property`].
fn query(route: &Route) -> &'static str {
    match (route.method, route.path) {
        ("get", "/api/sessions" | "/api/plugins/audit/sessions") => {
            "limit cursor user connection status:open|closed since until text outcome detector verb"
        }
        ("get", "/api/sessions/{id}" | "/api/plugins/audit/sessions/{id}") => "statements_max:count",
        ("get", "/api/reviews") => "limit cursor status kind:statement|access connection",
        ("get", "/api/jits") => "limit cursor status connection",
        ("get", "/api/tokens" | "/api/api-keys") => "limit cursor user",
        ("get", "/api/admin-log") => "limit cursor actor phase:begun|ended|event since until",
        ("get", "/api/login") => "next redirect",
        ("get", "/api/callback") => "code state error error_description iss",
        ("get", "/login") => "next",
        ("get", "/login/cli") => "redirect_uri state code_challenge",
        ("get", "/device") => "user_code",
        ("put" | "delete", path) if is_object(path) => "force:flag",
        _ if route.answer == "page:Event" => "limit cursor user connection since until text outcome detector verb",
        _ if route.answer.starts_with("page:") => "limit cursor",
        _ => "",
    }
}

fn is_object(path: &str) -> bool {
    path.ends_with("/{name}")
}

fn responses(route: &Route) -> Value {
    let mut responses = Map::new();
    let page = json!({"text/html": {"schema": {"type": "string"}}});
    let good = match route.answer {
        "" => json!({"description": "done"}),
        "html" if route.status == 303 => json!({"description": "on to another page"}),
        "html" => json!({"description": "a page", "content": page}),
        "text" => json!({"description": "a file", "content": {"text/plain": {"schema": {"type": "string"}}}}),
        answer => json!({"description": "done", "content": {"application/json": {"schema": answer_schema(answer)}}}),
    };
    responses.insert(route.status.to_string(), good);
    let problem = json!({"application/problem+json": {"schema": reference("Problem")}});
    let mut refused = |statuses: &[&str], content: &Value| {
        for status in statuses {
            responses.insert(
                (*status).to_owned(),
                json!({"description": "refused", "content": content}),
            );
        }
    };
    refused(&["400", "429"], &problem);
    if route.right != Right::Open {
        refused(&["401", "403"], &problem);
    }
    if route.path.contains('{')
        || matches!(
            route.path,
            "/api/tokens" | "/api/api-keys" | "/api/agents" | "/api/reviews" | "/api/callback"
        )
        || route.request == "RedactionTest"
    {
        refused(&["404"], &problem);
    }
    if route.method != "get" {
        refused(&["404", "409", "413", "422"], &problem);
    }
    if is_object(route.path) && matches!(route.method, "put" | "delete") {
        refused(&["412"], &problem);
    }
    let either = json!({"text/html": {"schema": {"type": "string"}}, "application/problem+json": {"schema": reference("Problem")}});
    match (route.method, route.path) {
        ("post", "/api/login" | "/api/notifications/{name}/slack") => refused(&["401"], &problem),
        ("post", "/login") => refused(&["401", "403"], &either),
        ("get", "/api/callback") => refused(&["401", "502"], &either),
        ("post", "/device") => refused(&["404", "409"], &either),
        ("post", "/api/login/token") => {
            refused(
                &["400"],
                &json!({"application/json": {"schema": reference("OAuthError")},
                "application/problem+json": {"schema": reference("Problem")}}),
            );
        }
        ("get", "/ready") => refused(&["503"], &json!({"application/json": {"schema": {"type": "object"}}})),
        ("get", "/api/login") => refused(&["502"], &page),
        _ => {}
    }
    if route.right == Right::Page || route.path == "/api/login" {
        responses.insert("303".to_owned(), json!({"description": "on to another page"}));
    }
    if route.path.ends_with("/kill") {
        responses.insert(
            "202".to_owned(),
            json!({"description": "told, and its end is not recorded yet",
            "content": {"application/json": {"schema": reference("Session")}}}),
        );
    }
    Value::Object(responses)
}

fn answer_schema(answer: &str) -> Value {
    match answer.strip_prefix("page:") {
        Some(item) => json!({
            "type": "object", "required": ["items", "next_cursor"],
            "properties": {"items": {"type": "array", "items": reference(item)}, "next_cursor": {"type": ["string", "null"]}},
        }),
        None => reference(answer),
    }
}

fn reference(name: &str) -> Value {
    match name {
        "Any" => json!({"type": "object"}),
        name => json!({"$ref": format!("#/components/schemas/{name}")}),
    }
}

/// `name:type` words into an object schema; `!` after the name means required, types are those of [`property`].
fn object(words: &str) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for word in words.split_whitespace() {
        let (name, kind) = word.split_once(':').unwrap_or((word, "text"));
        let plain = name.trim_end_matches('!');
        if plain != name {
            required.push(plain);
        }
        properties.insert(plain.to_owned(), property(kind));
    }
    json!({"type": "object", "properties": properties, "required": required})
}

fn property(kind: &str) -> Value {
    match kind {
        "text" => json!({"type": "string"}),
        "text?" => json!({"type": ["string", "null"]}),
        "nullable_texts" => json!({"type": "array", "items": {"type": ["string", "null"]}}),
        "texts" => json!({"type": "array", "items": {"type": "string"}}),
        "texts1" => json!({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
        "count" => json!({"type": "integer", "minimum": 0}),
        "number" => json!({"type": "integer"}),
        "number?" => json!({"type": ["integer", "null"]}),
        "any" => json!({}),
        "flag" => json!({"type": "boolean"}),
        "objects" => json!({"type": "array", "items": {"type": "object"}}),
        "object?" => json!({"type": ["object", "null"]}),
        words => match words.split_once('|') {
            Some(_) => json!({"type": "string", "enum": words.split('|').collect::<Vec<_>>()}),
            None => json!({"type": "array", "items": reference(words)}),
        },
    }
}

fn schemas() -> Value {
    let known = " id managed_by:api|policy|bootstrap|login created_at updated_at";
    let with = |words: &str| object(&format!("{words}{known}"));
    let schemas = [
        (
            "Notification",
            with(
                "name! type!:webhook|slack|teams|email url secret signing_secret people:object? to:texts1 \
            to_people:flag events:texts1 connections:texts1",
            ),
        ),
        (
            "Delivery",
            object(
                "id! event_id! event! target! subject! state!:waiting|delivered|dead attempts!:number \
            created_at! due_at!:text? done_at!:text? error!:text? body!:object?",
            ),
        ),
        ("Problem", object("type! title! status!:number detail! errors:objects")),
        (
            "UserInfo",
            object(
                "id! name! email:text? role!:admin|auditor|approver|member roles!:texts groups!:texts via! \
            scopes:texts expires_at:text?",
            ),
        ),
        ("Login", object("user! password!")),
        ("LoggedIn", object("token! user! role! expires_at!")),
        ("Password", object("password! current")),
        (
            "ApiKeyTerms",
            object("user name expires_at expires_in_seconds:number scopes!:texts1"),
        ),
        (
            "ApiKey",
            object("id! token user! name! scopes!:texts created_at! expires_at!:text?"),
        ),
        (
            "AdminLogEntry",
            object(
                "number!:number at! actor! actor_id! via! address! action! target! phase!:begun|ended|event \
            begun!:number? status!:number? detail!:any hash!",
            ),
        ),
        (
            "AdminLogVerified",
            object("intact!:flag lines!:number broken_at!:number? head!"),
        ),
        (
            "Form",
            object("user password token next redirect_uri state code_challenge user_code answer"),
        ),
        (
            "TokenForm",
            object("grant_type! code code_verifier redirect_uri device_code"),
        ),
        ("OAuthToken", object("access_token! token_type! expires_in!:number")),
        ("OAuthError", object("error!")),
        ("LoginUrl", object("login_url!")),
        (
            "DeviceLogin",
            object(
                "device_code! user_code! verification_uri! verification_uri_complete! expires_in!:number interval!:number",
            ),
        ),
        ("Names", json!({"type": "array", "items": {"type": "string"}})),
        ("Pool", with("name! description agents:number agents_connected:number")),
        ("Group", with("name! description members:texts")),
        (
            "User",
            with("name! email groups:texts status:active|inactive roles:texts type:person|service"),
        ),
        (
            "Redaction",
            with(
                "name! detect:texts1 columns:texts1 json:texts1 csv:texts1 custom:objects mask mode:enforce|analyse \
            on_error:close|blank_field|pass except_groups:texts1 unattributed:scan|mask|deny allow:texts \
            allow_patterns:texts1 context:required|optional decode:number",
            ),
        ),
        (
            "GuardrailRule",
            object(
                "deny:texts1 review:texts1 deny_pattern message reviewers:texts1 approvals:number \
            wait_seconds:number groups:any|all",
            ),
        ),
        (
            "AccessRequest",
            object("connection! seconds:number reason break_glass:flag"),
        ),
        (
            "ReviewAnswer",
            object("status!:APPROVED|REJECTED|REVOKED|WITHDRAWN comment"),
        ),
        (
            "Review",
            object(
                "id! kind!:statement|access \
            status!:PENDING|APPROVED|REJECTED|EXPIRED|WITHDRAWN|EXECUTED|UNCONFIRMED|REVOKED|ENDED \
            user! user_id! connection! reason! statement!:text? statement_cut!:flag params!:nullable_texts guardrail!:text? message! \
            reviewers!:texts approvals!:number groups!:any|all break_glass!:flag session_id!:text? seconds!:number? created_at! expires_at! decided_at!:text? \
            access_until!:text? note! decisions!:objects",
            ),
        ),
        ("Guardrail", with("name! rules!:GuardrailRule unparsed:deny|allow")),
        ("Routes", with("name! description allow!:objects")),
        (
            "Connection",
            with(
                "name! type! pool via host port:number database tls:disable|prefer|require|verify-full tls_ca \
            username password groups:texts1 redact:texts1 guardrails:texts1 record:meta|statements|full \
            audit:ordered|strict listen:text? url hosts:texts1 routes:texts1 key_header credential_header \
            credential_scheme:none|raw|bearer|basic allow_from:texts1 trusted_proxies:texts1 proxy_protocol:flag \
            plaintext:loopback|allow|refuse keys:objects headers:objects request_bytes_max:number response_bytes_max:number \
            response_timeout_seconds:number requests_per_minute:number refuse_findings:texts1 websocket:flag version_header \
            http_version:auto|1.1|2 upstreams:texts1 health_path:text? health_interval_seconds:number health_timeout_seconds:number max_rows:number \
            max_bytes:number statement_timeout_seconds:number read_only:flag replication:deny|allow access_review:object?",
            ),
        ),
        (
            "TokenTerms",
            object("user name expires_at expires_in_seconds:number connections:texts1"),
        ),
        (
            "Token",
            object("id! token user! name! connections!:texts created_at! expires_at!:text? generation:number"),
        ),
        ("KeyTerms", object("expires_in_seconds:number uses_max:number note")),
        (
            "AgentTerms",
            object("pool! expires_in_seconds:number uses_max:number note"),
        ),
        (
            "Key",
            object("id! pool!:text? note! created_at! expires_at! uses_max!:number uses!:number"),
        ),
        (
            "NewKey",
            object(
                "id! pool!:text? token! url! ca_sha256! gateways!:texts credentials! note! created_at! expires_at! \
            uses_max!:number uses!:number",
            ),
        ),
        (
            "Agent",
            object(
                "id! name! pool! status!:connected|disconnected links!:number version! enrolled_at! \
            last_seen_at!:text? certificate_expires_at!",
            ),
        ),
        (
            "DataPlane",
            object(
                "id! name! connected!:flag version! backend! generation!:number generation_published!:number \
            enforced!:flag cores!:objects agents!:number audit_key! last_ack_at!:text? nack!:object? enrolled_at! last_seen_at!:text? \
            certificate_expires_at!",
            ),
        ),
        ("RedactionTest", object("text! rules:texts connection column")),
        ("RedactionTested", object("text! findings!:objects cost:object?")),
        ("PolicyFile", object("policy! dry_run:flag adopt:flag force:flag")),
        ("Republish", object("above:number")),
        ("Kill", object("reason")),
        ("Verify", object("session cursor")),
        ("Event", json!({"type": "object"})),
        (
            "Applied",
            object("applied!:flag generation!:number changes!:objects unchanged!:number warnings!:texts"),
        ),
        (
            "Policy",
            object("generation!:number issued_at! expires_at! snapshot_bytes!:number policy_key! ca_sha256! ca_pem!"),
        ),
        (
            "Session",
            object(
                "id! user! user_id! token_id! connection! type! database! client_addr! application_name! dataplane! \
            generation!:number status!:open|closed started_at! ended_at!:text? duration_micros!:number? end_cause!:text? \
            end_message!:text? unclean!:flag events_missing!:number statement_count!:number denied_count!:number \
            failed_count!:number rows!:number bytes_to_target!:number bytes_to_client!:number findings!:objects \
            statements:objects statements_truncated:flag access:objects",
            ),
        ),
        (
            "SessionEnvelope",
            object("data!:Session total!:number has_next_page!:flag"),
        ),
    ];
    schemas
        .into_iter()
        .map(|(name, schema)| (name.to_owned(), schema))
        .collect::<Map<_, _>>()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_to_a_schema() {
        let Json(document) = handle();
        let text = document.to_string();
        let names = schemas();
        for part in text.split("#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(names.get(name).is_some(), "{name}");
        }
        assert_eq!(
            document["paths"]
                .as_object()
                .unwrap()
                .values()
                .map(|p| p.as_object().unwrap().len())
                .sum::<usize>(),
            routes::all().len()
        );
    }
}
