//! The table of all routes: who may call each, what goes in and what comes out. The gate enforces it, `/api/openapi.json` shows
//! it, and a route that does not stand here is refused.

use std::sync::LazyLock;

use axum::http::Method;

/// Who may call a route at all; what is seen there may be narrowed further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Everybody, without a token.
    Open,
    /// Whoever has logged in; a browser that has not is sent to the login page.
    Page,
    /// Whoever has logged in or has a token.
    Member,
    /// Auditors and administrators.
    Auditor,
    /// Administrators.
    Admin,
}

impl Right {
    /// The word in the table and in the API's description.
    pub fn name(self) -> &'static str {
        match self {
            Right::Open => "open",
            Right::Page => "page",
            Right::Member => "member",
            Right::Auditor => "auditor",
            Right::Admin => "admin",
        }
    }

    fn from_name(name: &str) -> Option<Right> {
        [Right::Open, Right::Page, Right::Member, Right::Auditor, Right::Admin]
            .into_iter()
            .find(|right| right.name() == name)
    }
}

/// One route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// In small letters.
    pub method: &'static str,
    /// As the router has it.
    pub path: &'static str,
    pub right: Right,
    pub summary: &'static str,
    /// Status when all went well.
    pub status: u16,
    /// Schema of the request's body, or empty.
    pub request: &'static str,
    /// Schema of the answer, `page:NAME` for a page of it, `html`, `text`, or empty.
    pub answer: &'static str,
}

