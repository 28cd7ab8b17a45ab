//! The reader on files that a small writer makes, whole, cut and damaged.

use std::io::Read;

use brimful_gguf::{Error, GgmlType, Header, Size, Value, part_names};
use brimful_units::Bytes;
use proptest::prelude::*;

/// Writes headers of every version and byte order.
struct Writer {
    bytes: Vec<u8>,
    version: u32,
    big: bool,
}

impl Writer {
    fn new(version: u32, big: bool, tensors: u64, keys: u64) -> Self {
        let mut writer = Writer { bytes: b"GGUF".to_vec(), version, big };
        writer.u32(version).count(tensors).count(keys);
        writer
    }

    fn u32(&mut self, number: u32) -> &mut Self {
        self.bytes.extend(if self.big { number.to_be_bytes() } else { number.to_le_bytes() });
        self
    }

    fn u64(&mut self, number: u64) -> &mut Self {
        self.bytes.extend(if self.big { number.to_be_bytes() } else { number.to_le_bytes() });
        self
    }

    fn count(&mut self, number: u64) -> &mut Self {
        if self.version == 1 { self.u32(number as u32) } else { self.u64(number) }
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.count(text.len() as u64);
        self.bytes.extend(text.as_bytes());
        self
    }

    fn number(&mut self, key: &str, number: u32) -> &mut Self {
        self.text(key).u32(4).u32(number)
    }

    fn tensor(&mut self, name: &str, shape: &[u64], ty: u32, offset: u64) -> &mut Self {
        self.text(name).u32(shape.len() as u32);
        for side in shape {
            self.count(*side);
        }
        self.u32(ty).u64(offset)
    }
}

fn small(version: u32, big: bool) -> Vec<u8> {
    let mut writer = Writer::new(version, big, 2, 3);
    writer.text("general.architecture").u32(8).text("llama");
    writer.number("llama.block_count", 32);
    writer.text("tokenizer.ggml.tokens").u32(9).u32(8).count(3).text("a").text("bc").text("");
    writer.tensor("token_embd.weight", &[256, 4], 12, 0).tensor("output_norm.weight", &[256], 0, 576);
    writer.bytes
}

#[test]
fn every_version_and_byte_order_reads_the_same() {
    for version in 1..=3 {
        for big in [false, true] {
            let header = Header::read(&small(version, big)[..]).unwrap();
            assert_eq!((header.version, header.big_endian), (version, big));
            assert_eq!(header.architecture().unwrap(), "llama");
            assert_eq!(header.get("llama.block_count"), Some(&Value::Unsigned(32)));
            let Some(Value::Array(tokens)) = header.get("tokenizer.ggml.tokens") else { panic!("no tokens") };
            assert_eq!((tokens.len, tokens.items.len()), (3, 0), "texts of an array are counted, not kept");
            assert_eq!(header.tensors[0].bytes(), Some(Bytes::new(4 * 144)));
            assert_eq!(header.tensor_bytes_known(), Bytes::new(4 * 144 + 1024));
            assert_eq!(header.data_offset % 32, 0);
            header.check_length(header.data_offset + 1600).unwrap();
            assert!(header.check_length(header.data_offset + 1599).is_err());
        }
    }
}

#[test]
fn a_header_cut_off_at_every_byte_is_refused() {
    let whole = small(3, false);
    for end in 0..whole.len() {
        let error = Header::read(&whole[..end]).unwrap_err();
        assert!(matches!(error, Error::Ended { offset, .. } if offset == end as u64), "{end}: {error}");
    }
}

#[test]
fn a_header_with_every_byte_damaged_does_not_panic() {
    let whole = small(3, false);
    for at in 0..whole.len() {
        for value in [0, 1, 0x7F, 0x80, 0xFF] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            if let Ok(header) = Header::read(&bytes[..]) {
                let _ = header.check_length(10_000);
                for tensor in &header.tensors {
                    header.size_of(tensor, Some(10_000));
                }
            }
        }
    }
}

#[test]
fn an_unknown_type_is_bounded_by_the_next_tensor() {
    let mut writer = Writer::new(3, false, 3, 0);
    writer.tensor("a", &[256], 77, 0).tensor("c", &[256], 77, 1024).tensor("b", &[256], 0, 512);
    let header = Header::read(&writer.bytes[..]).unwrap();
    assert_eq!(header.size_of(&header.tensors[0], None), Size::AtMost(Bytes::new(512)));
    assert_eq!(header.size_of(&header.tensors[1], None), Size::Unknown);
    let end = header.data_offset + 2048;
    assert_eq!(header.size_of(&header.tensors[1], Some(end)), Size::AtMost(Bytes::new(1024)));
    assert_eq!(header.size_of(&header.tensors[2], None), Size::Exact(Bytes::new(1024)));
}

