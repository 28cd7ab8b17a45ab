"""What the tests share: a record that writes nothing, and modules that are not installed."""

import importlib.abc
import importlib.util
import sys
from types import SimpleNamespace

from brimful_rehearsal.settings import Settings


class FakeRecord:
    """A record that keeps what it is given."""

    def __init__(self, **settings):
        self.settings = Settings(folder="/nowhere", history=10, **settings)
        self.notes, self.figures, self.errors, self.ends = [], {}, [], []
        self.steps, self.optimizers = 0, []
        self.error, self.reached = None, False
        self.marks = SimpleNamespace(add=lambda optimizer: None)

    def show_steps(self):
        """Nobody looks."""

    def hand_over_now(self):
        """Nobody reads it."""

    def note(self, text):
        """Keeps a note."""
        self.notes.append(text)

    def serve(self, engine, **figures):
        """Keeps figures."""
        self.figures.update(figures)

    def keep_error(self, error):
        """Keeps an error."""
        self.errors.append(error)

    def finish(self, ended):
        """Keeps how the process ended."""
        self.ends.append(ended)


class Source(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Modules that consist of a function which fills them."""

    def __init__(self, **modules):
        self.modules = modules

    def __enter__(self):
        sys.meta_path.append(self)
        return self

    def __exit__(self, *error):
        sys.meta_path.remove(self)
        for name in self.modules:
            sys.modules.pop(name, None)

    def find_spec(self, name, path=None, target=None):
        """The spec of one of the modules."""
        return importlib.util.spec_from_loader(name, self) if name in self.modules else None

    def create_module(self, spec):
        """A module as Python makes it."""

    def exec_module(self, module):
        """Fills the module."""
        self.modules[module.__name__](module)
