//! Rehearsals with the real PyTorch against what it was recorded to do. They run where `BRIMFUL_TORCH_PYTHON` names an
//! interpreter that has torch 2.15, transformers 5.23 and PEFT; `BRIMFUL_TORCH_EVERY` says how many recorded runs are left
//! out between two (9 where it does not: a run takes some seconds).

#![cfg(target_os = "linux")]

mod rehearsed;

use std::fs::{self, File};
use std::io::{BufRead, BufReader};

use flate2::read::GzDecoder;
use rehearsed::script;
use rehearsed::torch::{python, rehearse};
use serde_json::{Value, json};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../fixtures");

fn lines(file: &str) -> Vec<Value> {
    let open = File::open(format!("{FIXTURES}/{file}")).unwrap();
    let reader: Box<dyn BufRead> = if file.ends_with(".gz") {
        Box::new(BufReader::new(GzDecoder::new(open)))
    } else {
        Box::new(BufReader::new(open))
    };
    reader.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
}

/// Some of the recorded runs: one in so many.
fn sampled(all: impl Iterator<Item = Value>) -> impl Iterator<Item = Value> {
    let left_out: usize = std::env::var("BRIMFUL_TORCH_EVERY").map_or(9, |left| left.parse().unwrap());
    all.step_by(left_out + 1)
}

fn peak(answer: &Value) -> Value {
    json!({
        "requested": answer["peak"]["requested"],
        "allocated": answer["peak"]["allocated"],
        "reserved": answer["peak"]["reserved"],
    })
}

/// The largest blocks at the peak.
fn rows(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["top"].as_array().unwrap().iter()
}

