//! Redaction rules, compiled: what is looked for, what becomes of it, and for whom.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use aws_lc_rs::hmac;
use codecs::edit;
use proto::policy as wire;
use scan::{Detector, Scanner, Spec, SpecError};

use super::PolicyError;
use super::compile::Errors;
use crate::http::JsonPath;
use crate::limits::RULE_SETS_MAX;
use crate::verdict::Refusal;

pub use codecs::edit::Mask;

/// `schema.table.column` as a rule names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ColumnName {
    pub schema: String,
    pub table: String,
    pub column: String,
}

/// One rule.
#[derive(Debug)]
pub(crate) struct Rule {
    pub name: String,
    pub detectors: Vec<Detector>,
    pub custom: Vec<scan::Custom>,
    pub columns: Vec<ColumnName>,
    pub json: Vec<JsonPath>,
    /// Columns of tables in text, by name.
    pub csv: Vec<String>,
    pub mask: Mask,
    pub enforce: bool,
    pub on_error: OnError,
    pub except_groups: Vec<String>,
    pub mask_unattributed: bool,
    pub deny_unattributed: bool,
    /// Values that the rule's detectors never report.
    pub allow: Vec<String>,
    /// The same as regexes for whole values.
    pub allow_patterns: Vec<String>,
    /// A right checksum counts without a word near it.
    pub checksum_suffices: bool,
    /// Levels of encoding that are undone before looking.
    pub decode_depth: u32,
}

impl Rule {
    fn names(&self, detector: &str) -> bool {
        self.detectors.iter().any(|d| d.name() == detector) || self.custom.iter().any(|c| c.name == detector)
    }
}

/// What happens to a value that cannot be inspected. In order of severity: of several rules the last one stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum OnError {
    Pass,
    BlankField,
    #[default]
    Close,
}

/// What becomes of a finding.
#[derive(Debug, Clone)]
pub(crate) struct Action {
    /// Detector's name, or `COLUMN`, for the record.
    pub name: Box<str>,
    /// Without brackets.
    pub label: Box<str>,
    pub mask: Mask,
    /// False in analyse mode: counted, not changed.
    pub enforce: bool,
}

impl Action {
    /// What takes the place of a whole match of this detector: inside of an encoded run, something that can be decoded.
    pub fn mask_of(&self, detector: scan::DetectorId) -> &Mask {
        match detector.is_in_code() {
            true => &Mask::Encoded,
            false => &self.mask,
        }
    }
}

/// The rules that apply to one group of users on one connection, merged.
#[derive(Debug)]
pub struct RuleSet {
    /// `None` if no rule looks at content.
    pub(crate) scanner: Option<Arc<Scanner>>,
    /// By detector id.
    pub(crate) actions: Vec<Option<Action>>,
    /// By index into [`ConnectionPolicy::columns`](super::ConnectionPolicy::columns).
    pub(crate) columns: HashMap<usize, Action>,
    /// Values of JSON that are masked whole.
    pub(crate) json: Vec<(JsonPath, Action)>,
    /// Columns of tables in text that are masked whole, by name without regard to case.
    pub(crate) csv: Vec<(String, Action)>,
    pub(crate) on_error: OnError,
    /// Set if text of unknown origin is to be masked whole.
    pub(crate) unattributed: Option<Action>,
    /// The rule by which results with text of unknown origin are refused.
    pub(crate) unattributed_denied: Option<Arc<Refusal>>,
    /// Used where a value is blanked because it could not be inspected.
    pub(crate) blank: Action,
    /// Whether bare digits can be a finding, so that integers have to be looked at.
    pub(crate) finds_digits: bool,
    /// Values shorter than this cannot hold a finding, bytes.
    pub(crate) finding_bytes_min: usize,
    /// The same for bare numbers.
    pub(crate) number_bytes_min: usize,
}

