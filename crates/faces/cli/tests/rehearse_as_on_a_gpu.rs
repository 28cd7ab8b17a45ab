//! Programs that run on a GPU, and so must run in a rehearsal. They use real PyTorch, and run where `BRIMFUL_TORCH_PYTHON`
//! names an interpreter that has torch 2.15.

#![cfg(target_os = "linux")]

mod rehearsed;

use rehearsed::script;
use rehearsed::torch::{python, rehearse, rehearse_script, run};

/// cuDNN's recurrent networks: every kind and option that PyTorch has, forward and backward.
#[test]
fn recurrent_networks_train_and_infer() {
    let recurrent = "
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

def options(kind):
    for layers in (1, 2):
        for both in (False, True):
            for bias in (False, True):
                for extra in ({}, {'proj_size': 32}) if kind is nn.LSTM else ({},):
                    yield dict(num_layers=layers, bidirectional=both, bias=bias, dropout=0.2 * (layers > 1), **extra)

lengths = torch.tensor([7, 6, 4, 2, 1])
for kind in (nn.LSTM, nn.GRU, nn.RNN):
    for dtype in (torch.float32, torch.float16):
        for chosen in options(kind):
            model = kind(24, 64, batch_first=True, **chosen).cuda().to(dtype)
            x = torch.randn(5, 7, 24, device='cuda', dtype=dtype, requires_grad=True)
            y, _ = model(x)
            assert y.shape == (5, 7, chosen.get('proj_size', 64) * (1 + chosen['bidirectional'])), y.shape
            y.sum().backward()
            assert x.grad is not None and all(p.grad.shape == p.shape for p in model.parameters())
            packed, _ = model(pack_padded_sequence(x, lengths, batch_first=True))
            y, rows = pad_packed_sequence(packed, batch_first=True)
            assert y.shape[:2] == (5, 7) and rows.tolist() == lengths.tolist()
            y.sum().backward()
            with torch.no_grad():
                model.eval()(x)
";
    let Some(run) = rehearse_script(&[], recurrent) else { return };
    assert_eq!(run.code, 0, "{}", run.stderr);
    let unseen = run.json()["unseen"].to_string();
    assert!(unseen.contains("what cuDNN's recurrent networks keep for the backward pass"), "{unseen}");
}

/// The reserve is counted with its least, and lives until the backward pass.
#[test]
fn what_an_lstm_keeps_for_the_backward_pass_is_in_the_peak() {
    let lstm = "
import torch
model = torch.nn.LSTM(123, 320, 4).cuda()
before = torch.cuda.memory_allocated()
y, _ = model(torch.randn(1000, 25, 123, device='cuda'))
kept = torch.cuda.memory_allocated() - before - 25000 * 123 * 4 - 25000 * 320 * 4
assert 736_000_000 <= kept < 737_000_000, kept
";
    let Some(run) = rehearse_script(&[], lstm) else { return };
    assert_eq!(run.code, 0, "{}", run.stderr);
}

/// The size of a convolution's workspace is cuDNN's choice.
#[test]
fn workspaces_of_convolutions_are_named_as_not_seen() {
    let convolution = "
import torch
torch.backends.cudnn.benchmark = BENCHMARK
m = torch.nn.Conv3d(64, 64, 3, padding=1).cuda().half()
x = torch.randn(2, 64, 8, 16, 16, device='cuda', dtype=torch.half, requires_grad=True)
m(x).float().square().mean().backward()
";
    for benchmark in ["True", "False"] {
        let Some(run) = rehearse_script(&[], &convolution.replace("BENCHMARK", benchmark)) else { return };
        let unseen = run.json()["unseen"].to_string();
        assert!(
            unseen.contains("taken as zero: workspaces of cuDNN's convolutions"),
            "{unseen}\n{}",
            run.stderr
        );
    }
}

