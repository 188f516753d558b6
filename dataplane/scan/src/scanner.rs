//! A compiled policy and the scans over complete haystacks.

use crate::allow::AllowLists;
use crate::arch::{Level, is_quiet};
use crate::cells::Cells;
use crate::context::{Context, HotWords};
use crate::custom::CustomSet;
use crate::detect;
use crate::detect::phone::Plans;
use crate::detect::tokens::Index;
use crate::engine::Engine;
use crate::limits::{
    CLUSTER_BYTES_MAX, DECODE_DEPTH_MAX, HAYSTACK_BYTES_MAX, LATE_TRIGGER_BYTES, LEAD_BYTES, LONG_MATCH_BYTES,
    TERMINATOR_BYTES_MAX, TRIGGER_BACK_BYTES,
};
use crate::plan::Plan;
use crate::spec::{Spec, SpecError};
use crate::trigger::Triggers;
use crate::{CellFinding, Detector, DetectorId, Finding, Report, Scratch, Standing};

/// A compiled policy: immutable, shared between threads; what changes during a scan is in [`Scratch`].
pub struct Scanner {
    pub(crate) enabled: Enabled,
    pub(crate) triggers: Triggers,
    pub(crate) plan: Plan,
    pub(crate) level: Level,
    pub(crate) hot_words: HotWords,
    pub(crate) custom: CustomSet,
    allow: AllowLists,
    pub(crate) decode_depth: usize,
    /// Bits of [`crate::Region`].
    pub(crate) phone_regions: u64,
    pub(crate) phone_plans: Plans,
    pub(crate) forms: Index,
    /// A right check digit counts without a hot word.
    pub(crate) checksum_suffices: Enabled,
    ranks: Vec<u16>,
    report: Report,
}

/// A set of built-in detectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Enabled(u128);

impl Enabled {
    pub fn add(&mut self, detector: Detector) {
        self.0 |= 1 << detector as u32;
    }

    #[inline(always)]
    pub fn has(self, detector: Detector) -> bool {
        self.0 & (1 << detector as u32) != 0
    }

    pub fn has_any(self, detectors: &[Detector]) -> bool {
        detectors.iter().any(|detector| self.has(*detector))
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn len(self) -> usize {
        self.0.count_ones() as usize
    }
}

impl Scanner {
    /// Compiles a policy.
    ///
    /// # Errors
    /// A detector that this engine does not have, one that content cannot decide, or a custom detector that is not bounded,
    /// too large or malformed. The error names it and says what to do.
    pub fn build(spec: &Spec) -> Result<Scanner, SpecError> {
        if spec.decode_depth > DECODE_DEPTH_MAX {
            return Err(SpecError::DecodeDepth {
                depth: spec.decode_depth,
            });
        }
        let enabled = enabled(spec)?;
        let custom = CustomSet::build(&spec.custom)?;
        let allow = AllowLists::build(&spec.allow)?;
        let hot_words = hot_words(enabled, &custom);
        let all_regions = spec.phone_regions.is_empty();
        let phone_regions = match all_regions {
            true => u64::MAX,
            false => spec.phone_regions.iter().fold(0, |bits, region| bits | region.bit()),
        };
        let mut checksum_suffices = Enabled::default();
        let counts_alone = |detector: &&Detector| !spec.word_required.contains(detector);
        spec.detectors
            .iter()
            .filter(counts_alone)
            .for_each(|detector| checksum_suffices.add(*detector));
        let forms = Index::build(enabled);
        let triggers = Triggers::build(enabled, &forms);
        let mut report = report(enabled, &triggers, &hot_words, &custom, spec.decode_depth);
        report.memory_bytes += allow.memory_bytes();
        let mut plan = Plan::build(enabled, checksum_suffices, hot_words.spellings());
        plan.any_number = !all_regions && enabled.has(Detector::PhoneNumber);
        let ranks = Detector::all().map(|detector| spec.rank(detector)).collect();
        Ok(Scanner {
            enabled,
            triggers,
            plan,
            level: Level::best(),
            hot_words,
            custom,
            allow,
            decode_depth: spec.decode_depth,
            phone_regions,
            phone_plans: Plans::build(phone_regions, !all_regions),
            forms,
            checksum_suffices,
            ranks,
            report,
        })
    }