/// Detectors whose findings always hold a letter or a sign: an integer column has nothing for them.
const NEVER_DIGITS: &[Detector] = &[
    Detector::EmailAddress,
    Detector::IbanCode,
    Detector::AwsCredentials,
    Detector::JsonWebToken,
    Detector::EncryptionKey,
    Detector::GithubToken,
    Detector::GitlabToken,
    Detector::SlackToken,
    Detector::StripeToken,
    Detector::GoogleToken,
    Detector::NpmToken,
    Detector::BasicAuthHeader,
    Detector::AuthToken,
    Detector::Password,
    Detector::UrlWithCredentials,
    Detector::IpAddress,
    Detector::MacAddress,
    Detector::Url,
    Detector::DomainName,
    Detector::SwiftCode,
    Detector::CryptoAddress,
];
/// The shortest finding of a built-in detector, bytes: a postal code. Custom detectors may find a single byte.
const FINDING_BYTES_MIN: usize = 5;
/// The shortest number that a built-in detector can mean: a national phone number of seven digits.
const NUMBER_BYTES_MIN: usize = 7;

impl RuleSet {
    /// Whether nothing is looked for.
    pub(crate) fn is_empty(&self) -> bool {
        self.scanner.is_none()
            && self.columns.is_empty()
            && self.json.is_empty()
            && self.csv.is_empty()
            && self.unattributed.is_none()
            && self.unattributed_denied.is_none()
    }

    /// Whether what cannot be read may pass all the same.
    pub fn lets_unreadable_pass(&self) -> bool {
        self.on_error == OnError::Pass
    }

    /// A set that finds and changes nothing.
    pub(crate) fn counting(scanner: Arc<Scanner>, detectors: &[Detector]) -> RuleSet {
        let mut actions = Vec::new();
        for name in detectors.iter().map(|detector| detector.name()) {
            let Some(id) = scanner.id(name) else { continue };
            let at = usize::from(id.0);
            if actions.len() <= at {
                actions.resize(at + 1, None);
            }
            if let Some(slot) = actions.get_mut(at) {
                *slot = Some(Action {
                    name: name.into(),
                    label: scanner.label(id).into(),
                    mask: Mask::Label,
                    enforce: false,
                });
            }
        }
        RuleSet {
            scanner: Some(scanner),
            actions,
            columns: HashMap::new(),
            json: Vec::new(),
            csv: Vec::new(),
            on_error: OnError::Close,
            unattributed: None,
            unattributed_denied: None,
            blank: Action {
                name: "UNREADABLE".into(),
                label: "HIDDEN".into(),
                mask: Mask::Null,
                enforce: true,
            },
            finds_digits: true,
            finding_bytes_min: 1,
            number_bytes_min: 1,
        }
    }

    pub(crate) fn action(&self, detector: scan::DetectorId) -> &Action {
        let action = self
            .actions
            .get(usize::from(detector.plain().0))
            .and_then(Option::as_ref);
        // A finding without an action cannot be: the table is made from the same list as the scanner.
        debug_assert!(action.is_some());
        action.unwrap_or(&self.blank)
    }
}

/// Which of `rules` apply to a member of `groups`, as bits.
pub(crate) fn applying(rules: &[Arc<Rule>], groups: &[String]) -> u64 {
    let applies = |rule: &Rule| !rule.except_groups.iter().any(|except| groups.contains(except));
    rules
        .iter()
        .enumerate()
        .filter(|(_, rule)| applies(rule))
        .fold(0, |bits, (i, _)| bits | 1 << i)
}

