-- Logins under way: at the identity provider, of the command line, of devices. Each is used once.
CREATE TABLE login_flow (
    sha256         BYTEA PRIMARY KEY,
    kind           TEXT NOT NULL,         -- oidc | code | device
    user_code      TEXT UNIQUE,
    expires_micros BIGINT NOT NULL,
    body           TEXT NOT NULL          -- JSON
);

-- Which user a person of an identity provider is.
CREATE TABLE identity_link (
    issuer  TEXT NOT NULL,
    subject TEXT NOT NULL,
    user_id TEXT NOT NULL,
    PRIMARY KEY (issuer, subject)
);
