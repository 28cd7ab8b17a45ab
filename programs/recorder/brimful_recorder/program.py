"""Makes the program of a model type: records what differs, merges what is equal, and writes the file."""

import copy
import functools
import json
import platform
import re
from pathlib import Path

import torch
import transformers

from . import __version__, closed, configs, dtypes, kinds, loops, unions
from .loops import renumbered
from .recording import Built, Call, Forward
from .tracer import Refusal

_DTYPES = [torch.bfloat16, torch.float32, torch.bfloat16]

CALLS = [
    Call("eval", mask, "given", tokens, past)
    for tokens, past in ((1, 7), (None, 0))
    for mask in ("unmasked", "masked")
] + [
    Call(mode, mask, cache)
    for mode in ("train", "eval")
    for cache in ("none", "made")
    for mask in ("unmasked", "masked")
]  # fmt: skip
# At the second and the third size: each mode and each cache.
_AGREEING = [
    [
        Call("train", "masked", "none"),
        Call("eval", "unmasked", "none"),
        Call("eval", "masked", "made"),
        Call("eval", "masked", "given", 1, 7),
        Call("eval", "unmasked", "given"),
    ],
    [Call("train", "unmasked", "made"), Call("eval", "unmasked", "given", 1, 7)],
]

# The calls of models with an encoder: beside training one call without gradients, for which they make a cache.
_OF_ENCODER_AND_DECODER = [("train", "none"), ("train", "made"), ("eval", "made")]

_SIZES = list(zip(configs.RECORDINGS, _DTYPES))
# A few calls that show whether a switch changes anything.
_TRIAL = [
    Call("train", "unmasked", "none"),
    Call("eval", "masked", "given", 1, 7),
    Call("eval", "masked", "none"),
]


class Section:
    """The lines of one head under one setting, with what they depend on."""

    def __init__(self, head, lines, conditions, reads):
        """`conditions` are comparisons of the config with their results, `reads` keys with their values."""
        self.head, self.lines, self.conditions, self.reads = head, lines, conditions, reads