    /// The same scanner on other instructions, for tests and measurements. All levels find the same.
    ///
    /// # Errors
    /// When this processor does not have them.
    pub fn on_level(mut self, level: Level) -> Result<Scanner, SpecError> {
        if !level.available() {
            return Err(SpecError::Level(level.name()));
        }
        self.level = level;
        Ok(self)
    }

    /// The instructions that scans use.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Cost and bounds of this scanner.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Word for masks: `EMAIL`. An id of another scanner's custom detector gives an empty word.
    pub fn label(&self, detector: DetectorId) -> &str {
        match detector.custom_place() {
            Some(place) => self.custom.label(place),
            None => catalogued(detector).label(),
        }
    }

    /// Name in policies and events: `EMAIL_ADDRESS`. An id of another scanner's custom detector gives an empty name.
    pub fn name(&self, detector: DetectorId) -> &str {
        match detector.custom_place() {
            Some(place) => self.custom.name(place),
            None => catalogued(detector).name(),
        }
    }

    /// The id of a detector of this scanner by its name.
    pub fn id(&self, name: &str) -> Option<DetectorId> {
        let built_in = Detector::from_name(name).filter(|detector| self.enabled.has(*detector));
        built_in
            .map(DetectorId::from)
            .or_else(|| self.custom.place(name).map(DetectorId::custom))
    }

    /// Hot words in a column's or field's name. They enable weak detectors for its values.
    pub fn context_of(&self, field_name: &str) -> Context {
        self.hot_words.of_name(field_name)
    }

    /// Appends the findings of one complete haystack to `out`, in text order and without overlap.
    ///
    /// # Panics
    /// When the haystack has 4 GiB or more: such a thing is a [`crate::Stream`].
    pub fn scan(&self, haystack: &[u8], ctx: Context, scratch: &mut Scratch, out: &mut Vec<Finding>) {
        assert!(
            haystack.len() < HAYSTACK_BYTES_MAX,
            "a haystack of one call is smaller than 4 GiB"
        );
        if self.is_quiet(haystack, ctx) {
            scratch.counters.scanned_bytes += haystack.len() as u64;
            return;
        }
        let count_before = out.len();
        Engine::new(self, haystack, true, ctx).complete(scratch, out);
        scratch.counters.findings += (out.len() - count_before) as u64;
    }

    /// Appends the findings of all packed cells to `out`, by cell and inside a cell in text order. Each cell is a haystack
    /// of its own: nothing matches across cells.
    pub fn scan_cells(&self, cells: &Cells, scratch: &mut Scratch, out: &mut Vec<CellFinding>) {
        let count_before = out.len();
        let mut findings = std::mem::take(&mut scratch.findings);
        findings.clear();
        if self.level == Level::Reference || self.has_passes() {
            self.scan_each(cells, scratch, &mut findings, out);
        } else {
            Engine::packed(self, cells).complete(scratch, &mut findings);
            cells.map_back(&findings, out);
        }
        scratch.findings = findings;
        scratch.counters.findings += (out.len() - count_before) as u64;
    }

    /// Whether one look tells that a short value has nothing.
    #[inline(always)]
    fn is_quiet(&self, haystack: &[u8], ctx: Context) -> bool {
        let alone = ctx == Context::NONE && !self.has_passes();
        alone && !self.plan.key_at_start(haystack) && is_quiet(self.level, &self.plan, haystack)
    }

    /// Whether something besides the channels looks for matches: it would see across cells.
    fn has_passes(&self) -> bool {
        !self.custom.is_empty() || self.decode_depth > 0
    }

