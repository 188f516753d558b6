//! Shape algebra: from masks of byte classes to the places where a candidate can begin, for all back ends.
//!
//! A mask has one bit per byte of a window. A shape is a conjunction of masks moved against each other:
//!
//! ```text
//! text         S S N   5 3 6 - 2 2 - 1 2 3 4
//! digit        0 0 0 0 1 1 1 0 1 1 0 1 1 1 1
//! digits(3)    0 0 0 0 1 0 0 0 0 0 0 1 1 0 0      digit & digit.ahead(1) & digit.ahead(2)
//! 3-2-4        0 0 0 0 1 0 0 0 0 0 0 0 0 0 0      digits(3) & sep.ahead(3) & digits(2).ahead(4) & …
//! ```
//! A window ends with [`AHEAD_BYTES`] whose places are left to the next window: no shape looks further ahead, so that nothing
//! has to be carried from window to window but whether a word goes on and what a key gave away.

use crate::plan::Plan;

/// How far ahead of its place a shape may look.
pub(crate) const AHEAD_BYTES: usize = 32;

/// A mask: bits of consecutive bytes in consecutive lanes of 64.
pub(crate) trait Lanes: Copy {
    fn zero() -> Self;
    fn and(self, other: Self) -> Self;
    fn or(self, other: Self) -> Self;
    /// Bits of this mask that `other` lacks.
    fn without(self, other: Self) -> Self;
    /// Bit `p` of the result is bit `p + N`; beyond the window are zeros. `N` is 1 to 63.
    fn ahead<const N: i32>(self) -> Self;
    /// The same with a distance that is only known at run time.
    fn ahead_by(self, distance: u32) -> Self;
    /// The places of a window that are not left to the next one.
    fn own() -> Self;
    /// Bit `p` of the result is bit `p - 1`; before the window is `first`.
    fn behind_one(self, first: bool) -> Self;
    /// Bit `p` of the result is bit `p - N`; before the window are the bits of `before`, the topmost last. `N` is 1 to 63.
    fn behind<const N: i32>(self, before: u64) -> Self;
    /// The same with a distance that is only known at run time.
    fn behind_by(self, distance: u32, before: u64) -> Self;
    fn any(self) -> bool;
    /// Whether sixteen bits that are aligned to sixteen are all set.
    fn any_sixteen(self) -> bool;
}

/// Masks of the byte classes of a window, see [`crate::plan`].
#[derive(Clone, Copy)]
pub(crate) struct Masks<V> {
    pub digit: V,
    pub word: V,
    pub sep: V,
    pub gap: V,
    pub op: V,
    pub special: V,
    pub literal: V,
    pub key: V,
}

/// Places of a window by what may begin there.
#[derive(Clone, Copy)]
pub(crate) struct Shapes<V> {
    /// Counts by itself.
    pub sure: V,
    /// Counts with a hot word; some of it by itself too.
    pub weak: V,
    /// The last four bytes of a key whose operator follows.
    pub keys: V,
    /// A run of base64 that counts with a hot word.
    pub runs: V,
    /// A word that may have one of the policy's forms.
    pub words: V,
}

impl<V: Lanes> Shapes<V> {
    /// Without the places that belong to the next window.
    #[inline(always)]
    pub fn own(self) -> Shapes<V> {
        let own = V::own();
        Shapes {
            sure: self.sure.and(own),
            weak: self.weak.and(own),
            keys: self.keys.and(own),
            runs: self.runs.and(own),
            words: self.words.and(own),
        }
    }
}

/// Terms that several shapes share.
struct Terms<V> {
    /// Digits that begin a number.
    first: V,
    /// A byte of a word stands before.
    before: V,
    d: V,
    d2: V,
    d3: V,
    d4: V,
    sep: V,
}

