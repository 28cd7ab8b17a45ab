"""Llama-3-8B in bf16, built on the GPU, two steps of AdamW: what the cost of a rehearsal is measured with."""
import sys

import torch
from transformers import AutoConfig, AutoModelForCausalLM

with torch.device("cuda"):
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(sys.argv[1]), dtype=torch.bfloat16)
model.gradient_checkpointing_enable()
model.train()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
for step in range(2):
    tokens = torch.zeros(1, 2048, dtype=torch.long, device="cuda")
    loss = model(input_ids=tokens, labels=tokens, use_cache=False).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
