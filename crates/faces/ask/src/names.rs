//! Names of files as texts, without loss.
//!
//! The questions take names as `&str`, since models and jobs name files in texts. A name of a disk is bytes. A byte that
//! no text can show (of a name that is not UTF-8, or a control character) becomes a character of the last private-use
//! plane, and [`path_of`] turns it back. [`brimful_report::Terminal`] prints it as `\xff`.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// The character of the byte 0. The last plane is private, and no file that people name is likely to use its end.
const FIRST: u32 = 0x10_ff00;

/// A file's name as a text, from which [`path_of`] makes the same name again.
///
/// ```
/// use brimful_ask::{name_of, path_of};
/// assert_eq!(name_of("run.pickle".as_ref()), "run.pickle");
/// let odd = std::ffi::OsString::from("two\nlines");
/// assert_eq!(path_of(&name_of(&odd)).into_os_string(), odd);
/// ```
pub fn name_of(name: &OsStr) -> String {
    let mut text = String::new();
    for chunk in name.as_encoded_bytes().utf8_chunks() {
        for character in chunk.valid().chars() {
            // A character that would be taken for a hidden byte is hidden byte by byte itself.
            if character.is_ascii_control() || byte_of(character).is_some() {
                let mut bytes = [0; 4];
                text.extend(character.encode_utf8(&mut bytes).bytes().map(hidden));
            } else {
                text.push(character);
            }
        }
        text.extend(chunk.invalid().iter().copied().map(hidden));
    }
    text
}

/// The path that a text names: what [`name_of`] hid is a byte again.
pub fn path_of(name: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(name.len());
    for character in name.chars() {
        match byte_of(character) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    os_string(bytes).into()
}

fn hidden(byte: u8) -> char {
    char::from_u32(FIRST + u32::from(byte)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn byte_of(character: char) -> Option<u8> {
    u32::from(character).checked_sub(FIRST).and_then(|byte| u8::try_from(byte).ok())
}

#[cfg(unix)]
fn os_string(bytes: Vec<u8>) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes)
}

/// Elsewhere names are not bytes; what is not UTF-8 is shown, and names no file.
#[cfg(not(unix))]
fn os_string(bytes: Vec<u8>) -> OsString {
    String::from_utf8_lossy(&bytes).into_owned().into()
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn every_name_comes_back_as_it_was() {
        let hidden_twice = name_of(OsStr::from_bytes(b"\xff"));
        for bytes in
            [&b"run.pickle"[..], b"a\xff\xfeb", b"\n\x1b[31m", "ö—✓".as_bytes(), hidden_twice.as_bytes()]
        {
            let name = OsStr::from_bytes(bytes);
            assert_eq!(path_of(&name_of(name)).as_os_str(), name);
        }
    }

    #[test]
    fn a_control_character_of_a_name_is_none_in_the_text() {
        assert!(!name_of(OsStr::from_bytes(b"a\n\x1b[31m\x7f")).chars().any(char::is_control));
    }
}
