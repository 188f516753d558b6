#!/usr/bin/env python3
"""Mutation check of the matcher: makes one hand-made fault at a time and demands that the tests notice it.

dataplane/scan/mutants/run.py            every fault
dataplane/scan/mutants/run.py WORD ...   the faults whose name has one of the words in it

Works on a copy of the sources in a folder of its own, so the tree is never touched; each fault costs one build of the crate and one run of the tests that
are named for it. Ends with an error if a fault survives, or if its place is no longer in the sources.
"""

import os
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
TARGET = os.path.abspath(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")))
COPY = os.path.join(TARGET, "mutants")
TEST_SECONDS_MAX = 900

# What the differential tests see: the back ends against the reference.
LEVELS = ["--test", "differential"]
# What the unit tests see: verifiers, order, cells, streams.
UNITS = ["--lib", "--", "detect::", "plan::", "cells::", "context::", "order::", "tests::custom", "tests::long", "tests::properties::two_way", "tests::properties::every_value"]

SRC = "dataplane/scan/src/"

# Name, file, what stands there, the fault, the tests that must notice.
MUTANTS = [
    ("class-digit-range", "plan.rs", "b'0'..=b'9' => DIGIT | WORD", "b'0'..=b'8' => DIGIT | WORD", LEVELS),
    ("class-underscore", "plan.rs", "b'g'..=b'z' | b'G'..=b'Z' | b'_' => WORD", "b'g'..=b'z' | b'G'..=b'Z' => WORD", LEVELS),
    ("class-dot-no-separator", "plan.rs", "b'.' => SEP | SPECIAL", "b'.' => SPECIAL", LEVELS),
    ("class-backslash-no-gap", "plan.rs", "b'\"' | b'\\'' | b'`' | b']' | b'\\\\' => GAP", "b'\"' | b'\\'' | b'`' | b']' => GAP", LEVELS),
    ("class-plus", "plan.rs", "b'+' => OP | SPECIAL", "b'+' => OP", LEVELS),
    ("code-beyond-ascii", "arch/all.rs", "let plain = if *byte < 0x80 { CODES[usize::from(*byte)] } else { 0 };", "let plain = CODES[usize::from(*byte & 0x7f)];", LEVELS),
    ("code-beyond-ascii-512", "arch/x86_64/avx512.rs", "let codes = look_up(&CODES, ascii(bytes));", "let codes = look_up(&CODES, bytes);", LEVELS),
    ("lanes-no-neighbour-512", "arch/x86_64/avx512.rs", "_mm512_alignr_epi64::<1>(_mm512_setzero_si512(), lanes)", "_mm512_alignr_epi64::<2>(_mm512_setzero_si512(), lanes)", LEVELS),
    ("lanes-no-neighbour-avx2", "arch/x86_64/avx2.rs", "_mm256_permute4x64_epi64::<0b11_11_10_01>(self.0)", "_mm256_permute4x64_epi64::<0b11_11_11_01>(self.0)", LEVELS),
    ("lanes-shift-portable", "arch/all.rs", "next << (64 - distance)", "next << (63 - distance)", LEVELS),
    ("carry-into-lane-512", "arch/x86_64/avx512.rs", "_mm512_alignr_epi64::<7>(lanes, _mm512_set1_epi64(before as i64))", "_mm512_alignr_epi64::<7>(lanes, lanes)", LEVELS),
    ("carry-word-before-window", "arch/mod.rs", "let word_before = base > 0 && is(bytes[base - 1], WORD);", "let word_before = base > 0;", LEVELS),
    ("window-own-places", "arch/all.rs", "V([u64::MAX, u64::MAX, u64::MAX, u64::from(u32::MAX)])", "V([u64::MAX, u64::MAX, u64::MAX, u64::from(u16::MAX)])", LEVELS),
    ("window-steps-too-far", "arch/mod.rs", "let next = base + B::BYTES - AHEAD_BYTES;", "let next = base + B::BYTES - AHEAD_BYTES + 1;", LEVELS),
    ("transpose-mixed-up", "arch/x86_64/avx512.rs", "let (digit, sep, op, literal) = quarters([", "let (digit, op, sep, literal) = quarters([", LEVELS),
    ("shape-ssn-distance", "algebra.rs", "places.or(t.d3.and(two_four.ahead::<3>()))", "places.or(t.d3.and(two_four.ahead::<4>()))", LEVELS),
    ("shape-card-too-narrow", "algebra.rs", "more.ahead::<10>()", "t.d.ahead::<10>()", LEVELS),
    ("shape-card-no-long-runs", "algebra.rs", "places.or(d12).or(six_thirteen);", "places.or(six_thirteen);", LEVELS),
    ("shape-iban-longer", "algebra.rs", "w4.ahead::<4>().and(w4.ahead::<8>()).and(w4.ahead::<11>())", "w4.ahead::<4>().and(w4.ahead::<8>()).and(w4.ahead::<12>())", LEVELS),
    ("shape-phone-no-prefix", "algebra.rs", "american.or(prefixed).or(four_up)", "american.or(four_up)", LEVELS),
    ("shape-phone-no-parentheses", "algebra.rs", "numbers = numbers.or(first).or(near.and(t.d));", "numbers = numbers.or(first);", LEVELS),
    ("shape-plus-longer", "algebra.rs", "part4.ahead::<4>());\n        places = places.or(plus", "part4.ahead::<12>());\n        places = places.or(plus", LEVELS),
    ("shape-at", "algebra.rs", "at.and(m.word.ahead::<1>())", "at.and(m.digit.ahead::<1>())", LEVELS),
    ("shape-url-reach", "algebra.rs", "scheme.and(reach.ahead::<3>()).or(scheme.without(stopped))", "scheme.and(reach.ahead::<3>())", LEVELS),
    ("shape-keys-gap", "algebra.rs", ".and(reach.ahead::<4>().or(", ".and(operator.ahead::<4>().or(", LEVELS),
    ("word-goes-on", "forms.rs", "self.words >> (self.run() + 1) & 1 == 1", "self.words >> (self.run() + 2) & 1 == 1", LEVELS),
    ("word-kind-last", "forms.rs", "| (digits >> (run - 1) & 1) << 2", "| (digits >> run & 1) << 2", LEVELS),
    ("word-letters-only", "algebra.rs", "weak = weak.or(eight_or_eleven(m).without(before));", "", LEVELS),
    ("word-glued", "detect/tokens.rs", "get_or_insert_with(|| glued(text, self.start, end, number))", "get_or_insert(false)", LEVELS),
    ("hot-short-words", "context.rs", "self.short[place / 64] >> (place % 64) & 1 == 1", "false", ["--lib", "--", "context::"]),
    ("wide-half-decided", "wide.rs", "decided - walk.text", "0", ["--test", "wide"]),
    ("wide-pair-cut", "wide.rs", "Some(0xd8..=0xdb) => half + UNIT_BYTES,", "Some(0xd8..=0xdb) => half,", ["--test", "wide"]),
    ("shape-weak-too-long", "algebra.rs", "let part7 = part4.and(part4.ahead::<3>());", "let part7 = part4.and(part4.ahead::<8>());", LEVELS),
    ("hot-reach", "arch/mod.rs", "near.and_behind::<8>().and_behind::<15>();", "near.and_behind::<8>().and_behind::<14>();", LEVELS),
    ("hot-wide-text", "arch/mod.rs", "_ => near.or(near.behind_by(wide, before)),", "_ => near,", LEVELS),
    ("hot-block-before", "arch/mod.rs", "hot.before &= u64::MAX << (BLOCK_BYTES - near_bits);", "hot.before = 0;", LEVELS),
    ("hot-single-reach", "arch/mod.rs", "let marks = marks & u64::MAX << (BLOCK_BYTES - HOT_PRINT_BYTES - CONTEXT_CHARS);", "let marks = marks & u64::MAX << (BLOCK_BYTES - CONTEXT_CHARS);", LEVELS),
    ("shape-decimal-too-long", "algebra.rs", "fraction.or(t.d3.and(fraction.ahead::<3>()))", "fraction.or(t.d4.and(fraction.ahead::<4>()))", ["--test", "pitfalls"]),
    ("shape-day-goes-on", "algebra.rs", ".without(t.d.ahead::<10>())", "", LEVELS),
    ("card-fours-go-on", "detect/card.rs", "&& (bits >> FOUR_FOURS_BYTES & 0b11 == 0 ||", "&& (true ||", LEVELS),
    ("email-look-dots", "detect/email.rs", "|| dot & dot << 1 != 0", "", LEVELS),
    ("email-look-dash", "detect/email.rs", "let own = alnum >> label & !(u64::MAX << run);", "let own = !(u64::MAX << run);", LEVELS),
    ("octet-leading-zero", "detect/network.rs", "(len == 1 || digit(len) != 0)", "true", LEVELS),
    ("iban-look-letters", "detect/iban.rs", "&& digit & country.capitals == 0;", ";", LEVELS),
    ("word-at-window-end", "bulk.rs", "if offset + BLOCK_BYTES > found.bytes {", "if offset > found.bytes {", LEVELS),
    ("hot-plural", "arch/all.rs", "!next.is_ascii_lowercase() || next == b's'", "!next.is_ascii_lowercase()", LEVELS),
    ("operator-in-next-window", "bulk.rs", "Some(offset) => self.late |= 1 << offset,", "Some(_) => {}", LEVELS),
    ("key-at-start", "bulk.rs", "if from == 0 {\n            self.key_at_start();\n        }", "", LEVELS),
    ("armour-run-start", "bulk.rs", "self.channel(place + 1 - run);", "self.channel(place);", LEVELS),
    ("tail-of-piece", "engine.rs", "_ if !self.text.last() => self.bulk_end(from),", "", LEVELS),
    ("runs-in-blocks-limit", "text.rs", "if end >= limit {\n                end = limit;\n                break;", "if end >= limit {\n                break;", LEVELS),
    ("runs-in-blocks-edge", "text.rs", "if end >= self.bytes.len() {\n                    self.edge.set(true);", "if end > self.bytes.len() {\n                    self.edge.set(true);", LEVELS),
    ("cells-context-of-cell", "engine.rs", "(cells.context(self.cell), cells.start(self.cell))", "(cells.context(self.cell), 0)", LEVELS),
    ("cells-map-back", "cells.rs", "let (low, high) = (near + step / 2, self.starts.len().min(near + step));", "let (low, high) = (near + step / 2, self.starts.len().min(near + step / 2 + 1));", LEVELS),
    ("layout-social", "detect/mod.rs", "social: digits & 0xfff == ssn::GROUPED", "social: digits & 0xfff == ssn::GROUPED << 1", LEVELS),
    ("layout-card", "detect/card.rs", "digits & 0x3fff == FOURS", "digits & 0x7fff == FOURS", LEVELS),
    ("luhn-doubles-wrong", "detect/card.rs", "[0, 2, 4, 6, 8, 1, 3, 5, 7, 9,", "[0, 2, 4, 6, 8, 1, 3, 5, 9, 7,", UNITS),
    ("luhn-side", "detect/card.rs", "digits.rchunks(2)", "digits.chunks(2)", UNITS),
    ("card-issuer-length", "detect/card.rs", "issuer.lengths >> digits.len() & 1 == 1", "issuer.lengths >> digits.len() != 0", UNITS),
    ("iban-mod", "detect/iban.rs", "rest %= 97;", "rest %= 89;", UNITS),
    ("iban-order", "detect/iban.rs", "account.chunks(8).chain([head])", "[head].into_iter().chain(account.chunks(8))", UNITS),
    ("iban-kind", "detect/iban.rs", "b'a' => CAPITAL,", "b'a' => NUMBER | CAPITAL,", UNITS),
    ("ssn-group-zero", "detect/ssn.rs", "&& group != 0", "", UNITS),
    ("email-local-length", "detect/email.rs", "len <= EMAIL_LOCAL_BYTES_MAX).then_some", "len <= EMAIL_LOCAL_BYTES_MAX + 1).then_some", UNITS),
    ("order-duplicates", "order.rs", "let clear_left = place == 0 || accepted[place - 1].end <= raw.start;", "let clear_left = true;", UNITS),
    ("order-longest", "order.rs", "|raw| (raw.rank, raw.start, Reverse(raw.end), raw.detector)", "|raw| (raw.rank, raw.start, raw.end, raw.detector)", UNITS),
    ("order-horizon", "order.rs", "if cluster.end > horizon {", "if cluster.start > horizon {", UNITS),
    ("stream-tail", "stream.rs", "let keep_old = known.min(STREAM_TAIL_BYTES - keep_new);", "let keep_old = 0;", UNITS),
]


def run(command):
    environment = {**os.environ, "CARGO_TARGET_DIR": os.path.join(TARGET, "mutants-target"), "RUST_BACKTRACE": "0"}
    return subprocess.run(
        command, cwd=COPY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=TEST_SECONDS_MAX, check=False
    )


def copy_tree():
    shutil.rmtree(COPY, ignore_errors=True)
    os.makedirs(COPY)
    # New times: cargo must not take the build of a fault from an earlier run for the build of these sources.
    shutil.copytree(os.path.join(ROOT, "dataplane", "scan"), os.path.join(COPY, "dataplane", "scan"), copy_function=shutil.copy, ignore=shutil.ignore_patterns("target"))
    shutil.copy(os.path.join(ROOT, "Cargo.lock"), COPY)
    with open(os.path.join(ROOT, "Cargo.toml"), encoding="utf-8") as file:
        manifest = file.read()
    # A workspace of this crate alone.
    before, rest = manifest.split("members = [", 1)
    manifest = before + 'members = ["dataplane/scan"]' + rest.split("]", 1)[1]
    manifest = "\n".join(line for line in manifest.split("\n") if not line.startswith(("default-members", "exclude")))
    with open(os.path.join(COPY, "Cargo.toml"), "w", encoding="utf-8") as file:
        file.write(manifest)


def caught(name, path, old, new, tests):
    """Whether the tests notice; a fault that the compiler refuses counts too, but is said."""
    place = os.path.join(COPY, SRC, path)
    with open(place, encoding="utf-8") as file:
        text = file.read()
    if text.count(old) < 1:
        return False, "its place is not in the sources"
    try:
        with open(place, "w", encoding="utf-8") as file:
            file.write(text.replace(old, new, 1))
        try:
            result = run(["cargo", "test", "-q", "-p", "scan", *tests])
        except subprocess.TimeoutExpired:
            return True, "the tests never end"
    finally:
        with open(place, "w", encoding="utf-8") as file:
            file.write(text)
    if "could not compile" in result.stdout:
        return False, "it does not compile:\n" + result.stdout[-1500:]
    return result.returncode != 0, "the tests pass"


def main():
    wanted = sys.argv[1:]
    chosen = [mutant for mutant in MUTANTS if not wanted or any(word in mutant[0] for word in wanted)]
    copy_tree()
    for tests in (LEVELS, UNITS):
        if any(mutant[4] is tests for mutant in chosen):
            result = run(["cargo", "test", "-q", "-p", "scan", *tests])
            if result.returncode != 0:
                sys.exit("without a fault the tests fail:\n" + result.stdout[-3000:])
    survivors = 0
    for mutant in chosen:
        began = time.monotonic()
        good, why = caught(*mutant)
        survivors += not good
        print(f"{'caught  ' if good else 'SURVIVES'} {mutant[0]}" + ("" if good else f": {why}") + f" ({time.monotonic() - began:.0f} s)", flush=True)
    print(f"{len(chosen) - survivors} caught, {survivors} not", flush=True)
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