/// What was recorded, what `fit` predicts, and what a rehearsal sees are the same, to the byte; and so are the modules that
/// hold the largest activations.
#[test]
fn recorded_predicted_and_rehearsed_are_the_same() {
    let Some(python) = python() else { return };
    let script = format!("{FIXTURES}/rehearsal/job.py");
    let mut modules = 0;
    let families = ["gpt2", "llama", "mistral", "qwen2", "qwen3"];
    let recorded = families.iter().flat_map(|family| lines(&format!("step/{family}.jsonl.gz")));
    // The runs whose composition was recorded; the first line of a file is no run.
    for line in sampled(recorded.filter(|row| row["expect"]["composition"].is_object())) {
        let job = &line["job"];
        let cudnn = job["versions"]["cudnn"].as_str().unwrap();
        let mut arguments = vec!["--cudnn", cudnn];
        // Without an end where the recorder had none: kernels of the A100 are the default.
        if job["gpu"] == "h100-sxm-80gb" {
            arguments.extend(["--gpu", "h100-sxm-80gb", "--gpu-total", "16384 GiB"]);
        }
        if job["train"]["attention_mask"] == "padded" {
            arguments.push("--padded");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job.json").display().to_string();
        fs::write(&path, job.to_string()).unwrap();
        let run = rehearse(&arguments, &[&python, &script, &path]);
        let answer = run.json();
        // A rehearsal is of the whole process: where loading is the peak, the recorder, which leaves it out, has less.
        if answer["peak_at"]["phase"] == "load" {
            let of_the_step = line["expect"]["peak"]["requested"].as_u64();
            assert!(answer["peak"]["requested"].as_u64() > of_the_step, "{}: {}", line["id"], run.stderr);
        } else {
            assert_eq!(peak(&answer), line["expect"]["peak"], "{}: {}", line["id"], run.stderr);
        }
        let predicted = rehearsed::call(&["fit", &path, "--json"]).json();
        assert_eq!(peak(&predicted), line["expect"]["peak"], "{}", line["id"]);
        for (predicted, rehearsed) in rows(&predicted).zip(rows(&answer)) {
            if predicted["category"] == "activation" && rehearsed["category"] == "activation" {
                assert_eq!(predicted["module"], rehearsed["module"], "{}: {}", line["id"], run.stderr);
                modules += 1;
            }
        }
    }
    assert!(modules > 0, "no activation was held against another");
}

/// Allocator settings and sizes of the device.
#[test]
fn settings_and_capacities() {
    let Some(python) = python() else { return };
    let script = format!("{FIXTURES}/rehearsal/workloads.py");
    for line in sampled(lines("snapshots/truth.jsonl").into_iter()) {
        if line["workload"] == "streams" {
            continue; // a program of its own, ../snapshots/streams.py, with a ring that wraps
        }
        let total = line["total"].to_string();
        let conf = line["conf"].as_str().unwrap();
        let mut arguments = vec!["--capacity", &total];
        arguments.extend(if conf.is_empty() { vec![] } else { vec!["--conf", conf] });
        let run = rehearse(&arguments, &[&python, &script, line["workload"].as_str().unwrap()]);
        let answer = run.json();
        let recorded = json!({
            "requested": line["requested_peak"],
            "allocated": line["allocated_peak"],
            "reserved": line["reserved_peak"],
        });
        assert_eq!(peak(&answer), recorded, "{line}: {}", run.stderr);
        assert_eq!(answer["retries"], line["num_alloc_retries"], "{line}");
        assert_eq!(run.code, i32::from(!line["oom"].is_null()), "{line}: {}", run.stderr);
        // What follows is about the process as a whole, which the recorder could not see.
        let begins =
            |text: &Value| text.as_str().map(|text| text.split(" is free.").next().unwrap().to_owned());
        assert_eq!(begins(&answer["oom"]["message"]), begins(&line["oom"]), "{line}");
    }
}

const DDP: &str = "
import os, torch, torch.distributed as dist
dist.init_process_group('cpu:gloo,cuda:nccl')
local = int(os.environ['LOCAL_RANK'])
torch.cuda.set_device(local)
layers = [torch.nn.Linear(1024, 1024) for _ in range(4)]
model = torch.nn.parallel.DistributedDataParallel(torch.nn.Sequential(*layers).cuda(), device_ids=[local])
optimizer = torch.optim.AdamW(model.parameters())
names = [None] * dist.get_world_size()
dist.all_gather_object(names, f'rank {dist.get_rank()}')
if 'IMAGINED' not in os.environ:
    assert names == ['rank 0', 'rank 1'], names
for _ in range(3):
    model(torch.randn(64, 1024, device='cuda')).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
dist.barrier()
dist.destroy_process_group()
";

/// Two ranks that run see the same as a rank whose peer is imagined.
#[test]
fn imagined_ranks_take_what_real_ones_take() {
    let Some(python) = python() else { return };
    let (_folder, path) = script(DDP);
    let path = path.to_str().unwrap();
    let real =
        rehearse(&["--gpus", "2"], &[&python, "-m", "torch.distributed.run", "--nproc-per-node", "2", path]);
    let real = (real.code, real.json(), real.stderr);
    assert_eq!(real.0, 0, "{}", real.2);
    assert_eq!(real.1["ranks"].as_array().unwrap().len(), 2);
    let command = ["env", "IMAGINED=1", &python, path];
    let imagined = rehearse(&["--gpus", "2", "--world-size", "2", "--ranks", "1"], &command);
    assert_eq!(imagined.code, 0, "{}", imagined.stderr);
    assert_eq!(peak(&imagined.json()), peak(&real.1));
}

/// Masks are the host's own, and a norm is finite whatever was at its address before.
#[test]
fn flags_are_as_the_host_finds_them() {
    let Some(python) = python() else { return };
    let (_folder, path) = script(
        "
import torch
asked = {
    'all': lambda mask: mask.all(),
    'all of flags': lambda mask: mask.bool().all(),
    'sum': lambda mask: mask.sum() == mask.numel(),
    'sum of flags': lambda mask: mask.bool().sum() != mask.numel(),
    'ones': lambda mask: torch.all(mask == 1),
    'no ones': lambda mask: (mask != 1).any(),
    'none': lambda mask: (~mask.bool()).any(),
    'in': lambda mask: 0.0 in mask,
    'any': lambda mask: mask.any(),
}
for again in range(3):
    for shape in ((1, 8), (2, 7), (4, 1024), (8, 4096)):
        for dtype in (torch.int64, torch.int32, torch.bool):
            for padding in (0, 3, shape[1]):
                mask = torch.ones(shape, dtype=dtype)
                mask[-1, shape[1] - padding:] = 0
                for name, ask in asked.items():
                    expected, found = bool(ask(mask)), bool(ask(mask.cuda()))
                    assert found == expected, (name, shape, dtype, padding)
kept = []
for step in range(20):
    norm = torch.stack([torch.zeros(100, device='cuda').norm() for _ in range(3)]).norm()
    finite = torch.isfinite(norm)
    assert finite and not ~finite and not (~finite | (norm < 0)).any() and not torch.isnan(norm)
    kept = [torch.isnan(norm) for _ in range(step)]
",
    );
    let run = rehearse(&[], &[&python, path.to_str().unwrap()]);
    assert_eq!(run.code, 0, "{}", run.stderr);
}

#[test]
fn weights_that_are_not_there() {
    let Some(python) = python() else { return };
    let (folder, path) = script(
        "
import sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.bfloat16, device_map='cuda')
ids = tokenizer('some text', return_tensors='pt').input_ids.cuda()
optimizer = torch.optim.AdamW(model.parameters())
while True:
    model(input_ids=ids, labels=ids).loss.backward()
    optimizer.step()
    optimizer.zero_grad()
",
    );
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 1000, "hidden_size": 4096,
        "intermediate_size": 8192, "num_hidden_layers": 2, "num_attention_heads": 32, "tie_word_embeddings": true,
    });
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let command = [&python, path.to_str().unwrap(), folder.path().to_str().unwrap()];
    let run = rehearse(&["--dummy-weights", "--steps", "2"], &command);
    let answer = run.json();
    assert_eq!((run.code, answer["steps"].as_u64()), (0, Some(2)), "{}", run.stderr);
    let weights: u64 = (1000 * 4096 + 2 * (4 * 4096 * 4096 + 3 * 4096 * 8192 + 2 * 4096) + 4096) * 2;
    // Buffers that are no part of a checkpoint stand with the parameters.
    assert_eq!(answer["composition"]["gradient"].as_u64(), Some(weights), "{answer}");
    assert!(answer["composition"]["parameter"].as_u64().unwrap() - weights < 4096, "{answer}");
    assert!(
        answer["notes"].to_string().contains("dummy weights: LlamaForCausalLM has no checkpoint here"),
        "{answer}"
    );
    let refused = rehearse(&[], &command);
    assert_eq!((refused.code, refused.json()["verdict"].as_str()), (2, Some("failed")));
}

#[test]
fn data_that_is_not_there() {
    let Some(python) = python() else { return };
    let (_folder, path) = script(
        "
import torch
from datasets import load_dataset
parts = load_dataset('nobody/nothing')
rows = load_dataset('nobody/nothing', 'en', split='train').with_format('torch')
assert set(parts) == {'train', 'validation', 'test'} and len(rows) == 4 * 64, parts
row = next(iter(torch.utils.data.DataLoader(rows, batch_size=4)))
assert row['input_ids'].shape == (4, 2048) and row['input_ids'].dtype == torch.int64
assert row['label'].shape == (4,) and len(row['text'][0].split()) == 8
row['input_ids'].cuda()
",
    );
    let fields = "input_ids:int64[4,2048]; label:int64[4]; text:string[4,8]";
    let run = rehearse(&["--synthetic", fields], &[&python, path.to_str().unwrap()]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.json()["notes"].to_string().contains("synthetic data: load_dataset('nobody/nothing')"));
}
