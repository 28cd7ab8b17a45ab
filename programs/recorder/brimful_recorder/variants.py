"""Which settings of a config are recorded: its switches one at a time, rotary embeddings, grouped heads or not."""

import re

from transformers import AutoConfig

from . import configs
from .program import File, Recorder, merged
from .tracer import Refusal

_ROPE = {
    "linear": {"factor": 4.0},
    "llama3": {
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32,
    },
    "yarn": {"factor": 4.0, "original_max_position_embeddings": 32},
}


def recorded(model_type, task):
    """The program of a model type for a task."""
    attentions = _attentions(model_type, task)
    recorder, base = _base(model_type, task, attentions)
    usual = {key: value for section in base for key, value in section.reads.items()}
    runs, varied, biases = [({}, base)], {}, {}
    compares_heads = any("num_key_value_heads" in text for section in base for text in section.conditions)
    asks_for_powers = any("log2(" in text for section in base for text in section.conditions)
    if asks_for_powers:
        # ALiBi makes other slopes for a number of heads that is no power of 2.
        runs.append(({}, recorder.changed(recorder.settings(heads_uneven=True), attentions, base)))
    for settings, values in _alternatives(recorder, usual, compares_heads):
        combined = len(values) > 1
        if combined and not all(value in varied.get(key, []) for key, value in values.items()):
            continue
        try:
            # Where two switches are turned together, only the constructor is recorded.
            if combined and not task.has_encoder_and_decoder:
                others = recorder.constructor(settings, attentions[0])
            else:
                others = recorder.changed(settings, attentions, base)
        except Exception as error:  # noqa: BLE001 - a value that the class does not take stays unrecorded
            recorder.notes.append(f"{values}: {type(error).__name__}: {str(error)[:200]}")
            continue
        for key, value in values.items():
            seen = varied.setdefault(key, [usual.setdefault(key, _usual(model_type, key))])
            seen += [value] if value not in seen else []
        if len(values) == 1:
            _note_biases(base[0], others[0], *next(iter(values.items())), biases)
        runs.append((values, others))
    sections = []
    for values, made in runs:
        for section in made:
            section.reads |= {key: values.get(key, usual[key]) for key in varied}
        sections += made
    _with_biases([section for section in sections if section.head == "build"], biases, varied)
    everywhere = {key: value for key, value in usual.items() if key not in varied}
    return File(recorder, merged(sections, varied), attentions, everywhere, varied)


def _base(model_type, task, attentions):
    """All calls under the usual setting; with more layers where a kind occurs in the first layer only."""
    for layers in (0, 4):
        recorder = Recorder(model_type, task, layers)
        try:
            return recorder, recorder.record(recorder.settings(), attentions)
        except Refusal as refusal:
            if layers or "kind of its own" not in str(refusal):
                raise
    return None


def _usual(model_type, key):
    value = getattr(configs.small(model_type, configs.RECORDINGS[0]), key, None)
    return "number" if isinstance(value, int) and not isinstance(value, bool) else value


def _attentions(model_type, task):
    cls = task.model_class(AutoConfig.for_model(model_type))
    return (["sdpa"] if cls._supports_sdpa else []) + ["eager"]


def _alternatives(recorder, reads, compares_heads):
    """Settings beside the usual ones, each with the switches that it turns."""
    config, settings = configs.small(recorder.model_type, configs.RECORDINGS[0]), recorder.settings
    if compares_heads and hasattr(config, "num_key_value_heads"):
        yield settings(heads_alike=True), {}
    windows = configs.chooses_windows(AutoConfig.for_model(recorder.model_type))
    padding, named = {}, {}
    if windows:
        # The list of kinds says that no layer has windows.
        yield settings({"use_sliding_window": False, "layer_types": ["full_attention"]}), {}
    else:
        for kind in configs.usual_kinds(type(config), "layer_types"):
            # All layers may be of one kind.
            yield settings({"layer_types": [kind]}), {}
    for key, number in (("pad_token_id", 0), ("sliding_window", 26), ("n_inner", 160)):
        if hasattr(config, key) and not (key == "sliding_window" and windows):
            # Models ask whether these are there at all.
            value, name = (number, "number") if getattr(config, key) is None else (None, None)
            yield settings({key: value}), {key: name}
            if key == "pad_token_id":
                padding, named = {key: value}, {key: name}
    if recorder.task.name == "image-text" and hasattr(config, "text_config"):
        # Old files of CLIP have 2 for the token at which a text ends, and the class then looks for the largest token.
        yield settings({"text_config.eos_token_id": 7}), {}
    for key, value in reads.items():
        if key.endswith("rope_type"):
            for kind, changed in _ropes(key.split("."), getattr(config, "rope_parameters", None)):
                yield settings(changed), {key: kind}
                if padding:
                    yield settings(changed | padding), {key: kind} | named
        elif isinstance(value, bool) and "." not in key:
            yield settings({key: not value}), {key: not value}
    switches = {key: not value for key, value in reads.items() if isinstance(value, bool) and "." not in key}
    if recorder.task.has_encoder_and_decoder and len(switches) == 2:
        # The newer of T5's checkpoints turn both.
        yield settings(switches), switches


def _ropes(path, rope):
    """Each kind of rotary embedding beside the usual one; some models have one for each kind of layer."""
    inner = rope.get(path[1]) if len(path) == 3 and isinstance(rope, dict) else rope
    if not (isinstance(inner, dict) and "rope_theta" in inner):
        return
    for kind, more in _ROPE.items():
        if kind != inner.get("rope_type"):
            made = {**inner, "rope_type": kind, **more}
            yield kind, {"rope_parameters": made if inner is rope else {**rope, path[1]: made}}


def _note_biases(base, other, key, value, biases):
    """Notes the linear modules of which a switch only says whether they have a bias."""
    if len(base.lines) != len(other.lines):
        return
    found = {}
    for one, two in zip(base.lines, other.lines):
        if one != two:
            plain = {line.replace("bias=true", "bias=false") for line in (one, two)}
            if len(plain) != 1 or ("bias=true" in two) != (value is True):
                return
            found[plain.pop()] = key
    biases |= found


def _with_biases(builds, biases, varied):
    """Writes the switch for the biases of these modules, on which the constructor then does not depend otherwise."""
    for build in builds:
        keys = set()
        for number, line in enumerate(build.lines):
            key = biases.get(line.replace("bias=true", "bias=false"))
            if key is not None and ("bias=true" in line) == build.reads.get(key):
                build.lines[number] = re.sub(r"bias=\w+", f"bias={key}", line)
                keys.add(key)
        for key in keys:
            build.reads.pop(key)
