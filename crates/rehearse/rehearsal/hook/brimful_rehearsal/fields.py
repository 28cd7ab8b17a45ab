"""The fields of synthetic rows: 'input_ids:int64[4,2048]' are batches of four rows of 2048 numbers."""

import re
from collections import namedtuple

# The number of batches for which there are rows.
BATCHES = 64

# The name of a column, its dtype, and its shape, in which the first number is the size of a batch.
Field = namedtuple("Field", ["name", "dtype", "shape"])


# Rows that stand in for a data set. If `name` is `None`, they stand in for every one without rows of its own. `text` is
# what the user typed for `columns`.
Rows = namedtuple("Rows", ["name", "columns", "text"])


def stated(settings):
    """The rows of every data set for which the user stated fields."""
    return [Rows(one["name"], parse(one["fields"]), one["fields"]) for one in settings.synthetic]


def choose(rows, names):
    """The rows for a data set that has these names; `None` if the user stated none for it."""
    fitting = [one for one in rows if one.name in names] or [one for one in rows if one.name is None]
    return fitting[0] if fitting else None


def parse(text):
    """Reads fields with `;` between them. The launcher has checked them."""
    return [_field(part) for part in text.split(";") if part.strip()]


def _field(text):
    """Reads one field."""
    name, dtype, shape = re.fullmatch(r"\s*(\w+)\s*:\s*(\w+)\s*\[([\d,\s]*)\]\s*", text).groups()
    return Field(name, dtype, [int(size) for size in shape.split(",") if size.strip()])


def row_count(fields):
    """How many rows a data set has."""
    return max(field.shape[0] for field in fields) * BATCHES