/// Checks one rule on its own.
pub(super) fn rule(rule: &wire::Redaction, hash_key: &[u8], errors: &mut Errors) -> Rule {
    let place = format!("redaction {:?}", rule.name);
    let mut detectors = Vec::with_capacity(rule.detect.len());
    for name in &rule.detect {
        match Detector::from_name(name) {
            Some(detector) => detectors.push(detector),
            None => errors.add(format!("{place}, detect"), format!("there is no detector {name:?}")),
        }
    }
    let columns = rule
        .columns
        .iter()
        .filter_map(|name| column(name, &place, errors))
        .collect();
    let json = rule.json.iter().filter_map(|path| {
        JsonPath::parse(path)
            .map_err(|message| errors.add(format!("{place}, json"), message))
            .ok()
    });
    let json = json.collect();
    if rule.csv.iter().any(|name| name.trim().is_empty()) {
        errors.add(format!("{place}, csv"), "a column has no name".to_owned());
    }
    let names_values = !(rule.columns.is_empty() && rule.json.is_empty() && rule.csv.is_empty());
    if rule.detect.is_empty() && rule.custom.is_empty() && !names_values {
        // A rule that names nothing at all means the detectors that are on by default.
        detectors.extend_from_slice(Detector::DEFAULT_ON);
    }
    let custom = rule
        .custom
        .iter()
        .map(|written| custom(written, &place, errors))
        .collect();
    let on_error = match wire::OnError::try_from(rule.on_error) {
        Ok(wire::OnError::BlankField) => OnError::BlankField,
        Ok(wire::OnError::Pass) => OnError::Pass,
        Ok(wire::OnError::Close) | Err(_) => OnError::Close,
    };
    Rule {
        name: rule.name.clone(),
        json,
        csv: rule.csv.iter().map(|name| name.trim().to_owned()).collect(),
        detectors,
        custom,
        columns,
        mask: mask(rule.mask.as_ref(), hash_key, &place, errors),
        enforce: rule.mode != wire::RedactionMode::Analyse as i32,
        on_error,
        except_groups: rule.except_groups.clone(),
        mask_unattributed: rule.unattributed == wire::Unattributed::Mask as i32,
        deny_unattributed: rule.unattributed == wire::Unattributed::Deny as i32,
        allow: rule.allow.clone(),
        allow_patterns: rule.allow_patterns.clone(),
        checksum_suffices: rule.checksum_suffices,
        decode_depth: rule.decode_depth,
    }
}

fn custom(written: &wire::CustomDetector, place: &str, errors: &mut Errors) -> scan::Custom {
    let checksum = match written.checksum.as_str() {
        "" => None,
        name => scan::Checksum::from_name(name).or_else(|| {
            let known: Vec<&str> = scan::Checksum::names().collect();
            errors.add(
                format!("{place}, custom {:?}, checksum", written.name),
                format!("there is no checksum {name:?}; known are {}", known.join(", ")),
            );
            None
        }),
    };
    scan::Custom {
        regex: written.regex.clone(),
        max_len: (written.length_max > 0).then_some(written.length_max as usize),
        dictionary: written.dictionary.clone(),
        fold_case: written.fold_case,
        checksum,
        context: written.context.clone(),
        inside_words: written.inside_words,
        label: (!written.label.is_empty()).then(|| written.label.clone()),
        ..scan::Custom::new(&written.name, "", None)
    }
}

fn column(name: &str, place: &str, errors: &mut Errors) -> Option<ColumnName> {
    let parts: Vec<&str> = name.split('.').collect();
    match parts.as_slice() {
        [schema, table, column] if parts.iter().all(|part| !part.is_empty()) => Some(ColumnName {
            schema: (*schema).to_owned(),
            table: (*table).to_owned(),
            column: (*column).to_owned(),
        }),
        _ => {
            errors.add(
                format!("{place}, columns"),
                format!("{name:?} is not of the form schema.table.column"),
            );
            None
        }
    }
}

fn mask(mask: Option<&wire::Mask>, hash_key: &[u8], place: &str, errors: &mut Errors) -> Mask {
    let Some(mask) = mask else { return Mask::Label };
    let place = format!("{place}, mask");
    match wire::MaskKind::try_from(mask.kind) {
        Ok(wire::MaskKind::Label) => Mask::Label,
        Ok(wire::MaskKind::Full) => Mask::Full,
        Ok(wire::MaskKind::Partial) => Mask::Partial {
            keep_last: mask.keep_last as usize,
        },
        Ok(wire::MaskKind::Null) => Mask::Null,
        Ok(wire::MaskKind::Hash) => Mask::Hash(Box::new(hmac::Key::new(hmac::HMAC_SHA256, hash_key))),
        Ok(wire::MaskKind::Replace) => {
            if mask.text.contains('\0') {
                errors.add(place, "the replacement holds a NUL byte".to_owned());
            }
            Mask::Replace(mask.text.as_bytes().into())
        }
        Err(_) => {
            errors.add(place, format!("mask kind {} is not known here", mask.kind));
            edit::Mask::Full
        }
    }
}

