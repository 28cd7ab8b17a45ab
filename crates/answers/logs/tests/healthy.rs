//! No false alarm: start-ups, metrics, help texts and statistics that speak of memory, and nothing failed.

use brimful_logs::scan;

/// Healthy texts, one a paragraph after its `== name`; `{n}` is a number that changes.
const TEXTS: &str = include_str!("../../../../fixtures/logs/healthy.txt");

fn texts() -> impl Iterator<Item = (&'static str, &'static str)> {
    TEXTS.split("== ").filter_map(|part| part.split_once('\n'))
}

#[test]
fn healthy_texts_raise_no_alarm() {
    let mut alarms = Vec::new();
    for (name, text) in texts() {
        let large: String = (0..200).map(|n| text.replace("{n}", &n.to_string())).collect();
        if let Some(incident) = scan(large.as_bytes()).unwrap().incident {
            alarms
                .push(format!("{name}: {} at line {}: {}", incident.format, incident.line, incident.message));
        }
    }
    assert!(alarms.is_empty(), "{}", alarms.join("\n"));
    assert!(texts().count() >= 55);
}

#[test]
fn a_failure_after_them_is_found() {
    let failure = "RuntimeError: CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0; 7.79 GiB total capacity; 1.89 GiB \
        already allocated; 38.00 MiB free; 1.90 GiB reserved in total by PyTorch)\n";
    for (name, text) in texts() {
        let log = format!("{}{failure}{}", text.replace("{n}", "7").repeat(20), text.repeat(20));
        let incident = scan(log.as_bytes()).unwrap().incident.unwrap_or_else(|| panic!("{name}"));
        assert_eq!(incident.format, "pt-reserved", "{name}");
        assert_eq!(incident.facts.int("tried_bytes"), Some(20 << 20), "{name}");
        assert_eq!(incident.line as usize, text.lines().count() * 20 + 1, "{name}");
    }
}