/// Two processes that the command itself gives a GPU each, by number and by UUID: either fits alone, both would not.
#[test]
fn processes_use_the_gpus_that_the_command_gives_them() {
    let Some(python) = python() else { return };
    let (_folder, path) = script(
        "
import torch, time
x = torch.empty(3 << 30, dtype=torch.uint8, device='cuda')
assert torch.cuda.device_count() == 1
# The other process has begun by then.
free = torch.cuda.mem_get_info()[0]
time.sleep(2)
assert torch.cuda.mem_get_info()[0] == free
",
    );
    let uuid = "$(nvidia-smi --query-gpu=uuid --format=csv,noheader -i 1)";
    let both = format!(
        "for i in 0 {uuid}; do CUDA_VISIBLE_DEVICES=$i {python} {} & p=\"$p $!\"; done\n\
         for q in $p; do wait $q || exit 1; done",
        path.display()
    );
    let run = rehearse(&["--capacity", "4GiB", "--gpus", "2"], &["sh", "-c", &both]);
    let answer = run.json();
    assert_eq!((run.code, answer["verdict"].as_str()), (0, Some("fits")), "{}", run.stderr);
    let mut gpus: Vec<u64> =
        answer["ranks"].as_array().unwrap().iter().map(|rank| rank["device"].as_u64().unwrap()).collect();
    gpus.sort_unstable();
    assert_eq!(gpus, [0, 1]);
    let taken = answer["peak"]["device"].as_u64().unwrap();
    assert!((3 << 30..4 << 30).contains(&taken), "{answer}");
}

/// The variable counts if it is set before CUDA's first call, as on a GPU, and what it does not name is not there.
#[test]
fn a_program_that_hides_its_gpus_has_none() {
    let hides = "
import os
os.environ['CUDA_VISIBLE_DEVICES'] = ''
import torch
assert not torch.cuda.is_available() and torch.cuda.device_count() == 0
try:
    torch.ones(1, device='cuda')
except RuntimeError as error:
    assert 'No CUDA GPUs' in str(error) or 'no CUDA-capable device' in str(error), error
else:
    raise AssertionError('there is a GPU')
";
    let Some(_run) = rehearse_script(&[], hides) else { return };
    let ends = "
import os
os.environ['CUDA_VISIBLE_DEVICES'] = '2,0,9,1'
import torch
assert torch.cuda.device_count() == 2
x = torch.empty(1 << 30, dtype=torch.uint8, device='cuda:0')
os.environ['CUDA_VISIBLE_DEVICES'] = '1'
y = torch.empty(1 << 20, dtype=torch.uint8, device='cuda:1')
";
    let Some(run) = rehearse_script(&["--gpus", "4", "--capacity", "2GiB"], ends) else { return };
    let answer = run.json();
    assert_eq!(run.code, 0, "{}", run.stderr);
    let gpus: Vec<&serde_json::Value> =
        answer["ranks"].as_array().unwrap().iter().map(|rank| &rank["device"]).collect();
    assert_eq!(gpus, [2, 0], "{answer}");
}

/// The discriminator of a VQ-GAN begins after the first steps; its gradients and states are memory, too.
#[test]
fn steps_wait_for_an_optimizer_that_begins_late() {
    let gan = "
import torch
g, d = torch.nn.Linear(1024, 1024).cuda(), torch.nn.Linear(8192, 8192).cuda()
og, od = torch.optim.Adam(g.parameters()), torch.optim.Adam(d.parameters())
for step in range(1000):
    og.zero_grad(); g(torch.randn(8, 1024, device='cuda')).sum().backward(); og.step()
    if step >= 3:
        od.zero_grad(); d(torch.randn(8, 8192, device='cuda')).sum().backward(); od.step()
";
    let Some(run) = rehearse_script(&["--steps", "2"], gan) else { return };
    let answer = run.json();
    assert_eq!((run.code, answer["steps"].as_u64()), (0, Some(5)), "{}", run.stderr);
    // Weights, gradients and two states of the discriminator.
    assert!(answer["peak"]["requested"].as_u64() > Some(4 * (8192 * 8192 * 4)), "{answer}");
    let never = gan.replace("step >= 3", "step >= 900");
    let Some(run) = rehearse_script(&["--steps", "2"], &never) else { return };
    let answer = run.json();
    assert_eq!((run.code, answer["steps"].as_u64()), (0, Some(10)), "{}", run.stderr);
    assert!(answer["notes"].to_string().contains("Adam of train.py:4 never stepped"), "{answer}");
}