class Settings:
    """Values of a config that a recording sets, with the sizes of one of the three recordings."""

    def __init__(self, values=None, heads_alike=False, layers=0, heads_uneven=False):
        """`heads_alike` records as many heads of keys as heads, `heads_uneven` a number of heads that is no power of 2.

        `layers` are recorded beside the usual number.
        """
        self.values, self.heads_alike, self.layers = values or {}, heads_alike, layers
        self.heads_uneven = heads_uneven

    def changed(self, values):
        """The same settings but for these values."""
        made = copy.copy(self)
        made.values = self.values | values
        return made

    def config(self, model_type, sizes):
        """A config of these settings."""
        # With more layers there are more dense ones as well, so that each of their kinds occurs twice.
        sizes = sizes | {"layers": sizes["layers"] + self.layers, "dense": sizes["dense"] + self.layers // 2}
        if self.heads_alike:
            sizes = sizes | {"groups": sizes["heads"]}
        if self.heads_uneven:
            sizes = sizes | {"heads": 3 * sizes["heads"]}
        return configs.small(model_type, sizes, **self.values)


class Recorder:
    """All recordings of one model type."""

    def __init__(self, model_type, task, more_layers=0):
        """Nothing is recorded yet."""
        self.model_type, self.task, self.more_layers = model_type, task, more_layers
        self.sections = []
        self.layers = {}
        self.chosen = {}
        self.letters = {}
        self.class_name = ""
        self.notes = []
        self.reads = {}
        self.ties = None
        self.orders_ties = not task.is_causal or self._ties_more_than_the_head()

    def _ties_more_than_the_head(self):
        """Whether other parameters than the output layer's weight become those that stand before them.

        An output layer with a bias counts: `tie_weights` makes the bias as long as the table, which is recorded.
        """
        config = Settings({"tie_word_embeddings": True}).config(self.model_type, configs.RECORDINGS[0])
        built = Built(config, "eager", torch.float32, self.task)
        places = [built.model.get_submodule(place.rpartition(".")[0]) for place, _ in built.ties]
        biased = any(getattr(place, "bias", None) is not None for place in places)
        return len(built.ties) > 1 or biased or any("embed" in place for place, _ in built.ties)

    def settings(self, values=None, heads_alike=False, heads_uneven=False):
        """Settings with this recorder's number of layers."""
        if self.orders_ties:
            # Ties are written where they happen, and so they have to happen.
            values = {"tie_word_embeddings": True} | (values or {})
        return Settings(values, heads_alike, self.more_layers, heads_uneven)

    def record(self, settings, attentions):
        """Records the constructor and all calls under one setting; three sizes must agree.

        The second and the third size are recorded with some of the calls, in which each mode and each cache occur;
        beside eager attention, the last, they are recorded with two.
        """
        sections = []
        for attention in attentions:
            made = self._recording(settings, attention, CALLS, *_SIZES[0])
            self._agree(made, settings, attention, _AGREEING if attention == attentions[-1] else _AGREEING[1:])
            sections += made if not sections else made[1:]
        return sections

    def _agree(self, made, settings, attention, calls):
        """Refuses where another size gives other lines, and keeps the conditions that all sizes share."""
        by_head = {section.head: [] for section in made}
        for section in made:
            by_head[section.head].append(section)
        for (sizes, dtype), some in zip(_SIZES[1:], calls):
            for other in self._recording(settings, attention, some, sizes, dtype):
                alike = [section for section in by_head[other.head] if section.lines == other.lines]
                if not alike:
                    raise Refusal(f"{other.head}: {_difference(by_head[other.head][0].lines, other.lines)}")
                for section in alike:
                    shared = section.conditions.items() & other.conditions.items()
                    section.conditions = {
                        key: value for key, value in section.conditions.items() if (key, value) in shared
                    }

    def changed(self, settings, attentions, known):
        """Records what another setting changes: all calls if a few of them show a difference from the sections `known`.

        Where these few are alike, the others are taken to be: their sections are those of `known` with other reads.
        Eager attention, the last, is tried alone, since what the others do beside it is one instruction.
        """
        by_head = {}
        for section in known:
            by_head.setdefault(section.head, []).append(section.lines)
        made = self._recording(settings, attentions[-1], _TRIAL, *_SIZES[0])
        if not all(section.lines in by_head[section.head] for section in made[1:]):
            return self.record(settings, attentions)
        if made[0].lines not in by_head["build"]:
            self._agree(made[:1], settings, attentions[-1], [[]])
        calls = [section for section in known if section.head != "build"]
        return made[:1] + [Section(one.head, one.lines, one.conditions, dict(one.reads)) for one in calls]

    def constructor(self, settings, attention):
        """Records the constructor alone, for two switches of which each one was recorded at other sizes."""
        return self._recording(settings, attention, [], *_SIZES[0])

    def _recording(self, settings, attention, calls, sizes, dtype):
        # What models with an encoder do depends on the dtype of their weights, of which each is recorded.
        several = [torch.float16, torch.float32, torch.bfloat16] if self.task.has_encoder_and_decoder else [dtype]
        config = functools.partial(settings.config, self.model_type, sizes)
        builts = [Built(config(), attention, one, self.task, self.orders_ties) for one in several]
        built = builts[-1]
        self.class_name = type(built.model).__name__
        self.reads |= built.reads
        untied = None
        if self.orders_ties:
            without = settings.changed({"tie_word_embeddings": False}).config(self.model_type, sizes)
            untied = Built(without, attention, several[-1], self.task, self.orders_ties)
        made, unmasked, alike = [self._build_section(built, untied)], {}, []
        for call in calls if self.task.has_masks else _without_masks(calls):
            if call.cache != "none" and not (self.task.has_decoder and _caches(built.model)):
                continue
            if self.task.has_encoder_and_decoder and (call.mode, call.cache) not in _OF_ENCODER_AND_DECODER:
                continue
            head = f"forward {attention} {call.mode} {call.mask} {call.cache}"
            without = unmasked.get((call.mode, call.cache, call.past))
            if call.mask == "masked" and without is not None and len(alike) > 1 and all(alike):
                # A mask changed nothing in two other calls.
                made.append(Section(head, without.lines, dict(without.conditions), dict(without.reads)))
                continue
            forward, lines = self._called(builts, call, sizes)
            # What the constructor decided, the forward may have asked of it.
            conditions = built.conditions | forward.conditions
            section = Section(head, lines, conditions, _values(forward.reads, built))
            made.append(section)
            if call.mask == "unmasked":
                unmasked[call.mode, call.cache, call.past] = section
            elif without is not None:
                same = (without.lines, without.conditions, without.reads)
                alike.append(same == (section.lines, section.conditions, section.reads))
        return made

    def _called(self, builts, call, sizes):
        """A call of the last of the models, and its lines with those of the others under conditions."""
        made = [self._lines(built, call, sizes) for built in builts]
        if len(builts) == 1:
            return made[0]
        for at, built in enumerate(builts):
            if call.mode == "train" and call.cache == "none":
                _, other = self._lines(built, call.checkpointed(), sizes)
                lines = _both(made[at][1], other, "not checkpointing", "checkpointing")
                made[at] = (made[at][0], lines)
        forward, lines = made[-1]
        for built, (_, other) in zip(builts[:-1], made[:-1]):
            dtype = dtypes.SHORT[built.dtype]
            lines = _both(lines, other, f"default != {dtype}", f"default == {dtype}")
        closed.check(lines)
        return forward, lines

    def _lines(self, built, call, sizes):
        forward = Forward(built, call, sizes)
        self.reads |= forward.reads
        lines = self._folded(forward.lines, built, loops.fold)
        closed.check(lines)
        return forward, lines

    def _tied(self):
        """The lines that tie parameters, under the config's switch if it decides."""
        if self.ties is None:
            found = []
            for tied in (True, False):
                config = self.settings({"tie_word_embeddings": tied}).config(self.model_type, configs.RECORDINGS[0])
                ties = Built(config, "eager", torch.float32, self.task).ties
                found.append([f"tie {place} {first}" for place, first in ties])
            self.ties = found[0] if found[0] == found[1] else ["when tie_word_embeddings", *found[0], "end", *found[1]]
        return self.ties

    def _build_section(self, built, untied):
        """The constructor. `untied` is the model without tied embeddings, where its program writes ties in order."""
        lines = self._folded(built.lines, built, loops.fold_build)
        if untied is None:
            lines = lines + self._tied()
        else:
            without = self._folded(untied.lines, untied, loops.fold_build)
            lines = _both(lines, without, "tie_word_embeddings", "not tie_word_embeddings")
        return Section("build", lines, built.conditions, _values(built.reads, built))

    def _folded(self, lines, built, fold):
        count = [1_000_000]

        def new_name():
            count[0] += 1
            return f"%{count[0]}"

        for path, layers in built.lists.items():
            made = []
            # A constructor may have another loop, which initialises the layers after all of them were made.
            while fold.wanted(lines, path):
                before, bodies, chosen, lines = fold(lines, path, new_name, self.task.has_encoder_and_decoder)
                if len(chosen) != len(layers):
                    raise Refusal(f"{len(chosen)} of the {len(layers)} layers of {path} are made or called")
                made += [*before, f"each {path} i"]
                for letter, body in self._named_kinds(path, built, chosen, bodies):
                    made += [f"kind {letter}", *body]
                made.append("end")
            lines = made + lines
        lines = [line for line in lines if not line.startswith("write ")]
        return renumbered([re.sub(r"@(\d+)@", r"\1", line) for line in lines])

    def _named_kinds(self, path, built, chosen, bodies):
        """The bodies with the letters of their kinds, which mean the same in all recordings of a type.

        Where lists of the config say the kinds, a letter belongs to the values of a layer in them, so that a setting in
        which some kinds do not occur names the others as the usual setting does.
        """
        config, letters = built.model.config, self.letters.setdefault(path, {})
        marks = [configs.marks(config, index) for index in range(len(chosen))]
        of_kind = [{mark for mark, kind in zip(marks, chosen) if kind == number} for number in range(len(bodies))]
        self.layers.setdefault(path, []).append((config, len(chosen)))
        if len(bodies) == 1 or sum(map(len, of_kind)) > len(set(marks)):
            self.chosen.setdefault(path, []).append((config, chosen))
            return [(chr(ord("A") + number), body) for number, body in enumerate(bodies)]
        named = {}
        for number, members in enumerate(of_kind):
            fresh = max(letters.values(), default=-1) + 1
            for mark in sorted(members, key=str):
                named.setdefault(letters.setdefault(mark, fresh), []).append(number)
        if any(len(set(numbers)) > 1 for numbers in named.values()):
            raise Refusal(f"settings divide the layers of {path} into kinds in different ways")
        self.chosen.setdefault(path, []).append((config, [letters[mark] for mark in marks]))
        return [(chr(ord("A") + letter), bodies[numbers[0]]) for letter, numbers in sorted(named.items())]


def _without_masks(calls):
    """The calls as those of a task that has no mask, each once."""
    return {(one.mode, one.cache): Call(one.mode, "unmasked", one.cache) for one in calls}.values()


def _both(one, other, when_one, when_other):
    """The lines of two recordings under conditions that exclude each other."""
    if one == other:
        return one
    one, other = unions.rebound(one, other), unions.rebound(other, one)
    lines = unions.union(one, other, when_one, when_other)
    if lines is None:
        raise Refusal(f"what holds if {when_one} and if {when_other} does not go together: {_difference(one, other)}")
    return lines


def _common(one, other):
    return {text: result for text, result in one.items() if other.get(text) == result}


def _contrary(one, other):
    return [text for text, result in one.items() if other.get(text, result) != result]


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


def merged(sections, varied):
    """Sections of equal lines become one, which holds wherever one of them does."""
    groups = {}
    for section in sections:
        groups.setdefault((section.head, tuple(section.lines)), []).append(section)
    made, idle = [], {}
    for (head, lines), members in groups.items():
        conditions = dict(members[0].conditions)
        # A comparison that changes nothing in a head's first section, the usual one, is no condition of its others.
        free = idle.setdefault(head, {text for member in members for text in _contrary(conditions, member.conditions)})
        for member in members[1:]:
            conditions = _common(conditions, member.conditions)
        conditions = {text: result for text, result in conditions.items() if text not in free}
        reads = {}
        for member in members:
            for key, value in member.reads.items():
                reads.setdefault(key, [])
                if value not in reads[key]:
                    reads[key].append(value)
        made.append(Section([head], list(lines), conditions, reads))
    _without_idle_switches(made, varied)
    return _heads_joined(_united(made, varied))


def _united(sections, varied):
    """Sections of one head that differ in one condition become one."""
    made = []
    for section in sections:
        for at, other in enumerate(made):
            if other.head == section.head and (both := _union(other, section, varied)) is not None:
                made[at] = both
                break
        else:
            made.append(section)
    return made if len(made) == len(sections) else _united(made, varied)


def _union(one, other, varied):
    """The union of two sections; `None` where more than one condition differs or their lines do not go together."""
    reads = [key for key in one.reads.keys() | other.reads.keys() if one.reads.get(key) != other.reads.get(key)]
    compared = one.conditions.keys() | other.conditions.keys()
    compared = [key for key in compared if one.conditions.get(key) != other.conditions.get(key)]
    if len(reads) == 1 and not compared:
        key = reads[0]
        values = one.reads.get(key), other.reads.get(key)
        if None in values or any(value in values[1] for value in values[0]):
            return None
        when = [values_text(key, value) for value in values]
        known = {**one.reads, key: values[0] + values[1]}
        if len(known[key]) == len(varied[key]):
            del known[key]
        conditions = one.conditions
    elif (
        len(compared) == 1
        and not reads
        and None not in (one.conditions.get(compared[0]), other.conditions.get(compared[0]))
    ):
        key = compared[0]
        when = [condition_text(key, section.conditions[key]) for section in (one, other)]
        conditions = {text: result for text, result in one.conditions.items() if text != key}
        known = one.reads
    else:
        return None
    lines = unions.union(one.lines, other.lines, *when)
    return None if lines is None else Section(one.head, lines, dict(conditions), dict(known))


def _without_idle_switches(sections, varied):
    """A switch that changed nothing in a head's first section, the usual one, is no condition of its others."""
    idle = {}
    for section in sections:
        free = idle.setdefault(
            section.head[0], [key for key in varied if len(section.reads.get(key, [])) == len(varied[key])]
        )
        section.reads = {key: values for key, values in section.reads.items() if key in varied and key not in free}


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
    if "number" in values:
        return f"{key} != null"
    texts = [json.dumps(value) for value in values]
    return f"{key} == {texts[0]}" if len(texts) == 1 else f"{key} in [{', '.join(texts)}]"


class File:
    """A program, ready to be written."""

    def __init__(self, recorder, sections, attentions, everywhere, varied):
        """`varied` are the values with which switches were recorded; `everywhere` what holds for all sections."""
        self.recorder, self.sections, self.attentions = recorder, sections, attentions
        self.everywhere, self.varied = everywhere, varied

    def text(self):
        """The file."""
        every_layer = kinds.of_every_layer([section.conditions for section in self.sections])
        recorder = self.recorder
        loops_of = [
            kinds.lines_of(path, recorder.layers[path], recorder.chosen[path], recorder.reads)
            for path in recorder.layers
        ]
        kinds.without_numbers_of_layers([section.conditions for section in self.sections], loops_of)
        body = [line for section in self.sections for line in self._section(section)]
        return "\n".join(self._header("\n".join(body), every_layer, loops_of) + body) + "\n"

    def _section(self, section):
        lines = ["", *section.head]
        for text, result in section.conditions.items():
            lines.append(f"when {condition_text(text, result)}")
        for key, values in section.reads.items():
            if key in self.varied and len(values) < len(self.varied[key]):
                lines.append(f"when {values_text(key, values)}")
        if section.lines[0].startswith("when "):
            # Otherwise the first block would be another condition of the head.
            lines.append("do")
        several = [path for path, chosen in self.recorder.chosen.items() if any(max(one[1]) for one in chosen)]
        return lines + indented(_for_all_kinds(section.lines, several))

    def _header(self, body, every_layer, loops_of):
        recorder = self.recorder
        python = ".".join(platform.python_version_tuple()[:2])
        lines = [
            "brimful-program 1",
            f"library transformers {transformers.__version__}",
            f"recorded torch {torch.__version__.split('+')[0]} python {python} recorder {__version__}",
            f"model_type {recorder.model_type}",
            f"class {recorder.class_name}",
            f"task {recorder.task.name}",
        ]
        if every_layer:
            loops_of = [kinds.narrowed(lines_of, every_layer) for lines_of in loops_of]
        text = body + "\n".join(line for lines_of in loops_of for line in lines_of)
        lines += kinds.defaults(recorder.model_type, text)
        lines.append("attention " + " ".join(self.attentions))
        lines += ["ties ordered"] if recorder.orders_ties else []
        lines += recorder.task.requirements()
        lines += [f"require {key} {json.dumps(value)}" for key, value in self.everywhere.items()]
        return lines + [line for lines_of in loops_of for line in lines_of]


def _for_all_kinds(lines, several):
    """Lines with `kind *` for the only body of a list that has several kinds elsewhere."""
    made, each = [], ""
    for number, line in enumerate(lines):
        if line.startswith("each "):
            each = line.split()[1]
        alone = line == "kind A" and each in several and not _another_kind(lines[number + 1 :])
        made.append("kind *" if alone else line)
    return made


def _another_kind(lines):
    depth = 0
    for line in lines:
        if depth == 0 and line.startswith(("kind ", "end")):
            return line != "end"
        depth += line.startswith(("when ", "each ")) - (line == "end")
    return False


def indented(lines):
    """Lines with the indentation of the modules and loops around them."""
    made, opened = [], []
    for line in lines:
        word = line.split(" ", 1)[0]
        if word == "leave" or (word in ("kind", "end") and opened[-1:] == ["kind"]):
            opened.pop()
        if word == "end":
            opened.pop()
        made.append("  " * (len(opened) + 1) + line)
        if word in ("enter", "kind", "each", "when"):
            opened.append(word)
    return made


def write(model_type, task, folder):
    """Records a model type and writes its program; returns the path and what was not recorded."""
    from .variants import recorded

    path = Path(folder) / task.file_name(model_type)
    program = recorded(model_type, task)
    path.write_text(program.text())
    return path, program.recorder.notes
