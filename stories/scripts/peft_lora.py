"""LoRA with PEFT on a bf16 model, by transformers' Trainer."""
import sys

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.bfloat16, device_map={"": 0})
model.enable_input_require_grads()
model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"))
model.print_trainable_parameters()
rows = [{"input_ids": torch.ones(2048, dtype=torch.long), "labels": torch.ones(2048, dtype=torch.long)}] * 64
arguments = TrainingArguments(
    output_dir="lora-out",
    per_device_train_batch_size=1,
    gradient_checkpointing=True,
    bf16=True,
    report_to=[],
    save_strategy="no",
)
Trainer(model=model, args=arguments, train_dataset=rows).train()
