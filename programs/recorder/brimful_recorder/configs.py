"""Small configs to record with: numbers that remember their keys, and a log of the other values that were read."""

import sys
from contextlib import contextmanager

from transformers import AutoConfig, PretrainedConfig

from .symbols import GUARDS, Integer, Number, Text

# Sizes of three recordings: heads, heads of keys, width of a head, width of an MLP, words, layers, batch, tokens, and
# of an image its channels, its side and that of its patches.
# No two sizes of one recording are equal, so that a size that lost its origin shows. Heads are powers of two, of which
# ALiBi makes other slopes than of other numbers, and a quarter of a head's width is even, since some models rotate only
# that.
RECORDINGS = [
    dict(
        heads=4,
        groups=2,
        head_dim=24,
        wide=112,
        words=136,
        layers=4,
        batch=3,
        tokens=17,
        positions=64,
        odd=0,
        dense=2,
        channels=5,
        patch=6,
        image=42,
    ),
    dict(
        heads=8,
        groups=4,
        head_dim=32,
        wide=144,
        words=152,
        layers=5,
        batch=2,
        tokens=23,
        positions=72,
        odd=4,
        dense=2,
        channels=3,
        patch=9,
        image=45,
    ),
    dict(
        heads=8,
        groups=2,
        head_dim=40,
        wide=184,
        words=200,
        layers=4,
        batch=5,
        tokens=11,
        positions=88,
        odd=8,
        dense=3,
        channels=6,
        patch=7,
        image=56,
    ),
]

IGNORED = {
    "_attn_implementation", "_attn_implementation_internal", "_experts_implementation",
    "_experts_implementation_internal", "use_cache", "return_dict", "output_attentions", "output_hidden_states",
    "dtype", "_output_attentions", "model_type", "torchscript", "is_encoder_decoder", "_name_or_path", "name_or_path",
    "architectures", "attribute_map", "transformers_version", "_commit_hash", "id2label", "label2id", "problem_type",
    "tie_word_embeddings", "chunk_size_feed_forward", "gradient_checkpointing", "loss_type", "num_labels",
    "quantization_config", "sub_configs", "is_causal", "initializer_range", "use_return_dict", "pretraining_tp",
    "base_model_tp_plan", "base_model_pp_plan", "is_decoder", "add_cross_attention", "default_theta",
}  # fmt: skip


