//! The figures that rules speak of, and their small language: `idle >= tried`, `tried >= 0.1 total`,
//! `known limit`, `unknown free`, `total <= 1 GiB`.

use brimful_logs::{Incident, Report, Value};
use brimful_units::Bytes;

use super::ledger::{idle, outside};

/// The figures of an incident by the names that rules use.
pub(crate) struct Figures<'a> {
    pub incident: &'a Incident,
    pub report: &'a Report,
}

impl Figures<'_> {
    /// The figure of a name: `tried` is `tried_bytes`, and some follow from others.
    pub fn get(&self, name: &str) -> Option<f64> {
        let bytes = |bytes: Option<Bytes>| bytes.map(|bytes| bytes.get() as f64);
        match name {
            "idle" => bytes(idle(&self.incident.facts)),
            "outside" => bytes(outside(&self.incident.facts)),
            "taken" => Some(self.get("total")? - self.get("free")?),
            "short" => Some(self.get("wanted")? - self.get("free")?),
            "reserved" => {
                self.fact("reserved_bytes").or_else(|| Some(self.get("allocated")? + self.get("idle")?))
            }
            "processes" => self.processes(),
            "utilization" => self.fact(name).or_else(|| self.setting("gpu_memory_utilization")),
            _ => self.fact(&format!("{name}_bytes")).or_else(|| self.fact(name)),
        }
    }

    fn processes(&self) -> Option<f64> {
        let sum: u64 = self.incident.processes.iter().map(|process| process.in_use.get()).sum();
        (sum > 0).then_some(sum as f64)
    }

    /// The failure's own figure, else the start-up's.
    fn fact(&self, name: &str) -> Option<f64> {
        let value = self.incident.facts.get(name).or_else(|| self.report.facts.get(name))?;
        match value {
            Value::Int(n) => Some(*n as f64),
            Value::Float(share) => Some(*share),
            Value::List(list) => list.first().map(|n| *n as f64),
            Value::Text(_) => None,
        }
    }

    fn setting(&self, name: &str) -> Option<f64> {
        self.report.settings.get(name)?.parse().ok()
    }

    /// Whether a condition holds; one that speaks of an unknown figure does not.
    pub fn hold(&self, condition: &Condition) -> bool {
        match condition {
            Condition::Known(name) => self.get(name).is_some(),
            Condition::Unknown(name) => self.get(name).is_none(),
            Condition::Compare { left, order, right } => match (self.amount(left), self.amount(right)) {
                (Some(left), Some(right)) => order.holds(left, right),
                _ => false,
            },
        }
    }

    fn amount(&self, amount: &Amount) -> Option<f64> {
        match amount {
            Amount::Number(number) => Some(*number),
            Amount::Share(factor, name) => Some(factor * self.get(name)?),
        }
    }

    /// Fills `{name}` and `{name/other}` (a percentage) of a sentence; `None` where a figure is unknown.
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

    fn word(&self, name: &str) -> Option<String> {
        match name {
            "title" => return Some(self.incident.title.clone()),
            "phase" => return self.incident.phase.clone(),
            _ => {}
        }
        if let Some((part, whole)) = name.split_once('/') {
            return Some(format!("{:.0} %", 100.0 * self.get(part)? / self.get(whole)?));
        }
        let figure = self.get(name)?;
        Some(match name {
            "utilization" => format!("{figure}"),
            "gpu" | "cl_code" | "max_seq_len" => format!("{figure:.0}"),
            _ if name.contains("tokens") => format!("{figure:.0}"),
            _ if figure < 0.0 => format!("-{}", Bytes::new(-figure as u64)),
            _ => Bytes::new(figure as u64).to_string(),
        })
    }
}

/// A condition on figures.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Condition {
    Known(String),
    Unknown(String),
    Compare { left: Amount, order: Order, right: Amount },
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Amount {
    Number(f64),
    Share(f64, String),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Order {
    Less,
    AtMost,
    Equal,
    AtLeast,
    More,
}

impl Order {
    fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Order::Less => left < right,
            Order::AtMost => left <= right,
            Order::Equal => left == right,
            Order::AtLeast => left >= right,
            Order::More => left > right,
        }
    }
}

impl Condition {
    /// Reads a condition; `None` where it is none.
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
        Some(Condition::Compare { left: amount(left)?, order, right: amount(right)? })
    }
}

/// `idle`, `0.1 total`, `512 MiB`, `-61`.
fn amount(text: &str) -> Option<Amount> {
    let name = |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || c == '_').then(|| text.to_owned());
    if let Ok(number) = text.parse() {
        return Some(Amount::Number(number));
    }
    if let Some(name) = name(text) {
        return Some(Amount::Share(1.0, name));
    }
    let (number, of) = text.split_once(' ')?;
    match name(of) {
        Some(name) => Some(Amount::Share(number.parse().ok()?, name)),
        None => text.parse::<Bytes>().ok().map(|bytes| Amount::Number(bytes.get() as f64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions() {
        let share = |factor, name: &str| Amount::Share(factor, name.to_owned());
        for (text, left, order, right) in [
            ("idle >= tried", share(1.0, "idle"), Order::AtLeast, share(1.0, "tried")),
            ("tried >= 0.1 total", share(1.0, "tried"), Order::AtLeast, share(0.1, "total")),
            ("total <= 1 GiB", share(1.0, "total"), Order::AtMost, Amount::Number((1u64 << 30) as f64)),
            ("cl_code = -61", share(1.0, "cl_code"), Order::Equal, Amount::Number(-61.0)),
        ] {
            assert_eq!(Condition::parse(text), Some(Condition::Compare { left, order, right }), "{text}");
        }
        assert_eq!(Condition::parse("unknown free"), Some(Condition::Unknown("free".into())));
        assert_eq!(Condition::parse("idle tried"), None);
    }
}
