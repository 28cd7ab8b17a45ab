use std::io::BufRead;
fn main() {
    for line in std::io::stdin().lock().lines() {
        let r: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        let report = brimful_logs::scan(r["text"].as_str().unwrap().as_bytes()).unwrap();
        if let Some(i)=&report.incident { if std::env::var("PHASE").is_ok() { println!("{:?} {:?} {:?}", r["id"], i.phase, i.frames) } }
        let (kind, format, mut facts) = match report.incident {
            Some(i) => (format!("{:?}", i.kind).to_lowercase(), i.format, i.facts),
            None => ("none".into(), "none".into(), Default::default()),
        };
        facts.fill_from(report.facts);
        let mut bad = vec![];
        for (k, v) in r["fields"].as_object().unwrap() {
            let (f, v) = (facts.int(k), v.as_i64().unwrap());
            if !f.is_some_and(|f| (f - v).abs() as f64 <= (v as f64 * 0.005).max(1.0)) {
                bad.push(format!("{k} {f:?} not {v}"));
            }
        }
        let want = match r["kind"].as_str() {
            Some(k) => k.to_owned(),
            None => {
                if r["is_gpu_oom"] == true {
                    "oom".into()
                } else {
                    "not".into()
                }
            }
        };
        let ok = kind == want
            || (want == "not" && kind != "oom")
            || (want == "lookalike-or-none" && (kind == "lookalike" || kind == "none"));
        if !ok || !bad.is_empty() {
            println!(
                "{} want {want} got {kind} {format} {bad:?} | {}",
                r["format"].as_str().or(r["id"].as_str()).unwrap(),
                r["text"].as_str().unwrap().chars().take(120).collect::<String>().replace('\n', " / ")
            );
        }
    }
}
