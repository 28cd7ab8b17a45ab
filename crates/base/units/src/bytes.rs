use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An amount of memory in bytes.
///
/// Prints in binary units as PyTorch does ("1.50 GiB"), parses what people write
/// ("24 GiB", "80GB", "512 MiB", "1048576").
///
/// ```
/// use brimful_units::Bytes;
/// assert_eq!("24 GiB".parse::<Bytes>().unwrap(), Bytes::new(24 << 30));
/// assert_eq!(Bytes::new(3 << 29).to_string(), "1.50 GiB");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Bytes(u64);

impl Bytes {
    /// No memory.
    pub const ZERO: Bytes = Bytes(0);

    /// So many bytes.
    pub const fn new(bytes: u64) -> Self {
        Bytes(bytes)
    }

    /// So many binary megabytes (2^20 bytes).
    pub const fn mib(n: u64) -> Self {
        Bytes(n << 20)
    }

    /// So many binary gigabytes (2^30 bytes).
    pub const fn gib(n: u64) -> Self {
        Bytes(n << 30)
    }

    /// The number of bytes.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The sum, or `None` where it exceeds 2^64 - 1.
    pub const fn checked_add(self, other: Bytes) -> Option<Bytes> {
        match self.0.checked_add(other.0) {
            Some(n) => Some(Bytes(n)),
            None => None,
        }
    }

    /// The product, or `None` where it exceeds 2^64 - 1.
    pub const fn checked_mul(self, n: u64) -> Option<Bytes> {
        match self.0.checked_mul(n) {
            Some(n) => Some(Bytes(n)),
            None => None,
        }
    }

    /// The difference, or zero where `other` is larger.
    pub const fn saturating_sub(self, other: Bytes) -> Bytes {
        Bytes(self.0.saturating_sub(other.0))
    }

    /// The next multiple of `unit` (which must not be zero); saturates at the last multiple.
    pub const fn round_up(self, unit: u64) -> Bytes {
        match self.0.checked_next_multiple_of(unit) {
            Some(n) => Bytes(n),
            None => Bytes(u64::MAX / unit * unit),
        }
    }

    /// The amount in GiB, for printing and ratios only.
    pub fn as_gib(self) -> f64 {
        self.0 as f64 / (1u64 << 30) as f64
    }
}

/// PyTorch's rule for printing sizes (`format_size` in c10/cuda/CUDACachingAllocator.cpp):
/// the largest unit that the amount exceeds, two decimals.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.0;
        let text = match n {
            0..=1024 => format!("{n} bytes"),
            _ if n <= 1 << 20 => format!("{:.2} KiB", n as f64 / 1024.0),
            _ if n <= 1 << 30 => format!("{:.2} MiB", n as f64 / (1u64 << 20) as f64),
            _ => format!("{:.2} GiB", self.as_gib()),
        };
        f.pad(&text)
    }
}

/// The text is not an amount of memory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseBytesError {
    /// Neither a number nor a number with a known unit.
    #[error("{0:?} is not a size; expected a number with a unit, such as \"24 GiB\" or \"80GB\"")]
    Malformed(String),
    /// A bare number that is too small to be meant as bytes.
    #[error("the size {0:?} has no unit; write \"{0} GiB\" or \"{0} MiB\"")]
    NoUnit(String),
    /// More than 2^64 - 1 bytes.
    #[error("the size {0:?} is larger than 2^64 bytes")]
    TooLarge(String),
}

/// Bare numbers below this are taken for a forgotten unit ("24"), not for bytes.
const SMALLEST_BARE_BYTES: u64 = 1 << 16;

impl FromStr for Bytes {
    type Err = ParseBytesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A blank ends the number: "1080 8gb" is a name, not 10808 GB.
        let compact = text.trim().replace('_', "");
        let split = compact.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(compact.len());
        let (number, unit) = compact.split_at(split);
        let malformed = || ParseBytesError::Malformed(text.to_owned());
        let scale = scale_of(unit.trim_start()).ok_or_else(malformed)?;
        let bytes = scaled(number, scale.unwrap_or(1))
            .map_err(|large| if large { ParseBytesError::TooLarge(text.to_owned()) } else { malformed() })?;
        if scale.is_none() && bytes != 0 && bytes < SMALLEST_BARE_BYTES {
            return Err(ParseBytesError::NoUnit(text.trim().to_owned()));
        }
        Ok(Bytes(bytes))
    }
}

