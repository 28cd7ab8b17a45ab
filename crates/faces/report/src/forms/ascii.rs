//! Characters that a terminal must not get, or cannot show.

/// What stands for a character where a terminal shows ASCII only.
const IN_ASCII: [(char, &str); 27] = [
    ('✓', "+"),
    ('✗', "x"),
    ('█', "@"),
    ('▓', "%"),
    ('▒', "&"),
    ('░', ":"),
    ('·', "."),
    ('•', "*"),
    ('─', "-"),
    ('│', "|"),
    ('┃', "|"),
    ('–', "-"),
    ('—', "--"),
    ('…', "..."),
    ('→', "->"),
    ('←', "<-"),
    ('×', "x"),
    ('±', "+/-"),
    ('≤', "<="),
    ('≥', ">="),
    ('≈', "~"),
    ('µ', "u"),
    ('“', "\""),
    ('”', "\""),
    ('‘', "'"),
    ('’', "'"),
    ('\u{a0}', " "),
];

/// A character in ASCII; a question mark where nothing stands for it.
pub(crate) fn in_ascii(character: char, out: &mut String) {
    match IN_ASCII.iter().find(|(from, _)| *from == character) {
        _ if character.is_ascii() => out.push(character),
        Some((_, to)) => out.push_str(to),
        None => out.push('?'),
    }
}

/// Whether a terminal obeys a character in place of showing it: C0 and C1 controls, marks that turn the direction of
/// writing (Unicode 16, chapter 23.2), separators of lines, and invisible tags. Line breaks and tabs are not among them.
pub(crate) fn is_unsafe(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => true,
        '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' => true,
        _ => character.is_control(),
    }
}

/// The byte of a file's name that a character stands for, as `brimful_ask::name_of` hides it.
pub(crate) fn hidden_byte(character: char) -> Option<u8> {
    u32::from(character).checked_sub(0x10_ff00).and_then(|byte| u8::try_from(byte).ok())
}

/// How such a character is shown: `\x1b`, `\u{202e}`.
pub(crate) fn visible(character: char) -> Option<String> {
    match (hidden_byte(character), u32::from(character)) {
        (Some(byte), _) => Some(format!("\\x{byte:02x}")),
        (None, code) if is_unsafe(character) && code < 0x100 => Some(format!("\\x{code:02x}")),
        (None, code) if is_unsafe(character) => Some(format!("\\u{{{code:x}}}")),
        _ => None,
    }
}
