//! The command line, as people type it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Databases, shells and services behind a gateway: who may reach what, and what they did.
#[derive(Parser)]
#[command(name = "sluice", version, propagate_version = true)]
#[command(after_help = "Exit codes: 0 done, 1 refused or failed, 2 usage, 3 not reachable, 4 not allowed.")]
pub struct Arguments {
    /// Address of the control plane.
    #[arg(long, global = true, env = "SLUICE_URL", value_name = "URL")]
    pub url: Option<String>,
    /// Token to show it; better set by SLUICE_TOKEN or `sluice login`, which do not appear in the list of processes.
    #[arg(
        long,
        global = true,
        env = "SLUICE_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true
    )]
    pub token: Option<String>,
    /// Print JSON.
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
#[allow(
    clippy::large_enum_variant,
    reason = "read once, at the start; boxes would be in the way of every reader"
)]
pub enum Command {
    /// Run control plane, data plane and an agent on this machine, without questions.
    Up(Up),
    /// Run one program in the foreground.
    Start(Start),
    /// Log in, and save the control plane's address and the login. On a terminal by a browser, else with a token from
    /// standard input.
    Login {
        #[command(flatten)]
        how: LoginHow,
        /// Where PostgreSQL clients reach the data plane (`host:port`), for `sluice connect`.
        #[arg(long, value_name = "HOST:PORT")]
        postgres: Option<String>,
    },
    /// End the saved login.
    Logout,
    /// Who the token belongs to.
    Whoami,
    /// Connections: the resources that users reach.
    #[command(subcommand, visible_alias = "connection")]
    Connections(Connections),
    /// Print what a stock client needs to reach a connection, with a short-lived password.
    Connect(Connect),
    /// Sessions: who used what, and how.
    #[command(subcommand, visible_alias = "session")]
    Sessions(Sessions),
    /// The record: whether it is as it was taken in.
    #[command(subcommand)]
    Audit(Audit),
    /// Reviews: statements and access that wait for a person's decision.
    #[command(subcommand, visible_alias = "review")]
    Reviews(Reviews),
    /// Notifications: where news of reviews goes, and how it got there.
    #[command(subcommand, visible_alias = "notification")]
    Notifications(Notifications),
    /// Access tokens: the passwords of stock clients.
    #[command(subcommand, visible_alias = "tokens")]
    Token(Tokens),
    /// API keys: what programs show the control plane.
    #[command(subcommand, visible_alias = "api-key")]
    ApiKeys(ApiKeys),
    /// What was done in the control plane, by whom.
    #[command(subcommand)]
    AdminLog(AdminLog),
    /// Users.
    #[command(subcommand, visible_alias = "user")]
    Users(Users),
    /// Groups.
    #[command(subcommand, visible_alias = "group")]
    Groups(Groups),
    /// Pools of agents, and the keys that let agents join.
    #[command(subcommand, visible_alias = "pool")]
    Pools(Pools),
    /// Agents: enrolled, linked, revoked.
    #[command(subcommand, visible_alias = "agent")]
    Agents(Agents),
    /// Data planes: which generation each enforces, and what it refused.
    #[command(subcommand, visible_alias = "dataplane")]
    Dataplanes(Dataplanes),
    /// The published policy.
    #[command(subcommand)]
    Policy(Policy),
    /// Make the control plane's policy what a file says.
    Apply {
        #[command(flatten)]
        file: PolicyFile,
        /// Show the plan and change nothing.
        #[arg(long)]
        dry_run: bool,
        /// Take over objects of the same name that were made by other means.
        #[arg(long)]
        adopt: bool,
        /// Delete pools that have agents too, and revoke those agents.
        #[arg(long)]
        force: bool,
    },
    /// Show what `apply` would change.
    Diff {
        #[command(flatten)]
        file: PolicyFile,
    },
    /// Print the policy as a file for `apply`; literal secrets are left out.
    Export,
    /// Redaction rules.
    #[command(subcommand)]
    Redact(Redact),
    /// Check this host: kernel, io_uring, limits, ports; what is wrong and what mends it.
    Doctor {
        /// Directory whose program files are used; default: beside this program, then PATH.
        #[arg(long, value_name = "DIR")]
        programs: Option<PathBuf>,
    },
}

