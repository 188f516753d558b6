//! Times of the week, as people write them: weekdays, hours, a time zone; whether it is such a time, and until when. Pure.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::read::Fields;
use crate::limits::WINDOWS_MAX;

/// Windows that touch are one; so many are joined at a time.
const JOINED_MAX: usize = 8;
const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// From an hour of some weekdays to another, which may be on the day after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// `mon` to `sun`: the days on which it begins.
    pub days: Vec<String>,
    /// `HH:MM`.
    pub from: String,
    /// `HH:MM`, up to `24:00`; not later than `from`: on the next day.
    pub to: String,
    /// A name of the time zone database, such as `Europe/Berlin`.
    pub zone: String,
}

/// The end of the time that `now_micros` is in; none when it is in none of the windows. Microseconds since 1970.
pub fn open_until(windows: &[Window], now_micros: i64) -> Option<i64> {
    let latest = |now| windows.iter().filter_map(|window| window.until(now)).max();
    let mut until = latest(now_micros)?;
    for _ in 0..JOINED_MAX {
        match latest(until) {
            Some(later) => until = later,
            None => break,
        }
    }
    Some(until)
}

impl Window {
    fn until(&self, now_micros: i64) -> Option<i64> {
        let zone = TimeZone::get(&self.zone).ok()?;
        let now = Timestamp::from_microsecond(now_micros).ok()?;
        let today = now.to_zoned(zone.clone()).date();
        // It may have begun yesterday.
        let days = [today, today.yesterday().ok()?];
        let ends = days.into_iter().filter_map(|day| self.on(day, &zone, now));
        ends.map(Timestamp::as_microsecond).max()
    }

    /// The end of the window that begins on `day`, if `now` is in it.
    fn on(&self, day: Date, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
        let begins = DAYS
            .iter()
            .any(|(name, weekday)| *weekday == day.weekday() && self.days.iter().any(|d| d == name));
        if !begins {
            return None;
        }
        let (from, to) = (minutes(&self.from)?, minutes(&self.to)?);
        let last = if to > from { day } else { day.checked_add(1.day()).ok()? };
        // An hour that a clock change leaves out or repeats is taken as calendars do.
        let at = |day: Date, minutes: u16| {
            let (day, minutes) = match minutes {
                1440 => (day.checked_add(1.day()).ok()?, 0),
                minutes => (day, minutes),
            };
            let time = Time::new((minutes / 60) as i8, (minutes % 60) as i8, 0, 0).ok()?;
            zone.to_timestamp(day.to_datetime(time)).ok()
        };
        let (start, end) = (at(day, from)?, at(last, to)?);
        (start <= now && now < end).then_some(end)
    }
}

/// Minutes of the day of `HH:MM`.
fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let digits =
        |part: &str| (part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse::<u16>().ok())?;
    let (hours, minutes) = (digits(hours)?, digits(minutes)?);
    ((hours < 24 && minutes < 60) || (hours, minutes) == (24, 0)).then_some(hours * 60 + minutes)
}

/// Reads a list of windows.
pub fn read(fields: &mut Fields<'_>, key: &'static str) -> Vec<Window> {
    let tables = fields.tables(key);
    if tables.len() > WINDOWS_MAX {
        fields.wrong(key, format!("has more than {WINDOWS_MAX} windows"));
        return Vec::new();
    }
    let place = fields.place_of(key);
    let read = |table: Map<String, Value>| {
        let mut inner = Fields::new(place.clone(), table, fields.mistakes());
        let window = Window {
            days: days(&mut inner),
            from: hour(&mut inner, "from", "00:00"),
            to: hour(&mut inner, "to", "24:00"),
            zone: inner.text_required("zone").unwrap_or_default(),
        };
        if !window.zone.is_empty() && TimeZone::get(&window.zone).is_err() {
            let shown: String = window.zone.chars().take(40).collect();
            inner.wrong(
                "zone",
                format!("\"{shown}\" is no time zone; write one as Europe/Berlin or UTC"),
            );
        }
        if window.from == "24:00" {
            inner.wrong("from", "must be before 24:00");
        }
        inner.finish();
        window
    };
    tables.into_iter().map(read).collect()
}

fn hour(fields: &mut Fields<'_>, key: &'static str, default: &str) -> String {
    let text = fields.text(key).unwrap_or_else(|| default.to_owned());
    if minutes(&text).is_none() {
        fields.wrong(key, "must be HH:MM, from 00:00 to 24:00");
    }
    text
}

