"""Rows of a stated shape in place of data sets: 'input_ids:int64[4,2048]' are batches of four rows of 2048 numbers."""
import re

from . import imports

# Rows are enough for so many batches.
BATCHES = 64


def attach(here, text):
    fields = [field(part) for part in text.split(";") if part.strip()]
    imports.after("datasets", lambda datasets: replace(here, datasets, fields, text))


def field(text):
    name, dtype, shape = re.fullmatch(r"\s*(\w+)\s*:\s*(\w+)\s*\[([\d,\s]*)\]\s*", text).groups()
    return name, dtype, [int(size) for size in shape.split(",") if size.strip()]


def replace(here, datasets, fields, text):
    def load_dataset(path=None, name=None, *place, split=None, streaming=False, **named):
        here.note(f"synthetic data: load_dataset({path!r}) gives rows of {text}")
        rows = made(datasets, fields)
        rows = rows.to_iterable_dataset() if streaming else rows
        if split is not None:
            return rows if isinstance(split, str) else [rows for _ in split]
        kind = datasets.IterableDatasetDict if streaming else datasets.DatasetDict
        return kind({part: rows for part in ("train", "validation", "test")})

    datasets.load_dataset = load_dataset
    datasets.load.load_dataset = load_dataset


def made(datasets, fields):
    count = max(shape[0] for _, _, shape in fields) * BATCHES
    columns = {name: column(dtype, shape[1:], count) for name, dtype, shape in fields}
    return datasets.Dataset.from_dict(columns)


def column(dtype, shape, count):
    if dtype == "string":
        return ["word " * (shape[0] if shape else 1)] * count
    import numpy

    return list(numpy.zeros([count, *shape], dtype=dtype))
