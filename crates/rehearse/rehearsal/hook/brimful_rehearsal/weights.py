"""Checkpoints that are not there: a file with their tensors' names and shapes, and with nothing in it.

The libraries load it as they load any checkpoint, so that casts, device maps and quantisation do what they do. Its zeros
are a hole in the file: they take no space on the disk.
"""
import copy
import json
import os
import struct
import sys

from . import imports

DTYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}


def attach(torch, here):
    folder = os.path.join(os.path.dirname(here.folder), "cache")
    imports.after("transformers.modeling_utils", lambda module: transformers(torch, here, folder, module))
    imports.after("diffusers.models.modeling_utils", lambda module: diffusers(torch, here, folder, module))
    imports.after("transformers.tokenization_utils_base", lambda module: tokenizers(here, module))


def transformers(torch, here, folder, module):
    name = "_get_resolved_checkpoint_files"
    find = getattr(module, name, None)
    if find is None:
        here.note("this transformers cannot be given dummy weights: expected 4.50 or later")
        return

    def made(model, config):
        return [dummy(torch, folder, model, config, getattr(config, "dtype", None))], None

    setattr(module, name, or_made(here, find, made))


def diffusers(torch, here, folder, module):
    def made(model, config):
        return dummy(torch, folder, model.from_config, config, None)

    module._get_model_file = or_made(here, module._get_model_file, made)


def or_made(here, find, made):
    """What finds a checkpoint, or makes one for the model and the config that its caller has at hand."""

    def found(*place, **named):
        try:
            return find(*place, **named)
        except OSError:
            caller = sys._getframe(1).f_locals
            model, config = caller.get("cls"), caller.get("config")
            if model is None or config is None:
                raise
            made_up = made(model, config)
            here.note(f"dummy weights: {model.__name__} has no checkpoint here; it is built from its config.json")
            return made_up

    return found


def dummy(torch, folder, build, config, dtype):
    """A safetensors file for a model of this config."""
    if isinstance(dtype, str):
        dtype = getattr(torch, dtype, None)
    with torch.device("meta"):
        model = build(copy.deepcopy(config))
    header, offset, seen = {"__metadata__": {"format": "pt"}}, 0, set()
    for name, tensor in model.state_dict(keep_vars=True).items():
        # Tied weights are in a checkpoint once.
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        kind = dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype
        size = tensor.numel() * torch.empty(0, dtype=kind).element_size()
        header[name] = {
            "dtype": DTYPES[str(kind).replace("torch.", "")],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + size],
        }
        offset += size
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, f"weights-{os.getpid()}-{len(os.listdir(folder))}.safetensors")
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + offset)
    return path


def tokenizers(here, module):
    """A tokenizer of bytes, where the model's own is not there."""
    base = module.PreTrainedTokenizerBase
    load = base.from_pretrained.__func__

    def from_pretrained(cls, name, *place, **named):
        try:
            # Some libraries make an empty tokenizer of a folder that has none.
            if has_none(str(name), named.get("subfolder") or ""):
                raise FileNotFoundError(name)
            return load(cls, name, *place, **named)
        except (OSError, ValueError) as error:
            made = of_bytes(name, longest(str(name), named.get("subfolder") or ""))
            if made is None:
                raise error
            here.note(f"dummy weights: {name} has no tokenizer here; text becomes its bytes")
            return made

    base.from_pretrained = classmethod(from_pretrained)


def has_none(name, subfolder):
    """Whether it is a folder, and no file in it is a tokenizer's."""
    folder = os.path.join(name, subfolder)
    if not os.path.isdir(name):
        return False
    files = os.listdir(folder) if os.path.isdir(folder) else []
    return not any(part in file for file in files for part in ("token", "vocab", "merges", "spiece", ".model", "bpe"))


def longest(name, subfolder):
    """Tokens that its model takes at most: scripts pad up to what a tokenizer says of it."""
    for config in (f"{name}/{subfolder}/config.json", f"{name}/{subfolder.replace('tokenizer', 'text_encoder')}/config.json"):
        if os.path.exists(config):
            with open(config) as file:
                return json.load(file).get("max_position_embeddings")
    return None


def of_bytes(name, longest):
    try:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers
        from transformers import PreTrainedTokenizerFast
    except ImportError:
        return None
    special = ["<pad>", "<s>", "</s>", "<unk>"]
    words = special + sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({word: number for number, word in enumerate(words)}, [], unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    template = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        chat_template=template,
        **({"model_max_length": longest} if longest else {}),
        name_or_path=str(name),
    )
