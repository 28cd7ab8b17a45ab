"""Which settings of a config are recorded: its switches one at a time, kinds of rotary embedding, grouped heads or not."""

import re

from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

from . import configs
from .program import CALLS, File, Recorder, Section, Settings, merged

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


def recorded(model_type):
    """The program of a model type."""
    recorder = Recorder(model_type)
    attentions = _attentions(model_type)
    base = recorder.record(Settings(), attentions)
    sections, varied = list(base), {}
    biases, everywhere = {}, {}
    for section in base:
        for key, value in section.reads.items():
            everywhere[key] = value
    for settings, key, value in _alternatives(model_type, dict(everywhere)):
        try:
            others = recorder.record(settings, attentions, CALLS, base)
        except Exception as error:  # noqa: BLE001 - a value that the class does not take stays unrecorded
            recorder.notes.append(f"{key or 'heads alike'} {value}: {type(error).__name__}: {str(error)[:200]}")
            continue
        if key is not None:
            for section, other in zip(base, others):
                _note(section, key, everywhere[key])
                _note(other, key, value)
            _note_biases(base[0], others[0], key, biases)
            varied.setdefault(key, [everywhere.pop(key) if key in everywhere else None]).append(value)
        sections += others
    _with_biases([section for section in sections if section.head == "build"], biases)
    final = merged([Section(s.head, s.lines, s.conditions, s.reads) for s in sections])
    return File(recorder, final, attentions, everywhere, varied, biases)


def _note(section, key, value):
    section.reads[key] = value


def _attentions(model_type):
    from transformers import AutoConfig

    cls = MODEL_FOR_CAUSAL_LM_MAPPING[type(AutoConfig.for_model(model_type))]
    return (["sdpa"] if cls._supports_sdpa else []) + ["eager"]


def _alternatives(model_type, reads):
    """Settings beside the usual ones, each with the switch that it turns."""
    config = configs.small(model_type, configs.RECORDINGS[0])
    if hasattr(config, "num_key_value_heads"):
        yield Settings(heads_alike=True), None, None
    for key, value in reads.items():
        if key.endswith("rope_type"):
            rope = getattr(config, "rope_parameters", None)
            for kind, more in _ROPE.items():
                if isinstance(rope, dict) and "rope_theta" in rope:
                    yield Settings({"rope_parameters": {**rope, "rope_type": kind, **more}}), key, kind
        elif isinstance(value, bool) and "." not in key:
            yield Settings({key: not value}), key, not value


def _note_biases(base, other, key, biases):
    """Notes the linear modules of which a switch only says whether they have a bias."""
    if len(base.lines) != len(other.lines):
        return
    found = {}
    for one, two in zip(base.lines, other.lines):
        if one != two:
            plain = {line.replace("bias=true", "bias=false") for line in (one, two)}
            if len(plain) != 1 or ("bias=true" in two) != (other.reads[key] is True):
                return
            found[plain.pop()] = key
    biases |= found


def _with_biases(builds, biases):
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
