//! Opcodes that plain data never needs, by Python's names for them.

/// The name of a known opcode that is refused, and what it would do.
pub(crate) fn refused(opcode: u8) -> Option<(&'static str, &'static str)> {
    Some(match opcode {
        b'c' => ("GLOBAL", "import"),
        0x93 => ("STACK_GLOBAL", "import"),
        b'i' => ("INST", "import and call"),
        b'R' => ("REDUCE", "call a function"),
        b'o' => ("OBJ", "call a class"),
        0x81 => ("NEWOBJ", "make an object of a class"),
        0x92 => ("NEWOBJ_EX", "make an object of a class"),
        b'b' => ("BUILD", "set an object's state"),
        0x82 => ("EXT1", "import a registered class"),
        0x83 => ("EXT2", "import a registered class"),
        0x84 => ("EXT4", "import a registered class"),
        b'P' => ("PERSID", "load an object from elsewhere"),
        b'Q' => ("BINPERSID", "load an object from elsewhere"),
        0x97 => ("NEXT_BUFFER", "take a buffer from elsewhere"),
        0x98 => ("READONLY_BUFFER", "take a buffer from elsewhere"),
        0x96 => ("BYTEARRAY8", "hold raw bytes"),
        b'B' => ("BINBYTES", "hold raw bytes"),
        b'C' => ("SHORT_BINBYTES", "hold raw bytes"),
        0x8e => ("BINBYTES8", "hold raw bytes"),
        b'T' => ("BINSTRING", "hold raw bytes"),
        b'U' => ("SHORT_BINSTRING", "hold raw bytes"),
        0x8f => ("EMPTY_SET", "hold a set"),
        0x90 => ("ADDITEMS", "hold a set"),
        0x91 => ("FROZENSET", "hold a set"),
        b'0' => ("POP", "drop a value"),
        b'1' => ("POP_MARK", "drop values"),
        b'2' => ("DUP", "double a value"),
        b'F' | b'I' | b'L' | b'S' | b'V' | b'g' | b'p' => ("a text opcode", "be read as protocol 0"),
        _ => return None,
    })
}

/// What GLOBAL or INST names: module and name, each ended by a newline.
pub(crate) fn named(opcode: u8, rest: &[u8]) -> Option<String> {
    if !matches!(opcode, b'c' | b'i') {
        return None;
    }
    let mut lines = rest[..rest.len().min(400)].split(|byte| *byte == b'\n');
    let line = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned();
    Some(format!("{}.{}", line(lines.next()?), line(lines.next()?)))
}