/// Every route of the control plane: method, path, who may call, status, request, answer, summary.
const TABLE: &str = "\
get    /                                        page    200 -             html               A page with connections and recent sessions
get    /liveness                                open    200 -             Any                Whether the program answers
get    /ready                                   open    200 -             Any                Whether it can do its work
get    /api/openapi.json                        open    200 -             Any                This document
get    /reviews                                 page    200 -             html               A page with reviews
get    /reviews/{id}                            page    200 -             html               A page with one review
post   /reviews/{id}                           member  303 Form          html               Answer a review by button
get    /api/reviews                             member  200 -             page:Review        List reviews
post   /api/reviews                             member  201 AccessRequest Review             Ask for access to a connection
get    /api/reviews/{id}                        member  200 -             Review             Show a review
put    /api/reviews/{id}                        member  200 ReviewAnswer  Review             Approve, reject, revoke or withdraw
get    /api/jits                                member  200 -             page:Review        List reviews of access
get    /api/jits/{id}                           member  200 -             Review             Show a review of access
put    /api/jits/{id}                           member  200 ReviewAnswer  Review             Approve, reject, revoke or withdraw access
get    /metrics                                auditor 200 -             text               Counts for Prometheus
get    /api/notifications                      auditor 200 -             page:Notification  List targets of notifications
post   /api/notifications                      admin   201 Notification  Notification       Create a target
get    /api/notifications/{name}               auditor 200 -             Notification       Show a target
put    /api/notifications/{name}               admin   200 Notification  Notification       Replace a target
delete /api/notifications/{name}               admin   204 -             -                  Delete a target
post   /api/notifications/{name}/test          admin   202 -             Delivery           Send an event that says nothing
post   /api/notifications/{name}/slack         open    200 -             Any                Take the press of a button, signed by Slack
get    /api/deliveries                         auditor 200 -             page:Delivery      List notifications on their way and over
get    /api/deliveries/{id}                    auditor 200 -             Delivery           Show a delivery
post   /api/deliveries/{id}/retry              admin   202 -             Delivery           Try a delivery again now
get    /api/userinfo                            member  200 -             UserInfo           Who the token belongs to
get    /api/api-keys                            member  200 -             page:ApiKey        List API keys
post   /api/api-keys                            member  201 ApiKeyTerms   ApiKey             Create an API key
delete /api/api-keys/{id}                       member  204 -             -                  Revoke an API key
get    /api/admin-log                           auditor 200 -             page:AdminLogEntry What was changed, by whom
get    /api/admin-log/verify                    auditor 200 -             AdminLogVerified   Whether the chain of the admin log is whole
get    /login                                   open    200 -             html               The page to log in on
post   /login                                   open    303 Form          html               Log in on the page
get    /api/login                               open    200 -             LoginUrl           Begin a login: a browser is sent on, a program told where to send one
get    /api/callback                            open    303 -             html               Where the identity provider sends browsers back to
post   /api/login/device                        open    200 -             DeviceLogin        Begin the login of a device (RFC 8628)
post   /api/login/token                         open    200 TokenForm     OAuthToken         Exchange a code or a device code for a login
get    /login/cli                               page    200 -             html               Ask whether a command line may log in
post   /login/cli                               page    303 Form          html               Allow it
get    /device                                  page    200 -             html               Ask for the code of a device
post   /device                                  page    200 Form          html               Allow or refuse a device
post   /api/login                               open    200 Login         LoggedIn           Log in with name and password
post   /api/logout                              member  204 -             -                  End the login session that is used
post   /logout                                  page    200 -             html               Log out in the browser
put    /api/users/{name}/password               member  204 Password      -                  Set a password
delete /api/users/{name}/password               admin   204 -             -                  Take a password away
get    /api/pools                               auditor 200 -             page:Pool          List pools
post   /api/pools                               admin   201 Pool          Pool               Create a pool
get    /api/pools/{name}                        auditor 200 -             Pool               Show a pool
put    /api/pools/{name}                        admin   200 Pool          Pool               Replace a pool
delete /api/pools/{name}                        admin   204 -             -                  Delete a pool
get    /api/pools/{name}/agents                 auditor 200 -             page:Agent         List the agents of a pool
get    /api/pools/{name}/keys                   auditor 200 -             page:Key           List enrol keys of a pool
post   /api/pools/{name}/keys                   admin   201 KeyTerms      NewKey             Create an enrol key
delete /api/pools/{name}/keys/{id}              admin   204 -             -                  Delete an enrol key
get    /api/connections                         member  200 -             page:Connection    List connections
post   /api/connections                         admin   201 Connection    Connection         Create a connection
get    /api/connections/{name}                  member  200 -             Connection         Show a connection
put    /api/connections/{name}                  admin   200 Connection    Connection         Replace a connection
delete /api/connections/{name}                  admin   204 -             -                  Delete a connection
get    /api/users                               auditor 200 -             page:User          List users
post   /api/users                               admin   201 User          User               Create a user
get    /api/users/groups                        auditor 200 -             Names              Names of all groups
get    /api/users/{name}                        auditor 200 -             User               Show a user
put    /api/users/{name}                        admin   200 User          User               Replace a user
delete /api/users/{name}                        admin   204 -             -                  Delete a user and its tokens
get    /api/groups                              auditor 200 -             page:Group         List declared groups
post   /api/groups                              admin   201 Group         Group              Declare a group
get    /api/groups/{name}                       auditor 200 -             Group              Show a group
put    /api/groups/{name}                       admin   200 Group         Group              Replace a group
delete /api/groups/{name}                       admin   204 -             -                  Delete a group's declaration
get    /api/redactions                          auditor 200 -             page:Redaction     List redaction rules
post   /api/redactions                          admin   201 Redaction     Redaction          Create a redaction rule
post   /api/redactions/test                     auditor 200 RedactionTest RedactionTested    What rules do to a text
get    /api/redactions/{name}                   auditor 200 -             Redaction          Show a redaction rule
put    /api/redactions/{name}                   admin   200 Redaction     Redaction          Replace a redaction rule
delete /api/redactions/{name}                   admin   204 -             -                  Delete a redaction rule
get    /api/guardrails                          auditor 200 -             page:Guardrail     List guardrails
post   /api/guardrails                          admin   201 Guardrail     Guardrail          Create a guardrail
get    /api/guardrails/{name}                   auditor 200 -             Guardrail          Show a guardrail
put    /api/guardrails/{name}                   admin   200 Guardrail     Guardrail          Replace a guardrail
delete /api/guardrails/{name}                   admin   204 -             -                  Delete a guardrail
get    /api/routes                              auditor 200 -             page:Routes        List sets of routes
post   /api/routes                              admin   201 Routes        Routes             Create a set of routes
get    /api/routes/{name}                       auditor 200 -             Routes             Show a set of routes
put    /api/routes/{name}                       admin   200 Routes        Routes             Replace a set of routes
delete /api/routes/{name}                       admin   204 -             -                  Delete a set of routes
get    /api/tokens                              member  200 -             page:Token         List access tokens
post   /api/tokens                              member  201 TokenTerms    Token              Create an access token
delete /api/tokens/{id}                         member  204 -             -                  Revoke an access token
get    /api/agents                              auditor 200 -             page:Agent         List agents
post   /api/agents                              admin   201 AgentTerms    NewKey             Create an enrol key for a pool
get    /api/agents/{id}                         auditor 200 -             Agent              Show an agent
delete /api/agents/{id}                         admin   204 -             -                  Revoke an agent
get    /api/dataplanes                          auditor 200 -             page:DataPlane     List data planes
get    /api/dataplanes/keys                     auditor 200 -             page:Key           List enrol keys of data planes
post   /api/dataplanes/keys                     admin   201 KeyTerms      NewKey             Create an enrol key for a data plane
delete /api/dataplanes/keys/{id}                admin   204 -             -                  Delete an enrol key
get    /api/dataplanes/{id}                     auditor 200 -             DataPlane          Show a data plane
delete /api/dataplanes/{id}                     admin   204 -             -                  Remove a data plane
post   /api/apply                               admin   200 PolicyFile    Applied            Make the policy what a file says
post   /api/diff                                admin   200 PolicyFile    Applied            What a file would change
get    /api/export                              auditor 200 -             text               The policy as a file
get    /api/policy                              auditor 200 -             Policy             The published generation
post   /api/policy/republish                    admin   200 Republish     Any                Publish the policy anew, above a generation
get    /api/sessions                            member  200 -             page:Session       List sessions
get    /api/events                              member  200 -             page:Event         Search the events of all sessions
post   /api/audit/verify                        auditor 200 Verify        Any                Whether stored sessions are as they were taken in
get    /api/sessions/{id}                       member  200 -             Session            Show a session with its statements
get    /api/sessions/{id}/events                member  200 -             page:Any           Events of a session
get    /api/sessions/{id}/recording             member  200 -             page:Any           Recording of a session
post   /api/sessions/{id}/kill                  member  200 Kill          Session            End a session now
get    /api/plugins/audit/sessions              member  200 -             SessionEnvelope    List sessions (seed's envelope)
get    /api/plugins/audit/sessions/{id}         member  200 -             Session            Show a session
get    /api/plugins/audit/sessions/{id}/status  member  200 -             Any                Whether a session is open
";

static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(|| TABLE.lines().filter_map(read).collect());

/// All routes.
pub fn all() -> &'static [Route] {
    &ROUTES
}

