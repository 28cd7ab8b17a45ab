"""Whether a value that the program reads decides anything that its memory depends on.

The rule:

* A size decides.
* A whole number decides, and so does a list of them, unless the statement adds it to a sum (`correct +=
  x.sum().item()`), prints it or logs it. A tensor of whole numbers that is copied to the host as a whole, and no list,
  decides as a floating-point number does.
* A flag decides, except in an `assert`, and where torch itself reads it: torch checks its arguments, and goes on if
  they are as they should be.
* A floating-point number decides only if the program compares it, tests it, or makes a whole number of it: within the
  expression that reads it, or by the name that it is assigned to, within the same function. Training loops read losses
  and norms to print them, and to end where one is no number (`math.isfinite`), which no sound run does.

The rule looks at the program's source. Where there is none, a whole number and a flag decide, a floating-point number
does not.
"""

import ast
import functools
import linecache

# Calls that read a number from a tensor.
READING = frozenset(["bool", "float", "int", "item", "tolist"])
# Calls that ask whether a number is one: zero is, as every number of a sound run, so they decide nothing.
GUARDING = frozenset(["isfinite", "isinf", "isnan"])
# Calls that show a number: as a statement of their own they decide nothing.
SHOWING = frozenset(
    [
        "print",
        "write",
        "info",
        "debug",
        "warning",
        "error",
        "log",
        "log_metrics",
        "add_scalar",
        "append",
        "update",
        "set_postfix",
    ]
)


def decides(kind, sort, where, is_torchs_own):
    """Whether a read of this kind, at this line outside of torch, decides something."""
    if kind == "size":
        return True
    if where is None or (sort == "flag" and is_torchs_own):
        return False
    file, line = where
    deciding, harmless, lists = _lines_of(file)
    if sort == "float" or (kind == "copy" and line not in lists):
        return line in deciding
    return line in deciding or line not in harmless


@functools.lru_cache(maxsize=256)
def _lines_of(file):
    """The lines of a file whose numbers are compared, tested, or made whole; those of statements that decide nothing
    otherwise; and those that make lists of tensors.
    """
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except (SyntaxError, ValueError, RecursionError):
        return frozenset(), frozenset(), frozenset()
    deciding, harmless, lists = set(), set(), set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            deciding |= _of_scope(node)
        if isinstance(node, (ast.AugAssign, ast.Assert)) or _is_showing(node):
            harmless |= _lines(node)
        if isinstance(node, ast.Attribute) and node.attr == "tolist":
            lists |= _lines(node)
    return frozenset(deciding), frozenset(harmless), frozenset(lists)


def _called(call):
    """The name of the function or of the method that is called."""
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def _is_showing(node):
    """Whether a statement only prints or logs."""
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
        return False
    called = node.value.func
    return (called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")) in SHOWING


def _of_scope(scope):
    """The deciding lines of one function, or of the statements outside of any."""
    nodes = list(_within(scope))
    tested, lines = set(), set()
    for node in nodes:
        for part in _tests(node):
            for inner in _unguarded(part):
                if isinstance(inner, ast.Name):
                    tested.add(inner.id)
                elif isinstance(inner, ast.Call) and _called(inner) in READING:
                    lines |= _lines(inner)
    for node in nodes:
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.NamedExpr)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = {inner.id for target in targets for inner in ast.walk(target) if isinstance(inner, ast.Name)}
            if names & tested:
                lines |= _lines(node)
    return lines


def _unguarded(part):
    """The nodes of an expression without the arguments of calls that ask whether a number is one."""
    waiting = [part]
    while waiting:
        node = waiting.pop()
        yield node
        if not (isinstance(node, ast.Call) and _called(node) in GUARDING):
            waiting.extend(ast.iter_child_nodes(node))


def _within(scope):
    """The nodes of a function without those of functions inside it."""
    waiting = list(ast.iter_child_nodes(scope))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            waiting.extend(ast.iter_child_nodes(node))


def _tests(node):
    """The expressions of a node whose values decide."""
    if isinstance(node, (ast.If, ast.While, ast.IfExp)):
        return [node.test]
    if isinstance(node, ast.Compare):
        return [node.left, *node.comparators]
    if isinstance(node, ast.comprehension):
        return node.ifs
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("int", "round", "range"):
        return node.args
    return []


def _lines(node):
    """The lines that a node spans."""
    return set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
