//! Tokens that say who issued them: GitHub, GitLab, Slack, Stripe, Google, npm. A literal prefix, then a run of known length.

use crate::Detector::{self, GithubToken, GitlabToken, GoogleToken, NpmToken, SlackToken, StripeToken};
use crate::class::{ALNUM, BASE64URL, Class, WORD};
use crate::engine::Engine;
use crate::hit::Hit;
use crate::limits::LONG_MATCH_BYTES;
use crate::text::Text;

/// What follows a prefix: a run of a class with at least `run_min` and at most `run_max` bytes.
struct Form {
    detector: Detector,
    prefix: &'static [u8],
    class: Class,
    run_min: usize,
    run_max: usize,
}

const fn form(detector: Detector, prefix: &'static [u8], class: Class, run_min: usize, run_max: usize) -> Form {
    Form {
        detector,
        prefix,
        class,
        run_min,
        run_max,
    }
}

/// Bytes that all prefixes have; they rule out most words at once.
const HEAD_BYTES: usize = 3;

const OPEN: usize = usize::MAX;

/// From the issuers' documentation of their token formats. Lengths are minima where the issuer announces that tokens may grow.
#[rustfmt::skip]
const FORMS: &[Form] = &[
    form(GithubToken, b"ghp_", ALNUM, 36, 255), form(GithubToken, b"gho_", ALNUM, 36, 255),
    form(GithubToken, b"ghu_", ALNUM, 36, 255), form(GithubToken, b"ghs_", ALNUM, 36, 255),
    form(GithubToken, b"ghr_", ALNUM, 36, 255), form(GithubToken, b"github_pat_", WORD, 82, 255),
    form(GitlabToken, b"glpat-", BASE64URL, 20, OPEN), form(GitlabToken, b"glptt-", BASE64URL, 20, OPEN),
    form(GitlabToken, b"gldt-", BASE64URL, 20, OPEN), form(GitlabToken, b"glrt-", BASE64URL, 20, OPEN),
    form(GitlabToken, b"glcbt-", BASE64URL, 20, OPEN), form(GitlabToken, b"glft-", BASE64URL, 20, OPEN),
    form(GitlabToken, b"glimt-", BASE64URL, 20, OPEN), form(GitlabToken, b"glagent-", BASE64URL, 40, OPEN),
    form(GitlabToken, b"gloas-", BASE64URL, 40, OPEN), form(GitlabToken, b"glsoat-", BASE64URL, 20, OPEN),
    form(GitlabToken, b"GR1348941", BASE64URL, 20, OPEN),
    form(SlackToken, b"xoxb-", BASE64URL, 20, OPEN), form(SlackToken, b"xoxp-", BASE64URL, 20, OPEN),
    form(SlackToken, b"xoxa-", BASE64URL, 20, OPEN), form(SlackToken, b"xoxr-", BASE64URL, 20, OPEN),
    form(SlackToken, b"xoxs-", BASE64URL, 20, OPEN), form(SlackToken, b"xoxo-", BASE64URL, 20, OPEN),
    form(SlackToken, b"xoxe-", BASE64URL, 20, OPEN), form(SlackToken, b"xoxe.xoxb-", BASE64URL, 20, OPEN),
    form(SlackToken, b"xoxe.xoxp-", BASE64URL, 20, OPEN), form(SlackToken, b"xoxc-", BASE64URL, 20, OPEN),
    form(SlackToken, b"xapp-", BASE64URL, 20, OPEN), form(SlackToken, b"xwfp-", BASE64URL, 20, OPEN),
    form(StripeToken, b"sk_live_", ALNUM, 10, OPEN), form(StripeToken, b"sk_test_", ALNUM, 10, OPEN),
    form(StripeToken, b"sk_prod_", ALNUM, 10, OPEN), form(StripeToken, b"rk_live_", ALNUM, 10, OPEN),
    form(StripeToken, b"rk_test_", ALNUM, 10, OPEN), form(StripeToken, b"rk_prod_", ALNUM, 10, OPEN),
    form(StripeToken, b"whsec_", ALNUM, 32, OPEN),
    form(GoogleToken, b"AIza", BASE64URL, 35, 35), form(GoogleToken, b"GOCSPX-", BASE64URL, 28, 28),
    form(GoogleToken, b"ya29.", BASE64URL, 20, OPEN),
    form(NpmToken, b"npm_", ALNUM, 36, 36),
];

/// A letter at a boundary.
pub(crate) fn candidates(engine: &mut Engine<'_, '_>, place: usize) {
    let head = engine.text().bytes().get(place..place + HEAD_BYTES);
    for form in FORMS {
        let alike = head.is_none_or(|head| form.prefix[..HEAD_BYTES] == *head);
        if alike && engine.on(form.detector) {
            engine.consider(form.detector, place, |text| verify(text, place, form));
        }
    }
}

fn verify(text: &Text<'_>, start: usize, form: &Form) -> Option<Hit> {
    if !text.has(start, form.prefix) {
        return None;
    }
    let from = start + form.prefix.len();
    let bytes_max = form.run_max.saturating_add(1).min(start + LONG_MATCH_BYTES - from);
    let end = text.run(from, form.class, bytes_max);
    if end == start + LONG_MATCH_BYTES {
        return Some(Hit::run(start, end, form.class, 90));
    }
    let sized = (form.run_min..=form.run_max).contains(&(end - from));
    (sized && text.boundary_at(end)).then(|| Hit::new(start, end, 97))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{assert_misses, assert_spans};

    /// Prefix and tail are joined at run time, so that no scanner of source code takes them for real tokens.
    fn token(prefix: &str, bytes: usize) -> String {
        let tail: String = "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0z".chars().cycle().take(bytes).collect();
        format!("{prefix}{tail}")
    }

    #[test]
    fn every_form_is_found_at_its_shortest_and_missed_below() {
        for form in FORMS {
            let prefix = std::str::from_utf8(form.prefix).unwrap();
            let shortest = token(prefix, form.run_min);
            assert_spans(
                form.detector,
                &[
                    &format!("«{shortest}»"),
                    &format!("号\"«{shortest}»\"号"),
                    &format!("t=«{shortest}»."),
                ],
            );
            assert_misses(form.detector, &[token(prefix, form.run_min - 1)]);
            // The dot in some prefixes is a boundary behind which another form begins.
            if !prefix.contains('.') || prefix == "ya29." {
                assert_misses(form.detector, &[format!("x{shortest}")]);
            }
        }
    }

    #[test]
    fn a_run_that_goes_on_is_no_token_of_fixed_length() {
        assert_misses(GithubToken, &[&token("ghp_", 256), &format!("{}_", token("ghp_", 36))]);
        assert_misses(NpmToken, &[&token("npm_", 37)]);
        assert_misses(GoogleToken, &[&token("AIza", 36)]);
    }
}
