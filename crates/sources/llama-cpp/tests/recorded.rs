//! Every recorded start of the real llama.cpp (fixtures/llama-cpp): model, caches and outputs to the printed digit, compute
//! buffers within their bar.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};

use brimful_gguf::{GgmlType, Header};
use brimful_llama_cpp::{Buffers, FlashAttention, Gpu, Settings, plan};
use brimful_units::Bytes;
use flate2::read::GzDecoder;
use serde::Deserialize;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../fixtures/llama-cpp");

#[derive(Debug, Deserialize)]
struct Row {
    model: String,
    gpu: String,
    gpus: usize,
    flags: String,
    ok: bool,
    buffers_mib: BTreeMap<String, BTreeMap<String, f64>>,
    graph: Option<(usize, usize)>,
}

fn rows() -> Vec<Row> {
    let file = std::fs::File::open(format!("{FOLDER}/rows.jsonl.gz")).unwrap();
    let lines = BufReader::new(GzDecoder::new(file)).lines();
    lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
}

fn header(model: &str) -> Header {
    let file = std::fs::File::open(format!("{FOLDER}/headers/{model}.gguf.gz")).unwrap();
    Header::read(GzDecoder::new(file)).unwrap()
}

fn settings(flags: &str) -> Settings {
    let words: Vec<&str> = flags.split_whitespace().collect();
    let mut settings = Settings::default();
    for pair in words.chunks(2) {
        let (key, value) = (pair[0], pair[1]);
        let number = || value.parse::<u32>().unwrap();
        match key {
            "-c" => settings.ctx_size = number(),
            "-b" => settings.batch_size = number(),
            "-ub" => settings.ubatch_size = number(),
            "-np" => settings.parallel = number(),
            "--out" => settings.n_outputs_max = number(),
            "-kvu" => settings.kv_unified = value == "1",
            "--swa-full" => settings.swa_full = value == "1",
            "-ctk" => settings.cache_type_k = GgmlType::named(value).unwrap(),
            "-ctv" => settings.cache_type_v = GgmlType::named(value).unwrap(),
            "-kvo" => settings.kv_offload = value == "1",
            "--embeddings" => settings.embeddings = value == "1",
            "-cmoe" => settings.cpu_moe = value == "1",
            "-ngl" => settings.n_gpu_layers = Some(number()),
            "-ts" => settings.tensor_split = value.split(',').map(|share| share.parse().unwrap()).collect(),
            "-fa" => {
                settings.flash_attn = if value == "0" { FlashAttention::Off } else { FlashAttention::On }
            }
            other => panic!("{other}"),
        }
    }
    settings
}

fn gpu(name: &str) -> Gpu {
    let compute_capability = match name {
        "rtx-4090" => 890,
        "h100-sxm-80gb" => 900,
        other => panic!("{other}"),
    };
    // Several GPUs of a start are alike, so that their free memory decides nothing.
    Gpu { free: Bytes::gib(20), compute_capability }
}

/// The predicted size of what llama.cpp prints as `kind` of `device`.
fn predicted(buffers: &Buffers, kind: &str, device: &str) -> Bytes {
    if let Some(index) = device.strip_prefix("CUDA").and_then(|index| index.parse::<usize>().ok()) {
        let gpu = &buffers.gpus[index];
        return match kind {
            "model" => gpu.model,
            "KV" => gpu.kv,
            "RS" => gpu.recurrent,
            "compute" => gpu.compute,
            other => panic!("{other} of {device}"),
        };
    }
    let host = &buffers.host;
    match kind {
        "model" => host.mapped,
        "KV" => host.kv,
        "RS" => host.recurrent,
        "output" => host.output,
        "compute" => host.compute,
        other => panic!("{other} of {device}"),
    }
}

fn mib(bytes: Bytes) -> f64 {
    bytes.get() as f64 / 1048576.0
}

/// Equal and all comparisons of one architecture and kind of buffer.
type Table = BTreeMap<(String, &'static str), (usize, usize)>;

fn compare(row: &Row, buffers: &Buffers, table: &mut Table, text: &mut String) {
    let arch = row.model.clone();
    for (kind, devices) in &row.buffers_mib {
        for (device, printed) in devices {
            let predicted = mib(predicted(buffers, kind, device));
            // Caches of two kinds of layers are printed one by one, and so rounded one by one.
            let digit = (predicted - printed).abs() <= 0.0101;
            let compute = kind == "compute";
            let fine = if compute { (predicted / printed - 1.0).abs() <= 0.05 || digit } else { digit };
            let name = if compute { "compute" } else { "model, caches, outputs" };
            for (name, fine) in [(name, fine), ("compute to the digit", !compute || digit)] {
                let entry = table.entry((arch.clone(), name)).or_default();
                *entry = (entry.0 + usize::from(fine), entry.1 + 1);
            }
            if !digit {
                let graph = (row.graph, buffers.graph);
                writeln!(
                    text,
                    "{} {} {}: {kind} {device} {predicted:.2} for {printed} {graph:?}",
                    row.model, row.gpus, row.flags
                )
                .unwrap();
            }
        }
    }
}

#[test]
fn every_recorded_start_has_its_buffers() {
    let (mut table, mut text) = (Table::new(), String::new());
    let mut headers: BTreeMap<String, Header> = BTreeMap::new();
    for row in rows().iter().filter(|row| row.ok) {
        let header = headers.entry(row.model.clone()).or_insert_with(|| header(&row.model));
        match plan(header, &settings(&row.flags), &vec![gpu(&row.gpu); row.gpus]) {
            Ok(buffers) => compare(row, &buffers, &mut table, &mut text),
            Err(error) => writeln!(text, "{} {}: {error}", row.model, row.flags).unwrap(),
        }
    }
    for ((arch, kind), (equal, all)) in &table {
        writeln!(text, "{arch:24} {kind:24} {equal} of {all}").unwrap();
    }
    let sum = |kind: &str| {
        table
            .iter()
            .filter(|((_, of), _)| *of == kind)
            .fold((0, 0), |sum, (_, row)| (sum.0 + row.0, sum.1 + row.1))
    };
    let (caches, compute) = (sum("model, caches, outputs"), sum("compute"));
    println!("{text}caches {caches:?}, compute {compute:?}, to the digit {:?}", sum("compute to the digit"));
    assert!(caches.0 == caches.1 && compute.0 == compute.1, "{text}");
}
