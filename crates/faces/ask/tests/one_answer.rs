//! A job has one answer: `fit`, the replay of its trace and its page agree, over jobs and GPUs that nobody chose.

use brimful_ask::{
    Answer, FitReply, FitRequest, Host, NoProgress, Outcome, ReplayRequest, ShowTechniques, fit, page, replay,
};
use brimful_jobs::Overrides;
use brimful_models::MemoryFiles;
use brimful_plan::fit as simulated;
use brimful_truth::draw;
use brimful_units::Bytes;
use serde_json::{Value, json};

const JOBS: usize = 120;
const CONFS: [&str; 5] = [
    "",
    "expandable_segments:True",
    "per_process_memory_fraction:0.5",
    "max_split_size_mb:21,roundup_power2_divisions:4",
    "per_process_memory_fraction:0.7,garbage_collection_threshold:0.6",
];

/// The drawn jobs that brimful simulates, each with allocator settings.
fn jobs() -> Vec<Value> {
    let drawn = draw(2026, JOBS + JOBS / 4, None, None);
    let answered = drawn
        .into_iter()
        .filter(|case| case.job().is_ok_and(|job| simulated(&job).is_ok()))
        .map(|case| case.job);
    let with_conf = answered.zip(CONFS.into_iter().cycle()).map(|(mut job, conf)| {
        job["allocator"] = json!({ "conf": conf });
        job
    });
    with_conf.take(JOBS).collect()
}

/// Sizes of GPUs in ascending order: too small, at the edge from both sides, within the margin, and large.
fn gpus(job: &Value) -> Vec<String> {
    let need = number(&json_of(&ask(job, "16 TiB")), "/peak/device");
    let edge = [need - (2 << 20), need - 1, need, need + 1, need + (2 << 20), need + (64 << 20)];
    let around = edge.into_iter().map(|bytes| format!("{bytes} B"));
    ["300 MiB".to_owned(), "700 MiB".to_owned()]
        .into_iter()
        .chain(around)
        .chain(["6 GiB".to_owned(), "40 GiB".to_owned()])
        .collect()
}

fn ask(job: &Value, gpu: &str) -> FitReply {
    let files = MemoryFiles::default().with("job.json", job.to_string());
    let request = FitRequest {
        changes: Overrides::default().set("gpu", gpu),
        max: None,
        techniques: ShowTechniques::Never,
        why: false,
        strict: false,
    };
    let host = Host { files: &files, progress: &NoProgress };
    fit(host, "job.json", "job.json", &request).unwrap_or_else(|error| panic!("{job}: {error:#}"))
}

fn json_of(answer: &impl Answer) -> Value {
    serde_json::from_str(&answer.json()).unwrap()
}

fn number(of: &Value, at: &str) -> u64 {
    of.pointer(at).and_then(Value::as_u64).unwrap_or_else(|| panic!("{at} of {of}"))
}

/// Requested, allocated and reserved.
fn ledgers(peak: &Value) -> [u64; 3] {
    ["/requested", "/allocated", "/reserved"].map(|name| number(peak, name))
}

/// The job's own trace, replayed under its own settings.
fn replayed(answer: &FitReply, gpu: Option<&str>) -> (Value, Outcome) {
    let mut trace = Vec::new();
    answer.write_trace(&mut trace).unwrap();
    let files = MemoryFiles::default().with("job.brim", trace);
    let request = ReplayRequest::new(None, None, gpu, None, false).unwrap();
    let reply = replay(Host { files: &files, progress: &NoProgress }, "job.brim", &request).unwrap();
    (json_of(&reply), reply.outcome())
}

fn page_of(job: &Value, gpu: &str) -> String {
    let mut job = job.clone();
    job["gpu"] = json!(gpu);
    let files = MemoryFiles::default().with("job.json", job.to_string());
    page(Host { files: &files, progress: &NoProgress }, &["job.json".to_owned()], None, &Overrides::default())
        .unwrap()
}

/// What the line with the need says: need, capacity, and what is left (negative where it is too much).
fn printed(text: &str) -> (f64, f64, f64) {
    let line = text.lines().find_map(|line| line.strip_prefix("  needs ")).unwrap();
    let size = |text: &str| text.parse::<Bytes>().unwrap_or_else(|e| panic!("{text}: {e}")).get() as f64;
    let (need, rest) = line.split_once(" of ").unwrap();
    match (rest.split_once(": "), rest.split_once(", ")) {
        (Some((capacity, over)), _) => {
            (size(need), size(capacity), -size(over.strip_suffix(" too much").unwrap()))
        }
        (None, Some((capacity, left))) => {
            (size(need), size(capacity), size(left.strip_suffix(" to spare").unwrap()))
        }
        (None, None) => panic!("{line}"),
    }
}

/// The printed need and what is left add up to the capacity, and the verdict agrees with them.
fn check_verdict(answer: &FitReply, json: &Value) {
    let text = answer.text();
    let (need, capacity, left) = printed(&text);
    // Sizes have two decimals of their unit, which is GiB at most.
    let rounding = 3.0 * 0.005 * f64::from(1 << 30) + 1.0;
    assert!((need + left - capacity).abs() <= rounding, "{need} + {left} is not {capacity}: {text}");
    let headroom = json["device"]["headroom"].as_i64().unwrap();
    let (mark, outcome, agrees) = match json["verdict"].as_str().unwrap() {
        "fits" => ("✓ fits", Outcome::Well, headroom >= 0),
        "does-not-fit" => ("✗ does not fit", Outcome::Found, headroom < 0),
        "too-close" => ("≈ too close to call", Outcome::Well, true),
        other => panic!("{other}"),
    };
    assert!(text.contains(mark) && agrees && answer.outcome() == outcome, "{json} {text}");
    assert_eq!(json.get("oom").is_some(), headroom < 0, "{json}");
}

