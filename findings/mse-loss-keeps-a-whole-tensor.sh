#!/usr/bin/env bash
# torch 2.15.0: the mean that F.mse_loss, F.smooth_l1_loss and F.soft_margin_loss return is one number whose storage is as large
# as the input: the output is made for the losses of all elements, and is then resized to a scalar, which keeps the memory.
# F.l1_loss, F.huber_loss and F.binary_cross_entropy_with_logits return four bytes. A script that keeps its losses to average
# them later (`losses.append(loss.detach())`) keeps a whole tensor for each step with the first three.
#
# Seen (torch 2.15.0, 1000 x 1000 numbers in fp32, on the CPU; a GPU does the same):
#   mse_loss 4000000
#   smooth_l1_loss 4000000
#   soft_margin_loss 4000000
#   l1_loss 4
#   huber_loss 4
#   binary_cross_entropy_with_logits 4
#   mse_loss detached 4000000
#   mse_loss cloned 4
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'torch==2.15.0' numpy
seen=$("$folder/venv/bin/python" - <<'PY'
import torch
import torch.nn.functional as F

x, target = torch.rand(1000, 1000), torch.rand(1000, 1000)


def held(loss):
    assert loss.shape == ()
    return loss.untyped_storage().nbytes()


for name in ("mse_loss", "smooth_l1_loss", "soft_margin_loss", "l1_loss", "huber_loss", "binary_cross_entropy_with_logits"):
    print(name, held(getattr(F, name)(x, target)))
print("mse_loss detached", held(F.mse_loss(x, target).detach()))
print("mse_loss cloned", held(F.mse_loss(x, target).clone()))
PY
)
printf '%s\n' "$seen"
expected='mse_loss 4000000
smooth_l1_loss 4000000
soft_margin_loss 4000000
l1_loss 4
huber_loss 4
binary_cross_entropy_with_logits 4
mse_loss detached 4000000
mse_loss cloned 4'
[ "$seen" = "$expected" ] || { echo "the behaviour has changed" >&2; exit 1; }
