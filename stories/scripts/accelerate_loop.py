"""A loop prepared by accelerate: `accelerate launch` sets the number of processes and the precision."""
import sys

import torch
from accelerate import Accelerator
from transformers import AutoConfig, AutoModelForCausalLM

accelerator = Accelerator(gradient_accumulation_steps=2)
model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(sys.argv[1]), dtype=torch.float32)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
rows = torch.utils.data.DataLoader(torch.zeros(64, 512, dtype=torch.long), batch_size=2)
model, optimizer, rows = accelerator.prepare(model, optimizer, rows)
for tokens in rows:
    with accelerator.accumulate(model):
        loss = model(input_ids=tokens, labels=tokens, use_cache=False).loss
        accelerator.backward(loss)
        if accelerator.sync_gradients:
            accelerator.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    accelerator.print(f"loss {accelerator.gather(loss).mean().item():.3f}")
