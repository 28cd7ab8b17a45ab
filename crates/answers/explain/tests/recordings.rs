//! What real recordings are explained by.

use brimful_explain::snapshot::{Doing, Explanation, explain_recording, fixes};
use brimful_trace::{Category, Trace};
use brimful_units::Bytes;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../fixtures/snapshots");

fn trace(name: &str) -> Trace {
    let bytes = std::fs::read(format!("{FIXTURES}/{name}")).unwrap();
    brimful_snapshot::read(&bytes).unwrap().into_trace(0).unwrap()
}

fn explained(name: &str) -> Explanation {
    explain_recording(&trace(&format!("{name}.pickle.gz")), 10)
}

fn share(explanation: &Explanation, category: Category) -> Bytes {
    let shares = explanation.contents.shares.iter().filter(|share| share.category == category);
    shares.map(|share| share.bytes).sum()
}

/// 1,100,048,384 parameters in bf16; AdamW keeps two more tensors of each.
const PARAMETERS: u64 = 2 * 1_100_048_384;
/// The rotary embedding's frequencies, twice.
const BUFFERS: u64 = 2 * 32 * 4;

#[test]
fn the_peak_is_made_of_what_training_needs() {
    let steady = explained("steady");
    assert_eq!(steady.doing, Doing::Backward);
    let model = share(&steady, Category::Parameter) + share(&steady, Category::Buffer);
    assert_eq!(model, Bytes::new(PARAMETERS + BUFFERS));
    // The step counters of AdamW are on the CPU.
    assert_eq!(share(&steady, Category::Optimizer), Bytes::new(2 * PARAMETERS));
    let logits = Bytes::new(2 * 1024 * 32000 * 2);
    assert!(share(&steady, Category::Logits) >= logits.checked_mul(3).unwrap());
    let all: Bytes = steady.contents.shares.iter().map(|share| share.bytes).sum();
    assert_eq!(all, steady.followed.peak.requested);
    assert!(steady.out_of_memory.is_none() && steady.leaks.is_empty());
}

#[test]
fn an_oom_by_fragmentation_is_told_and_its_fix_was_replayed() {
    let explanation = explained("varlen-oom");
    let oom = explanation.out_of_memory.as_ref().unwrap();
    assert_eq!((oom.class, oom.tried, oom.free), ("fragmentation", Bytes::mib(294), Some(Bytes::mib(246))));
    assert_eq!(oom.capacity, Some(Bytes::gib(12)));
    assert!(oom.largest_usable < oom.requested && oom.usable_free > oom.requested);
    assert!(
        oom.sentence.contains("With expandable segments the peak would be 11.58 GiB"),
        "{}",
        oom.sentence
    );
    let fixes = fixes(&explanation);
    assert_eq!((fixes[0].id, fixes[0].fits), ("expandable-segments", Some(true)));
    assert!(fixes.iter().all(|fix| !fix.id.starts_with("max-split-size")), "{fixes:?}");
    // 568.71 MiB, as PyTorch's own message says: reserved but unallocated.
    assert_eq!(oom.fragmentation.stranded.to_string(), "568.71 MiB");
    assert!(oom.fragmentation.pinned[0].stranded >= oom.fragmentation.pinned[1].stranded);
    assert!(!oom.fragmentation.pinned[0].pins.is_empty());
}

/// Two layers; each keeps the product of its second linear layer's input, 512 × 256 in fp32.
#[test]
fn a_recording_that_names_modules_is_told_by_them() {
    let explanation = explained("rehearsed/modules");
    let layers: Vec<_> =
        explanation.contents.blocks.iter().filter(|block| !block.module.is_empty()).collect();
    let told: Vec<_> = layers.iter().map(|block| (block.module.as_str(), block.bytes)).collect();
    let (kept, sum) = (Bytes::new(512 << 10), Bytes::new(128 << 10));
    assert_eq!(told, [("layers.0", kept), ("layers.1", kept), ("layers.0", sum)]);
    let owner = &explanation.contents.owners[1];
    assert_eq!((owner.owner.as_str(), owner.blocks), ("layers.* modules.py:12 forward", 3));
}

/// The loop keeps the logits of 4 × 256 tokens and 50,257 words in bf16, once a step.
#[test]
fn a_leak_has_its_slope_and_its_line() {
    for name in ["leak", "leak-live"] {
        let explanation = explained(name);
        assert_eq!(explanation.leaks.len(), 1, "{name}: {:?}", explanation.leaks);
        let leak = &explanation.leaks[0];
        assert_eq!(leak.bytes_per_step, Bytes::new(4 * 256 * 50257 * 2), "{name}");
        assert!(leak.owner.starts_with("modeling_gpt2.py:"), "{}", leak.owner);
        assert_eq!(leak.grew, leak.intervals);
    }
    for name in ["steady", "varlen", "varlen-expandable", "gpt2amp"] {
        assert!(explained(name).leaks.is_empty(), "{name}");
    }
}

#[test]
fn usual_advice_that_hurts_is_no_fix() {
    let explanation = explained("varlen");
    let tried = |id: &str| explanation.what_if.iter().find(|what| what.id == id).unwrap();
    // As real PyTorch did under these settings (truth.jsonl).
    assert_eq!(tried("max-split-size-64").peak.reserved, Bytes::new(20_902_313_984));
    assert_eq!(tried("expandable-segments").peak.reserved, Bytes::new(12_815_695_872));
    let ids: Vec<&str> = fixes(&explanation).iter().map(|fix| fix.id).collect();
    assert_eq!(ids, ["expandable-segments"]);
}

#[test]
fn a_wrapped_ring_says_what_is_lost() {
    let ring = explained("varlen-ring");
    assert!(ring.begins_late);
    assert!(ring.notes[0].contains("the ring wrapped, or the recording began late"), "{:?}", ring.notes);
    let unknown = ring.contents.shares.iter().find(|share| share.category == Category::Unknown).unwrap();
    assert_eq!(unknown.bytes, unknown.uncertain);
}

/// Every byte of a small snapshot replaced: what is still read is explained, without a panic.
#[test]
fn damaged_recordings_are_explained_too() {
    let whole = std::fs::read(format!("{FIXTURES}/tiny/torch-2.15.pickle")).unwrap();
    let mut explained = 0;
    for at in 0..whole.len() {
        for byte in [0, 0x28, 0x65, 0x80, whole[at] ^ 1, whole[at].wrapping_add(16)] {
            let mut damaged = whole.clone();
            damaged[at] = byte;
            let Ok(snapshot) = brimful_snapshot::read(&damaged) else { continue };
            let Some(trace) = snapshot.fullest().and_then(|device| snapshot.into_trace(device)) else {
                continue;
            };
            let explanation = explain_recording(&trace, 3);
            assert!(explanation.followed.peak.reserved >= explanation.followed.end.reserved, "{at} {byte}");
            explained += 1;
        }
    }
    assert!(explained > whole.len(), "{explained}");
}
