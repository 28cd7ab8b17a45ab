//! The figures that rules compare and print, each with its unit, and the small language of conditions:
//! `idle >= tried`, `tried >= 0.1 total`, `known limit`, `unknown free`, `total <= 1 GiB`.

use std::cmp::Ordering;
use std::fmt;

use brimful_devices::catalogue::largest_total;
use brimful_logs::{Incident, Report, Value};
use brimful_units::Bytes;
use serde::Deserialize;

use super::ledger::{idle, outside};
use super::world::World;

/// A number with its unit. Memory is never compared with a plain number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Figure {
    /// An amount of memory.
    Bytes(Bytes),
    /// A difference of two amounts that is below zero, without its sign.
    Below(Bytes),
    /// A number of things, a device's number, or an error code.
    Count(i64),
    /// A share, such as vLLM's `gpu_memory_utilization`.
    Ratio(f64),
}

impl Figure {
    /// `whole - part`, which is below zero if the part is the larger.
    fn difference(whole: Bytes, part: Bytes) -> Figure {
        if part > whole {
            Figure::Below(part.saturating_sub(whole))
        } else {
            Figure::Bytes(whole.saturating_sub(part))
        }
    }

    /// A whole number of a log: bytes if its name ends in `_bytes`, else a count.
    fn of_fact(name: &str, number: i64) -> Figure {
        let size = Bytes::new(number.unsigned_abs());
        match (name.ends_with("_bytes"), number < 0) {
            (true, false) => Figure::Bytes(size),
            (true, true) => Figure::Below(size),
            (false, _) => Figure::Count(number),
        }
    }

    /// The amount of memory; `None` if the figure is anything else.
    pub fn bytes(self) -> Option<Bytes> {
        match self {
            Figure::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The amount of memory with its sign; `None` for a plain number.
    fn signed_bytes(self) -> Option<i128> {
        match self {
            Figure::Bytes(bytes) => Some(i128::from(bytes.get())),
            Figure::Below(bytes) => Some(-i128::from(bytes.get())),
            Figure::Count(_) | Figure::Ratio(_) => None,
        }
    }

    /// The plain number; `None` for an amount of memory.
    fn number(self) -> Option<f64> {
        match self {
            Figure::Count(count) => Some(count as f64),
            Figure::Ratio(ratio) => Some(ratio),
            Figure::Bytes(_) | Figure::Below(_) => None,
        }
    }

    /// How the figure compares with a multiple of another; `None` if their units differ.
    fn compare(self, factor: Factor, other: Figure) -> Option<Ordering> {
        let (times, divisor) = (factor.times, factor.divisor);
        if let (Some(left), Some(right)) = (self.signed_bytes(), other.signed_bytes()) {
            // `left >= 0.1 right` is compared as `10 left >= 1 right`: whole numbers on both sides, which 64 + 32 bits
            // hold.
            return Some((left * i128::from(divisor)).cmp(&(right * i128::from(times))));
        }
        (self.number()? * f64::from(divisor)).partial_cmp(&(other.number()? * f64::from(times)))
    }

    /// The percentage of a whole; `None` if the units differ, or if the whole is nothing.
    fn percent_of(self, whole: Figure) -> Option<f64> {
        let (part, whole) = (self.bytes()?, whole.bytes()?);
        (whole > Bytes::ZERO).then(|| 100.0 * part.get() as f64 / whole.get() as f64)
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Figure::Bytes(bytes) => bytes.fmt(f),
            Figure::Below(bytes) => write!(f, "-{bytes}"),
            Figure::Count(count) => count.fmt(f),
            Figure::Ratio(ratio) => ratio.fmt(f),
        }
    }
}

/// The figures of an incident by the names that rules use.
pub(crate) struct Figures<'a> {
    /// The failure.
    pub incident: &'a Incident,
    /// The whole log, which holds what the program printed at its start.
    pub report: &'a Report,
    /// Where the text comes from.
    pub world: World,
}