/// What can begin where.
#[inline(always)]
pub(crate) fn shapes<V: Lanes>(m: &Masks<V>, plan: &Plan, word_before: bool) -> Shapes<V> {
    let wanted = &plan.wanted;
    let d = m.digit;
    let before = m.word.behind_one(word_before);
    let d2 = d.and(d.ahead::<1>());
    let terms = Terms {
        first: d.without(before),
        before,
        d,
        d2,
        d3: d2.and(d.ahead::<2>()),
        d4: d2.and(d2.ahead::<2>()),
        sep: m.sep.without(m.word),
    };
    let mut sure = m.literal.without(before);
    let mut weak = V::zero();
    if wanted.at {
        sure = sure.or(at_sign(m));
    }
    if wanted.digit_borne() || !plan.groups.is_empty() {
        sure = sure.or(numbers(plan, &terms));
    }
    if wanted.phone {
        sure = sure.or(phone(m, &terms));
    }
    if wanted.words {
        weak = words(m, &terms);
        if plan.words.letters {
            weak = weak.or(eight_or_eleven(m).without(before));
        }
    }
    if wanted.weak_number || wanted.weak_parenthesis {
        let numbers = weak_numbers(m, plan, &terms);
        if plan.any_number {
            sure = sure.or(numbers);
        }
        weak = weak.or(numbers);
    }
    if wanted.iban {
        sure = sure.or(iban(m, &terms));
    }
    if wanted.url {
        sure = sure.or(url(m));
    }
    if wanted.dotted {
        sure = sure.or(dotted(m, &terms));
    }
    if wanted.colons || wanted.pairs {
        sure = sure.or(hexadecimal(m, plan));
    }
    if wanted.scheme {
        let slash = m.op.and(m.sep).without(m.special);
        sure = sure.or(m.op.and(m.gap).and(slash.ahead::<1>()).and(slash.ahead::<2>()));
    }
    if wanted.dot {
        let dot = m.special.and(m.sep).without(m.op.or(m.gap));
        sure = sure.or(dot.and(m.word.ahead::<1>()));
    }
    Shapes {
        sure,
        weak,
        keys: if wanted.keys { keys(m) } else { V::zero() },
        words: if wanted.words { words(m, &terms) } else { V::zero() },
        runs: if wanted.secret { runs(m) } else { V::zero() },
    }
}

/// At least seven digits and separators before digits, from a digit or behind an opening parenthesis; no days.
#[inline(always)]
fn weak_numbers<V: Lanes>(m: &Masks<V>, plan: &Plan, t: &Terms<V>) -> V {
    let mut part = t.d.or(t.sep.and(t.d.ahead::<1>()));
    if parenthesis(m).any() {
        // Then up to three separators stand between two groups.
        part = part.or(t.sep.and(part.ahead::<1>()));
        part = part.or(t.sep.and(part.ahead::<1>()));
    }
    let part2 = part.and(part.ahead::<1>());
    let part4 = part2.and(part2.ahead::<2>());
    let part7 = part4.and(part4.ahead::<3>());
    let mut places = V::zero();
    // Words are looked at again, numbers among them.
    if plan.wanted.weak_number && (plan.any_number || !plan.wanted.words) {
        // A number behind an opening parenthesis ends with its first group: its fraction is no part of it.
        let opened = m.special.and(m.sep).and(m.op).behind_one(true);
        let pair = t.sep.and(t.d2.ahead::<1>());
        let day =
            t.d4.and(pair.ahead::<4>())
                .and(pair.ahead::<7>())
                .without(t.d.ahead::<10>());
        places = t
            .first
            .and(part7)
            .without(day)
            .without(decimals(m, t, part).without(opened));
    }
    if plan.wanted.weak_parenthesis {
        let opened = m.special.and(m.sep).and(m.op);
        places = places.or(opened.and(t.d.and(part7).ahead::<1>()));
    }
    places
}

#[inline(always)]
fn parenthesis<V: Lanes>(m: &Masks<V>) -> V {
    m.special.and(m.sep).and(m.op.or(m.gap))
}

/// Beginnings of numbers of up to eight digits, a dot, up to seven more, and nothing that goes on: no telephone number has this form. `part`
/// are digits and separators before digits.
#[inline(always)]
fn decimals<V: Lanes>(m: &Masks<V>, t: &Terms<V>, part: V) -> V {
    let dot = m.special.and(m.sep).without(m.op.or(m.gap));
    let last = t.d.without(part.ahead::<1>());
    let fraction = last.or(t.d.and(last.ahead::<1>()));
    let fraction = fraction.or(t.d2.and(fraction.ahead::<2>()));
    let fraction = fraction.or(t.d3.and(fraction.ahead::<3>()));
    let whole = t.d.and(dot.and(fraction.ahead::<1>()).ahead::<1>());
    let whole = whole.or(t.d.and(whole.ahead::<1>()));
    let whole = whole.or(t.d2.and(whole.ahead::<2>()));
    whole.or(t.d4.and(whole.ahead::<4>()))
}

/// `@` before a letter or digit that is not all there is up to the next one.
#[inline(always)]
fn at_sign<V: Lanes>(m: &Masks<V>) -> V {
    let at = m.special.without(m.sep.or(m.op));
    at.and(m.word.ahead::<1>()).without(at.ahead::<2>())
}

