use std::collections::BTreeMap;

use brimful_explain::Holder;

/// Brendan Gregg's collapsed stacks (flamegraph.pl, inferno): `frame;frame bytes` a line, outermost first.
pub fn collapsed(holders: &[Holder], predicted: bool) -> String {
    let mut lines: BTreeMap<String, u64> = BTreeMap::new();
    for holder in holders {
        let frames: Vec<String> =
            super::path(holder, predicted).iter().map(|frame| frame.replace(';', ":")).collect();
        *lines.entry(frames.join(";")).or_default() += holder.bytes.get();
    }
    lines.into_iter().map(|(stack, bytes)| format!("{stack} {bytes}\n")).collect()
}
