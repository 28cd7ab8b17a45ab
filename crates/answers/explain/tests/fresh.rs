use brimful_explain::{Diagnosis, diagnose};
fn explain(text: &str) -> Option<Diagnosis> {
    diagnose(&brimful_logs::scan(text.as_bytes()).unwrap())
}
#[test]
fn dump() {
    for l in std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../fixtures/logs/oom-reports-2.jsonl"
    ))
    .unwrap()
    .lines()
    {
        let r: serde_json::Value = serde_json::from_str(l).unwrap();
        let rep = brimful_logs::scan(r["text"].as_str().unwrap().as_bytes()).unwrap();
        let d = explain(r["text"].as_str().unwrap());
        let fmt = rep
            .incident
            .as_ref()
            .map_or("-".into(), |i| format!("{}/{}/{:?}", i.format, i.framework, i.phase));
        match d {
            None => println!("{} {} => NONE want {} {}", r["id"], fmt, r["cause"], r["cause_also"]),
            Some(d) => println!(
                "{} {} => {} {:.2} {:?} want {} {} | fix {} | {:?}",
                r["id"],
                fmt,
                d.cause.class,
                d.cause.confidence,
                d.cause.or_else,
                r["cause"],
                r["cause_also"],
                r["fix_that_worked"],
                d.fixes.iter().take(4).map(|f| f.id.as_str()).collect::<Vec<_>>()
            ),
        }
    }
}
