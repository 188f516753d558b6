//! What commands print: tables for people, JSON for programs; always to standard output, never a broken-pipe panic.

use std::io::Write;

use serde_json::Value;

use crate::failure::Outcome;

/// Prints a line; a reader that went away ends the program quietly.
pub fn line(text: &str) {
    let mut output = std::io::stdout().lock();
    if writeln!(output, "{text}").and_then(|()| output.flush()).is_err() {
        std::process::exit(0);
    }
}

/// Prints a value as JSON.
pub fn json(value: &Value) -> Outcome {
    line(&format!("{value:#}"));
    Ok(())
}

/// Prints items as JSON or as a table with one column for each (title, field).
pub fn items(as_json: bool, items: &[Value], columns: &[(&str, &str)]) -> Outcome {
    if as_json {
        return json(&Value::Array(items.to_vec()));
    }
    let mut rows = vec![columns.iter().map(|(title, _)| (*title).to_owned()).collect::<Vec<_>>()];
    rows.extend(
        items
            .iter()
            .map(|item| columns.iter().map(|(_, field)| cell(item, field)).collect()),
    );
    for row in table(&rows) {
        line(&row);
    }
    Ok(())
}

/// Prints one object as JSON or as lines `field  value`.
pub fn object(as_json: bool, value: &Value) -> Outcome {
    let Value::Object(fields) = value else {
        return json(value);
    };
    if as_json {
        return json(value);
    }
    let rows: Vec<Vec<String>> = fields
        .keys()
        .map(|field| vec![field.clone(), cell(value, field)])
        .collect();
    for row in table(&rows) {
        line(&row);
    }
    Ok(())
}

/// A field as a person reads it; control characters are shown, not obeyed.
pub fn cell(item: &Value, field: &str) -> String {
    printable(&text(
        field
            .split('.')
            .try_fold(item, |value, part| value.get(part))
            .unwrap_or(&Value::Null),
    ))
}

/// Replaces control characters, so that recorded text cannot drive the terminal.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\n' | '\t' => ' ',
            control if control.is_control() => '\u{fffd}',
            other => other,
        })
        .collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(","),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| format!("{key}={}", text(value)))
            .collect::<Vec<_>>()
            .join(" "),
        other => other.to_string(),
    }
}

/// Columns aligned by the widest cell; the last one is not padded.
pub fn table(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    rows.iter()
        .map(|row| {
            let cells: Vec<String> = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect();
            cells.join("  ").trim_end().to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    //! Tests of the printed forms.

    use super::*;
    use serde_json::json;

    #[test]
    fn cells_are_safe_for_a_terminal() {
        let item =
            json!({"a": "x\u{1b}[2J\ny", "b": [1, "two"], "c": {"d": null}, "e": [{"detector": "EMAIL", "count": 2}]});
        assert_eq!(cell(&item, "a"), "x\u{fffd}[2J y");
        assert_eq!(cell(&item, "b"), "1,two");
        assert_eq!(cell(&item, "c.d"), "-");
        assert_eq!(cell(&item, "missing"), "-");
        assert_eq!(cell(&item, "e"), "count=2 detector=EMAIL");
    }

    #[test]
    fn tables_are_aligned() {
        let rows = [
            vec!["A".to_owned(), "B".to_owned()],
            vec!["long".to_owned(), "x".to_owned()],
        ];
        assert_eq!(table(&rows), ["A     B", "long  x"]);
    }
}
