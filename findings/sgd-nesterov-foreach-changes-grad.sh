#!/usr/bin/env bash
# torch 2.15.0: torch.optim.SGD with nesterov changes the parameters' .grad in its foreach implementation, and leaves it
# alone in its for-loop one. foreach is the default for parameters on a GPU, the loop for parameters on a CPU: whoever reads
# gradients after step() (a log of gradient norms, accumulation over several steps without zero_grad) sees other numbers on
# the two, although the parameters agree. A weight decay hides it, because the momentum then goes into a copy.
#
# Seen (torch 2.15.0, parameters on the CPU):
#   foreach=False grad after step [1.0, 1.0]
#   foreach=True grad after step [1.9, 1.9]
#   foreach=True with weight_decay, grad after step [1.0, 1.0]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'torch==2.15.0' numpy
seen=$("$folder/venv/bin/python" - <<'PY'
import torch


def grad_after_step(foreach, weight_decay=0.0):
    parameter = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD(
        [parameter], lr=0.1, momentum=0.9, nesterov=True, weight_decay=weight_decay, foreach=foreach
    )
    parameter.grad = torch.ones(2)
    optimizer.step()
    return [round(value, 3) for value in parameter.grad.tolist()]


print("foreach=False grad after step", grad_after_step(False))
print("foreach=True grad after step", grad_after_step(True))
print("foreach=True with weight_decay, grad after step", grad_after_step(True, 0.01))
PY
)
printf '%s\n' "$seen"
expected='foreach=False grad after step [1.0, 1.0]
foreach=True grad after step [1.9, 1.9]
foreach=True with weight_decay, grad after step [1.0, 1.0]'
[ "$seen" = "$expected" ] || { echo "the behaviour has changed" >&2; exit 1; }
