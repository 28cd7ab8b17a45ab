#!/usr/bin/env bash
# transformers 5.23.0: a generation with cache_implementation="static" under torch.autocast fails where the weights are fp32
# and the model has rotary embeddings. The rotation makes fp32 keys of autocast's half-precision ones, the values stay in half
# precision, and the static cache takes the keys' dtype for both. The dynamic cache takes each as it is. bf16 weights under
# bf16 autocast work, and so does GPT-2, which rotates nothing.
#
# Seen (torch 2.15.0, transformers 5.23.0, on the CPU):
#   Llama, fp32 weights, dynamic cache, autocast: (1, 10)
#   Llama, fp32 weights, static cache, no autocast: (1, 10)
#   Llama, fp32 weights, static cache, autocast: index_copy_(): self and source expected to have the same dtype, but got (self) Float and (source) BFloat16
#   Llama, bf16 weights, static cache, autocast: (1, 10)
#   GPT-2, fp32 weights, static cache, autocast: (1, 10)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'torch==2.15.0' 'transformers==5.23.0' numpy
seen=$("$folder/venv/bin/python" - <<'PY'
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

torch.manual_seed(0)
sizes = {"vocab_size": 300, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2}
llama = LlamaForCausalLM(LlamaConfig(num_attention_heads=4, num_key_value_heads=2, **sizes)).eval()
gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=300, n_embd=64, n_layer=2, n_head=4)).eval()
prompt = torch.arange(8)[None]


def generation(model, cache, autocast):
    try:
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            tokens = model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                cache_implementation=cache,
                min_new_tokens=2,
                max_new_tokens=2,
                do_sample=False,
                pad_token_id=0,
            )
        return tuple(tokens.shape)
    except RuntimeError as error:
        return error


print("Llama, fp32 weights, dynamic cache, autocast:", generation(llama, "dynamic", True))
print("Llama, fp32 weights, static cache, no autocast:", generation(llama, "static", False))
print("Llama, fp32 weights, static cache, autocast:", generation(llama, "static", True))
print("Llama, bf16 weights, static cache, autocast:", generation(llama.bfloat16(), "static", True))
print("GPT-2, fp32 weights, static cache, autocast:", generation(gpt2, "static", True))
PY
)
printf '%s\n' "$seen"
expected='Llama, fp32 weights, dynamic cache, autocast: (1, 10)
Llama, fp32 weights, static cache, no autocast: (1, 10)
Llama, fp32 weights, static cache, autocast: index_copy_(): self and source expected to have the same dtype, but got (self) Float and (source) BFloat16
Llama, bf16 weights, static cache, autocast: (1, 10)
GPT-2, fp32 weights, static cache, autocast: (1, 10)'
[ "$seen" = "$expected" ] || { echo "the behaviour has changed" >&2; exit 1; }
