//! Settings in a client's start-up packet are judged like the `SET` that they stand for.

use std::sync::Arc;

use codecs::wire::sql::{Effects, setting_effects};

use crate::judge::guard;
use crate::policy::ConnectionPolicy;
use crate::verdict::{Refusal, Verdict};

impl ConnectionPolicy {
    /// Judges start-up parameters, and adds those that the connection asks of the target.
    ///
    /// # Errors
    /// A setting that a guardrail denies, or that a read-only connection does not allow.
    pub fn take_startup(&self, params: &mut Vec<(String, String)>) -> Result<(), Arc<Refusal>> {
        let mut effects = Effects::NONE;
        for (name, value) in params.iter() {
            effects |= setting_effects(name);
            if name.eq_ignore_ascii_case("options") {
                effects |= options(value);
            }
        }
        if let Verdict::Deny(refusal) = guard::judge(&self.guard, b"", std::iter::once(effects)) {
            return Err(refusal);
        }
        if self.read_only {
            // The target judges what functions write.
            params.push(("default_transaction_read_only".to_owned(), "on".to_owned()));
        }
        Ok(())
    }
}

/// The switches of a server in `options`: words between white space, `\` before a character that is meant as it is
/// (PostgreSQL documentation, "libpq", `options`; `pg_split_opts`).
fn options(text: &str) -> Effects {
    let mut words: Vec<String> = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        match c {
            '\\' if !escaped => {
                escaped = true;
                continue;
            }
            c if c.is_ascii_whitespace() && !escaped => words.push(String::new()),
            c => words.iter_mut().next_back().into_iter().for_each(|word| word.push(c)),
        }
        escaped = false;
    }
    // `-c name=value`, `-cname=value`, `--name=value`; a dash in a name is an underscore.
    let mut effects = Effects::NONE;
    for word in &words {
        let setting = word.trim_start_matches("-c").trim_start_matches('-');
        let name = setting.split('=').next().unwrap_or_default().replace('-', "_");
        effects |= setting_effects(&name);
    }
    effects
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_switch_is_seen() {
        for text in [
            "-c role=postgres",
            "-crole=postgres",
            "--role=postgres",
            "-c  ROLE=postgres",
            "-c search_path=x -c r\\ole=postgres",
            "--session-authorization=postgres",
        ] {
            assert!(options(text).contains(Effects::SET_ROLE), "{text}");
        }
        assert!(options("-c default-transaction-read-only=off").contains(Effects::SET_READ_WRITE));
        assert!(options("-c search_path=role -c application_name=x").is_empty());
    }
}