#[test]
fn a_million_tokens_are_passed_over() {
    let mut writer = Writer::new(3, false, 0, 1);
    writer.text("tokenizer.ggml.tokens").u32(9).u32(8).count(1_000_000);
    for token in 0..1_000_000u32 {
        writer.text(&token.to_string());
    }
    let header = Header::read(&writer.bytes[..]).unwrap();
    let Some(Value::Array(tokens)) = header.get("tokenizer.ggml.tokens") else { panic!("no tokens") };
    assert_eq!((tokens.len, tokens.items.capacity()), (1_000_000, 0));
}

/// Counts what is asked of it, and ends after a header whose lengths claim more than any file holds.
struct Counted<'a>(&'a [u8], usize);

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.1 = self.1.max(buffer.len());
        self.0.read(buffer)
    }
}

#[test]
fn lengths_that_lie_never_allocate() {
    for (kind, element) in [(8, None), (9, Some(4)), (9, Some(8)), (9, Some(9))] {
        let mut writer = Writer::new(3, false, u64::MAX, u64::MAX);
        writer.text("key").u32(kind);
        if let Some(element) = element {
            writer.u32(element);
        }
        writer.u64(u64::MAX >> 3);
        let mut reader = Counted(&writer.bytes, 0);
        assert!(matches!(Header::read(&mut reader), Err(Error::Ended { .. })), "type {kind} of {element:?}");
        assert!(reader.1 <= 64 << 10, "the reader was asked for {} bytes at once", reader.1);
    }
}

#[test]
fn parts_are_joined_in_their_order_and_a_missing_one_is_named() {
    let part = |no: u32| {
        let mut writer = Writer::new(3, false, 1, 3);
        writer.number("split.no", no).number("split.count", 2).number("split.tensors.count", 2);
        writer.tensor(&format!("t{no}"), &[32], 0, 0);
        Header::read(&writer.bytes[..]).unwrap()
    };
    let whole = Header::join(vec![part(0), part(1)]).unwrap();
    assert_eq!(whole.tensors.iter().map(|tensor| tensor.part).collect::<Vec<_>>(), [0, 1]);
    for parts in [vec![part(0)], vec![part(0), part(0)], vec![]] {
        assert!(matches!(Header::join(parts), Err(Error::Split { .. })));
    }
    assert_eq!(part_names("a-00009-of-00002.gguf"), None);
    assert_eq!(part_names("a.gguf"), None);
}

#[test]
fn every_hostile_file_is_refused_for_its_reason() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../hostile/gguf");
    let reasons = std::fs::read_to_string(format!("{folder}/README.md")).unwrap();
    let mut seen = 0;
    for row in reasons.lines().filter_map(|line| line.strip_prefix("| `")) {
        let (name, rest) = row.split_once("` | `").unwrap();
        let reason = rest.trim_end_matches("` |");
        let file = std::fs::File::open(format!("{folder}/{name}")).unwrap();
        let length = file.metadata().unwrap().len();
        let error =
            Header::read(file).and_then(|header| header.check_length(length)).unwrap_err().to_string();
        assert!(error.contains(reason), "{name}: {error}");
        seen += 1;
    }
    let files = std::fs::read_dir(folder).unwrap().count();
    assert_eq!(seen + 1, files, "each file but README.md has its row");
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        version in 1u32..=3,
        big: bool,
        keys in prop::collection::vec(("[a-z.]{1,20}", any::<u32>()), 0..8),
        tensors in prop::collection::vec(("[a-z.0-9]{1,30}", 1u64..9, 1u64..9, 0usize..36), 0..8),
    ) {
        let types: Vec<GgmlType> = GgmlType::all().collect();
        let mut writer = Writer::new(version, big, tensors.len() as u64, keys.len() as u64);
        for (key, number) in &keys {
            writer.number(key, *number);
        }
        for (index, (name, blocks, rows, ty)) in tensors.iter().enumerate() {
            let (block, _) = types[*ty].block().unwrap();
            writer.tensor(name, &[blocks * block, *rows], types[*ty].0, index as u64 * 4096);
        }
        let header = Header::read(&writer.bytes[..]).unwrap();
        prop_assert_eq!(header.metadata.len(), keys.len());
        for ((key, value), (wanted, number)) in header.metadata.iter().zip(&keys) {
            prop_assert_eq!(key, wanted);
            prop_assert_eq!(value.as_u64(), Some(u64::from(*number)));
        }
        for (tensor, (name, blocks, rows, ty)) in header.tensors.iter().zip(&tensors) {
            let (_, bytes) = types[*ty].block().unwrap();
            prop_assert_eq!(&tensor.name, name);
            prop_assert_eq!(tensor.bytes(), Some(Bytes::new(blocks * rows * bytes)));
        }
    }

    #[test]
    fn any_bytes_behind_the_magic_do_not_panic(version in 1u32..=3, rest in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(version.to_le_bytes());
        bytes.extend(rest);
        let _ = Header::read(&bytes[..]);
    }
}
