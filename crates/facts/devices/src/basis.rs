use brimful_units::Bytes;

/// How a figure is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BasisKind {
    /// Read from a file, or given by the user.
    Exact,
    /// Follows from a rule with a source.
    Rule,
    /// Taken from a measurement.
    Calibrated,
}

/// The origin of a figure, and how far it may be off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basis {
    /// Its kind.
    pub kind: BasisKind,
    /// The file, the rule or the measurement.
    pub source: String,
    /// How far it may be off in either direction; `None` if that is not known.
    pub margin: Option<Bytes>,
}

impl BasisKind {
    /// The word in the answers: `exact`, `rule` or `calibrated`.
    pub const fn name(self) -> &'static str {
        match self {
            BasisKind::Exact => "exact",
            BasisKind::Rule => "rule",
            BasisKind::Calibrated => "calibrated",
        }
    }
}
