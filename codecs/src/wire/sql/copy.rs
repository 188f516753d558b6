//! `COPY`: its statement, with the syntax of all server versions, and how its data is to be read.

use super::lexeme::Lexeme;
use super::names;
use super::statement::TableName;

/// Direction of the data, seen from the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyDirection {
    /// `COPY … FROM`: towards the server.
    In,
    /// `COPY … TO`: from the server.
    Out,
}

/// Format of the data (PostgreSQL documentation, COPY, File Formats).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyFormat {
    /// Text with backslash escapes.
    Text,
    /// Comma-separated values.
    Csv,
    /// Binary tuples.
    Binary,
}

/// Where the data comes from or goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyPlace {
    /// `STDIN` or `STDOUT`: the client.
    Client,
    /// A file of the server.
    File,
    /// A command that the server runs.
    Program,
}

/// What a `COPY` says about its data. Options that were not given have the server's default values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopySpec {
    /// Direction of the data.
    pub direction: CopyDirection,
    /// The other end.
    pub place: CopyPlace,
    /// The table, unless a query is copied.
    pub table: Option<TableName>,
    /// The columns that were listed; empty means all.
    pub columns: Vec<String>,
    /// Format of the data.
    pub format: CopyFormat,
    /// Byte between two fields (text and CSV).
    pub delimiter: u8,
    /// What stands for a null (text and CSV).
    pub null: Vec<u8>,
    /// Quote of a field (CSV).
    pub quote: u8,
    /// What escapes a quote within quotes (CSV).
    pub escape: u8,
    /// Whether the first line has the names of the columns.
    pub header: bool,
    /// Whether a query is copied.
    pub query: bool,
}

/// A `COPY` statement taken apart.
pub(super) struct Copy {
    pub(super) spec: CopySpec,
    /// Lexemes of the query.
    pub(super) query: std::ops::Range<usize>,
}

/// Options as written; the defaults depend on the format.
#[derive(Default)]
struct Options {
    format: Option<CopyFormat>,
    delimiter: Option<u8>,
    null: Option<Vec<u8>>,
    quote: Option<u8>,
    escape: Option<u8>,
    header: bool,
}

struct Reader<'l, 'f> {
    lexemes: &'l [Lexeme<'f>],
    at: usize,
}