/// Numbers that count by themselves: cards, SSNs, the policy's other layouts.
#[inline(always)]
fn numbers<V: Lanes>(plan: &Plan, t: &Terms<V>) -> V {
    let wanted = &plan.wanted;
    let x4 = t.sep.and(t.d4.ahead::<1>());
    let mut places = V::zero();
    if wanted.card {
        let d8 = t.d4.and(t.d4.ahead::<4>());
        let d12 = d8.and(t.d4.ahead::<8>());
        let d6 = t.d4.and(t.d2.ahead::<4>());
        let fours = x4.and(x4.ahead::<5>());
        let six_four = t.sep.and(d6.ahead::<1>()).and(x4.ahead::<7>());
        if fours.or(six_four).any() {
            let more = t.d.or(t.sep.and(t.d.ahead::<1>()));
            let fours = fours.and(more.ahead::<10>());
            places = places.or(t.d4.and(fours.or(six_four).ahead::<4>()));
        }
        if d12.any() {
            let six_thirteen = d6.and(t.sep.ahead::<6>()).and(d12.ahead::<7>());
            places = places.or(d12).or(six_thirteen);
        }
    }
    if wanted.g324 {
        let two_four = t.sep.and(t.d2.ahead::<1>()).and(x4.ahead::<3>());
        places = places.or(t.d3.and(two_four.ahead::<3>()));
    }
    for lens in &plan.groups {
        places = places.or(layout(t, lens));
    }
    places.and(t.first)
}

/// Groups of digits of these lengths, the last at least.
#[inline(always)]
fn layout<V: Lanes>(t: &Terms<V>, lens: &[u8]) -> V {
    let mut places = at_least(t, lens[0]);
    let mut offset = u32::from(lens[0]);
    for len in &lens[1..] {
        places = places.and(t.sep.and(at_least(t, *len).ahead::<1>()).ahead_by(offset));
        offset += u32::from(*len) + 1;
    }
    places
}

/// Beginnings of runs of at least so many digits (or eight, if that is less).
#[inline(always)]
fn at_least<V: Lanes>(t: &Terms<V>, len: u8) -> V {
    match len {
        0..=1 => t.d,
        2 => t.d2,
        3 => t.d3,
        4 => t.d4,
        _ => t.d4.and(t.d4.ahead_by(u32::from(len).min(8) - 4)),
    }
}

/// Layouts that nothing but a phone number has, and `+` before what may be a number.
#[inline(always)]
fn phone<V: Lanes>(m: &Masks<V>, t: &Terms<V>) -> V {
    let x2 = t.sep.and(t.d2.ahead::<1>());
    let x3 = t.sep.and(t.d3.ahead::<1>());
    let x4 = t.sep.and(t.d4.ahead::<1>());
    // 3-3-4, bare and behind a prefix of one to three digits; 4-3-2-2, 4-3-4, 4-3-3; 5-3-3; 3-4-4; 2-2-2-2-2: all have ends that
    // are rare in text.
    let three_four = x3.and(x4.ahead::<4>());
    let three_two = x3.and(x2.ahead::<4>());
    let four_four = x4.and(x4.ahead::<5>());
    let pairs = x2.and(x2.ahead::<3>());
    let four_pairs = pairs.and(pairs.ahead::<6>());
    let mut numbers = V::zero();
    if three_four.or(three_two).or(four_four).or(four_pairs).any() {
        let american = t.d3.and(three_four.ahead::<3>());
        let after_sep = t.sep.and(american.ahead::<1>());
        let one = t.d.and(after_sep.ahead::<1>());
        let two = t.d2.and(after_sep.ahead::<2>());
        let three = t.d3.and(after_sep.ahead::<3>());
        let prefixed = one.or(two).or(three);
        let four_up =
            t.d4.and(three_two.ahead::<4>().or(t.d.ahead::<4>().and(three_two.ahead::<5>())));
        let fours = t.d3.and(four_four.ahead::<3>());
        let twos = t.d2.and(four_pairs.ahead::<2>());
        numbers = american.or(prefixed).or(four_up).or(fours).or(twos);
    }
    let mut places = V::zero();
    let special_sep = m.special.and(m.sep);
    let open = special_sep.and(m.op);
    if parenthesis(m).any() {
        let close = special_sep.and(m.gap);
        let open_digit = open.and(t.d.ahead::<1>());
        // A group in parentheses is followed by another one, or by one in parentheses.
        let goes_on = close.and(
            t.d.ahead::<1>()
                .or(t.sep.ahead::<1>().and(t.d.ahead::<2>().or(open_digit.ahead::<2>()))),
        );
        let goes_on = goes_on.or(close.and(open_digit.ahead::<1>()));
        let opens = t.d.and(
            open_digit
                .ahead::<1>()
                .or(t.sep.ahead::<1>().and(open_digit.ahead::<2>())),
        );
        if goes_on.or(opens).any() {
            // First `(dd)` up to `(ddddd)` with more behind, or a parenthesis behind one of the next groups.
            let soon = goes_on.ahead::<1>().or(goes_on.ahead::<2>());
            let soon = soon.or(soon.ahead::<2>()).or(goes_on.ahead::<5>());
            let first = t.d.and(soon);
            let near = opens.or(opens.ahead::<1>());
            let near = near.or(near.ahead::<2>());
            let near = near.or(near.ahead::<4>());
            let near = near.or(near.ahead::<8>());
            let near = near.or(near.ahead::<8>());
            numbers = numbers.or(first).or(near.and(t.d));
            places = open.and(first.ahead::<1>());
        }
    }
    let plus = m.special.and(m.op).without(m.sep);
    if plus.any() {
        // A `+`, then at least seven digits and separators.
        let part = t.d.or(t.sep);
        let part2 = part.and(part.ahead::<1>());
        let part4 = part2.and(part2.ahead::<2>());
        let dialled =
            t.d.or(open.and(t.d.ahead::<1>()))
                .ahead::<1>()
                .and(part4.ahead::<1>())
                .and(part4.ahead::<4>());
        places = places.or(plus.and(dialled));
    }
    numbers.and(t.first).or(places)
}

