"""Calls after the program's own imports."""

import importlib
import sys
import unittest

from brimful_rehearsal import imports

from .support import Source


class After(unittest.TestCase):
    """`imports.after`."""

    def test_a_call_comes_after_the_whole_module_has_run(self):
        """And once, though the module is imported twice."""
        seen = []
        with Source(late=lambda module: setattr(module, "value", 1)):
            imports.after("late", lambda module: seen.append(module.value))
            self.assertEqual(seen, [])
            importlib.import_module("late")
            importlib.import_module("late")
        self.assertEqual(seen, [1])

    def test_a_module_that_is_imported_already_is_called_with_at_once(self):
        """The program may have imported it before torch."""
        seen = []
        imports.after("unittest", seen.append)
        self.assertEqual(seen, [unittest])

    def test_a_module_whose_own_import_asks_is_complete_when_it_is_called_with(self):
        """As `sglang.srt.server_args`, which imports torch, at which the hook begins."""
        seen = []

        def fill(module):
            imports.after("early", lambda early: seen.append(early.value))
            module.value = 2

        with Source(early=fill):
            imports.expect("early")
            importlib.import_module("early")
        self.assertEqual(seen, [2])

    def test_a_module_that_does_not_exist_stays_an_import_error(self):
        """Programs try imports."""
        imports.after("no_such_module", lambda module: None)
        with self.assertRaises(ModuleNotFoundError):
            importlib.import_module("no_such_module")
        self.assertNotIn("no_such_module", sys.modules)
