"""What a config's class makes of its keys in `__post_init__`, as expressions of other keys."""

import ast
import dataclasses
import inspect
import textwrap

# Values of other keys with which the class and the expression must agree.
_TRIALS = [
    {"num_hidden_layers": 7},
    {"num_hidden_layers": 48},
    {"num_hidden_layers": 9, "use_sliding_window": True, "sliding_window": 64, "max_window_layers": 4},
    {"num_hidden_layers": 9, "sliding_window": None},
    {"num_hidden_layers": 9, "use_bidirectional_attention": True},
    {"qk_rope_head_dim": 24, "qk_nope_head_dim": 40, "hidden_size": 960, "num_attention_heads": 12},
    {"num_hidden_layers": 9, "no_rope_layer_interval": 3, "first_k_dense_replace": 2},
]


class _Unsaid(Exception):  # noqa: N818 - what it means
    """The expression is none that a program can hold."""


class Rules:
    """What the class of a config makes of keys."""

    def __init__(self, config):
        """Reads the class's own `__post_init__`, and keeps what agrees with it."""
        self.cls = type(config)
        self.replaced, self.missing, self.defaults = {}, {}, {}
        self.names = {}
        body = _post_init(self.cls)
        self._read(body)
        for key, text in list(self.replaced.items()):
            kept = f"{key} if {key} != null else "
            if text.startswith(kept):
                self.missing[key] = self.replaced.pop(key).removeprefix(kept)
        self.replaced = {key: text for key, text in self.replaced.items() if self._agrees(key, text, {})}
        self.missing = {key: text for key, text in self.missing.items() if self._agrees(key, text, {key: None})}
        # A name that is no field of the class comes with `**kwargs`, which are set last.
        fields = {field.name for field in dataclasses.fields(self.cls)} if dataclasses.is_dataclass(self.cls) else set()
        for key in [key for key in self.replaced if fields and key not in fields]:
            self.missing[key] = self.replaced.pop(key)

    def _read(self, body):
        for statement in body:
            if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
                self._assigned(statement.targets[0], statement.value, self.replaced)
            elif isinstance(statement, ast.If) and (key := _asks_for_none(statement.test)) and not statement.orelse:
                for inner in _as_list(statement.body):
                    if isinstance(inner, ast.Assign) and len(inner.targets) == 1:
                        only = {}
                        self._assigned(inner.targets[0], inner.value, only)
                        self.missing |= {name: text for name, text in only.items() if name == key}

    def _assigned(self, target, value, into):
        try:
            if isinstance(target, ast.Attribute) and _is_self(target.value):
                if (given := self._from_kwargs(value)) is not None:
                    self.names["self." + target.attr] = given
                else:
                    into[target.attr] = self.text(value)
            elif isinstance(target, ast.Name):
                given = self._from_kwargs(value)
                self.names[target.id] = given if given is not None else self.text(value)
        except _Unsaid:
            return

    def _from_kwargs(self, value):
        """`kwargs.get(key, default)` is a key that config.json may hold and the class does not keep."""
        if not (isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and len(value.args) == 2):
            return None
        holder, (key, default) = value.func.value, value.args
        if not (isinstance(holder, ast.Name) and holder.id == "kwargs" and value.func.attr in ("get", "pop")):
            return None
        if not (isinstance(key, ast.Constant) and isinstance(default, ast.Constant)):
            return None
        self.defaults[key.value] = default.value
        return key.value

    def text(self, node):
        """An expression of Python as one of a program."""
        if isinstance(node, ast.Constant):
            return _literal(node.value)
        if isinstance(node, ast.Attribute) and _is_self(node.value):
            return self.names.get("self." + node.attr, node.attr)
        if isinstance(node, ast.Name):
            if node.id == "i":
                return "i"
            if node.id in self.names:
                return self.names[node.id]
            raise _Unsaid
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("bool", "list"):
            return self.text(node.args[0])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "int":
            if isinstance(node.args[0], ast.Compare):
                return f"1 if {self.text(node.args[0])} else 0"
            raise _Unsaid
        return self._operation(node)

    def _operation(self, node):
        if isinstance(node, ast.IfExp):
            return f"{self.text(node.body)} if {self.text(node.test)} else {self.text(node.orelse)}"
        if isinstance(node, ast.BoolOp):
            word = " and " if isinstance(node.op, ast.And) else " or "
            return "(" + word.join(self.text(value) for value in node.values) + ")"
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return f"not ({self.text(node.operand)})"
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            return f"({self.text(node.left)} {_OPERATORS[type(node.op)]} {self.text(node.right)})"
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _OPERATORS:
            return f"{self.text(node.left)} {_OPERATORS[type(node.ops[0])]} {self.text(node.comparators[0])}"
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Attribute):
            return f"{self.text(node.value)}[{self.text(node.slice)}]"
        if isinstance(node, ast.ListComp) and len(node.generators) == 1:
            return self._list(node)
        raise _Unsaid

    def _list(self, node):
        loop = node.generators[0]
        counted = isinstance(loop.iter, ast.Call) and isinstance(loop.iter.func, ast.Name)
        if loop.ifs or not counted or loop.iter.func.id != "range" or len(loop.iter.args) != 1:
            raise _Unsaid
        if not isinstance(loop.target, ast.Name):
            raise _Unsaid
        self.names[loop.target.id] = "i"
        return f"[{self.text(node.elt)} for i in {self.text(loop.iter.args[0])}]"

    def _agrees(self, key, text, changed):
        """Whether the class makes the same of a few configs."""
        plain = getattr(self.cls(), key, None)
        if not isinstance(plain, (list, int)) and key != "sliding_window":
            return False
        code = compile(text.replace(" for i in ", " for i in range_of @ "), key, "eval")
        for trial in _TRIALS:
            given = {name: value for name, value in trial.items() if hasattr(self.cls(), name)} | changed
            try:
                made = self.cls(**given)
            except Exception:  # noqa: BLE001 - a class may refuse a value
                continue
            # Another key that the class computes is what it computes of these values.
            computed = {name: getattr(made, name) for name in self.missing if name != key}
            names = vars(self.cls()) | self.defaults | computed | given
            if key not in given:
                names[key] = self.cls.__dict__.get(key, names.get(key))
            names |= {"null": None, "true": True, "false": False, "range_of": _Range()}
            try:
                if eval(code, {"__builtins__": {}, **names}) != getattr(made, key):  # noqa: S307
                    return False
            except Exception:  # noqa: BLE001 - then it does not agree
                return False
        return True