/// `://` before what may be user information: an `@` without a slash or blank before it, or too much to see its end.
#[inline(always)]
fn url<V: Lanes>(m: &Masks<V>) -> V {
    let slash = m.op.and(m.sep).without(m.special);
    let colon = m.op.and(m.gap);
    let scheme = colon.and(slash.ahead::<1>()).and(slash.ahead::<2>());
    if !scheme.any() {
        return scheme;
    }
    let at = m.special.without(m.sep.or(m.op));
    let stop = slash.or(m.sep.and(m.gap).without(m.special));
    let reach = at.or(at.ahead::<1>().without(stop));
    let stop2 = stop.or(stop.ahead::<1>());
    let reach = reach.or(reach.ahead::<2>().without(stop2));
    let stop4 = stop2.or(stop2.ahead::<2>());
    let reach = reach.or(reach.ahead::<4>().without(stop4));
    let stop8 = stop4.or(stop4.ahead::<4>());
    let reach = reach.or(reach.ahead::<8>().without(stop8));
    // The sixteen bytes from the third on, and the eight behind them.
    let stopped = stop8.or(stop8.ahead::<8>()).ahead::<3>();
    scheme.and(reach.ahead::<3>()).or(scheme.without(stopped))
}

/// Two letters, two digits; then at least eleven more of either, or a separator.
#[inline(always)]
fn iban<V: Lanes>(m: &Masks<V>, t: &Terms<V>) -> V {
    let letter = m.word.without(t.d);
    let head = letter.and(letter.ahead::<1>()).and(t.d2.ahead::<2>()).without(t.before);
    if !head.any() {
        return head;
    }
    let w2 = m.word.and(m.word.ahead::<1>());
    let w4 = w2.and(w2.ahead::<2>());
    let long = w4.ahead::<4>().and(w4.ahead::<8>()).and(w4.ahead::<11>());
    // At least 4-4-4-3, and no fourth group longer than four.
    let four = t.sep.and(w4.ahead::<1>());
    let rest = t
        .sep
        .and(w2.ahead::<1>())
        .without(w4.ahead::<1>().and(m.word.ahead::<5>()));
    let grouped = four.and(four.ahead::<5>()).and(rest.ahead::<10>()).ahead::<4>();
    head.and(long.or(grouped))
}

/// `d.d.d`: three numbers of one to three digits with dots between.
#[inline(always)]
fn dotted<V: Lanes>(m: &Masks<V>, t: &Terms<V>) -> V {
    let dot = m.special.and(m.sep).without(m.op.or(m.gap));
    let last = dot.and(t.d.ahead::<1>());
    let middle = dot.and(octet_then(t, last).ahead::<1>());
    let number = dot.and(octet_then(t, middle).ahead::<1>());
    t.first.and(octet_then(t, number))
}

/// One to three digits before one of the places.
#[inline(always)]
fn octet_then<V: Lanes>(t: &Terms<V>, next: V) -> V {
    let one = next.ahead::<1>();
    let two = t.d.ahead::<1>().and(next.ahead::<2>());
    let three = t.d3.and(next.ahead::<3>());
    t.d.and(one.or(two).or(three))
}

