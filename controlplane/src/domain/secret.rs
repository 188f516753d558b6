//! Secret references: where the agent finds a credential, and how a literal one is hidden from readers.

/// What readers see in place of a literal secret.
pub const LITERAL_MASKED: &str = "literal:***";

const LITERAL_PREFIX: &str = "literal:";
/// Providers that agents resolve today.
const PROVIDERS: [&str; 3] = ["env", "file", "literal"];
/// Providers with a reserved name that no agent resolves yet.
const PROVIDERS_RESERVED: [&str; 3] = ["vault", "aws-sm", "exec"];

/// Checks the form of a reference; the text says what is wrong. The value itself is never repeated: it may be a secret.
pub fn check(reference: &str) -> Result<(), String> {
    let Some((provider, rest)) = reference.split_once(':') else {
        return Err(format!("must be a secret reference ({})", listed()));
    };
    if PROVIDERS_RESERVED.contains(&provider) {
        return Err(format!(
            "provider {provider}: is not built yet; use one of {}",
            listed()
        ));
    }
    if !PROVIDERS.contains(&provider) {
        return Err(format!("must be a secret reference ({})", listed()));
    }
    if rest.is_empty() && provider != "literal" {
        return Err(format!("{provider}: names nothing"));
    }
    if rest.contains('\0') {
        return Err("must not contain NUL".to_owned());
    }
    Ok(())
}

/// What readers may see of a reference.
pub fn masked(reference: &str) -> &str {
    if reference.starts_with(LITERAL_PREFIX) {
        LITERAL_MASKED
    } else {
        reference
    }
}

fn listed() -> String {
    PROVIDERS.map(|p| format!("{p}:…")).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_checked_and_never_repeated() {
        assert_eq!(check("env:PASSWORD"), Ok(()));
        assert_eq!(check("file:/run/secrets/x"), Ok(()));
        assert_eq!(check("literal:"), Ok(()));
        assert!(check("env:").is_err());
        assert!(check("vault:kv/x").unwrap_err().contains("not built yet"));
        let error = check("hunter2").unwrap_err();
        assert!(!error.contains("hunter2"));
        assert!(!check("hunter2:x").unwrap_err().contains("hunter2"));
    }

    #[test]
    fn literals_are_masked_and_references_are_not() {
        assert_eq!(masked("literal:hunter2"), LITERAL_MASKED);
        assert_eq!(masked("env:PASSWORD"), "env:PASSWORD");
    }
}
