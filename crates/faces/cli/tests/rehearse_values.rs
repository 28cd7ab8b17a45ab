//! Values on the virtual GPU, with the real PyTorch: those that are known are right, and those that are not are never
//! quietly zero. They run where `BRIMFUL_TORCH_PYTHON` names an interpreter that has torch 2.15 and transformers 5.23.

#![cfg(target_os = "linux")]

mod rehearsed;
mod value_scripts;

use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use rehearsed::{Rehearsed, current_test, left_out, script};
use serde_json::Value;
use tempfile::TempDir;
use value_scripts::SCRIPTS;

/// Runs a script on a virtual GPU; `None` where there is no PyTorch to use.
fn run(arguments: &[&str], text: &str) -> Option<(Rehearsed, Value)> {
    let (folder, path) = script(text);
    rehearse(arguments, folder, &path)
}

fn rehearse(arguments: &[&str], folder: TempDir, path: &Path) -> Option<(Rehearsed, Value)> {
    let Ok(python) = std::env::var("BRIMFUL_TORCH_PYTHON") else {
        left_out(&current_test(), "BRIMFUL_TORCH_PYTHON is not set (cargo xtask test --torch sets it)");
        return None;
    };
    let file = folder.path().join("run.zip");
    let mut brimful = Command::new(env!("CARGO_BIN_EXE_brimful"));
    brimful.args(["rehearse", "--gpu", "a100-80gb", "--json", "--output", file.to_str().unwrap()]);
    brimful.args(arguments).args(["--", &python, path.to_str().unwrap()]);
    let run = Rehearsed::of(brimful.output().unwrap(), folder, file);
    let answer = run.json();
    assert_eq!(answer["verdict"], "fits", "{}", run.stderr);
    Some((run, answer))
}

/// Runs each script after the one before, and goes on where one fails.
const DRIVER: &str = "
import pathlib, runpy, traceback
for path in sorted(pathlib.Path(__file__).parent.glob('value-*.py')):
    try:
        runpy.run_path(str(path))
    except BaseException:
        print('FAILED', path.name, traceback.format_exc(), 'END', flush=True)
";

/// The answer about all scripts in one process, which imports its libraries once, and what they printed.
static TOGETHER: LazyLock<Option<(Value, String)>> = LazyLock::new(|| {
    let (folder, path) = script(DRIVER);
    for (at, (name, text)) in SCRIPTS.iter().enumerate() {
        std::fs::write(folder.path().join(file_name(at, name)), text).unwrap();
    }
    let (run, answer) = rehearse(&["--gpus", "2"], folder, &path)?;
    Some((answer, run.stderr))
});

fn file_name(at: usize, name: &str) -> String {
    format!("value-{at:02}-{name}.py")
}

/// The answer about all scripts, and the reads of one of them, which came to its end.
fn one(name: &str) -> Option<(&'static Value, Vec<&'static Value>)> {
    let at = SCRIPTS.iter().position(|script| script.0 == name).unwrap();
    let (answer, printed) = TOGETHER.as_ref()?;
    let file = file_name(at, name);
    if let Some((_, error)) = printed.split_once(&format!("FAILED {file}")) {
        panic!("{}", error.split("END").next().unwrap());
    }
    let reads = answer["reads"].as_array().unwrap().iter();
    Some((answer, reads.filter(|read| read["line"].to_string().contains(&file)).collect()))
}

/// The answer, if one script knows all of its values.
fn certain(name: &str) -> Option<&'static Value> {
    let (answer, reads) = one(name)?;
    assert!(reads.is_empty(), "{reads:?}");
    Some(answer)
}

/// The reads of a script that reads what only the GPU knows, and the lines that it is shown for.
fn uncertain(name: &str) -> Option<(Vec<&'static Value>, Vec<u64>)> {
    let (answer, reads) = one(name)?;
    assert_eq!(answer["certain"], false, "{answer}");
    assert!(!reads.is_empty(), "{answer}");
    let line = |read: &&Value| read["line"].as_str()?.rsplit_once(':')?.1.parse().ok();
    let lines = reads.iter().filter_map(line).collect();
    Some((reads, lines))
}

#[test]
fn generated_sequences_have_the_length_that_was_asked_for() {
    let answer = certain("generate");
    let Some(answer) = answer else { return };
    assert!(answer["notes"].to_string().contains("generated 20 tokens: no end-of-sequence"), "{answer}");
}

#[test]
fn routing_that_only_the_gpu_knows_counts_as_full_and_is_no_certain_answer() {
    let found = uncertain("routing");
    let Some((reads, lines)) = found else { return };
    assert_eq!(lines, [12], "{reads:?}");
    assert_eq!(reads[0]["count"], 16, "{reads:?}");
}

#[test]
fn sizes_by_way_of_a_number_from_the_host_are_right() {
    certain("sizes");
}

#[test]
fn a_size_by_way_of_a_number_that_only_the_gpu_knows_is_no_certain_answer() {
    let found = uncertain("unknown_size");
    let Some((reads, lines)) = found else { return };
    assert_eq!(lines, [4], "{reads:?}");
}

