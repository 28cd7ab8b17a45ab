#!/usr/bin/env bash
# torchao 0.18.0: its optimizers with quantized states (AdamW8bit, AdamW4bit, AdamWFp8 and their Adam twins) take
# `amsgrad=True`, make the third state for it, and then raise NotImplementedError in the first step, for every parameter that is
# large enough to be quantized: the step asks for `torch.maximum` of the largest averages, and the tensors that hold quantized
# states implement `lerp` and `copy_`, but not `maximum`. The third state of a parameter below 4096 elements is a plain tensor,
# and so a small test passes.
#
# Seen (torch 2.15.0, torchao 0.18.0, on the CPU, without compilation; with compilation on a GPU it is the same error):
#   AdamW8bit 64 steps
#   AdamW8bit 4096 NotImplementedError aten.maximum
#   AdamW4bit 64 steps
#   AdamW4bit 4096 NotImplementedError aten.maximum
#   AdamWFp8 64 steps
#   AdamWFp8 4096 NotImplementedError aten.maximum
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'torch==2.15.0' 'torchao==0.18.0' numpy
seen=$(TORCHDYNAMO_DISABLE=1 "$folder/venv/bin/python" - 2>/dev/null <<'PY'
import torch
import torchao.optim

for name in ("AdamW8bit", "AdamW4bit", "AdamWFp8"):
    for size in (64, 4096):
        parameter = torch.nn.Parameter(torch.ones(size))
        optimizer = getattr(torchao.optim, name)([parameter], amsgrad=True)
        parameter.grad = torch.ones(size)
        try:
            optimizer.step()
            print(name, size, "steps")
        except NotImplementedError as error:
            print(name, size, "NotImplementedError", "aten.maximum" if "aten.maximum" in str(error) else error)
PY
)
printf '%s\n' "$seen"
expected='AdamW8bit 64 steps
AdamW8bit 4096 NotImplementedError aten.maximum
AdamW4bit 64 steps
AdamW4bit 4096 NotImplementedError aten.maximum
AdamWFp8 64 steps
AdamWFp8 4096 NotImplementedError aten.maximum'
[ "$seen" = "$expected" ]