impl<'a> Figures<'a> {
    /// The figures of a failure and of the log around it.
    pub fn of(incident: &'a Incident, report: &'a Report) -> Figures<'a> {
        Figures { incident, report, world: World::of(incident, report) }
    }

    /// The figure of a name: `tried` is the fact `tried_bytes`, and some figures follow from others.
    pub fn get(&self, name: &str) -> Option<Figure> {
        match name {
            "idle" => idle(&self.incident.facts).map(Figure::Bytes),
            "outside" => outside(&self.incident.facts).map(Figure::Bytes),
            "taken" => Some(Figure::difference(self.bytes("total")?, self.bytes("free")?)),
            "short" => Some(Figure::difference(self.bytes("wanted")?, self.bytes("free")?)),
            "reserved" => self
                .fact("reserved_bytes")
                .or_else(|| self.bytes("allocated")?.checked_add(self.bytes("idle")?).map(Figure::Bytes)),
            "largest_gpu" => largest_total(self.world.accelerator.vendor.as_deref()).map(Figure::Bytes),
            "free_share" => self.free_share().map(Figure::Ratio),
            "processes" => self.processes().map(Figure::Bytes),
            "utilization" => self.fact(name).or_else(|| self.setting("gpu_memory_utilization")),
            _ => self.fact(&format!("{name}_bytes")).or_else(|| self.fact(name)),
        }
    }

    /// The amount of memory of a name.
    pub fn bytes(&self, name: &str) -> Option<Bytes> {
        self.get(name)?.bytes()
    }

    /// Which share of the card is free, rounded down to two decimals: what an engine may ask for at its start.
    fn free_share(&self) -> Option<f64> {
        let (free, total) = (self.bytes("free")?.get(), self.bytes("total")?.get());
        let percent = u128::from(free) * 100 / u128::from(total.max(1));
        Some(percent as f64 / 100.0)
    }

    /// The sum over the processes that the message lists; `None` if it lists none.
    fn processes(&self) -> Option<Bytes> {
        let in_use = self.incident.processes.iter().map(|process| process.in_use);
        let sum = in_use.fold(Bytes::ZERO, |sum, bytes| sum.checked_add(bytes).unwrap_or(sum));
        (sum > Bytes::ZERO).then_some(sum)
    }

    /// The failure's own figure, else the one that the program printed at its start.
    fn fact(&self, name: &str) -> Option<Figure> {
        let value = self.incident.facts.get(name).or_else(|| self.report.facts.get(name))?;
        match value {
            Value::Int(number) => Some(Figure::of_fact(name, *number)),
            Value::Float(share) => Some(Figure::Ratio(*share)),
            Value::List(list) => list.first().map(|number| Figure::of_fact(name, *number)),
            Value::Text(_) => None,
        }
    }

    /// A setting of the program that is a share.
    fn setting(&self, name: &str) -> Option<Figure> {
        self.report.settings.get(name)?.parse().ok().map(Figure::Ratio)
    }

    /// Whether a condition holds; a comparison with an unknown figure does not.
    pub fn hold(&self, condition: &Condition) -> bool {
        match condition {
            Condition::Known(name) => self.get(name).is_some(),
            Condition::Unknown(name) => self.get(name).is_none(),
            Condition::Compare { left, order, factor, right } => {
                let right = match right {
                    Amount::Number(number) => Some(*number),
                    Amount::Named(name) => self.get(name),
                };
                let compared =
                    self.get(left).zip(right).and_then(|(left, right)| left.compare(*factor, right));
                compared.is_some_and(|ordering| order.holds(ordering))
            }
        }
    }

    /// Fills `{name}` and `{name/other}` (a percentage) of a sentence; `None` if a figure is unknown.
    pub fn fill(&self, sentence: &str) -> Option<String> {
        let mut out = String::new();
        let mut rest = sentence;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}')?;
            out += before;
            out += &self.word(name)?;
            rest = after;
        }
        Some(out + rest)
    }

    /// What replaces a name between braces.
    fn word(&self, name: &str) -> Option<String> {
        match name {
            "title" => return Some(self.incident.title.clone()),
            "phase" => return self.incident.phase.clone(),
            "monitor" => return Some(self.world.accelerator.monitor.clone()),
            "holders" => return Some(self.world.accelerator.holders.clone()),
            "choose" => return self.world.accelerator.choose.clone(),
            _ => {}
        }
        if let Some((part, whole)) = name.split_once('/') {
            return Some(format!("{:.0} %", self.get(part)?.percent_of(self.get(whole)?)?));
        }
        Some(self.get(name)?.to_string())
    }
}

/// A condition on figures.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum Condition {
    /// The figure of this name is known.
    Known(String),
    /// The figure of this name is not known.
    Unknown(String),
    /// The figure of a name compares so with a multiple of another, or with a number.
    Compare { left: String, order: Order, factor: Factor, right: Amount },
}

/// What stands on the right of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Amount {
    /// A number with its unit.
    Number(Figure),
    /// The figure of this name.
    Named(String),
}

/// A decimal number as a fraction: `0.04` is 4 / 100. So a share of an amount of bytes needs no float.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Factor {
    times: u32,
    divisor: u32,
}

impl Factor {
    /// The factor 1.
    const ONE: Factor = Factor { times: 1, divisor: 1 };

    /// Reads `2` or `0.04`.
    fn parse(text: &str) -> Option<Factor> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let times = format!("{whole}{decimals}").parse().ok()?;
        let divisor = 10u32.checked_pow(u32::try_from(decimals.len()).ok()?)?;
        Some(Factor { times, divisor })
    }
}

/// A sign of comparison.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Order {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `=`
    Equal,
    /// `>=`
    AtLeast,
    /// `>`
    More,
}

