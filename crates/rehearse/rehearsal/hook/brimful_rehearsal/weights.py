"""Makes missing checkpoints: a file with the names and shapes of their tensors, and with zeros in it.

The libraries load it as they load any checkpoint, so that casts, device maps and quantisation do what they do. The file
is sparse: its zeros take no space on the disk.
"""

import copy
import functools
import json
import os
import struct
import sys

from . import imports

# The names of torch's dtypes in a safetensors file.
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


def attach(torch, record):
    """Watches the functions that look for checkpoints and tokenizers."""
    folder = os.path.join(os.path.dirname(record.settings.folder), "cache")
    imports.after("transformers.modeling_utils", lambda module: replace_transformers(torch, record, folder, module))
    imports.after("diffusers.models.modeling_utils", lambda module: replace_diffusers(torch, record, folder, module))
    imports.after("transformers.tokenization_utils_base", lambda module: replace_tokenizers(record, module))


def replace_transformers(torch, record, folder, module):
    """Transformers looks for a checkpoint in one function, which returns its files and their index."""
    name = "_get_resolved_checkpoint_files"
    find = getattr(module, name, None)
    if find is None:
        record.note("this transformers cannot be given dummy weights: expected 4.50 or later")
        return

    def make(model, config):
        return [write_checkpoint(torch, folder, model, config, getattr(config, "dtype", None))], None

    setattr(module, name, find_or_make(record, find, make))


def replace_diffusers(torch, record, folder, module):
    """Diffusers looks for a checkpoint in one function, which returns its file."""

    def make(model, config):
        return write_checkpoint(torch, folder, model.from_config, config, None)

    module._get_model_file = find_or_make(record, module._get_model_file, make)


def find_or_make(record, find, make):
    """A function that finds a checkpoint as `find` does, else makes one for the model and the config of its caller."""

    @functools.wraps(find)
    def found(*args, **kwargs):
        try:
            return find(*args, **kwargs)
        except OSError:
            # Neither library passes the model to this function: the method that calls it has it as `cls`.
            caller = sys._getframe(1).f_locals
            model, config = caller.get("cls"), caller.get("config")
            if model is None or config is None:
                raise
            checkpoint = make(model, config)
            record.note(f"dummy weights: {model.__name__} has no checkpoint here; it is built from its config.json")
            return checkpoint

    return found


def write_checkpoint(torch, folder, build, config, dtype):
    """Writes a safetensors file for a model of this config; returns its path. `dtype` is that of its floats, or `None`
    for the model's own.
    """
    if isinstance(dtype, str):
        dtype = getattr(torch, dtype, None)
    with torch.device("meta"):
        model = build(copy.deepcopy(config))
    header, offset, seen = {"__metadata__": {"format": "pt"}}, 0, set()
    for name, tensor in model.state_dict(keep_vars=True).items():
        # A checkpoint holds tied weights once.
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        stored = dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype
        size = tensor.numel() * torch.empty(0, dtype=stored).element_size()
        header[name] = {
            "dtype": DTYPES[str(stored).replace("torch.", "")],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + size],
        }
        offset += size
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, f"weights-{os.getpid()}-{len(os.listdir(folder))}.safetensors")
    # The format: the header's length in eight bytes, the header, padded to eight bytes, and the data.
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + offset)
    return path


def replace_tokenizers(record, module):
    """Loads a stand-in if the model's own tokenizer is missing."""
    base = module.PreTrainedTokenizerBase
    load = base.from_pretrained.__func__

    @functools.wraps(load)
    def from_pretrained(cls, name, *args, **kwargs):
        subfolder = kwargs.get("subfolder") or ""
        try:
            # Some libraries make an empty tokenizer of a folder that has none.
            if lacks_tokenizer(str(name), subfolder):
                raise FileNotFoundError(name)
            return load(cls, name, *args, **kwargs)
        except (OSError, ValueError) as error:
            tokenizer = made_up_tokenizer(name, longest_input(str(name), subfolder))
            if tokenizer is None:
                raise error
            record.note(
                f"dummy weights: {name} has no tokenizer here; a stand-in gives one token for about four bytes, "
                "so that lengths, and so the peak, are made up"
            )
            return tokenizer

    base.from_pretrained = classmethod(from_pretrained)


def lacks_tokenizer(name, subfolder):
    """Whether the name is that of a folder in which no file is a tokenizer's."""
    folder = os.path.join(name, subfolder)
    if not os.path.isdir(name):
        return False
    files = os.listdir(folder) if os.path.isdir(folder) else []
    return not any(part in file for file in files for part in ("token", "vocab", "merges", "spiece", ".model", "bpe"))


def longest_input(name, subfolder):
    """How many tokens the model takes at most, by its config.json: scripts pad up to the tokenizer's limit."""
    for folder in (subfolder, subfolder.replace("tokenizer", "text_encoder")):
        config = f"{name}/{folder}/config.json"
        if os.path.exists(config):
            with open(config) as file:
                return json.load(file).get("max_position_embeddings")
    return None


def made_up_tokenizer(name, longest):
    """A tokenizer with a token for about four bytes of text; `None` if the libraries for it are missing."""
    try:
        from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
        from transformers import PreTrainedTokenizerFast
    except ImportError:
        return None
    special = ["<pad>", "<s>", "</s>", "<unk>"]
    words = special + sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({word: number for number, word in enumerate(words)}, [], unk_token="<unk>"))
    # The vocabulary is that of bytes, which fits every model. One letter stands for up to five of a word, and spaces
    # belong to their word: English text has one token for about four bytes.
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex(r"(?:[ \t]+\S|\S)\K\S{1,4}"), ""),
            normalizers.Replace(Regex(r"[ \t]+(?=\S)"), ""),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    template = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        chat_template=template,
        **({"model_max_length": longest} if longest else {}),
        name_or_path=str(name),
    )
