"""Writes the layers of a list once: which lines belong to a layer, which names one layer hands to the next."""

import re

from .tracer import Refusal

NAME = re.compile(r"%\d+")


def children(lines, path):
    """Where the forwards of a list's modules begin and end: `(index, first line, line after)`, in order."""
    found, depth, opened = [], 0, None
    pattern = re.compile(rf"enter {re.escape(path)}\.(\d+) ")
    for number, line in enumerate(lines):
        if line.startswith("enter "):
            match = pattern.match(line)
            if match and opened is None:
                opened = (int(match.group(1)), number, depth)
            depth += 1
        elif line.split(" ", 1)[0] == "leave":
            depth -= 1
            if opened is not None and depth == opened[2]:
                found.append((opened[0], opened[1], number + 1))
                opened = None
    return found


def template(line, path, index):
    """A line of layer `index` as a line of layer `i`."""
    line = re.sub(rf"(?<![\w.]){re.escape(path)}\.{index}(?=[. (),\]]|$)", f"{path}.{{i}}", line)
    return line.replace(f"@{index}@", "i")


def renumbered(lines):
    """Names in the order of their first sight."""
    seen = {}
    return [NAME.sub(lambda match: seen.setdefault(match.group(), f"%{len(seen)}"), line) for line in lines]


class Loop:
    """The iterations of one list in one recording."""

    def __init__(self, lines, path):
        """Finds the layers' calls and divides the lines between them."""
        self.path = path
        self.spans = children(lines, path)
        if [span[0] for span in self.spans] != list(range(len(self.spans))) or len(self.spans) < 2:
            raise Refusal(f"the layers of {path} are not called once each, in order")
        before, after = self._edges(lines)
        starts = [first - before for _, first, _ in self.spans]
        ends = starts[1:] + [self.spans[-1][2] + after]
        self.prefix, self.suffix = lines[: starts[0]], lines[ends[-1] :]
        self.bodies = [
            [template(line, path, index) for line in lines[start:end]]
            for index, (start, end) in enumerate(zip(starts, ends))
        ]

    def _edges(self, lines):
        """How many lines before and after a layer's call belong to its iteration."""
        # The gap before the last layer: at the first one, what the first layer was given may live on.
        gap = lines[self.spans[-2][2] : self.spans[-1][1]]
        words = [_kind(line, self.path) for line in gap]
        first, last = self.spans[0][1], self.spans[-1][2]
        best = None
        for after in range(len(gap), -1, -1):
            before = len(gap) - after
            head = [_kind(line, self.path) for line in lines[first - before : first]]
            tail = [_kind(line, self.path) for line in lines[last : last + after]]
            score = _agreement(head, words[after:]) + _agreement(tail, words[:after])
            if best is None or score > best[0]:
                best = (score, before, after)
        _, before, after = best
        return before, after


def _kind(line, path):
    line = re.sub(rf"{re.escape(path)}\.\d+", path, line)
    return NAME.sub("%", re.sub(r"@\d+@", "i", line))


def _agreement(one, other):
    return sum(a == b for a, b in zip(one, other))


def _bound(line):
    """The names that a line binds."""
    left, equals, _ = line.partition(" = ")
    return NAME.findall(left) if equals and left.startswith(("%", "_")) else []


