//! Values on the virtual GPU, with the real PyTorch: those that are known are right, and those that are not are never
//! quietly zero. They run where `BRIMFUL_TORCH_PYTHON` names an interpreter that has torch 2.15 and transformers 5.23.

#![cfg(target_os = "linux")]

mod rehearsed;

use std::process::Command;

use rehearsed::{Rehearsed, current_test, left_out, script};
use serde_json::Value;

/// Runs a script on a virtual GPU; `None` where there is no PyTorch to use.
fn run(arguments: &[&str], text: &str) -> Option<(Rehearsed, Value)> {
    let Ok(python) = std::env::var("BRIMFUL_TORCH_PYTHON") else {
        left_out(&current_test(), "BRIMFUL_TORCH_PYTHON is not set (cargo xtask test --torch sets it)");
        return None;
    };
    let (folder, path) = script(text);
    let file = folder.path().join("run.zip");
    let mut brimful = Command::new(env!("CARGO_BIN_EXE_brimful"));
    brimful.args(["rehearse", "--gpu", "a100-80gb", "--json", "--output", file.to_str().unwrap()]);
    brimful.args(arguments).args(["--", &python, path.to_str().unwrap()]);
    let run = Rehearsed::of(brimful.output().unwrap(), folder, file);
    let answer = run.json();
    assert_eq!(answer["verdict"], "fits", "{}", run.stderr);
    Some((run, answer))
}

/// Runs a script that knows all of its values.
fn certain(arguments: &[&str], text: &str) -> Option<Value> {
    let (run, answer) = run(arguments, text)?;
    assert_eq!(answer["certain"], true, "{}\n{}", answer["reads"], run.stderr);
    Some(answer)
}

/// Runs a script that reads what only the GPU knows, and returns the lines that it is shown for.
fn uncertain(text: &str) -> Option<(Value, Vec<u64>)> {
    let (run, answer) = run(&[], text)?;
    assert_eq!(answer["certain"], false, "{}", run.stderr);
    let reads = answer["reads"].as_array().unwrap().iter();
    let line = |read: &Value| read["line"].as_str()?.rsplit_once(':')?.1.parse().ok();
    let lines = reads.filter_map(line).collect();
    Some((answer, lines))
}

#[test]
fn generated_sequences_have_the_length_that_was_asked_for() {
    let answer = certain(
        &[],
        "
import torch
from transformers import LlamaConfig, LlamaForCausalLM
c = LlamaConfig(vocab_size=320, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4)
with torch.device('cuda'): m = LlamaForCausalLM(c).half().eval()
ids = torch.randint(5, 320, (4, 16)).cuda()
for sample in (False, True):
    out = m.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=20, do_sample=sample, pad_token_id=0)
    assert out.shape == (4, 36), out.shape
out = m.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=20, num_beams=2, pad_token_id=0)
assert out.shape == (4, 36), out.shape
",
    );
    let Some(answer) = answer else { return };
    assert!(answer["notes"].to_string().contains("generated 20 tokens: no end-of-sequence"), "{answer}");
}

#[test]
fn routing_that_only_the_gpu_knows_counts_as_full_and_is_no_certain_answer() {
    let found = uncertain(
        "
import torch
class MoE(torch.nn.Module):
    def __init__(self, d=64, h=256, n=8):
        super().__init__()
        self.router = torch.nn.Linear(d, n)
        self.experts = torch.nn.ModuleList(torch.nn.Sequential(torch.nn.Linear(d, h), torch.nn.SiLU(), torch.nn.Linear(h, d)) for _ in range(n))
    def forward(self, x):
        weight, chosen = self.router(x).softmax(-1).topk(2)
        out = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            token, slot = torch.where(chosen == number)
            assert len(token) == chosen.numel()
            out.index_add_(0, token, expert(x[token]) * weight[token, slot, None])
        return out
m = MoE().cuda(); opt = torch.optim.AdamW(m.parameters())
for _ in range(2):
    m(torch.randn(32768, 64, device='cuda')).square().mean().backward(); opt.step(); opt.zero_grad()
",
    );
    let Some((answer, lines)) = found else { return };
    assert_eq!(lines, [12], "{answer}");
    assert_eq!(answer["reads"][0]["count"], 16, "{answer}");
}

