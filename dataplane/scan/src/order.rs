//! One total order over findings: which of overlapping matches counts, decided the same way however the input was cut.
//!
//! Matches are taken in order of (start, longest, detector id) and form clusters of overlapping ones. Inside a cluster
//! the order is (rank, start, longest, detector id) and a match counts if it overlaps none that counts already. A chain
//! that would make a cluster longer than [`CLUSTER_BYTES_MAX`] is cut there. A match longer than
//! [`LONG_MATCH_BYTES`](crate::limits::LONG_MATCH_BYTES) stands alone: it counts from its start, or from where an earlier
//! one ends, and everything inside it is part of it.

use std::cmp::Reverse;

use crate::Finding;
use crate::hit::{Raw, Tail};
use crate::limits::CLUSTER_BYTES_MAX;
use crate::text::Text;

/// How far a haystack is decided.
pub(crate) struct Resolved {
    /// All findings that start before this place are known and end at or before it.
    pub decided: usize,
    /// The long match that reaches the end of the haystack and may go on.
    pub inside: Option<(Raw, u64)>,
}

/// Accepts findings among the raw matches that start before `horizon`, which must be all there are before it.
/// Spans are reported relative to `base`.
pub(crate) fn resolve(
    raws: &mut Vec<Raw>,
    accepted: &mut Vec<Raw>,
    text: &Text<'_>,
    horizon: usize,
    base: usize,
    out: &mut Vec<Finding>,
) -> Resolved {
    if !raws.is_sorted_by(|a, b| key(a) < key(b)) {
        raws.sort_unstable_by_key(key);
        raws.dedup_by_key(|raw| (raw.start, raw.end, raw.detector));
    }
    let known = raws.partition_point(|raw| raw.start < horizon);
    let mut cluster = Cluster::default();
    let mut floor = 0;
    for place in 0..known {
        let raw = raws[place];
        if raw.tail != Tail::Closed {
            floor = cluster.close(raws, accepted, floor, base, out);
            if raw.end <= floor {
                continue;
            }
            let start = raw.start.max(floor);
            let (end, ended) = raw.tail.extend(text, raw.end);
            out.push(finding(&Raw { start, end, ..raw }, base, !ended));
            floor = end;
            if !ended {
                return Resolved {
                    decided: end,
                    inside: Some((raw, (end - start) as u64)),
                };
            }
            continue;
        }
        if !cluster.takes(&raw) {
            floor = cluster.close(raws, accepted, floor, base, out);
        }
        if raw.start >= floor {
            cluster.add(place, &raw);
        }
    }
    if cluster.end > horizon {
        return Resolved {
            decided: cluster.start,
            inside: None,
        };
    }
    floor = cluster.close(raws, accepted, floor, base, out);
    Resolved {
        decided: horizon.max(floor),
        inside: None,
    }
}

/// The order in which matches are looked at.
fn key(raw: &Raw) -> (usize, Reverse<usize>, crate::DetectorId) {
    (raw.start, Reverse(raw.end), raw.detector)
}

/// Raw matches that overlap in a chain: their places in the sorted list, and their common span.
#[derive(Default)]
struct Cluster {
    first: usize,
    next: usize,
    start: usize,
    end: usize,
}

impl Cluster {
    fn is_empty(&self) -> bool {
        self.end == 0
    }

    fn takes(&self, raw: &Raw) -> bool {
        self.is_empty() || (raw.start < self.end && raw.end <= self.start + CLUSTER_BYTES_MAX)
    }

    fn add(&mut self, place: usize, raw: &Raw) {
        if self.is_empty() {
            *self = Cluster {
                first: place,
                next: place,
                start: raw.start,
                end: raw.end,
            };
        }
        self.next = place + 1;
        self.end = self.end.max(raw.end);
    }

    /// Accepts what counts inside the cluster and leaves it empty; the result is the end of the last accepted match.
    fn close(
        &mut self,
        raws: &mut [Raw],
        accepted: &mut Vec<Raw>,
        floor: usize,
        base: usize,
        out: &mut Vec<Finding>,
    ) -> usize {
        if self.is_empty() {
            return floor;
        }
        let members = &mut raws[self.first..self.next];
        *self = Cluster::default();
        if let [only] = members {
            out.push(finding(only, base, false));
            return only.end;
        }
        accepted.clear();
        members.sort_unstable_by_key(|raw| (raw.rank, raw.start, Reverse(raw.end), raw.detector));
        for raw in members.iter() {
            let place = accepted.partition_point(|earlier| earlier.start < raw.start);
            let clear_left = place == 0 || accepted[place - 1].end <= raw.start;
            let clear_right = accepted.get(place).is_none_or(|later| raw.end <= later.start);
            if clear_left && clear_right {
                accepted.insert(place, *raw);
            }
        }
        out.extend(accepted.iter().map(|raw| finding(raw, base, false)));
        accepted.last().map_or(floor, |raw| raw.end)
    }
}

fn finding(raw: &Raw, base: usize, open: bool) -> Finding {
    Finding {
        detector: raw.detector,
        start: (raw.start - base) as u32,
        end: (raw.end - base) as u32,
        confidence: raw.confidence,
        offset: 0,
        open,
    }
}
