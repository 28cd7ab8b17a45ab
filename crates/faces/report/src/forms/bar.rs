//! A bar that shows what fills memory, and the sign of each category in it and in the tables below it.

use brimful_units::Bytes;

use super::marks::BAR;

/// Width of a bar in characters.
pub(crate) const WIDTH: usize = 60;

/// The signs of parts that are no categories, such as processes on a card: one for each in turn.
const IN_TURN: [char; 6] = ['█', '▓', '▒', '░', '=', '-'];

/// The sign of a category, by its name in the answers' `composition`: the same one in every answer.
pub(crate) fn sign(category: &str) -> char {
    match category {
        "parameter" | "buffer" => '█',
        "gradient" => '▓',
        "optimizer" => '▒',
        "activation" | "input" => '░',
        "logits" => '=',
        "kv_cache" => '#',
        "temporary" => '-',
        _ => '·',
    }
}

/// The sign of a part that is no category, by its number.
pub(crate) fn sign_in_turn(part: usize) -> char {
    IN_TURN[part % IN_TURN.len()]
}

/// How many characters of a bar some bytes are.
pub(crate) fn cells(bytes: Bytes, full: Bytes) -> usize {
    (bytes.get() as f64 / full.get().max(1) as f64 * WIDTH as f64).round() as usize
}

/// The parts one after another, as wide as a bar. The end of each part is rounded, not its width: many parts that are
/// narrower than a character still take the room that they take together.
pub(crate) fn bar(parts: impl Iterator<Item = (char, Bytes)>, full: Bytes) -> String {
    let mut end = Bytes::ZERO;
    let drawn = parts.flat_map(|(sign, bytes)| {
        let begin = cells(end, full);
        end += bytes;
        std::iter::repeat_n(sign, cells(end, full) - begin)
    });
    let drawn: String = drawn.chain(std::iter::repeat(' ')).take(WIDTH).collect();
    format!("{BAR}{drawn}{BAR}")
}

#[cfg(test)]
mod tests {
    use brimful_trace::Category;

    use super::*;
    use crate::forms::plain;

    #[test]
    fn a_bar_is_as_wide_as_its_parts_and_never_wider_than_it_may() {
        let parts = [('█', Bytes::mib(30)), ('░', Bytes::mib(15))];
        let half_and_quarter = format!("{}{}{}", "█".repeat(30), "░".repeat(15), " ".repeat(15));
        assert_eq!(plain(&bar(parts.into_iter(), Bytes::mib(60))), half_and_quarter);
        assert_eq!(plain(&bar(parts.into_iter(), Bytes::mib(40))).chars().count(), WIDTH);
        assert_eq!(plain(&bar(parts.into_iter(), Bytes::ZERO)).chars().count(), WIDTH);
    }

    #[test]
    fn parts_narrower_than_a_character_take_the_room_that_they_take_together() {
        let parts = ['█', '▓', '░'].map(|sign| (sign, Bytes::mib(10)));
        let drawn = plain(&bar(parts.into_iter(), Bytes::mib(1800)));
        assert_eq!(drawn.trim_end().chars().count(), 1, "{drawn}");
    }

    #[test]
    fn every_category_but_the_unknown_has_a_sign_of_its_own() {
        for category in Category::ALL {
            let known = sign(category.public_name()) != '·';
            assert_eq!(known, category != Category::Unknown, "{}", category.name());
        }
    }
}