    fn scan_each(&self, cells: &Cells, scratch: &mut Scratch, findings: &mut Vec<Finding>, out: &mut Vec<CellFinding>) {
        for (place, cell) in cells.iter().enumerate() {
            if cell.bytes.len() < detect::MATCH_BYTES_MIN && self.custom.is_empty() {
                continue;
            }
            findings.clear();
            Engine::new(self, cell.bytes, true, cell.context).complete(scratch, findings);
            out.extend(findings.iter().map(|finding| CellFinding {
                cell: place as u32,
                detector: finding.detector,
                start: finding.start,
                end: finding.end,
                confidence: finding.confidence,
            }));
        }
    }

    /// Whether the policy says that this value is never reported.
    #[inline(always)]
    pub(crate) fn allowed(&self, detector: DetectorId, value: &[u8]) -> bool {
        !self.allow.is_empty() && self.allow.has(self.name(detector), value)
    }

    /// Rank of any detector of this scanner.
    pub(crate) fn rank_of(&self, detector: DetectorId) -> u16 {
        match detector.custom_place() {
            Some(place) => self.custom.rank(place),
            None => self.rank(catalogued(detector)),
        }
    }

    pub(crate) fn rank(&self, detector: Detector) -> u16 {
        self.ranks[detector as usize]
    }
}

fn catalogued(id: DetectorId) -> Detector {
    Detector::all()
        .nth(usize::from(id.plain().0))
        .expect("ids below the catalogue's length are catalogued")
}

fn enabled(spec: &Spec) -> Result<Enabled, SpecError> {
    let mut enabled = Enabled::default();
    for detector in &spec.detectors {
        if detector.standing() == Standing::ColumnOnly {
            // A dictionary of the same name decides it.
            if spec
                .custom
                .iter()
                .any(|custom| Detector::from_name(&custom.name) == Some(*detector))
            {
                continue;
            }
            return Err(SpecError::ColumnOnly(detector.name()));
        }
        if !detector.built() {
            return Err(SpecError::NotBuilt(detector.name()));
        }
        enabled.add(*detector);
    }
    Ok(enabled)
}

fn hot_words(enabled: Enabled, custom: &CustomSet) -> HotWords {
    let mut phrases: Vec<(&str, Context)> = Vec::new();
    for detector in Detector::all().filter(|detector| enabled.has(*detector)) {
        let words = detect::hot_words(detector);
        phrases.extend(words.iter().map(|word| (*word, Context::of(detector))));
    }
    phrases.extend(custom.hot_words());
    HotWords::build(&phrases)
}

fn report(
    enabled: Enabled,
    triggers: &Triggers,
    hot_words: &HotWords,
    custom: &CustomSet,
    decode_depth: usize,
) -> Report {
    let built_in_look = if enabled.is_empty() {
        0
    } else if enabled.has_any(detect::LONG) || decode_depth > 0 {
        LONG_MATCH_BYTES + TERMINATOR_BYTES_MAX + TRIGGER_BACK_BYTES
    } else {
        detect::BOUNDED_MATCH_BYTES_MAX
    };
    let look = built_in_look.max(custom.match_bytes_max()) + LATE_TRIGGER_BYTES + LEAD_BYTES;
    let memory_bytes = size_of::<Scanner>() + hot_words.memory_bytes() + custom.memory_bytes();
    Report {
        hold_back_bytes_max: look + CLUSTER_BYTES_MAX,
        match_bytes_max: LONG_MATCH_BYTES,
        built_in_count: enabled.len(),
        custom_count: custom.len(),
        memory_bytes,
        trigger_byte_count: triggers.byte_count(),
        cost_percent: 100 + triggers.cost_percent() + custom.cost_percent() + 60 * decode_depth as u32,
    }
}

impl std::fmt::Debug for Scanner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scanner")
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}
