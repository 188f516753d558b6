//! The table `oidc` of the configuration, and the variables of hoop for it.

use serde_json::{Map, Value};

use crate::domain::read::Fields;
use crate::identity::oidc::{OidcConfig, is_local};
use crate::limits::RECHECK_SECONDS_DEFAULT;

/// What is always asked for.
const SCOPES: [&str; 3] = ["openid", "email", "profile"];
/// Longest time between two questions to the provider, in seconds: a day.
const RECHECK_SECONDS_MAX: u64 = 24 * 3600;

/// Puts one of hoop's variables at its place unless the file or a variable of ours has said it. False: it is none of them.
pub fn variable(name: &str, value: &str, table: &mut Map<String, Value>) -> bool {
    let words = |text: &str| {
        text.split([' ', ','])
            .filter(|word| !word.is_empty())
            .map(Value::from)
            .collect()
    };
    let (key, value) = match name {
        "IDP_ISSUER" => ("issuer", Value::from(value)),
        "IDP_CLIENT_ID" => ("client_id", Value::from(value)),
        "IDP_CLIENT_SECRET" => ("client_secret", Value::from(value)),
        "IDP_AUDIENCE" => ("audience", Value::from(value)),
        "IDP_CUSTOM_SCOPES" => ("scopes", words(value)),
        "IDP_GROUPS_CLAIM" => ("groups_claim", Value::from(value)),
        _ => return false,
    };
    let is_empty = matches!(&value, Value::String(text) if text.is_empty());
    let nested = table.entry("oidc").or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(nested) = nested
        && !is_empty
    {
        nested.entry(key).or_insert(value);
    }
    true
}

/// Reads the table; without an issuer there is no provider.
pub fn read(fields: &mut Fields<'_>) -> Option<OidcConfig> {
    let nested = match fields.value("oidc")? {
        Value::Object(nested) if nested.is_empty() => return None,
        Value::Object(nested) => nested,
        _ => {
            fields.wrong("oidc", "must be a table");
            return None;
        }
    };
    let mut inner = Fields::new("oidc", nested, fields.mistakes());
    let issuer = inner.text_required("issuer");
    if issuer
        .as_ref()
        .is_some_and(|issuer| !issuer.starts_with("https://") && !is_local(issuer))
    {
        inner.wrong("issuer", "must begin with https:// (http:// only on this machine)");
    }
    let client_id = inner.text_required("client_id");
    let mut scopes: Vec<String> = SCOPES.map(str::to_owned).to_vec();
    for scope in inner.texts("scopes") {
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    let config = OidcConfig {
        issuer: issuer.unwrap_or_default(),
        client_id: client_id.unwrap_or_default(),
        client_secret: inner.text("client_secret").unwrap_or_default(),
        audience: inner.text("audience"),
        scopes,
        groups_claim: inner.text("groups_claim").unwrap_or_else(|| "groups".to_owned()),
        trust_email: inner.flag("trust_email"),
        recheck_seconds: inner
            .number("recheck_seconds", 1, RECHECK_SECONDS_MAX)
            .unwrap_or(RECHECK_SECONDS_DEFAULT),
    };
    inner.finish();
    Some(config)
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn resolved(pairs: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let pairs = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let config = Config::resolve("data_dir = \"/x\"", pairs, None);
        config.map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn hoops_variables_are_understood_and_ours_win() {
        let config = resolved(&[
            ("IDP_ISSUER", "https://id.example"),
            ("IDP_CLIENT_ID", "theirs"),
            ("IDP_CLIENT_SECRET", "s"),
            ("IDP_AUDIENCE", ""),
            ("IDP_CUSTOM_SCOPES", "groups offline_access"),
            ("SLUICE_CONTROLPLANE_OIDC_CLIENT_ID", "ours"),
            ("SLUICE_CONTROLPLANE_OIDC_TRUST_EMAIL", "true"),
        ]);
        let oidc = config.unwrap().oidc.unwrap();
        assert_eq!(
            (oidc.issuer.as_str(), oidc.client_id.as_str()),
            ("https://id.example", "ours")
        );
        assert_eq!(oidc.scopes, ["openid", "email", "profile", "groups", "offline_access"]);
        assert_eq!(
            (oidc.audience, oidc.groups_claim.as_str(), oidc.trust_email),
            (None, "groups", true)
        );
        assert_eq!(resolved(&[("IDP_ISSUER", "")]).unwrap().oidc, None);
    }

    #[test]
    fn half_a_provider_is_a_mistake() {
        let mistakes = resolved(&[("IDP_ISSUER", "http://id.example")]).unwrap_err();
        assert!(
            mistakes.iter().any(|m| m.starts_with("oidc: client_id: is missing")),
            "{mistakes:?}"
        );
        assert!(
            mistakes
                .iter()
                .any(|m| m.starts_with("oidc: issuer: must begin with https")),
            "{mistakes:?}"
        );
    }
}
