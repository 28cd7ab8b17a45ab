use brimful_explain::{Diff, PlaceChange};
use brimful_units::Bytes;

use super::{ChangeKind, DiffAnswer};
use crate::forms::{Style, table};

/// Places that are named.
const MOST: usize = 15;

/// Frames that every stack of modules has, and that tell nothing.
const CALLS: [&str; 2] = ["modules/module.py _call_impl", "modules/module.py _wrapped_call_impl"];

/// The comparison for people: the peaks, then what changed by purpose, then where.
pub fn diff_text(answer: &DiffAnswer<'_>) -> String {
    let diff = answer.diff;
    let mut lines =
        vec![format!("{} → {}", Style::STRONG.paint(answer.before), Style::STRONG.paint(answer.after))];
    lines.push(format!("  {}", verdict(diff)));
    if answer.partial.contains(&true) {
        lines.push(Style::BAD.paint("  of a file that is cut off: its peak is at least what stands here"));
    }
    lines.extend(table(&peaks(diff)));
    lines.push(String::new());
    lines.extend(table(&shares(diff)));
    if !diff.places.is_empty() {
        lines.push(String::new());
        lines.extend(table(&places(diff)));
    }
    if diff.places.len() > MOST {
        lines.push(format!("  and {} places more: --json names them all", diff.places.len() - MOST));
    }
    if !diff.comparable {
        let note = "a prediction names modules and a recording names lines: compared by purpose only";
        lines.push(Style::DIM.paint(&format!("  note: {note}")));
    }
    lines.extend(answer.notes.iter().map(|note| Style::DIM.paint(&format!("  note: {note}"))));
    lines.join("\n") + "\n"
}

fn verdict(diff: &Diff) -> String {
    let [before, after] = diff.peaks.map(|peak| peak.reserved);
    match before.cmp(&after) {
        _ if diff.is_empty() => Style::GOOD.paint("the same at the peak, to the byte"),
        std::cmp::Ordering::Less => Style::BAD.paint(&format!("takes {} more", after.saturating_sub(before))),
        std::cmp::Ordering::Greater => {
            Style::GOOD.paint(&format!("takes {} less", before.saturating_sub(after)))
        }
        std::cmp::Ordering::Equal => Style::STRONG.paint("reserves as much, filled otherwise"),
    }
}

fn row(name: &str, before: Bytes, after: Bytes) -> Vec<String> {
    vec![format!("  {name}"), before.to_string(), after.to_string(), signed(before, after)]
}

fn peaks(diff: &Diff) -> Vec<Vec<String>> {
    let [before, after] = &diff.peaks;
    let heading = ["  peak", "before", "after", "change"].map(str::to_owned).to_vec();
    vec![
        heading,
        row("requested", before.requested, after.requested),
        row("allocated", before.allocated, after.allocated),
        row("reserved", before.reserved, after.reserved),
    ]
}

fn shares(diff: &Diff) -> Vec<Vec<String>> {
    let heading = ["  at the requested peak", "before", "after", "change"].map(str::to_owned).to_vec();
    let rows = diff.shares.iter().map(|share| row(share.category.name(), share.before, share.after));
    std::iter::once(heading).chain(rows).collect()
}

fn places(diff: &Diff) -> Vec<Vec<String>> {
    let heading = ["  what changed", "change", "blocks", "where"].map(str::to_owned).to_vec();
    std::iter::once(heading).chain(diff.places.iter().take(MOST).map(place)).collect()
}

fn place(changed: &PlaceChange) -> Vec<String> {
    let named = changed.place.iter().filter(|frame| !CALLS.iter().any(|call| frame.ends_with(call)));
    let shown: Vec<&str> = named.take(3).map(String::as_str).collect();
    vec![
        format!("  {} {}", ChangeKind::of(changed).name(), changed.category.name()),
        signed(changed.before.bytes, changed.after.bytes),
        format!("{} → {}", changed.before.blocks, changed.after.blocks),
        if shown.is_empty() { "(no stack)".to_owned() } else { shown.join(" < ") },
    ]
}

fn signed(before: Bytes, after: Bytes) -> String {
    if after < before {
        format!("-{}", before.saturating_sub(after))
    } else {
        format!("+{}", after.saturating_sub(before))
    }
}

#[cfg(test)]
mod tests {
    use brimful_explain::{Amount, ShareChange};
    use brimful_replay::Ledger;
    use brimful_trace::Category;

    use super::*;
    use crate::forms::plain;

    #[test]
    fn peaks_come_first_then_what_changed_and_where() {
        let peak = |mib| Ledger {
            requested: Bytes::mib(mib),
            allocated: Bytes::mib(mib),
            reserved: Bytes::mib(mib),
        };
        let category = Category::Activation;
        let place = PlaceChange {
            category,
            place: vec!["model.py forward".to_owned(), "modules/module.py _call_impl".to_owned()],
            before: Amount { bytes: Bytes::mib(4), blocks: 2 },
            after: Amount { bytes: Bytes::mib(6), blocks: 3 },
        };
        let diff = Diff {
            peaks: [peak(4), peak(6)],
            shares: vec![ShareChange { category, before: Bytes::mib(4), after: Bytes::mib(6) }],
            places: vec![place],
            comparable: true,
        };
        let text =
            diff_text(&DiffAnswer { before: "a", after: "b", diff: &diff, partial: [false; 2], notes: &[] });
        assert_eq!(
            plain(&text).lines().collect::<Vec<_>>(),
            [
                "a → b",
                "  takes 2.00 MiB more",
                "  peak         before     after  change",
                "  requested  4.00 MiB  6.00 MiB  +2.00 MiB",
                "  allocated  4.00 MiB  6.00 MiB  +2.00 MiB",
                "  reserved   4.00 MiB  6.00 MiB  +2.00 MiB",
                "",
                "  at the requested peak    before     after  change",
                "  activation             4.00 MiB  6.00 MiB  +2.00 MiB",
                "",
                "  what changed         change  blocks  where",
                "  grown activation  +2.00 MiB   2 → 3  model.py forward",
            ]
        );
    }
}
