use brimful_logs::{Incident, Report};
use brimful_units::Bytes;

use super::causes::{Causes, Rule};
use super::figures::Figures;
use super::fixes::{AdvisedFix, chosen};
use super::ledger::{CardLedger, ledger};

/// Why it failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Cause {
    /// The class, such as `fragmentation`.
    pub class: String,
    /// Its name for people.
    pub title: String,
    /// What it is, in a line.
    pub meaning: String,
    /// How sure that is, 0 to 1.
    pub confidence: f64,
    /// What in the text says so.
    pub evidence: Vec<String>,
    /// Other classes that the text allows, with how sure they would be.
    pub or_else: Vec<(String, f64)>,
    /// What would decide it, where the text does not.
    pub tell: Option<String>,
}

/// What a failure means.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnosis {
    /// Why.
    pub cause: Cause,
    /// The card at that moment; `None` if the message does not say its size.
    pub ledger: Option<CardLedger>,
    /// What to change, most useful first.
    pub fixes: Vec<AdvisedFix>,
    /// What the reader should know about the message.
    pub notes: Vec<String>,
}

/// Causes surer than this need no word on what would decide.
const SURE: f64 = 0.5;
/// So many other classes are named at most.
const MOST_OTHERS: usize = 3;
/// So many fixes of each other class are advised at most.
const FIXES_OF_OTHERS: usize = 2;

/// Explains the first failure of a text; `None` where nothing failed.
pub fn diagnose(report: &Report) -> Option<Diagnosis> {
    let incident = report.incident.as_ref()?;
    let figures = Figures::of(incident, report);
    let mut holding = Causes::get().rules.iter().filter(|rule| rule.holds(&figures));
    let first = holding.next();
    let cause = cause(incident, first, others(first, holding), &figures);
    Some(Diagnosis {
        fixes: advice(&cause, first, &figures),
        ledger: ledger(incident),
        notes: notes(report, &figures),
        cause,
    })
}

/// The cause that the format establishes, else the first rule's.
fn cause(
    incident: &Incident,
    rule: Option<&Rule>,
    or_else: Vec<(String, f64)>,
    figures: &Figures<'_>,
) -> Cause {
    let causes = Causes::get();
    let established = incident.cause.as_ref().filter(|_| incident.kind.is_gpu_oom());
    let of_rule = rule.map_or("unknown", |rule| causes.class(rule));
    let class = established.map_or(of_rule, String::as_str);
    let known = causes.of(class);
    let page = known.map(|known| &known.page);
    let confidence = match (established, rule) {
        (Some(_), _) => 0.9,
        (None, Some(rule)) => rule.confidence(),
        (None, None) => 0.0,
    };
    let evidence = match (established, rule) {
        (Some(_), _) => vec![format!("the message itself says so: {}", incident.title)],
        (None, rule) => rule.map_or(Vec::new(), |rule| filled(rule.evidence(), figures)),
    };
    let unsure = || causes.of("unknown").and_then(|unknown| unknown.tell.as_deref());
    // A rule speaks for its own class only, and the format may have established another.
    let same = rule.filter(|rule| causes.class(rule) == class);
    let own = same.and_then(Rule::tell).or_else(|| known.and_then(|known| known.tell.as_deref()));
    let tell = own.or_else(|| unsure().filter(|_| confidence < SURE));
    Cause {
        class: class.to_owned(),
        title: page.map_or(String::new(), |page| page.title.clone()),
        meaning: page.map_or(String::new(), |page| page.meaning.clone()),
        confidence,
        evidence,
        or_else,
        tell: tell.map(|tell| figures.fill(tell).unwrap_or_else(|| tell.to_owned())),
    }
}

/// What to change: the rule's own fixes or else the cause's, and where that is not sure, in turn what helps against
/// each of the other classes.
fn advice(cause: &Cause, rule: Option<&Rule>, figures: &Figures<'_>) -> Vec<AdvisedFix> {
    let of = |class: &str| Causes::get().of(class).map_or(&[][..], |known| &known.fixes);
    let rule = rule.filter(|rule| Causes::get().class(rule) == cause.class);
    let own = rule.and_then(Rule::fixes).unwrap_or_else(|| of(&cause.class));
    if cause.confidence >= SURE {
        return chosen(own, figures);
    }
    let undecided = cause.class == "unknown" && rule.is_some_and(|rule| rule.fixes().is_none());
    let mut ids: Vec<&String> = if undecided { Vec::new() } else { own.iter().collect() };
    let most = cause.or_else.iter().map(|(class, _)| of(class).len()).max().unwrap_or(0);
    for at in 0..most.min(FIXES_OF_OTHERS) {
        ids.extend(cause.or_else.iter().filter_map(|(class, _)| of(class).get(at)));
    }
    ids.extend(own);
    chosen(ids, figures)
}

/// The evidence whose figures are known, else the format's title.
fn filled(evidence: &[String], figures: &Figures<'_>) -> Vec<String> {
    let known: Vec<String> = evidence.iter().filter_map(|sentence| figures.fill(sentence)).collect();
    if known.is_empty() { vec![figures.incident.title.clone()] } else { known }
}

