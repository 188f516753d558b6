//! One line per request, in the Combined format or as JSON: no secret, no value of a query, no cookie.

use super::limits::{LOG_LINES_MAX, LOG_LOOK_INTERVAL};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Instant;

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    #[default]
    Combined,
    Json,
}

/// One request.
#[derive(Debug)]
pub struct Line<'a> {
    pub client: IpAddr,
    pub user: &'a str,
    pub token_id: &'a str,
    pub connection: &'a str,
    pub method: &'a str,
    /// Path and names of the query's parameters.
    pub shown: &'a str,
    pub route: &'a str,
    pub version: &'a str,
    pub status: u16,
    pub bytes_up: u64,
    pub bytes_down: u64,
    pub user_agent: &'a str,
    pub request_id: &'a str,
    pub rule: &'a str,
    pub wall_micros: u64,
    pub duration_micros: u64,
}

static LINES: OnceLock<(Format, mpsc::SyncSender<Vec<u8>>)> = OnceLock::new();
/// Lines that were dropped because the file took none.
pub static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Opens the log. Its file is written by a thread of its own.
pub fn start(path: &Path, format: Format) -> std::io::Result<()> {
    let mut log = LogFile::open(path)?;
    let (sender, lines) = mpsc::sync_channel::<Vec<u8>>(LOG_LINES_MAX);
    std::thread::Builder::new().name("access-log".into()).spawn(move || {
        for mut batch in &lines {
            while batch.len() < BATCH_BYTES
                && let Ok(more) = lines.try_recv()
            {
                batch.extend_from_slice(&more);
            }
            if let Err(error) = log.write(&batch) {
                DROPPED.fetch_add(1, Ordering::Relaxed);
                tracing::error!(%error, "the access log cannot be written");
            }
        }
    })?;
    let _ = LINES.set((format, sender));
    Ok(())
}

/// The file. Whoever moves it away (as rotation does) finds the next lines in a new one, without a signal.
struct LogFile {
    path: PathBuf,
    file: File,
    looked: Instant,
}

impl LogFile {
    fn open(path: &Path) -> std::io::Result<LogFile> {
        Ok(LogFile {
            path: path.to_owned(),
            file: OpenOptions::new().create(true).append(true).open(path)?,
            looked: Instant::now(),
        })
    }

    fn write(&mut self, lines: &[u8]) -> std::io::Result<()> {
        if self.looked.elapsed() >= LOG_LOOK_INTERVAL {
            self.looked = Instant::now();
            let ours = self.file.metadata()?;
            let same =
                std::fs::metadata(&self.path).is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino()));
            if !same {
                *self = LogFile::open(&self.path)?;
            }
        }
        self.file.write_all(lines)
    }
}

const BATCH_BYTES: usize = 256 * 1024;

/// Whether anybody wants lines.
pub fn is_on() -> bool {
    LINES.get().is_some()
}

/// Writes a line, if the log is open and not too far behind.
pub fn write(line: &Line<'_>) {
    if let Some((format, sender)) = LINES.get()
        && sender.try_send(rendered(line, *format)).is_err()
    {
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

fn rendered(line: &Line<'_>, format: Format) -> Vec<u8> {
    match format {
        Format::Combined => {
            let user = if line.user.is_empty() { "-" } else { line.user };
            let text = format!(
                "{} - {} [{}] \"{} {} {}\" {} {} \"-\" \"{}\"\n",
                line.client,
                quoted(user),
                clf_time(line.wall_micros),
                quoted(line.method),
                quoted(line.shown),
                line.version,
                line.status,
                line.bytes_down,
                quoted(line.user_agent),
            );
            text.into_bytes()
        }
        Format::Json => {
            let document = serde_json::json!({
                "time_micros": line.wall_micros,
                "request_id": line.request_id,
                "client": line.client.to_string(),
                "user": line.user,
                "token_id": line.token_id,
                "connection": line.connection,
                "method": line.method,
                "route": line.route,
                "path": line.shown,
                "version": line.version,
                "status": line.status,
                "rule": line.rule,
                "request_bytes": line.bytes_up,
                "response_bytes": line.bytes_down,
                "duration_micros": line.duration_micros,
                "user_agent": line.user_agent,
            });
            let mut text = document.to_string().into_bytes();
            text.push(b'\n');
            text
        }
    }
}

/// Quotes, backslashes and control characters as `\xNN`, so that no client writes lines of its own.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\' {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

/// `10/Oct/2000:13:55:36 +0000`, from microseconds since the Unix epoch.
fn clf_time(micros: u64) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let seconds = micros / 1_000_000;
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // Days to a date of the Gregorian calendar, in eras of 400 years that begin on 1 March.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 {
        month_shifted + 2
    } else {
        month_shifted - 10
    };
    let year = year_of_era + era * 400 + u64::from(month < 2);
    format!(
        "{day:02}/{}/{year}:{:02}:{:02}:{:02} +0000",
        MONTHS.get(month as usize).unwrap_or(&"Jan"),
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(clf_time(0), "01/Jan/1970:00:00:00 +0000");
        assert_eq!(clf_time(971_186_136_000_000), "10/Oct/2000:13:55:36 +0000");
        assert_eq!(clf_time(1_709_164_800_000_000), "29/Feb/2024:00:00:00 +0000");
    }

    #[test]
    fn a_file_that_was_moved_away_is_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let (path, moved) = (directory.path().join("log"), directory.path().join("log.1"));
        let mut log = LogFile::open(&path).unwrap();
        log.write(b"one\n").unwrap();
        std::fs::rename(&path, &moved).unwrap();
        log.looked -= LOG_LOOK_INTERVAL;
        log.write(b"two\n").unwrap();
        log.write(b"three\n").unwrap();
        assert_eq!(std::fs::read(&moved).unwrap(), b"one\n");
        assert_eq!(std::fs::read(&path).unwrap(), b"two\nthree\n");
    }

    #[test]
    fn lines_hold_no_quotes_of_clients() {
        let line = Line {
            client: IpAddr::from([127, 0, 0, 1]),
            user: "alice",
            token_id: "t1",
            connection: "gitlab",
            method: "GET",
            shown: "/a?b",
            route: "/{x}",
            version: "HTTP/1.1",
            status: 200,
            bytes_up: 0,
            bytes_down: 5,
            user_agent: "a\"\n127.0.0.1 b",
            request_id: "r",
            rule: "",
            wall_micros: 0,
            duration_micros: 1,
        };
        let text = String::from_utf8(rendered(&line, Format::Combined)).unwrap();
        assert_eq!(
            text,
            "127.0.0.1 - alice [01/Jan/1970:00:00:00 +0000] \"GET /a?b HTTP/1.1\" 200 5 \"-\" \"a\\x22\\x0a127.0.0.1 b\"\n"
        );
        let json: serde_json::Value = serde_json::from_slice(&rendered(&line, Format::Json)).unwrap();
        assert_eq!(json["route"], "/{x}");
    }
}