#[test]
fn sizes_by_way_of_a_number_from_the_host_are_right() {
    certain(
        &[],
        "
import torch
lengths = torch.randint(200, 500, (64,))
tokens = torch.randint(0, 30000, (64, 512)).cuda()
emb = torch.nn.Embedding(30000, 64).cuda()
emb(tokens)
trimmed = tokens[:, : int(lengths.cuda().max())]
assert trimmed.shape == (64, int(lengths.max()))
labels = torch.randint(0, 1000, (4096,)); labels[7] = 999
assert torch.nn.functional.one_hot(labels.cuda()).shape == (4096, 1000)
assert torch.bincount(labels.cuda()).tolist() == torch.bincount(labels).tolist()
repeats = torch.randint(0, 9, (128,))
assert torch.randn(128, 8, device='cuda').repeat_interleave(repeats.cuda(), 0).shape == (int(repeats.sum()), 8)
assert torch.arange(int(labels.cuda().max())).shape == (999,)
",
    );
}

#[test]
fn a_size_by_way_of_a_number_that_only_the_gpu_knows_is_no_certain_answer() {
    let found = uncertain(
        "
import torch
scores = torch.rand(64, device='cuda')
n = int((scores * 10).long().max())
x = torch.empty(n + 1, device='cuda')
",
    );
    let Some((answer, lines)) = found else { return };
    assert_eq!(lines, [4], "{answer}");
}

#[test]
fn a_loop_that_a_loss_ends_is_no_certain_answer() {
    let found = uncertain(
        "
import torch
p = torch.nn.Parameter(torch.rand(64, device='cuda'))
opt = torch.optim.SGD([p], lr=0.1)
loss = (p ** 2).sum()
while loss.item() > 1e-3:
    loss = (p ** 2).sum(); loss.backward(); opt.step(); opt.zero_grad()
",
    );
    let Some((answer, lines)) = found else { return };
    assert_eq!(lines, [6], "{answer}");
}

#[test]
fn an_optimizer_that_stops_by_its_values_is_no_certain_answer() {
    let found = uncertain(
        "
import torch
p = torch.nn.Parameter(torch.full((1 << 10,), 0.5, device='cuda'))
goal = torch.linspace(1, 2, 1 << 10, device='cuda')
optimizer = torch.optim.LBFGS([p], max_iter=20, history_size=10)
def closure():
    optimizer.zero_grad()
    loss = ((p ** 3 - goal) ** 2 + p ** 2).sum(); loss.backward()
    return loss
for _ in range(2):
    optimizer.step(closure)
",
    );
    let Some((answer, lines)) = found else { return };
    assert!(lines.contains(&11), "{answer}");
}

