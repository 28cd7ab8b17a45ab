//! Programs that run on a GPU, and so must run in a rehearsal. They use real PyTorch, and run where `BRIMFUL_TORCH_PYTHON`
//! names an interpreter that has torch 2.15.

#![cfg(target_os = "linux")]

mod rehearsed;

use rehearsed::torch::rehearse_script;

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
