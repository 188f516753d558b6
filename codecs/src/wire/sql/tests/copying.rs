//! `COPY` statements.

use super::analyze;
use crate::wire::sql::{CopyDirection, CopyFormat, CopyPlace, CopySpec, TableName};

fn spec(text: &str) -> CopySpec {
    let statements = analyze(text);
    assert!(statements[0].parsed, "{text}");
    let spec = statements[0].copy.clone();
    CopySpec::clone(&spec.unwrap_or_else(|| panic!("not understood: {text}")))
}

#[test]
fn defaults_depend_on_the_format() {
    let text = spec("COPY orders.customers (id, \"Name\") FROM STDIN");
    assert_eq!(text.direction, CopyDirection::In);
    assert_eq!(text.place, CopyPlace::Client);
    assert_eq!(text.table, Some(TableName::new(Some("orders"), "customers")));
    assert_eq!(text.columns, ["id", "Name"]);
    assert_eq!(text.format, CopyFormat::Text);
    assert_eq!((text.delimiter, text.null.as_slice()), (b'\t', b"\\N".as_slice()));
    let csv = spec("copy customers to stdout (format csv)");
    assert_eq!(csv.direction, CopyDirection::Out);
    assert_eq!((csv.delimiter, csv.null.as_slice()), (b',', b"".as_slice()));
    assert_eq!((csv.quote, csv.escape, csv.header), (b'"', b'"', false));
    assert_eq!(
        spec("copy t to stdout with (format 'binary')").format,
        CopyFormat::Binary
    );
}

#[test]
fn options_are_read_in_both_syntaxes() {
    let new = spec(
        "COPY t TO STDOUT WITH (FORMAT csv, DELIMITER ';', NULL 'n', QUOTE '''', ESCAPE E'\\\\', HEADER true, FORCE_QUOTE (a, b), ENCODING 'UTF8')",
    );
    let old = spec(
        "COPY t TO STDOUT WITH CSV HEADER DELIMITER AS ';' NULL 'n' QUOTE '''' ESCAPE E'\\\\' FORCE QUOTE a, b ENCODING 'UTF8'",
    );
    assert_eq!(new, old);
    assert_eq!((new.delimiter, new.quote, new.escape), (b';', b'\'', b'\\'));
    assert!(new.header);
    let oldest = spec("COPY BINARY t FROM STDIN USING DELIMITERS '|'");
    assert_eq!(oldest.format, CopyFormat::Binary);
    assert_eq!(oldest.delimiter, b'|');
    assert!(!spec("COPY t TO STDOUT (FORMAT csv, HEADER off)").header);
    assert!(spec("COPY t FROM STDIN (FORMAT csv, HEADER MATCH)").header);
    assert_eq!(spec("COPY t FROM STDIN DELIMITER E'\\t' NULL AS ''").null, b"");
    assert_eq!(spec("COPY t FROM STDIN WHERE a > 5").direction, CopyDirection::In);
    assert_eq!(spec("COPY t FROM STDIN (DELIMITER U&'\\007C')").delimiter, b'|');
    assert_eq!(spec("COPY t FROM STDIN (DELIMITER $$|$$)").delimiter, b'|');
}

#[test]
fn queries_are_copied_out_only() {
    let query = spec("COPY (SELECT a, (b) FROM t WHERE c = ')') TO STDOUT");
    assert!(query.query);
    assert_eq!(query.table, None);
    let statement = &analyze("COPY (SELECT 1) FROM STDIN")[0];
    assert!(statement.copy.is_none() && !statement.parsed);
}

#[test]
fn what_is_not_understood_has_no_spec() {
    for text in [
        "COPY t",
        "COPY t TO STDOUT (FORMAT xml)",
        "COPY t TO STDOUT (DELIMITER '||')",
        "COPY t TO STDOUT (FORMAT csv, HEADER 0)",
        "COPY t TO STDOUT trailing words",
        "COPY t TO STDOUT (FORMAT csv",
    ] {
        let statement = &analyze(text)[0];
        assert!(statement.copy.is_none(), "{text}");
        assert!(!statement.parsed, "{text}");
        assert!(statement.effects.names().any(|name| name == "unknown"), "{text}");
    }
}