/// An optimizer for each parameter, which steps as soon as its gradient is there.
#[test]
fn steps_of_optimizers_in_the_backward_pass_are_whole_passes() {
    let in_backward = "
import torch
model = torch.nn.Sequential(*[torch.nn.Linear(2048, 2048) for _ in range(8)]).cuda()
made = {p: torch.optim.Adam([p]) for p in model.parameters()}
def step(p):
    made[p].step(); made[p].zero_grad()
for p in model.parameters():
    p.register_post_accumulate_grad_hook(step)
for _ in range(100):
    model(torch.randn(8, 2048, device='cuda')).sum().backward()
";
    let Some(run) = rehearse_script(&["--steps", "1"], in_backward) else { return };
    let answer = run.json();
    assert_eq!((run.code, answer["steps"].as_u64()), (0, Some(1)), "{}", run.stderr);
    // Weights and two states of every layer.
    assert!(answer["peak"]["requested"].as_u64() > Some(3 * 8 * 2048 * 2048 * 4), "{answer}");
}

#[test]
fn steps_without_an_optimizer_are_said_to_have_no_effect() {
    let by_hand = "
import torch
model = torch.nn.Linear(1024, 1024).cuda()
for _ in range(5):
    model(torch.randn(8, 1024, device='cuda')).sum().backward()
    with torch.no_grad():
        for p in model.parameters():
            p -= 0.1 * p.grad
            p.grad = None
";
    let Some(run) = rehearse_script(&["--steps", "2"], by_hand) else { return };
    let notes = run.json()["notes"].to_string();
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(notes.contains("--steps 2 had no effect: no torch.optim optimizer stepped"), "{notes}");
}

/// A trainer that cleans up and reports, and a notebook's launcher, fail after the steps that were asked for.
#[test]
fn a_run_that_made_its_steps_is_judged_by_them() {
    let Some(python) = python() else { return };
    let (_folder, path) = script(
        "
import concurrent.futures, torch
def train():
    m = torch.nn.Linear(64, 64).cuda(); opt = torch.optim.SGD(m.parameters(), lr=0.1)
    try:
        for _ in range(5):
            m(torch.randn(8, 64, device='cuda')).sum().backward(); opt.step(); opt.zero_grad()
    except BaseException as error:
        raise RuntimeError('training failed') from error
with concurrent.futures.ThreadPoolExecutor() as pool:
    pool.submit(train).result()
",
    );
    let command = format!("{python} {}; echo a cell failed >&2; exit 1", path.display());
    let run = rehearse(&["--steps", "2", "--capacity", "4GiB"], &["sh", "-c", &command]);
    let answer = run.json();
    assert_eq!(
        (run.code, answer["verdict"].as_str(), answer["steps"].as_u64()),
        (0, Some("fits"), Some(2)),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("training failed"), "{}", run.stderr);
    // Without steps that were reached the same run has failed.
    let run = rehearse(&["--steps", "9", "--capacity", "4GiB"], &["sh", "-c", &command]);
    assert_eq!((run.code, run.json()["verdict"].as_str()), (2, Some("failed")), "{}", run.stderr);
}

/// Requests that were caught are not what a later failure is about.
#[test]
fn a_failure_after_caught_requests_is_no_shortage_of_memory() {
    let halves = "
import sys, torch
for size in (60, 30, 8):
    try:
        x = torch.empty(size << 30, dtype=torch.uint8, device='cuda'); break
    except torch.cuda.OutOfMemoryError:
        print(size, 'GiB: too large, halving')
sys.exit(3)
";
    let Some(run) = rehearse_script(&["--gpu", "rtx-4090"], halves) else { return };
    let answer = run.json();
    assert_eq!((run.code, answer["verdict"].as_str()), (2, Some("failed")), "{}", run.stderr);
    let reason = answer["reason"].as_str().unwrap();
    assert_eq!(reason, "the command failed (exit status 3); 2 failed requests were caught");
    // Whoever gives up after the last of them died of it.
    let gives_up = halves.replace("(60, 30, 8)", "(60, 30)");
    let Some(run) = rehearse_script(&["--gpu", "rtx-4090"], &gives_up) else { return };
    let answer = run.json();
    assert_eq!((run.code, answer["verdict"].as_str()), (1, Some("does-not-fit")), "{}", run.stderr);
    assert_eq!(answer["survived_ooms"], 1);
}

