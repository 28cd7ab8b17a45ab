"""The serving engines that a rehearsal understands. Each module of this folder that is an engine registers itself."""

import importlib
import pkgutil

from . import registry


def attach(record):
    """Imports every module of the folder, and has each engine watch its own imports."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    registry.attach_all(record)