/// Takes a `COPY` statement apart; `None` if it is not one that the server would accept.
pub(super) fn parse(lexemes: &[Lexeme<'_>]) -> Option<Copy> {
    let mut reader = Reader { lexemes, at: 0 };
    if !reader.word("copy") {
        return None;
    }
    let mut options = Options::default();
    let mut query = 0..0;
    let mut table = None;
    let mut columns = Vec::new();
    if reader.lexeme(Lexeme::LeftParen) {
        let start = reader.at;
        reader.skip_group()?;
        query = start..reader.at - 1;
    } else {
        if reader.word("binary") {
            options.format = Some(CopyFormat::Binary);
        }
        let (name, end) = names::dotted(lexemes, reader.at)?;
        reader.at = end;
        table = Some(name);
        columns = reader.columns()?;
    }
    let direction = match (reader.word("from"), reader.word("to")) {
        (true, _) if table.is_some() => CopyDirection::In,
        (false, true) => CopyDirection::Out,
        _ => return None,
    };
    let place = reader.place()?;
    reader.options(&mut options)?;
    let spec = options.into_spec(direction, place, table, columns);
    Some(Copy { spec, query })
}

impl<'f> Reader<'_, 'f> {
    fn peek(&self) -> Option<Lexeme<'f>> {
        self.lexemes.get(self.at).copied()
    }

    fn lexeme(&mut self, wanted: Lexeme<'_>) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn word(&mut self, wanted: &str) -> bool {
        self.lexeme(Lexeme::Word(wanted))
    }

    /// Skips to behind the `)` of the group whose `(` was read.
    fn skip_group(&mut self) -> Option<()> {
        let mut depth = 1usize;
        while depth > 0 {
            match self.peek()? {
                Lexeme::LeftParen => depth += 1,
                Lexeme::RightParen => depth -= 1,
                _ => {}
            }
            self.at += 1;
        }
        Some(())
    }

    fn name(&mut self) -> Option<&'f str> {
        let name = self.peek()?.name()?;
        self.at += 1;
        Some(name)
    }

    fn string(&mut self) -> Option<&'f str> {
        match self.peek()? {
            Lexeme::Code(text) => {
                self.at += 1;
                Some(text)
            }
            _ => None,
        }
    }

    fn columns(&mut self) -> Option<Vec<String>> {
        let mut columns = Vec::new();
        if !self.lexeme(Lexeme::LeftParen) {
            return Some(columns);
        }
        loop {
            columns.push(TableName::new(None, self.name()?).name);
            if self.lexeme(Lexeme::RightParen) {
                return Some(columns);
            }
            if !self.lexeme(Lexeme::Comma) {
                return None;
            }
        }
    }

    fn place(&mut self) -> Option<CopyPlace> {
        if self.word("program") {
            self.string()?;
            return Some(CopyPlace::Program);
        }
        if self.word("stdin") || self.word("stdout") {
            return Some(CopyPlace::Client);
        }
        self.string().map(|_| CopyPlace::File)
    }

    fn options(&mut self, options: &mut Options) -> Option<()> {
        // [[USING] DELIMITERS 'c'] stood in front of WITH before 7.3 and is still accepted.
        let using = self.word("using");
        if self.word("delimiters") {
            options.delimiter = Some(single_byte(self.string()?)?);
        } else if using {
            return None;
        }
        self.word("with");
        if self.lexeme(Lexeme::LeftParen) {
            self.generic_options(options)?;
        } else {
            while self.legacy_option(options)? {}
        }
        if self.word("where") {
            // The condition of COPY FROM reads only the row at hand.
            self.at = self.lexemes.len();
        }
        (self.at == self.lexemes.len()).then_some(())
    }

    fn generic_options(&mut self, options: &mut Options) -> Option<()> {
        loop {
            let name = self.name()?;
            match name {
                "format" => {
                    options.format = Some(match self.name_or_string()? {
                        "text" => CopyFormat::Text,
                        "csv" => CopyFormat::Csv,
                        "binary" => CopyFormat::Binary,
                        _ => return None,
                    });
                }
                "delimiter" => options.delimiter = Some(single_byte(self.name_or_string()?)?),
                "null" => options.null = Some(self.name_or_string()?.as_bytes().to_vec()),
                "quote" => options.quote = Some(single_byte(self.name_or_string()?)?),
                "escape" => options.escape = Some(single_byte(self.name_or_string()?)?),
                "header" => options.header = self.header()?,
                _ => self.skip_option_value()?,
            }
            if self.lexeme(Lexeme::RightParen) {
                return Some(());
            }
            if !self.lexeme(Lexeme::Comma) {
                return None;
            }
        }
    }

    fn name_or_string(&mut self) -> Option<&'f str> {
        self.string().or_else(|| self.name())
    }

    /// `HEADER [boolean | MATCH]`. Numbers have no value here, so that `HEADER 0` is not understood: taking it
    /// for either would let a first line pass as what it is not.
    fn header(&mut self) -> Option<bool> {
        if matches!(self.peek()?, Lexeme::Comma | Lexeme::RightParen) {
            return Some(true);
        }
        let value = self.name_or_string()?.to_ascii_lowercase();
        match value.as_str() {
            "true" | "on" | "match" => Some(true),
            "false" | "off" => Some(false),
            _ => None,
        }
    }

    fn skip_option_value(&mut self) -> Option<()> {
        while !matches!(self.peek()?, Lexeme::Comma | Lexeme::RightParen) {
            let group = self.peek() == Some(Lexeme::LeftParen);
            self.at += 1;
            if group {
                self.skip_group()?;
            }
        }
        Some(())
    }

    /// One option of the syntax before 9.0; `false` when there is none left.
    fn legacy_option(&mut self, options: &mut Options) -> Option<bool> {
        let word = self.peek().map_or("", |lexeme| lexeme.word());
        let known = matches!(
            word,
            "binary" | "csv" | "freeze" | "header" | "delimiter" | "null" | "quote" | "escape" | "encoding" | "force"
        );
        if !known {
            return Some(false);
        }
        self.at += 1;
        match word {
            "binary" => options.format = Some(CopyFormat::Binary),
            "csv" => options.format = Some(CopyFormat::Csv),
            "header" => options.header = true,
            "freeze" => {}
            "force" => self.force()?,
            _ => {
                self.word("as");
                let value = self.string()?;
                match word {
                    "delimiter" => options.delimiter = Some(single_byte(value)?),
                    "null" => options.null = Some(value.as_bytes().to_vec()),
                    "quote" => options.quote = Some(single_byte(value)?),
                    "escape" => options.escape = Some(single_byte(value)?),
                    _ => {}
                }
            }
        }
        Some(true)
    }

    /// `FORCE QUOTE * | columns`, `FORCE [NOT] NULL columns`.
    fn force(&mut self) -> Option<()> {
        self.word("not");
        if !self.word("quote") && !self.word("null") {
            return None;
        }
        if self.lexeme(Lexeme::Operator("*")) {
            return Some(());
        }
        loop {
            self.name()?;
            if !self.lexeme(Lexeme::Comma) {
                return Some(());
            }
        }
    }
}

impl Options {
    fn into_spec(
        self,
        direction: CopyDirection,
        place: CopyPlace,
        table: Option<TableName>,
        columns: Vec<String>,
    ) -> CopySpec {
        let format = self.format.unwrap_or(CopyFormat::Text);
        let csv = format == CopyFormat::Csv;
        let quote = self.quote.unwrap_or(b'"');
        let null = if csv { b"".as_slice() } else { b"\\N" };
        CopySpec {
            direction,
            place,
            query: table.is_none(),
            table,
            columns,
            format,
            delimiter: self.delimiter.unwrap_or(if csv { b',' } else { b'\t' }),
            null: self.null.unwrap_or_else(|| null.to_vec()),
            quote,
            escape: self.escape.unwrap_or(quote),
            header: self.header,
        }
    }
}

/// Delimiter, quote and escape are one single-byte character.
fn single_byte(text: &str) -> Option<u8> {
    match text.as_bytes() {
        [byte] => Some(*byte),
        _ => None,
    }
}