#[test]
fn ordinary_training_is_certain() {
    certain(
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
}

#[test]
fn experts_without_a_token_are_reached_or_the_answer_is_not_certain() {
    let found = uncertain(
        "
import torch
from transformers import MixtralConfig, MixtralForCausalLM
c = MixtralConfig(vocab_size=320, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2)
c._experts_implementation = 'eager'
with torch.device('cuda'): m = MixtralForCausalLM(c).bfloat16()
opt = torch.optim.AdamW(m.parameters())
for _ in range(2):
    ids = torch.randint(0, 320, (2, 128)).cuda()
    m(input_ids=ids, labels=ids).loss.backward(); opt.step()
    assert all(p.grad is not None for p in m.parameters())
    opt.zero_grad()
",
    );
    let Some((answer, lines)) = found else { return };
    assert!(lines.contains(&10), "{answer}");
}

#[test]
fn what_the_host_put_on_the_gpu_is_still_there_after_a_kernel() {
    certain(
        &[],
        "
import torch
lengths = torch.tensor([4, 8]).cuda()
x = torch.ones(12, 3).cuda() + 1
assert [len(part) for part in x.split(lengths.tolist())] == [4, 8]
timesteps = torch.linspace(1000, 1, 1000)
chosen = timesteps[torch.tensor([17, 500])].cuda()
assert [(timesteps.cuda() == t).nonzero().item() for t in chosen] == [17, 500]
_, counts = torch.tensor([0., 0., 1.]).cuda().unique(return_counts=True)
assert counts.max() == 2 and counts.tolist() == [2, 1]
mask = (torch.arange(2708) < 140).cuda()
assert int(mask.sum()) == 140 and torch.randn(2708, 5, device='cuda')[mask].shape == (140, 5)
",
    );
}

#[test]
fn a_value_that_was_overwritten_freed_or_handed_out_again_is_not_known() {
    let Some((_, answer)) = run(
        &[],
        "
import torch
a = torch.rand(2, 4).cuda() * torch.rand(1, device='cuda')
kept = torch.ones(4, dtype=torch.bool).cuda(); address = kept.data_ptr(); del kept
wrong = a[:, 2:] < a[:, :2]
assert wrong.data_ptr() == address
print(bool(wrong.any()))
unknown = torch.rand(4, device='cuda').long()
def asked(change):
    x = torch.tensor([5, 6, 7, 8]).cuda()
    change(x)
    return x.tolist()
assert asked(lambda x: None) == [5, 6, 7, 8]
assert asked(lambda x: x.add_(unknown)) == [0] * 4
assert asked(lambda x: x[1:].copy_(unknown[1:])) == [0] * 4
assert asked(lambda x: torch.add(unknown, 1, out=x)) == [0] * 4
assert asked(lambda x: x.random_()) == [0] * 4
assert asked(lambda x: x.data.bitwise_or_(unknown)) == [0] * 4
assert asked(lambda x: x.view(2, 2).t().masked_fill_(unknown.view(2, 2) > 0, 1)) == [0] * 4
assert asked(lambda x: torch._foreach_add_([x], [unknown])) == [0] * 4
assert asked(lambda x: x.scatter_(0, unknown, 3)) == [0] * 4
assert asked(lambda x: x[1:3].fill_(2)) == [5, 2, 2, 8]
w = torch.ones(4, device='cuda', requires_grad=True)
w.grad = torch.zeros(4, device='cuda')
(w * torch.rand(4, device='cuda')).sum().backward()
assert w.grad.tolist() == [0] * 4 and w.tolist() == [1] * 4
g = torch.cuda.CUDAGraph(); x = torch.tensor([1, 2]).cuda(); y = torch.tensor([3]).cuda()
with torch.cuda.graph(g): x.add_(1)
g.replay()
assert y.tolist() == [0] and x.tolist() == [0, 0]
",
    ) else {
        return;
    };
    assert_eq!(answer["certain"], false);
}

#[test]
fn a_mask_of_generated_tokens_counts_as_full() {
    let found = uncertain(
        "
import torch
ids = torch.rand(8, 512, device='cuda').long()
eos = ids == 2
first = torch.where(eos.any(1), eos.int().argmax(1), 512)
keep = torch.arange(512, device='cuda')[None] <= first[:, None]
assert all(len(row[m]) == 512 for row, m in zip(ids, keep))
print([row[m].tolist()[-1] for row, m in zip(ids, keep)])
",
    );
    let Some((answer, lines)) = found else { return };
    assert!(lines.contains(&7) && lines.contains(&8), "{answer}");
}

#[test]
fn counts_that_are_checked_are_those_of_the_host() {
    certain(
        &[],
        "
import torch
head = torch.nn.AdaptiveLogSoftmaxWithLoss(512, 50000, cutoffs=[2000, 10000]).cuda()
head(torch.randn(64, 512, device='cuda'), torch.randint(0, 50000, (64,)).cuda()).loss.backward()
",
    );
}

#[test]
fn a_value_travels_from_gpu_to_gpu() {
    certain(
        &["--gpus", "2"],
        "
import torch
assert torch.tensor([3, 1, 2]).to('cuda:0').to('cuda:1').tolist() == [3, 1, 2]
",
    );
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
