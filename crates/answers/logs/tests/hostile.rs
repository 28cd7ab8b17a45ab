//! Inputs that are no logs, or lie: an answer always, the same whatever the pieces, and never much memory.

use brimful_logs::{Scanner, Value, formats, scan};
use proptest::prelude::*;

const MESSAGE: &str = "RuntimeError: CUDA out of memory. Tried to allocate 60.00 MiB (GPU 0; 6.00 GiB total capacity; 4.11 GiB \
    already allocated; 34.82 MiB free; 4.42 GiB reserved in total by PyTorch)";

fn format_of(text: &[u8]) -> Option<String> {
    scan(text).unwrap().incident.map(|incident| incident.format)
}

#[test]
fn nothing_is_found_in_nothing() {
    assert!(scan(&b""[..]).unwrap().incident.is_none());
    assert!(scan(&[0u8; 4096][..]).unwrap().incident.is_none());
}

#[test]
fn a_line_of_ten_megabytes() {
    let mut text = vec![b'x'; 10 << 20];
    text.extend(MESSAGE.bytes());
    text.extend(vec![b'y'; 1 << 20]);
    let incident = scan(&text[..]).unwrap().incident.unwrap();
    assert_eq!(incident.facts.int("tried_bytes"), Some(60 << 20));
    assert!(incident.message.len() <= 4000 && incident.frames.len() <= 16 << 10);
}

#[test]
fn invalid_utf8_and_control_characters_around() {
    let text =
        [&b"\xff\xfe\x80step \xc3\n\x07"[2..], MESSAGE.as_bytes(), &b"\xf0\x28\x8c\x28\n"[..]].concat();
    assert_eq!(format_of(&text).as_deref(), Some("pt-reserved"));
}

#[test]
fn utf16_as_powershell_writes_it() {
    let mut text = vec![0xff, 0xfe];
    text.extend(format!("start\r\n{MESSAGE}\r\n").encode_utf16().flat_map(u16::to_le_bytes));
    let incident = scan(&text[..]).unwrap().incident.unwrap();
    assert_eq!((incident.format.as_str(), incident.line), ("pt-reserved", 2));
}

#[test]
fn a_message_that_is_cut_keeps_what_it_has() {
    for end in ["already", "total capacity", "(GPU 0;"] {
        let cut = MESSAGE.find(end).unwrap();
        let incident = scan(&MESSAGE.as_bytes()[..cut]).unwrap().incident.unwrap_or_else(|| panic!("{end}"));
        assert_eq!(incident.facts.int("tried_bytes"), Some(60 << 20), "{end}");
    }
}

#[test]
fn a_message_that_is_wrapped() {
    for width in [40, 60, 80, 100] {
        let mut wrapped = String::new();
        for word in MESSAGE.split(' ') {
            let column = wrapped.len() - wrapped.rfind('\n').map_or(0, |newline| newline + 1);
            wrapped += if column + word.len() > width { "\n    " } else { " " };
            wrapped += word;
        }
        assert_eq!(format_of(wrapped.as_bytes()).as_deref(), Some("pt-reserved"), "{width}");
    }
    let with_ranks = format!("[rank1]: {}", MESSAGE.replace("; ", ";\n[rank1]: "));
    assert_eq!(format_of(with_ranks.as_bytes()).as_deref(), Some("pt-reserved"));
}

#[test]
fn a_json_log() {
    let text =
        format!("{{\"log\":\"step 1\\n\"}}\n{{\"log\":\"\\u001b[31m{MESSAGE}\\n\",\"stream\":\"stderr\"}}\n");
    assert_eq!(format_of(text.as_bytes()).as_deref(), Some("pt-reserved"));
}

#[test]
fn the_first_failure_wins_and_the_others_are_counted() {
    let text: String =
        (0..8).map(|rank| format!("[rank{rank}]: {MESSAGE}\n{}", "working\n".repeat(400))).collect();
    let report = scan(text.as_bytes()).unwrap();
    let incident = report.incident.unwrap();
    assert_eq!((incident.rank.as_deref(), incident.line), (Some("0"), 1));
    assert_eq!((report.later, report.later_ranks.len()), (7, 7));
}

#[test]
fn ranks_that_fail_in_the_next_line_are_counted() {
    let ranks = ["3", "5", "3", "0", "5"];
    let text: String = ranks.iter().map(|rank| format!("[rank{rank}]: {MESSAGE}\n")).collect();
    let report = scan(text.as_bytes()).unwrap();
    assert_eq!(report.incident.unwrap().rank.as_deref(), Some("3"));
    assert_eq!(report.later_ranks, ["0", "3", "5"]);
    let twice = scan(format!("[rank3]: {MESSAGE}\n[rank3]: {MESSAGE}\n").as_bytes()).unwrap();
    assert_eq!((twice.later, twice.later_ranks.len()), (0, 0), "one failure, told twice");
}

#[test]
fn numbers_without_units_are_no_sizes() {
    let text = MESSAGE.replace(" MiB", "").replace(" GiB", "");
    let incident = scan(text.as_bytes()).unwrap().incident.unwrap();
    assert!(incident.facts.iter().all(|(name, _)| !name.ends_with("_bytes")), "{:?}", incident.facts);
}

#[test]
fn figures_that_are_too_large_are_left_out() {
    let text = MESSAGE.replace("60.00 MiB", "99999999999999999999.00 EiB").replace("6.00 GiB", "1.2.3 GiB");
    let incident = scan(text.as_bytes()).unwrap().incident.unwrap();
    assert_eq!(incident.facts.get("tried_bytes"), None);
    assert_eq!(incident.facts.int("allocated_bytes"), Some(4_413_078_897));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
        scan(&bytes[..]).unwrap();
    }

    #[test]
    fn broken_examples_do_not_panic(at in 0usize..200, cut in 0usize..400, byte in any::<u8>()) {
        let examples: Vec<_> = formats().collect();
        let mut text = examples[at % examples.len()].example.clone().into_bytes();
        let place = cut % text.len();
        text[place] = byte;
        scan(&text[..]).unwrap();
        scan(&text[place..]).unwrap();
    }

    #[test]
    fn pieces_do_not_matter(size in 1usize..300, before in 0usize..3000) {
        let text = format!("{}{MESSAGE}\nafter\n", "a healthy line with a \x1b[32mcolour\x1b[0m\n".repeat(before));
        let whole = scan(text.as_bytes()).unwrap().incident.unwrap();
        let mut scanner = Scanner::new();
        text.as_bytes().chunks(size).for_each(|piece| scanner.push(piece));
        let pieces = scanner.finish().incident.unwrap();
        prop_assert_eq!((whole.line, &whole.facts, &whole.message), (pieces.line, &pieces.facts, &pieces.message));
        prop_assert_eq!(pieces.facts.get("tried_bytes"), Some(&Value::Int(60 << 20)));
        prop_assert_eq!(pieces.line as usize, before + 1);
    }
}