/// The other classes that the text allows, each once, without the first's and without `unknown`: those that the first
/// rule names, then those of later rules. They share what the first leaves open.
fn others<'a>(first: Option<&'a Rule>, rules: impl Iterator<Item = &'a Rule>) -> Vec<(String, f64)> {
    let Some(first) = first else { return Vec::new() };
    let causes = Causes::get();
    let named = first.candidates().iter().map(|other| (other.class.as_str(), other.confidence));
    let later = rules.map(|rule| (causes.class(rule), rule.confidence()));
    let mut others: Vec<(String, f64)> = Vec::new();
    for (class, sure) in named.chain(later) {
        let new = class != "unknown" && class != causes.class(first) && others.iter().all(|o| o.0 != class);
        if new && others.len() < MOST_OTHERS {
            others.push((class.to_owned(), sure));
        }
    }
    // An answer that nothing decides leaves everything open to its candidates.
    let left = if causes.class(first) == "unknown" { 1.0 } else { 1.0 - first.confidence() };
    for (_, sure) in &mut others {
        *sure = (*sure * left * 100.0).round() / 100.0;
    }
    others.sort_by(|a, b| b.1.total_cmp(&a.1));
    others
}

/// Contradictions and collateral.
fn notes(report: &Report, figures: &Figures<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |holds: bool, sentence: &str| {
        if holds {
            notes.extend(figures.fill(sentence));
        }
    };
    let more = |a: &str, b: &str| figures.bytes(a).zip(figures.bytes(b)).is_some_and(|(a, b)| a > b);
    note(
        more("allocated", "total"),
        "allocated ({allocated}) exceeds the card ({total}): the driver has spilled to host memory, as on Windows and WSL",
    );
    note(
        more("free", "total"),
        "free ({free}) exceeds the card ({total}): the figures contradict each other",
    );
    note(
        figures.bytes("process_in_use") == Some(Bytes::ZERO),
        "the message says that this process uses 0 bytes, which cannot be: the driver does not count inside containers",
    );
    let hint = figures.incident.message.contains("to avoid fragmentation");
    let idle_short =
        figures.bytes("idle").zip(figures.bytes("tried")).is_some_and(|(idle, tried)| idle < tried);
    note(
        hint && idle_short,
        "PyTorch's hint about fragmentation is always printed: only {idle} is idle, less than the {tried} that was asked for",
    );
    note(
        figures.bytes("private_pools").is_some_and(|pools| pools > Bytes::ZERO),
        "{private_pools} of what PyTorch calls allocated is idle in private pools (CUDA graphs), which serve nobody else",
    );
    if report.later > 0 {
        let ranks = match report.later_ranks.len() {
            0 => String::new(),
            n => format!(" of {n} rank{}", if n == 1 { "" } else { "s" }),
        };
        let (errors, s) = if report.later == 1 { ("error", "s") } else { ("errors", "") };
        notes.push(format!(
            "{} later memory {errors}{ranks} follow{s} from the first, or repeat{s} it",
            report.later
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::super::fixes::names;
    use super::*;

    #[test]
    fn every_fix_that_a_cause_names_exists_and_is_used() {
        let of_causes = Causes::get().causes.iter().flat_map(|cause| &cause.fixes);
        let of_rules = Causes::get().rules.iter().filter_map(Rule::fixes).flatten();
        let named: Vec<&String> = of_causes.chain(of_rules).collect();
        let known = names();
        for fix in &named {
            assert!(known.contains(fix), "{fix}");
        }
        for fix in &known {
            assert!(named.contains(&fix), "{fix} is never advised");
        }
    }

    #[test]
    fn every_cause_is_concluded_from_its_example() {
        for page in super::super::cause_pages() {
            assert_eq!(explain(&page.example).cause.class, page.id);
        }
    }

    fn explain(text: &str) -> Diagnosis {
        diagnose(&brimful_logs::scan(text.as_bytes()).unwrap()).unwrap()
    }

    const FRAGMENTED: &str = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.70 GiB. GPU 0 has a total capacity of \
        6.00 GiB of which 0 bytes is free. Of the allocated memory 2.93 GiB is allocated by PyTorch, and 2.30 GiB is reserved by \
        PyTorch but unallocated. If reserved but unallocated memory is large try setting \
        PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True to avoid fragmentation.";

    #[test]
    fn the_ledger_closes_to_the_byte() {
        let ledger = explain(FRAGMENTED).ledger.unwrap();
        let sum: u64 = ledger.parts.iter().map(|part| part.bytes.get()).sum();
        assert_eq!(sum + ledger.unaccounted.get(), ledger.total.get() + ledger.excess.get());
    }

    #[test]
    fn what_is_on_is_not_advised() {
        let ids = |text: &str| explain(text).fixes.into_iter().map(|fix| fix.id).collect::<Vec<_>>();
        assert_eq!(ids(FRAGMENTED)[0], "expandable-segments");
        let on = format!("PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True python train.py\n{FRAGMENTED}");
        assert!(!ids(&on).contains(&"expandable-segments".to_owned()), "{:?}", ids(&on));
    }

    #[test]
    fn fragmentation_only_where_the_idle_pool_would_do() {
        let full = FRAGMENTED.replace("2.30 GiB is reserved", "1.00 GiB is reserved");
        let diagnosis = explain(&full);
        assert_ne!(diagnosis.cause.class, "fragmentation");
        assert!(diagnosis.fixes.iter().all(|fix| fix.id != "expandable-segments"));
        assert!(diagnosis.notes.iter().any(|note| note.contains("always printed")), "{:?}", diagnosis.notes);
    }
}