def small(model_type, sizes, **settings):
    """The class's config with the sizes of a recording, and with settings of the caller's."""
    config = AutoConfig.for_model(model_type)
    heads, head_dim, odd = sizes["heads"], sizes["head_dim"], sizes["odd"]
    # Latent attention has as many heads of keys as heads, and rotates a part of each that has a width of its own.
    latent = hasattr(config, "qk_rope_head_dim")
    if latent:
        sizes = sizes | {"groups": heads}
    known = dict(
        hidden_size=heads * head_dim, num_hidden_layers=sizes["layers"], num_attention_heads=heads,
        num_key_value_heads=sizes["groups"], intermediate_size=sizes["wide"], vocab_size=sizes["words"],
        head_dim=head_dim, max_position_embeddings=sizes["positions"], sliding_window=sizes["tokens"] + 9,
        num_experts=12, num_local_experts=12, num_experts_per_tok=2, moe_intermediate_size=48,
        shared_expert_intermediate_size=56, pad_token_id=None, n_inner=None, ffn_dim=sizes["wide"],
        word_embed_proj_dim=heads * head_dim, bos_token_id=1, eos_token_id=2,
        qk_rope_head_dim=10 + odd, qk_nope_head_dim=18 + odd, v_head_dim=30 + odd, kv_lora_rank=42 + odd,
        q_lora_rank=54 + odd, n_group=3, topk_group=2,
        first_k_dense_replace=sizes["dense"], num_dense_layers=sizes["dense"],
        rotary_dim=12 + odd, num_kv_heads=sizes["groups"], ffn_hidden_size=sizes["wide"],
        attention_chunk_size=sizes["tokens"] + 9, intermediate_size_mlp=sizes["wide"] + 6, interleave_moe_layer_step=2,
        linear_key_head_dim=20 + odd, linear_value_head_dim=28 + odd, linear_num_key_heads=2, linear_num_value_heads=4,
        n_shared_experts=2, num_expert_group=3, index_topk=4, index_head_dim=22 + odd, index_n_heads=2,
        decoder_layers=sizes["layers"], decoder_attention_heads=heads, decoder_ffn_dim=sizes["wide"],
        d_ff=sizes["wide"], num_decoder_layers=sizes["layers"] + 1, relative_attention_num_buckets=14,
        relative_attention_max_distance=50, decoder_start_token_id=1,
        encoder_attention_heads=heads, encoder_ffn_dim=sizes["wide"] + 6,
        moe_layer_start_index=sizes["dense"], moe_layer_end_index=sizes["layers"] - 1, num_ln_in_parallel_attn=None,
        num_mel_bins=sizes["wide"] - 30, max_source_positions=sizes["positions"] + 2,
        max_target_positions=sizes["positions"],
        num_channels=sizes["channels"], patch_size=sizes["patch"], image_size=sizes["image"],
        expert_layer_period=2, expert_layer_offset=1, attn_layer_period=2, attn_layer_offset=1,
    )  # fmt: skip
    if hasattr(config, "encoder_layers"):
        # The decoder of a model that has an encoder as well, of another length.
        known["encoder_layers"] = known.pop("num_hidden_layers") + 1
    if latent:
        known["head_dim"] = known["qk_rope_head_dim"]
    known |= settings
    if nested := _nested_configs(config):
        return _several(config, nested, sizes, settings)
    present = {}

    def has(key):
        return hasattr(config, key) or (key == _START and is_encoder_decoder(config))

    for key, value in known.items():
        if (has(key) or key in settings) and not (value is None and key not in settings):
            present[key] = value
    if getattr(config, "pad_token_id", None) is not None:
        present["pad_token_id"] = 0
    present |= settings
    if chooses_windows(config) and "layer_types" not in settings:
        present |= {"use_sliding_window": True, "sliding_window": sizes["tokens"] + 9, "max_window_layers": 0}
        present["layer_types"] = ["sliding_attention", "full_attention"]
    if "layer_types" in present:
        types = present["layer_types"]
        present["layer_types"] = [types[index % len(types)] for index in range(sizes["layers"])]
    spread = len(set(present.get("layer_types", [""])))
    for key, value in vars(config).items():
        if key not in present and kinds_of_layers(config, value):
            kinds = list(dict.fromkeys(value))
            present[key] = [kinds[index // spread % len(kinds)] for index in range(sizes["layers"])]
            # Where two lists say kinds, every pair of them occurs.
            spread *= len(kinds)
    windows = "sliding_window" in settings or present.get("use_sliding_window")
    if getattr(config, "sliding_window", None) is None and not windows:
        present.pop("sliding_window", None)
    try:
        # Models ask for this key with a default of their own, so that it must be there to be seen.
        return type(config)(**{"head_dim": head_dim, **present})
    except Exception:  # noqa: BLE001 - some classes compute it themselves
        return type(config)(**{key: value for key, value in present.items() if key != "head_dim"})


def _nested_configs(config):
    """The configs of a text's and an image's model in a config, by key."""
    keys = ("text_config", "vision_config")
    found = {key: getattr(config, key, None) for key in keys}
    return {key: value for key, value in found.items() if isinstance(value, PretrainedConfig)}


def _several(config, nested, sizes, settings):
    """A config of configs. No size of one of them is a size of another."""
    inner = {}
    for number, (key, value) in enumerate(nested.items()):
        more = dict(
            head_dim=sizes["head_dim"] + 8 * number,
            wide=sizes["wide"] + 6 * number,
            layers=sizes["layers"] + 3 * number,
        )
        own = {name.removeprefix(f"{key}."): item for name, item in settings.items() if name.startswith(f"{key}.")}
        inner[key] = small(value.model_type, sizes | more, **own).to_dict()
    plain = {key: value for key, value in settings.items() if "." not in key}
    return type(config)(**inner, projection_dim=sizes["wide"] + 14, **plain)


# Classes that write a text of their own ask for this key, which some configs have no field for.
_START = "decoder_start_token_id"


def is_encoder_decoder(config):
    """Whether the model has an encoder and a decoder."""
    return getattr(config, "is_encoder_decoder", False)


@contextmanager
def labels_counted():
    """Inside, the number of labels is a symbol: a config counts it, and config.json has it as `id2label`."""
    original = PretrainedConfig.num_labels

    def count(config):
        value = original.fget(config)
        return value if GUARDS.off or value is None else Integer(value, "num_labels")

    PretrainedConfig.num_labels = property(count, original.fset)
    try:
        yield
    finally:
        PretrainedConfig.num_labels = original


def kinds_of_layers(config, value):
    """Whether the value of a key says the kind of each layer."""
    count = getattr(config, "num_hidden_layers", None)
    listed = isinstance(value, list) and len(value) == count
    return listed and (all(isinstance(item, str) for item in value) or {*value} == {0, 1})


def marks(config, index):
    """What the lists of the config that say kinds of layers say of one layer."""
    lists = [value for value in vars(config).values() if kinds_of_layers(config, value)]
    return tuple(str.__str__(one[index]) if isinstance(one[index], str) else int(one[index]) for one in lists)


def chooses_windows(config):
    """Whether a switch says if layers have windows, which none has by default."""
    kinds = getattr(config, "layer_types", None)
    return bool(kinds) and set(kinds) == {"full_attention"} and hasattr(config, "use_sliding_window")


class Listed(list):
    """A list of the config with its key, and the texts that the class's own config has in it."""

    key, words = "", ()

    def __contains__(self, item):
        found = list.__contains__(self, item)
        if sys._getframe(1).f_code.co_filename.endswith("modeling_rope_utils.py"):
            # It asks whether the keys of its own parameters are kinds of layers.
            return found
        GUARDS.check(f'("{item}" in {self.key})' if isinstance(item, str) else f"({item} in {self.key})", found)
        return found

    def __getitem__(self, index):
        GUARDS.read(self.key)
        return list.__getitem__(self, index)

    def __iter__(self):
        GUARDS.read(self.key)
        if model_code(sys._getframe(1)):
            # The model does something for each kind that occurs.
            for word in self.words:
                GUARDS.check(f'("{word}" in {self.key})', list.__contains__(self, word))
        return list.__iter__(self)

    def __deepcopy__(self, memo):
        return self


def symbolised(value, key):
    """The value with its key, as far as it can carry one."""
    if isinstance(value, (bool, Integer, Number, Text)):
        return value
    if isinstance(value, int):
        return Integer(value, key)
    if isinstance(value, float):
        return Number(value, key)
    if isinstance(value, str):
        return Text(value, key)
    if isinstance(value, list):
        made = Listed(value if value and isinstance(value[0], str) else
                      [symbolised(item, f"{key}[{index}]") for index, item in enumerate(value)])  # fmt: skip
        made.key = key
        return made
    if type(value) is dict:
        return {inner: symbolised(item, f"{key}.{inner}") for inner, item in value.items()}
    return value


def symbolise(config, prefix=""):
    """Replaces what a config holds, and the configs in it, by values that carry their keys."""
    for key, value in list(vars(config).items()):
        if isinstance(value, PretrainedConfig):
            symbolise(value, f"{prefix}{key}.")
        elif not key.startswith("_") and key not in IGNORED:
            made = symbolised(value, prefix + key)
            if kinds_of_layers(config, value):
                made.words = usual_kinds(type(config), key)
            object.__setattr__(config, key, made)
    return config


def usual_kinds(cls, key):
    """The texts that a class's own config has in a list of kinds of layers, in alphabetical order."""
    with GUARDS.silent():
        kinds = getattr(cls(), key, None) or []
        return sorted({kind for kind in kinds if isinstance(kind, str)})


def flag_is_worth_a_line(key, value):
    """Whether a value that was read is a switch: no number, and not one that a job sets in its own way."""
    return key not in IGNORED and not key.startswith("_") and (value is None or isinstance(value, bool))


@contextmanager
def reads_logged(log):
    """Inside, `log` gets every switch of a config that a model's own code reads."""
    original = PretrainedConfig.__getattribute__

    def read(self, key):
        value = original(self, key)
        if value is None or isinstance(value, bool):
            note(original, self, key, value)
        return value

    def note(original, config, key, value):
        if key.startswith("_") or GUARDS.off:
            return
        caller = sys._getframe(2).f_code.co_filename
        if "/transformers/" in caller and not _decides(caller):
            return
        key = original(config, "attribute_map").get(key, key)
        if flag_is_worth_a_line(key, value):
            log[key] = value

    PretrainedConfig.__getattribute__ = read
    try:
        yield
    finally:
        PretrainedConfig.__getattribute__ = original


def _decides(path):
    """Whether code of this file shapes what a model does with tensors."""
    parts = ("/models/", "/modeling_rope_utils", "/loss/", "/pytorch_utils", "/integrations/")
    return any(part in path for part in parts) and "/configuration_" not in path


def model_code(frame):
    """Whether a comparison in this frame is the model's own."""
    path = frame.f_code.co_filename
    if "/transformers/" in path:
        return _decides(path)
    if "/torchvision/" in path or "/diffusers/" in path:
        return True
    return not any(part in path for part in ("/torch/", "/brimful_recorder/", "/lib/python"))