/// Builds the rule set of every combination of rules that a user of the snapshot has on a connection.
/// Scanners are built once for each distinct list of detectors, whatever connection it is for.
#[derive(Default)]
pub(super) struct Sets {
    scanners: HashMap<String, Arc<Scanner>>,
    /// Names of the rules that are in some set.
    used: HashSet<String>,
}

/// Why rules make no set.
enum Refused {
    Scanner(SpecError),
    /// Two custom detectors of this name differ.
    Differ(String),
}

impl Refused {
    /// Notes the mistake at the rule that it stands in, if it is one rule's.
    fn note(self, rules: &[&Rule], place: &str, errors: &mut Errors) {
        match self {
            Refused::Differ(name) => errors.add(
                place.to_owned(),
                format!("two custom detectors are named {name:?} and differ"),
            ),
            Refused::Scanner(error) => {
                let named = |rule: &&&Rule| error.detector().is_some_and(|name| rule.names(name));
                let place = match rules.iter().find(named) {
                    Some(rule) => format!("redaction {:?}, {}", rule.name, error.field()),
                    None => format!("{place}, {}", error.field()),
                };
                errors.add(place, error.to_string());
            }
        }
    }
}

/// What the rules look for together.
fn spec(rules: &[&Rule]) -> Result<Spec, Refused> {
    let mut spec = Spec::of(&[]);
    for rule in rules {
        for detector in &rule.detectors {
            if !spec.detectors.contains(detector) {
                spec.detectors.push(*detector);
            }
        }
        for custom in &rule.custom {
            match spec.custom.iter().find(|known| known.name == custom.name) {
                None => spec.custom.push(custom.clone()),
                Some(known) if known == custom => {}
                Some(_) => return Err(Refused::Differ(custom.name.clone())),
            }
        }
        spec.decode_depth = spec.decode_depth.max(rule.decode_depth as usize);
    }
    for detector in &spec.detectors {
        if acting(rules, detector.name()).is_some_and(|rule| !rule.checksum_suffices) {
            spec.word_required.push(*detector);
        }
    }
    let names = || {
        let built_in = spec.detectors.iter().map(|detector| detector.name());
        built_in.chain(spec.custom.iter().map(|custom| custom.name.as_str()))
    };
    let mut allow = Vec::new();
    for rule in rules
        .iter()
        .filter(|rule| !rule.allow.is_empty() || !rule.allow_patterns.is_empty())
    {
        let acts = |name: &&str| acting(rules, name).is_some_and(|acting| std::ptr::eq(acting, *rule));
        let detectors: Vec<String> = names().filter(acts).map(str::to_owned).collect();
        if !detectors.is_empty() {
            allow.push(scan::Allow {
                detectors,
                values: rule.allow.clone(),
                patterns: rule.allow_patterns.clone(),
            });
        }
    }
    spec.allow = allow;
    Ok(spec)
}

/// The rule that decides about a detector: the first that names it, an enforcing one before one that only analyses.
fn acting<'a>(rules: &[&'a Rule], detector: &str) -> Option<&'a Rule> {
    let naming = || rules.iter().copied().filter(|rule| rule.names(detector));
    naming().find(|rule| rule.enforce).or_else(|| naming().next())
}

/// Detectors whose numbers may be shorter than [`NUMBER_BYTES_MIN`].
const SHORT_NUMBERS: &[Detector] = &[Detector::GermanyPostalCode, Detector::UsDriversLicenseNumber];