/// The factor of a unit; `Some(None)` where there is none.
fn scale_of(unit: &str) -> Option<Option<u64>> {
    let lower = unit.to_ascii_lowercase();
    let (power, base) = match lower.as_str() {
        "" => return Some(None),
        "b" | "byte" | "bytes" => return Some(Some(1)),
        "kib" | "k" => (1, 1024),
        "mib" | "m" => (2, 1024),
        "gib" | "g" => (3, 1024),
        "tib" | "t" => (4, 1024),
        "kb" => (1, 1000),
        "mb" => (2, 1000),
        "gb" => (3, 1000),
        "tb" => (4, 1000),
        _ => return None,
    };
    Some(Some(u64::pow(base, power)))
}

/// `number * scale` without going through a float; `Err(true)` where it is too large.
fn scaled(number: &str, scale: u64) -> Result<u64, bool> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.len() > 15 || fraction.contains('.') {
        return Err(false);
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| true)? };
    let part: u128 = if fraction.is_empty() { 0 } else { fraction.parse().map_err(|_| false)? };
    let places = 10u128.pow(fraction.len() as u32);
    let total = whole.checked_mul(u128::from(scale)).ok_or(true)? + part * u128::from(scale) / places;
    u64::try_from(total).map_err(|_| true)
}

impl std::ops::Add for Bytes {
    type Output = Bytes;

    /// # Panics
    /// Where the sum exceeds 2^64 - 1; use [`Bytes::checked_add`] on untrusted numbers.
    fn add(self, other: Bytes) -> Bytes {
        self.checked_add(other).expect("a sum of bytes exceeds 2^64")
    }
}

impl std::ops::AddAssign for Bytes {
    fn add_assign(&mut self, other: Bytes) {
        *self = *self + other;
    }
}

impl std::ops::Sub for Bytes {
    type Output = Bytes;

    /// # Panics
    /// Where `other` is larger; use [`Bytes::saturating_sub`] on untrusted numbers.
    fn sub(self, other: Bytes) -> Bytes {
        Bytes(self.0.checked_sub(other.0).expect("a difference of bytes is negative"))
    }
}

impl std::ops::SubAssign for Bytes {
    fn sub_assign(&mut self, other: Bytes) {
        *self = *self - other;
    }
}

impl std::iter::Sum for Bytes {
    fn sum<I: Iterator<Item = Bytes>>(iter: I) -> Bytes {
        iter.fold(Bytes::ZERO, |a, b| a + b)
    }
}

impl From<u64> for Bytes {
    fn from(n: u64) -> Self {
        Bytes(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_people_write() {
        for (text, bytes) in [
            ("24 GiB", 24 << 30),
            ("24GiB", 24 << 30),
            ("80GB", 80_000_000_000),
            ("1.5 GiB", 3 << 29),
            ("0.5g", 1 << 29),
            ("85899345920", 85_899_345_920),
            ("79.19 GiB", 85_029_615_042),
            ("512 b", 512),
        ] {
            assert_eq!(text.parse(), Ok(Bytes::new(bytes)), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_not_a_size() {
        use ParseBytesError::*;
        assert_eq!("24".parse::<Bytes>(), Err(NoUnit("24".into())));
        assert_eq!("".parse::<Bytes>(), Err(Malformed("".into())));
        assert_eq!("1080 8gb".parse::<Bytes>(), Err(Malformed("1080 8gb".into())));
        assert_eq!("10 24 MiB".parse::<Bytes>(), Err(Malformed("10 24 MiB".into())));
        assert_eq!("-1 GiB".parse::<Bytes>(), Err(Malformed("-1 GiB".into())));
        assert_eq!("1e9 GiB".parse::<Bytes>(), Err(Malformed("1e9 GiB".into())));
        assert_eq!("99999999999 TiB".parse::<Bytes>(), Err(TooLarge("99999999999 TiB".into())));
    }

    #[test]
    fn prints_as_pytorch_does() {
        assert_eq!(Bytes::new(512).to_string(), "512 bytes");
        assert_eq!(Bytes::mib(20).to_string(), "20.00 MiB");
        assert_eq!(Bytes::new(85_029_615_042).to_string(), "79.19 GiB");
    }

    #[test]
    fn rounding_never_wraps() {
        assert_eq!(Bytes::new(1).round_up(512), Bytes::new(512));
        assert_eq!(Bytes::new(u64::MAX).round_up(512), Bytes::new(u64::MAX - 511));
    }
}
