//! Did a change raise the memory that a run asks for? A lock file holds the requested peak of each phase, with the bytes of
//! each place at it. A later run is held against it.

use std::collections::BTreeMap;
use std::str::FromStr;

use anyhow::{Context, Result, anyhow, ensure};
use brimful_explain::{PhasePeak, TracedRun, phase_peaks};
use brimful_units::Bytes;
use serde::{Deserialize, Serialize};

/// The version of the file's layout.
const VERSION: u32 = 1;
const HEAD: &str = "# Written by `brimful --lock`: bytes that each phase asks for at its peak, and where. Commit it; to accept a\n\
                    # larger peak, delete the run's table (or the file) and run the same command again.\n";

/// The runs that were locked.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    version: u32,
    #[serde(default)]
    run: Vec<LockedRun>,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedRun {
    /// The job with its flags, or the rehearsed command.
    name: String,
    phase: Vec<LockedPhase>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LockedPhase {
    name: String,
    requested: u64,
    places: BTreeMap<String, u64>,
}

/// The share by which a peak may rise, in hundredths of a percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance(u32);

/// A phase whose requested peak rose by more than is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raise {
    /// The phase.
    pub phase: String,
    /// The locked peak; 0 for a phase that was not there.
    pub before: Bytes,
    /// The peak of this run.
    pub after: Bytes,
    /// The place that added most, and how much; `None` if no place holds more than before.
    pub most: Option<(String, Bytes)>,
}

/// What a lock file means for a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gate {
    /// The file holds no such run.
    Unknown,
    /// No peak rose by more than is allowed.
    Held,
    /// Some did.
    Raised(Vec<Raise>),
}

impl Default for Lock {
    fn default() -> Lock {
        Lock { version: VERSION, run: Vec::new() }
    }
}

impl Lock {
    /// Reads a lock file; `name` is the file's, for messages.
    ///
    /// # Errors
    /// What is wrong with it, with its name and the cure.
    pub fn read(name: &str, text: &str) -> Result<Lock> {
        const CURE: &str = "delete it, and write it again with --lock";
        let lock: Lock = toml::from_str(text).map_err(|error| {
            // One line: the parser's own text quotes the file over several.
            let line = error
                .span()
                .and_then(|span| text.get(..span.start))
                .map_or(1, |before| before.matches('\n').count() + 1);
            anyhow!("{name}:{line}: is no lock file ({}); {CURE}", error.message())
        })?;
        ensure!(
            lock.version == VERSION,
            "{name}: version is {}; this brimful reads {VERSION}; {CURE}",
            lock.version
        );
        Ok(lock)
    }

    /// The file's text.
    ///
    /// # Errors
    /// Amounts of more than 63 bits, which TOML does not have.
    pub fn text(&self) -> Result<String> {
        Ok(format!("{HEAD}{}", toml::to_string(self).context("the lock file")?))
    }

    /// Adds a run.
    pub fn add(&mut self, run: LockedRun) {
        self.run.push(run);
    }

    /// Holds a run against the locked one of its name.
    pub fn gate(&self, run: &LockedRun, allowed: Allowance) -> Gate {
        let Some(before) = self.run.iter().find(|locked| locked.name == run.name) else {
            return Gate::Unknown;
        };
        let raised: Vec<Raise> =
            run.phase.iter().filter_map(|phase| raise(before.phase(&phase.name), phase, allowed)).collect();
        if raised.is_empty() { Gate::Held } else { Gate::Raised(raised) }
    }
}

impl LockedRun {
    /// The peaks of a run under a name.
    pub(crate) fn of(name: &str, run: TracedRun<'_>) -> LockedRun {
        LockedRun {
            name: name.to_owned(),
            phase: phase_peaks(run).into_iter().map(LockedPhase::of).collect(),
        }
    }

    /// The job with its flags, or the rehearsed command.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn phase(&self, name: &str) -> Option<&LockedPhase> {
        self.phase.iter().find(|phase| phase.name == name)
    }
}