fn number_bytes_min(spec: &Spec) -> usize {
    if !spec.custom.is_empty() {
        1
    } else if spec.detectors.iter().any(|detector| SHORT_NUMBERS.contains(detector)) {
        FINDING_BYTES_MIN
    } else {
        NUMBER_BYTES_MIN
    }
}

impl Sets {
    /// The sets for `rules`, by the bits of the rules that apply; `columns` is the connection's list.
    pub(super) fn build<'a>(
        &mut self,
        place: &str,
        rules: &[Arc<Rule>],
        columns: &[ColumnName],
        users: impl Iterator<Item = &'a [String]>,
        errors: &mut Errors,
    ) -> HashMap<u64, Arc<RuleSet>> {
        let mut sets = HashMap::new();
        for groups in users {
            let bits = applying(rules, groups);
            if sets.contains_key(&bits) {
                continue;
            }
            if sets.len() >= RULE_SETS_MAX {
                errors.add(
                    place.to_owned(),
                    "too many different combinations of excepted groups".to_owned(),
                );
                break;
            }
            let applying: Vec<&Rule> = rules
                .iter()
                .enumerate()
                .filter(|(i, _)| bits >> i & 1 == 1)
                .map(|(_, rule)| &**rule)
                .collect();
            match self.set(&applying, columns) {
                Ok(set) => drop(sets.insert(bits, Arc::new(set))),
                Err(refused) => refused.note(&applying, place, errors),
            }
        }
        sets
    }

    /// Checks rules that are in no set, so that a mistake shows when a rule is saved and not when it is first used.
    pub(super) fn check_unused<'a>(&mut self, rules: impl Iterator<Item = &'a Arc<Rule>>, errors: &mut Errors) {
        for rule in rules {
            if !self.used.contains(&rule.name)
                && let Err(refused) = self.set(&[rule], &[])
            {
                refused.note(&[rule], &format!("redaction {:?}", rule.name), errors);
            }
        }
    }

    fn set(&mut self, rules: &[&Rule], columns: &[ColumnName]) -> Result<RuleSet, Refused> {
        self.used.extend(rules.iter().map(|rule| rule.name.clone()));
        let spec = spec(rules)?;
        let scanner = if spec.detectors.is_empty() && spec.custom.is_empty() {
            None
        } else {
            Some(self.scanner(&spec)?)
        };
        let actions = scanner
            .as_deref()
            .map(|scanner| actions(scanner, &spec, rules))
            .unwrap_or_default();
        Ok(RuleSet {
            scanner,
            actions,
            columns: column_actions(rules, columns),
            json: json_actions(rules),
            csv: csv_actions(rules),
            finds_digits: !spec.custom.is_empty() || spec.detectors.iter().any(|d| !NEVER_DIGITS.contains(d)),
            finding_bytes_min: if spec.custom.is_empty() { FINDING_BYTES_MIN } else { 1 },
            number_bytes_min: number_bytes_min(&spec),
            on_error: rules.iter().map(|rule| rule.on_error).max().unwrap_or_default(),
            unattributed: rules
                .iter()
                .find(|rule| rule.mask_unattributed && !rule.columns.is_empty())
                .map(|rule| action("UNATTRIBUTED", "HIDDEN", rule)),
            unattributed_denied: rules
                .iter()
                .find(|rule| rule.deny_unattributed && rule.enforce && !rule.columns.is_empty())
                .map(|rule| Arc::new(unattributed(&rule.name))),
            blank: Action {
                name: "UNREADABLE".into(),
                label: "HIDDEN".into(),
                mask: Mask::Null,
                enforce: true,
            },
        })
    }

    fn scanner(&mut self, spec: &Spec) -> Result<Arc<Scanner>, Refused> {
        let key = format!("{spec:?}");
        if let Some(known) = self.scanners.get(&key) {
            return Ok(Arc::clone(known));
        }
        let scanner = Arc::new(Scanner::build(spec).map_err(Refused::Scanner)?);
        self.scanners.insert(key, Arc::clone(&scanner));
        Ok(scanner)
    }
}