impl Order {
    /// Whether two figures that compare so satisfy the sign.
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Order::Less => ordering.is_lt(),
            Order::AtMost => ordering.is_le(),
            Order::Equal => ordering.is_eq(),
            Order::AtLeast => ordering.is_ge(),
            Order::More => ordering.is_gt(),
        }
    }
}

impl TryFrom<String> for Condition {
    type Error = String;

    fn try_from(text: String) -> Result<Condition, String> {
        Condition::parse(&text).ok_or_else(|| format!("{text:?} is no condition"))
    }
}

impl Condition {
    /// Reads a condition; `None` if the text is not one.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(name) = text.strip_prefix("known ") {
            return Some(Condition::Known(name.to_owned()));
        }
        if let Some(name) = text.strip_prefix("unknown ") {
            return Some(Condition::Unknown(name.to_owned()));
        }
        const ORDERS: [(&str, Order); 5] = [
            (" <= ", Order::AtMost),
            (" >= ", Order::AtLeast),
            (" < ", Order::Less),
            (" > ", Order::More),
            (" = ", Order::Equal),
        ];
        let (left, order, right) =
            ORDERS.iter().find_map(|(sign, order)| text.split_once(sign).map(|(l, r)| (l, *order, r)))?;
        let (factor, right) = right_side(right)?;
        Some(Condition::Compare { left: name(left)?, order, factor, right })
    }
}

/// The name of a figure.
fn name(text: &str) -> Option<String> {
    text.chars().all(|c| c.is_ascii_lowercase() || c == '_').then(|| text.to_owned())
}

/// Reads `idle`, `0.1 total`, `512 MiB`, `-61` or `0.95`.
fn right_side(text: &str) -> Option<(Factor, Amount)> {
    let number = |figure| Some((Factor::ONE, Amount::Number(figure)));
    if let Ok(count) = text.parse() {
        return number(Figure::Count(count));
    }
    if let Ok(ratio) = text.parse() {
        return number(Figure::Ratio(ratio));
    }
    if let Some(name) = name(text) {
        return Some((Factor::ONE, Amount::Named(name)));
    }
    let (factor, of) = text.split_once(' ')?;
    match name(of) {
        Some(name) => Some((Factor::parse(factor)?, Amount::Named(name))),
        None => number(Figure::Bytes(text.parse().ok()?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_read_with_its_factor_and_unit() {
        let named = |name: &str| Amount::Named(name.to_owned());
        let tenth = Factor { times: 1, divisor: 10 };
        for (text, left, order, factor, right) in [
            ("idle >= tried", "idle", Order::AtLeast, Factor::ONE, named("tried")),
            ("tried >= 0.1 total", "tried", Order::AtLeast, tenth, named("total")),
            (
                "total <= 1 GiB",
                "total",
                Order::AtMost,
                Factor::ONE,
                Amount::Number(Figure::Bytes(Bytes::gib(1))),
            ),
            (
                "utilization >= 0.95",
                "utilization",
                Order::AtLeast,
                Factor::ONE,
                Amount::Number(Figure::Ratio(0.95)),
            ),
            ("cl_code = -61", "cl_code", Order::Equal, Factor::ONE, Amount::Number(Figure::Count(-61))),
        ] {
            let expected = Condition::Compare { left: left.to_owned(), order, factor, right };
            assert_eq!(Condition::parse(text), Some(expected), "{text}");
        }
        assert_eq!(Condition::parse("unknown free"), Some(Condition::Unknown("free".into())));
        assert_eq!(Condition::parse("idle tried"), None);
    }

    #[test]
    fn amounts_that_no_float_tells_apart_are_compared_to_the_byte() {
        let (less, more) = (Figure::Bytes(Bytes::new(u64::MAX - 1)), Figure::Bytes(Bytes::new(u64::MAX)));
        assert_eq!(less.compare(Factor::ONE, more), Some(Ordering::Less));
        let factor = Factor { times: 3, divisor: 10 };
        assert_eq!(
            Figure::Bytes(Bytes::new(3)).compare(factor, Figure::Bytes(Bytes::new(10))),
            Some(Ordering::Equal)
        );
    }

    #[test]
    fn memory_does_not_compare_with_plain_numbers() {
        assert_eq!(Figure::Count(4).compare(Factor::ONE, Figure::Bytes(Bytes::new(4))), None);
        assert_eq!(Figure::Bytes(Bytes::new(4)).compare(Factor::ONE, Figure::Ratio(0.5)), None);
        assert_eq!(Figure::Count(1).compare(Factor::ONE, Figure::Ratio(0.95)), Some(Ordering::Greater));
    }

    #[test]
    fn a_difference_below_zero_keeps_its_size() {
        let short = Figure::difference(Bytes::gib(1), Bytes::gib(3));
        assert_eq!(short.to_string(), "-2.00 GiB");
        assert_eq!(short.compare(Factor::ONE, Figure::Bytes(Bytes::ZERO)), Some(Ordering::Less));
    }
}