/// Colons with up to four hexadecimal digits before one of the places.
#[inline(always)]
fn colon_then<V: Lanes>(colon: V, hex: V, next: V) -> V {
    let four = hex.ahead::<4>().and(next.ahead::<5>());
    let three = hex.ahead::<3>().and(next.ahead::<4>().or(four));
    let two = hex.ahead::<2>().and(next.ahead::<3>().or(three));
    let one = hex.ahead::<1>().and(next.ahead::<2>().or(two));
    colon.and(next.ahead::<1>().or(one))
}

/// Colons of IPv6 addresses, and pairs as in a MAC address.
#[inline(always)]
fn hexadecimal<V: Lanes>(m: &Masks<V>, plan: &Plan) -> V {
    let hex = m.digit.or(m.word.and(m.gap));
    let colon = m.op.and(m.gap);
    let mut places = V::zero();
    if plan.wanted.colons && colon.any() {
        places = colon
            .and(colon.ahead::<1>())
            .or(colon_then(colon, hex, colon_then(colon, hex, colon)));
    }
    if plan.wanted.pairs {
        let dash = m.sep.without(m.word.or(m.special).or(m.op).or(m.gap));
        let joint = colon.or(dash);
        let pair = hex.and(hex.ahead::<1>());
        let joined = joint.and(pair.ahead::<1>());
        places = places.or(joined.and(joined.ahead::<3>()).and(joined.ahead::<6>()));
    }
    places
}

/// Words that have a digit among the sixteen bytes from their start on, and long ones.
#[inline(always)]
fn words<V: Lanes>(m: &Masks<V>, t: &Terms<V>) -> V {
    let near = t.d.or(t.d.ahead::<1>());
    let near = near.or(near.ahead::<2>());
    let near = near.or(near.ahead::<4>());
    let near = near.or(near.ahead::<8>());
    let run2 = m.word.and(m.word.ahead::<1>());
    let run4 = run2.and(run2.ahead::<2>());
    let run12 = run4.and(run4.ahead::<4>()).and(run4.ahead::<8>());
    m.word.without(t.before).and(near.or(run12))
}

/// Beginnings of the last eight or eleven bytes of words.
#[inline(always)]
fn eight_or_eleven<V: Lanes>(m: &Masks<V>) -> V {
    let run2 = m.word.and(m.word.ahead::<1>());
    let run4 = run2.and(run2.ahead::<2>());
    let run8 = run4.and(run4.ahead::<4>());
    let run11 = run8.and(run4.ahead::<7>());
    run8.without(m.word.ahead::<8>())
        .or(run11.without(m.word.ahead::<11>()))
}

/// Ends of keys that an operator follows, with quotes and blanks between; or a blank and a quote.
#[inline(always)]
fn keys<V: Lanes>(m: &Masks<V>) -> V {
    if !m.key.any() {
        return V::zero();
    }
    let operator = m.op.without(m.sep.or(m.special));
    let gap = m.gap.without(m.word);
    // Up to fifteen bytes between.
    let reach = operator.or(gap.and(operator.ahead::<1>()));
    let gap2 = gap.and(gap.ahead::<1>());
    let reach = reach.or(gap2.and(reach.ahead::<2>()));
    let gap4 = gap2.and(gap2.ahead::<2>());
    let reach = reach.or(gap4.and(reach.ahead::<4>()));
    let gap8 = gap4.and(gap4.ahead::<4>());
    let reach = reach.or(gap8.and(reach.ahead::<8>()));
    let blank = m.sep.and(m.gap).without(m.special);
    let quote = gap.without(m.sep.or(m.op));
    m.key
        .and(reach.ahead::<4>().or(blank.ahead::<4>().and(quote.ahead::<5>())))
}

/// Beginnings of runs of at least 32 bytes of base64 (an underscore counts too here).
#[inline(always)]
fn runs<V: Lanes>(m: &Masks<V>) -> V {
    let slash_or_plus = m.op.and(m.sep.or(m.special)).without(m.sep.and(m.special));
    let run = m.word.or(slash_or_plus);
    if !run.any_sixteen() {
        return V::zero();
    }
    let first = run.without(run.behind_one(false));
    let run2 = run.and(run.ahead::<1>());
    let run4 = run2.and(run2.ahead::<2>());
    let run8 = run4.and(run4.ahead::<4>());
    let run16 = run8.and(run8.ahead::<8>());
    first.and(run16).and(run16.ahead::<16>())
}
