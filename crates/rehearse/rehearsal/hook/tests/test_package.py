"""The package as a whole: its imports, its docstrings, and when it imports anything."""

import ast
import subprocess
import sys
import unittest
from pathlib import Path

HOOK = Path(__file__).parent.parent
PACKAGE = HOOK / "brimful_rehearsal"


def imported(path):
    """The modules of the package that a file imports anywhere, by their dotted names below the package."""
    folder = path.relative_to(PACKAGE).parent.parts
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom) or node.level == 0:
            continue
        base = folder[: len(folder) - node.level + 1] + tuple(filter(None, (node.module or "").split(".")))
        for name in [alias.name for alias in node.names]:
            longer = base + (name,)
            is_module = PACKAGE.joinpath(*longer).with_suffix(".py").exists() or PACKAGE.joinpath(*longer).is_dir()
            found.add(".".join(longer if is_module else base))
    return found


def modules():
    """The files of the package by their dotted names; a folder's __init__ has the folder's name."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


class Package(unittest.TestCase):
    """What holds for every file."""

    def test_no_module_imports_itself_through_others(self):
        """A circle of imports works or fails by which module happens to be imported first."""
        edges = {name: imported(path) for name, path in modules()}
        self.assertIn("engines.registry", edges["engines.vllm"])

        def visit(name, above):
            self.assertNotIn(name, above, " -> ".join([*above, name]))
            for other in sorted(edges[name]):
                visit(other, [*above, name])

        for name in edges:
            visit(name, [])

    def test_every_function_has_a_docstring(self):
        """Except magic methods, and functions inside of functions, which replace a library's own."""
        for name, path in modules():
            tree = ast.parse(path.read_text())
            owners = [tree, *(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))]
            for function in (node for owner in owners for node in owner.body if isinstance(node, ast.FunctionDef)):
                if not function.name.startswith("__"):
                    self.assertTrue(ast.get_docstring(function), f"{name}.{function.name}")

    def test_a_program_without_torch_gets_nothing_but_the_hook(self):
        """Before torch the hook may import only itself and `imports`: every process of a command pays for it."""
        code = (
            "import brimful_rehearsal, sys; before = set(sys.modules)\n"
            "brimful_rehearsal.install(); print(*set(sys.modules) - before)"
        )
        run = subprocess.run([sys.executable, "-c", code], cwd=HOOK, check=True, capture_output=True, text=True)
        self.assertEqual(run.stdout.split(), ["brimful_rehearsal.imports"])
