//! Hours of a week: when a rule applies.

/// A window of time that comes back every week, at a fixed distance from UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Bit 0 is Monday. A window over midnight belongs to the day it begins on.
    days: u8,
    /// Minute of the day it begins at.
    from: u16,
    /// Minute of the day it ends before; not after `from` where it goes over midnight.
    to: u16,
    /// Minutes east of UTC.
    offset: i16,
}

/// Names of the days, Monday first.
pub const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

const DAY: u16 = 24 * 60;

impl Window {
    /// The window on these days (0 is Monday; none means all) from minute `from` to before minute
    /// `to` of a day, `offset` minutes east of UTC.
    ///
    /// # Errors
    /// A window without a minute in it.
    pub fn new(days: &[u8], from: u16, to: u16, offset: i16) -> Result<Self, String> {
        if from == to || from >= DAY || to > DAY || to == 0 {
            return Err(
                "the window is empty: `to` has to be another time than `from`; leave both out for \
                 whole days"
                    .to_owned(),
            );
        }
        let mask = days.iter().fold(0, |mask, day| mask | (1 << (day % 7)));
        Ok(Window {
            days: if days.is_empty() { 0x7f } else { mask },
            from,
            to,
            offset,
        })
    }

    /// Whether a moment, in seconds since 1970, is inside.
    pub fn contains(&self, now_s: u64) -> bool {
        let local = i64::try_from(now_s).unwrap_or(i64::MAX / 2) + i64::from(self.offset) * 60;
        let minute = local.rem_euclid(86_400) / 60;
        // 1 January 1970 was a Thursday.
        let today = (local.div_euclid(86_400) + 3).rem_euclid(7);
        let on = |day: i64| self.days & (1 << day) != 0;
        let (from, to) = (i64::from(self.from), i64::from(self.to));
        if from < to {
            on(today) && (from..to).contains(&minute)
        } else {
            (on(today) && minute >= from) || (on((today + 6) % 7) && minute < to)
        }
    }
}

/// `HH:MM` as a minute of the day; `24:00` is the end of it.
pub fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |part: &str| {
        let digits = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| part.parse::<u16>().ok()).flatten()
    };
    let minute = two(hours)? * 60 + two(minutes).filter(|m| *m < 60)?;
    (minute <= DAY).then_some(minute)
}

/// `UTC`, `Z` or `+HH:MM` as minutes east of UTC.
pub fn offset(text: &str) -> Option<i16> {
    if text == "UTC" || text == "Z" {
        return Some(0);
    }
    let (sign, time) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(time), _) => (1, time),
        (None, Some(time)) => (-1, time),
        (None, None) => return None,
    };
    let minutes = minute(time).filter(|m| *m <= 14 * 60)?;
    i16::try_from(minutes).ok().map(|minutes| sign * minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Saturday, 21 November 2026, 12:00 UTC.
    const NOON: u64 = 1_795_262_400;
    const HOUR: u64 = 3_600;

    fn window(days: &[u8], from: &str, to: &str, zone: &str) -> Window {
        let (from, to) = (minute(from).unwrap(), minute(to).unwrap());
        Window::new(days, from, to, offset(zone).unwrap()).unwrap()
    }

    #[test]
    fn a_window_has_its_first_minute_and_not_its_last() {
        let office = window(&[0, 1, 2, 3, 4], "08:00", "18:00", "UTC");
        let friday = NOON - 24 * HOUR;
        assert!(office.contains(friday));
        assert!(!office.contains(NOON), "a Saturday");
        assert!(office.contains(friday - 4 * HOUR));
        assert!(!office.contains(friday - 4 * HOUR - 1));
        assert!(office.contains(friday + 6 * HOUR - 1));
        assert!(!office.contains(friday + 6 * HOUR));
    }

    #[test]
    fn zones_move_the_clock_and_the_day() {
        let east = window(&[6], "00:00", "24:00", "+01:00");
        assert!(!east.contains(NOON + 11 * HOUR - 1));
        assert!(
            east.contains(NOON + 11 * HOUR),
            "23:00 UTC is Sunday in the east"
        );
        let west = window(&[4], "00:00", "24:00", "-05:30");
        assert!(west.contains(NOON - 12 * HOUR));
        assert!(!west.contains(NOON - 7 * HOUR + HOUR / 2 + 1));
    }

    #[test]
    fn a_night_belongs_to_the_day_it_begins_on() {
        let night = window(&[5], "22:00", "06:00", "UTC");
        assert!(!night.contains(NOON));
        assert!(night.contains(NOON + 10 * HOUR));
        assert!(night.contains(NOON + 18 * HOUR - 1), "Sunday, 05:59");
        assert!(!night.contains(NOON + 18 * HOUR));
        assert!(!night.contains(NOON - 7 * HOUR), "Saturday, 05:00");
    }

    #[test]
    fn times_and_zones_have_one_spelling() {
        assert_eq!(
            (minute("00:00"), minute("24:00"), minute("09:05")),
            (Some(0), Some(1440), Some(545))
        );
        for text in ["9:00", "24:01", "12:60", "12", "12:0", "ab:cd", "+1:00"] {
            assert_eq!(minute(text), None, "{text}");
        }
        assert_eq!((offset("UTC"), offset("-05:30")), (Some(0), Some(-330)));
        for text in ["", "CET", "01:00", "+15:00", "+1", "Europe/Berlin"] {
            assert_eq!(offset(text), None, "{text}");
        }
        assert!(Window::new(&[], 60, 60, 0).is_err());
        assert!(Window::new(&[], 60, 0, 0).is_err());
    }
}