/// The action of every detector: that of the first rule that names it, an enforcing rule before one that only analyses.
fn actions(scanner: &Scanner, spec: &Spec, rules: &[&Rule]) -> Vec<Option<Action>> {
    let built_in = spec.detectors.iter().map(|detector| detector.name());
    let names = built_in.chain(spec.custom.iter().map(|custom| custom.name.as_str()));
    let mut actions = Vec::new();
    for name in names {
        let (Some(id), Some(rule)) = (scanner.id(name), acting(rules, name)) else {
            continue;
        };
        let at = usize::from(id.0);
        if actions.len() <= at {
            actions.resize(at + 1, None);
        }
        if let Some(slot) = actions.get_mut(at) {
            *slot = Some(action(name, scanner.label(id), rule));
        }
    }
    actions
}

fn column_actions(rules: &[&Rule], columns: &[ColumnName]) -> HashMap<usize, Action> {
    let mut actions = HashMap::new();
    for (index, name) in columns.iter().enumerate() {
        let naming = || rules.iter().filter(|rule| rule.columns.contains(name));
        if let Some(rule) = naming().find(|rule| rule.enforce).or_else(|| naming().next()) {
            let label: String = name
                .column
                .chars()
                .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            actions.insert(index, action("COLUMN", &label.to_ascii_uppercase(), rule));
        }
    }
    actions
}

fn json_actions(rules: &[&Rule]) -> Vec<(JsonPath, Action)> {
    let mut actions: Vec<(JsonPath, Action)> = Vec::new();
    // Rules that enforce come before rules that only analyse.
    for enforce in [true, false] {
        for rule in rules.iter().filter(|rule| rule.enforce == enforce) {
            actions.extend(
                rule.json
                    .iter()
                    .map(|path| (path.clone(), action("JSON", &path.label(), rule))),
            );
        }
    }
    actions
}

fn csv_actions(rules: &[&Rule]) -> Vec<(String, Action)> {
    let mut actions: Vec<(String, Action)> = Vec::new();
    for enforce in [true, false] {
        for rule in rules.iter().filter(|rule| rule.enforce == enforce) {
            let label = |name: &str| name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '_', "");
            let named = rule.csv.iter();
            actions.extend(named.map(|name| (name.clone(), action("CSV", &label(name).to_ascii_uppercase(), rule))));
        }
    }
    actions
}

fn unattributed(rule: &str) -> Refusal {
    Refusal {
        code: "42501",
        message: format!("refused by redaction \"{rule}\": the result has text that comes from no column as it is"),
        hint: "Select columns by themselves, without expressions, functions or UNION.".to_owned(),
        rule: rule.to_owned(),
    }
}

fn action(name: &str, label: &str, rule: &Rule) -> Action {
    Action {
        name: name.into(),
        label: label.into(),
        mask: rule.mask.clone(),
        enforce: rule.enforce,
    }
}

/// All columns that `rules` name, each once, in their order.
pub(super) fn columns(rules: &[Arc<Rule>]) -> Vec<ColumnName> {
    let mut columns: Vec<ColumnName> = Vec::new();
    for name in rules.iter().flat_map(|rule| &rule.columns) {
        if !columns.contains(name) {
            columns.push(name.clone());
        }
    }
    columns
}

/// Finds the rules that a connection names.
pub(super) fn of_connection(
    connection: &wire::Connection,
    rules: &HashMap<String, Arc<Rule>>,
    errors: &mut Errors,
) -> Vec<Arc<Rule>> {
    let place = || format!("connection {:?}, redact", connection.name);
    let mut found: Vec<Arc<Rule>> = Vec::with_capacity(connection.redact.len());
    for name in &connection.redact {
        match rules.get(name) {
            Some(rule) => found.push(Arc::clone(rule)),
            None => errors.push(PolicyError {
                place: place(),
                message: format!("there is no redaction {name:?}"),
            }),
        }
    }
    if found.len() > u64::BITS as usize {
        errors.add(place(), format!("more than {} redaction rules", u64::BITS));
        found.truncate(u64::BITS as usize);
    }
    found
}