#[test]
fn a_loop_that_a_loss_ends_is_no_certain_answer() {
    let found = uncertain("loss_loop");
    let Some((reads, lines)) = found else { return };
    assert_eq!(lines, [6], "{reads:?}");
}

#[test]
fn an_optimizer_that_stops_by_its_values_is_no_certain_answer() {
    let found = uncertain("lbfgs");
    let Some((reads, lines)) = found else { return };
    assert!(lines.contains(&11), "{reads:?}");
}

#[test]
fn ordinary_training_is_certain() {
    let ordinary = run(
        &[],
        "
import torch
torch.manual_seed(0)
m = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.BatchNorm1d(64), torch.nn.ReLU(), torch.nn.Linear(64, 10)).cuda()
opt = torch.optim.AdamW(m.parameters())
scaler = torch.amp.GradScaler('cuda')
correct = total = 0
for step in range(3):
    x, y = torch.randn(32, 64).cuda(), torch.randint(0, 10, (32,)).cuda()
    with torch.autocast('cuda', torch.float16):
        out = m(x); loss = torch.nn.functional.cross_entropy(out, y)
    assert torch.isfinite(loss) and not torch.isnan(loss).any()
    if not torch.isfinite(loss).all():
        raise SystemExit(1)
    scaler.scale(loss).backward()
    scaler.unscale_(opt)
    norm = torch.nn.utils.clip_grad_norm_(m.parameters(), 1.0, error_if_nonfinite=True)
    scaler.step(opt); scaler.update(); opt.zero_grad()
    correct += (out.argmax(1) == y).sum().item()
    total += loss.item()
    print(f'loss {loss.item():.3f} norm {norm:.3f} scale {scaler.get_scale()}', correct / 32)
assert scaler.get_scale() == 65536
",
    );
    let Some((run, answer)) = ordinary else { return };
    assert_eq!(answer["certain"], true, "{}\n{}", answer["reads"], run.stderr);
}

#[test]
fn experts_without_a_token_are_reached_or_the_answer_is_not_certain() {
    let found = uncertain("experts");
    let Some((reads, lines)) = found else { return };
    assert!(lines.contains(&10), "{reads:?}");
}

#[test]
fn what_the_host_put_on_the_gpu_is_still_there_after_a_kernel() {
    certain("host");
}

#[test]
fn a_value_that_was_overwritten_freed_or_handed_out_again_is_not_known() {
    // The script itself asserts what it reads. Its line 12 reads what `asked` has overwritten.
    let Some((_, lines)) = uncertain("overwritten") else { return };
    assert!(lines.contains(&12), "{lines:?}");
}

#[test]
fn a_mask_of_generated_tokens_counts_as_full() {
    let found = uncertain("mask");
    let Some((reads, lines)) = found else { return };
    assert!(lines.contains(&7) && lines.contains(&8), "{reads:?}");
}

#[test]
fn counts_that_are_checked_are_those_of_the_host() {
    certain("counts");
}

#[test]
fn a_value_travels_from_gpu_to_gpu() {
    certain("peer");
}

/// An operator of another library runs its kernel for the device, not one for any device.
#[test]
fn operators_of_other_libraries_run_the_kernel_of_their_device() {
    certain("libraries");
}

/// The same training with values and without them has the same history.
#[test]
fn following_values_adds_no_event_to_the_allocators_history() {
    let text = "
import torch, hashlib
m = torch.nn.TransformerEncoderLayer(64, 4, 128, batch_first=True).cuda(); opt = torch.optim.AdamW(m.parameters())
for _ in range(3):
    x = torch.randn(4, 16, 64).cuda()
    mask = (torch.arange(16)[None] < torch.tensor([16, 9, 4, 12])[:, None]).cuda()
    out = m(x, src_key_padding_mask=~mask)
    rows = (torch.cumsum(mask.long(), 1) * mask).masked_fill(~mask, 0)
    loss = (out * mask[..., None]).square().mean() + m(x + 1).mean() + rows.float().mean()
    loss.backward(); opt.step(); opt.zero_grad()
history = torch.cuda.memory._snapshot()['device_traces'][0]
# The driver's range begins elsewhere in each process, as on a real GPU; what lies where in it is the same.
first = history[0]['addr']
placed = [(e['action'], e['addr'] - first, e['size']) for e in history]
print(len(history), hashlib.sha1(repr(placed).encode()).hexdigest())
";
    let Some((with, _)) = run(&[], text) else { return };
    let said = |run: &Rehearsed| {
        run.stderr.lines().find(|line| line.len() > 40 && !line.contains("brimful")).map(str::to_owned)
    };
    // As with an older torch, which has no such function.
    let text = format!("import brimful_rehearsal.values as values\nvalues.NEEDED = 'none'\n{text}");
    let (off, answer) = run(&[], &text).unwrap();
    assert_eq!(answer["certain"], false, "{}", off.stderr);
    assert!(answer["unseen"].to_string().contains("values on the GPU"), "{answer}");
    assert!(said(&with).is_some());
    assert_eq!(said(&with), said(&off));
    assert!(!with.stderr.contains("brimful_rehearsal"), "{}", with.stderr);
}
