//! `sluice audit verify`: whether stored sessions and the spools of data planes are as they were written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proto::segment::{Hash, Header, Kind, Reader, verify_seal};
use serde_json::{Value, json};

use crate::api::{Api, path};
use crate::args::Audit;
use crate::failure::{Failure, Outcome};
use crate::output;

/// Runs one of its verbs.
pub fn run(api: &Api, command: Audit, as_json: bool) -> Outcome {
    match command {
        Audit::Verify {
            spool: Some(spool),
            key,
            ..
        } => verify_spool(api, &spool, key.as_deref(), as_json),
        Audit::Verify { session, .. } => verify_sessions(api, session, as_json),
    }
}

fn verify_sessions(api: &Api, session: Option<String>, as_json: bool) -> Outcome {
    let (mut checked, mut broken) = (0, Vec::new());
    let mut body = json!({});
    if let Some(session) = session {
        body["session"] = Value::from(session);
    }
    loop {
        let answer = api.post("/api/audit/verify", &body)?;
        checked += answer.get("checked").and_then(Value::as_u64).unwrap_or(0);
        broken.extend(
            answer
                .get("broken")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default(),
        );
        match answer.get("next_cursor") {
            Some(cursor @ Value::String(_)) => body = json!({"cursor": cursor}),
            _ => break,
        }
    }
    tell("sessions", checked, &broken, as_json, |found| {
        let part = |name| output::cell(found, name);
        let from = match found.get("sequence").and_then(Value::as_i64) {
            Some(sequence) => format!(", from event {sequence} on"),
            None => String::new(),
        };
        format!("session {}: {}{from}: {}", part("session"), part("place"), part("why"))
    })
}

/// Says what was found; a broken link is a failure.
fn tell(what: &str, checked: u64, broken: &[Value], as_json: bool, line: impl Fn(&Value) -> String) -> Outcome {
    if as_json {
        output::json(&json!({"checked": checked, "broken": broken}))?;
    } else {
        broken.iter().for_each(|found| output::line(&line(found)));
        output::line(&format!("{checked} {what} checked, {} broken", broken.len()));
    }
    match broken.is_empty() {
        true => Ok(()),
        false => Err(Failure::Failed("the record is not as it was written".to_owned())),
    }
}

fn verify_spool(api: &Api, spool: &Path, key: Option<&str>, as_json: bool) -> Outcome {
    let given = key.map(|key| unhex(key).ok_or_else(|| Failure::Usage("--key is not hexadecimal".to_owned())));
    let mut keys = Keys {
        api,
        given: given.transpose()?,
        asked: BTreeMap::new(),
    };
    let (mut checked, mut broken) = (0, Vec::new());
    for core in directories(spool)? {
        let mut before = None;
        for file in segments(&core)? {
            checked += 1;
            match segment(&file, before, &mut keys) {
                Ok(hash) => before = Some(hash),
                Err(why) => {
                    broken.push(json!({"segment": file.display().to_string(), "why": why}));
                    // What follows ties to a hash that is not known.
                    before = None;
                }
            }
        }
    }
    tell("segments", checked, &broken, as_json, |found| {
        format!("{}: {}", output::cell(found, "segment"), output::cell(found, "why"))
    })
}

/// Reads all of one segment: every record's checksum and sequence, every seal, and the tie to the segment before it.
fn segment(file: &Path, before: Option<Hash>, keys: &mut Keys<'_>) -> Result<Hash, String> {
    let bytes = std::fs::read(file).map_err(|error| error.to_string())?;
    let (header, mut reader) = Reader::new(&bytes).map_err(|error| error.to_string())?;
    if before.is_some_and(|before| before != header.previous_hash) {
        return Err("it does not follow the segment before it".to_owned());
    }
    let key = keys.of(&header)?;
    let mut is_ended = false;
    while let Some(record) = reader.next_record().map_err(|error| error.to_string())? {
        if is_ended {
            return Err(format!("a record follows the end, at sequence {}", record.sequence));
        }
        if matches!(record.kind, Kind::Seal | Kind::End) {
            verify_seal(&header, &record, &key)
                .map_err(|error| format!("the seal at sequence {}: {error}", record.sequence))?;
            is_ended = record.kind == Kind::End;
        }
    }
    Ok(reader.hash())
}

