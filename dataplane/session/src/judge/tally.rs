//! Counts of what was found, by detector and place: never a value.

use codecs::fact::Aside;
use scan::DetectorId;
use smallvec::SmallVec;

use crate::limits::FINDING_KINDS_MAX;
use crate::policy::RuleSet;
use crate::tap::wire;

/// What found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Finder {
    Detector(DetectorId),
    /// A column rule.
    Column,
    Unattributed,
    /// The value could not be looked at.
    Unreadable,
}

/// Where it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// Column of the result, from 0.
    Column(u16),
    Statement,
    Parameter,
    Copy,
    Function,
    Aside(Aside),
    /// Header and body of an answer of HTTP.
    Header,
    Body,
    /// More kinds than are told apart.
    More,
}

#[derive(Debug, Clone)]
struct Count {
    finder: Finder,
    place: Place,
    masked: bool,
    count: u64,
}

/// Counts of one statement.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally(SmallVec<[Count; 1]>);

// Field numbers of `proto::audit::Finding`.
const FINDING_DETECTOR: u32 = 1;
const FINDING_PLACE: u32 = 2;
const FINDING_COUNT: u32 = 3;
const FINDING_ACTION: u32 = 4;

impl Tally {
    pub(crate) fn add(&mut self, finder: Finder, place: Place, masked: bool) {
        let place = if self.0.len() < FINDING_KINDS_MAX {
            place
        } else {
            Place::More
        };
        let same = |c: &&mut Count| c.finder == finder && c.place == place && c.masked == masked;
        match self.0.iter_mut().find(same) {
            Some(known) => known.count += 1,
            // Past the bound one entry per detector and action is made, of which there are few.
            None => self.0.push(Count {
                finder,
                place,
                masked,
                count: 1,
            }),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Appends each count as embedded message `field`, by place and finder: in which order they were found is a matter of
    /// how the values were read. `column` names the columns of the result.
    pub(crate) fn write(&self, rules: Option<&RuleSet>, column: impl Fn(u16) -> String, field: u32, out: &mut Vec<u8>) {
        if self.0.is_empty() {
            return;
        }
        let mut counts: SmallVec<[&Count; 4]> = self.0.iter().collect();
        counts.sort_unstable_by_key(|count| (count.place, count.finder, count.masked));
        for count in counts {
            let detector = match count.finder {
                Finder::Detector(id) => rules.map_or("", |rules| &*rules.action(id).name),
                Finder::Column => "COLUMN",
                Finder::Unattributed => "UNATTRIBUTED",
                Finder::Unreadable => "UNREADABLE",
            };
            let name;
            let place = match count.place {
                Place::Column(index) => {
                    name = column(index);
                    name.as_str()
                }
                Place::Statement => "statement",
                Place::Parameter => "parameter",
                Place::Copy => "copy",
                Place::Function => "function",
                Place::Aside(aside) => aside.name(),
                Place::Header => "header",
                Place::Body => "body",
                Place::More => "more",
            };
            let action = match (count.finder, count.masked) {
                (Finder::Unreadable, true) => "blanked",
                (_, true) => "masked",
                (_, false) => "found",
            };
            let len = wire::bytes_len(FINDING_DETECTOR, detector.len())
                + wire::bytes_len(FINDING_PLACE, place.len())
                + wire::uint_len(FINDING_COUNT, count.count)
                + wire::bytes_len(FINDING_ACTION, action.len());
            wire::bytes_head(out, field, len);
            wire::bytes_always(out, FINDING_DETECTOR, detector.as_bytes());
            wire::bytes_always(out, FINDING_PLACE, place.as_bytes());
            wire::uint(out, FINDING_COUNT, count.count);
            wire::bytes_always(out, FINDING_ACTION, action.as_bytes());
        }
    }
}
