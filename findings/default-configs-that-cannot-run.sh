#!/usr/bin/env bash
# transformers 5.23.0: the configs of three model types, made by their own classes with nothing but fewer layers and a smaller
# vocabulary, make a model that cannot be built or called. A field that is None by default reaches the arithmetic: Ministral's
# head_dim, DeepSeek-V2's num_experts_per_tok (beside 64 routed experts by default), dots.llm1's n_routed_experts. Tools that make
# a small model of every type from its defaults (tests, exporters, calculators of memory) meet a TypeError far from its cause,
# while the same lines work for Mistral and Qwen2-MoE.
#
# Seen (torch 2.15.0, transformers 5.23.0, on the CPU):
#   mistral: (1, 4, 64)
#   ministral: TypeError: unsupported operand type(s) for ** or pow(): 'NoneType' and 'float'
#   qwen2_moe: (1, 4, 64)
#   deepseek_v2: TypeError: topk(): argument 'k' must be int, not NoneType
#   dots1: TypeError: empty() takes 1 positional argument but 3 were given
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'torch==2.15.0' 'transformers==5.23.0' numpy
seen=$("$folder/venv/bin/python" - 2>"$folder/log" <<'PY'
import torch
from transformers import AutoConfig, AutoModelForCausalLM

for name in ("mistral", "ministral", "qwen2_moe", "deepseek_v2", "dots1"):
    config = AutoConfig.for_model(name, num_hidden_layers=1, vocab_size=64, pad_token_id=0, bos_token_id=1, eos_token_id=2)
    try:
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).eval()
        with torch.no_grad():
            print(f"{name}: {tuple(model(torch.zeros(1, 4, dtype=torch.long)).logits.shape)}")
    except TypeError as error:
        print(f"{name}: TypeError: {str(error).splitlines()[0]}")
PY
)
printf '%s\n' "$seen"
expected="mistral: (1, 4, 64)
ministral: TypeError: unsupported operand type(s) for ** or pow(): 'NoneType' and 'float'
qwen2_moe: (1, 4, 64)
deepseek_v2: TypeError: topk(): argument 'k' must be int, not NoneType
dots1: TypeError: empty() takes 1 positional argument but 3 were given"
[ "$seen" = "$expected" ] || { cat "$folder/log" >&2; echo "the behaviour has changed" >&2; exit 1; }
