//! Commands of replication connections, told from SQL as the server tells them: by their first word.

use crate::wire::sql::Effects;

/// Bytes of a command that are read: names, a position and options of a plugin fit many times.
const COMMAND_BYTES_MAX: usize = 64 * 1024;

/// A command, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// `IDENTIFY_SYSTEM`, `READ_REPLICATION_SLOT`, `TIMELINE_HISTORY`: answers with facts about the server.
    Facts,
    CreateSlot,
    AlterSlot,
    DropSlot,
    /// `START_REPLICATION` of the log as it is.
    StreamPhysical,
    /// `START_REPLICATION SLOT … LOGICAL`. `pgoutput`: it has the options without which that plugin does not start.
    StreamLogical {
        pgoutput: bool,
    },
    /// `BASE_BACKUP`: the files of all databases.
    BaseBackup,
    /// `UPLOAD_MANIFEST`: of an earlier backup, for an incremental one.
    UploadManifest,
}

impl Command {
    /// Reads a text. `None`: it is SQL (`SHOW` is read as SQL as well), or nothing that a server takes.
    pub fn parse(text: &[u8]) -> Option<Command> {
        let tokens = tokens(text)?;
        let [Token::Word(first), rest @ ..] = tokens.as_slice() else {
            return None;
        };
        let is = |word: &str| first.eq_ignore_ascii_case(word.as_bytes());
        if is("START_REPLICATION") {
            return Some(stream(rest));
        }
        [
            ("IDENTIFY_SYSTEM", Command::Facts),
            ("READ_REPLICATION_SLOT", Command::Facts),
            ("TIMELINE_HISTORY", Command::Facts),
            ("CREATE_REPLICATION_SLOT", Command::CreateSlot),
            ("ALTER_REPLICATION_SLOT", Command::AlterSlot),
            ("DROP_REPLICATION_SLOT", Command::DropSlot),
            ("BASE_BACKUP", Command::BaseBackup),
            ("UPLOAD_MANIFEST", Command::UploadManifest),
        ]
        .iter()
        .find(|(word, _)| is(word))
        .map(|(_, command)| *command)
    }

    /// What guardrails see.
    pub fn effects(self) -> Effects {
        match self {
            Command::Facts => Effects::SHOW,
            Command::CreateSlot => Effects::CREATE,
            Command::AlterSlot => Effects::ALTER,
            Command::DropSlot => Effects::DROP,
            Command::StreamPhysical | Command::StreamLogical { .. } | Command::BaseBackup => {
                Effects::SELECT | Effects::COPY_OUT
            }
            Command::UploadManifest => Effects::COPY_IN,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a [u8]),
    /// What stands in double quotes, doubled ones left as they are.
    Quoted(&'a [u8]),
    String,
    Mark(u8),
}

/// `START_REPLICATION [SLOT name] [PHYSICAL] position …` or `START_REPLICATION SLOT name LOGICAL position [(option 'value', …)]`.
fn stream(rest: &[Token<'_>]) -> Command {
    let (slot, logical) = match rest {
        [slot, _, logical, ..] => (slot.is_word("SLOT"), logical.is_word("LOGICAL")),
        _ => (false, false),
    };
    if !slot || !logical {
        return Command::StreamPhysical;
    }
    let has = |wanted: &[u8]| {
        rest.windows(2)
            .any(|pair| matches!(pair, [Token::Word(name) | Token::Quoted(name), Token::String] if *name == wanted))
    };
    Command::StreamLogical {
        pgoutput: has(b"proto_version") && has(b"publication_names"),
    }
}

impl Token<'_> {
    fn is_word(&self, word: &str) -> bool {
        matches!(self, Token::Word(found) if found.eq_ignore_ascii_case(word.as_bytes()))
    }
}

/// The tokens of a single command; a semicolon may only stand last. `None`: not of that form.
fn tokens(text: &[u8]) -> Option<Vec<Token<'_>>> {
    if text.len() > COMMAND_BYTES_MAX {
        return None;
    }
    let mut tokens = Vec::new();
    let mut at = 0;
    let mut ended = false;
    while let Some(&byte) = text.get(at) {
        if byte.is_ascii_whitespace() || byte == 0x0b {
            at += 1;
            continue;
        }
        if ended {
            return None;
        }
        let (token, end) = match byte {
            b'"' => {
                let end = quoted_end(text, at)?;
                (Token::Quoted(text.get(at + 1..end - 1)?), end)
            }
            b'\'' => (Token::String, quoted_end(text, at)?),
            b';' => {
                ended = true;
                at += 1;
                continue;
            }
            b'(' | b')' | b',' | b'/' | b'-' | b'.' | b'=' => (Token::Mark(byte), at + 1),
            _ if is_word_byte(byte) => {
                let rest = text.get(at..)?;
                let len = rest.iter().take_while(|byte| is_word_byte(**byte)).count();
                (Token::Word(rest.get(..len)?), at + len)
            }
            _ => return None,
        };
        tokens.push(token);
        at = end;
    }
    Some(tokens)
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// The end of what begins with a quote at `at`; a doubled quote does not end it.
fn quoted_end(text: &[u8], at: usize) -> Option<usize> {
    let quote = *text.get(at)?;
    let mut next = at + 1;
    loop {
        next += memchr::memchr(quote, text.get(next..)?)? + 1;
        if text.get(next) != Some(&quote) {
            return Some(next);
        }
        next += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_by_their_first_word() {
        let logical = |pgoutput| Some(Command::StreamLogical { pgoutput });
        let cases: &[(&str, Option<Command>)] = &[
            ("IDENTIFY_SYSTEM", Some(Command::Facts)),
            (" identify_system ;", Some(Command::Facts)),
            ("READ_REPLICATION_SLOT a", Some(Command::Facts)),
            (
                "CREATE_REPLICATION_SLOT \"a\" LOGICAL pgoutput (SNAPSHOT 'nothing')",
                Some(Command::CreateSlot),
            ),
            ("DROP_REPLICATION_SLOT a WAIT", Some(Command::DropSlot)),
            ("BASE_BACKUP ( LABEL 'x;y',  PROGRESS)", Some(Command::BaseBackup)),
            ("START_REPLICATION 0/1000 TIMELINE 1", Some(Command::StreamPhysical)),
            ("START_REPLICATION SLOT \"logical\" 0/0", Some(Command::StreamPhysical)),
            ("START_REPLICATION SLOT s PHYSICAL 0/0", Some(Command::StreamPhysical)),
            ("START_REPLICATION SLOT \"s\" LOGICAL 0/0", logical(false)),
            (
                "START_REPLICATION SLOT s LOGICAL 0/0 (proto_version '1')",
                logical(false),
            ),
            (
                "START_REPLICATION SLOT s LOGICAL 0/0 (proto_version '1', publication_names '\"p\"')",
                logical(true),
            ),
            (
                "START_REPLICATION SLOT s LOGICAL 0/0 (\"proto_version\" '1', \"publication_names\" 'p')",
                logical(true),
            ),
            (
                "START_REPLICATION SLOT s LOGICAL 0/0 (x 'proto_version', y 'publication_names')",
                logical(false),
            ),
            ("SHOW wal_segment_size", None),
            ("SELECT 1", None),
            ("IDENTIFY_SYSTEM; DROP TABLE a", None),
            ("DROP_REPLICATION_SLOT 'a", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(Command::parse(text.as_bytes()), *expected, "{text}");
        }
    }
}
