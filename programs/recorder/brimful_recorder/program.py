"""Makes the program of a model type: records what differs, merges what is equal, and writes the file."""

import json
import platform
import re
from pathlib import Path

import torch
import transformers

from . import configs, kinds, loops
from .recording import Built, Call, Forward, renumbered
from .tracer import Refusal

_DTYPES = [torch.bfloat16, torch.float32, torch.bfloat16]

CALLS = [
    Call(mode, mask, cache)
    for mode in ("train", "eval")
    for mask in ("unmasked", "masked")
    for cache in ("none", "made")
] + [
    Call("eval", mask, "given", tokens, past)
    for mask in ("unmasked", "masked")
    for tokens, past in ((None, 0), (1, 7))
]  # fmt: skip


class Section:
    """The lines of one head under one setting, with what they depend on."""

    def __init__(self, head, lines, conditions, reads):
        """`conditions` are comparisons of the config with their results, `reads` keys with their values."""
        self.head, self.lines, self.conditions, self.reads = head, lines, conditions, reads


class Settings:
    """Values of a config that a recording sets, with the sizes of one of the three recordings."""

    def __init__(self, values=None, heads_alike=False):
        """`heads_alike` records as many heads of keys as heads."""
        self.values, self.heads_alike = values or {}, heads_alike

    def config(self, model_type, sizes):
        """A config of these settings."""
        if self.heads_alike:
            sizes = sizes | {"groups": sizes["heads"]}
        return configs.small(model_type, sizes, **self.values)


class Recorder:
    """All recordings of one model type."""

    def __init__(self, model_type):
        """Nothing is recorded yet."""
        self.model_type = model_type
        self.sections = []
        self.layers = {}
        self.chosen = {}
        self.class_name = ""
        self.notes = []
        self.reads = {}

    def record(self, settings, attentions, calls=CALLS, known=None):
        """Records the constructor and all calls under one setting; three sizes must agree.

        Where one recording shows that all is as in the sections `known`, no more are made.
        """
        if known is not None:
            once = self._once(settings, attentions, calls)
            if [section.lines for section in once] == [section.lines for section in known]:
                return once
        sections = []
        for attention in attentions:
            recordings = []
            for sizes, dtype in zip(configs.RECORDINGS, _DTYPES):
                recordings.append(self._recording(settings, attention, calls, sizes, dtype))
            agreed = [self._agreed(versions) for versions in zip(*recordings)]
            sections += agreed if not sections else agreed[1:]
        return sections

    def _once(self, settings, attentions, calls):
        sections = []
        for attention in attentions:
            made = self._recording(settings, attention, calls, configs.RECORDINGS[0], _DTYPES[0])
            sections += made if not sections else made[1:]
        return sections

    def _recording(self, settings, attention, calls, sizes, dtype):
        built = Built(settings.config(self.model_type, sizes), attention, dtype)
        self.class_name = type(built.model).__name__
        self.reads |= built.reads
        made = [self._build_section(built)]
        for call in calls:
            if call.cache != "none" and not _caches(built.model):
                continue
            forward = Forward(built, call, sizes)
            self.reads |= forward.reads
            head = f"forward {attention} {call.mode} {call.mask} {call.cache}"
            lines = self._folded(forward.lines, built, loops.fold)
            made.append(Section(head, lines, forward.conditions, _values(forward.reads, built)))
        return made

    def _build_section(self, built):
        lines = self._folded(built.lines, built, loops.fold_build)
        lines += [f"tie {place} {first}" for place, first in built.ties]
        return Section("build", lines, built.conditions, _values(built.reads, built))

    def _folded(self, lines, built, fold):
        count = [1_000_000]

        def new_name():
            count[0] += 1
            return f"%{count[0]}"

        for path, layers in built.lists.items():
            if not fold.wanted(lines, path):
                continue
            before, bodies, chosen, after = fold(lines, path, new_name)
            names = self._kind_names(path, built, chosen, len(layers))
            lines = before + [f"each {path} i"]
            for name, body in zip(names, bodies):
                lines += [f"kind {name}"] + body
            lines += ["end"] + after
        return renumbered([re.sub(r"@(\d+)@", r"\1", line) for line in lines])

    def _kind_names(self, path, built, chosen, count):
        self.layers.setdefault(path, []).append((built.model.config, count))
        self.chosen.setdefault(path, []).append((built.model.config, chosen))
        return [chr(ord("A") + number) for number in range(len(set(chosen)))]

    def _agreed(self, versions):
        first = versions[0]
        for other in versions[1:]:
            if other.lines != first.lines:
                raise Refusal(f"{first.head}: {_difference(first.lines, other.lines)}")
            conditions = first.conditions.items() & other.conditions.items()
            first.conditions = {key: value for key, value in first.conditions.items() if (key, value) in conditions}
        return first


