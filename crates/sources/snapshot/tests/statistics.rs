//! PyTorch's statistics, as JSON and as its table.

use brimful_snapshot::{Statistics, read_statistics};
use brimful_units::Bytes;

fn fixture(name: &str) -> Statistics {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../fixtures/snapshots/statistics");
    read_statistics(&std::fs::read(format!("{folder}/{name}")).unwrap()).unwrap()
}

#[test]
fn the_table_says_what_the_numbers_say_rounded_down() {
    let exact = fixture("memory_stats.json");
    assert_eq!(exact.requested.unwrap().peak, Bytes::new((53 << 20) + 700 + 123_456_789 + 5_000_000_000));
    assert_eq!(exact.reserved.unwrap().now, Bytes::new(5_200_936_960));
    assert_eq!(fixture("memory_stats_nested.json"), exact);
    for name in ["memory_summary.txt", "memory_summary_short.txt"] {
        let table = fixture(name);
        assert_eq!((table.retries, table.ooms, table.margin), (Some(0), Some(0), Bytes::new((1 << 20) - 1)));
        let pairs = [(table.allocated, exact.allocated), (table.reserved, exact.reserved)];
        for (rounded, exact) in pairs.map(|(a, b)| (a.unwrap(), b.unwrap())) {
            assert!(rounded.peak <= exact.peak && exact.peak <= rounded.peak + table.margin);
            assert!(rounded.now <= exact.now && exact.now <= rounded.now + table.margin);
        }
    }
}

#[test]
fn other_things_are_none() {
    let lies = [
        "",
        "{}",
        "{\"allocated_bytes.all.peak\": 5}",
        "|  PyTorch CUDA memory summary |\n| Allocated memory |",
        "|  PyTorch CUDA memory summary |\n| Allocated memory | 99999999999999999999 PiB | 1 B |",
        "|  PyTorch CUDA memory summary |\n| Allocated memory | 9999999999999 PiB | 1 B |",
    ];
    for text in lies {
        assert_eq!(read_statistics(text.as_bytes()), None, "{text}");
    }
}