def fold(lines, path, new_name, first_alone=False):
    """The lines with one body per kind of layer. `first_alone` lets the first layer be of a kind of its own.

    Returns the lines before the loop, the bodies by kind, each layer's kind, and the lines after the loop.
    """
    loop = Loop(lines, path)
    tags = _carried(loop, first_alone)
    carried = {tag: new_name() for tag in tags}
    kinds, chosen = [], [None]
    for index in range(1, len(loop.bodies)):
        body = _rewritten(loop, index, carried)
        shapes = [_shape(kind, carried) for kind in kinds]
        if _shape(body, carried) not in shapes:
            kinds.append(_own_names(body, carried, new_name, loop, index))
            shapes.append(_shape(body, carried))
        chosen.append(shapes.index(_shape(body, carried)))
    initial = None
    for number, kind in enumerate(kinds):
        initial = _unified(loop.bodies[0], kind, set(carried.values()), _own(loop, 0))
        if initial is not None:
            chosen[0] = number
            break
    if initial is None and first_alone:
        # Its results are bound to the carried names at once, and what the others use of it has no name of theirs.
        own = {_at(loop, 0, tag): name for tag, name in carried.items()}
        kinds.append([_renamed(line, own) for line in loop.bodies[0]])
        chosen[0], initial = len(kinds) - 1, {}
    if initial is None:
        raise Refusal(f"the first of {path} is of a kind of its own")
    # Letters go by the first layer of each kind, as in the constructor.
    order = list(dict.fromkeys(chosen))
    kinds, chosen = [kinds[kind] for kind in order], [order.index(kind) for kind in chosen]
    copies = [line for name in carried.values() if name in initial for line in _handed(loop, name, initial[name])]
    final = {_at(loop, len(loop.bodies) - 1, tag): name for tag, name in carried.items()}
    return loop.prefix + copies, kinds, chosen, [_renamed(line, final) for line in loop.suffix]


def _handed(loop, name, value):
    """The lines with which the first layer gets its value; where the layer ends the value, nobody else holds it."""
    ends = f"drop {value}" in loop.bodies[0]
    return [f"copy {name} {value}"] + ([f"drop {value}"] if ends else [])


def _own(loop, index):
    return {name for line in loop.bodies[index] for name in _bound(line)}


def _used(lines):
    return {name for line in lines for name in NAME.findall(line)}


def _carried(loop, first_alone):
    """The places of the names that live on into the next layer or behind the loop.

    With `first_alone` names of the first layer may live longer, as names of the whole loop.
    """
    found = []
    for index, body in enumerate(loop.bodies):
        last = index + 1 == len(loop.bodies)
        later = loop.suffix if last else loop.bodies[index + 1]
        far = set() if last else _used([line for one in loop.bodies[index + 2 :] for line in one] + loop.suffix)
        own = _own(loop, index)
        if far & own and (index or not first_alone):
            raise Refusal(f"{min(far & own)}, bound in layer {index} of {loop.path}, lives longer than the next layer")
        alive = (_used(later) & own) - far
        for tag, name in enumerate(_bindings(body)):
            if name in alive and tag not in found:
                found.append(tag)
    for index in range(len(loop.bodies)):
        for tag in found:
            name = _at(loop, index, tag)
            if any(line.startswith("drop ") and name in line.split() for line in loop.bodies[index]):
                raise Refusal(f"the layers of {loop.path} hand over different names")
    return found


def _bindings(body):
    """The names that a body binds, the last one first: kinds differ in what comes before their results."""
    return [name for line in body for name in _bound(line)][::-1]


def _at(loop, index, tag):
    names = _bindings(loop.bodies[index])
    if tag >= len(names):
        raise Refusal(f"the layers of {loop.path} hand over different names")
    return names[tag]


def _renamed(line, names):
    return NAME.sub(lambda match: names.get(match.group(), match.group()), line)


def _rewritten(loop, index, carried):
    """A body with the carried names for those of the layer before, and moves where an old value ends."""
    own = {name: _at(loop, index, tag) for tag, name in carried.items()}
    old = {_at(loop, index - 1, tag): name for tag, name in carried.items()}
    lines, bound, moved = [], set(), set()
    for line in loop.bodies[index]:
        line = _renamed(line, old)
        bound.update(_bound(line))
        words = line.split()
        if words[0] == "drop" and own.get(words[1]) in bound:
            lines.append(f"move {words[1]} {own[words[1]]}")
            moved.add(words[1])
        else:
            lines.append(line)
    return lines + [f"move {name} {source}" for name, source in own.items() if name not in moved]


def _shape(lines, carried):
    """Lines with their own names numbered by first sight, for comparing bodies."""
    kept = set(carried.values())
    own = {name for line in lines for name in _bound(line)} - kept
    seen = {}

    def name(match):
        text = match.group()
        return seen.setdefault(text, f"%own{len(seen)}") if text in own else text

    return [NAME.sub(name, line) for line in lines]


