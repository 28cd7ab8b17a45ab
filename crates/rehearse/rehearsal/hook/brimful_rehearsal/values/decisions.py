"""Whether a value that the program reads decides anything that its memory depends on.

The rule: a size, a whole number and a flag decide. A floating-point number decides only if the program compares it,
makes a whole number of it, or tests it: within the expression that reads it, or by the name that it is assigned to,
within the same function. Training loops read losses and norms to print them; they decide nothing. What torch reads for
itself alone, such as GradScaler's look at infinite gradients, decides nothing either. The rule looks at the program's
source; if that is not there, a floating-point number is taken to decide nothing.
"""

import ast
import functools
import linecache


def decides(kind, sort, where):
    """Whether a read of this kind at this line decides something."""
    if where is None:
        return False
    if sort != "float":
        return True
    file, line = where
    return line in _deciding_lines(file)


@functools.lru_cache(maxsize=256)
def _deciding_lines(file):
    """The lines of a file whose numbers are compared, tested, or made whole."""
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except (SyntaxError, ValueError, RecursionError):
        return frozenset()
    lines = set()
    for scope in ast.walk(tree):
        if isinstance(scope, (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            lines |= _of_scope(scope)
    return frozenset(lines)


def _of_scope(scope):
    """The deciding lines of one function, or of the statements outside of any."""
    nodes = list(_within(scope))
    tested, lines = set(), set()
    for node in nodes:
        for part in _tests(node):
            for inner in ast.walk(part):
                if isinstance(inner, ast.Name):
                    tested.add(inner.id)
                elif isinstance(inner, ast.Call):
                    lines |= _lines(inner)
    for node in nodes:
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.NamedExpr)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = {inner.id for target in targets for inner in ast.walk(target) if isinstance(inner, ast.Name)}
            if names & tested:
                lines |= _lines(node)
    return lines


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
