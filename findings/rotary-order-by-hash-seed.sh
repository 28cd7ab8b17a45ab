#!/usr/bin/env bash
# transformers 5.23.0: models whose layers are of several kinds with rotary embeddings of their own (OLMo 3, Gemma 3) compute
# them in a loop over `set(config.layer_types)`. The order of a set of strings follows Python's random hash seed, so that the
# same script computes, and on a GPU allocates, the tables of full and of sliding attention in one order in one process and in
# the other order in the next. Every rank of a job may differ from its neighbour, an operator trace does not repeat, and which
# free block an allocation takes, and with it the reserved memory of two equal runs, may differ by whole segments.
#
# Seen (torch 2.15.0, transformers 5.23.0, Python 3, on the CPU): over PYTHONHASHSEED 0 to 7 both orders occur, in Olmo3Model
# and in Gemma3TextModel, though config, weights and input are the same; with one seed the order repeats.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'torch==2.15.0' 'transformers==5.23.0' numpy
cat > "$folder/order.py" <<'PY'
import torch
from transformers import AutoConfig, AutoModel

for name in ("olmo3", "gemma3_text"):
    config = AutoConfig.for_model(
        name, num_hidden_layers=2, layer_types=["sliding_attention", "full_attention"], vocab_size=64, pad_token_id=0,
        bos_token_id=1, eos_token_id=2, hidden_size=64, intermediate_size=64, num_attention_heads=2, num_key_value_heads=2,
        head_dim=32,
    )
    model = AutoModel.from_config(config).eval()
    order = []
    original = model.rotary_emb.forward

    def forward(x, position_ids, layer_type=None):
        order.append(layer_type.split("_")[0])
        return original(x, position_ids, layer_type)

    model.rotary_emb.forward = forward
    with torch.no_grad():
        model(torch.zeros(1, 4, dtype=torch.long))
    print(f"{name}: {' then '.join(order)}")
PY
for seed in 0 1 2 3 4 5 6 7 0; do
    PYTHONHASHSEED=$seed "$folder/venv/bin/python" "$folder/order.py" 2>>"$folder/log" > "$folder/seen.$seed.new"
    # The first seed comes twice: with one seed the order is one.
    [ ! -e "$folder/seen.$seed" ] || cmp "$folder/seen.$seed" "$folder/seen.$seed.new" || exit 1
    mv "$folder/seen.$seed.new" "$folder/seen.$seed"
done
seen=$(sort -u "$folder"/seen.?)
printf '%s\n' "$seen"
expected="gemma3_text: full then sliding
gemma3_text: sliding then full
olmo3: full then sliding
olmo3: sliding then full"
[ "$seen" = "$expected" ] || { tail -5 "$folder/log" >&2; echo "the behaviour has changed" >&2; exit 1; }
