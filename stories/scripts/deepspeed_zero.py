"""DeepSpeed's engine: `deepspeed_zero.py MODEL STAGE`."""
import sys

import deepspeed
import torch
from transformers import AutoConfig, AutoModelForCausalLM

stage = int(sys.argv[2])
settings = {
    "train_micro_batch_size_per_gpu": 1,
    "gradient_clipping": 1.0,
    "bf16": {"enabled": True},
    "zero_optimization": {"stage": stage, "overlap_comm": True},
    "optimizer": {"type": "AdamW", "params": {"lr": 1e-5, "torch_adam": True}},
}
config = AutoConfig.from_pretrained(sys.argv[1])
deepspeed.init_distributed("nccl")
with deepspeed.zero.Init(config_dict_or_path=settings, enabled=stage == 3):
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
engine, *_ = deepspeed.initialize(model=model, model_parameters=model.parameters(), config=settings)
for step in range(10):
    tokens = torch.zeros(1, 2048, dtype=torch.long, device=engine.device)
    loss = engine(input_ids=tokens, labels=tokens, use_cache=False).loss
    engine.backward(loss)
    engine.step()
    print(f"step {step}: loss {loss.item():.3f}", flush=True)
