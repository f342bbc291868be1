//! When a trigger runs: the words that Mage knows, and cron expressions as the library reads them that Mage reads them with
//! (`croniter`): five fields, in names or numbers, possibly with seconds and years behind them. Times are UTC.

use jiff::{
    Timestamp, ToSpan as _,
    civil::{Date, DateTime, Time},
    tz::TimeZone,
};
use magus_model::{Text, effort};

/// An interval of a trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interval {
    /// `@once` and `@always_on`: as soon as it is there.
    AtOnce,
    /// At these times.
    Cron(Box<Cron>),
}

/// A cron expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    seconds: Vec<u16>,
    minutes: Vec<u16>,
    hours: Vec<u16>,
    days: Days,
    months: Vec<u16>,
    weekdays: Weekdays,
    years: Option<Vec<u16>>,
    /// Whether a day has to be among the days and the weekdays; otherwise one of them is enough, as cron has it.
    both: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Days {
    days: Vec<u16>,
    last: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Weekdays {
    /// From 0 for Sunday.
    days: Vec<u16>,
    /// The weekday and which one of the month.
    nth: Vec<(u16, u16)>,
    /// The last one of the month.
    last: Vec<u16>,
}

/// A field: its name, its first and last number, and names for numbers from the first one.
struct Field(&'static str, u16, u16, &'static [&'static str]);

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const MINUTE: Field = Field("minute", 0, 59, &[]);
const HOUR: Field = Field("hour", 0, 23, &[]);
const DAY: Field = Field("day of the month", 1, 31, &[]);
const MONTH: Field = Field("month", 1, 12, &MONTHS);
const WEEKDAY: Field = Field("day of the week", 0, 7, &WEEKDAYS);
const SECOND: Field = Field("second", 0, 59, &[]);
const YEAR: Field = Field("year", 1970, 2099, &[]);

/// No expression that comes true at all takes longer than a leap day on a given weekday over a century without one.
const LONGEST_DAYS: usize = 366 * 41;

/// Reads an interval; why it is none.
///
/// # Errors
/// What is wrong, as the end of a sentence.
pub fn parse(text: &str) -> Result<Interval, String> {
    let words = match text.trim() {
        "@once" | "@always_on" => return Ok(Interval::AtOnce),
        "@hourly" => "0 * * * *",
        "@daily" | "@midnight" => "0 0 * * *",
        "@weekly" => "0 0 * * 0",
        "@monthly" => "0 0 1 * *",
        "@yearly" | "@annually" => "0 0 1 1 *",
        words => words,
    };
    effort::spend(words.len());
    let fields: Vec<&str> = words.split_whitespace().collect();
    let (Ok([minute, hour, day, month, weekday]), true) =
        (<[&str; 5]>::try_from(&fields[..fields.len().min(5)]), fields.len() <= 7)
    else {
        return Err(format!("it has {} fields, and cron has 5", fields.len()));
    };
    let (days, last) = days(day)?;
    let weekdays = weekdays(weekday)?;
    let is_any = |field: &str| matches!(field, "*" | "?");
    Ok(Interval::Cron(Box::new(Cron {
        seconds: fields.get(5).map_or(Ok(vec![0]), |field| numbers(field, &SECOND))?,
        minutes: numbers(minute, &MINUTE)?,
        hours: numbers(hour, &HOUR)?,
        days: Days { days, last },
        months: numbers(month, &MONTH)?,
        weekdays,
        years: fields.get(6).filter(|field| !is_any(field)).map(|field| numbers(field, &YEAR)).transpose()?,
        both: is_any(day) || is_any(weekday),
    })))
}

fn days(field: &str) -> Result<(Vec<u16>, bool), String> {
    let (mut days, mut last) = (Vec::new(), false);
    for part in field.split(',') {
        if part.eq_ignore_ascii_case("l") {
            last = true;
        } else {
            days.extend(numbers(part, &DAY)?);
        }
    }
    Ok((ordered(days), last))
}

fn weekdays(field: &str) -> Result<Weekdays, String> {
    let mut found = Weekdays { days: Vec::new(), nth: Vec::new(), last: Vec::new() };
    // Sunday is 0 and 7.
    let one = |text: &str| number(text, &WEEKDAY).map(|day| day % 7);
    for part in field.split(',') {
        if let Some((day, nth)) = part.split_once('#') {
            let nth = nth.parse().ok().filter(|nth| (1..=5).contains(nth));
            found.nth.push((one(day)?, nth.ok_or_else(|| format!("`{part}` names no day of a month"))?));
        } else if let Some(day) = part.strip_prefix(['l', 'L']).filter(|day| !day.is_empty()) {
            found.last.push(one(day)?);
        } else {
            found.days.extend(numbers(part, &WEEKDAY)?.into_iter().map(|day| day % 7));
        }
    }
    // Every day is held against them.
    Ok(Weekdays { days: ordered(found.days), nth: ordered(found.nth), last: ordered(found.last) })
}

/// The numbers of a field: `*`, `?`, `3`, `1-5`, `*/10`, `22-3`, `mon-fri`, and lists of them.
fn numbers(field: &str, of: &Field) -> Result<Vec<u16>, String> {
    let Field(name, first, last, _) = of;
    let mut found = Vec::new();
    for part in field.split(',') {
        let wrong = || format!("`{part}` is no {name}");
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let step =
            step.map_or(Ok(1), |step| step.parse::<u16>().ok().filter(|step| *step > 0).ok_or_else(wrong))?;
        let (from, to) = match range.split_once('-') {
            _ if matches!(range, "*" | "?") => (*first, if *name == WEEKDAY.0 { 6 } else { *last }),
            Some((from, to)) => (number(from, of)?, number(to, of)?),
            // With a step, a number begins what goes on to the end.
            None if part.contains('/') => (number(range, of)?, *last),
            None => (number(range, of)?, number(range, of)?),
        };
        if from <= to {
            found.extend((from..=to).step_by(usize::from(step)));
        } else {
            // It goes over the end, as from evening to morning.
            let end = if *name == WEEKDAY.0 { 6 } else { *last };
            found.extend((from..=end).chain(*first..=to).step_by(usize::from(step)));
        }
    }
    Ok(ordered(found))
}

fn number(text: &str, Field(name, first, last, names): &Field) -> Result<u16, String> {
    let named = names.iter().position(|known| text.eq_ignore_ascii_case(known));
    let number = match named {
        Some(at) => u16::try_from(at).ok().map(|at| at + first),
        None => text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit())),
    };
    number.filter(|number| (first..=last).contains(&number)).ok_or_else(|| format!("`{text}` is no {name}"))
}

fn ordered<T: Ord>(mut numbers: Vec<T>) -> Vec<T> {
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

impl Interval {
    /// The first time after this one; nothing where it runs as soon as it is there, or never.
    pub fn next(&self, after: DateTime) -> Option<DateTime> {
        match self {
            Interval::AtOnce => None,
            Interval::Cron(cron) => cron.next(after),
        }
    }

    /// The same for a time anywhere, as it is written in UTC: `2026-11-30T05:00:00Z`.
    pub fn next_after(&self, now: Timestamp) -> Option<Text> {
        let next = self.next(TimeZone::UTC.to_datetime(now))?;
        Some(format!("{next}Z").into())
    }

    /// Whether there is no such time, as with the 31st of February.
    pub fn never_comes(&self) -> bool {
        matches!(self, Interval::Cron(cron) if cron.next(DateTime::constant(2000, 1, 1, 0, 0, 0, 0)).is_none())
    }
}

impl Cron {
    /// The first time after this one; nothing where there is none in the years to come.
    pub fn next(&self, after: DateTime) -> Option<DateTime> {
        let after = after
            .checked_add(1.second())
            .ok()?
            .date()
            .to_datetime(after.checked_add(1.second()).ok()?.time());
        let mut date = after.date();
        let mut from = Some(after.time());
        for _ in 0..LONGEST_DAYS {
            if self.is_on(date)
                && let Some(time) = self.time(from)
            {
                return Some(date.to_datetime(time));
            }
            from = None;
            date = date.tomorrow().ok()?;
        }
        None
    }

    /// Whether it runs on a day.
    fn is_on(&self, date: Date) -> bool {
        effort::spend(1 + self.weekdays.nth.len() + self.weekdays.last.len());
        let of = |number: i8| u16::try_from(number).unwrap_or(0);
        if !self.months.contains(&of(date.month())) {
            return false;
        }
        if let Some(years) = &self.years
            && !years.contains(&u16::try_from(date.year()).unwrap_or(0))
        {
            return false;
        }
        let day =
            self.days.days.contains(&of(date.day())) || self.days.last && date.day() == date.days_in_month();
        let weekday = of(date.weekday().to_sunday_zero_offset());
        let nth = of((date.day() - 1) / 7 + 1);
        let weekday = self.weekdays.days.contains(&weekday)
            || self.weekdays.nth.contains(&(weekday, nth))
            || self.weekdays.last.contains(&weekday) && date.day() + 7 > date.days_in_month();
        if self.both { day && weekday } else { day || weekday }
    }

    /// The first time of a day, not before another one.
    fn time(&self, from: Option<Time>) -> Option<Time> {
        let from = from.unwrap_or(Time::midnight());
        let at = |number: u16| i8::try_from(number).unwrap_or(0);
        for hour in self.hours.iter().map(|hour| at(*hour)).filter(|hour| *hour >= from.hour()) {
            for minute in self.minutes.iter().map(|minute| at(*minute)) {
                if hour == from.hour() && minute < from.minute() {
                    continue;
                }
                for second in self.seconds.iter().map(|second| at(*second)) {
                    let time = Time::constant(hour, minute, second, 0);
                    if time >= from {
                        return Some(time);
                    }
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_that_is_there_many_times_is_looked_at_once_a_day() {
        let text = format!("0 0 30 2 {}1#5", "1#5,l2,".repeat(1_000));
        let Ok(Interval::Cron(cron)) = parse(&text) else { panic!("it is an expression") };
        assert_eq!((cron.weekdays.nth.len(), cron.weekdays.last.len()), (1, 1));
    }
}