/// `fit` and the replay of its trace, on the GPU and without an end.
fn check_replay(answer: &FitReply, json: &Value, gpu: &str) {
    assert_eq!(ledgers(&replayed(answer, None).0["peak"]), ledgers(&json["peak"]), "{json}");
    let (here, outcome) = replayed(answer, Some(gpu));
    assert_eq!((&here["verdict"], outcome), (&json["verdict"], answer.outcome()), "{json}\n{here}");
    if json.get("oom").is_none() {
        let on_gpu = json.get("squeezed").unwrap_or(&json["peak"]);
        assert_eq!(ledgers(&here["peak"]), ledgers(on_gpu), "{json}\n{here}");
        assert_eq!(here["retries"], json["retries"]);
    } else {
        assert_eq!(here["oom"]["event"], json["oom"]["event"]);
    }
}

/// The page has the answer of `fit`, and its timeline rises to the same peak.
fn check_page(job: &Value, json: &Value, gpu: &str) {
    let html = page_of(job, gpu);
    let data = html.split_once("type=\"application/json\">").unwrap().1.split_once("</script>").unwrap().0;
    let data: Value = serde_json::from_str(data).unwrap();
    let run = &data["runs"][0];
    assert_eq!(run["answer"]["verdict"], json["verdict"]);
    assert_eq!(run["answer"]["peak"], json["peak"]);
    let mark = match json["verdict"].as_str().unwrap() {
        "fits" => "✓ fits",
        "does-not-fit" => "✗ does not fit",
        _ => "≈ too close to call",
    };
    assert!(run["verdict"].as_str().unwrap().starts_with(mark), "{run}");
    let moments = run["moments"].as_array().unwrap();
    let used = |moment: &Value| moment[2].as_array().unwrap().iter().filter_map(Value::as_u64).sum::<u64>();
    let highest_used = moments.iter().map(used).max().unwrap();
    assert_eq!(highest_used, number(&json["peak"], "/requested"), "{json}");
    let highest_reserved = moments.iter().filter_map(|moment| moment[1].as_u64()).max();
    assert_eq!(highest_reserved, Some(number(&json["peak"], "/reserved")), "{json}");
    let tone = match json["verdict"].as_str().unwrap() {
        "fits" => "good",
        "does-not-fit" => "bad",
        _ => "close",
    };
    assert_eq!(run["tone"], tone, "{json}");
    assert!(
        html.contains(&format!("<p id=\"verdict\" data-tone=\"{tone}\">{mark}")),
        "readable without JavaScript"
    );
}

fn check_ledgers(json: &Value) {
    let phases = json["phases"].as_array().unwrap();
    for peak in phases.iter().chain([&json["peak"]]).chain(json.get("squeezed")) {
        assert!(ledgers(peak).is_sorted(), "{json}");
    }
    let highest = |at: usize| phases.iter().map(|phase| ledgers(phase)[at]).max().unwrap();
    assert_eq!(
        [0, 1, 2].map(highest),
        ledgers(&json["peak"]),
        "the peak is that of the highest phase: {json}"
    );
    let device = json["interval"]["device"].as_array().unwrap();
    let need = number(json, "/peak/device");
    assert!(device[0].as_u64().unwrap() <= need && need <= device[1].as_u64().unwrap());
}

#[test]
fn fit_and_replay_and_page_give_one_answer() {
    let mut seen = std::collections::BTreeSet::new();
    let jobs = jobs();
    assert_eq!(jobs.len(), JOBS, "too few of the drawn jobs are simulated");
    for (at, job) in jobs.iter().enumerate() {
        let gpus = gpus(job);
        // One GPU for each job, so that all kinds of them are met and the test stays short.
        let gpu = &gpus[at % gpus.len()];
        let answer = ask(job, gpu);
        let json = json_of(&answer);
        check_ledgers(&json);
        check_verdict(&answer, &json);
        check_replay(&answer, &json, gpu);
        check_page(job, &json, gpu);
        seen.insert(json["verdict"].to_string());
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
}

#[test]
fn more_memory_never_turns_fits_into_does_not_fit() {
    let rank = |json: &Value| match json["verdict"].as_str().unwrap() {
        "does-not-fit" => 0,
        "too-close" => 1,
        _ => 2,
    };
    for job in jobs().iter().step_by(6) {
        let mut best = 0;
        for gpu in gpus(job) {
            let answer = ask(job, &gpu);
            let json = json_of(&answer);
            check_verdict(&answer, &json);
            assert!(best < 2 || rank(&json) == 2, "a smaller GPU than {gpu} fits: {json}");
            best = best.max(rank(&json));
        }
        assert_eq!(best, 2, "the largest GPU fits: {job}");
    }
}

#[test]
fn a_larger_batch_never_asks_for_less() {
    let requested = |job: &Value| number(&json_of(&ask(job, "40 GiB")), "/peak/requested");
    for job in jobs() {
        let run = if job.get("infer").is_some() { "infer" } else { "train" };
        let mut larger = job.clone();
        larger[run]["batch"] = json!(job[run]["batch"].as_u64().unwrap() + 1);
        assert!(requested(&job) <= requested(&larger), "{job}");
    }
}
