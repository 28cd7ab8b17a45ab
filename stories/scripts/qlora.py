"""QLoRA: weights in 4 bits (bitsandbytes), LoRA beside them, a paged 8-bit optimizer."""
import sys

import torch
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, Trainer, TrainingArguments

four_bits = BitsAndBytesConfig(
    load_in_4bit=True,
    bnb_4bit_quant_type="nf4",
    bnb_4bit_compute_dtype=torch.bfloat16,
    bnb_4bit_use_double_quant=True,
)
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], quantization_config=four_bits, device_map={"": 0})
model = prepare_model_for_kbit_training(model)
model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"))
rows = [{"input_ids": torch.ones(1024, dtype=torch.long), "labels": torch.ones(1024, dtype=torch.long)}] * 64
arguments = TrainingArguments(
    output_dir="qlora-out",
    per_device_train_batch_size=1,
    gradient_checkpointing=True,
    bf16=True,
    optim="paged_adamw_8bit",
    report_to=[],
    save_strategy="no",
)
Trainer(model=model, args=arguments, train_dataset=rows).train()
