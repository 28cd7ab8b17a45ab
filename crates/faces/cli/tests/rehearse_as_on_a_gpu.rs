//! Programs that run on a GPU, and so must run in a rehearsal. They use real PyTorch, and run where `BRIMFUL_TORCH_PYTHON`
//! names an interpreter that has torch 2.15.

#![cfg(target_os = "linux")]

mod rehearsed;

use rehearsed::script;
use rehearsed::torch::{python, rehearse, rehearse_script};

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
