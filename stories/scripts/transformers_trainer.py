"""transformers' Trainer: a model from its config.json, bf16, gradients accumulated, activations recomputed."""
import sys

import torch
from transformers import AutoConfig, AutoModelForCausalLM, Trainer, TrainingArguments

model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(sys.argv[1]), dtype=torch.float32)
rows = [{"input_ids": torch.ones(1024, dtype=torch.long), "labels": torch.ones(1024, dtype=torch.long)}] * 256
arguments = TrainingArguments(
    output_dir="trainer-out",
    per_device_train_batch_size=4,
    gradient_accumulation_steps=2,
    gradient_checkpointing=True,
    bf16=True,
    max_grad_norm=1.0,
    logging_steps=1,
    report_to=[],
    save_strategy="no",
)
Trainer(model=model, args=arguments, train_dataset=rows).train()
