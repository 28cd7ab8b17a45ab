"""DeepSpeed's engine: `deepspeed_zero.py MODEL STAGE [--offload]`. Its launcher adds `--local_rank`."""
import argparse

import deepspeed
import torch
from transformers import AutoConfig, AutoModelForCausalLM

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("stage", type=int)
parser.add_argument("--offload", action="store_true", help="the optimizer on the CPU")
parser.add_argument("--local_rank", type=int)
arguments = parser.parse_args()

zero = {"stage": arguments.stage, "overlap_comm": True}
if arguments.offload:
    zero["offload_optimizer"] = {"device": "cpu", "pin_memory": True}
settings = {
    "train_micro_batch_size_per_gpu": 1,
    "gradient_clipping": 1.0,
    "bf16": {"enabled": True},
    "zero_optimization": zero,
    "optimizer": {"type": "AdamW", "params": {"lr": 1e-5}},
}
config = AutoConfig.from_pretrained(arguments.model)
deepspeed.init_distributed("nccl")
with deepspeed.zero.Init(config_dict_or_path=settings, enabled=arguments.stage == 3):
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
model.gradient_checkpointing_enable()
engine, *_ = deepspeed.initialize(model=model, model_parameters=model.parameters(), config=settings)
for step in range(10):
    tokens = torch.zeros(1, 2048, dtype=torch.long, device=engine.device)
    loss = engine(input_ids=tokens, labels=tokens, use_cache=False).loss
    engine.backward(loss)
    engine.step()
    print(f"step {step}: loss {loss.item():.3f}", flush=True)