def _difference(one, other):
    for left, right in zip(one, other):
        if left != right:
            return f"two sizes give `{left}` and `{right}`"
    return f"two sizes give {len(one)} and {len(other)} lines"


def _caches(model):
    return hasattr(model, "generate") and "past_key_values" in str(type(model).forward.__doc__ or "past_key_values")


def _values(reads, built):
    """The values of the switches that were read."""
    found = {}
    for key in reads:
        value = built.model.config
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else getattr(value, part, None)
        if value is None or isinstance(value, (bool, str)):
            found[key] = None if value is None else value if isinstance(value, bool) else str.__str__(value)
    return found


def merged(sections):
    """Sections of equal lines become one, which holds wherever one of them does."""
    groups = {}
    for section in sections:
        groups.setdefault((section.head, tuple(section.lines)), []).append(section)
    made = []
    for (head, lines), members in groups.items():
        conditions = dict(members[0].conditions)
        for member in members[1:]:
            conditions = {key: value for key, value in conditions.items() if member.conditions.get(key) == value}
        reads = {}
        for member in members:
            for key, value in member.reads.items():
                reads.setdefault(key, [])
                if value not in reads[key]:
                    reads[key].append(value)
        made.append(Section([head], list(lines), conditions, reads))
    return _heads_joined(made)


def _heads_joined(sections):
    """Forwards of equal lines and conditions stand under all of their heads."""
    made = []
    for section in sections:
        for other in made:
            same = (other.lines, other.conditions, other.reads) == (section.lines, section.conditions, section.reads)
            if same and section.head[0] != "build":
                other.head += section.head
                break
        else:
            made.append(section)
    return made


_NEGATED = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


def condition_text(text, result):
    """A comparison that has this result, as a condition."""
    inner = text[1:-1]
    if result:
        return inner
    for symbol, negated in _NEGATED.items():
        if inner.count(f" {symbol} ") == 1:
            return inner.replace(f" {symbol} ", f" {negated} ")
    return f"not ({inner})"


def values_text(key, values):
    """A condition on a switch of the config."""
    texts = [json.dumps(value) for value in values]
    return f"{key} == {texts[0]}" if len(texts) == 1 else f"{key} in [{', '.join(texts)}]"


class File:
    """A program, ready to be written."""

    def __init__(self, recorder, sections, attentions, everywhere, varied, biases):
        """`varied` are the values with which switches were recorded; `everywhere` what holds for all sections."""
        self.recorder, self.sections, self.attentions = recorder, sections, attentions
        self.everywhere, self.varied, self.biases = everywhere, varied, biases

    def text(self):
        """The file."""
        body = [line for section in self.sections for line in self._section(section)]
        return "\n".join(self._header("\n".join(body)) + body) + "\n"

    def _section(self, section):
        lines = ["", *section.head]
        for text, result in section.conditions.items():
            lines.append(f"when {condition_text(text, result)}")
        for key, values in section.reads.items():
            if key in self.varied and len(values) < len(self.varied[key]):
                lines.append(f"when {values_text(key, values)}")
        return lines + indented(section.lines)

    def _header(self, body):
        recorder = self.recorder
        python = ".".join(platform.python_version_tuple()[:2])
        lines = [
            "brimful-program 1",
            f"library transformers {transformers.__version__}",
            f"recorded torch {torch.__version__.split('+')[0]} python {python}",
            f"model_type {recorder.model_type}",
            f"class {recorder.class_name}",
            "task causal-lm",
        ]
        loops_of = [kinds.lines_of(path, recorder.layers[path], recorder.chosen[path]) for path in recorder.layers]
        text = body + "\n".join(line for lines_of in loops_of for line in lines_of)
        lines += kinds.defaults(recorder.model_type, text)
        lines.append("attention " + " ".join(self.attentions))
        lines += [f"require {key} {json.dumps(value)}" for key, value in self.everywhere.items()]
        return lines + [line for lines_of in loops_of for line in lines_of]


def indented(lines):
    """Lines with the indentation of the modules and loops around them."""
    made, depth = [], 1
    for line in lines:
        word = line.split(" ", 1)[0]
        closes = word in ("leave", "end", "kind")
        if word == "kind" and made[-1].strip().startswith("each"):
            closes = False
        depth -= 1 if closes and word != "end" else 2 if word == "end" and _in_kinds(made) else closes
        made.append("  " * depth + line)
        depth += word in ("enter", "kind", "each", "when")
    return made


def _in_kinds(made):
    return any(line.strip().startswith("kind ") for line in made[-2000:] if line.strip() != "end")


def write(model_type, folder):
    """Records a model type and writes its program; returns the path and what was not recorded."""
    from .variants import recorded

    path = Path(folder) / f"{model_type}.program"
    program = recorded(model_type)
    path.write_text(program.text())
    return path, program.recorder.notes
