"""Which layers are of which kind, how many there are, and what a config's class takes for keys that are not there."""

import itertools
import json
import re

from transformers import AutoConfig, PretrainedConfig

from . import classes
from .configs import IGNORED
from .tracer import Refusal


def _numbers(config):
    found = {
        key: int(value)
        for key, value in vars(config).items()
        if isinstance(value, int) and not isinstance(value, bool) and not key.startswith("_") and "token" not in key
    }
    for key, value in vars(config).items():
        if isinstance(value, PretrainedConfig):
            found |= {f"{key}.{inner}": number for inner, number in _numbers(value).items()}
    return found


def length(path, recorded):
    """The config key that says how many layers the list has."""
    shared = [
        key for key in _numbers(recorded[0][0]) if all(_numbers(config).get(key) == count for config, count in recorded)
    ]
    named = [key for key in shared if "layer" in key] or shared
    if not named:
        raise Refusal(f"no key of the config says how many layers {path} has")
    return min(named, key=lambda key: (key != "num_hidden_layers", len(key)))


def lines_of(path, recorded, chosen, reads):
    """The header's lines about one list of layers; `reads` are the keys that the model's code asked for."""
    lines = [f"layers {path} {length(path, recorded)}"]
    count = max(max(layers) for _, layers in chosen) + 1
    # Sections in which all layers are alike say `kind *` where others have several kinds.
    chosen = [one for one in chosen if max(one[1]) > 0] or chosen
    if count == 1:
        return [*lines, f"kind {path} A {_only(chosen, reads)}"]
    for kind in range(count):
        condition = _condition(path, kind, chosen)
        lines.append(f"kind {path} {chr(ord('A') + kind)} {condition}")
    return lines


def of_every_layer(sections):
    """Takes conditions on the first layers' numbers out of the sections; returns what they say of layer `i`."""
    found = {}
    for conditions in sections:
        for text, result in list(conditions.items()):
            inside = re.fullmatch(r"\((\d+) in (\w+)\)", text)
            modulo = re.fullmatch(r"\((\d+) % (\w+) == 0\)", text)
            if inside and not result:
                found[f"not (i in {inside.group(2)})"] = None
            elif modulo and result:
                found[f"(i + 1) % {modulo.group(2)} == 0"] = None
            else:
                continue
            del conditions[text]
    return " and ".join(found)


def narrowed(lines, condition):
    """The header's lines about one list, with a condition that holds for each of its layers."""
    kinds = [line for line in lines if line.startswith("kind ")]
    keys = set(re.findall(r"[a-z_]{2,}", condition)) - {"and", "not", "in"}
    if any(re.search(rf"\b{key}\b", line) for key in keys for line in kinds):
        return lines
    return [
        line.replace(" A true", f" A {condition}") if line.endswith(" A true")
        else f"{line} and {condition}" if line in kinds and " or " not in line
        else line
        for line in lines
    ]  # fmt: skip


def without_numbers_of_layers(sections, loops_of):
    """Takes the comparisons of single layers' numbers out of the sections, where the kinds of layers say the same."""
    said = " ".join(line for lines in loops_of for line in lines if line.startswith("kind "))
    for conditions in sections:
        for text in list(conditions):
            compared = re.fullmatch(r"\((\w+) (?:<|<=|>|>=) \d+\)", text)
            listed = re.fullmatch(r"\((\w+)\[\d+\] != 0\)", text)
            by_number = compared and re.search(rf"\bi (?:<|>=) {compared.group(1)}\b", said)
            by_list = listed and f"{listed.group(1)}[i] == " in said
            if by_number or by_list:
                del conditions[text]


def _only(chosen, reads):
    """The condition of an only kind: where the model asks a list of texts, the ones that were recorded."""
    for key in reads:
        lists = [value for config, _ in chosen if isinstance(value := getattr(config, key, None), list)]
        seen = {str(text) for value in lists for text in value if isinstance(text, str)}
        if seen:
            return " or ".join(f'{key}[i] == "{text}"' for text in sorted(seen))
    return "true"


def _condition(path, kind, chosen):
    wanted = [(config, [layer == kind for layer in layers]) for config, layers in chosen]
    candidates = list(_candidates(wanted[0][0]))
    for text, test in candidates:
        if _holds(test, wanted):
            return text
    lists = [row for row in candidates if "[i] ==" in row[0] or row[0].startswith("i <")]
    for (one, first), (two, second) in itertools.combinations(lists, 2):
        if _holds(lambda config, i: first(config, i) and second(config, i), wanted):  # noqa: B023 - called at once
            return f"{one} and {two}"
    raise Refusal(f"nothing in the config says which layers of {path} are of kind {chr(ord('A') + kind)}")


def _holds(test, wanted):
    """Whether a test is true of exactly the wanted layers of every recording."""
    try:
        return all([bool(test(config, i)) for i in range(len(flags))] == flags for config, flags in wanted)
    except (IndexError, KeyError, TypeError, ZeroDivisionError, AttributeError):
        return False


