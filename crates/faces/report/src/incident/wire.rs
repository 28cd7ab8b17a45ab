use std::borrow::Cow;
use std::collections::BTreeMap;

use brimful_explain::{AdvisedFix, Diagnosis};
use brimful_logs::{Accelerator, Incident, Value};
use brimful_units::Bytes;
use serde::Serialize;

use super::answer::notes;
use super::{Expectation, IncidentAnswer};
use crate::wire::{Fix, FixGrounds, Verdict, line};

/// The schema `brimful.explain/1` of a text: one object for each.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct IncidentJson<'a> {
    /// The name and the version of this schema.
    #[cfg_attr(feature = "schema", schemars(extend("const" = "brimful.explain/1")))]
    pub schema: &'static str,
    /// The text's name as it was given in the call.
    pub input: &'a str,
    /// What the input is.
    #[cfg_attr(feature = "schema", schemars(extend("const" = "log")))]
    pub kind: &'static str,
    /// Whether the GPU's memory ran out.
    pub is_gpu_oom: bool,
    /// The program that wrote the message; null where it is not known.
    pub framework: Option<&'a str>,
    /// The message's format, as `brimful explain --list` names it; `healthy` where nothing failed.
    pub format: &'a str,
    /// The figures of the message, or of the whole text where nothing failed, by name.
    pub facts: Facts<'a>,
    /// Why it failed.
    pub cause: IncidentCause<'a>,
    /// What helps.
    pub fixes: Vec<Fix<'a>>,
    /// Where the message is; absent where nothing failed.
    #[serde(flatten)]
    pub at: Option<At<'a>>,
    /// What fills the card, where the figures say so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger: Option<CardLedger<'a>>,
    /// What else to know.
    pub notes: Vec<Cow<'a, str>>,
    /// What the job that the text describes should take, where it describes one that is simulated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<ExpectedJson<'a>>,
    /// Settings that the text shows, by name.
    pub settings: &'a BTreeMap<String, String>,
    /// Figures that stand before the message, by name.
    pub earlier: Facts<'a>,
    /// How many more failures follow.
    pub later: u64,
}

/// Figures by name: bytes where the name ends in `_bytes`.
pub type Facts<'a> = BTreeMap<&'a str, Figure<'a>>;

/// A figure as a text has it.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Figure<'a> {
    /// A whole number.
    Whole(i64),
    /// A share.
    Share(f64),
    /// A word, or a number that does not fit into 64 bits.
    Text(&'a str),
    /// Several numbers.
    List(&'a [i64]),
    /// The processes on the card.
    Processes(Vec<Process>),
}

/// A process on the card.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Process {
    /// What it holds.
    pub in_use_bytes: u64,
    /// Its number.
    pub pid: u32,
}

/// Why a program failed.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct IncidentCause<'a> {
    /// The cause, as `brimful explain --cause` names it.
    pub class: &'a str,
    /// How sure that is, from 0 to 1.
    pub confidence: f64,
    /// What speaks for it.
    pub evidence: Vec<&'a str>,
    /// What would make it surer, where something would.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tell: Option<&'a str>,
    /// Other causes that it could be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub or_else: Vec<OtherCause<'a>>,
}

/// Another cause that it could be.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OtherCause<'a> {
    /// The cause.
    pub class: &'a str,
    /// How sure that is, from 0 to 1.
    pub confidence: f64,
}

/// Where a message is in its text.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct At<'a> {
    /// The line, from 1.
    pub line: u64,
    /// The rank that wrote it; null where it is not known.
    pub rank: Option<&'a str>,
    /// Whose memory it is about: `cuda`, `hip`, `xpu`, `npu`, `tpu`, `metal`, `directml`, `vulkan`, `opencl`, `webgpu`,
    /// `unified` or `host`; null where the text does not name it.
    pub accelerator: Option<&'a str>,
    /// What the program was doing; null where it is not known.
    pub phase: Option<&'a str>,
    /// The message.
    pub message: &'a str,
}

/// What fills a card.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CardLedger<'a> {
    /// What the figures claim beyond the card's size.
    pub excess_bytes: u64,
    /// The parts.
    pub parts: Vec<CardPart<'a>>,
    /// The card's size.
    pub total_bytes: u64,
    /// What no figure explains.
    pub unaccounted_bytes: u64,
}

/// A part of a card.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CardPart<'a> {
    /// Its bytes.
    pub bytes: u64,
    /// What it is.
    pub name: &'a str,
}

/// A prediction beside a failure.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ExpectedJson<'a> {
    /// The peak on the device that is predicted.
    pub device: u64,
    /// What was held; null where the text does not say.
    pub held: Option<u64>,
    /// The job in a line.
    pub job: &'a str,
    /// What the comparison means.
    pub sentence: String,
    /// Does the job fit?
    pub verdict: Verdict,
}

