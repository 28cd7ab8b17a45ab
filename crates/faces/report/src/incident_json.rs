use brimful_explain::{Diagnosis, Fix, Keeps};
use brimful_logs::{Incident, Kind, Report, Value};
use brimful_plan::Expected;
use serde::Serialize;
use serde_json::{Map, Value as Json, json};

/// A text that was explained.
pub struct IncidentAnswer<'a> {
    /// The text's name as it was given in the call.
    pub input: &'a str,
    /// What it says.
    pub report: &'a Report,
    /// What that means; `None` where nothing failed.
    pub diagnosis: Option<&'a Diagnosis>,
    /// What the job that the text describes should take; `None` where it describes none that is simulated.
    pub expected: Option<&'a Expectation>,
}

/// A prediction beside a failure.
pub struct Expectation {
    /// The job in a line.
    pub job: String,
    /// The prediction, and what was there.
    pub expected: Expected,
}

impl IncidentAnswer<'_> {
    /// Whether something was found that a reader must act on: not a refusal after which the program went on.
    pub fn found(&self) -> bool {
        let passing = |incident: &Incident| matches!(incident.kind, Kind::Recovered | Kind::Harmless);
        self.report.incident.as_ref().is_some_and(|incident| !passing(incident))
    }
}

/// The schema `brimful.explain/1` (DESIGN.md): one object per text.
#[derive(Serialize)]
struct ExplainJson<'a> {
    schema: &'static str,
    input: &'a str,
    is_gpu_oom: bool,
    framework: Option<&'a str>,
    format: &'a str,
    facts: Map<String, Json>,
    cause: CauseJson<'a>,
    fixes: Vec<FixJson<'a>>,
    #[serde(flatten)]
    at: Option<AtJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ledger: Option<Json>,
    notes: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<Json>,
    settings: &'a std::collections::BTreeMap<String, String>,
    earlier: Map<String, Json>,
    later: u64,
}

#[derive(Serialize)]
struct CauseJson<'a> {
    class: &'a str,
    confidence: f64,
    evidence: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tell: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    or_else: Vec<Json>,
}

#[derive(Serialize)]
struct FixJson<'a> {
    id: &'a str,
    title: &'a str,
    apply: &'a str,
    keeps_result: bool,
    result: &'static str,
    cost: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    saves: Option<&'a str>,
}

#[derive(Serialize)]
struct AtJson<'a> {
    line: u64,
    rank: Option<&'a str>,
    phase: Option<&'a str>,
    message: &'a str,
}

fn expectation(expectation: &Expectation) -> Json {
    let expected = &expectation.expected;
    json!({
        "job": expectation.job,
        "verdict": crate::fit_json::verdict_word(expected.verdict),
        "device": expected.device_peak.get(),
        "held": expected.held.map(brimful_units::Bytes::get),
        "sentence": expected.sentence(),
    })
}

/// The answer as one line of JSON.
pub fn incident_json(answer: &IncidentAnswer<'_>) -> String {
    let report = answer.report;
    let incident = report.incident.as_ref();
    let own = incident.map(|incident| facts(incident.facts.iter(), incident));
    let earlier = |to: bool| if to { plain(report.facts.iter()) } else { Map::new() };
    let object = ExplainJson {
        schema: "brimful.explain/1",
        input: answer.input,
        is_gpu_oom: incident.is_some_and(|incident| incident.kind.is_gpu_oom()),
        framework: incident.map(|incident| incident.framework.as_str()).or(report.framework.as_deref()),
        format: incident.map_or("healthy", |incident| &incident.format),
        facts: own.unwrap_or_else(|| earlier(true)),
        cause: cause(answer.diagnosis),
        fixes: answer.diagnosis.map_or(Vec::new(), |diagnosis| diagnosis.fixes.iter().map(fix).collect()),
        at: incident.map(at),
        ledger: answer.diagnosis.and_then(ledger),
        notes: answer.diagnosis.map_or(&[], |diagnosis| &diagnosis.notes),
        expected: answer.expected.map(expectation),
        settings: &report.settings,
        earlier: earlier(incident.is_some()),
        later: report.later,
    };
    serde_json::to_string(&object).expect("an answer has only string keys")
}

fn cause(diagnosis: Option<&Diagnosis>) -> CauseJson<'_> {
    let Some(diagnosis) = diagnosis else {
        let evidence = vec!["no memory failure is in this text"];
        return CauseJson { class: "not-oom", confidence: 0.9, evidence, tell: None, or_else: Vec::new() };
    };
    let cause = &diagnosis.cause;
    let other = |(class, sure): &(String, f64)| json!({"class": class, "confidence": sure});
    CauseJson {
        class: &cause.class,
        confidence: cause.confidence,
        evidence: cause.evidence.iter().map(String::as_str).collect(),
        tell: cause.tell.as_deref(),
        or_else: cause.or_else.iter().map(other).collect(),
    }
}

fn fix(fix: &Fix) -> FixJson<'_> {
    FixJson {
        id: &fix.id,
        title: &fix.title,
        apply: &fix.apply,
        keeps_result: fix.keeps != Keeps::Different,
        result: keeps(fix.keeps),
        cost: &fix.cost,
        saves: fix.saves.as_deref(),
    }
}

/// The word for what a change does to the result.
pub(crate) fn keeps(keeps: Keeps) -> &'static str {
    match keeps {
        Keeps::Identical => "identical",
        Keeps::Close => "close",
        Keeps::Different => "different",
    }
}

fn at(incident: &Incident) -> AtJson<'_> {
    AtJson {
        line: incident.line,
        rank: incident.rank.as_deref(),
        phase: incident.phase.as_deref(),
        message: &incident.message,
    }
}

fn facts<'a>(facts: impl Iterator<Item = (&'a str, &'a Value)>, incident: &Incident) -> Map<String, Json> {
    let mut map = plain(facts);
    if !incident.processes.is_empty() {
        let processes = incident.processes.iter();
        let list = processes.map(|process| json!({"pid": process.pid, "in_use_bytes": process.in_use.get()}));
        map.insert("processes".to_owned(), list.collect());
    }
    map
}

fn plain<'a>(facts: impl Iterator<Item = (&'a str, &'a Value)>) -> Map<String, Json> {
    let value = |value: &Value| match value {
        Value::Int(n) => json!(n),
        Value::Float(n) => json!(n),
        Value::Text(text) => json!(text),
        Value::List(list) => json!(list),
    };
    facts.map(|(name, of)| (name.to_owned(), value(of))).collect()
}

fn ledger(diagnosis: &Diagnosis) -> Option<Json> {
    let ledger = diagnosis.ledger.as_ref()?;
    let parts: Vec<Json> =
        ledger.parts.iter().map(|part| json!({"name": part.name, "bytes": part.bytes.get()})).collect();
    Some(json!({
        "total_bytes": ledger.total.get(),
        "parts": parts,
        "unaccounted_bytes": ledger.unaccounted.get(),
        "excess_bytes": ledger.excess.get(),
    }))
}