impl LockedPhase {
    fn of(peak: PhasePeak) -> LockedPhase {
        LockedPhase {
            name: peak.phase.to_owned(),
            requested: peak.requested.get(),
            places: peak.places.into_iter().map(|(place, bytes)| (place, bytes.get())).collect(),
        }
    }
}

impl Allowance {
    fn allows(self, before: u64, after: u64) -> bool {
        // 128 bits hold the product of any two amounts.
        u128::from(after) * 10_000 <= u128::from(before) * (10_000 + u128::from(self.0))
    }
}

impl FromStr for Allowance {
    type Err = String;

    /// `1`, `0.5` or `2.25%`.
    fn from_str(text: &str) -> Result<Allowance, String> {
        let wrong =
            || format!("{text:?}: expected a share in percent with at most two decimals, such as 1 or 0.5%");
        let digits = text.strip_suffix('%').unwrap_or(text).trim_end();
        let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
        let number = |digits: &str| match digits.bytes().all(|byte| byte.is_ascii_digit()) {
            true => digits.parse::<u32>().map_err(|_| wrong()),
            false => Err(wrong()),
        };
        if decimals.len() > 2 || digits.ends_with('.') {
            return Err(wrong());
        }
        let hundredths = number(&format!("{decimals:0<2}"))?;
        number(whole)?
            .checked_mul(100)
            .and_then(|whole| whole.checked_add(hundredths))
            .map(Allowance)
            .ok_or_else(wrong)
    }
}

fn raise(before: Option<&LockedPhase>, after: &LockedPhase, allowed: Allowance) -> Option<Raise> {
    let requested = before.map_or(0, |phase| phase.requested);
    if allowed.allows(requested, after.requested) {
        return None;
    }
    let nothing = BTreeMap::new();
    Some(Raise {
        phase: after.name.clone(),
        before: Bytes::new(requested),
        after: Bytes::new(after.requested),
        most: added_most(before.map_or(&nothing, |phase| &phase.places), &after.places),
    })
}

/// A place of the program, with the number of its line.
type Line<'a> = (u64, &'a str, u64);

/// The place that holds most more than before.
///
/// Lines move when a file is edited. So the lines of one function are matched: those that hold the same bytes as before are
/// taken for the same, then those with the same number, and what is left in the order of the program.
fn added_most(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> Option<(String, Bytes)> {
    let (mut before, after) = (by_function(before), by_function(after));
    let mut most: Option<(&str, u64)> = None;
    for (function, lines) in after {
        for (place, added) in added(before.remove(&function).unwrap_or_default(), lines) {
            if added > most.map_or(0, |most| most.1) {
                most = Some((place, added));
            }
        }
    }
    most.map(|(place, added)| (place.to_owned(), Bytes::new(added)))
}

fn added<'a>(mut before: Vec<Line<'a>>, mut after: Vec<Line<'a>>) -> Vec<(&'a str, u64)> {
    after.retain(|line| take(&mut before, |old| old.2 == line.2).is_none());
    let mut added = Vec::new();
    after.retain(|line| match take(&mut before, |old| old.1 == line.1) {
        Some(old) => {
            added.push((line.1, line.2.saturating_sub(old.2)));
            false
        }
        None => true,
    });
    let mut left = before.into_iter();
    added.extend(after.into_iter().map(|line| {
        let old = left.next().map_or(0, |old| old.2);
        (line.1, line.2.saturating_sub(old))
    }));
    added
}

fn take<'a>(lines: &mut Vec<Line<'a>>, is_it: impl Fn(&Line<'a>) -> bool) -> Option<Line<'a>> {
    let at = lines.iter().position(is_it)?;
    Some(lines.remove(at))
}

/// Places by function: `train.py:12 step` and `train.py:15 step` are lines of `train.py step`, in their order.
fn by_function(places: &BTreeMap<String, u64>) -> BTreeMap<String, Vec<Line<'_>>> {
    let mut functions: BTreeMap<String, Vec<Line<'_>>> = BTreeMap::new();
    for (place, bytes) in places {
        let (function, line) = without_line(place);
        functions.entry(function).or_default().push((line, place, *bytes));
    }
    for lines in functions.values_mut() {
        lines.sort_unstable();
    }
    functions
}