def _candidates(config):
    for key, value in vars(config).items():
        if isinstance(value, list) and value and isinstance(value[0], str):
            for word in dict.fromkeys(str(item) for item in value):
                yield f'{key}[i] == "{word}"', lambda c, i, key=key, word=word: getattr(c, key)[i] == word
        elif isinstance(value, list):
            yield f"i in {key}", lambda c, i, key=key: any(int(item) == i for item in getattr(c, key))
            yield f"not (i in {key})", lambda c, i, key=key: all(int(item) != i for item in getattr(c, key))
            yield f"{key}[i] == 1", lambda c, i, key=key: int(getattr(c, key)[i]) == 1
            yield f"{key}[i] == 0", lambda c, i, key=key: int(getattr(c, key)[i]) == 0
    yield "i == 0", lambda c, i: i == 0
    yield "i != 0", lambda c, i: i != 0
    for key, value in _numbers(config).items():
        number = lambda c, key=key: int(getattr(c, key))  # noqa: E731
        yield f"i < {key}", lambda c, i, n=number: i < n(c)
        yield f"i >= {key}", lambda c, i, n=number: i >= n(c)
        if value > 1:
            yield f"(i + 1) % {key} == 0", lambda c, i, n=number: (i + 1) % n(c) == 0
            yield f"(i + 1) % {key} != 0", lambda c, i, n=number: (i + 1) % n(c) != 0
            yield f"i % {key} == 0", lambda c, i, n=number: i % n(c) == 0
            yield f"i % {key} != 0", lambda c, i, n=number: i % n(c) != 0
    yield "i % 2 == 0", lambda c, i: i % 2 == 0
    yield "i % 2 == 1", lambda c, i: i % 2 == 1


# What a class computes where a config has no value: the key, and what it may be.
_DERIVED = {
    "head_dim": ["hidden_size // num_attention_heads", "n_embd // n_head"],
    "num_key_value_heads": ["num_attention_heads"],
    "intermediate_size": ["4 * hidden_size"],
    "ffn_dim": ["4 * hidden_size", "hidden_size * 4"],
    "word_embed_proj_dim": ["hidden_size"],
    "n_inner": ["4 * n_embd"],
    "num_local_experts": ["num_experts"],
    "original_max_position_embeddings": ["max_position_embeddings"],
}


def defaults(model_type, text):
    """Lines for the keys that a program names and a config may lack."""
    config = AutoConfig.for_model(model_type)
    rules = classes.Rules(config)
    of_feed_forward_proj = classes.of_feed_forward_proj(config)
    made = [f"derive {key} {expression}" for key, expression in of_feed_forward_proj if _names(text, key)]
    # What the class makes of a key may name further keys.
    for key, expression in rules.replaced.items():
        if _names(text, key):
            made.append(f"set {key} {expression}")
    for key, expression in rules.missing.items():
        if _names(text, key):
            made.append(f"derive {key} {expression}")
    of_proj = {line.split()[1] for line in made} & {key for key, _ in of_feed_forward_proj}
    derived_here = {line.split()[1] for line in made if line.startswith("derive ")}
    text += "\n" + "\n".join(made)
    lines = [f"default {key} {json.dumps(value)}" for key, value in rules.defaults.items()
             if key not in vars(config) and _names(text, key)]  # fmt: skip
    unsaid = vars(config).get("head_dim") is None and "head_dim" not in rules.missing
    if unsaid and re.search(r"(?<![\w.])head_dim(?![\w.])", text):
        lines.append("derive head_dim hidden_size // num_attention_heads")
    for key, value in vars(config).items():
        if isinstance(value, dict):
            lines += _nested(key, value, text)
        elif isinstance(value, PretrainedConfig):
            lines += _nested(key, vars(value), text)
        elif key in of_proj:
            continue
        elif key in derived_here:
            lines += _own_default(config, key)
        elif key == "head_dim" and value is None:
            continue
        elif (
            not key.startswith("_")
            and (key == "tie_word_embeddings" or key not in IGNORED)
            and re.search(rf"(?<![\w.]){key}(?![\w.])", text)
        ):
            derived = _derived(type(config), key)
            if derived:
                lines += [*_own_default(config, key), f"derive {key} {derived}"]
            else:
                lines.append(f"default {key} {json.dumps(_own_value(rules, config, key, value))}")
    aliases = [f"alias {other} {key}" for other, key in type(config).attribute_map.items() if _names(text, key)]
    return aliases + lines + made


def _names(text, key):
    return re.search(rf"(?<![\w.]){key}(?![\w.])", text)


def _own_default(config, key):
    """The line for the value that the class has where a config lacks the key; `null` is computed all the same."""
    value = getattr(type(config), key, None)
    return [] if value is None else [f"default {key} {json.dumps(value)}"]


def _own_value(rules, config, key, value):
    """The class's value of a key, before it makes another one of it."""
    return getattr(type(config), key, value) if key in rules.replaced else value


def _nested(key, value, text):
    """Lines for what a dict holds, and the dicts in it, such as the rotary embedding of each kind of layer."""
    lines = []
    for inner, item in value.items():
        name = f"{key}.{inner}"
        if isinstance(item, dict):
            lines += _nested(name, item, text)
        elif re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.])", text):
            lines.append(f"default {name} {json.dumps(item)}")
    return lines


def _derived(cls, key):
    """The expression of other keys that the class takes for `key`, if it was found to take one."""
    for expression in _DERIVED.get(key, []):
        names = re.findall(r"[a-z_]+", expression)
        try:
            agrees = []
            for sizes in ((96, 4), (240, 8)):
                given = {name: sizes["head" in name] for name in names}
                made = cls(**given, **{key: None})
                agrees.append(getattr(made, key) == eval(expression, {}, given))  # noqa: S307
            if all(agrees) and getattr(cls(), key) is not None:
                return expression
        except Exception:  # noqa: BLE001 - a class may refuse any of these values
            continue
    return None
