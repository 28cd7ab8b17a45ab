"""Whether every name in a section was bound before, and in a checkpointed layer within it."""

import re

from .loops import NAME
from .tracer import Refusal

_SIZES = re.compile(r"%\d+\.-?\d+")


def check(lines):
    """Refuses a section with a name from nowhere. Sizes of names that were dropped may be asked for."""
    bound, seen, outer, blocks, caches = set(), set(), [], [], set()
    for line in lines:
        words = line.split()
        if words[0] == "leave":
            around = outer.pop()
            _all_in(" ".join(words[1:]), bound, line)
            if around is not None:
                bound, seen = around[0] | set(NAME.findall(line)), around[1] | seen
            continue
        if words[0] in ("each", "when"):
            blocks.append(set(bound) if words[0] == "when" else None)
        elif words[0] == "end" and (before := blocks.pop()) is not None:
            # What one of several `when` ends, another one may end as well.
            bound |= before
        left, equals, right = line.partition(" = ")
        binds = equals and left.startswith(("%", "_"))
        if words[0] in ("copy", "move"):
            _all_in(words[2], bound, line)
            bound.add(words[1])
            bound -= {words[2]} if words[0] == "move" else set()
        elif words[0] == "drop":
            _all_in(line, bound, line)
            bound -= set(words[1:])
        else:
            text = right if binds else line
            if missing := [size for size in _SIZES.findall(text) if size.split(".")[0] not in seen]:
                raise Refusal(f"{missing[0]} is the size of nothing in `{line}`")
            _all_in(_SIZES.sub("", text), bound, line)
        if words[0] == "enter":
            # Of a layer that may be checkpointed only the arguments are there inside.
            checkpointed = line.endswith(")")
            outer.append((set(bound), set(seen)) if checkpointed else None)
            if checkpointed:
                # A cache of which a layer is given another one that holds it; a checkpointed layer is given none.
                bound = set(NAME.findall(line)) | caches
                seen = set(bound)
        if binds and right.startswith(("cache dynamic", "cache encoder_decoder")):
            caches |= set(NAME.findall(left))
        if binds:
            bound |= set(NAME.findall(left))
        seen |= bound


def _all_in(text, bound, line):
    for name in NAME.findall(text):
        if name not in bound:
            raise Refusal(f"{name} comes from nowhere in `{line}`")