/// The route that a request is for: `path` as it was asked for, `matched` as the router has it.
pub fn of(method: &Method, path: &str, matched: &str) -> Option<&'static Route> {
    let wanted = |route: &&Route, place: &str| route.path == place && has_method(route, method);
    let exact = ROUTES.iter().find(|route| wanted(route, path));
    exact.or_else(|| ROUTES.iter().find(|route| wanted(route, matched)))
}

/// The methods of a path, for `Allow`.
pub fn methods(path: &str, matched: &str) -> String {
    // A path that stands in the table as it is has the methods that stand there, whatever pattern it fits besides.
    let place = match ROUTES.iter().any(|route| route.path == path) {
        true => path,
        false => matched,
    };
    let here = ROUTES.iter().filter(|route| route.path == place);
    here.map(|route| route.method.to_uppercase())
        .collect::<Vec<_>>()
        .join(", ")
}

fn has_method(route: &Route, method: &Method) -> bool {
    route.method.eq_ignore_ascii_case(method.as_str()) || (route.method == "get" && *method == Method::HEAD)
}

fn read(line: &'static str) -> Option<Route> {
    let mut rest = line;
    let mut word = || {
        let (word, left) = rest.split_once(' ')?;
        rest = left.trim_start();
        Some(if word == "-" { "" } else { word })
    };
    let (method, path, right) = (word()?, word()?, Right::from_name(word()?)?);
    let (status, request, answer) = (word()?.parse().ok()?, word()?, word()?);
    Some(Route {
        method,
        path,
        right,
        summary: rest,
        status,
        request,
        answer,
    })
}

impl Route {
    /// What an API key must be for to call it: a resource and `read` or `write`; none: no scope is needed or helps.
    pub fn scope(&self) -> Option<(&'static str, &'static str)> {
        match (self.method, self.path) {
            ("get", "/metrics") => return Some(("metrics", "read")),
            // The page's buttons do what the API's route does.
            ("post", "/reviews/{id}") => return Some(("reviews", "write")),
            _ => {}
        }
        let mut parts = self.path.strip_prefix("/api/")?.split('/');
        let resource = match parts.next()? {
            "apply" | "diff" | "export" | "policy" => "policy",
            "plugins" | "events" | "audit" => "sessions",
            "jits" => "reviews",
            "userinfo" | "openapi.json" | "login" | "logout" | "callback" => return None,
            other => other,
        };
        let reads =
            self.method == "get" || matches!(self.path, "/api/diff" | "/api/redactions/test" | "/api/audit/verify");
        Some((resource, if reads { "read" } else { "write" }))
    }
}

/// Resources that scopes can name.
pub fn resources() -> Vec<&'static str> {
    let mut names: Vec<_> = ROUTES.iter().filter_map(|route| Some(route.scope()?.0)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_a_route_and_none_is_there_twice() {
        assert_eq!(TABLE.lines().count(), all().len());
        let mut keys: Vec<_> = all().iter().map(|route| (route.path, route.method)).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), all().len());
    }

    #[test]
    fn a_request_finds_its_route() {
        assert_eq!(
            of(&Method::POST, "/api/redactions/test", "/api/redactions/{name}")
                .unwrap()
                .right,
            Right::Auditor
        );
        assert!(of(&Method::POST, "/api/redactions/x", "/api/redactions/{name}").is_none());
        assert_eq!(
            of(&Method::HEAD, "/api/pools/x", "/api/pools/{name}").unwrap().summary,
            "Show a pool"
        );
    }

    #[test]
    fn scopes_name_a_resource_and_what_is_done_with_it() {
        let scope = |method: &str, path: &str| {
            all()
                .iter()
                .find(|route| route.method == method && route.path == path)
                .unwrap()
                .scope()
        };
        assert_eq!(scope("put", "/api/jits/{id}"), Some(("reviews", "write")));
        assert_eq!(scope("post", "/api/diff"), Some(("policy", "read")));
        assert_eq!(scope("get", "/api/userinfo"), None);
        assert!(resources().contains(&"connections"));
    }
}
