//! Numbers as frameworks print them. Every program in the catalogue counts in powers of 1024, also where
//! it writes GB, MB or G (`OOM.md` of the project's survey; PyTorch's `format_size`, XLA's
//! `HumanReadableNumBytes`, vLLM's `GiB_bytes`).

/// A size in bytes: `"23.65 GiB"`, `"1610612736B"`, `"25,600,000 bytes"`, `"1538,00 MiB"`; a bare number is
/// in `unit`. Rounded to the nearest byte; `None` where it is no size or exceeds 63 bits.
pub(crate) fn size(text: &str, unit: &str) -> Option<i64> {
    let (negative, text) = sign(text);
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ',').unwrap_or(text.len());
    let (number, given) = (text[..end].trim_end_matches(['.', ',']), text[end..].trim());
    let scale = scale(if given.is_empty() { unit } else { given })?;
    let magnitude = scaled(&plain(number, scale), scale)?;
    Some(if negative { -magnitude } else { magnitude })
}

/// A whole number, with or without commas between thousands.
pub(crate) fn integer(text: &str) -> Option<i64> {
    text.trim_end_matches(',').replace(',', "").parse().ok()
}

/// A share.
pub(crate) fn float(text: &str) -> Option<f64> {
    text.parse().ok()
}

/// Dimensions: `"16,112,112,147"`; at most 16 of them.
pub(crate) fn list(text: &str) -> Option<Vec<i64>> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.take(16).map(|part| part.parse().ok()).collect()
}

fn sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest.trim_start()),
        None => (false, text),
    }
}

fn scale(unit: &str) -> Option<u64> {
    let power = match unit.to_ascii_lowercase().as_str() {
        "" | "b" | "byte" | "bytes" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        "p" | "pb" | "pib" => 5,
        "e" | "eb" | "eib" => 6,
        _ => return None,
    };
    Some(1 << (10 * power))
}

/// The number with a point for decimals and nothing between thousands. A single comma before a unit above
/// bytes is a decimal comma (llama.cpp prints in the user's locale), any other separates thousands.
fn plain(number: &str, scale: u64) -> String {
    let commas = number.matches(',').count();
    let decimal = scale > 1 && commas == 1 && !number.contains('.');
    if decimal { number.replace(',', ".") } else { number.replace(',', "") }
}

fn scaled(number: &str, scale: u64) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let places = fraction.len();
    if whole.len() > 20 || places > 12 || fraction.contains('.') {
        return None;
    }
    let unit = 10i128.checked_pow(u32::try_from(places).ok()?)?;
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let total = (digits.checked_mul(i128::from(scale))? + unit / 2) / unit;
    i64::try_from(total).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_every_framework() {
        for (text, unit, bytes) in [
            ("23.65 GiB", "", 25_393_994_138),
            ("0 bytes", "", 0),
            ("1610612736B", "", 1_610_612_736),
            ("25,600,000 bytes", "", 25_600_000),
            ("1538,00 MiB", "", 1_612_709_888),
            ("1,234.50 MiB", "", 1_294_467_072),
            ("-2.77 GiB", "", -2_974_264_852),
            ("59.32", "GiB", 63_694_365_000),
            ("15.187500MB", "", 15_925_248),
            ("4585490524328388608", "B", 4_585_490_524_328_388_608),
            ("63.80G", "", 68_504_728_371),
        ] {
            assert_eq!(size(text, unit), Some(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size() {
        for text in ["", "GiB", "1.2.3 GiB", "99999999999 EiB", "18446744073709551615", "1 XB"] {
            assert_eq!(size(text, ""), None, "{text}");
        }
    }
}
