use std::collections::HashMap;

use brimful_explain::Holder;
use serde::Serialize;

/// speedscope's file format: https://www.speedscope.app/file-format-schema.json
#[derive(Serialize)]
struct File<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    exporter: &'static str,
    name: &'a str,
    shared: Shared,
    profiles: [Profile<'a>; 1],
}

#[derive(Serialize)]
struct Shared {
    frames: Vec<Frame>,
}

#[derive(Serialize)]
struct Frame {
    name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Profile<'a> {
    r#type: &'static str,
    name: &'a str,
    unit: &'static str,
    start_value: u64,
    end_value: u64,
    samples: Vec<Vec<usize>>,
    weights: Vec<u64>,
}

/// The memory at the peak as a sampled profile whose weights are bytes.
pub fn speedscope(name: &str, holders: &[Holder], predicted: bool) -> String {
    let mut frames = Vec::new();
    let mut ids: HashMap<String, usize> = HashMap::new();
    let mut samples = Vec::new();
    for holder in holders {
        let sample = super::path(holder, predicted).into_iter().map(|name| {
            *ids.entry(name).or_insert_with_key(|name| {
                frames.push(Frame { name: name.clone() });
                frames.len() - 1
            })
        });
        samples.push(sample.collect());
    }
    let weights: Vec<u64> = holders.iter().map(|holder| holder.bytes.get()).collect();
    let file = File {
        schema: "https://www.speedscope.app/file-format-schema.json",
        exporter: concat!("brimful ", env!("CARGO_PKG_VERSION")),
        name,
        shared: Shared { frames },
        profiles: [Profile {
            r#type: "sampled",
            name: "memory at the peak",
            unit: "bytes",
            start_value: 0,
            end_value: weights.iter().sum(),
            samples,
            weights,
        }],
    };
    serde_json::to_string(&file).unwrap_or_default()
}
