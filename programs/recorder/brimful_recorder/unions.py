"""Two sections of a program as one, with `when … end` around the lines in which they differ."""

import difflib
from itertools import count

from .loops import NAME, renumbered

_OPENING, _CLOSING = ("enter", "each", "kind", "when"), ("leave", "end")


def union(one, other, when_one, when_other):
    """The lines of both; `None` where their names cannot be brought together, or too little is shared."""
    blocks = difflib.SequenceMatcher(None, _by_origin(one), _by_origin(other), autojunk=False).get_opcodes()
    shared = sum(b - a for tag, a, b, _, _ in blocks if tag == "equal")
    if 2 * shared < max(len(one), len(other)):
        return None
    names = _brought_together(one, other, blocks)
    if names is None:
        return None
    fresh = count(2_000_000)
    for line in other:
        for name in NAME.findall(line):
            if name not in names:
                names[name] = f"%{next(fresh)}"
    renamed = [NAME.sub(lambda match: names[match.group()], line) for line in other]
    made = []
    for tag, a, b, c, d in blocks:
        if tag == "equal":
            made += one[a:b]
            continue
        for lines, condition in ((one[a:b], when_one), (renamed[c:d], when_other)):
            if not _balanced(lines):
                return None
            made += [f"when {condition}", *lines, "end"] if lines else []
    return renumbered(made)


def rebound(lines, other):
    """Lines in which a name goes on where a call that `other` lacks gives it a new value, as in `x = x.to(dtype)`.

    The program then reads `move` where Python drops the old value, and the name is the same in both recordings.
    """
    known = {_right(line) for line in other}
    made, waiting, names = [], {}, {}
    for line in lines:
        line = _with_names(line, names)
        words = line.split()
        if words[0] == "drop" and len(words) == 2 and words[1] in waiting:
            new = waiting.pop(words[1])
            made.append(f"move {words[1]} {new}")
            names = {key: words[1] if value == new else value for key, value in names.items()} | {new: words[1]}
            continue
        if words[0] != "drop":
            waiting = {}
        left, equals, right = line.partition(" = ")
        if equals and NAME.fullmatch(left) and _right(line) not in known and (first := NAME.search(right)):
            waiting[first.group()] = left
        made.append(line)
    return made


def _with_names(line, names):
    return NAME.sub(lambda match: names.get(match.group(), match.group()), line)


def _right(line):
    """What a line calls, whatever the names."""
    return NAME.sub("%", line.partition(" = ")[2])


def _by_origin(lines):
    """Lines with the text that made a name for the name, so that drops of different tensors are not alike."""
    origins, made = {}, []
    for line in lines:
        made.append(NAME.sub(lambda match: origins.get(match.group(), "%"), line))
        left, equals, right = line.partition(" = ")
        if equals and left.startswith("%"):
            for number, name in enumerate(NAME.findall(left)):
                origins[name] = f"<{number} {NAME.sub('%', right)}>"
    return made


def _brought_together(one, other, blocks):
    """The names of `other` as those of `one`, by the lines that are alike."""
    names, taken = {}, {}
    for tag, a, b, c, d in blocks:
        if tag != "equal":
            continue
        for left, right in zip(one[a:b], other[c:d]):
            for mine, theirs in zip(NAME.findall(left), NAME.findall(right)):
                if names.setdefault(theirs, mine) != mine or taken.setdefault(mine, theirs) != theirs:
                    return None
    return names


def _balanced(lines):
    """Whether blocks that open within these lines end within them."""
    depth = 0
    for line in lines:
        word = line.split(" ", 1)[0]
        if word == "kind":
            return False
        depth += (word in _OPENING or line.endswith(" off")) - (word in _CLOSING or line.endswith(" restore"))
        if depth < 0:
            return False
    return depth == 0
