//! Redaction of bodies as they stream by: what comes out never depends on how the body was cut.
//!
//! ```text
//! bytes -> media -> text  : one stream of the matcher over everything
//!                   json  : each string and each number is a value of its own, unescaped, with its member's name as context
//!                   csv   : each field is a value of its own, with its column's name as context
//!                   events: each line is a value; JSON after `data:` is read as JSON
//! ```

use std::sync::Arc;

use scan::{Context, Finding, Stream};

use super::csv::Csv;
use super::json::Json;
use super::limits::EVENT_LINE_BYTES_MAX;
use crate::judge::redact::Redactor;
use crate::judge::tally::{Finder, Place, Tally};
use crate::policy::RuleSet;
use crate::session::Scratch;

/// How a body is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    Text,
    Json,
    /// A table in text, with the names of its columns in the first record.
    Csv,
    /// Server-sent events (HTML standard, section 9.2).
    Events,
    /// Pictures, sound, fonts: nothing to read.
    Opaque,
    /// In an encoding that cannot be read.
    Unreadable,
}

impl Media {
    /// From the value of Content-Type. What is not known is read as text: a type is a claim of the target.
    pub fn of(content_type: Option<&str>) -> Media {
        let whole = content_type.unwrap_or_default().to_ascii_lowercase();
        let kind = whole.split(';').next().unwrap_or_default().trim();
        if let Some(at) = whole.find("charset=") {
            let charset = whole.get(at + 8..).unwrap_or_default();
            let charset = charset
                .trim_start_matches('"')
                .split([';', '"', ' '])
                .next()
                .unwrap_or_default();
            let readable = ["utf-8", "utf8", "us-ascii", "ascii", "latin1"].contains(&charset)
                || charset.starts_with("iso-8859-")
                || charset.starts_with("windows-125");
            if !readable {
                return Media::Unreadable;
            }
        }
        match kind {
            "text/event-stream" => Media::Events,
            "application/json"
            | "text/json"
            | "application/x-ndjson"
            | "application/jsonl"
            | "application/json-seq" => Media::Json,
            "text/csv" | "application/csv" | "text/tab-separated-values" => Media::Csv,
            "image/svg+xml" => Media::Text,
            kind if kind.ends_with("+json") => Media::Json,
            kind if ["image/", "audio/", "video/", "font/"]
                .iter()
                .any(|family| kind.starts_with(family)) =>
            {
                Media::Opaque
            }
            _ => Media::Text,
        }
    }
}

/// The body cannot be read, so it may not go on. The text says why and holds nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub &'static str);

/// Redacts one body.
#[derive(Debug)]
pub struct BodyFilter {
    pub(crate) rules: Arc<RuleSet>,
    reader: Reader,
    pub(crate) tally: Tally,
}

#[derive(Debug)]
enum Reader {
    Pass,
    Refuse,
    Text(Box<TextReader>),
    /// The first byte decides whether what is called JSON is JSON.
    JsonUnknown,
    Json(Box<Json>),
    Csv(Box<Csv>),
    Events {
        line: Vec<u8>,
    },
}

impl BodyFilter {
    pub fn new(rules: Arc<RuleSet>, media: Media) -> BodyFilter {
        let reader = match media {
            _ if rules.is_empty() => Reader::Pass,
            Media::Opaque => Reader::Pass,
            Media::Unreadable => Reader::Refuse,
            Media::Text => Reader::Text(Box::default()),
            Media::Json => Reader::JsonUnknown,
            Media::Csv => Reader::Csv(Box::default()),
            Media::Events => Reader::Events { line: Vec::new() },
        };
        BodyFilter {
            rules,
            reader,
            tally: Tally::default(),
        }
    }

    /// Whether anything may be changed.
    pub fn passes(&self) -> bool {
        matches!(self.reader, Reader::Pass)
    }

    /// Whether anything was found.
    pub fn found(&self) -> bool {
        !self.tally.is_empty()
    }

    /// Takes a piece of the body and appends what may leave. `last`: nothing follows; called exactly once with it.
    ///
    /// # Errors
    /// [`Unreadable`]: nothing more may leave.
    pub fn feed(
        &mut self,
        input: &[u8],
        last: bool,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<(), Unreadable> {
        let mut sink = Sink {
            rules: &self.rules,
            tally: &mut self.tally,
            redactor: &mut scratch.redactor,
        };
        if matches!(self.reader, Reader::JsonUnknown) && !input.is_empty() {
            let plain = input.iter().find(|b| !b.is_ascii_whitespace());
            self.reader = match plain {
                Some(b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n' | 0x1e) => {
                    Reader::Json(Box::default())
                }
                Some(0 | 0xfe | 0xff) => Reader::Refuse,
                Some(_) => Reader::Text(Box::default()),
                None => Reader::JsonUnknown,
            };
        }
        match &mut self.reader {
            Reader::Refuse if input.is_empty() && last => Ok(()),
            Reader::Refuse => Err(Unreadable("the body's encoding cannot be read")),
            Reader::Pass | Reader::JsonUnknown => {
                out.extend_from_slice(input);
                Ok(())
            }
            Reader::Text(text) => {
                text.feed(input, last, Context::default(), &mut sink, out);
                Ok(())
            }
            Reader::Json(json) => json.feed(input, last, &mut sink, out),
            Reader::Csv(csv) => csv.feed(input, last, &mut sink, out),
            Reader::Events { line } => events(line, input, last, &mut sink, out),
        }
    }
}

/// What readers look with and write to.
pub(super) struct Sink<'a> {
    pub rules: &'a RuleSet,
    pub tally: &'a mut Tally,
    pub redactor: &'a mut Redactor,
}