/// Days by name, or from one to another as `mon-fri`; all when not said.
fn days(fields: &mut Fields<'_>) -> Vec<String> {
    let index = |name: &str| DAYS.iter().position(|(day, _)| *day == name);
    let mut chosen = [false; 7];
    for word in fields.texts("days") {
        let (first, last) = word.split_once('-').unwrap_or((&word, &word));
        match (index(first), index(last)) {
            (Some(first), Some(last)) => {
                let count = (last + 7 - first) % 7 + 1;
                (first..first + count).for_each(|day| chosen[day % 7] = true);
            }
            _ => fields.wrong(
                "days",
                format!("\"{word}\" is none of mon, tue, wed, thu, fri, sat, sun, nor two of them as mon-fri"),
            ),
        }
    }
    if chosen == [false; 7] {
        chosen = [true; 7];
    }
    let chosen = DAYS.iter().zip(chosen).filter(|(_, chosen)| *chosen);
    chosen.map(|((name, _), _)| (*name).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::mistake::Mistakes;
    use crate::http::input::{time_micros, time_text};
    use proptest::prelude::*;

    fn window(days: &[&str], from: &str, to: &str) -> Window {
        Window {
            days: days.iter().map(|day| (*day).to_owned()).collect(),
            from: from.to_owned(),
            to: to.to_owned(),
            zone: "Europe/Berlin".to_owned(),
        }
    }

    fn until(windows: &[Window], now: &str) -> Option<String> {
        open_until(windows, time_micros(now).unwrap()).and_then(time_text)
    }

    #[test]
    fn office_hours_follow_the_zone_and_its_clock_changes() {
        let office = [window(&["mon", "fri"], "08:00", "18:00")];
        // A Friday in winter (UTC+1) and one in summer (UTC+2).
        assert_eq!(
            until(&office, "2026-11-20T07:00:00Z").as_deref(),
            Some("2026-11-20T17:00:00Z")
        );
        assert_eq!(until(&office, "2026-11-20T06:59:59Z"), None);
        assert_eq!(until(&office, "2026-11-20T17:00:00Z"), None);
        assert_eq!(
            until(&office, "2026-07-03T06:00:00Z").as_deref(),
            Some("2026-07-03T16:00:00Z")
        );
        assert_eq!(until(&office, "2026-11-21T10:00:00Z"), None, "a Saturday");
    }

    #[test]
    fn nights_end_on_the_next_day_and_windows_that_touch_are_one() {
        let night = window(&["fri"], "22:00", "06:00");
        assert_eq!(
            until(std::slice::from_ref(&night), "2026-11-21T04:00:00Z").as_deref(),
            Some("2026-11-21T05:00:00Z")
        );
        assert_eq!(
            until(std::slice::from_ref(&night), "2026-11-20T04:00:00Z"),
            None,
            "Thursday's night is not Friday's"
        );
        let morning = window(&["sat"], "06:00", "12:00");
        assert_eq!(
            until(&[morning, night], "2026-11-20T22:00:00Z").as_deref(),
            Some("2026-11-21T11:00:00Z")
        );
        let always = [window(
            &["mon", "tue", "wed", "thu", "fri", "sat", "sun"],
            "00:00",
            "24:00",
        )];
        assert!(until(&always, "2026-11-20T22:00:00Z").unwrap().starts_with("2026-11-2"));
    }

    #[test]
    fn windows_are_read_with_their_mistakes() {
        let read_all = |json: Value| {
            let mut mistakes = Mistakes::default();
            let Value::Object(table) = json else { unreachable!() };
            let windows = read(&mut Fields::new("", table, &mut mistakes), "windows");
            (
                windows,
                mistakes.into_list().iter().map(ToString::to_string).collect::<Vec<_>>(),
            )
        };
        let (windows, told) = read_all(serde_json::json!({"windows": [{"days": ["fri-mon"], "zone": "UTC"}]}));
        assert!(told.is_empty(), "{told:?}");
        assert_eq!(windows[0].days, ["mon", "fri", "sat", "sun"]);
        assert_eq!((windows[0].from.as_str(), windows[0].to.as_str()), ("00:00", "24:00"));
        let wrong = serde_json::json!({"windows": [{"days": ["someday"], "from": "8:00", "to": "24:01", "zone": "Mars/Olympus"}]});
        let (_, told) = read_all(wrong);
        for part in [
            "days: \"someday\"",
            "from: must be HH:MM",
            "to: must be HH:MM",
            "zone: \"Mars/Olympus\"",
        ] {
            assert!(told.iter().any(|line| line.contains(part)), "{part}: {told:?}");
        }
    }

    proptest! {
        #[test]
        fn an_end_is_always_ahead_and_reachable(now in 0i64..4_000_000_000_000_000, from in 0u16..1440, to in 0u16..1441, day in 0usize..7) {
            let text = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
            let one = [window(&[DAYS[day].0], &text(from), &text(to))];
            if let Some(end) = open_until(&one, now) {
                prop_assert!(end > now);
                prop_assert!(end - now <= 25 * 3600 * 1_000_000, "a window is at most a day, and an hour of a clock change");
                prop_assert_eq!(open_until(&one, end - 1), Some(end));
            }
        }
    }
}
