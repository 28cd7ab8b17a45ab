/// A number of things: "1 block", "2 blocks".
pub(crate) fn counted(number: u64, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// How often: "once", "2 times".
pub(crate) fn times(number: u64) -> String {
    if number == 1 { "once".to_owned() } else { format!("{number} times") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_singular_and_happens_once() {
        assert_eq!([0, 1, 2].map(|number| counted(number, "block")), ["0 blocks", "1 block", "2 blocks"]);
        assert_eq!([1, 2].map(times), ["once", "2 times"]);
    }
}
