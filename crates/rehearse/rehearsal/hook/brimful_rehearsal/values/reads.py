"""Reads of values that are not known, with the lines of the program that made them."""

import os
import sys

from .decisions import decides

# The most different lines that a record keeps.
MOST_LINES = 512
OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Folders of code that the user of a program has not written.
INSTALLED = ("site-packages", "dist-packages")
STANDARD = os.path.dirname(os.__file__)


class Reads:
    """What was read without being known."""

    def __init__(self):
        self.off = None
        self.lines = {}
        self.places = {}
        self.missing = None
        # The functions of `kernels.Kernels`, from when the operators are wrapped.
        self.know = self.find = None

    def read(self, kind, dtype, elements):
        """Counts a read of values on the host."""
        sort = (
            "float"
            if dtype.is_floating_point or dtype.is_complex
            else "flag"
            if str(dtype) == "torch.bool"
            else "whole"
        )
        self.add(kind, sort, "")

    def size(self, operator):
        """Counts a size that was taken as large as it can be."""
        self.add("size", "whole", operator)

    def add(self, kind, sort, operator):
        """Counts one read at the line that makes it."""
        try:
            # The caller of the wrapper; a thread of autograd may have none.
            frame = sys._getframe(3)
        except ValueError:
            frame = None
        key = (kind, sort, operator, *self.place(frame))
        if key in self.lines or len(self.lines) < MOST_LINES:
            self.lines[key] = self.lines.get(key, 0) + 1

    def place(self, frame):
        """The program's own line and the innermost line outside of torch; empty if there is none."""
        user = inner = None
        is_torchs_own = frame is not None and self.owner(frame.f_code.co_filename) == "torch"
        while frame is not None and user is None:
            owner = self.owner(frame.f_code.co_filename)
            if owner != "torch":
                where = (frame.f_code.co_filename, frame.f_lineno)
                inner = inner or where
                if owner == "program":
                    user = where
            frame = frame.f_back
        return user, inner, is_torchs_own

    def owner(self, file):
        """Whose code a file holds: `torch`, `library`, or `program`."""
        found = self.places.get(file)
        if found is None:
            found = self.places[file] = owner(file)
        return found

    def content(self):
        """The reads as JSON: the most frequent first."""
        rows = {}
        for (kind, sort, operator, user, inner, own), count in sorted(self.lines.items(), key=lambda item: -item[1]):
            # A line of the program is one row, however many places in libraries it comes through.
            row = rows.setdefault(
                (kind, sort, operator, user or inner),
                {
                    "kind": kind,
                    "type": sort,
                    "operator": operator,
                    "line": shown(user or inner),
                    "inner": shown(inner),
                    "decides": False,
                    "count": 0,
                },
            )
            if decides(kind, sort, inner, own) and not row["decides"]:
                row.update(decides=True, inner=shown(inner))
            row["count"] += count
        found = sorted(rows.values(), key=lambda row: -row["count"])
        return {"off": self.off, "reads": found, "without_gradient": self.missing}


def owner(file):
    """Whose code a file holds."""
    if file.startswith((OWN, "<frozen")):
        return "torch"
    parts = file.replace("\\", "/").split("/")
    for folder in INSTALLED:
        if folder in parts:
            # An optimizer that reads values goes on or stops by them, as LBFGS does.
            if parts[parts.index(folder) + 1 :][:2] == ["torch", "optim"]:
                return "library"
            return "torch" if parts[parts.index(folder) + 1 :][:1] in (["torch"], ["triton"]) else "library"
    return "library" if file.startswith(STANDARD) else "program"


def shown(where):
    """A file and a line as text; `None` if there is none."""
    return where and f"{where[0]}:{where[1]}"