/// A module of that name stands for JAX, which computes on the CPU here in any case.
#[test]
fn a_run_without_gpu_memory_gets_no_verdict_and_jax_is_named() {
    let Some(python) = python() else { return };
    let (folder, path) = script("import torch\nimport jax\n");
    std::fs::write(folder.path().join("jax.py"), "").unwrap();
    let run = rehearse(&["--gpu", "rtx-4090"], &[&python, path.to_str().unwrap()]);
    let answer = run.json();
    assert_eq!((run.code, answer["verdict"].as_str()), (2, Some("no-gpu-memory")), "{}", run.stderr);
    let reason = answer["reason"].as_str().unwrap();
    assert!(reason.contains("the command imports jax, whose memory is not seen"), "{reason}");
    std::fs::write(&path, "import jax\n").unwrap();
    let run = rehearse(&["--gpu", "rtx-4090"], &[&python, path.to_str().unwrap()]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("it imports jax; only memory of PyTorch is rehearsed"), "{}", run.stderr);
}

/// isort puts `datasets` before torch, and its functions are bound by then.
#[test]
fn data_sets_are_stood_in_for_whatever_is_imported_first() {
    let first = "
from datasets import load_dataset
import torch
rows = load_dataset('stanfordnlp/imdb', split='train')
assert rows.column_names == ['text'] and len(rows) == 8 * 64
torch.ones(1, device='cuda')
";
    let Some(run) = rehearse_script(&["--synthetic", "text:string[8,20]"], first) else { return };
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.json()["notes"].to_string().contains("load_dataset('stanfordnlp/imdb')"), "{}", run.stdout);
}

#[test]
fn each_data_set_and_file_has_fields_of_its_own() {
    let several = "
import torch
from datasets import load_dataset
assert load_dataset('rajpurkar/squad', split='train').column_names == ['question']
assert load_dataset('nobody/other', split='train').column_names == ['text', 'label']
both = load_dataset('json', data_files={'train': ['a.jsonl', 'b.jsonl'], 'test': 'data/held.jsonl'})
assert set(both) == {'train', 'test'}, both
assert both['train'].column_names == ['text', 'label'] and both['test'].column_names == ['answer']
assert load_dataset('json', data_files={'test': 'data/held.jsonl'}, split='test[:5]').column_names == ['answer']
torch.ones(1, device='cuda')
";
    let arguments = [
        "--synthetic",
        "text:string[4,8];label:int64[4]",
        "--synthetic",
        "squad=question:string[4,8]",
        "--synthetic",
        "held=answer:string[4,8]",
    ];
    let Some(run) = rehearse_script(&arguments, several) else { return };
    assert_eq!(run.code, 0, "{}", run.stderr);
}

/// A checkpoint that is loaded, and then more events than the history keeps.
#[test]
fn the_peak_is_exact_however_long_the_run_is() {
    let Some(python) = python() else { return };
    let (_folder, path) = script(
        "
import torch
w = torch.empty(20 << 30, dtype=torch.uint8, device='cuda')
w = None
x = torch.ones(1 << 20, device='cuda')
for _ in range(1000):
    x + 1
",
    );
    let run = run(&["--history", "500"], &[&python, path.to_str().unwrap()]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(
        run.stdout.contains("  peak 20.00 GiB requested, 20.00 GiB allocated, 20.00 GiB reserved\n"),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("the peak lies before the recorded history"), "{}", run.stdout);
    assert!(!run.stdout.contains("who held it at the peak"), "{}", run.stdout);
    let json = rehearse(&["--history", "500"], &[&python, path.to_str().unwrap()]).json();
    assert_eq!((&json["peak_at"], json["top"].as_array().map(Vec::len)), (&serde_json::Value::Null, Some(0)));
    // A history that begins late and holds the peak explains it.
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text + "w = torch.empty(30 << 30, dtype=torch.uint8, device='cuda')\n").unwrap();
    let json = rehearse(&["--history", "500"], &[&python, path.to_str().unwrap()]).json();
    assert_eq!(json["top"][0]["bytes"], 30u64 << 30, "{json}");
}