def _own_names(body, carried, new_name, loop, index):
    """The body with new names for its own, so that kinds do not share any."""
    names = {name: new_name() for line in body for name in _bound(line)}
    return [_renamed(line, names) for line in body]


def _unified(body, kind, carried, own):
    """Whether the first layer's body is of this kind: the initial values of the carried names, or `None`."""
    match, number = {}, 0
    for line in kind:
        mine = body[number] if number < len(body) else ""
        words = line.split()
        if words[0] in ("drop", "move") and words[1] in carried:
            # The first layer's value may be held by somebody else, so that nothing ends here.
            if mine.startswith("drop ") and mine.split()[1] == match.get(words[1]):
                number += 1
            continue
        names, theirs = NAME.findall(mine), NAME.findall(line)
        if NAME.sub("%", mine) != NAME.sub("%", line) or len(names) != len(theirs):
            return None
        for name, other in zip(names, theirs):
            if name not in own and other not in carried and name != other:
                return None
            if match.setdefault(other, name) != name:
                return None
        number += 1
    if number < len(body):
        return None
    return {name: match[name] for name in carried if name in match and match[name] not in own}


def _wanted(lines, path):
    return len(children(lines, path)) > 1


fold.wanted = _wanted


def fold_build(lines, path, new_name, first_alone=False):  # noqa: ARG001 - kinds are found without it
    """The constructor's lines with one body per kind of layer: lines belong to the layer whose path comes next."""
    owners = _owners(lines, path)
    indices = [owner for owner in owners if owner is not None]
    # Layers that are initialised after all of them were made come in a loop of their own.
    indices = indices[: next((at for at in range(1, len(indices)) if indices[at] < indices[at - 1]), None)]
    first = owners.index(indices[0])
    last = [at for at, owner in enumerate(owners) if owner is not None][len(indices) - 1]
    bodies = {}
    for line, owner in zip(lines[first : last + 1], owners[first : last + 1]):
        index = owner if owner is not None else max(bodies, default=0)
        if bodies and index != max(bodies) and index != max(bodies) + 1:
            raise Refusal(f"the layers of {path} are not made one after the other")
        bodies.setdefault(index, []).append(template(line, path, index))
    kinds, shapes, chosen = [], [], []
    for index in sorted(bodies):
        body = _drops_moved(bodies, index)
        if _shape(body, {}) not in shapes:
            shapes.append(_shape(body, {}))
            kinds.append(_own_names(body, {}, new_name, None, index))
        chosen.append(shapes.index(_shape(body, {})))
    return lines[:first], kinds, chosen, lines[last + 1 :]


def _owners(lines, path):
    """The layer of each line, or `None`: lines that compute belong to what comes of them."""
    owner, owners = None, []
    for line in reversed(lines):
        match = re.search(rf"(?<![\w.]){re.escape(path)}\.(\d+)\.", line)
        if line.split(" ", 1)[0] in _OWNING:
            owner = int(match.group(1)) if match else None
        owners.append(owner)
    owners.reverse()
    for number in range(1, len(lines)):
        # What ends behind a layer's last line is that layer's.
        if lines[number].startswith("drop ") or lines[number].endswith(" restore"):
            owners[number] = owners[number - 1]
    opened = []
    for number, line in enumerate(lines):
        if line.endswith(" off"):
            opened.append(number)
        elif line.endswith(" restore") and owners[start := opened.pop()] != owners[number]:
            # The region holds several layers, so that it is none of theirs.
            owners[start] = owners[number] = None
    return owners


_OWNING = ("linear", "conv1d", "embedding", "parameter", "buffer", "write", "freeze", "inputs")


def _drops_moved(bodies, index):
    """A body without the drops of the layer before, with those that stand at the beginning of the next."""
    own = {name for line in bodies[index] for name in _bound(line)}
    mine = [line for line in bodies[index] if not line.startswith("drop ") or line.split()[1] in own]
    for line in bodies.get(index + 1, []):
        if not line.startswith("drop "):
            break
        if line.split()[1] in own:
            mine.append(line)
    return mine


def _wanted_in_build(lines, path):
    return any(re.search(rf"(?<![\w.]){re.escape(path)}\.1\.", line) for line in lines)


fold_build.wanted = _wanted_in_build
