"""transformers' Trainer: a model from its config.json, bf16, gradients accumulated, activations recomputed.

`transformers_trainer.py MODEL [--padded]`: rows of one length, or of many that are padded to the longest of their batch.
"""
import sys

import torch
from transformers import AutoConfig, AutoModelForCausalLM, Trainer, TrainingArguments

LENGTH = 1024


def row(length):
    tokens = torch.ones(length, dtype=torch.long)
    return {"input_ids": tokens, "labels": tokens}


def padded(rows):
    """A batch as tokenizers make it: with an attention mask."""
    longest = max(len(row["input_ids"]) for row in rows)
    missing = [longest - len(row["input_ids"]) for row in rows]

    def column(name, filler):
        parts = [torch.nn.functional.pad(row[name], (0, short), value=filler) for row, short in zip(rows, missing)]
        return torch.stack(parts)

    mask = torch.stack([torch.arange(longest) < longest - short for short in missing]).long()
    return {"input_ids": column("input_ids", 0), "labels": column("labels", -100), "attention_mask": mask}


is_padded = "--padded" in sys.argv
model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(sys.argv[1]), dtype=torch.float32)
rows = [row(LENGTH - 64 * (number % 4) if is_padded else LENGTH) for number in range(256)]
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
    train_sampling_strategy="sequential",
)
Trainer(model=model, args=arguments, train_dataset=rows, data_collator=padded if is_padded else None).train()
