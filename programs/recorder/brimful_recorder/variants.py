"""Which settings of a config are recorded: its switches one at a time, kinds of rotary embedding, grouped heads or not."""

from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

from . import configs
from .program import CALLS, File, Recorder, Section, Settings, merged
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
            others = recorder.record(settings, attentions, CALLS)
        except Refusal:
            continue
        except Exception:  # noqa: BLE001 - a value that the class does not take stays unrecorded
            continue
        if key is not None:
            for section, other in zip(base, others):
                _note(section, key, everywhere[key])
                _note(other, key, value)
            if _only_biases(base[0], others[0], key, biases):
                others = others[1:]
            varied.setdefault(key, [everywhere.pop(key) if key in everywhere else None]).append(value)
        sections += others
    _with_biases(base[0], biases)
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


def _only_biases(base, other, key, biases):
    """Whether a switch only gives biases to some linear modules, which are noted."""
    if len(base.lines) != len(other.lines):
        return False
    found = []
    for number, (one, two) in enumerate(zip(base.lines, other.lines)):
        if one != two:
            if one.replace("bias=true", "bias=false") != two.replace("bias=true", "bias=false"):
                return False
            if ("bias=true" in two) != (other.reads[key] is True):
                return False
            found.append(number)
    for number in found:
        biases[number] = key
    base.reads.pop(key, None)
    return True


def _with_biases(build, biases):
    for number, key in biases.items():
        for value in ("true", "false"):
            build.lines[number] = build.lines[number].replace(f"bias={value}", f"bias={key}")