impl Sink<'_> {
    /// Findings of one complete value, which the caller takes from `self.redactor.findings`. False if there are none.
    pub fn scan(&mut self, value: &[u8], context: Context) -> bool {
        self.redactor.findings.clear();
        let rules = self.rules;
        let Some(scanner) = &rules.scanner else {
            return false;
        };
        if value.len() < self.rules.finding_bytes_min {
            return false;
        }
        scanner.scan(value, context, &mut self.redactor.scan, &mut self.redactor.findings);
        !self.redactor.findings.is_empty()
    }

    /// Counts a finding, and says whether it is to be masked.
    pub fn count(&mut self, finding: &Finding) -> bool {
        let action = self.rules.action(finding.detector);
        if finding.offset == 0 {
            self.tally
                .add(Finder::Detector(finding.detector), Place::Body, action.enforce);
        }
        action.enforce
    }
}

/// Text as one stream.
#[derive(Debug, Default)]
pub(super) struct TextReader {
    stream: Stream,
    held: Vec<u8>,
}

impl TextReader {
    pub fn feed(&mut self, input: &[u8], last: bool, context: Context, sink: &mut Sink<'_>, out: &mut Vec<u8>) {
        self.advance(input, last, context, sink, |piece, masked, _| {
            out.extend_from_slice(masked.unwrap_or(piece));
        });
    }

    /// Hands decided pieces to `emit`: the bytes, and what replaces them where they are masked.
    pub fn advance(
        &mut self,
        input: &[u8],
        last: bool,
        context: Context,
        sink: &mut Sink<'_>,
        mut emit: impl FnMut(&[u8], Option<&[u8]>, usize),
    ) {
        self.held.extend_from_slice(input);
        let rules = sink.rules;
        let Some(scanner) = &rules.scanner else {
            emit(&self.held, None, 0);
            return self.held.clear();
        };
        let mut replacement = Vec::new();
        // One call can stop at the end of a long finding; what is left is decided by the next.
        loop {
            let mut findings = std::mem::take(&mut sink.redactor.findings);
            findings.clear();
            let decided = self.stream.advance(
                scanner,
                context,
                &mut sink.redactor.scan,
                &self.held,
                last,
                &mut findings,
            );
            let mut at = 0;
            for finding in &findings {
                if !sink.count(finding) {
                    continue;
                }
                let action = rules.action(finding.detector);
                let (start, end) = (finding.start as usize, finding.end as usize);
                emit(self.held.get(at..start).unwrap_or_default(), None, at);
                let value = self.held.get(start..end).unwrap_or_default();
                replacement.clear();
                // How much of a longer one is seen at once depends on how the body was cut.
                let whole = finding.offset == 0 && !finding.open && value.len() <= scanner.report().match_bytes_max;
                if whole {
                    let mask = action.mask_of(finding.detector);
                    mask.append(&action.label, value, &mut replacement);
                } else if finding.detector.is_in_code() {
                    replacement.extend(value.iter().map(|byte| codecs::edit::encoded_byte(*byte)));
                } else {
                    replacement.resize(value.len(), codecs::edit::MASK_BYTE);
                }
                emit(value, Some(&replacement), start);
                at = end;
            }
            emit(self.held.get(at..decided).unwrap_or_default(), None, at);
            sink.redactor.findings = findings;
            self.held.drain(..decided.min(self.held.len()));
            if decided == 0 || self.held.is_empty() || !last {
                return;
            }
        }
    }
}

/// Lines leave when they end, so that an event is never late.
fn events(
    line: &mut Vec<u8>,
    input: &[u8],
    last: bool,
    sink: &mut Sink<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Unreadable> {
    for part in input.split_inclusive(|b| matches!(b, b'\n' | b'\r')) {
        line.extend_from_slice(part);
        if line.len() > EVENT_LINE_BYTES_MAX {
            return Err(Unreadable("a line of the event stream is too long"));
        }
        if matches!(part.last(), Some(b'\n' | b'\r')) {
            event_line(line, sink, out);
            line.clear();
        }
    }
    if last && !line.is_empty() {
        event_line(line, sink, out);
        line.clear();
    }
    Ok(())
}

fn event_line(line: &[u8], sink: &mut Sink<'_>, out: &mut Vec<u8>) {
    let value = line.strip_prefix(b"data:").unwrap_or_default();
    let first = value.iter().find(|b| !b.is_ascii_whitespace());
    if matches!(first, Some(b'{' | b'[' | b'"')) {
        let begin = out.len();
        let counted = sink.tally.clone();
        out.extend_from_slice(b"data:");
        if Json::default().feed(value, true, sink, out).is_ok() {
            return;
        }
        // It only looked like JSON.
        out.truncate(begin);
        *sink.tally = counted;
    }
    TextReader::default().feed(line, true, Context::default(), sink, out);
}