class _Range:
    """Makes `range_of @ n` the range of n."""

    def __matmul__(self, count):
        return range(count)


_OPERATORS = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Is: "==",
    ast.IsNot: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
}


# The activations that T5's checkpoints and their relatives have, and its class's name for one of them.
_ACTIVATIONS = ("relu", "gelu", "silu", "gelu_new", "swish", "tanh", "gelu_pytorch_tanh")


def of_feed_forward_proj(config):
    """What T5's class makes of `feed_forward_proj` and of `tie_word_embeddings`: keys and expressions."""
    cls = type(config)
    if not hasattr(config, "feed_forward_proj"):
        return []
    words = [*_ACTIVATIONS, *(f"gated-{word}" for word in _ACTIVATIONS)]
    found = {word: cls(feed_forward_proj=word).dense_act_fn for word in words}
    choices = [
        f'"{name}" if feed_forward_proj in [' + ", ".join(f'"{word}"' for word in words if found[word] == name) + "]"
        for name in dict.fromkeys(found.values())
    ]
    gated = ", ".join(f'"{word}"' for word in words if cls(feed_forward_proj=word).is_gated_act)
    made = [
        ("dense_act_fn", " else ".join([*choices, "feed_forward_proj"])),
        ("is_gated_act", f"feed_forward_proj in [{gated}]"),
    ]
    if hasattr(config, "scale_decoder_outputs"):
        scaled = {value: cls(tie_word_embeddings=value).scale_decoder_outputs for value in (True, False)}
        if scaled == {True: True, False: False} and cls().scale_decoder_outputs:
            made.append(("scale_decoder_outputs", "tie_word_embeddings != false"))
    return made


def _literal(value):
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, (int, float)):
        return repr(value)
    raise _Unsaid


def _is_self(node):
    return isinstance(node, ast.Name) and node.id == "self"


def _asks_for_none(test):
    """The key of `self.key is None`."""
    if isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Is) and isinstance(test.left, ast.Attribute):
        none = isinstance(test.comparators[0], ast.Constant) and test.comparators[0].value is None
        return test.left.attr if none and _is_self(test.left.value) else None
    return None


def _as_list(body):
    """Statements that fill a list in a loop with one of two values, as the list that they make."""
    if len(body) != 2 or not (isinstance(body[0], ast.Assign) and isinstance(body[1], ast.For)):
        return body
    start, loop = body
    target, local = start.targets[0], {}
    for statement in loop.body[:-1]:
        if not (isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)):
            return body
        local[statement.targets[0].id] = statement.value
    choice = loop.body[-1]
    added = [_appended(branch, target) for branch in (choice.body, choice.orelse)] if isinstance(choice, ast.If) else []
    empty = isinstance(start.value, ast.List) and not start.value.elts
    if not empty or len(added) != 2 or None in added:
        return body
    element = ast.IfExp(test=_Inlined(local).visit(choice.test), body=added[0], orelse=added[1])
    made = ast.comprehension(target=loop.target, iter=loop.iter, ifs=[], is_async=0)
    return [ast.Assign(targets=[target], value=ast.ListComp(elt=element, generators=[made]))]


def _appended(branch, target):
    """What the only statement of a branch appends to the list."""
    if len(branch) != 1 or not (isinstance(branch[0], ast.Expr) and isinstance(branch[0].value, ast.Call)):
        return None
    call = branch[0].value
    appends = isinstance(call.func, ast.Attribute) and call.func.attr == "append"
    same = appends and ast.unparse(call.func.value) == ast.unparse(target)
    return call.args[0] if same and len(call.args) == 1 else None


class _Inlined(ast.NodeTransformer):
    """Puts the values of local names in their place."""

    def __init__(self, local):
        """`local` are expressions by name."""
        self.local = local

    def visit_Name(self, node):  # noqa: N802 - the name that ast calls
        """A local name becomes its expression."""
        return self.local.get(node.id, node)


def _post_init(cls):
    function = cls.__dict__.get("__post_init__")
    if function is None:
        return []
    try:
        source = textwrap.dedent(inspect.getsource(inspect.unwrap(function)))
    except (OSError, TypeError):
        return []
    return ast.parse(source).body[0].body
