//! What compiling a policy found out about its cost, shown to administrators and exported as metrics.

/// Cost and bounds of one compiled scanner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Most bytes that a stream ever keeps back, whatever the input is.
    pub hold_back_bytes_max: usize,
    /// Longest match that is always reported in one piece; beyond it a stream reports pieces.
    pub match_bytes_max: usize,
    /// Built-in detectors in use.
    pub built_in_count: usize,
    /// Custom detectors in use; each costs one pass of an automaton over the text.
    pub custom_count: usize,
    /// Memory of the compiled scanner.
    pub memory_bytes: usize,
    /// Byte values that make the scanner look closer; fewer is faster.
    pub trigger_byte_count: usize,
    /// Rough cost per byte of ordinary text, in hundredths of the cost of a scanner without detectors.
    pub cost_percent: u32,
}
