//! The time, as an argument: what is decided by a deadline can be tested without waiting for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

/// Milliseconds since the Unix epoch.
pub type Millis = i64;

/// Where the console reads the time.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// A clock that tests move.
    Set(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `at` until it is moved.
    pub fn set_to(at: Millis) -> Self {
        Self::Set(Arc::new(AtomicI64::new(at)))
    }

    /// Moves a set clock forward; the machine's clock moves by itself.
    pub fn advance(&self, by: Millis) {
        if let Self::Set(at) = self {
            at.fetch_add(by, Ordering::SeqCst);
        }
    }

    /// The time now.
    pub fn now(&self) -> Millis {
        match self {
            Self::System => Timestamp::now().as_millisecond(),
            Self::Set(at) => at.load(Ordering::SeqCst),
        }
    }
}

/// RFC 3339 in UTC with milliseconds, the form of every time that the console gives out.
pub fn rfc3339(at: Millis) -> String {
    match Timestamp::from_millisecond(at) {
        Ok(time) => format!("{time:.3}"),
        Err(_) => format!("{at} ms"),
    }
}

/// A time for people, in UTC, to the second.
pub fn readable(at: Millis) -> String {
    match Timestamp::from_millisecond(at) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => format!("{at} ms"),
    }
}

/// Reads a time that a person typed: RFC 3339, a date (its start in UTC), a date and time without
/// a zone (UTC), or an age such as `2h` or `3d`, counted back from `now`.
pub fn parse_moment(text: &str, now: Millis) -> Result<Millis, String> {
    let text = text.trim();
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time.as_millisecond());
    }
    if let Ok(civil) = text.parse::<jiff::civil::DateTime>() {
        let zoned = civil
            .to_zoned(jiff::tz::TimeZone::UTC)
            .map_err(|error| error.to_string())?;
        return Ok(zoned.timestamp().as_millisecond());
    }
    if let Ok(age) = parse_duration(text) {
        return Ok(now.saturating_sub(age));
    }
    Err(format!(
        "`{text}` is not a time: write 2026-05-01, 2026-05-01T13:00:00Z, or an age such as 2h or 3d"
    ))
}

/// Reads a duration as people write it (`45s`, `1h 30m`, `2 days`; a day has 24 hours), in
/// milliseconds.
pub fn parse_duration(text: &str) -> Result<Millis, String> {
    let span: jiff::Span = text
        .trim()
        .parse()
        .map_err(|_| format!("`{text}` is not a duration: write for example 45s, 15m or 1h"))?;
    let duration = span
        .to_duration(jiff::SpanRelativeTo::days_are_24_hours())
        .map_err(|error| error.to_string())?;
    i64::try_from(duration.as_millis()).map_err(|error| error.to_string())
}

/// A length of time in words that a person takes in at a glance.
pub fn in_words(length: Millis) -> String {
    let seconds = length.max(0) / 1000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3600..86400 => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86400, seconds % 86400 / 3600),
    }
}

/// A length of time as a clock shows it: to the millisecond as long as those matter.
pub fn as_clock(length: Millis) -> String {
    let (seconds, minutes, hours) = (length / 1000 % 60, length / 60_000 % 60, length / 3_600_000);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}.{:03} s", length % 1000),
        (0, _) => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_shows_what_matters() {
        let shown = [0, 12_034, 61_999, 39_600_000].map(as_clock);
        assert_eq!(shown, ["0.000 s", "12.034 s", "1:01", "11:00:00"]);
    }

    #[test]
    fn moments_are_read_as_people_write_them() {
        let now = parse_moment("2026-05-03T12:00:00Z", 0).unwrap();
        assert_eq!(rfc3339(now), "2026-05-03T12:00:00.000Z");
        assert_eq!(readable(now), "2026-05-03 12:00:00");
        assert_eq!(parse_moment("2026-05-03", 0).unwrap(), now - 12 * 3_600_000);
        assert_eq!(parse_moment("2026-05-03T12:00", 0).unwrap(), now);
        assert_eq!(parse_moment("2h", now).unwrap(), now - 2 * 3_600_000);
        assert_eq!(parse_moment("3d", now).unwrap(), now - 3 * 86_400_000);
        assert!(parse_moment("yesterday", now).is_err());
    }
}