#[derive(Args)]
#[group(multiple = false)]
pub struct LoginHow {
    /// With this name (or e-mail address) and its password, read from standard input.
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// In a browser on this machine.
    #[arg(long)]
    pub browser: bool,
    /// With a code that is typed into a browser anywhere.
    #[arg(long)]
    pub device: bool,
    /// With an access token, an API key or the administrator's token, read from standard input.
    #[arg(long)]
    pub paste: bool,
}

#[derive(Args)]
pub struct PolicyFile {
    /// Policy file (TOML); `-` is standard input.
    #[arg(short, long, value_name = "FILE")]
    pub file: PathBuf,
}

#[derive(Args)]
pub struct Up {
    /// Where everything is kept: keys, database, recordings.
    #[arg(long, value_name = "DIR", env = "SLUICE_DATA_DIR", default_value = "sluice-data")]
    pub data_dir: PathBuf,
    /// Policy file, applied before `ready`.
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Settings of the programs: tables `[controlplane]`, `[dataplane]`, `[agent]` with the keys of each.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Also run a private PostgreSQL with made-up personal data, with users and rules to try.
    #[arg(long, conflicts_with = "policy")]
    pub demo: bool,
}

#[derive(Args)]
pub struct Start {
    /// Which program.
    pub program: Program,
    /// Its configuration file.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Options handed on to it.
    #[arg(last = true)]
    pub rest: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Program {
    Controlplane,
    Dataplane,
    Agent,
}

#[derive(Subcommand)]
pub enum Connections {
    /// All connections.
    List,
    /// One connection.
    Show { name: String },
    /// Make one.
    Create {
        name: String,
        #[command(flatten)]
        fields: ConnectionFields,
    },
    /// Change the given fields of one; everything else stays.
    Update {
        name: String,
        #[command(flatten)]
        fields: ConnectionFields,
        #[command(flatten)]
        force: Force,
    },
    /// Remove one.
    Delete {
        name: String,
        #[command(flatten)]
        force: Force,
    },
}

#[derive(Args)]
pub struct Force {
    /// Also when the object is managed by a policy file, whose next `apply` would undo this.
    #[arg(long)]
    pub force: bool,
}

#[derive(Args)]
pub struct ConnectionFields {
    /// Protocol.
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
    /// Pool whose agents reach the target.
    #[arg(long, conflicts_with = "direct")]
    pub pool: Option<String>,
    /// The data plane reaches the target itself.
    #[arg(long)]
    pub direct: bool,
    #[arg(long)]
    pub host: Option<String>,
    #[arg(long)]
    pub port: Option<u16>,
    #[arg(long)]
    pub database: Option<String>,
    /// disable, prefer, require or verify-full.
    #[arg(long)]
    pub tls: Option<String>,
    /// Secret reference: env:NAME, file:/path or literal:VALUE.
    #[arg(long, value_name = "REFERENCE")]
    pub username: Option<String>,
    /// Secret reference.
    #[arg(long, value_name = "REFERENCE")]
    pub password: Option<String>,
    /// Group that may connect; may be repeated.
    #[arg(long = "group", value_name = "GROUP")]
    pub groups: Vec<String>,
    /// Redaction rule; may be repeated.
    #[arg(long = "redact", value_name = "RULE")]
    pub redact: Vec<String>,
    /// Guardrail; may be repeated.
    #[arg(long = "guardrail", value_name = "GUARDRAIL")]
    pub guardrails: Vec<String>,
    /// statements, full or meta.
    #[arg(long)]
    pub record: Option<String>,
    /// ordered or strict.
    #[arg(long)]
    pub audit: Option<String>,
    /// A port of its own on the data plane.
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// Most rows of one result.
    #[arg(long, value_name = "ROWS")]
    pub max_rows: Option<u64>,
    /// Most bytes of one result.
    #[arg(long, value_name = "BYTES")]
    pub max_bytes: Option<u64>,
    /// How long a statement may run.
    #[arg(long, value_name = "SECONDS")]
    pub statement_timeout_seconds: Option<u64>,
    /// Nothing may be written: true or false.
    #[arg(long, value_name = "BOOL")]
    pub read_only: Option<bool>,
    /// deny or allow.
    #[arg(long)]
    pub replication: Option<String>,
}

#[derive(Args)]
pub struct Connect {
    /// Name of the connection.
    pub name: String,
    /// Database on the target, where it is not the connection's own.
    #[arg(long)]
    pub database: Option<String>,
    /// Whom to connect as; needed with an admin's token.
    #[arg(long)]
    pub user: Option<String>,
    /// Lifetime of the password, such as 30m or 8h.
    #[arg(long, default_value = "1h", value_name = "TIME")]
    pub expires_in: String,
    /// Where the data plane takes clients (`host:port`).
    #[arg(long, value_name = "HOST:PORT")]
    pub address: Option<String>,
    /// Start this client instead of printing, such as `psql`.
    #[arg(long, value_name = "PROGRAM")]
    pub exec: Option<String>,
    /// Listen on this port of 127.0.0.1 (0: a free one) until told to end, and then revoke the password.
    #[arg(long, value_name = "PORT", conflicts_with = "exec")]
    pub listen: Option<u16>,
    /// Options for the client.
    #[arg(last = true)]
    pub rest: Vec<String>,
}

#[derive(Subcommand)]
pub enum Audit {
    /// Check that stored sessions, or the spool of a data plane, are as they were written; names the first broken link.
    Verify {
        /// Only this session.
        #[arg(long, value_name = "ID", conflicts_with = "spool")]
        session: Option<String>,
        /// Segments of a data plane instead: its `DATA_DIR/spool`, or a copy of it.
        #[arg(long, value_name = "DIR")]
        spool: Option<PathBuf>,
        /// Public key of the data plane's seals in hexadecimal; default: the control plane is asked.
        #[arg(long, value_name = "HEX", requires = "spool")]
        key: Option<String>,
    },
}

/// What statements are searched by.
#[derive(Args)]
pub struct Statements {
    /// Words that must all be in a statement; one that ends in `*` is a beginning.
    #[arg(long, value_name = "WORDS")]
    pub text: Option<String>,
    /// ok, error, denied, unfinished or skipped.
    #[arg(long)]
    pub outcome: Option<String>,
    /// A detector that found something in the result.
    #[arg(long)]
    pub detector: Option<String>,
    /// The first word of a statement, such as select.
    #[arg(long)]
    pub verb: Option<String>,
}

#[derive(Subcommand)]
pub enum Sessions {
    /// Newest first.
    List {
        #[arg(long)]
        user: Option<String>,
        #[arg(long)]
        connection: Option<String>,
        /// open or closed.
        #[arg(long)]
        status: Option<String>,
        /// RFC 3339 time.
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        /// RFC 3339 time.
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        /// Only those with such a statement.
        #[command(flatten)]
        statements: Statements,
        /// Most sessions to show.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Statements of all sessions, newest first.
    Search {
        #[arg(long)]
        user: Option<String>,
        #[arg(long)]
        connection: Option<String>,
        /// RFC 3339 time.
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        /// RFC 3339 time.
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        #[command(flatten)]
        statements: Statements,
        /// Most events to show.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// One session with its statements.
    Show { id: String },
    /// What the user saw, as recorded after masking (connections with `record = "full"`).
    Replay {
        id: String,
        /// 1 is as it happened, 10 is ten times as fast, 0 is all at once.
        #[arg(long, default_value_t = 0.0)]
        speed: f64,
    },
    /// End a session now.
    Kill {
        id: String,
        /// Why; the user and the record are told.
        #[arg(long, default_value = "")]
        reason: String,
    },
}

#[derive(Subcommand)]
pub enum Reviews {
    /// Newest first; your own requests and those that you may decide.
    List {
        /// pending, approved, rejected, expired, withdrawn, executed, unconfirmed, revoked or ended.
        #[arg(long)]
        status: Option<String>,
        /// statement or access.
        #[arg(long)]
        kind: Option<String>,
        #[arg(long)]
        connection: Option<String>,
        /// Most reviews to show.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// One review with all that was said.
    Show { id: String },
    /// Ask for access to a connection that needs a review.
    Request {
        connection: String,
        /// For how long, such as 30m or 8h; default: the longest that the connection allows.
        #[arg(long = "for", value_name = "TIME")]
        duration: Option<String>,
        /// Why.
        #[arg(long, default_value = "")]
        reason: String,
        /// Take it now, in an emergency, where the connection lets your group; a reason is needed and an alarm is sent.
        #[arg(long)]
        break_glass: bool,
    },
    /// Let the statement run, or grant the access.
    Approve {
        id: String,
        #[arg(long, default_value = "")]
        comment: String,
    },
    /// Refuse it; the requester is told the comment.
    Reject {
        id: String,
        #[arg(long, default_value = "")]
        comment: String,
    },
    /// Take granted access away; live sessions end now.
    Revoke {
        id: String,
        #[arg(long, default_value = "")]
        comment: String,
    },
    /// Take back your own request for access.
    Withdraw { id: String },
}

#[derive(Subcommand)]
pub enum Notifications {
    /// Targets, without their secrets. They are made in the policy file or by API.
    List,
    /// One target.
    Show { name: String },
    /// Remove a target; what waits for it is given up.
    Delete {
        name: String,
        #[command(flatten)]
        force: Force,
    },
    /// Send it an event that says nothing.
    Test { name: String },
    /// What is on its way, was delivered or was given up; newest first.
    Deliveries {
        /// waiting, delivered or dead.
        #[arg(long)]
        state: Option<String>,
        #[arg(long)]
        target: Option<String>,
        /// Id of the review that it is about.
        #[arg(long)]
        subject: Option<String>,
        /// Most deliveries to show.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// One delivery with what is sent.
    Delivery { id: String },
    /// Try a delivery again now, also one that was given up.
    Retry { id: String },
}

#[derive(Subcommand)]
pub enum Agents {
    List,
    Show {
        id: String,
    },
    /// End its links and sessions now, and let it in no more; to come back it must enrol anew.
    #[command(visible_alias = "delete")]
    Revoke {
        id: String,
    },
}

#[derive(Subcommand)]
pub enum Dataplanes {
    List,
    Show {
        id: String,
    },
    /// Serve it no more.
    #[command(visible_alias = "delete")]
    Remove {
        id: String,
    },
}

#[derive(Subcommand)]
pub enum Policy {
    /// Which generation is published, until when it holds, and the installation's keys.
    Show,
    /// Publish the policy anew as a higher generation.
    Republish {
        /// Above this generation too, which a data plane has from before the control plane was restored from a backup.
        #[arg(long, value_name = "GENERATION", default_value_t = 0)]
        above: u64,
    },
}

#[derive(Subcommand)]
pub enum Tokens {
    /// Make a token; it is shown once.
    Create {
        /// Whose token; your own without it.
        #[arg(long)]
        user: Option<String>,
        /// To recognise it by.
        #[arg(long)]
        name: Option<String>,
        /// Lifetime, such as 30m, 8h or 90d.
        #[arg(long, value_name = "TIME", conflicts_with = "expires_at")]
        expires_in: Option<String>,
        /// RFC 3339 time.
        #[arg(long, value_name = "TIME")]
        expires_at: Option<String>,
        /// Only for this connection; may be repeated.
        #[arg(long = "connection", value_name = "NAME")]
        connections: Vec<String>,
    },
    /// Tokens, without their secrets.
    List {
        #[arg(long)]
        user: Option<String>,
    },
    /// End a token's validity now.
    #[command(visible_alias = "delete")]
    Revoke { id: String },
}

#[derive(Subcommand)]
pub enum ApiKeys {
    /// Make a key; it is shown once.
    Create {
        /// Whose key; your own without it.
        #[arg(long)]
        user: Option<String>,
        /// To recognise it by.
        #[arg(long)]
        name: Option<String>,
        /// What it may do: RESOURCE:read, RESOURCE:write, RESOURCE:* or *; may be repeated.
        #[arg(long = "scope", value_name = "SCOPE", required = true)]
        scopes: Vec<String>,
        /// Lifetime, such as 30m, 8h or 90d.
        #[arg(long, value_name = "TIME")]
        expires_in: Option<String>,
    },
    /// Keys, without their secrets.
    List {
        #[arg(long)]
        user: Option<String>,
    },
    /// End a key's validity now.
    #[command(visible_alias = "delete")]
    Revoke { id: String },
}

#[derive(Subcommand)]
pub enum AdminLog {
    /// Newest first.
    List {
        #[arg(long)]
        actor: Option<String>,
        /// begun, ended or event.
        #[arg(long)]
        phase: Option<String>,
        /// RFC 3339 time.
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        /// RFC 3339 time.
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        /// Most lines to show.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Walk the chain of hashes; exit code 1 and the first wrong line where it is broken.
    Verify,
}

#[derive(Subcommand)]
pub enum Users {
    List,
    Show {
        name: String,
    },
    Create {
        name: String,
        #[command(flatten)]
        fields: UserFields,
    },
    /// Change the given fields; everything else stays.
    Update {
        name: String,
        #[command(flatten)]
        fields: UserFields,
        #[command(flatten)]
        force: Force,
    },
    Delete {
        name: String,
        #[command(flatten)]
        force: Force,
    },
    /// Set a user's password, read from standard input.
    Password {
        name: String,
        /// Take it away instead.
        #[arg(long)]
        remove: bool,
    },
}

#[derive(Args)]
pub struct UserFields {
    #[arg(long)]
    pub email: Option<String>,
    /// Group of the user; may be repeated.
    #[arg(long = "group", value_name = "GROUP")]
    pub groups: Vec<String>,
    /// active or inactive.
    #[arg(long)]
    pub status: Option<String>,
    /// Role of the user: admin, auditor or approver; may be repeated.
    #[arg(long = "role", value_name = "ROLE")]
    pub roles: Vec<String>,
    /// person or service.
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
}

#[derive(Subcommand)]
pub enum Groups {
    List,
    Show {
        name: String,
    },
    Create {
        name: String,
        #[arg(long)]
        description: Option<String>,
    },
    Update {
        name: String,
        #[arg(long)]
        description: Option<String>,
        #[command(flatten)]
        force: Force,
    },
    Delete {
        name: String,
        #[command(flatten)]
        force: Force,
    },
}

#[derive(Subcommand)]
pub enum Pools {
    /// Make a pool and write the files that its first agent needs.
    Create {
        name: String,
        #[arg(long)]
        description: Option<String>,
        /// Directory for agent.toml and creds.toml (0600, one use).
        #[arg(short = 'o', long = "output", value_name = "DIR")]
        output: Option<PathBuf>,
    },
    List,
    /// Agents of a pool.
    #[command(visible_alias = "list-gateways")]
    ListAgents {
        name: String,
    },
    /// One pool.
    #[command(visible_alias = "show")]
    Read {
        name: String,
    },
    Update {
        name: String,
        #[arg(long)]
        description: Option<String>,
        #[command(flatten)]
        force: Force,
    },
    Delete {
        name: String,
        #[command(flatten)]
        force: Force,
    },
    /// One-time keys that let agents join.
    #[command(subcommand)]
    Keys(Keys),
}

#[derive(Subcommand)]
pub enum Keys {
    /// Print a credentials file for `cred_file`; it is shown once.
    Create {
        pool: String,
        /// How long it may be used, such as 24h.
        #[arg(long, value_name = "TIME")]
        expires_in: Option<String>,
        /// How many agents it lets in.
        #[arg(long)]
        uses: Option<u32>,
        #[arg(long)]
        note: Option<String>,
        /// Write it here (0600) instead of printing it.
        #[arg(short = 'o', long = "output", value_name = "FILE")]
        output: Option<PathBuf>,
    },
    List {
        pool: String,
    },
    Delete {
        pool: String,
        id: String,
    },
}

#[derive(Subcommand)]
pub enum Redact {
    /// Show what redaction does to a text: what is found, how sure that is, what takes its place, and what the rules cost.
    Test {
        /// File with the text; without it, standard input.
        file: Option<std::path::PathBuf>,
        /// Rule to use; may be repeated. Without it: the default detectors with labels.
        #[arg(long = "rule", value_name = "NAME")]
        rules: Vec<String>,
        /// Use the rules of this connection.
        #[arg(long, value_name = "NAME", conflicts_with = "rules")]
        connection: Option<String>,
        /// Take the text for a value of a column of this name, whose words may confirm weak forms.
        #[arg(long, value_name = "NAME")]
        column: Option<String>,
    },
}

#[cfg(test)]
mod tests {
    //! The parser's own check of the definitions above.

    use clap::CommandFactory;

    #[test]
    fn the_definitions_are_consistent() {
        super::Arguments::command().debug_assert();
    }
}