/// The place without the number behind its last colon, and the number; 0 where there is none.
fn without_line(place: &str) -> (String, u64) {
    let Some((file, rest)) = place.rsplit_once(':') else { return (place.to_owned(), 0) };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    match rest[..digits].parse() {
        Ok(line) => (format!("{file}{}", &rest[digits..]), line),
        Err(_) => (place.to_owned(), 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(requested: u64, places: &[(&str, u64)]) -> LockedRun {
        let places = places.iter().map(|(place, bytes)| ((*place).to_owned(), *bytes)).collect();
        LockedRun {
            name: "job".to_owned(),
            phase: vec![LockedPhase { name: "forward".to_owned(), requested, places }],
        }
    }

    fn gate(before: LockedRun, after: &LockedRun) -> Gate {
        let mut lock = Lock::default();
        lock.add(before);
        lock.gate(after, "1".parse().unwrap())
    }

    fn most(before: &[(&str, u64)], after: &[(&str, u64)]) -> Option<(String, Bytes)> {
        match gate(run(1, before), &run(1000, after)) {
            Gate::Raised(raised) => raised[0].most.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_percent_more_is_allowed_and_a_byte_above_is_not() {
        assert_eq!(gate(run(10_000, &[]), &run(10_100, &[])), Gate::Held);
        assert!(matches!(gate(run(10_000, &[]), &run(10_101, &[])), Gate::Raised(_)));
        assert_eq!(gate(run(10_000, &[]), &run(1, &[])), Gate::Held);
        assert!(matches!(gate(run(u64::MAX / 2, &[]), &run(u64::MAX, &[])), Gate::Raised(_)));
    }

    #[test]
    fn a_run_of_another_name_is_unknown() {
        let other = LockedRun { name: "other".to_owned(), ..run(1, &[]) };
        assert_eq!(gate(other, &run(1, &[])), Gate::Unknown);
    }

    #[test]
    fn the_line_that_added_most_is_named_although_an_edit_moved_all_lines() {
        let before = [("train.py:10 step", 500), ("train.py:12 step", 300), ("train.py:20 step", 200)];
        let after = [("train.py:12 step", 500), ("train.py:14 step", 350), ("train.py:22 step", 200)];
        assert_eq!(most(&before, &after), Some(("train.py:14 step".to_owned(), Bytes::new(50))));
    }

    #[test]
    fn a_new_line_added_all_that_it_holds() {
        let before = [("a.py:1 f", 500)];
        let after = [("a.py:1 f", 500), ("a.py:2 f", 70), ("b.py:9 g", 80)];
        assert_eq!(most(&before, &after), Some(("b.py:9 g".to_owned(), Bytes::new(80))));
    }

    #[test]
    fn a_lock_file_is_read_as_it_was_written() {
        let mut lock = Lock::default();
        lock.add(run(7, &[("mm in model.layers.*.mlp", 5), ("<string>:1 <module>", 2)]));
        let text = lock.text().unwrap();
        assert!(text.starts_with("# Written by"));
        assert_eq!(Lock::read("brimful.lock", &text).unwrap(), lock);
        let newer = text.replace("version = 1", "version = 2");
        let error = Lock::read("brimful.lock", &newer).unwrap_err().to_string();
        assert!(error.starts_with("brimful.lock: version is 2; this brimful reads 1"), "{error}");
        assert!(Lock::read("brimful.lock", "nonsense").is_err());
    }

    #[test]
    fn a_share_is_a_number_of_percent() {
        for (text, hundredths) in [("1", 100), ("0", 0), ("0.5%", 50), ("2.25 %", 225), ("10%", 1000)] {
            assert_eq!(text.parse(), Ok(Allowance(hundredths)), "{text}");
        }
        for text in ["", "%", "-1", "+1", "1.", "1.234", "many", "99999999999"] {
            assert!(text.parse::<Allowance>().is_err(), "{text}");
        }
    }
}