/// Public keys of data planes' seals.
struct Keys<'a> {
    api: &'a Api,
    given: Option<Vec<u8>>,
    asked: BTreeMap<String, Vec<u8>>,
}

impl Keys<'_> {
    fn of(&mut self, header: &Header) -> Result<Vec<u8>, String> {
        if let Some(key) = self.given.as_ref().or_else(|| self.asked.get(&header.dataplane_id)) {
            return Ok(key.clone());
        }
        let id = &header.dataplane_id;
        let unknown = || format!("the key of data plane {id} is not known; give it with --key");
        let shown = self.api.get(&path(&["dataplanes", id])).map_err(|_| unknown())?;
        let key = shown.get("audit_key").and_then(Value::as_str).and_then(unhex);
        let key = key.ok_or_else(unknown)?;
        self.asked.insert(id.clone(), key.clone());
        Ok(key)
    }
}

/// Directories of cores; the directory itself when it holds segments.
fn directories(spool: &Path) -> Outcome<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> = entries(spool)?.into_iter().filter(|path| path.is_dir()).collect();
    if !segments(spool)?.is_empty() {
        found.push(spool.to_owned());
    }
    found.sort();
    Ok(found)
}

/// Segments of a core in their order: their names are numbers of the same length.
fn segments(core: &Path) -> Outcome<Vec<PathBuf>> {
    let mut found = entries(core)?;
    found.retain(|path| path.extension().is_some_and(|extension| extension == "seg"));
    found.sort();
    Ok(found)
}

fn entries(dir: &Path) -> Outcome<Vec<PathBuf>> {
    let failed = |error| Failure::Failed(format!("{}: {error}", dir.display()));
    let entries = std::fs::read_dir(dir).map_err(failed)?;
    entries.map(|entry| Ok(entry.map_err(failed)?.path())).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    let byte =
        |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?, 16).ok();
    digits.map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use proto::segment::Writer;
    use proto::sign::SigningKey;

    fn written(key: &SigningKey, number: u64, previous_hash: Hash, is_over: bool) -> (Vec<u8>, Hash) {
        let header = Header {
            dataplane_id: "d1".to_owned(),
            core: 0,
            segment: number,
            created_at_micros: 1,
            previous_hash,
            first_of_run: number == 0,
        };
        let mut bytes = header.encode();
        let mut writer = Writer::new(&bytes);
        for text in ["one", "two"] {
            writer.event(text.as_bytes(), &mut bytes).unwrap();
        }
        let last = if is_over { Kind::End } else { Kind::Seal };
        writer.seal(last, key, &header, &mut bytes).unwrap();
        (bytes, writer.hash())
    }

    #[test]
    fn every_changed_byte_of_a_spool_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let core = dir.path().join("core-0");
        std::fs::create_dir(&core).unwrap();
        let (key, _) = SigningKey::generate().unwrap();
        let public: String = key.public().iter().map(|byte| format!("{byte:02x}")).collect();
        let nowhere = Settings::resolve(Some("http://127.0.0.1:1".to_owned()), Some("none".to_owned()));
        let api = Api::new(nowhere.unwrap());
        let (first, hash) = written(&key, 0, [0; 32], true);
        let (second, _) = written(&key, 1, hash, false);
        let files = [("000000000000.seg", &first), ("000000000001.seg", &second)];
        for (name, bytes) in files {
            std::fs::write(core.join(name), bytes).unwrap();
        }
        let verify = || verify_spool(&api, dir.path(), Some(&public), true);
        verify().unwrap();
        for (name, bytes) in files {
            for place in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[place] ^= 1;
                std::fs::write(core.join(name), changed).unwrap();
                assert!(verify().is_err(), "{name}, byte {place}");
            }
            std::fs::write(core.join(name), bytes).unwrap();
        }
        std::fs::write(core.join("000000000001.seg"), written(&key, 1, [7; 32], false).0).unwrap();
        assert!(verify().is_err(), "it follows another one");
        assert!(verify_spool(&api, dir.path(), Some("zz"), true).is_err());
    }
}
