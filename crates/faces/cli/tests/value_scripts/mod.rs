//! Programs whose memory depends on values on the GPU. Each asserts what it read.

/// The scripts that one process runs, one after the other. The first needs an allocator that nobody has used.
pub const SCRIPTS: [(&str, &str); 13] = [
    (
        "overwritten",
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
    ),
    (
        "generate",
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
    ),
    (
        "routing",
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
    ),
    (
        "sizes",
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
    ),
    (
        "unknown_size",
        "
import torch
scores = torch.rand(64, device='cuda')
n = int((scores * 10).long().max())
x = torch.empty(n + 1, device='cuda')
",
    ),
    (
        "loss_loop",
        "
import torch
p = torch.nn.Parameter(torch.rand(64, device='cuda'))
opt = torch.optim.SGD([p], lr=0.1)
loss = (p ** 2).sum()
while loss.item() > 1e-3:
    loss = (p ** 2).sum(); loss.backward(); opt.step(); opt.zero_grad()
",
    ),
    (
        "lbfgs",
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
    ),
    (
        "experts",
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
    ),
    (
        "host",
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
    ),
    (
        "mask",
        "
import torch
ids = torch.rand(8, 512, device='cuda').long()
eos = ids == 2
first = torch.where(eos.any(1), eos.int().argmax(1), 512)
keep = torch.arange(512, device='cuda')[None] <= first[:, None]
assert all(len(row[m]) == 512 for row, m in zip(ids, keep))
print([row[m].tolist()[-1] for row, m in zip(ids, keep)])
",
    ),
    (
        "counts",
        "
import torch
head = torch.nn.AdaptiveLogSoftmaxWithLoss(512, 50000, cutoffs=[2000, 10000]).cuda()
head(torch.randn(64, 512, device='cuda'), torch.randint(0, 50000, (64,)).cuda()).loss.backward()
",
    ),
    (
        "peer",
        "
import torch
assert torch.tensor([3, 1, 2]).to('cuda:0').to('cuda:1').tolist() == [3, 1, 2]
",
    ),
    (
        "libraries",
        "
import torch
torch.ones(1, device='cuda')
import torch._prims
@torch.library.custom_op('brimful_example::twice', mutates_args=())
def twice(x: torch.Tensor) -> torch.Tensor:
    raise AssertionError('the kernel for any device')
@twice.register_kernel('cuda')
def _(x):
    return x + x
known = torch.tensor([1, 2]).cuda()
assert twice(known).tolist() == [2, 4]
with torch.device('meta'):
    assert (1.0 / (10000.0 ** (torch.arange(0, 8, 2) / 8))).shape == (4,)
",
    ),
];