/// The answer as one line of JSON.
pub fn incident_json(answer: &IncidentAnswer<'_>) -> String {
    line(&IncidentJson::from(answer))
}

impl<'a> From<&IncidentAnswer<'a>> for IncidentJson<'a> {
    fn from(answer: &IncidentAnswer<'a>) -> IncidentJson<'a> {
        let report = answer.report;
        let incident = report.incident.as_ref();
        let diagnosis = answer.diagnosis;
        // Without a failure, the text's figures are the facts, and none of them is earlier than anything.
        let (own, earlier) = match incident {
            Some(incident) => (facts(incident), plain(report.facts.iter())),
            None => (plain(report.facts.iter()), Facts::new()),
        };
        IncidentJson {
            schema: "brimful.explain/1",
            input: answer.input,
            kind: "log",
            is_gpu_oom: incident.is_some_and(|incident| incident.kind.is_gpu_oom()),
            framework: incident.map(|incident| incident.framework.as_str()).or(report.framework.as_deref()),
            format: incident.map_or("healthy", |incident| &incident.format),
            facts: own,
            cause: cause(diagnosis),
            fixes: diagnosis.map_or(Vec::new(), |diagnosis| diagnosis.fixes.iter().map(fix).collect()),
            at: incident.map(at),
            ledger: diagnosis.and_then(ledger),
            notes: notes(incident, diagnosis),
            expected: answer.expected.map(expected),
            settings: &report.settings,
            earlier,
            later: report.later,
        }
    }
}

fn cause(diagnosis: Option<&Diagnosis>) -> IncidentCause<'_> {
    let Some(diagnosis) = diagnosis else {
        let evidence = vec!["no memory failure is in this text"];
        return IncidentCause {
            class: "not-oom",
            confidence: 0.9,
            evidence,
            tell: None,
            or_else: Vec::new(),
        };
    };
    let cause = &diagnosis.cause;
    IncidentCause {
        class: &cause.class,
        confidence: cause.confidence,
        evidence: cause.evidence.iter().map(String::as_str).collect(),
        tell: cause.tell.as_deref(),
        or_else: cause
            .or_else
            .iter()
            .map(|(class, confidence)| OtherCause { class, confidence: *confidence })
            .collect(),
    }
}

fn fix(fix: &AdvisedFix) -> Fix<'_> {
    Fix {
        id: &fix.id,
        title: &fix.title,
        apply: &fix.apply,
        keeps_result: fix.keeps.is_kept(),
        grounds: FixGrounds::Advised { result: fix.keeps, cost: &fix.cost, saves: fix.saves.as_deref() },
    }
}

fn at(incident: &Incident) -> At<'_> {
    At {
        line: incident.line,
        rank: incident.rank.as_deref(),
        accelerator: incident.accelerator.map(Accelerator::name),
        phase: incident.phase.as_deref(),
        message: &incident.message,
    }
}

fn facts(incident: &Incident) -> Facts<'_> {
    let mut facts = plain(incident.facts.iter());
    if !incident.processes.is_empty() {
        let process = |process: &brimful_logs::Process| Process {
            in_use_bytes: process.in_use.get(),
            pid: process.pid,
        };
        facts.insert("processes", Figure::Processes(incident.processes.iter().map(process).collect()));
    }
    facts
}

fn plain<'a>(facts: impl Iterator<Item = (&'a str, &'a Value)>) -> Facts<'a> {
    let figure = |value: &'a Value| match value {
        Value::Int(n) => Figure::Whole(*n),
        Value::Float(n) => Figure::Share(*n),
        Value::Text(text) => Figure::Text(text),
        Value::List(list) => Figure::List(list),
    };
    facts.map(|(name, value)| (name, figure(value))).collect()
}

fn ledger(diagnosis: &Diagnosis) -> Option<CardLedger<'_>> {
    let ledger = diagnosis.ledger.as_ref()?;
    Some(CardLedger {
        excess_bytes: ledger.excess.get(),
        parts: ledger
            .parts
            .iter()
            .map(|part| CardPart { bytes: part.bytes.get(), name: &part.name })
            .collect(),
        total_bytes: ledger.total.get(),
        unaccounted_bytes: ledger.unaccounted.get(),
    })
}

fn expected(expectation: &Expectation) -> ExpectedJson<'_> {
    let expected = &expectation.expected;
    ExpectedJson {
        device: expected.device_peak.get(),
        held: expected.held.map(Bytes::get),
        job: &expectation.job,
        sentence: expected.sentence(),
        verdict: expected.verdict.into(),
    }
}