#[test]
fn a_missing_tokenizer_is_stood_in_for_by_one_of_about_four_bytes_a_token() {
    let Some(python) = python() else { return };
    let (folder, path) = script(
        "
import sys, torch
from transformers import AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
text = 'The quick brown fox jumps over the lazy dog, and nobody in the whole neighbourhood was surprised. ' * 40
ids = tokenizer(text, return_tensors='pt').input_ids.cuda()
assert 3.5 < len(text) / ids.shape[1] < 5, (len(text), ids.shape)
turns = [{'role': 'user', 'content': 'hello there'}]
asked, both = (tokenizer.apply_chat_template(t, return_dict=False) for t in (turns, turns + [{'role': 'assistant', 'content': 'yes'}]))
assert both[:len(asked)] == asked and len(both) > len(asked), (asked, both)
assert tokenizer('<s>')['input_ids'] == [tokenizer.bos_token_id]
",
    );
    std::fs::write(folder.path().join("config.json"), r#"{"model_type": "llama"}"#).unwrap();
    let command = [&python, path.to_str().unwrap(), folder.path().to_str().unwrap()];
    let run = rehearse(&["--dummy-weights"], &command);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(
        run.json()["notes"].to_string().contains("lengths, and so the peak, are made up"),
        "{}",
        run.stdout
    );
}

/// The base model of a LoRA, and a reference model that only runs forward.
#[test]
fn frozen_parameters_are_parameters() {
    let Some(python) = python() else { return };
    let (_folder, path) = script(
        "
import torch
from peft import LoraConfig, get_peft_model
class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        # Made in a line of the program's own, which does not look like loading.
        self.layer = torch.nn.Linear(4096, 4096, bias=False)
        self.layer.weight = torch.nn.Parameter(torch.randn(4096, 4096, device='cuda'))
    def forward(self, x):
        return self.layer(x)
reference = Model().requires_grad_(False)
model = get_peft_model(Model(), LoraConfig(r=4, target_modules=['layer'])).cuda()
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad])
for _ in range(2):
    x = torch.randn(8, 4096, device='cuda')
    (model(x) - reference(x)).square().mean().backward()
    optimizer.step(); optimizer.zero_grad()
",
    );
    let run = run(&[], &[&python, path.to_str().unwrap()]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stdout.contains("128.00 MiB of it frozen"), "{}", run.stdout);
    let json = rehearse(&[], &[&python, path.to_str().unwrap()]).json();
    let of = |name: &str| json["composition"][name].as_u64().unwrap_or(0);
    assert!(of("parameter") > 128 << 20 && of("input") < 1 << 20, "{json}");
}

/// PyTorch warns when a module is compiled while there are hooks on all modules: the program has set none.
#[test]
fn a_compiled_module_brings_no_warning_of_hooks() {
    let compiled = "
import torch, warnings
warnings.simplefilter('error')
model = torch.compile(torch.nn.Linear(8, 8).cuda(), backend='eager')
model(torch.randn(2, 8, device='cuda'))
from torch.nn.modules import module
module.register_module_forward_hook(lambda *args: None)
try:
    model(torch.randn(2, 8, device='cuda'))
except UserWarning as warning:
    assert 'global hooks' in str(warning)
else:
    raise AssertionError('a hook of the program is warned of')
";
    let Some(run) = rehearse_script(&[], compiled) else { return };
    assert_eq!(run.code, 0, "{}", run.stderr);
}

/// The error looks like the script's own.
#[test]
fn a_failure_after_values_that_were_not_known_were_read_says_so() {
    let of_size = "
import torch
x = torch.randn(100, device='cuda')
chosen = (x > 0).nonzero()
RAISES
";
    let Some(run) = rehearse_script(&[], &of_size.replace("RAISES", "raise ValueError(len(chosen))")) else {
        return;
    };
    let reason = run.json()["reason"].to_string();
    assert!(reason.contains("a value that only a real GPU knows was read (at "), "{reason}");
    assert!(reason.contains("py:4), which may be the cause"), "{reason}");
    let Some(run) = rehearse_script(&[], "import torch\nraise ValueError('before torch is used')") else {
        return;
    };
    assert!(!run.stderr.contains("only a real GPU knows"), "{}", run.stderr);
}
