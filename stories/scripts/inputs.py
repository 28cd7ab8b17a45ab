"""Writes what stands in for downloads: the config.json of public models, without weights, and pictures of noise.

The numbers are those of the models' own config files.
"""
import argparse
import json
import os

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 128000,
    "eos_token_id": 128001,
    "hidden_act": "silu",
    "initializer_range": 0.02,
    "max_position_embeddings": 8192,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-05,
    "rope_theta": 500000.0,
    "tie_word_embeddings": False,
    "dtype": "bfloat16",
    "vocab_size": 128256,
}

BERT = {
    "architectures": ["BertForMaskedLM"],
    "model_type": "bert",
    "attention_probs_dropout_prob": 0.1,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 768,
    "initializer_range": 0.02,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "pad_token_id": 0,
    "type_vocab_size": 2,
    "vocab_size": 28996,
}

CLIP_TEXT = {
    "architectures": ["CLIPTextModel"],
    "model_type": "clip_text_model",
    "attention_dropout": 0.0,
    "hidden_act": "quick_gelu",
    "hidden_size": 768,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-05,
    "max_position_embeddings": 77,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "projection_dim": 768,
    "vocab_size": 49408,
}

UNET = {
    "_class_name": "UNet2DConditionModel",
    "act_fn": "silu",
    "attention_head_dim": 8,
    "block_out_channels": [320, 640, 1280, 1280],
    "center_input_sample": False,
    "cross_attention_dim": 768,
    "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
    "downsample_padding": 1,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "in_channels": 4,
    "layers_per_block": 2,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-05,
    "norm_num_groups": 32,
    "out_channels": 4,
    "sample_size": 64,
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
}

VAE = {
    "_class_name": "AutoencoderKL",
    "act_fn": "silu",
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "in_channels": 3,
    "latent_channels": 4,
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "out_channels": 3,
    "sample_size": 512,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
}

SCHEDULER = {
    "_class_name": "PNDMScheduler",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
}

PIPELINE = {
    "_class_name": "StableDiffusionPipeline",
    "scheduler": ["diffusers", "PNDMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}

CONFIGS = {
    "Meta-Llama-3-8B/config.json": LLAMA
    | {"hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32, "num_hidden_layers": 32},
    "Meta-Llama-3-70B/config.json": LLAMA
    | {"hidden_size": 8192, "intermediate_size": 28672, "num_attention_heads": 64, "num_hidden_layers": 80},
    "Llama-3.2-1B/config.json": LLAMA
    | {
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_attention_heads": 32,
        "num_hidden_layers": 16,
        "head_dim": 64,
        "max_position_embeddings": 131072,
        "tie_word_embeddings": True,
    },
    "SmolLM2-135M/config.json": LLAMA
    | {
        "bos_token_id": 0,
        "eos_token_id": 0,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_attention_heads": 9,
        "num_hidden_layers": 30,
        "num_key_value_heads": 3,
        "rope_theta": 100000,
        "tie_word_embeddings": True,
        "vocab_size": 49152,
    },
    "bert-base-cased/config.json": BERT,
    "stable-diffusion-v1-5/model_index.json": PIPELINE,
    "stable-diffusion-v1-5/text_encoder/config.json": CLIP_TEXT,
    "stable-diffusion-v1-5/unet/config.json": UNET,
    "stable-diffusion-v1-5/vae/config.json": VAE,
    "stable-diffusion-v1-5/scheduler/scheduler_config.json": SCHEDULER,
}


def main(folder):
    for name, config in CONFIGS.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            json.dump(config, file, indent=2)
    words(folder)
    tokenizer(os.path.join(folder, "tokenizer"))
    pictures(folder)


def words(folder):
    """Lightning's WikiText2 looks for its text here before it asks the network."""
    os.makedirs(os.path.join(folder, "data"), exist_ok=True)
    with open(os.path.join(folder, "data", "wikitext-2.txt"), "w") as file:
        for line in range(4000):
            file.write(" ".join(f"word{line * 7919 * place % 5003}" for place in range(60)) + "\n")


def tokenizer(folder):
    """A tokenizer of bytes, as tokenizer.json."""
    try:
        from tokenizers import Tokenizer, models, pre_tokenizers
    except ImportError:
        return
    special = ["<|begin_of_text|>", "<|end_of_text|>", "<unk>"]
    known = special + sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({word: number for number, word in enumerate(known)}, [], unk_token="<unk>"))
    made.add_special_tokens(special)
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    os.makedirs(folder, exist_ok=True)
    made.save(os.path.join(folder, "tokenizer.json"))
    with open(os.path.join(folder, "tokenizer_config.json"), "w") as file:
        json.dump({"bos_token": special[0], "eos_token": special[1], "unk_token": special[2]}, file)


def pictures(folder):
    """As accelerate's pets (the breed in the name), and as a folder for each class."""
    try:
        import numpy
        from PIL import Image
    except ImportError:
        return
    numbers = numpy.random.default_rng(0)
    for breed in ("beagle", "pug"):
        for number in range(1, 161):
            picture = Image.fromarray(numbers.integers(0, 256, (64, 64, 3), dtype=numpy.uint8))
            for place in (f"pets/{breed}_{number}.jpg", f"classes/train/{breed}/{number}.jpg", f"classes/val/{breed}/{number}.jpg"):
                path = os.path.join(folder, place)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                picture.save(path)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description="Writes the inputs of the stories.")
    arguments.add_argument("folder", help="where to; made where it is not there")
    main(arguments.parse_args().folder)
